"""Which pairs are judged, and who may be learned from: the protocol of Labeled Faces in the Wild.

Huang, Ramesh, Berg, Learned-Miller 2007, "Labeled Faces in the Wild": ten folds of pairs, half of them of one
person, half of two; the folds share no person; figures are of each fold in turn, all else being chosen on the
other nine. A *fold* here is such a fold, and also a split of the people: for each the people of its pairs are
set aside, and of all others some are for validation, the rest is trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.core.errors import InputError

FEWEST_PEOPLE = 6  # two each to train on, to choose on and to test on
VALIDATION = 0.2  # share of the people that are not tested


@dataclass(frozen=True)
class Protocol:
    """P pairs of rows in F folds."""

    row_p2: np.ndarray  # int64 [P, 2], rows of the data
    same_p: np.ndarray  # bool [P]
    fold_p: np.ndarray  # int64 [P], from 0: which fold's accuracy a pair counts in
    split_p: np.ndarray  # int64 [P], from 0: by which training it is scored; the fold, or 0 for all
    disjoint: bool  # no person stands in two folds

    @property
    def splits(self) -> list[int]:
        return [int(split) for split in np.unique(self.split_p)]

    @property
    def folds(self) -> int:
        return len(np.unique(self.fold_p))


@dataclass(frozen=True)
class People:
    """Whom one split trains on and whom it chooses on; people are class numbers."""

    train: np.ndarray
    val: np.ndarray


def draw(label_n: np.ndarray, *, folds: int, per_fold: int, seed: int) -> Protocol:
    """Return folds of people, in each at most ``per_fold`` pairs of one person and as many of two.

    Pairs are spread evenly over the people, and over the pairs of people, of a fold. With fewer than two
    people per fold there are fewer folds.

    Raises:
        InputError: there are fewer than `FEWEST_PEOPLE` people with two photos.
    """
    random = np.random.default_rng(seed)
    photos = np.bincount(label_n)
    several, single = (np.flatnonzero(of) for of in (photos >= 2, photos == 1))
    if len(several) < FEWEST_PEOPLE:
        raise InputError(
            f"{len(several)} people have two photos or more; verification needs at least {FEWEST_PEOPLE}: "
            "some to train on, some to choose on and some to test on. One folder per person, with photos in "
            "it, is what --data expects."
        )
    folds = min(folds, len(several) // 2)
    dealt = [
        np.concatenate(both)
        for both in zip(_deal(several, folds, random), _deal(single, folds, random), strict=True)
    ]
    parts = []
    for fold, people in enumerate(dealt):
        same, different = pairs_among(label_n, people, at_most=per_fold, random=random)
        parts.append((np.concatenate([same, different]), np.repeat([True, False], len(same)), fold))
    rows, sames, _ = zip(*parts, strict=True)
    fold_p = np.repeat(np.arange(folds), [len(one) for one in rows])
    return Protocol(np.concatenate(rows), np.concatenate(sames), fold_p, fold_p, disjoint=True)


def _deal(people: np.ndarray, folds: int, random: np.random.Generator) -> list[np.ndarray]:
    mixed = random.permutation(people)
    return [mixed[fold::folds] for fold in range(folds)]


def pairs_among(
    label_n: np.ndarray, people: np.ndarray, *, at_most: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return as many pairs of one person as of two, int64 [M, 2] each, M no more than ``at_most``."""
    rows = [np.flatnonzero(label_n == person) for person in people]
    count = np.array([len(one) for one in rows])
    one, other = np.triu_indices(len(people), k=1)
    within, between = count * (count - 1) // 2, count[one] * count[other]
    number = int(min(at_most, within.sum(), between.sum()))
    same = [
        _unranked(rows[i], random.choice(within[i], quota, replace=False))
        for i, quota in _some(even_quota(within, number, random))
    ]
    different = []
    for i, quota in _some(even_quota(between, number, random)):
        at = random.choice(between[i], quota, replace=False)
        theirs = count[other[i]]
        different.append(np.stack([rows[one[i]][at // theirs], rows[other[i]][at % theirs]], axis=1))
    nothing = np.empty((0, 2), dtype=np.int64)
    return np.concatenate([nothing, *same]), np.concatenate([nothing, *different])


def _some(quota_i: np.ndarray) -> list[tuple[int, int]]:
    return [(int(i), int(quota_i[i])) for i in np.flatnonzero(quota_i)]


def _unranked(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the at-th pairs of rows, in the order of ``triu_indices``."""
    one, other = np.triu_indices(len(rows), k=1)
    return np.stack([rows[one[at]], rows[other[at]]], axis=1)


def even_quota(available_i: np.ndarray, total: int, random: np.random.Generator) -> np.ndarray:
    """Return how many to take of each of several kinds: ``total`` in all, as evenly as what there is
    allows."""
    quota_i = np.zeros(len(available_i), dtype=np.int64)
    while (missing := total - int(quota_i.sum())) > 0:
        open_i = random.permutation(np.flatnonzero(available_i > quota_i))
        if not len(open_i):
            break
        each = missing // len(open_i)
        if each == 0:
            quota_i[open_i[:missing]] += 1
        else:
            quota_i[open_i] += np.minimum(each, (available_i - quota_i)[open_i])
    return quota_i


def people_of(protocol: Protocol, label_n: np.ndarray, split: int, *, seed: int) -> People | None:
    """Return who is trained on and chosen on for one split: nobody of its pairs, and only people with two
    photos.

    None where fewer than four such people are left: nothing can be learned then.
    """
    tested = np.unique(label_n[protocol.row_p2[protocol.split_p == split]])
    several = np.flatnonzero(np.bincount(label_n) >= 2)
    left = np.random.default_rng([seed, split]).permutation(np.setdiff1d(several, tested))
    if len(left) < FEWEST_PEOPLE - 2:
        return None
    val = max(2, round(VALIDATION * len(left)))
    return People(train=np.sort(left[val:]), val=np.sort(left[:val]))


def distinct(content: Sequence[str]) -> np.ndarray:
    """Return rows int64 [M] that show an image which no row before them shows."""
    first: dict[str, int] = {}
    for row, one in enumerate(content):
        first.setdefault(one, row)
    return np.array(list(first.values()), dtype=np.int64)
