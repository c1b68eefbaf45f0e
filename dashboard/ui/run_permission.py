"""Whether a page may start and stop runs: only where somebody allowed it, on and for this machine.

Who starts a run acts as the person who started the server. So the server must listen here only, the browser
must have asked it by a name of this machine, from a page of its own, and nothing may stand between.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

import streamlit as st

from dashboard import text
from dashboard.runs.launcher import ALLOWED
from dashboard.ui import state

COMMAND = "python -m trainer dashboard --allow-runs"
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")  # headers of proxies


class PageRequest(NamedTuple):
    """How a page was asked for."""

    address: str | None  # that the server listens on; None: all of them
    protected: bool  # whether pages of other sites are kept from connecting
    host: str  # header of the request
    origin: str  # of the page that connected
    forwarded: bool  # by a proxy


def why_not() -> str:
    """Say why no run can be started from this page, in Markdown; "" where one can."""
    if state.read_only():
        return f"This dashboard is read-only (`{state.READ_ONLY}`)."
    if os.environ.get(ALLOWED, "") in ("", "0"):
        return f"Starting from here is off. On your own machine, switch it on with `{COMMAND}`."
    return not_local(_asked())


def not_local(asked: PageRequest) -> str:
    """Say why a request is not one of this machine to this machine, in Markdown; "" where it is."""
    if not is_loopback(asked.address or ""):
        where = text.plain(asked.address or "all addresses", longest=100)
        return f"Starting is off: the server listens on {where}, not only on 127.0.0.1."
    if not asked.protected:
        return "Starting is off: `server.enableCORS` and `server.enableXsrfProtection` must be on."
    if asked.forwarded:
        return "Starting is off: a proxy forwarded this page."
    for url in (f"//{asked.host}", asked.origin):
        if not is_loopback(_host_in(url)):
            name = text.plain(_host_in(url) or "an unknown name", longest=100)
            return f"Starting is off: open this page as 127.0.0.1 or localhost, not as {name}."
    return ""


def is_loopback(host: str) -> bool:
    """Whether a name or address is that of this machine for itself."""
    try:
        return host.lower() == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _host_in(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _asked() -> PageRequest:
    headers = st.context.headers
    return PageRequest(
        address=st.get_option("server.address"),
        protected=bool(st.get_option("server.enableCORS") and st.get_option("server.enableXsrfProtection")),
        host=headers.get("Host") or "",
        origin=headers.get("Origin") or "",
        forwarded=any(name in headers for name in FORWARDED),
    )
