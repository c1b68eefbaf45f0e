"""Draw stratified splits that keep groups together."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from trainer.core.errors import InputError
from trainer.core.text import count
from trainer.data.duplicates import indivisible_units
from trainer.data.manifest import SPLITS, Columns, Manifest, Quarantined, build_manifest, rows_by_value

FRACTIONS = (0.70, 0.15, 0.15)  # train, val, test, if the data has no splits
# Spellings in public datasets, in lower case.
SPELLINGS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
# Words that say nothing of what a folder holds: "training_set" is "training".
FILLERS = ("set", "sets", "data", "dataset", "images", "image", "imgs", "img", "folder", "split")
VAL_FROM_TRAIN = (0.85, 0.15, 0.0)  # if the data has train and test


def manifest_with_splits(
    name: str, columns: Columns, *, quarantined: Sequence[Quarantined], seed: int
) -> Manifest:
    """Draw missing splits (:func:`complete_splits`) and build the manifest.

    Duplicates of an image, and the rows of a group, stay in one split.
    """
    group = columns.group or [""] * len(columns.sample_id)
    split_n, drawn = complete_splits(
        np.array(columns.split, dtype="U5"),
        numbered(columns.label),
        indivisible_units(columns.content, group),
        seed=seed,
        name=name,
    )
    return build_manifest(name, replace(columns, split=split_n), quarantined=quarantined, drawn_splits=drawn)


def drawn_again(manifest: Manifest, label_n: np.ndarray, group: Sequence[str], *, seed: int) -> Manifest:
    """Return the manifest with these groups, its drawn splits drawn anew, and their digest.

    Args:
        label_n: int [N], what the splits are to be alike in.
    """
    label = [manifest.classes[i] if i >= 0 else "" for i in manifest.label_n]
    split_n = manifest.split_n.copy()
    if manifest.drawn_splits:
        split_n[np.isin(split_n, manifest.drawn_splits)] = "" if manifest.drawn_splits == SPLITS else "train"
        unit = indivisible_units(manifest.content, group)
        split_n, _ = complete_splits(split_n, label_n, unit, seed=seed, name=manifest.name)
    drawn = build_manifest(
        manifest.name,
        Columns(
            sample_id=manifest.sample_id,
            label=label,
            split=split_n,
            content=manifest.content,
            caption=manifest.caption,
            group=group,
            images=manifest.images,
            features_nd=manifest.features_nd,
            corrupted=manifest.corrupted,
            notes=manifest.notes,
            unused=manifest.unused,
        ),
        quarantined=manifest.quarantined,
        drawn_splits=manifest.drawn_splits,
    )
    return replace(drawn, passed_over=manifest.passed_over, joined=manifest.joined)


def numbered(label: Sequence[str]) -> np.ndarray:
    """Return the number of each label in their order: int64 [N].

    An array of the labels themselves would have room for the longest of them in every row.
    """
    number = {one: at for at, one in enumerate(sorted(set(label)))}
    return np.array([number[one] for one in label], dtype=np.int64)


def complete_splits(
    split_n: np.ndarray, label_n: np.ndarray, group: Sequence[str], *, seed: int, name: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Draw the splits that the data does not have.

    Without any split ("" in every row), 70/15/15 are drawn. With train and test, a stratified 15 % of train
    becomes val. With all three, nothing changes.

    Returns:
        split_n, unicode [N]; and the splits that were drawn.

    Raises:
        InputError: any other combination.
    """
    present = set(np.unique(split_n))
    if present == {""} or not present:
        return grouped_stratified_split(label_n, group, seed=seed), SPLITS
    if present == set(SPLITS):
        return split_n, ()
    if present == {"train", "test"}:
        train = np.flatnonzero(split_n == "train")
        split_n = split_n.copy()
        split_n[train] = grouped_stratified_split(
            label_n[train], [group[int(i)] for i in train], seed=seed, fractions=VAL_FROM_TRAIN
        )
        return split_n, ("val",)
    if "" in present:
        without = np.flatnonzero(split_n == "")
        raise InputError(
            f"{name} has {count(len(without), 'row')} without a split, such as row {without[0] + 1}, and "
            "others with one. Give every row train, val or test, or leave the splits out (70/15/15 are "
            "drawn)."
        )
    absent = [split for split in SPLITS if split not in present]
    given = " and ".join(split for split in SPLITS if split in present)
    raise InputError(
        f"{name} has {given} but no {' and no '.join(absent)}. Give train and test (val is drawn from "
        "train), all three, or no splits (70/15/15 are drawn): for a folder, pass the train folder itself."
    )


def canonical_split(name: str) -> str | None:
    """Return train, val or test for a spelling of it, else None."""
    return SPELLINGS.get(name.strip().lower())


class SplitName(NamedTuple):
    """The split that a name speaks of."""

    split: str
    rest: tuple[str, ...]  # the other words of the name: ("seg",) of seg_train


def split_in_name(name: str) -> SplitName | None:
    """Return the split that a name speaks of, None for none: seg_train, training_set, TestData, val2017."""
    words = words_of_name(name)
    splits = {SPELLINGS[word] for word in words if word in SPELLINGS}
    if len(splits) != 1:
        return None
    rest = tuple(word for word in words if word not in SPELLINGS and word not in FILLERS)
    return SplitName(splits.pop(), rest)


