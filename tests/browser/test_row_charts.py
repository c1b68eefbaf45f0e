"""Charts with a row for each thing, in a real browser: a row can be read, however few there are."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import serving
from tests.support.browsing import Watched
from tests.support.paths import REPO
from tests.support.row_charts import CHARTS, ROWS
from trainer.charts.rows import LEAST

pytestmark = pytest.mark.browser

SCRIPT = "tests/support/row_charts.py"
PLOTS = """() => [...document.querySelectorAll('[data-testid=stVegaLiteChart] svg.marks')].map(svg => [
    svg.querySelector('.role-frame.root > g > path.background').getBBox().height, +svg.getAttribute('width'),
    svg.closest('[data-testid=stVegaLiteChart]').getBoundingClientRect().width])"""

CUT = """() => [...document.querySelectorAll('[data-testid=stVegaLiteChart] svg.marks')].flatMap(svg => {
    const whole = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll('text')];
    return texts.filter(text => {
        const box = text.getBoundingClientRect();
        return box.width > 0 && (box.left < whole.left - 0.5 || box.right > whole.right + 0.5
            || box.top < whole.top - 1 || box.bottom > whole.bottom + 1);
    }).map(text => `${text.textContent} in ${svg.getAttribute('aria-label')}`);
})"""
SWATCHES = """() => [...document.querySelectorAll('svg.marks .role-legend-symbol path')].map(path =>
    +(path.getAttribute('opacity') ?? 1))"""
NAMES = (
    "() => [...document.querySelectorAll('svg.marks .role-axis-label text')].map(text => text.textContent)"
)


@pytest.fixture(scope="module")
def row_charts(module_store: str) -> Iterator[str]:
    with serving(module_store, script=SCRIPT) as address:
        yield address


@pytest.mark.slow
def test_every_row_of_a_row_chart_is_high_enough_however_few_rows_there_are(
    browser: Browser, row_charts: str
) -> None:
    watched = Watched(browser, row_charts)
    plots = watched.open("").evaluate(PLOTS)
    asked = [(name, count) for name in CHARTS for count in ROWS]
    assert len(plots) == len(asked)
    low = {
        f"{name} of {count}": height / count
        for (name, count), (height, _, _) in zip(asked, plots, strict=True)
        if height / count < LEAST
    }
    assert low == {}
    wide = {asked[at] for at, (_, drawn, place) in enumerate(plots) if drawn > place + 1}
    assert wide == set()
    watched.check()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1400, 390])
def test_no_label_is_cut_no_swatch_is_faint_and_zero_has_no_sign(
    browser: Browser, row_charts: str, width: int
) -> None:
    watched = Watched(browser, row_charts)
    watched.page.set_viewport_size({"width": width, "height": 1000})
    page = watched.open("")
    assert page.evaluate(CUT) == []
    assert set(page.evaluate(SWATCHES)) == {1}
    labels = set(page.evaluate(NAMES))
    assert "0" in labels
    assert not labels & {"+0", "+0.0", "+0.00", "−0"}


def test_the_row_charts_that_are_looked_at_are_all_there_are() -> None:
    found = set()
    for package in ("dashboard/charts", "trainer/charts"):
        for path in (REPO / package).glob("*.py"):
            module = ".".join(path.relative_to(REPO).with_suffix("").parts)
            if any(_is_row_axis(node) for node in ast.walk(ast.parse(path.read_text()))):
                found.add(module)
    assert found == {name.rpartition(".")[0] for name in CHARTS}


def _is_row_axis(node: ast.AST) -> bool:
    """Whether this makes a y axis of names."""
    if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "alt.Y" and node.args):
        return False
    field = node.args[0]
    return isinstance(field, ast.Constant) and str(field.value).endswith((":N", ":O"))
