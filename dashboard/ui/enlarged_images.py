"""How large an image is that somebody opens at full screen."""

from __future__ import annotations

import streamlit as st

# Streamlit leaves it as wide as its file, and thumbnails are narrower than most galleries show them. Only an
# image at full screen has this style.
FULL_SCREEN = ":has(img[style*='object-fit: contain'])"
RULES = f"""
[data-testid=stImage]{FULL_SCREEN}, [data-testid=stImageContainer]{FULL_SCREEN} {{width: 100%}}
"""


def fill_screen() -> None:
    """Let an image at full screen take all the room that there is; for every page."""
    st.html(f"<style>{RULES}</style>")
