"""The navigation at the side, and what the Back button returns to."""

from __future__ import annotations

import streamlit as st

from dashboard.ui.pages import sections

ITEM = "[data-testid=stSidebarNavItems] > li:nth-child({})::before"
HEADING = "display: block; padding: 0.75rem 0.5rem 0.25rem; font-size: 0.8rem; font-weight: 600;"
# Streamlit makes an entry of the browser's history whenever a script writes to the address: Back would first
# return to the same page without what the script wrote. Here only another page makes an entry.
ONE_ENTRY_A_PAGE = """<script>
if (!window.headroomHistory) {
  const push = window.history.pushState.bind(window.history);
  const replace = window.history.replaceState.bind(window.history);
  window.history.pushState = (state, unused, url) => {
    const same = new URL(url ?? "", window.location.href).pathname === window.location.pathname;
    (same ? replace : push)(state, unused, url);
  };
  window.headroomHistory = true;
}
</script>"""
# A page of another site could show this one below something to click on (clickjacking).
NOT_WITHIN_ANOTHER_PAGE = """<script>
if (window.top !== window.self) document.body.textContent = "Open this page in a tab of its own.";
</script>"""


def headings() -> None:
    """Put a heading above each section; call it before `st.navigation`.

    Streamlit's own headings are items of no list inside one, where screen readers lose count, and fold away.
    """
    rules = (
        f'{ITEM.format(place + 1)} {{content: "{name}"; {HEADING}}}' for place, name in sections().items()
    )
    st.html(f"<style>{' '.join(rules)}</style>")


def history() -> None:
    """Let one press of Back return to the page before."""
    with st.sidebar:
        st.html(ONE_ENTRY_A_PAGE, unsafe_allow_javascript=True)


def alone() -> None:
    """Show nothing where another page has this one in a frame; for pages whose buttons start something."""
    with st.sidebar:
        st.html(NOT_WITHIN_ANOTHER_PAGE, unsafe_allow_javascript=True)
