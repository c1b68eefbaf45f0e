"""Methods compared on the same test rows: their tables as people read them, and the rows they disagree on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from dashboard import text
from dashboard.frames import trials as trial_frames
from dashboard.frames.predictions import shown_names
from dashboard.runs.run_info import RunInfo
from trainer.core.errors import InputError
from trainer.stats.objective import F1, Objective
from trainer.stats.power import detectable_effect
from trainer.tracking.compared_runs import RunAnswers, answers_of, different_names, usual_head
from trainer.tracking.schema import (
    Curves,
    FewShot,
    Kind,
    MethodClasses,
    MethodPairs,
    Methods,
    Predictions,
    Trials,
)

LEVEL = 0.05
MINUS = " − "
BETTER, WORSE, NOT_SIGNIFICANT = "better", "worse", "not significant"
TRAINING, VALIDATION = "training", "validation"  # losses
OF_METHODS = (Kind.FUSION, Kind.ZERO_SHOT, Kind.ENCODERS)  # studies whose heads are methods
MOST_CLASSES = 40  # in a chart with a row for each
NAME = 34  # characters of a run's name, so that what tells it from others is never cut off


def as_read(methods: pd.DataFrame, *, of_runs: bool = False) -> pd.DataFrame:
    """METHODS with intervals in brackets; ★ before the one chosen on validation rows.

    Args:
        of_runs: the methods are runs, and HOW says what they are.
    """
    rows = methods.to_dict("records")
    hows = [text.clean(row[Methods.HOW], longest=120) for row in rows]
    return pd.DataFrame(
        {
            "run" if of_runs else "method": [
                f"{'★ ' if row[Methods.CHOSEN] else ''}{name_of(row[Methods.METHOD])}" for row in rows
            ],
            "macro-F1 [95 %]": [text.figure(row, Methods.F1_MACRO) for row in rows],
            "accuracy [95 %]": [text.figure(row, Methods.ACCURACY) for row in rows],
            "validation macro-F1": methods[Methods.VAL_F1_MACRO],
            "of" if of_runs else "chosen on validation": hows,
        }
    )


def pairs_as_read(pairs: pd.DataFrame) -> pd.DataFrame:
    """METHOD_PAIRS with intervals in brackets and one p-value, that of macro-F1, so that no row contradicts
    itself; ``detectable``: where no difference is shown, which would have been, with 80 % power."""
    rows = pairs.to_dict("records")
    return pd.DataFrame(
        {
            "difference": [pair_name(row[MethodPairs.METHOD], row[MethodPairs.AGAINST]) for row in rows],
            "macro-F1 [95 %]": [text.figure(row, MethodPairs.EFFECT, text.signed) for row in rows],
            "p (Holm)": [text.p_value(row[MethodPairs.EFFECT_P_HOLM]) for row in rows],
            "accuracy [95 %]": [text.figure(row, MethodPairs.ACCURACY, text.signed) for row in rows],
            "only first correct": pairs[MethodPairs.ONLY_METHOD],
            "only second correct": pairs[MethodPairs.ONLY_AGAINST],
            "detectable": _detectable(pairs, says(pairs, MethodPairs.EFFECT, MethodPairs.EFFECT_P_HOLM)),
        }
    )


def dots(methods: pd.DataFrame) -> pd.DataFrame:
    """Every method's macro-F1 for a chart: ``name, value, low, high, chosen``."""
    return pd.DataFrame(
        {
            "name": [name_of(name) for name in methods[Methods.METHOD]],
            **_ends(methods, Methods.F1_MACRO),
            "chosen": methods[Methods.CHOSEN],
        }
    )


def forest(pairs: pd.DataFrame) -> pd.DataFrame:
    """Every pair's difference in macro-F1: ``name, value, low, high, p, says, detectable``."""
    return pd.DataFrame(
        {
            "name": [
                pair_name(one, other)
                for one, other in zip(pairs[MethodPairs.METHOD], pairs[MethodPairs.AGAINST], strict=True)
            ],
            **_ends(pairs, MethodPairs.EFFECT),
            "p": pairs[MethodPairs.EFFECT_P_HOLM],
            "says": says(pairs, MethodPairs.EFFECT, MethodPairs.EFFECT_P_HOLM),
            "detectable": detectable(pairs, MethodPairs.EFFECT),
        }
    )


def classes_of(classes: pd.DataFrame, method: str, against: str) -> pd.DataFrame:
    """Class by class, the best difference first: ``name, value, low, high, p, says, detectable, f1,
    f1_against, n``."""
    rows = classes[
        (classes[MethodClasses.METHOD] == method) & (classes[MethodClasses.AGAINST] == against)
    ].sort_values(MethodClasses.EFFECT, ascending=False, kind="stable")
    shown = shown_names(list(rows[MethodClasses.CLASS]))
    return pd.DataFrame(
        {
            "name": [
                f"{shown[name]} (n = {n:,})"
                for name, n in zip(rows[MethodClasses.CLASS], rows[MethodClasses.TEST], strict=True)
            ],
            **_ends(rows, MethodClasses.EFFECT),
            "p": rows[MethodClasses.EFFECT_P_HOLM],
            "says": says(rows, MethodClasses.EFFECT, MethodClasses.EFFECT_P_HOLM),
            "detectable": detectable(rows, MethodClasses.EFFECT),
            "f1": rows[MethodClasses.F1],
            "f1_against": rows[MethodClasses.F1_AGAINST],
            "n": rows[MethodClasses.TEST],
        }
    )


