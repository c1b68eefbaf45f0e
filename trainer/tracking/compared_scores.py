"""Two runs of numbers, or of several labels per image, compared by what they say of the same test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from trainer.core.errors import InputError
from trainer.core.text import Form, change, compared, natural_key, significant
from trainer.stats.influence import Linearised
from trainer.stats.multilabel import of_f1_macro_at, of_f1_micro_at, of_map
from trainer.stats.objective import MAE, RMSE
from trainer.stats.paired_bootstrap import holm
from trainer.stats.paired_scores import score_difference
from trainer.stats.regression import of_mae, of_r2, of_rmse
from trainer.tracking.compared_runs import RunAnswers, shared_rows
from trainer.tracking.schema import Predictions, Summary

TRUTH = {Predictions.NUMBER: Predictions.TARGET, Predictions.LABEL_PROBABILITIES: Predictions.TRUE_LABELS}

TITLES = {
    "r2": "R²",
    "mae": "MAE",
    "rmse": "RMSE",
    "map": "mAP",
    "f1_macro": "macro-F1",
    "f1_micro": "micro-F1",
}
IN_UNITS = (MAE.name, RMSE.name)


class PairedAnswers(NamedTuple):
    """What two heads say of N rows."""

    true: np.ndarray  # numbers float64 [N], or which labels a row has, bool [N, C]
    said: tuple[np.ndarray, np.ndarray]  # numbers [N, 1], or probabilities [N, C]
    threshold_c: tuple[np.ndarray, np.ndarray]  # from which labels are predicted; empty of numbers
    labels: list[str]  # [] of numbers
    unit_n: np.ndarray  # int [N], see `trainer.stats.units`


class ScorePair(NamedTuple):
    """A run against the base. The first score, R² or mAP, decides."""

    run: str
    rows: int
    scores: pd.DataFrame  # `by_score`
    labels: pd.DataFrame | None  # `by_label`; None of numbers
    p_holm: float  # of the first score, for all runs

    @property
    def ends(self) -> tuple[float, float]:
        """The interval of the difference in the first score."""
        first = self.scores.iloc[0]
        return float(first["low"]), float(first["high"])

    @property
    def verdict(self) -> str:
        """better, worse, or not significant."""
        if not significant(self.ends, self.p_holm):
            return "not significant"
        return "better" if self.ends[0] > 0 else "worse"

    def told(self, names: tuple[str, str], *, comparisons: int, form: Form = change) -> str:
        """The verdict in one line.

        Args:
            names: of the run and of the base, as they are to be written.
            comparisons: that p is corrected for.
            form: of the difference.
        """
        first = self.scores.iloc[0]
        effect = float(first["difference"]), *self.ends
        p = None if self.p_holm != self.p_holm else self.p_holm
        metric = TITLES[first["score"]]
        return compared(names, effect, p, comparisons=comparisons, form=form, metric=metric)


def compared_scores(
    runs: Sequence[RunAnswers], summaries: Sequence[Mapping[str, Any]], *, base: int
) -> list[ScorePair]:
    """Compare every other run with the base.

    Args:
        runs: two or more, of one head each.
        summaries: SUMMARY of each.
        base: place of the one that the others are compared with.

    Raises:
        InputError: the runs predict different things, or two share no test row; one learned from test rows of
            the base or knows other answers to them.
    """
    found = []
    for place, run in enumerate(runs):
        if place == base:
            continue
        both = (place, base)
        pair = paired_answers(
            [runs[one].name for one in both],
            [runs[one].table for one in both],
            [summaries[one] for one in both],
        )
        if pair.true.ndim == 2 and not pair.labels:
            raise InputError(f"{run.name} and {runs[base].name} have no label in common.")
        labels = by_label(pair) if pair.labels else None
        found.append(ScorePair(run.name, len(pair.unit_n), by_score(pair), labels, np.nan))
    p_m = np.array([one.scores["p"].iloc[0] for one in found])
    judged = ~np.isnan(p_m)
    p_m[judged] = holm(p_m[judged])
    return [one._replace(p_holm=float(p)) for one, p in zip(found, p_m, strict=True)]


def paired_answers(
    names: Sequence[str], frames: Sequence[pd.DataFrame], summaries: Sequence[Mapping[str, Any]]
) -> PairedAnswers:
    """Return what two runs say of the test rows that both have.

    Args:
        names: of the runs, for messages.
        frames: PREDICTIONS of one head each.
        summaries: SUMMARY of each.

    Raises:
        InputError: the runs predict different things, share no test row, or know other answers to one; or one
            learned from test rows of the other.
    """
    kinds = [next((one for one in TRUTH if one in frame), None) for frame in frames]
    if None in kinds or len(set(kinds)) > 1:
        raise InputError(
            f"{' and '.join(names)} predict different things: compare two runs of classes, two of numbers, "
            "or two of several labels per image."
        )
    said_as = str(kinds[0])
    runs = [RunAnswers(name, frame) for name, frame in zip(names, frames, strict=True)]
    rows = shared_rows(runs, truth=TRUTH[said_as])
    if not len(rows[0]):
        raise InputError(f"{' and '.join(names)} share no test row: compare runs on the same data.")
    unit_n = next((one[Predictions.UNIT].to_numpy() for one in rows if Predictions.UNIT in one), None)
    unit_n = np.arange(len(rows[0])) if unit_n is None else unit_n
    if said_as == Predictions.NUMBER:
        one, other = (frame[Predictions.NUMBER].to_numpy(dtype=np.float64)[:, None] for frame in rows)
        target_n = rows[0][Predictions.TARGET].to_numpy(dtype=np.float64)
        return PairedAnswers(target_n, (one, other), (np.empty(0), np.empty(0)), [], unit_n)
    return _of_labels(rows, summaries, unit_n)


def _of_labels(
    rows: Sequence[pd.DataFrame], summaries: Sequence[Mapping[str, Any]], unit_n: np.ndarray
) -> PairedAnswers:
    """Return the answers about the labels that both runs know."""
    own = [list(one[Summary.LABEL_NAMES]) for one in summaries]
    shared = sorted(set(own[0]) & set(own[1]), key=natural_key)
    true_nc = np.array([[name in set(has) for name in shared] for has in rows[0][Predictions.TRUE_LABELS]])
    places = [[names.index(name) for name in shared] for names in own]
    one, other = (
        np.array(frame[Predictions.LABEL_PROBABILITIES].tolist(), dtype=np.float32)[:, place]
        for frame, place in zip(rows, places, strict=True)
    )
    limits = [
        np.array(summary[Summary.THRESHOLDS], dtype=np.float64)[place]
        for summary, place in zip(summaries, places, strict=True)
    ]
    return PairedAnswers(true_nc, (one, other), (limits[0], limits[1]), shared, unit_n)


def by_score(pair: PairedAnswers) -> pd.DataFrame:
    """Return ``score, a, b, difference, low, high, p``, a row per score: R², MAE and RMSE of numbers; of
    several labels mAP, and macro- and micro-F1 at the thresholds of each head."""
    if not pair.labels:
        scores = {"r2": of_r2, "mae": of_mae, "rmse": of_rmse}
        found = {name: [of(pair.true, said) for said in pair.said] for name, of in scores.items()}
    else:
        both = list(zip(pair.said, pair.threshold_c, strict=True))
        found = {
            "map": [of_map(pair.true, said) for said in pair.said],
            "f1_macro": [of_f1_macro_at(pair.true, said >= limit_c) for said, limit_c in both],
            "f1_micro": [of_f1_micro_at(pair.true, said >= limit_c) for said, limit_c in both],
        }
    return pd.DataFrame([{"score": name, **_row(two, pair.unit_n)} for name, two in found.items()])


def by_label(pair: PairedAnswers) -> pd.DataFrame:
    """Return ``label, a, b, difference, low, high, p, p_holm``, a row per label: its average precision, NaN
    where the rows do not both have and lack it."""
    rows = []
    for c, name in enumerate(pair.labels):
        own = slice(c, c + 1)
        two = [of_map(pair.true[:, own], said[:, own]) for said in pair.said]
        rows.append({"label": name, **_row(two, pair.unit_n)})
    table = pd.DataFrame(rows)
    judged = table["p"].notna().to_numpy()
    p_holm = np.full(len(table), np.nan)
    p_holm[judged] = holm(table["p"].to_numpy()[judged])
    return table.assign(p_holm=p_holm)


def _row(two: Sequence[Linearised], unit_n: np.ndarray) -> dict[str, float]:
    found = score_difference(two[0], two[1], unit_n)
    value, low, high = found.difference
    return {"a": found.one, "b": found.other, "difference": value, "low": low, "high": high, "p": found.p}
