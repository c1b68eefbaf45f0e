"""Words and numbers for people. Run names, captions and labels come from strangers: `plain` disarms them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

LONGEST = 80  # characters of a name; the rest is cut with an ellipsis

# Streamlit renders Markdown in headings, captions, metric labels and options, and an image in Markdown is
# a request to somebody's server. A backslash would show in the widgets that do not render Markdown, so the
# characters that Markdown acts on are replaced by look-alikes, or parted by an invisible joiner.
JOINER = "\u2060"
LOOK_ALIKES = str.maketrans(
    {
        "*": "∗",
        "`": "ˋ",
        "~": "∼",
        "$": "＄",
        "\\": "⧵",
        "<": "‹",
        ">": "›",
        "[": f"[{JOINER}",
        "]": f"]{JOINER}",
        "!": f"!{JOINER}",
        ":": f":{JOINER}",
        "&": f"&{JOINER}",
        "#": f"{JOINER}#",
        "_": f"{JOINER}_{JOINER}",
        "|": f"{JOINER}|",
    }
)


def clean(value: object, *, longest: int = LONGEST) -> str:
    """``value`` on one line, without control and direction characters, cut to ``longest`` characters."""
    one_line = " ".join(str(value).split())
    visible = "".join(c for c in one_line if c.isprintable())
    return visible if len(visible) <= longest else visible[: longest - 1] + "…"


def plain(value: object, *, longest: int = LONGEST) -> str:
    """`clean`, and Markdown finds nothing in it to act on. For every label, heading and caption."""
    text = clean(value, longest=longest).translate(LOOK_ALIKES)
    text = re.sub(r"(?i)www\.|@", lambda found: found.group() + JOINER, text)  # addresses turn into links
    return re.sub(r"^(\d+|[-+=])", rf"{JOINER}\1", text)  # lists, rules and underlined headings


def score(value: float | None) -> str:
    """A share between 0 and 1: three decimals; an en dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def interval(value: float | None, ends: tuple[float, float] | None) -> str:
    """``0.873 [0.861, 0.884]``; without the brackets where no interval is known."""
    return (
        score(value)
        if ends is None or not math.isfinite(ends[0])
        else f"{score(value)} [{score(ends[0])}, {score(ends[1])}]"
    )


def count(number: int | None, noun: str = "") -> str:
    """``1,797 images``; a noun is given in the singular and takes an s."""
    if number is None:
        return "–"
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def value(number: object) -> str:
    """A hyperparameter: three significant digits where it is a number."""
    if isinstance(number, bool) or not isinstance(number, int | float):
        return clean(number)
    if float(number).is_integer() and abs(number) < 1e6:
        return str(int(number))
    text = f"{number:.3g}"
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else text


def duration(seconds: float | None, *, short: bool = False) -> str:
    """``850 ms``, ``42 s``, ``3 min 5 s``, ``2 h 10 min``, ``4 d 3 h``; short: ``3.1 min``, ``2.2 h``."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    for size, unit, below, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size and short:
            return f"{seconds / size:.1f} {unit}"
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // below} {part}"
    return f"{whole} s"


def ago(moment: datetime | None, *, now: datetime | None = None) -> str:
    """``3 min 5 s ago``."""
    if moment is None:
        return "–"
    return f"{duration(((now or datetime.now(UTC)) - moment).total_seconds())} ago"
