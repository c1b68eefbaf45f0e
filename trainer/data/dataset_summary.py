"""Say in a line how a data set was understood, and what of it was passed over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.core.text import NONE, files_by_extension
from trainer.data import formats
from trainer.data.manifest import SPLITS, Manifest

CLASSES_SHOWN = 8  # of more, the largest and the smallest are named
AT_EITHER_END = 3


def summarise(manifest: Manifest) -> str:
    """Return one line with classes, splits, captions and groups.

    ``Classes (3): cat 400, dog 380, bird 12 · train/val/test 560/120/112 (drawn) · captions 792 · groups –``
    """
    rows = "/".join(f"{len(manifest.rows(split)):,}" for split in SPLITS)
    drawn = {0: "", len(SPLITS): " (drawn)"}.get(
        len(manifest.drawn_splits), f" ({', '.join(manifest.drawn_splits)} drawn)"
    )
    captions = sum(map(bool, manifest.caption))
    groups = len(set(manifest.group) - {""})
    return " · ".join(
        [
            _target(manifest),
            f"{'/'.join(SPLITS)} {rows}{drawn}",
            f"captions {_count(captions)}",
            f"groups {_count(groups)}",
        ]
    )


def _count(n: int) -> str:
    return f"{n:,}" if n else NONE


def notices(manifest: Manifest) -> list[str]:
    """Return what should be known of how the data was read, a sentence or two each."""
    passed_over = passed_over_files(manifest)
    return [*manifest.notes, *([passed_over] if passed_over else [])]


def passed_over_files(manifest: Manifest) -> str:
    """Say how many files of which extension are no rows, and how to have them read; "" for none.

    ``Passed over: 30 .heic, 3 .dcm. HEIC is read once pi-heif is installed …``
    """
    if not manifest.passed_over:
        return ""
    cures = formats.cures(manifest.passed_over)
    return f"Passed over: {files_by_extension(manifest.passed_over)}.{f' {cures}' if cures else ''}"


def _target(manifest: Manifest) -> str:
    if manifest.label_nc is not None:
        return _labels(manifest.labels, manifest.label_nc)
    return _classes(manifest) if manifest.target_n is None else _numbers(manifest.target_n)


def _labels(labels: Sequence[str], label_nc: np.ndarray) -> str:
    """Name the labels with their rows, the most frequent first, and say how many an image has."""
    none = int((~label_nc.any(1)).sum())
    without = f", none {none:,}" if none else ""
    mean = label_nc.sum(1).mean() if len(label_nc) else 0.0
    named = _named(labels, label_nc.sum(0)) or "none"
    return f"Labels ({len(labels):,}): {named}{without} · {mean:.1f} per image"


def _named(names: Sequence[str], count_c: np.ndarray) -> str:
    order = np.argsort(-count_c, kind="stable")
    named = [f"{names[i]} {count_c[i]:,}" for i in order]
    if len(named) > CLASSES_SHOWN:
        named = [*named[:AT_EITHER_END], "…", *named[-AT_EITHER_END:]]
    return ", ".join(named)


def _numbers(target_n: np.ndarray) -> str:
    """Say where the numbers to predict lie."""
    if not len(target_n):
        return "Numbers: none"
    span = f"{target_n.min():.4g} to {target_n.max():.4g}"
    return f"Numbers ({len(np.unique(target_n)):,} distinct): {span}, mean {target_n.mean():.4g}"


def _classes(manifest: Manifest) -> str:
    """Name the classes with their rows, the largest first."""
    count_c = np.bincount(manifest.label_n[manifest.label_n >= 0], minlength=len(manifest.classes))
    named = _named(manifest.classes, count_c)
    unlabelled = int((manifest.label_n < 0).sum())
    without = f"without a label {unlabelled:,}"
    if not named:
        return f"Classes: none, {without}"
    return f"Classes ({len(manifest.classes):,}): {named}{f', {without}' if unlabelled else ''}"
