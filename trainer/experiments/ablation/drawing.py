"""Images of an ablation: rows of its tables become charts, and these PNG files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from trainer.charts.effects import AGAINST, GridAxes, forest_layers, grid, reach_of
from trainer.charts.labels import fitted
from trainer.charts.palette import GREY, INK
from trainer.charts.render import png
from trainer.experiments.ablation.advice import called
from trainer.experiments.ablation.judging import LEVEL
from trainer.tracking.schema import Ablation, AblationClasses, Verdict

MOST_DRAWN = 60  # rows of an image
LONGEST = 80  # characters of a filter in an image
NAME = 48  # characters of a row's name before it goes on in a second line
WIDTH = 460  # pixels of a forest plot without its names
FIELD = 124  # pixels of a field of a grid
ALL = "all"  # the bound of a score that a cell does not look at
RIGHT = "right of the line is better"
FILLED = f"Filled: p < {LEVEL:g} after Holm's correction."
ALL_ROWS, AT_RANDOM = AGAINST
ENDS = {"value": "", "low": Ablation.LOW, "high": Ablation.HIGH}

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
    star = any(row[Ablation.CHOSEN] for row in shown)
    effects = [
        _effects(shown, Ablation.EFFECT, Ablation.EFFECT_P_HOLM, ALL_ROWS),
        _effects(shown, Ablation.OVER_RANDOM, Ablation.OVER_RANDOM_P_HOLM, AT_RANDOM),
    ]
    chart = _forest(
        pd.concat(effects),
        [("★ " if row[Ablation.CHOSEN] else "") + _named(row) for row in shown],
        [f"{row[Ablation.KEPT]:,}{_unless_unclear(row)}" for row in shown],
        beside="rows kept · verdict",
        title=f"change of macro-F1 (scale 0 to 1); {RIGHT}",
    )
    title = _title(
        "How far each cell changes macro-F1" + (part and f": {part}"),
        basis,
        FILLED + (" ★: best on the validation rows." if star else ""),
    )
    chart = chart.properties(title=title)
    return Image(png(chart), _alt("macro-F1", len(shown), "cells"), part)


def classes_image(cell: Row, of_classes: Sequence[Row], *, basis: str) -> Image:
    """The effect of one cell on every class that has test rows.

    Args:
        cell: a row of ABLATION; ``of_classes``: its rows of ABLATION_CLASSES.
    """
    tested = best_first((row for row in of_classes if row[AblationClasses.TEST]), AblationClasses.EFFECT)
    shown, part = _largest(tested, AblationClasses.EFFECT, "classes")
    chart = _forest(
        _effects(shown, AblationClasses.EFFECT, AblationClasses.EFFECT_P_HOLM, ALL_ROWS),
        [str(row[AblationClasses.CLASS]) for row in shown],
        [f"n = {row[AblationClasses.TEST]:,}" for row in shown],
        beside="test rows",
        title=f"change of F1 (scale 0 to 1); {RIGHT}",
    ).properties(
        title=_title(
            f"How far {_named(cell)} changes the F1 of each class" + (part and f": {part}"), basis, FILLED
        )
    )
    return Image(png(chart), _alt("F1", len(shown), "classes"), part)


def grid_image(rows: Sequence[Row], *, basis: str) -> Image | None:
    """Heat maps of the scores whose filters were crossed; None where none were.

    Args:
        rows: of one encoder.
    """
    found = Grid.of(rows)
    if found is None:
        return None
    panels = found.panels()
    fields = pd.concat([panel.fields for panel in panels])
    x, y = (fitted(score, 40) for score in (found.scores[1], found.scores[0]))
    up, across = ([fitted(bound, 18) for bound in bounds] for bounds in found.bounds[:2])
    effect, width = "change of macro-F1 against training on all rows", max(FIELD * len(across), 250)
    drawn = [
        grid(
            panel.fields,
            GridAxes(x, y, across, up),
            title=effect,
            reach=reach_of(fields["value"]),
            width=width,
        ).properties(title=alt.Title(fitted(panel.title, 60), fontSize=12, frame="group", offset=6))
        for panel in panels
    ]
    hurts, missing = (fields["verdict"] == Verdict.HURTS).any(), (fields["state"] == "no cell").any()
    says = (
        f"Framed: helps.{' Dashed: hurts.' if hurts else ''}{' Grey: no cell of its own.' if missing else ''}"
    )
    title = _title(f"How far filters on {found.named} change macro-F1 together", basis, says)
    chart = alt.concat(*drawn, columns=2 if found.augmented else 1).resolve_scale(color="shared")
    chart = chart.properties(title=title)
    return Image(
        png(chart),
        "Heat map: change of macro-F1 for each combination of bounds, with its 95 % interval",
        found.named,
    )


class Panel(NamedTuple):
    """The cells of a grid with and without augmentation, or with one bound of a third score."""

    title: str
    fields: pd.DataFrame  # as `charts.effects.grid` has them


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
        missing = [(panel.fields["state"] == "no cell").mean() for panel in grid.panels()]
        return grid if sum(missing) / len(missing) <= 0.5 else None

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
        title = [f"{self.scores[2]}: {third}" for third in rest]
        if self.augmented:
            title.append(f"{'with' if augment else 'without'} augmentation")
        fields = [
            _field(self.cells.get(((y, x, *rest), augment))) | {"up": fitted(y, 18), "across": fitted(x, 18)}
            for y in self.bounds[0]
            for x in self.bounds[1]
        ]
        return Panel(", ".join(title), pd.DataFrame(fields))


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


def _effects(rows: Sequence[Row], name: str, p_holm: str, against: str) -> pd.DataFrame:
    """For `_forest`: of rows that have the effect their place, its value, interval and significance."""
    frame = pd.DataFrame(
        [
            {
                "place": place,
                "against": against,
                "sure": "p < 0.05" if row[p_holm] < LEVEL else "not so",
                **{column: row.get(name + end, math.nan) for column, end in ENDS.items()},
            }
            for place, row in enumerate(rows)
        ]
    )
    return frame.dropna(subset="value")


def _forest(
    effects: pd.DataFrame, names: Sequence[str], words: Sequence[str], *, beside: str, title: str
) -> alt.LayerChart | alt.FacetChart:
    """`_effects` of rows with ``names``; at the right of each its ``words`` under the heading ``beside``."""
    y = alt.Y("place:O", axis=None, scale=alt.Scale(domain=list(range(len(names)))))
    lines = [fitted(name, NAME).split("\n") for name in names]
    texts = pd.DataFrame({"place": range(len(names)), "name": lines, "words": words})
    rows = alt.Chart(texts).encode(y=y)
    stripes = rows.transform_filter("datum.place % 2 == 0").mark_rect(color=GREY, opacity=0.1)
    first = alt.ExprRef("datum.name.length > 1 ? -6 : 0")  # of two lines
    left = rows.mark_text(align="right", color=INK, dy=first).encode(x=alt.value(-6), text="name:N")
    right = rows.mark_text(align="left", color=INK).encode(x=alt.value(WIDTH + 10), text="words:N")
    heading = alt.Chart(pd.DataFrame({"words": [beside]})).mark_text(align="left", color=INK)
    heading = heading.encode(x=alt.value(WIDTH + 10), y=alt.value(-10), text="words:N")
    layers = [stripes, *forest_layers(effects, y, title=title), left, right, heading]
    return alt.layer(*layers).properties(width=WIDTH, height=28 * len(names))


def _title(title: str, *below: str) -> alt.Title:
    return alt.Title(fitted(title, 76).split("\n"), subtitle=[fitted(line, 180) for line in below if line])


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


def _field(row: Row | None) -> dict[str, Any]:
    """What `charts.effects.grid` draws of a cell, or of a place that has none."""
    if row is None:
        return {"verdict": "", "state": "no cell"} | dict.fromkeys(ENDS, math.nan)
    baseline = row[Ablation.VERDICT] == Verdict.BASELINE
    return {
        "verdict": str(row[Ablation.VERDICT]),
        "state": "baseline" if baseline else "measured",
        **{column: row[Ablation.EFFECT + end] for column, end in ENDS.items()},
    }


def _unless_unclear(row: Row) -> str:
    return "" if row[Ablation.VERDICT] == Verdict.UNCLEAR else f" · {row[Ablation.VERDICT]}"
