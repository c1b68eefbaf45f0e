"""Say in a line how a data set was understood, and what of it was passed over."""

from __future__ import annotations

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
            _classes(manifest),
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

    ``Passed over: 30 .heic, 3 .dcm. HEIC is read once pillow-heif is installed …``
    """
    if not manifest.passed_over:
        return ""
    cures = formats.cures(manifest.passed_over)
    return f"Passed over: {files_by_extension(manifest.passed_over)}.{f' {cures}' if cures else ''}"


def _classes(manifest: Manifest) -> str:
    """Name the classes with their rows, the largest first."""
    count_c = np.bincount(manifest.label_n[manifest.label_n >= 0], minlength=len(manifest.classes))
    order = np.argsort(-count_c, kind="stable")
    named = [f"{manifest.classes[i]} {count_c[i]:,}" for i in order]
    if len(named) > CLASSES_SHOWN:
        named = [*named[:AT_EITHER_END], "…", *named[-AT_EITHER_END:]]
    unlabelled = int((manifest.label_n < 0).sum())
    without = f"without a label {unlabelled:,}"
    if not named:
        return f"Classes: none, {without}"
    return f"Classes ({len(manifest.classes):,}): {', '.join(named)}{f', {without}' if unlabelled else ''}"
