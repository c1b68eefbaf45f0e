"""What a verification found, as figures and in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from trainer.core import text
from trainer.experiments.verification.identify import Identified
from trainer.stats import roc as analysis
from trainer.stats.paired_bootstrap import Resampled, holm, share_interval
from trainer.stats.power import detectable_effect
from trainer.stats.roc import ACCURACY, AUC, EER, FEWEST_ERRORS, TAR, PersonBootstrap, VerificationPairs
from trainer.tracking.schema import Candidates, PairMethod, Verified

FARS = (0.01, 0.001)
CMC_RANKS = 10
TOLD = {
    PairMethod.RAW: "raw cosine",
    PairMethod.WHITENED: "PCA whitening",
    PairMethod.LDA: "LDA",
    PairMethod.TRAINED: "trained head",
}


def figures(
    scores: Mapping[PairMethod, np.ndarray], pairs: VerificationPairs, bootstrap: PersonBootstrap
) -> dict[str, Any]:
    """Return `Verified.METHODS`, `DIFFERENCES` and `VERDICT`, and the figures of the method at the top."""
    different = int((~pairs.same_p).sum())
    fars = [far for far in FARS if analysis.enough_pairs_for_far(different, far)]
    measured: dict[PairMethod, dict[str, Resampled]] = {}
    methods: dict[str, Any] = {}
    for method, score_p in scores.items():
        folded = analysis.cross_validated_accuracy(score_p, pairs)
        found = measured[method] = bootstrap.measure(score_p, folded, fars=fars)
        methods[str(method)] = {
            **_with_interval(Verified.AUC, found[AUC]),
            **_with_interval(Verified.EER, found[EER]),
            **_with_interval(Verified.ACCURACY, found[ACCURACY]),
            Verified.ACCURACY: folded.mean,
            Verified.ACCURACY_SE: _plain(folded.standard_error),
            Verified.TAR_AT: {f"{far:g}": _share_bounds(found.get(f"{TAR}{far:g}")) for far in FARS},
            Verified.FOLD_ACCURACY: folded.accuracy_f.tolist(),
            Verified.THRESHOLDS: folded.threshold_f.tolist(),
        }
    differences = _differences(measured)
    top = methods[str(PairMethod.TRAINED if PairMethod.TRAINED in scores else PairMethod.RAW)]
    alone = (Verified.FOLD_ACCURACY, Verified.THRESHOLDS)
    return {
        **{name: value for name, value in top.items() if name not in alone},
        Verified.VERDICT: _verdict(differences.get(str(PairMethod.TRAINED))),
        Verified.DIFFERENCES: differences,
        Verified.METHODS: methods,
    }


def _differences(measured: Mapping[PairMethod, Mapping[str, Resampled]]) -> dict[str, Any]:
    """Return every method less the raw cosine, in pairs."""
    others = [method for method in measured if method is not PairMethod.RAW]
    less = {
        method: {name: one.minus(measured[PairMethod.RAW][name]) for name, one in measured[method].items()}
        for method in others
    }
    p_m = holm(np.array([analysis.p_value(less[method][AUC]) for method in others]))
    return {
        str(method): {name: _bounds(one) for name, one in less[method].items()}
        | {Verified.P_HOLM: _plain(float(p))}
        for method, p in zip(others, p_m, strict=True)
    }


def _verdict(difference: Mapping[str, Any] | None) -> str | None:
    """Of the AUC, by which candidates were chosen, too: interval and corrected p must agree."""
    if difference is None:
        return None
    _, low, high = difference[AUC]
    sure = difference[Verified.P_HOLM] is not None and difference[Verified.P_HOLM] < 0.05
    return "better" if low > 0 and sure else "worse" if high < 0 and sure else "unclear"


def identification(found: Identified | None, *, seed: int) -> dict[str, Any] | None:
    """Return `Verified.IDENTIFICATION`: people are resampled."""
    if found is None:
        return None
    hits = np.stack([found.rank_m == 1, found.raw_rank_m == 1]).astype(np.float64)
    head, raw = analysis.hit_rate_by_person(hits, found.label_m, seed=seed)
    places = range(1, min(CMC_RANKS, found.people) + 1)
    return {
        Verified.PEOPLE: found.people,
        Verified.PROBES: len(found.row_m),
        **_with_interval(Verified.RANK1, head),
        **_with_interval(Verified.RAW_RANK1, raw),
        Verified.RANK1_DIFFERENCE: _bounds(head.minus(raw)),
        Verified.CMC: [float((found.rank_m <= k).mean()) for k in places],
        Verified.RAW_CMC: [float((found.raw_rank_m <= k).mean()) for k in places],
    }


def chosen(candidates: pd.DataFrame) -> dict[str, int]:
    """Return which candidates of the trained method were taken, by how many splits."""
    if candidates.empty:
        return {}
    taken = candidates[candidates[Candidates.CHOSEN] & (candidates[Candidates.METHOD] == PairMethod.TRAINED)]
    return {str(name): int(count) for name, count in taken[Candidates.NAME].value_counts().items()}


# --- in words ---------------------------------------------------------------------------------


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Return the methods, a line each."""
    yield f"{'':<26}{'AUC':<24}{'EER':<24}{'accuracy ± SE':<20}TAR at FAR 0.01"
    for method, one in found[Verified.METHODS].items():
        se = one[Verified.ACCURACY_SE]
        at = one[Verified.TAR_AT]["0.01"]
        yield (
            f"{TOLD[PairMethod(method)]:<26}"
            f"{_of(one, Verified.AUC):<24}{_of(one, Verified.EER):<24}"
            f"{one[Verified.ACCURACY]:.3f}{'' if se is None else f' ± {se:.3f}':<15}"
            f"{'too few pairs' if at is None else text.interval(at[0], at[1:])}"
        )


