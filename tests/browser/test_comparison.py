"""What a person does on the pages "Zero-shot" and "Image and text", in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.support import synthetic_comparison, synthetic_runs
from tests.support.browsing import CHART, MAIN, WITHIN_MS, Watched, choose
from trainer.tracking.schema import Kind

pytestmark = pytest.mark.browser


@pytest.mark.slow
def test_a_person_sees_which_images_the_text_rescues_and_a_link_brings_another_back(
    browser: Browser,
    address: str,
    tracking_uri: str,
) -> None:
    synthetic_comparison.run(tracking_uri, Kind.FUSION)
    watched = Watched(browser, address)
    page = watched.open("fusion")
    main = page.locator(MAIN)
    rescued = main.get_by_text("correct for gated, wrong for image only")
    choose(page, "Methods", "gated − image only")
    expect(rescued).to_be_visible(timeout=WITHIN_MS)
    main.get_by_role("radio", name="image only").or_(
        main.get_by_role("button", name="image only")
    ).first.click()
    expect(main.get_by_text("correct for image only, wrong for gated")).to_be_visible(timeout=WITHIN_MS)
    expect(page).to_have_url(re.compile("only=image"), timeout=WITHIN_MS)
    link = page.url.partition("/fusion")[2]
    page = watched.open(f"fusion{link}")
    expect(main.get_by_text("correct for image only, wrong for gated")).to_be_visible(timeout=WITHIN_MS)
    watched.check()


@pytest.mark.parametrize("kind", [Kind.ZERO_SHOT, Kind.FUSION])
def test_a_run_full_of_traps_springs_none(
    browser: Browser,
    address: str,
    tracking_uri: str,
    kind: Kind,
) -> None:
    synthetic_comparison.run(tracking_uri, kind, hostile=synthetic_runs.HOSTILE)
    watched = Watched(browser, address)
    page = watched.open({Kind.ZERO_SHOT: "zeroshot", Kind.FUSION: "fusion"}[kind])
    page.locator(CHART).nth(2).wait_for(timeout=WITHIN_MS)
    links = page.evaluate("[...document.links].map(link => link.href)")
    assert [link for link in links if not link.startswith(address)] == []
    watched.check()
