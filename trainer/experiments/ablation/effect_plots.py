"""Images of effects: how much better or worse than what they are held against, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainer.experiments.plots import fitted, new_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

LOOKS = (("o", "#0072B2"), ("D", "#D55E00"))  # of the series; colours of Okabe and Ito
INK, GREY, STRIPE, MISSING = "#1F2933", "#5B6570", "#F3F5F7", "#DDE1E6"
WIDTH = 10.5  # inches of a forest plot
NAME = 52  # characters of a row's name before it goes on in a second line
TALL = 20  # rows from which a forest plot has its numbers at both ends
LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look
LEAST_REACH = 0.005  # of the colours: smaller effects shall look small


class Series(NamedTuple):
    """Effects of N things, all against the same yardstick."""

    label: str
    interval_n3: np.ndarray  # value, low, high; NaN where there is none
    sure_n: np.ndarray  # bool [N]: differs from zero after correction


class ForestText(NamedTuple):
    """What a forest plot says."""

    title: str
    basis: str  # below the title: on what the figures rest
    effect: str  # what the axis shows, with its unit
    beside: str  # over what stands at the right of the rows
    sure: str  # what a filled mark means
    star: str = ""  # what a star means


def forest_png(
    names: Sequence[str],
    series: Sequence[Series],
    beside: Sequence[str],
    text: ForestText,
    *,
    starred: int | None = None,
) -> bytes:
    """Draw a row for each name, with a mark and its interval for each of one or two series.

    Args:
        beside: stands at the right of each row.
        starred: the row that gets a star.
    """
    count, tall = len(names), len(names) >= TALL
    height = 2.2 + (0.2 + 0.08 * len(series)) * max(count, 2)
    figure = new_figure(WIDTH, height)
    _title(figure, text.title, text.basis)
    axes = figure.add_subplot()
    row_n = np.arange(count)
    for row in row_n[::2]:
        axes.axhspan(row - 0.5, row + 0.5, color=STRIPE, zorder=0)
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    offsets = (0.0,) if len(series) == 1 else (-0.17, 0.17)
    for one, offset, (marker, colour) in zip(series, offsets, LOOKS, strict=False):
        value_n, low_n, high_n = one.interval_n3.T
        axes.hlines(row_n + offset, low_n, high_n, color=colour, linewidth=1.6, zorder=2)
        for part_n, face in ((one.sure_n, colour), (~one.sure_n, "white")):
            at = (value_n[part_n], (row_n + offset)[part_n])
            axes.plot(*at, marker, color=colour, markerfacecolor=face, markeredgewidth=1.5, zorder=3)
    labels = [("★ " if row == starred else "") + fitted(name, NAME) for row, name in enumerate(names)]
    axes.set_yticks(row_n, labels, fontsize=8.5, parse_math=False)
    right = axes.secondary_yaxis("right")
    right.set_yticks(row_n, beside, fontsize=8.5, parse_math=False)
    axes.annotate(
        text.beside,
        (1.012, 1),
        xytext=(0, 20 if tall else 4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8.5,
        color=GREY,
    )
    axes.set(ylim=(count - 0.5, -0.5))
    axes.set_xlabel(text.effect)
    axes.tick_params(axis="x", labeltop=tall)
    axes.grid(axis="x", color="#D5DAE0", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.04)
    for one_side in (axes, right):
        one_side.spines[:].set_visible(False)
        one_side.tick_params(length=0)
    star = "" if starred is None else text.star
    _legend(axes, series, sure=text.sure, star=star, above=0.3 / height if tall else 0)
    return png(figure)


def _title(figure: Figure, title: str, basis: str) -> None:
    """At the left, above everything."""
    width = int(10.2 * figure.get_figwidth())
    text = f"{fitted(title, width)}\n{fitted(basis, width)}"
    figure.suptitle(text, x=0.012, ha="left", fontsize=11.5, parse_math=False)


def _legend(axes: Axes, series: Sequence[Series], *, sure: str, star: str, above: float) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker=marker, color=colour, label=one.label)
        for one, (marker, colour) in zip(series, LOOKS, strict=False)
    ]
    if star:
        handles.append(Line2D([], [], linestyle="none", marker="*", markersize=9, color=INK, label=star))
    for face, meaning in ((GREY, f"filled: {sure}"), ("white", "hollow: not so")):
        handles.append(
            Line2D([], [], linestyle="none", marker="s", color=GREY, markerfacecolor=face, label=meaning)
        )
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1 + above),
        ncols=2,
        frameon=False,
        fontsize=9,
    )


class Panel(NamedTuple):
    """One grid of effects, Y rows and X columns."""

    title: str
    effect_yx: np.ndarray  # NaN where there is nothing to show
    text_yx: Sequence[Sequence[str]]
    framed_yx: np.ndarray  # bool


class GridText(NamedTuple):
    """What the heat maps say."""

    title: str
    basis: str  # below the title: on what the figures rest
    effect: str  # what the colours show, with its unit
    rows: str
    columns: str


def grid_png(
    panels: Sequence[Panel],
    rows: Sequence[str],
    columns: Sequence[str],
    text: GridText,
    *,
    side_by_side: int,
) -> bytes:
    """Draw heat maps with the same rows, columns and colours: blue is better, red is worse, white is no
    effect and grey is nothing.

    Args:
        side_by_side: panels in one line.
    """
    down = -(-len(panels) // side_by_side)
    width = 2.4 + side_by_side * max(1.3 * len(columns), 2.2)
    figure = new_figure(width, 1.7 + down * (0.7 + 0.62 * len(rows)))
    _title(figure, text.title, text.basis)
    grid = figure.subplots(down, side_by_side, squeeze=False, sharex=True, sharey=True)
    known = np.concatenate([panel.effect_yx[np.isfinite(panel.effect_yx)] for panel in panels])
    reach = max(float(np.abs(known).max(initial=0)), LEAST_REACH)
    for axes, panel in zip(grid.flat, panels, strict=True):
        image = axes.imshow(panel.effect_yx, cmap="RdBu", vmin=-reach, vmax=reach, aspect="auto")
        axes.set_facecolor(MISSING)
        axes.set_title(fitted(panel.title, 60), fontsize=10, parse_math=False)
        axes.set_xticks(range(len(columns)), [fitted(name, 18) for name in columns], parse_math=False)
        axes.set_yticks(range(len(rows)), [fitted(name, 18) for name in rows], parse_math=False)
        axes.set_xticks(np.arange(1, len(columns)) - 0.5, minor=True)
        axes.set_yticks(np.arange(1, len(rows)) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
        axes.tick_params(which="both", length=0, labelsize=9)
        axes.spines[:].set_visible(False)
        _fields(axes, panel, image)
    figure.supxlabel(fitted(text.columns, 60), fontsize=10, parse_math=False)
    figure.supylabel(fitted(text.rows, 60), fontsize=10, parse_math=False)
    figure.colorbar(image, ax=grid, label=text.effect, fraction=0.04, pad=0.02)
    return png(figure)


def _fields(axes: Axes, panel: Panel, image: AxesImage) -> None:
    from matplotlib.patches import Rectangle

    brightness_yx = image.to_rgba(panel.effect_yx)[..., :3] @ LUMA
    for (y, x), brightness in np.ndenumerate(brightness_yx):
        axes.text(
            x,
            y,
            panel.text_yx[y][x],
            ha="center",
            va="center",
            fontsize=8.5,
            color="white" if brightness < 0.5 else INK,
            parse_math=False,
        )
        if panel.framed_yx[y, x]:
            frame = Rectangle((x - 0.46, y - 0.45), 0.92, 0.9, fill=False, edgecolor="black", linewidth=2)
            axes.add_patch(frame)
