"""The map: one scale for both axes, and the names of classes on it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import vl_convert

from dashboard.charts.explain import place
from dashboard.charts.scatter import Colouring, MapOverlays, scatter
from dashboard.frames import projection


def points(x: list[float], y: list[float]) -> pd.DataFrame:
    count = len(x)
    return pd.DataFrame(
        {
            **{"x": x, "y": y, "number": range(count), "label": "cat", "pred": "cat", "confidence": 0.5},
            **{"outcome": "correct", "split": "test", "caption": "", "image": None},
            "sample_id": [f"row-{i}" for i in range(count)],
        }
    )


def drawn(chart: object, *, width: int) -> np.ndarray:
    """Pixels [n, 2] of the points of a chart's first layer of points, in their order."""
    svg = vl_convert.vegalite_to_svg({**chart.to_dict(), "width": width})  # type: ignore[attr-defined]
    group = re.search(r'<g class="mark-symbol role-mark[^"]*_[01]_marks".*?</g>', svg, re.DOTALL)
    assert group is not None
    found = re.findall(r"translate\(([-\d.]+),([-\d.]+)\)", group.group())
    return np.array(found, dtype=float)


@pytest.mark.parametrize("width", [300, 1100])
@pytest.mark.parametrize(("across", "up"), [(1.0, 1.0), (8.0, 0.5), (0.003, 70.0), (1e4, 1.0), (5.0, 0.0)])
def test_both_axes_of_the_map_have_the_same_units_per_pixel(width: int, across: float, up: float) -> None:
    chart = scatter(points([-2.0, across - 2.0], [3.0, up + 3.0]), Colouring("label", "label", ["cat"]))
    x, y = np.abs(np.diff(drawn(chart, width=width), axis=0))[0]
    assert max(x, y) > 100
    assert x * up == pytest.approx(y * across, rel=1e-2, abs=2 * max(up, across))  # a pixel's rounding


def test_the_map_of_try_it_shows_every_row_with_one_scale_for_both_axes() -> None:
    rows = points([0.0, 1.0, 9.0], [0.0, 3.0, 0.0]).assign(likely=True, near=False)
    here = pd.DataFrame({"x": [12.0], "y": [0.5], "image": [None]})
    chart = place(rows, here, title="a", dark=False)
    pixels = drawn(chart, width=600)
    across, up = pixels[2, 0] - pixels[0, 0], pixels[0, 1] - pixels[1, 1]
    assert across / 9 == pytest.approx(up / 3, rel=0.02)
    assert 12 / 9 * across + pixels[0, 0] < 600


def test_names_stand_at_a_point_of_their_class_and_never_over_one_another() -> None:
    random = np.random.default_rng(0)
    label = np.repeat(["a", "bb", "ccc", "far away"], [40, 30, 20, 10])
    frame = pd.DataFrame(random.normal(size=(100, 2)), columns=["x", "y"]).assign(label=label)
    frame.loc[frame["label"] == "far away", "x"] += 50
    frame.loc[frame["label"] == "bb", "y"] += 40
    width, height = 0.02, 0.03
    names = projection.class_names(frame, "label", size=(width, height))
    assert {"a", "bb", "far away"} >= set(names["name"]) >= {"a", "bb"}  # the largest of "a" and "ccc"
    reach = (frame[["x", "y"]].max() - frame[["x", "y"]].min()).max()
    for one in names.itertuples():
        of_class = frame[frame["label"] == one.name]
        assert ((of_class["x"] == one.x) & (of_class["y"] == one.y)).any()
        for other in names[names["name"] != one.name].itertuples():
            apart = abs(one.x - other.x) / reach >= width * (len(one.name) + len(other.name)) / 2
            assert apart or abs(one.y - other.y) / reach >= height


def test_of_no_points_and_of_points_without_a_label_nothing_is_named() -> None:
    frame = pd.DataFrame({"x": [0.0, 0.0], "y": [0.0, 0.0], "label": ["", ""]})
    assert projection.class_names(frame, "label", size=(0.1, 0.1)).empty
    assert projection.class_names(frame.head(0), "label", size=(0.1, 0.1)).empty


@pytest.mark.parametrize("dark", [False, True])
def test_names_lie_over_the_points_with_an_outline_and_catch_no_click(dark: bool) -> None:
    names = pd.DataFrame({"x": [0.0], "y": [0.0], "name": ["cat"]})
    chart = scatter(
        points([0.0, 1.0], [0.0, 1.0]),
        Colouring("label", "label", ["cat"]),
        MapOverlays(names=names),
        dark=dark,
    )
    spec = chart.to_dict()
    assert [layer["mark"]["type"] for layer in spec["layer"]][-2:] == ["text", "text"]
    halo, text = (layer["mark"] for layer in spec["layer"][-2:])
    assert halo["stroke"] != text["fill"]
    marks = vl_convert.vegalite_to_vega(spec)["marks"]
    assert all(mark["interactive"] is False for mark in marks if mark["type"] == "text")


def test_a_legend_is_below_the_map_unless_it_is_long() -> None:
    frame = points([0.0], [0.0])
    for count, where in ((12, "bottom"), (40, None)):
        spec = scatter(frame, Colouring("label", "label", [f"class {i}" for i in range(count)])).to_dict()
        legend = next(
            layer["encoding"]["color"]["legend"] for layer in spec["layer"] if "color" in layer["encoding"]
        )
        assert legend.get("orient") == where