def advice(found: Mapping[str, Any]) -> str:
    """Return the conclusion, a line each, the verdict first."""
    same, different, folds = (found[name] for name in (Verified.SAME, Verified.DIFFERENT, Verified.FOLDS))
    raw = found[Verified.METHODS][PairMethod.RAW]
    if found[Verified.VERDICT] is None:
        lines = [
            f"Only the raw cosine was tested: EER {_of(raw, Verified.EER)}.",
            "Too few people are left outside the pairs to train an embedding on.",
        ]
    else:
        lines = list(_of_trained(found))
    lines.append(
        f"{same:,} same-person and {different:,} different-person pairs of {found[Verified.PEOPLE]:,} "
        f"people, {folds} folds."
    )
    if not found[Verified.DISJOINT]:
        lines.append("The folds share people, so accuracies of folds are not independent.")
    lines.append("Intervals are over test people, with embeddings and thresholds fixed.")
    for far, value in raw[Verified.TAR_AT].items():
        if value is None:
            need = math.ceil(FEWEST_ERRORS / float(far))
            lines.append(f"TAR at FAR {far} needs {need:,} different pairs ({different:,} here).")
    return "\n".join(lines)


def _of_trained(found: Mapping[str, Any]) -> Iterator[str]:
    difference = found[Verified.DIFFERENCES][PairMethod.TRAINED]
    by, low, high = difference[AUC]
    raw, trained = (found[Verified.METHODS][method] for method in (PairMethod.RAW, PairMethod.TRAINED))
    count = len(found[Verified.DIFFERENCES])
    told = f"AUC {text.interval(by, (low, high), text.change)}"
    if difference[Verified.P_HOLM] is not None:
        told += f", {text.p_equals(difference[Verified.P_HOLM], count)}"
    verdict = found[Verified.VERDICT]
    if verdict == "better":
        yield f"Use the trained head: {told} over raw cosine, on unseen people."
    elif verdict == "worse":
        yield f"Use the raw cosine: the trained head is worse, {told}."
    else:
        yield f"Use the raw cosine: the trained head is not significantly better, {told}."
        missed = text.could_show(detectable_effect(low, high, comparisons=count), count)
        if missed:
            yield missed
    yield (
        f"Trained head and raw cosine: EER {_of(trained, Verified.EER)} and {_of(raw, Verified.EER)}, "
        f"accuracy {_of(trained, Verified.ACCURACY)} and {_of(raw, Verified.ACCURACY)}."
    )
    for method in (PairMethod.LDA, PairMethod.WHITENED):
        if method in found[Verified.DIFFERENCES]:
            by, low, high = found[Verified.DIFFERENCES][method][AUC]
            yield f"{TOLD[method]} vs raw cosine: AUC {text.interval(by, (low, high), text.change)}."


def of_identification(one: Mapping[str, Any] | None) -> str:
    """Return how well known people are identified, in one line."""
    if one is None:
        return "Identification of known people was skipped: it needs two people with three photos each."
    by, low, high = one[Verified.RANK1_DIFFERENCE]
    shown = low > 0 or high < 0
    noise = "" if shown else f", not significant{text.detectable(detectable_effect(low, high))}"
    return (
        f"Known people ({one[Verified.PROBES]:,} photos of {one[Verified.PEOPLE]:,}): rank-1 accuracy "
        f"{_of(one, Verified.RANK1)} of a head, {_of(one, Verified.RAW_RANK1)} of the nearest known photo; "
        f"difference {text.interval(by, (low, high), text.change)}{noise}."
    )


def _of(figures: Mapping[str, Any], name: str) -> str:
    return text.interval(figures[name], figures[name + Verified.CI95])


def _with_interval(name: str, one: Resampled) -> dict[str, Any]:
    value, low, high = (float(bound) for bound in share_interval(one))
    return {name: value, name + Verified.CI95: [low, high]}


def _share_bounds(one: Resampled | None) -> list[float] | None:
    return None if one is None else [float(bound) for bound in share_interval(one)]


def _bounds(one: Resampled | None) -> list[float] | None:
    return None if one is None else [float(bound) for bound in one.interval()]


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
