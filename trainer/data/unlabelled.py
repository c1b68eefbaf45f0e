"""Leave out rows without a label, of which nothing can be learned."""

from __future__ import annotations

import numpy as np

from trainer.core.text import count
from trainer.data.manifest import SPLITS, Manifest


def labelled_rows(manifest: Manifest) -> np.ndarray:
    """Return the rows with a label: int64, ascending.

    All rows, where none has a label: that is for :func:`trainer.data.manifest.check_trainable` to refuse. So
    is data of numbers, where each row needs one, and of several labels, where none is an answer, too.
    """
    with_n = manifest.label_n >= 0
    if manifest.target != "class" or not with_n.any():
        return np.arange(len(manifest))
    return np.flatnonzero(with_n)


def labelled(manifest: Manifest) -> tuple[Manifest, str]:
    """Return the rows with a label, and what to say of the others; "" where there are none."""
    kept = labelled_rows(manifest)
    if len(kept) == len(manifest):
        return manifest, ""
    others = manifest.take(np.setdiff1d(np.arange(len(manifest)), kept))
    where = ", ".join(f"{split} {len(others.rows(split)):,}" for split in SPLITS if len(others.rows(split)))
    said = (
        f"Without a label, left out: {count(len(others), 'row')} ({where}), such as {others.sample_id[0]!r}. "
        "predict answers them with the head of a sweep."
    )
    return manifest.take(kept), said