def words_of_name(name: str) -> list[str]:
    """Return the words of a file's or folder's name in lower case, without digits."""
    words = " ".join(re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))).lower()
    glued = rf"\b({'|'.join(SPELLINGS)})({'|'.join(FILLERS)})\b"  # trainset, testdata
    return re.sub(glued, r"\1 \2", words).split()


def parse_split(given: str, *, where: str) -> str:
    """Return the canonical split of a row, "" for none.

    Raises:
        InputError: the split is unknown; the message names ``where``.
    """
    split = canonical_split(given) if given else ""
    if split is None:
        raise InputError(f"{where} is in the split {given!r}. Use train, val and test.")
    return split


def grouped_stratified_split(
    label_n: np.ndarray,
    group: Sequence[str],
    *,
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
) -> np.ndarray:
    """Draw train, val and test, stratified by class, without dividing groups.

    Groups are assigned first, the largest first, each to the split that needs most of its rows (as in
    iterative stratification, Sechidis et al. 2011). Rows without a group then fill the splits exactly. A
    class with at least as many groups (a row without a group counts as one) as splits is in every split;
    with several classes per group this is not guaranteed.

    Args:
        label_n: [N], numbers or names.
        group: N names; rows of one group stay together, "" is a group of one row.
        fractions: shares of train, val, test; a share of 0 leaves that split empty.

    Returns:
        unicode [N] of "train", "val", "test"; deterministic.
    """
    rng = np.random.default_rng(seed)
    _, label_n = np.unique(label_n, return_inverse=True)
    total_c = np.bincount(label_n)
    need_cs = total_c[:, None] * np.asarray(fractions)[None, :]  # rows still needed
    missing_cs = np.tile(np.asarray(fractions) > 0, (len(total_c), 1))  # splits without a row of the class
    split_n = np.full(len(label_n), -1, dtype=np.int64)

    named, single = _rows_by_group(group)
    units_c = np.bincount(label_n[single], minlength=len(total_c))
    for rows in named:
        units_c[np.unique(label_n[rows])] += 1
    order = rng.permutation(len(named))
    for rows in sorted((named[i] for i in order), key=len, reverse=True):
        count_c = np.bincount(label_n[rows], minlength=len(total_c))
        split = _place(count_c, need_cs, missing_cs, units_c)
        split_n[rows] = split
        need_cs[:, split] -= count_c
        missing_cs[count_c > 0, split] = False
        units_c[count_c > 0] -= 1
    for class_index in range(len(total_c)):
        rows = rng.permutation(single[label_n[single] == class_index])
        split_n[rows] = _fill(len(rows), need_cs[class_index], missing_cs[class_index])
    return np.array(SPLITS)[split_n]


def stratified_folds(label_n: np.ndarray, group: Sequence[str], *, count: int, seed: int) -> np.ndarray:
    """Return stratified folds that keep groups together: int64 [N], from 0.

    ``group`` as in :func:`grouped_stratified_split`. Folds differ in size if groups are large. There are
    ``count`` folds, at most as many as the largest class has rows, and at least two.

    Raises:
        ValueError: no class has two rows.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    unit_n = np.arange(len(label_n))
    for rows in _rows_by_group(group)[0]:
        unit_n[rows] = rows[0]
    count = max(2, min(count, int(np.unique(label_n, return_counts=True)[1].max())))
    fold_n = np.zeros(len(label_n), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about classes with fewer rows than folds
        cutter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        for number, (_, part) in enumerate(cutter.split(label_n, label_n, unit_n)):
            fold_n[part] = number
    return fold_n


def _rows_by_group(group: Sequence[str]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the rows of each group, in order of first appearance, and the rows without a group."""
    by_name = rows_by_value(group)
    single = np.array(by_name.pop("", []), dtype=np.int64)
    return [np.array(rows) for rows in by_name.values()], single


def _place(count_c: np.ndarray, need_cs: np.ndarray, missing_cs: np.ndarray, units_c: np.ndarray) -> int:
    """Return the split for a group. A class with few groups left must go to a split that lacks it."""
    allowed_s = missing_cs.any(axis=0) | (need_cs.max(axis=0) > 0)
    present = np.flatnonzero(count_c)
    for class_index in present[np.argsort(units_c[present], kind="stable")]:
        missing_s = missing_cs[class_index]
        if units_c[class_index] <= missing_s.sum() and (allowed_s & missing_s).any():
            allowed_s = allowed_s & missing_s
    wanted_s = (count_c[:, None] * need_cs).sum(axis=0)
    return int(np.argmax(np.where(allowed_s, wanted_s, -np.inf)))


def _fill(n: int, need_s: np.ndarray, missing_s: np.ndarray) -> np.ndarray:
    """Return split indices for ``n`` rows of a class: one for each split that lacks it, the rest by need."""
    first = np.flatnonzero(missing_s)[:n]
    need_s = need_s.copy()
    need_s[first] -= 1
    need_s = np.maximum(need_s, 0)
    rest = n - len(first)
    if rest == 0:
        return first
    share_s = rest * need_s / need_s.sum() if need_s.sum() > 0 else rest * np.eye(3)[0]
    whole_s = np.floor(share_s).astype(np.int64)
    remainder = np.argsort(whole_s - share_s, kind="stable")[: rest - whole_s.sum()]
    whole_s[remainder] += 1
    return np.concatenate([first, np.repeat(np.arange(3), whole_s)])
