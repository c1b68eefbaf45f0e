"""Entry of the dashboard: ``streamlit run dashboard/Home.py``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # streamlit puts only this file's folder there
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402

from dashboard.ui import navigation, offline, page_style, run_permission, sidebar, state  # noqa: E402
from dashboard.ui.pages import HOME, PAGES, title_of  # noqa: E402

offline.stay_offline()
st.set_page_config(page_title="Headroom", page_icon=str(ROOT / "dashboard" / "icon.svg"), layout="wide")
navigation.headings()
page_style.use()
about = state.glimpsed()
objective = about.objective if about else None
page = st.navigation(
    [
        st.Page(one.file, title=one.title, icon=one.shortcode, default=True)
        if one is HOME
        else st.Page(
            one.file,
            title=title_of(one, objective),
            icon=one.shortcode,
            url_path=one.view,
        )
        for one in PAGES
    ],
    expanded=True,
)
navigation.history()
if not run_permission.why_not():
    navigation.alone()
OF_SWEEPS = {"" if one is HOME else one.view for one in PAGES if one.of_sweeps}


def show_sidebar() -> None:
    if page.url_path in OF_SWEEPS:
        sidebar.show()


state.opens(page.url_path)
try:
    page.run()
except Exception:
    show_sidebar()  # where another run is chosen, if this one is too much for the page
    raise
show_sidebar()  # after the page, for which people have come
state.opened()
