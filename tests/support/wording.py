"""The limits that text on a page keeps to, so that it is read."""

from __future__ import annotations

import re
from collections.abc import Iterable

from streamlit.testing.v1 import AppTest

CAPTION, PARAGRAPH, VERDICT = 40, 60, 20  # words at most
BANNED = (  # coinages; the field has a standard term for each
    *("picture", "pictures", "spoiled", "thrown out", "told from", "held against", "looked for", "anew"),
    *("likeness", "surest", "the first of its kind", "for certain", "for sure", "rightly", "judged by"),
)
_MARKS = re.compile(r":material/\w+:|:\w+\[|[*`]")
_WORD = re.compile(r"\S*[^\W_]\S*")


def count(text: str) -> int:
    """Return how many words a text has; icons and Markdown's marks are none."""
    return len(_WORD.findall(_MARKS.sub(" ", text)))


def captions(app: AppTest) -> list[str]:
    return [node.value for node in app.caption]


def paragraphs(app: AppTest) -> list[str]:
    """Return every paragraph of a page, those in boxes, in expanders and in list items among them."""
    nodes = [*app.markdown, *app.text, *app.info, *app.success, *app.warning, *app.error]
    texts = [str(node.value) for node in nodes]
    return [part for text in texts for part in re.split(r"\n\s*\n|\n[-*] |  \n", text) if part.strip()]


def verdicts(app: AppTest) -> list[str]:
    """Return what stands alone in bold."""
    return [part for part in paragraphs(app) if re.fullmatch(r"\s*\*\*[^*]+\*\*\s*", part)]


def banned(texts: Iterable[str]) -> list[str]:
    """Return the texts that use a coinage, each with it."""
    found = re.compile(rf"\b({'|'.join(BANNED)})\b", re.IGNORECASE)
    return [f"{match.group()}: {text}" for text in texts if (match := found.search(text))]


def too_long(texts: Iterable[str], most: int) -> list[str]:
    return [f"{count(text)} words: {text}" for text in texts if count(text) > most]
