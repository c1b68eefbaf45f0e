"""A small sweep that predicts several labels of real image files: what is bright, noisy, or red."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support import trained_target
from tests.support.image_files import encoded, noise
from tests.support.trained_target import HOSTILE, Swept

LABELS = ("bright", HOSTILE, "red")
ROWS = 60


def compose(folder: Path) -> Path:
    """Write images and a table of their labels, joined by a bar; every twelfth has none of them."""
    random = np.random.default_rng(1)
    lines = ["path,labels,caption"]
    for i in range(ROWS):
        bright, noisy, red = random.random(3) < 0.5 if i % 12 else (False, False, False)
        pixels = np.full((36, 40, 3), random.normal(120.0 if bright else 80.0, 25.0))
        if noisy:
            pixels += 0.6 * (noise(i, height=36, width=40).astype(float) - 128)
        if red:
            pixels[..., 0] += random.normal(40.0, 20.0)
        (folder / f"{i}.png").write_bytes(encoded(np.clip(pixels, 0, 255).astype(np.uint8)))
        own = [name for name, has in zip(LABELS, (bright, noisy, red), strict=True) if has]
        lines.append(f"{i}.png,{'|'.join(own)},{HOSTILE}")
    (folder / "table.csv").write_text("\n".join(lines))
    return folder / "table.csv"


def sweep(uri: str) -> Swept:
    """Run it, beside the database of the store."""
    return trained_target.sweep(uri, compose, label_separator="|", trials=5)
