"""Open set: is a photo of somebody known at all? A threshold on the cosine to the nearest known photo.

Each photo is asked about twice, all other photos being enrolled: once as it is, and once without its person,
as if nobody knew them (leave-one-out; Phillips, Grother and Micheals 2011, "Evaluation methods in face
recognition").
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.stats.paired_bootstrap import share_interval
from trainer.stats.roc import enough_pairs_for_far, hit_rate_by_person
from trainer.stats.vectors import unit_rows
from trainer.tracking.schema import OpenSet

RATES = (0.01, 0.05, 0.1)  # of unknown people who are taken for known ones: the lowest that can be estimated
FOLDS = 5  # of people: the threshold of the others judges each
BLOCK = 1024  # photos whose cosines are held at once


def open_set(vectors_nd: np.ndarray, label_n: np.ndarray, *, seed: int) -> dict[str, Any] | None:
    """Return `OpenSet`: the threshold, and what it does to photos of people who did not choose it.

    None for fewer than `FOLDS` people, nobody with two photos, or too few photos for the highest of `RATES`.

    Args:
        vectors_nd: of the enrolled photos, float32 [N, D].
        label_n: whom they show, int [N].
    """
    rate = next((rate for rate in RATES if enough_pairs_for_far(len(label_n), rate)), None)
    people, person_n = np.unique(label_n, return_inverse=True)
    several_n = np.bincount(person_n)[person_n] >= 2
    if len(people) < FOLDS or rate is None or not several_n.any():
        return None
    own_n, other_n = nearest_known(vectors_nd, label_n)
    fold_n = (np.random.default_rng(seed).permutation(len(people)) % FOLDS)[person_n]
    threshold_n = np.empty(len(label_n))
    for fold in range(FOLDS):
        threshold_n[fold_n == fold] = threshold_for(other_n[fold_n != fold], rate)
    found_n = (own_n > other_n) & (own_n >= threshold_n)
    (alarms,) = hit_rate_by_person((other_n >= threshold_n)[None].astype(np.float64), label_n, seed=seed)
    (found,) = hit_rate_by_person(found_n[several_n][None].astype(np.float64), label_n[several_n], seed=seed)
    return {
        OpenSet.THRESHOLD: threshold_for(other_n, rate),
        OpenSet.RATE: rate,
        OpenSet.FALSE_ALARMS: [float(end) for end in share_interval(alarms)],
        OpenSet.FOUND: [float(end) for end in share_interval(found)],
        OpenSet.PEOPLE: len(people),
        OpenSet.PHOTOS: len(label_n),
    }


def nearest_known(vectors_nd: np.ndarray, label_n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each photo's highest cosine to another photo of its person, and to another person's: [N]."""
    unit_nd = unit_rows(vectors_nd)
    own_n, other_n = np.empty(len(label_n)), np.empty(len(label_n))
    for start in range(0, len(label_n), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(label_n)))
        cosine_mn = (unit_nd[rows] @ unit_nd.T).astype(np.float64)
        same_mn = label_n[rows][:, None] == label_n
        other_n[rows] = np.where(same_mn, -np.inf, cosine_mn).max(1)
        same_mn[np.arange(len(rows)), rows] = False
        own_n[rows] = np.where(same_mn, cosine_mn, -np.inf).max(1)
    return own_n, other_n


def threshold_for(score_n: np.ndarray, rate: float) -> float:
    """Return the lowest threshold that no more than this share of the scores reach."""
    falling = np.sort(score_n)[::-1]
    return float(np.nextafter(falling[min(int(rate * len(falling) + 1e-9), len(falling) - 1)], np.inf))
