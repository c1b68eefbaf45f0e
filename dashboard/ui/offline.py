"""Keep the server of the dashboard from asking other machines anything."""

from __future__ import annotations

from streamlit import net_util


def stay_offline() -> None:
    """Answer Streamlit's questions for this machine's addresses with none.

    Whenever a page of another site tries to connect, Streamlit (1.67, ``is_url_from_allowed_origins``)
    compares its origin with them, and asks checkip.amazonaws.com for the outer one, while all sessions wait.
    The dashboard's own pages are let in before that, because their origin is the host that they ask.
    """
    for name in ("get_internal_ip", "get_external_ip"):
        setattr(net_util, name, lambda: None)
