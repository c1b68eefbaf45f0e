"""Labels are kept, corrected, dropped and undone by keys, image by image, and never while somebody types."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from dashboard.ui.label_corrections import BY_KEY, FOLDER, TITLE
from tests.support import synthetic_runs
from tests.support.browser import settle
from tests.support.browsing import Watched, choose
from trainer.core import corrections
from trainer.core.corrections import Action, Correction

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TWOS = "embeddings?legend=2"  # a selection of 13 images


def pressed(page: Page, key: str) -> None:
    page.keyboard.press(key)
    settle(page)


def left_field(page: Page) -> None:
    """Click where nothing is, as after typing."""
    page.get_by_text("of 13 images decided").click()
    settle(page)


def test_keys_keep_relabel_drop_skip_and_undo(
    browser: Browser, address: str, tracking_uri: str, tmp_path: Path
) -> None:
    synthetic_runs.sweep(tracking_uri)
    watched = Watched(browser, address)
    page = watched.open(TWOS)
    page.get_by_text(TITLE).click()
    page.get_by_role("button", name=BY_KEY).click()
    settle(page)
    folder = Path(tracking_uri.removeprefix("sqlite:///")).parent / FOLDER

    def rows() -> list[Correction]:
        return [one for path in folder.glob("*.csv") for one in corrections.read(path)]

    page.get_by_role("textbox", name="Your name").press_sequentially("Udlnk")
    left_field(page)
    assert rows() == []
    pressed(page, "k")
    choose(page, "Relabel as", "7")
    left_field(page)
    pressed(page, "l")
    skipped = page.get_by_text("digit-").last.inner_text()
    pressed(page, "n")
    pressed(page, "d")
    page.get_by_text("3 of 13 images decided").wait_for()
    assert [(one.action, one.new) for one in rows()] == [
        (Action.KEEP, ""),
        (Action.RELABEL, "7"),
        (Action.DROP, ""),
    ]
    assert {one.who for one in rows()} == {"Udlnk"}
    assert {len(one.content_hash) for one in rows()} == {64}
    assert len({one.sample_id for one in rows()} | {skipped}) == 4
    for left in (2, 1, 0):
        pressed(page, "u")
        page.get_by_text(f"{left} of 13 images decided").wait_for()
    assert corrections.standing(rows()) == []
    pressed(page, "u")  # nothing is left to undo
    assert len(rows()) == 6
    watched.check()
    watched.leave()
