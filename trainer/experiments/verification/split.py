"""One split: candidates learn from training people, validation people choose, test people are scored once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from trainer.experiments.verification.embedding import (
    Candidate,
    Embedding,
    PersonRows,
    area_under_roc,
    cosines,
    learn,
)
from trainer.experiments.verification.protocol import People, Protocol, pairs_among
from trainer.heads.population import Precision
from trainer.tracking.schema import PairMethod

VALIDATION_PAIRS = 1000  # of each kind, at most


class SplitScores(NamedTuple):
    """What a split says of its pairs."""

    score_p: dict[PairMethod, np.ndarray]  # cosines of the split's pairs
    val_auc_c: list[float]  # of every candidate, the mean over seeds
    chosen: dict[PairMethod, int]  # candidate


class Learning(NamedTuple):
    """What learns, and how."""

    candidates: Sequence[Candidate]
    seeds: Sequence[int]  # of candidates that begin at random; the chosen ones use the first
    device: str
    precision: Precision = "float32"

    def learn(self, candidates: Sequence[Candidate], rows: PersonRows, *, seed: int) -> list[Embedding]:
        """Return an embedding of each candidate."""
        return learn(candidates, rows, seed=seed, device=self.device, precision=self.precision)


def score(
    how: Learning,
    rows: PersonRows,
    protocol: Protocol,
    people: People,
    *,
    split: int,
    progress: Callable[[int], None] | None = None,
) -> SplitScores:
    """Choose a candidate of each method on the validation people, let it learn again from these as well, and
    score the split's pairs.

    Args:
        rows: raw features of all photos; those of the split's test people are looked at last.
        progress: told after each seed.
    """
    tried, (x_nd, label_n) = how.candidates, rows
    random = np.random.default_rng([how.seeds[0], split])
    same, different = pairs_among(label_n, people.val, at_most=VALIDATION_PAIRS, random=random)
    val_p2, val_same_p = np.concatenate([same, different]), np.repeat([True, False], len(same))
    known = rows_of(x_nd, label_n, people.train)
    auc_sc: list[list[float]] = []
    for seed in how.seeds:
        again = [one for one in tried if one.random or not auc_sc]
        learned = how.learn(again, known, seed=seed)
        found = iter([area_under_roc(one, x_nd, val_p2, val_same_p) for one in learned])
        auc_sc.append([next(found) if one in again else auc_sc[0][c] for c, one in enumerate(tried)])
        if progress is not None:
            progress(1)
    auc_c = np.mean(auc_sc, axis=0)
    chosen = {
        method: max((c for c, one in enumerate(tried) if one.method is method), key=lambda c: (auc_c[c], -c))
        for method in dict.fromkeys(one.method for one in tried)
    }
    known = rows_of(x_nd, label_n, np.concatenate([people.train, people.val]))
    final = how.learn([tried[c] for c in chosen.values()], known, seed=how.seeds[0])
    row_p2 = protocol.row_p2[protocol.split_p == split]
    used, place = np.unique(row_p2, return_inverse=True)
    place_p2 = place.reshape(-1, 2)
    scores = {
        method: cosines(embedding(x_nd[used]), place_p2)
        for method, embedding in zip(chosen, final, strict=True)
    }
    if progress is not None:
        progress(1)
    return SplitScores(scores, [float(one) for one in auc_c], chosen)


def score_raw(x_nd: np.ndarray, protocol: Protocol, *, split: int) -> SplitScores:
    """Return the split's pairs by the cosine of the features alone, where nobody is left to learn from."""
    row_p2 = protocol.row_p2[protocol.split_p == split]
    return SplitScores({PairMethod.RAW: cosines(x_nd, row_p2)}, [float("nan")], {PairMethod.RAW: 0})


def rows_of(x_nd: np.ndarray, label_n: np.ndarray, people: np.ndarray) -> PersonRows:
    """Return all photos of these people, who are renumbered."""
    rows = np.flatnonzero(np.isin(label_n, people))
    return PersonRows(x_nd[rows], np.unique(label_n[rows], return_inverse=True)[1])
