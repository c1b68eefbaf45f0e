"""Groups of rows, and few rows of a class."""

from __future__ import annotations

import numpy as np

from benchmarks.honesty_checks.shares import Figures, share
from trainer.stats.intervals import Interval, f1_macro, wilson_of_groups
from trainer.stats.macro_f1 import macro_f1_interval
from trainer.stats.paired_bootstrap import PairedBootstrap, PredictionSet, swap_test
from trainer.stats.paired_comparison import accuracy_difference, mcnemar

GROUP, ICC = 5, 0.5  # rows of a group, and the correlation of two rows' answers


class SimulatedHead:
    """A head that takes classes for three others each, some more often than others.

    Args:
        accuracy: mean recall over classes; a class's own is drawn from a beta distribution.
    """

    def __init__(self, classes: int, accuracy: float) -> None:
        random = np.random.default_rng(0)
        self.classes = classes
        self.chance_cc = np.zeros((classes, classes))  # of an answer, given the label
        for label, recall in enumerate(random.beta(3 * accuracy, 3 * (1 - accuracy), classes)):
            others = random.choice(np.delete(np.arange(classes), label), min(3, classes - 1), replace=False)
            self.chance_cc[label, others] = (1 - recall) * random.dirichlet(np.ones(len(others)))
            self.chance_cc[label, label] = recall
        self.accuracy = float(np.diagonal(self.chance_cc).mean())  # classes are equally frequent
        self.f1_macro = float(f1_macro(self.chance_cc))

    def answers(self, label_n: np.ndarray, unit_n: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return answers int [N]; any two rows of a unit have the same random number with chance `ICC`."""
        shared_n = random.random(len(label_n)) < np.sqrt(ICC)
        uniform_n = np.where(shared_n, random.random(unit_n.max() + 1)[unit_n], random.random(len(label_n)))
        above_nc = uniform_n[:, None] > self.chance_cc.cumsum(1)[label_n]
        return above_nc.sum(1).clip(max=self.classes - 1)


def covers(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def groups_of_rows(groups: int, classes: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and units of groups that each show one class."""
    unit_n = np.repeat(np.arange(groups), GROUP)
    return random.integers(classes, size=groups)[unit_n], unit_n


def grouped_intervals(repeats: int = 1500) -> Figures:
    """Test rows in groups of 5, ICC 0.5: how often do 95 % intervals over groups, and over rows, hold the
    truth?"""
    figures: Figures = {}
    for groups, classes in ((8, 2), (24, 4), (60, 12)):
        head, random = SimulatedHead(classes, 0.8), np.random.default_rng(1)
        counts = dict.fromkeys(("accuracy", "accuracy_by_rows", "f1_macro", "f1_macro_by_rows"), 0)
        for seed in range(repeats):
            label_n, unit_n = groups_of_rows(groups, classes, random)
            pred_n = head.answers(label_n, unit_n, random)
            for suffix, unit in (("", unit_n), ("_by_rows", None)):
                f1 = macro_f1_interval(label_n, pred_n, classes=classes, unit_n=unit, seed=seed, draws=500)
                counts[f"accuracy{suffix}"] += covers(
                    wilson_of_groups(pred_n == label_n, unit), head.accuracy
                )
                counts[f"f1_macro{suffix}"] += covers(f1, head.f1_macro)
        for name, count in counts.items():
            figures[f"{groups} groups, {classes} classes: {name}"] = share(count, repeats)
    return figures


def paired_tests(repeats: int = 1500) -> Figures:
    """Two equally good heads on rows in groups of 5, ICC 0.5: how often are they called different, by groups
    and by rows?

    ``verdict``: the swap test's p below 5 % and an interval without 0, as the commands want it.
    """
    figures: Figures = {}
    for groups, classes in ((8, 2), (24, 4), (60, 4)):
        head, random = SimulatedHead(classes, 0.8), np.random.default_rng(2)
        names = ("swap_test", "verdict", "mcnemar", "accuracy_interval")
        counts = {f"{name}{suffix}": 0 for name in names for suffix in ("", "_by_rows")}
        for seed in range(repeats):
            label_n, unit_n = groups_of_rows(groups, classes, random)
            pred_2n = np.stack([head.answers(label_n, unit_n, random) for _ in range(2)])
            for suffix, unit in (("", unit_n), ("_by_rows", None)):
                answers = PredictionSet(label_n, pred_2n[:, None], classes, unit_n=unit)
                bootstrap = PairedBootstrap(answers, seed=seed, draws=500)
                one, other = (bootstrap.arm(arm)["f1_macro"] for arm in (0, 1))
                differs = swap_test(answers, 0, 1, seed=seed, swaps=500).p < 0.05
                right_2n = pred_2n == label_n
                counts[f"swap_test{suffix}"] += differs
                counts[f"verdict{suffix}"] += differs and not covers(one.minus(other).interval(), 0)
                counts[f"mcnemar{suffix}"] += mcnemar(*right_2n, unit).p < 0.05
                counts[f"accuracy_interval{suffix}"] += not covers(accuracy_difference(*right_2n, unit), 0)
        for name, count in counts.items():
            figures[f"{groups} groups, {classes} classes: {name}"] = share(count, repeats)
    return figures


def macro_f1(repeats: int = 1000) -> Figures:
    """Few test rows of each class: how often do 95 % intervals of macro-F1 hold the truth?

    ``drawn``: the classes of the rows are drawn, too, so that some have fewer rows than others.
    """
    figures: Figures = {}
    for classes, rows, accuracy in (
        (37, 5, 0.6),
        (37, 5, 0.85),
        (37, 5, 0.97),
        (100, 3, 0.7),
        (12, 27, 0.65),
    ):
        for drawn in (False, True):
            head, random = SimulatedHead(classes, accuracy), np.random.default_rng(3)
            counts = dict.fromkeys(("headroom", "bca", "percentiles"), 0)
            unit_n = np.arange(classes * rows)
            for seed in range(repeats):
                label_n = np.repeat(np.arange(classes), rows)
                if drawn:
                    label_n = random.integers(classes, size=len(label_n))
                pred_n = head.answers(label_n, unit_n, random)
                found = macro_f1_interval(label_n, pred_n, classes=classes, seed=seed, draws=500)
                answers = PredictionSet(label_n, pred_n[None, None], classes)
                resampled = PairedBootstrap(answers, seed=seed, draws=500).arm(0)["f1_macro"]
                percentiles = Interval(found.value, *np.quantile(resampled.draws, [0.025, 0.975]))
                counts["headroom"] += covers(found, head.f1_macro)
                counts["bca"] += covers(resampled.interval(), head.f1_macro)
                counts["percentiles"] += covers(percentiles, head.f1_macro)
            where = f"{classes} classes of {rows} rows{' drawn' if drawn else ''}, F1 {head.f1_macro:.2f}"
            for name, count in counts.items():
                figures[f"{where}: {name}"] = share(count, repeats)
    return figures
