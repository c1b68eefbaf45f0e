"""Images for places that show files, such as MLflow's artifact view."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAMED_CLASSES = 60
MOST_NUMBERED_CLASSES = 20


def confusion_png(confusion: np.ndarray, *, classes: Sequence[str], title: str) -> bytes:
    """A confusion matrix [C, C] as a PNG: shade is the share of the true class, numbers are counts."""
    count = len(classes)
    share = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    side = float(np.clip(2.5 + 0.28 * count, 4.5, 16))
    figure = new_figure(side + 1, side)
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
    return png(figure)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches that nothing but :func:`png` draws: no pyplot, no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def fitted(text: str, width: int, *, lines: int = 2) -> str:
    """``text`` without control characters, in at most ``lines`` lines of ``width`` characters, else cut."""
    visible = "".join(c if c.isprintable() else " " for c in text)
    return textwrap.fill(" ".join(visible.split()), width, max_lines=lines, placeholder=" …")
