"""Find captions that name their class, and remove class names from captions."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

_BETWEEN = r"[\W_]+"  # separates the words of a name: "playing card", "playing-card", "playing_card"
_GAPS = re.compile(r"\s+")
_EMPTY_ITEMS = re.compile(r"(\s*[,;|]\s*)+")


def name_pattern(names: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern for the names as whole words, ignoring case, with regular plurals."""
    words = [[re.escape(word) for word in re.split(_BETWEEN, name) if word] for name in names]
    longest_first = sorted((_BETWEEN.join(parts) for parts in words if parts), key=len, reverse=True)
    any_name = "|".join(longest_first) or r"(?!)"
    return re.compile(rf"(?<![^\W_])(?:{any_name})(?:e?s)?(?![^\W_])", re.IGNORECASE)


def mentions_own_class(
    caption: Sequence[str], label_n: np.ndarray, names: Sequence[Sequence[str]]
) -> np.ndarray:
    """Return which captions contain a name of their own class: bool [N].

    Args:
        names: names of each class.
    """
    patterns = [name_pattern(of_class) for of_class in names]
    return np.array(
        [
            bool(text) and label >= 0 and patterns[label].search(text) is not None
            for text, label in zip(caption, label_n, strict=True)
        ],
        dtype=bool,
    )


def remove_class_names(caption: Sequence[str], names: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Remove the names of all classes from captions. Removing only a row's own would leak its class, too."""
    any_name = name_pattern([name for of_class in names for name in of_class])

    def without(text: str) -> str:
        while any_name.search(text):  # repeat: the rest may be a name again, as in "playing cat card"
            text = any_name.sub(" ", text)
        return _GAPS.sub(" ", _EMPTY_ITEMS.sub(", ", text)).strip(" ,;|")

    return tuple(without(text) for text in caption)
