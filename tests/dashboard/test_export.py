"""What the menu "Export" below charts gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
import streamlit as st

from tests.support import synthetic_runs
from tests.support import synthetic_trials as known
from tests.support.pages import HOME, Showing, charts, open_page
from trainer.charts import paper

HOSTILE = "<b>run</b> ![x](http://evil.example/x.png) 𝗿"
Files = dict[str, Callable[[], bytes]]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    """What the pages offer to download, by file name; nothing of it is made before it is asked for."""
    offered: Files = {}

    def button(label: str, data: Any, *, file_name: str, **options: Any) -> bool:
        assert callable(data), f"{label} is made before it is asked for"
        offered[file_name] = data
        return False

    monkeypatch.setattr(st, "download_button", button)
    return offered


def words(svg: bytes) -> str:
    texts = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return " ".join(" ".join(node.itertext()) for node in texts)


def test_homes_charts_are_files_for_a_paper_with_title_run_and_n(showing: Showing, files: Files) -> None:
    showing(known.sweep, known.trials(24), name=HOSTILE)
    open_page(HOME)
    for name, title in (("best-so-far", "Best macro-F1 so far"), ("best-trials", "Validation macro-F1 of")):
        assert {f"{name}.{form}" for form in (*paper.FORMS, "csv", "vl.json")} <= set(files)
        svg = files[f"{name}.svg"]()
        assert title in words(svg)
        assert "<b>run</b> ![x](http://evil.example/x.png)" in words(svg)
        assert re.search(r"n = 2\d trials", words(svg))
        assert b"<b>" not in svg
        pdf = files[f"{name}.pdf"]()
        assert pdf.startswith(b"%PDF")
        assert b"/FontFile" in pdf
        assert files[f"{name}.png"]().startswith(b"\x89PNG")


@pytest.mark.parametrize("view", ["home", "curves", "hyperparameters"])
def test_every_chart_is_an_svg_that_says_title_run_and_n(showing: Showing, files: Files, view: str) -> None:
    showing(synthetic_runs.sweep, name="a run")
    drawn = charts(open_page(f"views/{view}.py"))
    svgs = [made() for name, made in files.items() if name.endswith(".svg")]
    assert drawn
    assert svgs
    for svg in svgs:
        assert re.search(r"a run n = [\d,]+ \w+", words(svg)), words(svg)
        assert re.search(r'^<svg [^>]*width="321\.26"', svg.decode())


def test_the_width_of_a_figure_can_be_two_columns(showing: Showing, files: Files) -> None:
    showing(known.sweep, known.trials(24))
    app = open_page("views/hyperparameters.py")
    app.button_group(key="columns-importance").set_value(2).run()
    assert b'width="661.42"' in files["importance.svg"]()
