"""Captions that give their class away, and captions from which the names of the classes are taken out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

_BETWEEN = r"[\W_]+"  # words of a name: "playing card", "playing-card", "playing_card"
_GAPS = re.compile(r"\s+")
_EMPTY_ITEMS = re.compile(r"(\s*[,;|]\s*)+")


def name_pattern(names: Sequence[str]) -> re.Pattern[str]:
    """Finds any of the names as whole words, in any case, also in a regular plural."""
    words = [[re.escape(word) for word in re.split(_BETWEEN, name) if word] for name in names]
    longest_first = sorted((_BETWEEN.join(parts) for parts in words if parts), key=len, reverse=True)
    any_name = "|".join(longest_first) or r"(?!)"
    return re.compile(rf"(?<![^\W_])(?:{any_name})(?:e?s)?(?![^\W_])", re.IGNORECASE)


def mentions_own_class(
    caption: Sequence[str], label_n: np.ndarray, names: Sequence[Sequence[str]]
) -> np.ndarray:
    """bool [N]: a caption has one of the names of its own row's class in it.

    Args:
        names: of every class.
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
    """The captions without the names of any class: to hide a row's own alone would give it away, too."""
    any_name = name_pattern([name for of_class in names for name in of_class])

    def without(text: str) -> str:
        while any_name.search(text):  # what is left may be a name again: "playing cat card"
            text = any_name.sub(" ", text)
        return _GAPS.sub(" ", _EMPTY_ITEMS.sub(", ", text)).strip(" ,;|")

    return tuple(without(text) for text in caption)
