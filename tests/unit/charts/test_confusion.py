"""The confusion matrix as a file: whatever the classes are called, and however many there are."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import altair as alt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from trainer.charts import fonts
from trainer.charts.confusion import MOST_IN_CELLS, count_matrix
from trainer.charts.labels import distinct
from trainer.charts.render import pdf, png, svg

HOSTILE = [
    "$\\frac{",
    "<b>x</b>" * 9,
    "two\nlines",
    "nul\x00",
    "not\udcffutf-8",
    "日本語",
    "حيوان",
    "★",
    "",
    "",
]


def words(chart: alt.TopLevelMixin) -> list[str]:
    """What stands in an image, each text by itself."""
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg(chart)).iter() if text.text]


def test_the_confusion_image_is_a_png_even_for_hostile_class_names() -> None:
    counts = np.eye(len(HOSTILE), dtype=int)
    image = png(count_matrix(counts, HOSTILE, title="$_{<i>\x07"))
    assert image.startswith(b"\x89PNG")


def test_a_name_that_no_font_can_draw_is_numbered_and_a_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_in_a_system_font", lambda characters: False)
    monkeypatch.setattr(fonts.sys, "platform", "linux")
    names = ["кошка", "猫", "🐈 cat", "قطة"]
    written = words(count_matrix(np.eye(4, dtype=int), names, title="猫 study"))
    assert {"кошка", "class 2", "class 3", "قطة", "□ study"} <= set(written)
    assert any("numbered in the order of the classes" in one for one in written)


def test_a_name_in_any_script_is_written_as_it_is_and_no_two_are_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fonts, "_in_a_system_font", lambda characters: True)
    names = distinct(HOSTILE, 30)
    assert len(set(names)) == len(HOSTILE)
    written = words(count_matrix(np.eye(len(HOSTILE), dtype=int), HOSTILE, title="matrix"))
    assert {"$\\frac{", "two lines", "日本語", "حيوان", "★", "matrix", "label", "predicted"} <= set(written)


@pytest.mark.parametrize("count", [2, MOST_IN_CELLS, MOST_IN_CELLS + 1, 60])
def test_the_image_has_a_fair_size_and_its_counts_where_there_is_room(count: int) -> None:
    counts = np.diag(np.arange(101, 101 + count))
    chart = count_matrix(counts, [f"class {i}" for i in range(count)], title="matrix")
    with Image.open(io.BytesIO(png(chart))) as image:
        assert 400 < image.width < 1800
        assert 400 < image.height < 1800
    assert ("101" in words(chart)) == (count <= MOST_IN_CELLS)


def test_a_chart_of_many_rows_becomes_a_file_of_each_kind() -> None:
    rows = pd.DataFrame({"x": range(6000), "y": range(6000)})
    chart = alt.Chart(rows).mark_circle().encode(x="x", y="y")
    assert pdf(chart).startswith(b"%PDF")
    assert svg(chart).startswith(b"<svg")
