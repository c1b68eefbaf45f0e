"""Colours of the pages, beside those that image files have, too."""

from __future__ import annotations

from trainer.charts.palette import BLUE, GREEN, GREY, ORANGE, RED

__all__ = ["BLUE", "CATEGORIES", "GREEN", "GREY", "ORANGE", "ORDERED", "PAN", "RED", "SPLITS", "colours"]

CATEGORIES = [BLUE, ORANGE, GREEN, "#C96AA1", "#8264C9", "#53B4E6", RED, "#9A8A3C"]
ORDERED = ["#7B54C0", "#3F7FC8", "#1C9F93", "#7DB043", "#E5A31B"]  # low to high
SPLITS = {"train": BLUE, "val": ORANGE, "test": GREEN}
PAN = {"bind": "scales", "zoom": "wheel![event.shiftKey]"}  # a plain wheel goes on scrolling the page


def colours(groups: list[str], *, ordered: bool, quiet: tuple[str, ...] = ()) -> list[str]:
    """A colour for each group; those named in ``quiet`` are grey."""
    loud = [name for name in groups if name not in quiet]
    if ordered and 1 < len(loud) <= len(ORDERED):
        steps = [round(i * (len(ORDERED) - 1) / (len(loud) - 1)) for i in range(len(loud))]
        palette = [ORDERED[step] for step in steps]
    else:
        palette = [CATEGORIES[i % len(CATEGORIES)] for i in range(len(loud))]
    chosen = dict(zip(loud, palette, strict=True))
    return [chosen.get(name, GREY) for name in groups]
