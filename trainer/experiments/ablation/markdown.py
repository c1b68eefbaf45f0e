"""Markdown in which names that came from outside stay what they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

ACTED_ON = re.compile(
    r"[\\`*_~$|@#]"
    r"|(?<=\])[(\[:]"  # brackets are a link only with what follows them
    r"|<(?=\S)"
    r"|&(?=[#\w])"
    r"|:(?=\S)"  # https://, :smile:
    r"|(?<=www)\.",
    re.IGNORECASE,
)


def literal(text: object) -> str:
    """Return ``text`` on one line, such that Markdown shows it as it is, within a paragraph or a table.

    It is left alone where it can be: files like these are often read as they are.
    """
    visible = "".join(c if c.isprintable() else " " for c in str(text))
    return ACTED_ON.sub(lambda found: "\\" + found.group(), " ".join(visible.split()))


def code(text: str) -> str:
    """Return a block of shell commands, escaped."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}"


def as_table(head: Sequence[str], body: Iterable[Sequence[str]], *, texts: int = 1) -> str:
    """Return a table; the first ``texts`` columns are aligned at the left, as words are, all others at the
    right."""
    rule = [":--" if at < texts else "--:" for at in range(len(head))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))
