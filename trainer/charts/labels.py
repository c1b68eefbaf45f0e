"""Names from outside, as they fit into a chart."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence


def visible(text: str) -> str:
    """``text`` on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def fitted(text: str, width: int) -> str:
    """`visible`, in at most two lines of ``width`` characters, else cut."""
    return textwrap.fill(visible(text), width, max_lines=2, placeholder=" …")


def distinct(names: Sequence[str], width: int) -> list[str]:
    """`visible`, cut to ``width`` characters, no two alike."""
    shown = [visible(name) for name in names]
    short = [name if len(name) <= width else f"{name[: width - 1]}…" for name in shown]
    again = Counter(short)
    return [f"{name} ({i + 1})" if again[name] > 1 else name for i, name in enumerate(short)]
