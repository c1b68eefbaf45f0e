"""Words and numbers for people. Names, captions and labels are untrusted input: `plain` escapes Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

from trainer.core.text import (
    Form,
    below_expected,
    brackets,
    cautions,
    change,
    compared,
    could_show,
    count,
    detectable,
    duration,
    figure,
    forms,
    interval,
    known,
    left,
    natural_key,
    p_equals,
    p_value,
    quantity,
    rate,
    rows_drawn,
    score,
    signed,
    significant,
)

__all__ = [
    "NO_WIDTH",
    "Form",
    "ago",
    "below_expected",
    "brackets",
    "cautions",
    "change",
    "clean",
    "compared",
    "could_show",
    "count",
    "detectable",
    "duration",
    "ends",
    "figure",
    "forms",
    "interval",
    "known",
    "left",
    "natural_key",
    "no_width",
    "over_seeds",
    "p_equals",
    "p_value",
    "plain",
    "quantity",
    "rate",
    "rows_drawn",
    "score",
    "short_encoder",
    "short_path",
    "signed",
    "significant",
    "span",
    "spread",
    "value",
]

NO_WIDTH = 1e-9  # of an interval
LONGEST = 80  # characters of a name; the rest is cut with an ellipsis

# Streamlit renders Markdown in headings, captions, labels of widgets and options of pills, and an image in
# Markdown is a request to somebody's server. Options of lists and tables render none: they get `clean`.
_ACTIVE = re.compile(r"[\\`*\[\]<{}|$~!&#^]|(?<![^\W_])_|_(?![^\W_])|(?<=:material)/")
_LEADING = re.compile(r"^(\d+(?=[.)]$)|>|[-+]$|=(?==*$))")
# What no escape stops, as it is looked for in the text itself: arrows, dashes, addresses that become links.
_IN_TEXT = re.compile(r"->|<-|--|[~<>]=|://|www\.|@", re.IGNORECASE)
_PUNCTUATION = ":,.;"
_PARTS = re.compile(r"(\s+|:material/)")  # Streamlit changes the latter even in code


def clean(value: object, *, longest: int = LONGEST) -> str:
    """``value`` on one line, without control and direction characters, cut to ``longest`` characters."""
    one_line = " ".join(str(value).split())
    visible = "".join(c for c in one_line if c.isprintable())
    return visible if len(visible) <= longest else visible[: longest - 1] + "…"


def plain(value: object, *, longest: int = LONGEST) -> str:
    """`clean`, written in Markdown: what is shown and copied is the text itself. For labels and captions."""
    parts = _PARTS.split(clean(value, longest=longest))
    return "".join(
        _code(part) if _IN_TEXT.search(part) else _escaped(part, first=number == 0)
        for number, part in enumerate(parts)
    )


def _escaped(part: str, *, first: bool) -> str:
    escaped = _ACTIVE.sub(r"\\\g<0>", part)
    if ":" in part[:-1]:  # not that of a word before what it announces
        escaped = escaped.replace(":", "\\:")
    if not first:
        return escaped
    return _LEADING.sub(lambda found: found[1] + "\\" if found[1].isdecimal() else "\\" + found[1], escaped)


def _code(part: str) -> str:
    """Write a word as code, without the punctuation that follows it."""
    word = part.rstrip(_PUNCTUATION) or part
    return _fenced(word) + part[len(word) :]


def _fenced(part: str) -> str:
    fence = "`" * (1 + max(map(len, re.findall("`+", part)), default=0))
    room = " " if part.startswith("`") or part.endswith("`") else ""
    return f"{fence}{room}{part}{room}{fence}"


def span(ends: Sequence[float | None] | None, form: Callable[[float | None], str] = score) -> str:
    """``0.861 – 0.884``; nothing where no interval is known."""
    return "" if not known(ends) else f"{form(ends[0])} – {form(ends[1])}"


def ends(ends: Sequence[float | None] | None, form: Callable[[float | None], str] = score) -> str:
    """Format an interval for below a figure: ``95 % 0.861 – 0.884``, or ``deterministic``."""
    if no_width(ends):
        return "deterministic"
    return f"95 % {span(ends, form)}" if known(ends) else ""


def over_seeds(value: float | None, ends: Sequence[float | None] | None) -> str:
    """Format a score with its interval over seeds: ``0.698 [0.690, 0.706]``, or ``0.698 (deterministic)``."""
    return f"{score(value)} (deterministic)" if no_width(ends) else interval(value, ends)


def no_width(ends: Sequence[float | None] | None) -> bool:
    """Return whether nothing varied, so that an interval says nothing."""
    return known(ends) and ends[1] - ends[0] < NO_WIDTH


def spread(counts: Collection[int]) -> str:
    """Format the smallest and the largest of whole numbers: ``9–52``, or ``12`` where all are equal."""
    least, most = int(min(counts)), int(max(counts))
    return f"{least:,}" if least == most else f"{least:,}–{most:,}"


def value(number: object) -> str:
    """A hyperparameter: three significant digits where it is a number."""
    if isinstance(number, bool) or not isinstance(number, int | float):
        return clean(number)
    if float(number).is_integer() and abs(number) < 1e6:
        return str(int(number))
    text = f"{number:.3g}"
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else text


def short_path(data: object, *, longest: int = 30) -> str:
    """Return the last part of a path, of several the last part of each: ``chest_xray`` of a long one."""
    parts = (part.strip().rstrip("/\\") for part in str(data).split(","))
    return clean(", ".join(re.split(r"[/\\]", part)[-1] for part in parts), longest=longest)


def short_encoder(encoder: object, *, longest: int = 34) -> str:
    """Return an encoder's name without compute type, key and the owner or folder before it."""
    names = re.sub(r"\s*\([^()]*\bkey [^()]*\)", "", str(encoder)).split("+")
    return clean("+".join(short_path(name, longest=longest) for name in names), longest=longest)


def ago(moment: datetime | None, *, now: datetime | None = None) -> str:
    """``3 min 5 s ago``."""
    if moment is None:
        return "–"
    return f"{duration(((now or datetime.now(UTC)) - moment).total_seconds())} ago"
