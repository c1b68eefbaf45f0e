"""What looks wrong in the rows of a data set, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from trainer.core import text
from trainer.core.config import DataConfig
from trainer.core.errors import InputError
from trainer.data.duplicates import (
    check_leaks,
    describe_label_conflicts,
    duplicate_rows,
    label_conflicts,
    unit_numbers,
)
from trainer.data.groups import check_group_leaks
from trainer.data.manifest import Manifest, check_trainable
from trainer.data.unlabelled import labelled
from trainer.data.vector_range import check_vectors
from trainer.stats.intervals import wilson

FEW_OF_A_CLASS = 5  # test rows: below, a class's recall says next to nothing
UNEVEN = 20  # times as many rows of the largest class as of the smallest
ASSUMED = 0.8  # accuracy for which the precision of the test rows is told


Severity = Literal["error", "warning"]


class Finding(NamedTuple):
    """A thing that looks wrong."""

    severity: Severity  # error: a sweep refuses
    text: str  # what it is, and what to do


def of_rows(manifest: Manifest, config: DataConfig) -> Iterator[Finding]:
    """Yield what looks wrong in the rows, errors first.

    Args:
        config: the flags that allow or drop some of it.
    """
    with_label, others = labelled(manifest)
    if others:
        yield Finding("warning", others)
    checks: list[Callable[[Manifest], None]] = [lambda _: check_trainable(with_label)]
    if not (config.allow_leaks or config.drop_shared_groups):
        checks.append(check_group_leaks)
    if not (config.allow_leaks or config.drop_duplicates):
        checks.append(check_leaks)
    for check in checks:
        try:
            check(manifest)
        except InputError as error:
            yield Finding("error", str(error))
    conflicts = label_conflicts(manifest)
    if conflicts and config.label_conflicts != "drop":
        found = describe_label_conflicts(manifest, conflicts)
        severity: Severity = "error" if config.label_conflicts == "refuse" else "warning"
        yield Finding(severity, f"{found} Pass --label-conflicts drop to leave them out.")
    copies = sum(len(rows) - 1 for rows in duplicate_rows(manifest.content))
    if copies and not config.drop_duplicates:
        what = "image" if manifest.images is not None else "vector"
        yield Finding(
            "warning",
            f"{text.count(copies, 'duplicate')}: rows with the {what} of another row. Pass --drop-duplicates "
            "to keep one of each.",
        )
    if manifest.target == "class":
        yield from _of_classes(manifest)
    if manifest.features_nd is not None and len(manifest.rows("train")):
        yield from _of_vectors(manifest, manifest.features_nd)


def _of_classes(manifest: Manifest) -> Iterator[Finding]:
    labelled_n = manifest.label_n[manifest.label_n >= 0]
    if len(manifest.classes) < 2 or not len(labelled_n):
        return
    count_c = np.bincount(labelled_n, minlength=len(manifest.classes))
    if count_c.min() and count_c.max() > UNEVEN * count_c.min():
        most, least = manifest.classes[int(count_c.argmax())], manifest.classes[int(count_c.argmin())]
        yield Finding(
            "warning",
            f"The classes are uneven: {most} has {count_c.max():,} rows, {least} {count_c.min():,}. Read "
            "macro-F1 rather than accuracy; the search also tries class weights.",
        )
    tested = manifest.label_n[manifest.rows("test")]
    tested_c = np.bincount(tested[tested >= 0], minlength=len(manifest.classes))
    few = [manifest.classes[i] for i in np.flatnonzero(tested_c < FEW_OF_A_CLASS)]
    if few and len(tested):
        named = ", ".join(few[:5]) + (" …" if len(few) > 5 else "")
        yield Finding(
            "warning",
            f"{len(few)} of {len(manifest.classes)} classes have fewer than {FEW_OF_A_CLASS} test rows "
            f"({named}): their figures will be uncertain. Add test rows.",
        )


def _of_vectors(manifest: Manifest, features_nd: np.ndarray) -> Iterator[Finding]:
    try:
        notice = check_vectors(manifest, features_nd)
    except InputError as error:
        yield Finding("error", str(error))
        return
    if notice:
        yield Finding("warning", notice)


def precision_of_test(manifest: Manifest) -> str:
    """Say how well the test rows can tell an accuracy, of classes; groups and copies count once."""
    rows = manifest.rows("test")
    if not len(rows):
        return "Test rows: none."
    units = len(np.unique(unit_numbers(manifest)[rows]))
    if manifest.target != "class":
        what = "predicted numbers" if manifest.target == "number" else "labels"
        return f"Test rows: {len(rows):,}, to judge {what}."
    _, low, high = wilson(round(ASSUMED * units), units)
    apart = "" if units == len(rows) else f" in {units:,} groups"
    return (
        f"Test rows: {len(rows):,}{apart}. An accuracy of {ASSUMED:.2f} would be known to "
        f"[{low:.3f}, {high:.3f}] (95 %)."
    )
