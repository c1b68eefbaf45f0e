"""Frames of the page "Verification": curves, pairs at a threshold, the hardest ones, known people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from dashboard import text
from dashboard.frames import trials
from trainer.stats.paired_bootstrap import share_interval
from trainer.stats.roc import FAR, TAR, PersonBootstrap, VerificationPairs
from trainer.tracking.schema import FacePairs, Faces, PairMethod, RocCurves, Verified

NAMES = {
    PairMethod.RAW: "raw cosine",
    PairMethod.WHITENED: "PCA whitening",
    PairMethod.LDA: "LDA",
    PairMethod.TRAINED: "trained head",
}
BINS = 48
TRUE_ACCEPTS, FALSE_ACCEPTS = "true accepts", "false accepts"
TRUE_REJECTS, FALSE_REJECTS = "true rejects", "false rejects"
SAME, DIFFERENT = "same person", "different people"
KINDS = (FALSE_ACCEPTS, FALSE_REJECTS, TRUE_ACCEPTS, TRUE_REJECTS)
SPACES = {"features": (Faces.X, Faces.Y), "trained head": (Faces.TRAINED_X, Faces.TRAINED_Y)}
LEAST_RATE, MOST_RATE = 0.001, 0.8  # of the DET chart, whose axes have no 0 and no 1


def methods_in(pairs: pd.DataFrame) -> list[PairMethod]:
    """The methods that have scored all pairs, the trained one first."""
    known = [method for method in PairMethod if f"{FacePairs.SCORE_PREFIX}{method}" in pairs]
    return [method for method in reversed(known) if pairs[f"{FacePairs.SCORE_PREFIX}{method}"].notna().all()]


def curves(roc: pd.DataFrame) -> pd.DataFrame:
    """ROC with the methods' names, and on DET axes: deviates of FAR and FRR, null outside the chart."""
    frame = roc.assign(
        method=[NAMES.get(PairMethod(one), one) for one in roc[RocCurves.METHOD]], frr=1 - roc[RocCurves.TAR]
    )
    for name in (RocCurves.FAR, "frr"):
        frame[f"{name}_deviate"] = deviates(frame[name])
    return frame


def least_rate(summary: dict[str, Any]) -> float:
    """The lowest false accept rate to draw: the power of ten that so many pairs reach."""
    return 10 ** -float(len(str(max(summary[Verified.DIFFERENT], 10))) - 1)


def deviates(rate: pd.Series) -> pd.Series:
    """Of the normal distribution; null outside of what the DET chart shows."""
    normal = NormalDist()
    return pd.Series(
        [normal.inv_cdf(one) if LEAST_RATE <= one <= MOST_RATE else None for one in rate],
        index=rate.index,
        dtype=float,
    )


def figures(summary: dict[str, Any]) -> pd.DataFrame:
    """The methods as rows, the trained one first: figures with intervals, and the AUC less that of raw."""
    rows = []
    for method in reversed(PairMethod):
        one = summary[Verified.METHODS].get(method)
        if one is None:
            continue
        less = summary[Verified.DIFFERENCES].get(method)
        se = one[Verified.ACCURACY_SE]
        rows.append(
            {
                "method": NAMES[method],
                "AUC": text.interval(one[Verified.AUC], one[Verified.AUC + Verified.CI95]),
                "EER": text.interval(one[Verified.EER], one[Verified.EER + Verified.CI95]),
                "accuracy ± SE": f"{one[Verified.ACCURACY]:.3f}" + ("" if se is None else f" ± {se:.3f}"),
                **{f"TAR at FAR {far}": with_interval(value) for far, value in one[Verified.TAR_AT].items()},
                "AUC vs raw": with_interval(less and less[Verified.AUC], text.signed),
                "EER vs raw": with_interval(less and less[Verified.EER], text.signed),
                "p of AUC (Holm)": "–"
                if not less or less[Verified.P_HOLM] is None
                else text.p_value(less[Verified.P_HOLM]),
            }
        )
    return pd.DataFrame(rows)


def with_interval(three: Sequence[float] | None, form: Callable[[float | None], str] = text.score) -> str:
    """A figure that is on record as its value and the two ends of its interval."""
    return text.score(None) if three is None else text.interval(three[0], three[1:], form)


def usual_threshold(summary: dict[str, Any], method: PairMethod) -> float:
    """The middle one of the folds' thresholds."""
    return float(np.median(summary[Verified.METHODS][method][Verified.THRESHOLDS]))


def judged(pairs: pd.DataFrame, method: PairMethod, threshold: float) -> pd.DataFrame:
    """Pairs with their ``score``, how far it is from the threshold (``beyond``) and their ``kind`` there."""
    score = pairs[f"{FacePairs.SCORE_PREFIX}{method}"]
    accepted, same = score >= threshold, pairs[FacePairs.SAME].astype(bool)
    kind = np.select(
        [accepted & same, accepted & ~same, ~accepted & ~same],
        [TRUE_ACCEPTS, FALSE_ACCEPTS, TRUE_REJECTS],
        FALSE_REJECTS,
    )
    return pairs.assign(score=score, kind=kind, beyond=(score - threshold).abs())


