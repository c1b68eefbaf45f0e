"""A small sweep that predicts a number of real image files: how bright they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support import trained_target
from tests.support.image_files import encoded, noise
from tests.support.trained_target import HOSTILE, Swept

ROWS = 40


def compose(folder: Path) -> Path:
    """Write images and a table of how bright they are."""
    random = np.random.default_rng(1)
    lines = ["path,brightness,caption"]
    for i, least in enumerate(random.uniform(0, 0.7, ROWS)):
        pixels = 255 * least + (1 - least) * 90 * noise(i, height=36, width=40)
        (folder / f"{i}.png").write_bytes(encoded(pixels.astype(np.uint8)))
        lines.append(f"{i}.png,{100 * least:.3f},{HOSTILE}")
    (folder / "table.csv").write_text("\n".join(lines))
    return folder / "table.csv"


def sweep(uri: str) -> Swept:
    """Run it, beside the database of the store."""
    return trained_target.sweep(uri, compose, label_column="brightness", trials=4)
