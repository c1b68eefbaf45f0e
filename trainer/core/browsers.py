"""The browser on this machine, for what is drawn or printed by one."""

from __future__ import annotations

import shutil

BROWSERS = (
    "chromium-headless-shell",  # without windows to draw: a third less work
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
)


def find_browser() -> str | None:
    """Return the path of a Chromium or Chrome, None where there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)
