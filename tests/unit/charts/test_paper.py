"""Charts as figures for a paper: sizes, words, fonts, and nothing of strangers in them."""

from __future__ import annotations

import io
import re
from typing import Any
from xml.etree import ElementTree

import altair as alt
import pandas as pd
import pytest
from PIL import Image

from trainer.charts.effects import AGAINST, forest_layers
from trainer.charts.palette import INK, PALE_INK, ink
from trainer.charts.paper import COLUMNS_MM, DPI, Caption, figure
from trainer.charts.rows import rows_high

HOSTILE = "<script>alert(1)</script>![x](http://evil.example/x.png)]]>&amp;"
CAPTION = Caption("Change of macro-F1 for 2 cells with 95 % intervals", "demo run", "323 test rows")
SVG = "{http://www.w3.org/2000/svg}"


def chart(name: str = "a", *, dark: bool = False, **properties: Any) -> dict[str, Any]:
    values = {"value": 0.1, "low": 0.0, "high": 0.2, "sure": "p < 0.05", "against": next(iter(AGAINST))}
    frame = pd.DataFrame({"name": [name, "b"]}).assign(**values)
    layers = forest_layers(frame, alt.Y("name:N"), title=name)
    dots = alt.Chart(frame).mark_point(color=ink(dark)).encode(x="value:Q", y="name:N")
    return alt.layer(*layers, dots).properties(**(properties or rows_high(2, 20))).to_dict()


def written(svg: bytes) -> list[str]:
    return [" ".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("columns", COLUMNS_MM)
@pytest.mark.parametrize("properties", [{}, {"width": 900, "height": 500}, {"height": 700}])
def test_an_svg_is_as_wide_as_the_columns_and_says_title_run_and_n(columns: int, properties: dict) -> None:
    svg = figure(chart(**properties), CAPTION, columns=columns, form="svg")
    width, height = (float(ElementTree.fromstring(svg).get(side, "")) for side in ("width", "height"))
    assert width * 25.4 / 96 == pytest.approx(COLUMNS_MM[columns], abs=0.01)
    assert 40 < height < 1.3 * width
    words = " ".join(written(svg))
    assert all(part in words for part in ("Change of macro-F1 for 2 cells", "demo run", "n = 323 test rows"))


@pytest.mark.parametrize("columns", COLUMNS_MM)
def test_a_pdf_has_its_fonts_inside_and_its_text_as_text(columns: int) -> None:
    pdf = figure(chart(), CAPTION, columns=columns, form="pdf")
    assert pdf.startswith(b"%PDF")
    assert re.search(rb"/FontFile\d?", pdf)
    assert b"/ToUnicode" in pdf
    box = re.search(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert box is not None
    assert float(box[1]) / 72 * 25.4 == pytest.approx(COLUMNS_MM[columns], abs=0.5)


@pytest.mark.parametrize("columns", COLUMNS_MM)
def test_a_png_has_300_dots_to_the_inch(columns: int) -> None:
    with Image.open(io.BytesIO(figure(chart(), CAPTION, columns=columns, form="png"))) as image:
        assert image.width / DPI * 25.4 == pytest.approx(COLUMNS_MM[columns], abs=0.5)
        assert image.info["dpi"][0] == pytest.approx(DPI, abs=1)


def test_names_from_outside_are_letters_in_the_file_and_nothing_is_fetched() -> None:
    spec = chart(HOSTILE)
    svg = figure(spec, Caption(HOSTILE, HOSTILE, HOSTILE), columns=2, form="svg")
    tags = {str(node.tag).removeprefix(SVG) for node in ElementTree.fromstring(svg).iter()}
    assert tags <= {"svg", "g", "path", "rect", "line", "text", "tspan", "defs", "clipPath", "title"}
    assert not re.search(rb'href="|url\(http|<[^>"]*\son\w+="', svg)
    assert "<script>alert(1)" in " ".join(written(svg))
    for form in ("pdf", "png"):
        assert figure(spec, Caption(HOSTILE, HOSTILE, HOSTILE), columns=2, form=form)


def test_an_image_at_an_address_is_left_out_of_the_file() -> None:
    frame = pd.DataFrame({"x": [1], "url": ["http://evil.example/x.png"]})
    spec = alt.Chart(frame).mark_image(width=20, height=20).encode(x="x:Q", url="url:N").to_dict()
    assert b'href="' not in figure(spec, CAPTION, columns=1, form="svg")


def test_a_chart_of_a_dark_page_is_drawn_in_dark_ink_on_white() -> None:
    svg = figure(chart(dark=True), CAPTION, columns=1, form="svg").decode()
    assert PALE_INK not in svg
    assert INK in svg


def test_charts_beside_each_other_stand_below_each_other_in_one_column() -> None:
    one = chart(height=100)
    outer = ("$schema", "datasets", "config")
    inner = {name: part for name, part in one.items() if name not in outer}
    spec = {**{name: one[name] for name in outer}, "concat": [inner, inner], "columns": 2}
    sizes = {}
    for columns in COLUMNS_MM:
        root = ElementTree.fromstring(figure(spec, CAPTION, columns=columns, form="svg"))
        sizes[columns] = float(root.get("height", "")) / float(root.get("width", ""))
    assert sizes[1] > 2 * sizes[2]
