"""What is drawn of an ablation: rows of its tables become marks, intervals and fields."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from trainer.experiments.ablation.advice import called, effect
from trainer.experiments.ablation.effect_plots import (
    ForestText,
    GridText,
    Panel,
    Series,
    forest_png,
    grid_png,
)
from trainer.experiments.ablation.judging import LEVEL
from trainer.tracking.schema import Ablation, AblationClasses, Verdict

MOST_DRAWN = 60  # rows of an image
LONGEST = 80  # characters of a filter in an image
ALL = "all"  # the bound of a score that a cell does not look at
SCALE = "on a scale from 0 to 1; right of the line is better"
SURE = f"p < {LEVEL:g} after Holm's correction"

Row = Mapping[Any, Any]


class Image(NamedTuple):
    """A PNG file and the words that go with it."""

    png: bytes
    alt: str
    about: str = ""  # which of the rows it shows, "" for all; of a grid the scores


def cells_image(rows: Sequence[Row], *, basis: str) -> Image:
    """The effect of every cell, against the baseline and against random choices of rows.

    Args:
        rows: of one encoder, with at least one cell that is not the baseline.
        basis: on what the figures rest.
    """
    tried = best_first(row for row in rows if row[Ablation.VERDICT] != Verdict.BASELINE)
    shown, part = _largest(tried, Ablation.EFFECT, "cells")
    series = [
        _series("against training on all rows", shown, Ablation.EFFECT, Ablation.EFFECT_P_HOLM),
        _series("against as many rows at random", shown, Ablation.OVER_RANDOM, Ablation.OVER_RANDOM_P_HOLM),
    ]
    png = forest_png(
        [_named(row) for row in shown],
        [one for one in series if np.isfinite(one.interval_n3).any()],
        [f"{row[Ablation.KEPT]:,}{_unless_unclear(row, before=' · ')}" for row in shown],
        ForestText(
            title="How far each cell changes macro-F1" + (part and f": {part}"),
            basis=basis,
            effect=f"change of macro-F1, {SCALE}",
            beside="training rows\nkept · verdict",
            sure=SURE,
            star="best on the validation rows",
        ),
        starred=next((at for at, row in enumerate(shown) if row[Ablation.CHOSEN]), None),
    )
    return Image(png, _alt("macro-F1", len(shown), "cells"), part)


def classes_image(cell: Row, of_classes: Sequence[Row], *, basis: str) -> Image:
    """The effect of one cell on every class that has test rows.

    Args:
        cell: a row of ABLATION; ``of_classes``: its rows of ABLATION_CLASSES.
    """
    tested = best_first((row for row in of_classes if row[AblationClasses.TEST]), AblationClasses.EFFECT)
    shown, part = _largest(tested, AblationClasses.EFFECT, "classes")
    png = forest_png(
        [str(row[AblationClasses.CLASS]) for row in shown],
        [
            _series(
                "against training on all rows", shown, AblationClasses.EFFECT, AblationClasses.EFFECT_P_HOLM
            )
        ],
        [f"n = {row[AblationClasses.TEST]:,}" for row in shown],
        ForestText(
            title=f"How far {_named(cell)} changes the F1 of each class" + (part and f": {part}"),
            basis=basis,
            effect=f"change of F1, {SCALE}",
            beside="test rows",
            sure=SURE,
        ),
    )
    return Image(png, _alt("F1", len(shown), "classes"), part)


def grid_image(rows: Sequence[Row], *, basis: str) -> Image | None:
    """Heat maps of the scores whose filters were crossed; None where none were.

    Args:
        rows: of one encoder.
    """
    grid = Grid.of(rows)
    if grid is None:
        return None
    panels = grid.panels()
    missing = any(np.isnan(panel.effect_yx).any() for panel in panels)
    png = grid_png(
        panels,
        grid.bounds[0],
        grid.bounds[1],
        GridText(
            title=f"How far filters on {grid.named} change macro-F1 together; framed ones help"
            + (", grey ones have no cell of their own" if missing else ""),
            basis=basis,
            effect="change of macro-F1\nagainst training on all rows",
            rows=f"rows kept by {grid.scores[0]}",
            columns=f"rows kept by {grid.scores[1]}",
        ),
        side_by_side=2 if grid.augmented else 1,
    )
    return Image(
        png,
        "Heat map: change of macro-F1 for each combination of bounds, with its 95 % interval",
        grid.named,
    )


class Grid(NamedTuple):
    """Cells that cross the bounds of two scores, and of a third where there is one."""

    scores: list[str]  # two or three, that with the most bounds first
    bounds: list[list[str]]  # of each, the first is ALL
    cells: dict[tuple[tuple[str, ...], bool], Row]  # by bounds and augmentation

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Grid | None:
        """The two scores with the most bounds, and one more that was crossed with both; None if fewer than
        half of the fields are cells."""
        parts = [(row, _parts(row)) for row in rows if " | " not in row[Ablation.FILTER]]
        crossed = [bounds for _, bounds in parts if len(bounds) > 1]
        bounds_of: dict[str, dict[str, None]] = {}
        for bounds in crossed:
            for score, bound in bounds.items():
                bounds_of.setdefault(score, {ALL: None})[bound] = None
        scores: list[str] = []
        for score in sorted(bounds_of, key=lambda score: -len(bounds_of[score])):
            if len(scores) < 3 and any({*scores, score} <= bounds.keys() for bounds in crossed):
                scores.append(score)
        if len(scores) < 2:
            return None
        cells = {
            (tuple(bounds.get(score, ALL) for score in scores), bool(row[Ablation.AUGMENT])): row
            for row, bounds in parts
            if bounds.keys() <= set(scores)
        }
        grid = cls(scores, [list(bounds_of[score]) for score in scores], cells)
        known = np.isfinite([panel.effect_yx for panel in grid.panels()])
        return grid if known.mean() >= 0.5 else None

    @property
    def named(self) -> str:
        """a and b; a, b and c."""
        return f"{', '.join(self.scores[:-1])} and {self.scores[-1]}"

    @property
    def augmented(self) -> bool:
        """Whether there are cells with augmentation."""
        return any(augment for _, augment in self.cells)

    def panels(self) -> list[Panel]:
        """Without and with augmentation, for each bound of the third score."""
        return [
            self._panel(rest, augment)
            for rest in ([(third,) for third in self.bounds[2]] if len(self.scores) > 2 else [()])
            for augment in (False, True)[: 1 + self.augmented]
        ]

    def _panel(self, rest: tuple[str, ...], augment: bool) -> Panel:
        found = [[self.cells.get(((y, x, *rest), augment)) for x in self.bounds[1]] for y in self.bounds[0]]
        title = [f"{self.scores[2]}: {third}" for third in rest]
        if self.augmented:
            title.append(f"{'with' if augment else 'without'} augmentation")
        return Panel(
            ", ".join(title),
            np.array([[_effect(row) for row in line] for line in found]),
            [[_field(row) for row in line] for line in found],
            np.array([[_helps(row) for row in line] for line in found]),
        )


def best_first(rows: Iterable[Row], name: str = Ablation.EFFECT) -> list[Row]:
    """The largest effect first; what has none, the baseline, before all others."""
    return sorted(rows, key=lambda row: -row[name] if math.isfinite(row[name]) else -math.inf)


def _largest(rows: list[Row], name: str, what: str) -> tuple[list[Row], str]:
    """The rows with the largest effects either way, not more than fit an image, and words for that."""
    if len(rows) <= MOST_DRAWN:
        return rows, ""
    order = sorted(range(len(rows)), key=lambda at: -abs(rows[at][name]))
    shown = [rows[at] for at in sorted(order[:MOST_DRAWN])]
    return shown, f"the {MOST_DRAWN} of {len(rows)} {what} with the largest effects"


def _named(row: Row) -> str:
    """As the table calls it, but a long filter is cut, and not what stands behind it."""
    text = str(row[Ablation.FILTER])
    return called({**row, Ablation.FILTER: text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"})


def _series(label: str, rows: Sequence[Row], name: str, p_holm: str) -> Series:
    ends = ("", Ablation.LOW, Ablation.HIGH)
    interval_n3 = np.array([[row.get(name + end, math.nan) for end in ends] for row in rows], dtype=float)
    return Series(label, interval_n3, np.array([row[p_holm] < LEVEL for row in rows]))


def _alt(metric: str, count: int, what: str) -> str:
    return (
        f"Change of {metric} for {count} {what}, the best first: marks with 95 % intervals and a line at zero"
    )


def _parts(row: Row) -> dict[str, str]:
    """Score → bound of a cell."""
    prefix = Ablation.PART_PREFIX
    return {
        name.removeprefix(prefix): str(bound)
        for name, bound in row.items()
        if name.startswith(prefix) and not pd.isna(bound)
    }


def _helps(row: Row | None) -> bool:
    return row is not None and row[Ablation.VERDICT] == Verdict.HELPS


def _effect(row: Row | None) -> float:
    if row is None:
        return math.nan
    return 0.0 if row[Ablation.VERDICT] == Verdict.BASELINE else row[Ablation.EFFECT]


def _field(row: Row | None) -> str:
    if row is None:
        return ""
    if row[Ablation.VERDICT] == Verdict.BASELINE:
        return str(Verdict.BASELINE)
    return effect(row, Ablation.EFFECT).replace(" ", "\n", 1) + _unless_unclear(row, before="\n")


def _unless_unclear(row: Row, *, before: str) -> str:
    return "" if row[Ablation.VERDICT] == Verdict.UNCLEAR else f"{before}{row[Ablation.VERDICT]}"
