"""Pictures for places that show files, such as MLflow's artifact view."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

MOST_NAMED_CLASSES = 60
MOST_NUMBERED_CLASSES = 20


def confusion_png(confusion: np.ndarray, *, classes: Sequence[str], title: str) -> bytes:
    """A confusion matrix [C, C] as a PNG: shade is the share of the true class, numbers are counts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(classes)
    share = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    side = float(np.clip(2.5 + 0.28 * count, 4.5, 16))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="cividis", vmin=0, vmax=1)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(title, parse_math=False)
    if count <= MOST_NAMED_CLASSES:
        names = [name if len(name) <= 24 else name[:23] + "…" for name in classes]
        axes.set_xticks(range(count), names, rotation=90, parse_math=False)
        axes.set_yticks(range(count), names, parse_math=False)
    if count <= MOST_NUMBERED_CLASSES:
        for true, predicted in zip(*np.nonzero(confusion), strict=True):
            shade = "black" if share[true, predicted] > 0.5 else "white"
            axes.text(predicted, true, str(confusion[true, predicted]), ha="center", va="center", color=shade)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
