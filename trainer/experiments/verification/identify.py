"""Closed-set identification: each photo is classified once, by a head that did not learn from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from trainer.data.split import stratified_folds
from trainer.experiments.hardware import Plan
from trainer.heads.head_config import HeadSpec
from trainer.heads.population import Population
from trainer.heads.training_data import to_training_data
from trainer.stats.roc import true_class_ranks
from trainer.stats.vectors import unit_rows

PARTS = 5  # of each person's photos: three to learn from, one to choose on, one to ask about
FEWEST_PHOTOS = 3  # of a person, to be among the known

HEADS = [
    *(HeadSpec(solver="lbfgs", l2=l2, epochs=200) for l2 in (1e-3, 1e-2, 1e-1, 1.0)),
    HeadSpec(lr=3e-3, epochs=60),
    HeadSpec(output="cosine", lr=3e-3, epochs=80),
    HeadSpec(hidden=(256,), dropout=0.2, epochs=80),
]


class Identified(NamedTuple):
    """Answers about M photos, by the head and by the nearest known photo (raw cosine)."""

    row_m: np.ndarray  # rows of the data
    label_m: np.ndarray  # who it is, class numbers of the data
    rank_m: np.ndarray  # the place of the right person, from 1
    raw_rank_m: np.ndarray
    pred_m: np.ndarray  # the head's answer, class numbers of the data
    confidence_m: np.ndarray
    part_m: np.ndarray  # which training left the photo out
    embedded_nw: np.ndarray  # [N, C]: what the head of part 0 makes of all rows of the known people
    embedded_row_n: np.ndarray  # which rows these are
    people: int


def identify(
    x_nd: np.ndarray,
    label_n: np.ndarray,
    group: Sequence[str],
    plan: Plan,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Identified | None:
    """Return cross-fitted identification of all people with `FEWEST_PHOTOS` photos; None with fewer than
    two of them.

    In each of `PARTS` turns one part of each person's photos is asked about and another chooses among `HEADS`
    by macro-F1; the others are learned from. Photos of one group stay in one part.
    """
    known = np.flatnonzero(np.bincount(label_n, minlength=int(label_n.max()) + 1) >= FEWEST_PHOTOS)
    if len(known) < 2:
        return None
    rows = np.flatnonzero(np.isin(label_n, known))
    x, y = x_nd[rows], np.searchsorted(known, label_n[rows])
    part_n = stratified_folds(y, [group[int(row)] for row in rows], count=PARTS, seed=seed)
    parts = int(part_n.max()) + 1
    score_nc = np.zeros((len(rows), len(known)))
    raw_nc = np.full((len(rows), len(known)), -np.inf)
    embedded = np.empty((0, 0))
    unit = unit_rows(x)
    for part in range(parts):
        probe = part_n == part
        val = part_n == (part + 1) % parts if parts > 2 else ~probe
        train = ~probe & ~val if parts > 2 else ~probe
        data = to_training_data(
            (x[train], y[train]), (x[val], y[val]), classes=len(known), device=plan.device
        )
        population = Population(HEADS, data, seeds=[seed], precision=plan.precision)
        population.train(max(spec.epochs for spec in HEADS))
        best = max(range(len(HEADS)), key=lambda k: (population.outcome(k).score, -k))
        head = population.head(best, seed_index=0)
        score_nc[probe] = head.probabilities(torch.as_tensor(x[probe]).to(plan.device)).cpu().numpy()
        raw_nc[probe] = nearest(unit[probe], unit[~probe], y[~probe], classes=len(known))
        if part == 0:
            embedded = head.embedding(torch.as_tensor(x).to(plan.device)).cpu().numpy()
        if progress is not None:
            progress(part + 1, parts)
    return Identified(
        rows,
        known[y],
        true_class_ranks(score_nc, y),
        true_class_ranks(raw_nc, y),
        known[score_nc.argmax(1)],
        score_nc.max(1).astype(np.float32),
        part_n,
        embedded,
        rows,
        len(known),
    )


def nearest(probe_nd: np.ndarray, gallery_md: np.ndarray, y_m: np.ndarray, *, classes: int) -> np.ndarray:
    """Return each probe's highest cosine to a photo of each person [N, C]; -inf without photos."""
    found_nc = np.full((len(probe_nd), classes), -np.inf)
    cosine_nm = probe_nd @ gallery_md.T
    for person in np.unique(y_m):
        found_nc[:, person] = cosine_nm[:, y_m == person].max(1)
    return found_nc
