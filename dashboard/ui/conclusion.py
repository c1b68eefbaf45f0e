"""What a study comes to: its verdict in one bold line, and the rest of its conclusion behind it."""

from __future__ import annotations

import re

import streamlit as st

from dashboard import text
from dashboard.ui import layout

MOST_WORDS, LONG = 20, 40  # of a verdict; of a line
SENTENCES = re.compile(r"(?<=[.!?]) (?=[A-Z])")
MINUS = re.compile(r"(?<![\w.)\]])-(?=\d)")


def show(recorded: str) -> None:
    """Show the conclusion that a command recorded: lines of which the first is the verdict.

    Earlier versions recorded a paragraph: it is shown sentence by sentence, and has no verdict.
    """
    lines = [line for line in recorded.splitlines() if line.strip()]
    brief = bool(lines) and count(lines[0]) <= MOST_WORDS
    if brief:
        layout.verdict(shown(lines.pop(0)))
    if lines:
        parts = [part for line in lines for part in (SENTENCES.split(line) if _is_long(line) else [line])]
        with st.expander("Details", expanded=not brief):
            st.markdown("\n".join(f"- {shown(part)}" for part in parts))


def count(line: str) -> int:
    """Return how many words a line has; signs such as "=" are none."""
    return sum(any(map(str.isalnum, word)) for word in line.split())


def _is_long(line: str) -> bool:
    return count(line) > LONG


def shown(line: str) -> str:
    """Return a line of a conclusion for a page."""
    return text.plain(MINUS.sub("−", line), longest=600)
