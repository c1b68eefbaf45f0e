"""A page of the dashboard run in process, and what a person reads on it."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.ui.run_permission import PageRequest
from tests.support.paths import REPO
from tests.support.stores import fresh_store

HOME = "views/home.py"
LOCAL = PageRequest("127.0.0.1", True, "localhost:8501", "http://localhost:8501", False)  # of this machine
# Code between as many backticks as it begins with, or an escaped character.
SPAN = re.compile(r"(?<!`)(`+)( ?)((?:(?!(?<!`)\1(?!`)).)+)\2\1(?!`)|\\([!-/:-@\[-`{-~])")
Showing = Callable[..., Any]  # a writer of runs and its arguments behind the store's URI → what it returned


def open_page(page: str, **query: str) -> AppTest:
    """The page of the store that the environment names, as somebody sees it who comes in at Home."""
    app = AppTest.from_file(str(REPO / "dashboard" / "Home.py"), default_timeout=300)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    if page != HOME:
        app.switch_page(page).run()
    assert not app.exception, app.exception[0].message
    return app


def nobody_looking() -> Any:
    """Pages do not pause after their first chart, for a browser to draw it."""
    from dashboard.ui import state

    return patch.multiple(state, AHEAD_S=0, FIRST_AHEAD_S=0)


def restart() -> None:
    """As if the server were started again: nothing that it has read is known."""
    st.cache_data.clear()
    st.cache_resource.clear()


def charts(app: AppTest) -> list[Any]:
    return list(app.get("vega_lite_chart"))


def captions(app: AppTest) -> list[str]:
    """What stands below images, rendered as Markdown."""
    return [caption for image in app.image for caption in image.captions]


def active(markdown: str) -> str:
    """What is left of Markdown without code and escapes, which act on nothing."""
    return "\n".join(SPAN.sub(" ", line) for line in markdown.split("\n"))


def words(app: AppTest) -> str:
    """Everything that the page renders as Markdown, and its plain text."""
    nodes = [*app.markdown, *app.caption, *app.header, *app.subheader, *app.title, *app.text, *app.code]
    nodes += [*app.info, *app.warning, *app.error, *app.metric]
    return "\n".join([*(str(getattr(node, "value", "")) for node in nodes), *captions(app)])


class Stores:
    """Stores of one run each, written once for all tests that ask for the same run and change nothing."""

    def __init__(self, migrated: Path, new_folder: Callable[[str], Path]) -> None:
        self._migrated, self._new_folder = migrated, new_folder
        self._made: dict[bytes, tuple[str, Any]] = {}

    def __call__(self, write: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[str, Any]:
        """The store's URI, and what ``write`` returned for it."""
        key = pickle.dumps((write.__module__, write.__qualname__, arguments, options))
        if key not in self._made:
            uri = fresh_store(self._migrated, self._new_folder("store"))
            self._made[key] = uri, write(uri, *arguments, **options)
        return self._made[key]


def gallery_alone(frame: pd.DataFrame, **query: str) -> AppTest:
    """A gallery of these rows, ten to a page."""

    def script() -> None:
        import streamlit as st

        from dashboard.ui import gallery

        gallery.show(st.session_state["rows"], key="page", order="in this order", per_page=10)

    app = AppTest.from_function(script)
    app.session_state["rows"] = frame
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].message
    return app