def of_kind(at: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Pairs of one kind, the most informative first: the largest errors, the narrowest correct answers."""
    return at[at["kind"] == kind].sort_values(
        "beyond", ascending=kind in (TRUE_ACCEPTS, TRUE_REJECTS), kind="stable"
    )


def rates(at: pd.DataFrame) -> dict[str, float]:
    """``far``, ``frr`` and ``accuracy`` (the mean of TAR and 1 - FAR)."""
    count = at["kind"].value_counts()
    of = {kind: int(count.get(kind, 0)) for kind in KINDS}
    far = of[FALSE_ACCEPTS] / max(of[FALSE_ACCEPTS] + of[TRUE_REJECTS], 1)
    frr = of[FALSE_REJECTS] / max(of[FALSE_REJECTS] + of[TRUE_ACCEPTS], 1)
    return {"far": far, "frr": frr, "accuracy": 1 - (far + frr) / 2}


def promised(
    pairs: pd.DataFrame, method: PairMethod, threshold: float
) -> dict[str, tuple[float, float, float]]:
    """``far`` and ``frr`` of a threshold on the test pairs, with 95 % intervals: people are resampled."""
    people = pd.factorize(pd.concat([pairs[FacePairs.PERSON_A], pairs[FacePairs.PERSON_B]]).astype(str))[0]
    known = VerificationPairs(
        pairs[FacePairs.SAME].to_numpy(bool),
        people.reshape(2, -1).T,
        np.zeros(len(pairs), dtype=np.int64),
    )
    accepted_p = pairs[f"{FacePairs.SCORE_PREFIX}{method}"].to_numpy() >= threshold
    found = PersonBootstrap(known, seed=0).rates(accepted_p)
    far, tar = (tuple(map(float, share_interval(found[name]))) for name in (FAR, TAR))
    return {"far": (far[0], far[1], far[2]), "frr": (1 - tar[0], 1 - tar[2], 1 - tar[1])}


def spread(pairs: pd.DataFrame, method: PairMethod) -> pd.DataFrame:
    """Histogram of the scores of same and of different pairs: `frames.spread`, by ``kind``."""
    score = pairs[f"{FacePairs.SCORE_PREFIX}{method}"]
    low, high = float(score.min()), float(score.max())
    edges = np.linspace(low, high if high > low else low + 1e-6, BINS + 1)
    same = pairs[FacePairs.SAME].astype(bool)
    return trials.spread({SAME: score[same], DIFFERENT: score[~same]}, edges, by="kind")


def hardest(pairs: pd.DataFrame, method: PairMethod, *, same: bool, number: int) -> pd.DataFrame:
    """The pairs of one person that look least alike, or of two that look most alike; of two people, or of one
    person, only the hardest pair, so that one unlucky photo does not fill the row."""
    score = pairs[f"{FacePairs.SCORE_PREFIX}{method}"]
    of_kind = pairs.assign(score=score)[pairs[FacePairs.SAME].astype(bool) == same]
    order = of_kind.sort_values("score", ascending=same, kind="stable")
    ends = order[[FacePairs.PERSON_A, FacePairs.PERSON_B]].astype(str)
    return order[~ends.apply(lambda row: tuple(sorted(row)), axis=1).duplicated()].head(number)


def cmc(known: dict[str, Any]) -> pd.DataFrame:
    """Cumulative match characteristic: share of photos whose person is within rank 1, 2, …"""
    columns = {"trained head": Verified.CMC, "nearest known photo": Verified.RAW_CMC}
    return pd.concat(
        [
            pd.DataFrame({"method": name, "rank": range(1, len(known[key]) + 1), "share": known[key]})
            for name, key in columns.items()
        ],
        ignore_index=True,
    )


def in_order(names: pd.Series) -> list[str]:
    """The distinct names, "s2" before "s10"."""
    return sorted(names.unique(), key=text.natural_key)


def mapped(faces: pd.DataFrame, space: str) -> pd.DataFrame:
    """Photos on the map as `charts.scatter` takes them."""
    x, y = SPACES[space]
    on_it = faces[faces[x].notna()].reset_index(drop=True)
    right = on_it[Faces.PRED].astype(str) == on_it[Faces.PERSON].astype(str)
    return pd.DataFrame(
        {
            "x": on_it[x],
            "y": on_it[y],
            "number": range(len(on_it)),
            "sample_id": on_it[Faces.SAMPLE_ID],
            "label": on_it[Faces.PERSON],
            "pred": on_it[Faces.PRED],
            "confidence": on_it[Faces.CONFIDENCE].astype(float),
            "outcome": np.where(right, "right", "wrong"),
            "split": np.where(on_it[Faces.HELD_OUT], "test", "train"),
            "caption": np.where(on_it[Faces.HELD_OUT], "not in the training set of this map's head", ""),
            "thumbnail": on_it[Faces.THUMBNAIL],
        }
    )
