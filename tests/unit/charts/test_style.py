"""What all charts have in common."""

from __future__ import annotations

import re

import altair as alt
import pandas as pd
import pytest

from trainer.charts.render import svg

ROWS = pd.DataFrame({"x": [0.002, 3.0], "y": [-0.2, 0.2], "kind": ["a", "b"]})


def drawn(**x: object) -> str:
    axis = alt.Axis(format="+.2~f")
    chart = alt.Chart(ROWS).mark_area(opacity=0.12)
    return svg(
        chart.encode(
            x=alt.X("x:Q", **x),
            y=alt.Y("y:Q", axis=axis),
            color=alt.Color("kind:N", legend=alt.Legend(orient="top")),
        )
    ).decode()


def test_zero_has_no_sign_and_other_changes_have_one() -> None:
    labels = re.findall(r">([^<>]+)</text>", drawn())
    assert "0" in labels
    assert "+0.2" in labels
    assert "+0" not in labels


def test_the_swatches_of_a_legend_are_solid_however_faint_the_marks_are() -> None:
    symbols = re.findall(r'role-legend-symbol"[^>]*><path[^>]*opacity="([\d.]+)"', drawn())
    assert set(symbols) == {"1"}


@pytest.mark.parametrize("grid", [True, False])
def test_a_logarithmic_axis_has_one_line_of_the_grid_for_a_decade(grid: bool) -> None:
    written = drawn(scale=alt.Scale(type="log"), axis=alt.Axis(grid=grid))
    upright = re.findall(r'<line transform="translate\(\d+,-\d+\)" x2="0"[^>]* opacity="([\d.]+)"', written)
    assert sum(float(one) > 0 for one in upright) == (5 if grid else 0)  # from 0.001 to 10
