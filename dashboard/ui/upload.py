"""Files that people drop on a page: how large they may be, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

MOST_MB = 20  # of a file


def uploader(label: str, *, key: str, several: bool = False, extensions: Sequence[str] | None = None) -> Any:
    """What was dropped: a file or None, or a list of files where ``several`` may be.

    Args:
        extensions: of the files that can be chosen; None: any.
    """
    return st.file_uploader(
        label,
        type=extensions,
        accept_multiple_files=several,
        max_upload_size=MOST_MB,
        key=key,
        help="Kept in memory only, never written to disk.",
    )


def limits(described: str) -> str:
    """Say which files can be dropped, and how large."""
    return f"{described}; at most {MOST_MB} MB"
