"""What the chosen heads say about every row, and how the pages get to see it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from trainer.core import text
from trainer.core.console import say
from trainer.data import demo
from trainer.data.duplicates import groups_drawn, unit_numbers
from trainer.data.groups import groups_across_splits
from trainer.data.manifest import Manifest
from trainer.experiments import binary_evaluation, confidence_evaluation
from trainer.experiments.confidence_evaluation import AnsweredRows
from trainer.experiments.inputs import learning_rows
from trainer.features.extract import Features
from trainer.features.hub import resolve
from trainer.heads.ensemble import Ensemble, fit_temperature
from trainer.heads.folds import assign_folds
from trainer.heads.head import Head
from trainer.heads.novelty import FOLDS, NoveltyDetector
from trainer.search.expectation import Expectation
from trainer.search.refit import Finalist
from trainer.search.study import FinishedTrial, pareto_front
from trainer.serving.packaging import pack, registered_name
from trainer.serving.predictor import CARD, WEIGHTS, RecordedHead, encoders_used, read_head, write_head
from trainer.stats import intervals
from trainer.stats.binary import BinaryRows, auroc_of, difference, log_odds
from trainer.stats.calibration import evaluate_calibration, temperature_interval
from trainer.stats.conformal import set_thresholds
from trainer.stats.further_scores import further_scores
from trainer.stats.macro_f1 import macro_f1_interval, rows_per_class
from trainer.stats.multilabel import strata_of_labels
from trainer.stats.objective import ACCURACY, AUROC, F1, NLL, Objective
from trainer.tracking import tables
from trainer.tracking.schema import Artifact, Predictions, Summary
from trainer.tracking.writer import RunWriter

USUAL_COVERAGE = 0.9  # of prediction sets
MOST_MEASURED = 20_000  # rows that it learns from
WIDEST_MEASURED = 2048  # features: it inverts matrices of that size in every fold, and stores one


def fresh_seed_figures(scores: Mapping[str, np.ndarray], objective: Objective) -> dict[str, Any]:
    """Figures of the heads trained with fresh seeds: validation scores [S] by name, the best first."""
    best_s = scores["best"]
    mean, _ = intervals.mean_over_seeds(best_s, most=objective.most, least=objective.least)
    leads = {
        name: _finite(intervals.paired_difference(best_s, other_s))
        for name, other_s in scores.items()
        if name != "best"
    }
    fresh = Summary.FRESH + objective.column
    return {
        fresh: mean.value,
        fresh + Summary.CI95: _finite(mean)[1:],
        Summary.FRESH_SEEDS: len(best_s),
        Summary.FRESH_LEAD: leads,
    }


def _finite(bounds: Sequence[float]) -> list[float | None]:
    """For JSON, which has no NaN."""
    return [None if math.isnan(bound) else bound for bound in bounds]


def with_intervals(scores: Mapping[str, intervals.Interval]) -> dict[str, Any]:
    """Return scores and their intervals by name, for JSON."""
    figures: dict[str, Any] = {}
    for name, one in scores.items():
        value, *ends = _finite(one)
        figures |= {name: value, name + Summary.CI95: ends}
    return figures


def report_selection_bias(selected: float, fresh: dict[str, Any], objective: Objective) -> None:
    """Say what is left of the best score with other random numbers: luck of seeds, and nothing else."""
    name = Summary.FRESH + objective.column
    form, change = text.forms(in_units=objective.in_units)
    again = text.interval(fresh[name], fresh[name + Summary.CI95], form)
    say(
        f"Retrained with {text.count(fresh[Summary.FRESH_SEEDS], 'new seed')}: {objective.title} {again} "
        f"(selected with {form(selected)})."
    )
    for other, (lead, *ends) in fresh[Summary.FRESH_LEAD].items():
        worse = text.known(ends) and (ends[1] < 0 if objective.up else ends[0] > 0)
        warning = f". The best trial is significantly worse: prefer the {other} trial." if worse else ""
        apart = text.interval(lead, ends, change)
        say(f"  Difference to the {other} trial, seed by seed: {apart}{warning}")


def report_expectation(expected: Expectation | None) -> None:
    """Say what to expect on new data, before the test rows are answered."""
    if expected is None:
        say("Expected on new data: unknown (fewer than five groups of rows).")
        return
    scores = ", ".join(
        f"{one.title} {text.interval(value, ends, text.forms(in_units=one.in_units)[0])}"
        for one, (value, *ends) in expected.scores.items()
    )
    say(f"Expected on new data: {scores} (95 % over {expected.over}).")


def expected_figures(
    expected: Expectation | None, tested: Mapping[str, Any], objective: Objective
) -> dict[str, Any]:
    """What was to expect, beside the figures of the test rows; said where these fall below it."""
    if expected is None:
        return {}
    leading = objective.leading
    name = Summary.TEST + leading.metric
    less = difference(
        intervals.Interval(tested[name], *tested[name + Summary.CI95]), expected.scores[leading]
    )
    if below := text.below_expected(*less, metric=leading.title):
        say(f"Warning: {below}")
    figures: dict[str, Any] = {}
    for one, (value, *ends) in expected.scores.items():
        figures |= {Summary.EXPECTED + one.metric: value, Summary.EXPECTED + one.metric + Summary.CI95: ends}
    return {
        **figures,
        Summary.EXPECTED_OVER: expected.over,
        Summary.TEST_LESS_EXPECTED: list(less),
    }


def front_of(trials: Sequence[FinishedTrial]) -> list[dict[str, Any]]:
    """The completed trials that no other beats in macro-F1 and head size both, the smallest head first."""
    complete = [trial for trial in trials if trial.state == "complete"]
    members = [complete[i] for i in pareto_front([(trial.score, trial.parameters) for trial in complete])]
    return [
        {"trial": trial.number, "val_f1_macro": trial.score, "parameters": trial.parameters}
        for trial in members
    ]


def groups_by_split(manifest: Manifest) -> dict[str, int]:
    """How many groups (patients, say) each split has, and how many stand in more than one."""
    group_n = np.array(manifest.group)
    counts = {split: len(set(group_n[manifest.rows(split)]) - {""}) for split in ("train", "val", "test")}
    return counts | {"in_two_splits": len(groups_across_splits(manifest))}


class Evaluation:
    """The answers of the finalists, the best one first.

    The test rows are answered here and nowhere else, after everything is chosen.
    """

    def __init__(
        self,
        features: Features,
        heads: Sequence[Finalist],
        *,
        seed: int,
        coverage: float = USUAL_COVERAGE,
        objective: Objective = F1,
    ) -> None:
        self.features, self.heads, self.seed, self.coverage = features, heads, seed, coverage
        self.objective = objective
        self.manifest = features.manifest
        self.probabilities = [self._answer(finalist) for finalist in heads]
        self.uncalibrated = self._before_calibration(heads[0])  # probabilities of the best head, or None
        self.model_uri: str | None = None  # of the best head in MLflow's registry, once it is logged

    def _answer(self, finalist: Finalist) -> np.ndarray:
        probability_nc = self._probabilities(finalist.head)
        if finalist.held_out is not None:  # what it says of rows that it has learned from tells nothing
            probability_nc[self._held_out_rows(finalist)] = finalist.held_out.probability_mc
        return probability_nc

    def _before_calibration(self, finalist: Finalist) -> np.ndarray | None:
        if not isinstance(finalist.head, Ensemble) or self.manifest.target == "number":
            return None
        probability_nc = self._probabilities(finalist.head.uncalibrated)
        if finalist.held_out is not None:
            probability_nc[self._held_out_rows(finalist)] = finalist.held_out.uncalibrated_mc
        return probability_nc

    def _probabilities(self, head: Head | Ensemble) -> np.ndarray:
        """Return probabilities [N, C] of classes or labels, or numbers [N, 1]."""
        x_nd = torch.as_tensor(self.features.vectors_nd, device=head.device)
        return head.answers(x_nd).cpu().numpy()

    def _held_out_rows(self, finalist: Finalist) -> np.ndarray:
        """Return the labelled rows that it has answered without having learned from them; not test."""
        if finalist.held_out is None:
            return self.manifest.rows("val")
        return learning_rows(self.manifest)[finalist.held_out.rows]

    @cached_property
    def _unit_n(self) -> np.ndarray:
        """Return the unit of every row, see `trainer.stats.units`."""
        return unit_numbers(self.manifest)

    @cached_property
    def held_out(self) -> AnsweredRows:
        """What the best head says of rows that it did not learn from: with these it was calibrated."""
        return self._answered(self._held_out_rows(self.heads[0]))

    def _answered(self, rows: np.ndarray) -> AnsweredRows:
        return AnsweredRows(self.probabilities[0][rows], self.manifest.learned_n[rows], self._unit_n[rows])

    @cached_property
    def _thresholds(self) -> dict[float, float]:
        """Return `conformal.set_thresholds` of the best head; {} without a row that it did not learn from."""
        return set_thresholds(*self.held_out) if len(self.held_out.label_n) else {}

    @cached_property
    def _novelty(self) -> NoveltyDetector | None:
        """Return what knows images unlike the training images; None of an encoder that learned from the rows,
        of wider features, with too few units for its false alarms, or of numbers. Of several labels the class
        of a row is its rarest one."""
        x_nd = self.features.vectors_nd
        if (
            self.manifest.target == "number"
            or not isinstance(self.heads[0].head, Ensemble)
            or x_nd.shape[1] > WIDEST_MEASURED
        ):
            return None
        rows = learning_rows(self.manifest)
        rows = np.sort(np.random.default_rng(self.seed).permutation(rows)[:MOST_MEASURED])
        unit_n, label_n = self._unit_n[rows], self.manifest.label_n[rows]
        if self.manifest.label_nc is not None:
            label_n = strata_of_labels(self.manifest.label_nc[rows])
        if len(np.unique(unit_n)) < FOLDS:
            return None
        (fold_n,) = assign_folds(label_n, unit_n, folds=FOLDS, repeats=1, seed=self.seed)
        found = NoveltyDetector.fit(np.asarray(x_nd[rows], dtype=np.float32), label_n, unit_n, fold_n)
        return found if math.isfinite(found.threshold) else None

    @cached_property
    def _temperature(self) -> intervals.Interval | None:
        """Return the divisor with which the best head's uncalibrated answers are likeliest, or None."""
        rows = self._held_out_rows(self.heads[0])
        if self.uncalibrated is None or not len(rows):
            return None
        log_nc = np.log(np.maximum(self.uncalibrated[rows].astype(np.float64), np.finfo(np.float64).tiny))
        _, label_n, unit_n = self.held_out
        temperature = fit_temperature(torch.from_numpy(log_nc), torch.from_numpy(label_n))
        return temperature_interval(log_nc, label_n, unit_n, temperature=temperature)

    def test_f1_macro(self, place: int) -> intervals.Interval:
        """Return the macro-F1 of the finalist at a place on the test rows."""
        label_n, pred_n, unit_n = self._test_answers(place)
        classes = len(self.manifest.classes)
        return macro_f1_interval(label_n, pred_n, classes=classes, unit_n=unit_n, seed=self.seed)

    def _test_answers(self, place: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return labels, answers and units of the test rows, int [N] each."""
        rows = self.manifest.rows("test")
        pred_n = self.probabilities[place][rows].argmax(1)
        return self.manifest.label_n[rows], pred_n, self._unit_n[rows]

    def held_out_score(self) -> dict[str, float]:
        """Return the best head's score by the objective on rows that it did not learn from."""
        probability_nc, label_n, _ = self.held_out
        score = self.objective.of(label_n, probability_nc).value if len(label_n) else math.nan
        return {Summary.HELD_OUT + self.objective.metric: score} if math.isfinite(score) else {}

    def _test_score(self) -> intervals.Interval:
        """Return the best head's score by the objective on the test rows."""
        probability_nc, label_n, unit_n = test = self._answered(self.manifest.rows("test"))
        if self.objective is NLL:
            return evaluate_calibration(*test, seed=self.seed).log_loss
        if self.objective is AUROC and len(self.manifest.classes) == 2 and len(set(label_n.tolist())) == 2:
            rows = BinaryRows(label_n == 1, log_odds(probability_nc), unit_n)
            return auroc_of(rows, seed=self.seed)
        return self.objective.interval(self.objective.of(label_n, probability_nc), unit_n)

    @property
    def final_head(self) -> Ensemble:
        """What is handed over."""
        best = self.heads[0]
        if isinstance(best.head, Head):
            return Ensemble.of(best.head, trial=best.trial)
        return best.head

    def test_figures(self) -> dict[str, Any]:
        """The best head on the test rows, with 95 % intervals over rows or groups of rows; and what the run
        consists of."""
        classes, groups = self.manifest.classes, groups_drawn(self.manifest)
        label_n, pred_n, unit_n = self._test_answers(0)
        accuracy = intervals.wilson_of_groups(pred_n == label_n, unit_n)
        f1 = self.test_f1_macro(0)
        figures: dict[str, Any] = {
            Summary.TEST_F1_MACRO: f1.value,
            Summary.TEST_F1_MACRO_CI95: [f1.low, f1.high],
            Summary.TEST_ACCURACY: accuracy.value,
            Summary.TEST_ACCURACY_CI95: [accuracy.low, accuracy.high],
            Summary.TEST_ROWS_PER_CLASS: rows_per_class(label_n),
        }
        also = ""
        if self.objective not in (F1, ACCURACY):
            name, (value, *ends) = Summary.TEST + self.objective.metric, self._test_score()
            if math.isfinite(value):  # an area under the ROC curve is none of rows of one class
                figures |= {name: value, name + Summary.CI95: ends}
                also = f", {self.objective.title} {text.interval(value, ends)}"
        say(
            f"Test: macro-F1 {text.interval(f1.value, f1[1:])}, accuracy "
            f"{text.interval(accuracy.value, accuracy[1:])}{also} (95 % over "
            f"{text.rows_drawn(len(label_n), groups)})."
        )
        for caution in text.cautions(groups, figures[Summary.TEST_ROWS_PER_CLASS]):
            say(caution)
        test = self._answered(self.manifest.rows("test"))
        figures |= confidence_evaluation.figures(self.held_out, test, seed=self.seed)
        figures |= confidence_evaluation.set_figures(
            test, self._thresholds, coverage=self.coverage, seed=self.seed
        )
        figures |= self._novelty_figures()
        figures |= self._further_figures()
        if len(classes) == 2:
            figures |= binary_evaluation.figures(
                self.manifest,
                self.probabilities[0],
                seed=self.seed,
                uncalibrated_n2=self.uncalibrated,
                temperature=self._temperature.value if self._temperature else 1.0,
            )
        if self._temperature:
            value, *ends = self._temperature
            figures |= {Summary.TEMPERATURE: value, Summary.TEMPERATURE + Summary.CI95: ends}
        return figures | {Summary.CLASSES: list(classes)} | self._consists_of(groups)

    def _novelty_figures(self) -> dict[str, Any]:
        """Return and say how often the detector of unlike images takes test rows for such; {} without one."""
        if self._novelty is None:
            return {}
        rows = self.manifest.rows("test")
        novel_n = self._novelty.is_novel(self._novelty.scores(self.features.vectors_nd[rows]))
        rate = self._novelty.false_alarm_rate
        return confidence_evaluation.novelty_figures(self._answered(rows), novel_n, false_alarm_rate=rate)

    def _consists_of(self, groups: int | None) -> dict[str, Any]:
        """Return what the run consists of.

        Args:
            groups: of the test rows; None where these are units by themselves.
        """
        figures: dict[str, Any] = {} if groups is None else {Summary.TEST_GROUPS: groups}
        if any(self.manifest.group):
            figures[Summary.GROUPS] = groups_by_split(self.manifest)
        return figures | {
            Summary.COUNTS: {split: len(self.manifest.rows(split)) for split in ("train", "val", "test")},
            Summary.DIMENSION: int(self.features.vectors_nd.shape[1]),
            Summary.HEADS: {h.name: {"trial": h.trial, "seed": h.seed_index} for h in self.heads},
        }

    def _further_figures(self) -> dict[str, Any]:
        """Return the best head's other scores on the test rows, see `trainer.stats.further_scores`."""
        scores = further_scores(*self._test_answers(0), classes=len(self.manifest.classes))
        return with_intervals({Summary.TEST + name: one for name, one in scores.items()})

    def recorded_head(self) -> RecordedHead:
        """Return the best head as it is recorded."""
        files = self._head_files()
        return read_head(files[CARD], files[WEIGHTS])

    def log(self, writer: RunWriter) -> None:
        """Write predictions, confusion image and the best head itself."""
        writer.table(Artifact.PREDICTIONS, self.predictions())
        if self.features.report.quarantined:
            entries = [(q.path, q.reason) for q in self.features.report.quarantined]
            writer.table(Artifact.QUARANTINE, tables.quarantine(entries))
        if (image := self._image(writer.study)) is not None:
            writer.file(*image)
        head_files = self._head_files()
        for name, data in head_files.items():
            writer.file(f"{Artifact.HEAD}/{name}", data)
        if head_files:
            self.model_uri = self._log_model(writer, head_files)

    def predictions(self) -> pd.DataFrame:
        """PREDICTIONS of all finalists."""
        frames = [
            self._table(answer_nc, head=finalist.name, trial=finalist.trial, seed=finalist.seed_index)
            for finalist, answer_nc in zip(self.heads, self.probabilities, strict=True)
        ]
        if self.uncalibrated is not None and self.manifest.target == "class":
            best_n = self.probabilities[0].argmax(1)
            rows = np.arange(len(self.manifest))
            frames[0][Predictions.CONFIDENCE_UNCALIBRATED] = self.uncalibrated[rows, best_n]
        return pd.concat(frames, ignore_index=True)

    def _table(self, answer_nc: np.ndarray, *, head: str, trial: int, seed: int) -> pd.DataFrame:
        """Return PREDICTIONS of one finalist."""
        rows = np.arange(len(self.manifest))
        return tables.predictions(self.manifest, rows, answer_nc, head=head, trial=trial, seed=seed)

    def _log_model(self, writer: RunWriter, head_files: dict[str, bytes]) -> str | None:
        """The best head as MLflow serves it, and in its registry. None where no encoder is known."""
        if not encoders_used(self.features.report.encoder):
            return None
        with tempfile.TemporaryDirectory() as scratch:
            writer.folder(Artifact.MODEL, self._pack(Path(scratch), head_files))
        return writer.register(registered_name(writer.study), Artifact.MODEL)

    def _pack(self, folder: Path, head_files: dict[str, bytes]) -> Path:
        used = read_head(head_files[CARD], head_files[WEIGHTS]).encoders
        encoders = [resolve(one.name) for one in used]
        labels = self.manifest.labels if self.objective.labels else ()
        return pack(folder, head_files, encoders, numbers=self.objective.numbers, labels=labels)

    def _image(self, study: str) -> tuple[str, bytes] | None:
        """Return the name and the bytes of a PNG of the test rows, or None."""
        from trainer.charts.confusion import count_matrix
        from trainer.charts.render import png

        label_n, pred_n, _ = self._test_answers(0)
        confusion = intervals.confusion_matrix(label_n, pred_n, classes=len(self.manifest.classes))
        share, n = float(intervals.accuracy(confusion)), len(label_n)
        title = f"{study}, trial {self.heads[0].trial}: accuracy {share:.3f} on n = {n} test rows"
        return Artifact.CONFUSION_PNG, png(count_matrix(confusion, self.manifest.classes, title=title))

    def _head_files(self) -> dict[str, bytes]:
        best = self.heads[0]
        described = self._described() | {
            "encoder": self.features.report.encoder,
            "encoder_folder": encoder_folders(self.features.report.encoder),
            "trial": best.trial,
            "seed": best.seed_index,
            "bits": self.manifest.bits,
        }
        if self._thresholds:
            thresholds = {f"{coverage:.2f}": one for coverage, one in self._thresholds.items()}
            described["prediction_sets"] = {"coverage": self.coverage, "thresholds": thresholds}
        card, weights = write_head(self.final_head, described, novelty=self._novelty)
        return {WEIGHTS: weights, CARD: card}

    def _described(self) -> dict[str, Any]:
        """Return what the head's card says of its answers."""
        return {"classes": list(self.manifest.classes)}


def encoder_folders(encoder: str) -> str | list[str | None] | None:
    """Where the encoder lies, whatever folder a later command is begun in; None of an id, or of `demo`. Of
    several encoders it is a list."""
    folders = [
        str(Path(used.name).expanduser().resolve())
        if used.name != demo.NAME and Path(used.name).expanduser().is_dir()
        else None
        for used in encoders_used(encoder)
    ]
    return folders if len(folders) > 1 else next(iter(folders), None)
