"""Names from outside in a real browser: what is selected and copied is the name, and nothing in it acts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import serving
from tests.support.browsing import Watched
from tests.support.names_page import names

pytestmark = pytest.mark.browser

SHOWN = """([kind, count]) => [...Array(count).keys()].map(number =>
    document.querySelector(`.st-key-${kind}-${number}`).innerText.trim())"""
OPTIONS = "() => [...document.querySelectorAll('.st-key-options button')].map(button => button.innerText)"
ACTING = """() => [...document.querySelectorAll(
    '[class*=st-key-] :is(a, img, em, del, script, ul, ol, h1, h2, h3, table, blockquote, sup, hr, .katex)'
)].map(node => node.outerHTML)"""


@pytest.fixture(scope="module")
def names_page(module_store: str) -> Iterator[str]:
    with serving(module_store, script="tests/support/names_page.py") as address:
        yield address


@pytest.mark.slow
def test_what_is_copied_from_a_caption_is_the_name_itself_and_nothing_in_it_acts(
    browser: Browser, names_page: str
) -> None:
    watched = Watched(browser, names_page)
    page = watched.open("")
    wanted = names()
    for kind, form in (("alone", "{}"), ("among", "Before {}, after"), ("bold", "Verdict: {}.")):
        shown = page.evaluate(SHOWN, [kind, len(wanted)])
        pairs = zip(wanted, shown, strict=True)
        assert {name: seen for name, seen in pairs if seen != form.format(name).strip()} == {}
    assert [option.strip() for option in page.evaluate(OPTIONS)] == [name.strip() for name in wanted]
    assert page.evaluate(ACTING) == []
    watched.check()