def drawn_classes(frame: pd.DataFrame) -> pd.DataFrame:
    """The `MOST_CLASSES` of `classes_of` that are least likely by chance, of equal ones those that differ
    most, in their order."""
    first = np.lexsort((-frame["value"].abs(), frame["p"]))[:MOST_CLASSES]
    return frame.iloc[np.sort(first)]


def searches(best_so_far: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Trials of several runs: ``run, done, best, score``, and ``share`` of its trials with at most this
    score.

    Args:
        best_so_far: of each run, as of `frames.trials.best_so_far`.
    """
    return pd.concat(
        [
            frame[["done", "best", "score"]].assign(
                run=name, share=frame["score"].rank(method="max", pct=True)
            )
            for name, frame in best_so_far.items()
        ],
        ignore_index=True,
    )


def losses(trials: pd.DataFrame, curves: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Both losses of the best trial that has epochs: ``trial, split`` (`TRAINING`, `VALIDATION`), ``epoch,
    value`` (mean over seeds). Empty where no trial has both.

    Args:
        trials: TRIALS of a run; a complete one is preferred.
        curves: CURVES of the run.
        objective: decides which is best.
    """
    fitted = trial_frames.without_epochs(trials)[Trials.TRIAL]
    among = trials[~trials[Trials.TRIAL].isin(fitted)].dropna(subset=[objective.column])
    everyone = trial_frames.one_group(among, "all")
    found = [
        trial_frames.lines(curves, split, "loss", everyone).assign(split=name)
        for split, name in (("train", TRAINING), ("val", VALIDATION))
    ]
    has_both = among[Trials.TRIAL].isin(found[0][Curves.TRIAL]) & among[Trials.TRIAL].isin(
        found[1][Curves.TRIAL]
    )
    best = trial_frames.top(among[has_both], 1, objective)[Trials.TRIAL]
    both = pd.concat(found, ignore_index=True)
    return both[both[Curves.TRIAL].isin(best)][["trial", "split", "epoch", "value"]].reset_index(drop=True)


def lowest(losses: pd.DataFrame) -> str:
    """Where the validation loss of one run's `losses` is lowest: "trial 4, lowest at epoch 7 of 9"."""
    validation = losses[losses["split"] == VALIDATION]
    best = validation.sort_values("value", kind="stable").to_dict("records")[0]
    return f"trial {best['trial']}, lowest at epoch {best['epoch']} of {validation['epoch'].max()}"


def curve(few_shot: pd.DataFrame) -> pd.DataFrame:
    """FEW_SHOT for a chart: ``kind, shots, value, low, high, all, draws, effect`` (in words) and ``p``."""
    rows = few_shot.to_dict("records")
    return pd.DataFrame(
        {
            "kind": [name_of(name) for name in few_shot[FewShot.KIND]],
            "shots": few_shot[FewShot.SHOTS],
            **_ends(few_shot, FewShot.F1_MACRO),
            "all": few_shot[FewShot.ALL],
            "rows": few_shot[FewShot.ROWS],
            "draws": few_shot[FewShot.DRAWS],
            "effect": [text.figure(row, FewShot.EFFECT, text.signed) for row in rows],
            "p": [text.p_value(p) for p in few_shot[FewShot.EFFECT_P_HOLM]],
        }
    )


def says(frame: pd.DataFrame, effect: str, p: str) -> np.ndarray:
    """What can be said of each difference: its interval leaves out zero, and so does its corrected p."""
    low, high = frame[effect + Methods.LOW], frame[effect + Methods.HIGH]
    sure = frame[p] < LEVEL
    return np.select([sure & (low > 0), sure & (high < 0)], [BETTER, WORSE], NOT_SIGNIFICANT)


def detectable(frame: pd.DataFrame, effect: str) -> np.ndarray:
    """The smallest difference that each comparison finds with 80 % power, corrected for all rows."""
    low, high = (frame[effect + end].to_numpy(float) for end in (Methods.LOW, Methods.HIGH))
    return np.atleast_1d(detectable_effect(low, high, comparisons=len(frame)))


def _detectable(pairs: pd.DataFrame, said: np.ndarray) -> list[str]:
    effects = detectable(pairs, MethodPairs.EFFECT)
    return [
        text.score(one if unsure else None)
        for one, unsure in zip(effects, said == NOT_SIGNIFICANT, strict=True)
    ]


def answers(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per test row: ``sample_id, label``, and what each method said, a column per method."""
    wide = predictions.pivot_table(
        index=[Predictions.SAMPLE_ID, Predictions.LABEL],
        columns=Predictions.HEAD,
        values=Predictions.PRED,
        aggfunc="first",
        sort=False,
    )
    return wide.reset_index()


def only_right(answers: pd.DataFrame, right: str, wrong: str) -> pd.DataFrame:
    """Rows that one of two methods has right and the other has not: ``sample_id, label, said``."""
    label = answers[Predictions.LABEL]
    rows = answers[(answers[right] == label) & (answers[wrong] != label)]
    return rows[[Predictions.SAMPLE_ID, Predictions.LABEL]].assign(said=rows[wrong]).reset_index(drop=True)


class RightAndWrong(NamedTuple):
    """Rows by which of two methods has them right."""

    both: int
    only_one: int
    only_other: int
    neither: int


def right_and_wrong(answers: pd.DataFrame, one: str, other: str) -> RightAndWrong:
    """The 2 × 2 table of two methods' right and wrong answers."""
    first, second = ((answers[name] == answers[Predictions.LABEL]).to_numpy() for name in (one, other))
    counts = (first & second, first & ~second, ~first & second, ~first & ~second)
    return RightAndWrong(*(int(each.sum()) for each in counts))


def said_together(answers: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """What one method says against what another says, the largest disagreements first, then where they agree.

    Returns:
        ``label`` (what ``other`` says) and ``pred`` (what ``one`` says), as the axes of a confusion matrix
        are called; ``n``, and of these rows ``one_right`` and ``other_right``.
    """
    rows = pd.DataFrame(
        {
            "label": answers[other],
            "pred": answers[one],
            "one_right": answers[one] == answers[Predictions.LABEL],
            "other_right": answers[other] == answers[Predictions.LABEL],
        }
    ).dropna()
    grouped = rows.groupby(["label", "pred"], as_index=False)
    cells = grouped.agg(
        n=("one_right", "size"), one_right=("one_right", "sum"), other_right=("other_right", "sum")
    )
    agree = cells["label"] == cells["pred"]
    order = np.lexsort((cells["pred"], cells["label"], -cells["n"], agree))
    return cells.iloc[order].reset_index(drop=True)


def most_disputed(cells: pd.DataFrame, most: int) -> list[str]:
    """The classes of `said_together` in which the methods disagree on most rows, at most so many."""
    apart = cells[cells["label"] != cells["pred"]]
    counts = pd.concat([apart.groupby(end)["n"].sum() for end in ("label", "pred")]).groupby(level=0).sum()
    names = {name for end in ("label", "pred") for name in cells[end]}
    return sorted(names, key=lambda name: (-counts.get(name, 0), text.natural_key(name)))[:most]


def pair_name(method: str, against: str) -> str:
    return f"{name_of(method)}{MINUS}{name_of(against)}"


def name_of(method: str) -> str:
    return text.clean(method, longest=40)


def _ends(frame: pd.DataFrame, name: str) -> dict[str, pd.Series]:
    return {"value": frame[name], "low": frame[name + Methods.LOW], "high": frame[name + Methods.HIGH]}


# --- Runs -------------------------------------------------------------------------------------


def run_answers(
    info: RunInfo, predictions: pd.DataFrame | None, methods: Callable[[], pd.DataFrame | None]
) -> RunAnswers:
    """What a run says, under the name of its study.

    Args:
        predictions: PREDICTIONS of the run.
        methods: returns METHODS, where the run has some.

    Raises:
        InputError: it has not answered, or predicts no single class.
    """
    if predictions is None:
        raise InputError(f"{info.name} has not answered the test rows.")
    head = usual_head(predictions, methods)
    name = info.study or info.name
    found = answers_of(name, predictions, head)
    return RunAnswers(name if info.kind not in OF_METHODS else f"{name}: {head}", found.table, info.data)


def run_names(names: list[str], infos: Sequence[RunInfo]) -> list[str]:
    """How runs are called: no two alike, also where a long name is cut."""
    different = different_names(names, [info.run_id for info in infos])
    return list(shown_names(different, longest=NAME).values())


def runs_as_methods(infos: Sequence[RunInfo], scores: pd.DataFrame) -> pd.DataFrame:
    """METHODS of runs, from `compared_runs.ComparedRuns.scores`."""
    about = {
        Methods.HOW: [f"{info.kind}, {info.data}, {info.encoder}" for info in infos],
        Methods.HEADS: [1] * len(infos),
        Methods.CHOSEN: [False] * len(infos),
        Methods.VAL_F1_MACRO: [info.figures.best_val if info.objective is F1 else None for info in infos],
    }
    return pd.concat([scores, pd.DataFrame(about)], axis=1)


def run_verdicts(pairs: pd.DataFrame, form: Callable[..., str]) -> list[str]:
    """The verdict on each run against the base; ``form`` is `text.plain` or `text.clean`, for its name."""
    return [
        text.compared(
            (form(row[MethodPairs.METHOD], longest=60), form(row[MethodPairs.AGAINST], longest=60)),
            tuple(row[MethodPairs.EFFECT + end] for end in ("", Methods.LOW, Methods.HIGH)),
            row[MethodPairs.EFFECT_P_HOLM],
            comparisons=len(pairs),
        )
        for row in pairs.to_dict("records")
    ]
