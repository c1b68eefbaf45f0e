"""Rules of style for all pages, where Streamlit's own do not serve."""

from __future__ import annotations

import streamlit as st

# An image at full screen, which alone has this style, is as wide as its file: narrower than most galleries
# show thumbnails.
FULL_SCREEN = ":has(img[style*='object-fit: contain'])"
# In the dark theme the accent colour is too light for white words.
BELOW_WHITE = "#0b5c93"
RULES = f"""
[data-testid=stImage]{FULL_SCREEN}, [data-testid=stImageContainer]{FULL_SCREEN} {{width: 100%}}
[data-testid=stMultiSelect] :has(> span[title]) {{background-color: {BELOW_WHITE} !important}}
[data-testid=stBaseButton-primary]:not(:disabled) {{
  background-color: {BELOW_WHITE}; border-color: {BELOW_WHITE}
}}
[data-testid=stBaseButton-primary]:not(:disabled):hover {{filter: brightness(1.15)}}
"""


def use() -> None:
    """Let a page follow the rules."""
    st.html(f"<style>{RULES}</style>")
