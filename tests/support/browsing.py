"""What the tests in a real browser share. Their fixtures are in `conftest`."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Error, Page, TimeoutError

from tests.support.browser import settle

CHART = "[data-testid=stVegaLiteChart] :is(canvas, svg.marks)"
MAIN = "[data-testid=stMain]"
EMPTY = "_stcore/health"  # answers with a word
WITHIN_MS = 60_000  # what a person would wait for at most; a busy machine is slow
TICK, CELL = 15, 150  # pixels from the left edge of a table: its boxes to tick, and a cell
FIRST_ROW, ROW = 50, 31  # pixels from its upper edge, and between rows
LIST_MS = 10_000  # how long a list that was clicked may take to open


def choose(page: Page, box: str, option: str) -> None:
    """Choose from a list as people do: one that a page still being drawn closed is opened once more."""
    settle(page)
    wanted = page.get_by_role("option", name=option)
    for _ in range(WITHIN_MS // LIST_MS):
        page.get_by_role("combobox", name=box).click()
        try:
            wanted.click(timeout=LIST_MS)
        except TimeoutError:
            continue
        return
    raise AssertionError(f"the list {box!r} never showed {option!r}")


def tick(page: Page, *rows: int) -> None:
    """Tick rows of the first table whose rows have boxes."""
    for row in rows:
        _click_row(page, row, TICK)


def open_row(page: Page, row: int) -> None:
    """Click into a row of the first table."""
    _click_row(page, row, CELL)


def _click_row(page: Page, row: int, across: int) -> None:
    box = page.get_by_test_id("stDataFrame").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + across, box["y"] + FIRST_ROW + row * ROW)
    settle(page)


class Watched:
    """A page that remembers what must not happen: errors in the console, dialogs, requests to other machines.

    Its tab is one that an earlier test has left: in a new one the browser would compile the dashboard's code
    again, which is half of what a page costs.
    """

    looking: ClassVar[list[Watched]] = []

    def __init__(
        self, browser: Browser, address: str, *, color_scheme: str = "light", alone: bool = False
    ) -> None:
        """``alone``: of another person, without what other pages of the browser fetched or keep."""
        self.address = address
        self.errors: list[str] = []
        self.nothings: list[str] = []  # requests for what a page has no address of
        self.strangers: list[str] = []
        self.dialogs: list[str] = []
        self.page = browser.new_context().new_page() if alone else _tab(browser)
        self._handlers: dict[str, Any] = {
            "console": self._hear,
            "pageerror": lambda error: self.errors.append(str(error)),
            "request": lambda request: self._see(request.url),
            "dialog": self._dismiss,
        }
        for event, handler in self._handlers.items():
            self.page.on(event, handler)  # type: ignore[call-overload]
        self.page.set_viewport_size({"width": 1400, "height": 1000})
        self.page.emulate_media(color_scheme=color_scheme)  # type: ignore[arg-type]
        self.looking.append(self)

    def _hear(self, message: ConsoleMessage) -> None:
        # On a deep link Streamlit first asks for its health below the page's own path, in vain.
        if message.type == "error" and "_stcore" not in message.location.get("url", ""):
            self.errors.append(message.text)

    def _see(self, url: str) -> None:
        if not url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:")):
            self.strangers.append(url)
        if urlsplit(url).path.rpartition("/")[2] in ("null", "undefined", "NaN", "None"):
            self.nothings.append(url)  # Streamlit answers with its own page: no error in the console

    def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.address}/{path}")
        settle(self.page)
        return self.page

    def check(self) -> None:
        assert self.page.locator("[data-testid=stException]").count() == 0
        assert self.errors == []
        assert self.nothings == []
        assert self.dialogs == []
        assert self.strangers == []

    def leave(self) -> None:
        """Leave the tab, and nothing in it, to another: an open page would redraw itself for ever."""
        self.looking.remove(self)
        for event, handler in self._handlers.items():
            self.page.remove_listener(event, handler)
        if self.page.url.startswith("http"):
            self.page.evaluate("localStorage.clear(); sessionStorage.clear()")
            try:
                self.page.goto(f"{self.address}/{EMPTY}")
            except Error:  # a dashboard of the test's own, which has ended
                self.page.close()


def _tab(browser: Browser) -> Page:
    """A tab of the first context in which nobody looks at the dashboard."""
    context = browser.contexts[0]
    taken = [watched.page for watched in Watched.looking]
    return next((page for page in context.pages if page not in taken), None) or context.new_page()
