"""What the tests in a real browser share. Their fixtures are in `conftest`."""

from __future__ import annotations

from playwright.sync_api import Browser, ConsoleMessage, Page, TimeoutError

from tests.support.browser import settle

CHART = "[data-testid=stVegaLiteChart] :is(canvas, svg.marks)"
MAIN = "[data-testid=stMain]"
WITHIN_MS = 60_000  # what a person would wait for at most; a busy machine is slow
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


class Watched:
    """A page that remembers what must not happen: errors in the console, requests to other machines."""

    def __init__(
        self, browser: Browser, address: str, *, color_scheme: str = "light", alone: bool = False
    ) -> None:
        """``alone``: of another person, without what other pages of the browser fetched or keep."""
        self.address, self.errors, self.strangers = address, [], []  # type: ignore[var-annotated]
        context = browser.new_context() if alone else browser.contexts[0]
        self.page: Page = context.new_page()
        self.page.set_viewport_size({"width": 1400, "height": 1000})
        self.page.emulate_media(color_scheme=color_scheme)  # type: ignore[arg-type]
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._see(request.url))

    def _hear(self, message: ConsoleMessage) -> None:
        # On a deep link Streamlit first asks for its health below the page's own path, in vain.
        if message.type == "error" and "_stcore" not in message.location.get("url", ""):
            self.errors.append(message.text)

    def _see(self, url: str) -> None:
        if not url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:")):
            self.strangers.append(url)

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.address}/{path}")
        settle(self.page)
        return self.page

    def check(self) -> None:
        assert self.page.locator("[data-testid=stException]").count() == 0
        assert self.errors == []
        assert self.strangers == []
