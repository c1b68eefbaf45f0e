"""Format scores, intervals, p-values, durations and rates; sort names in natural order."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

NONE = "–"
LEVEL = 0.05  # of significance
LOW, HIGH = "_low", "_high"  # suffixes of the columns with the bounds of an interval
KINDS_SHOWN = 6  # extensions of files that are named
FEW_GROUPS = 10  # below, intervals and tests that draw groups are rough
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
Form = Callable[[float | None], str]
FEW_PER_CLASS = 5  # test rows of a class below which its F1 says little


def score(value: float | None) -> str:
    """Format a score between 0 and 1 with three decimals; an en dash for None or NaN."""
    return NONE if _missing(value) else f"{value:z.3f}"


def quantity(value: float | None) -> str:
    """Format a number with a unit, such as an error: four significant digits, an en dash for None or NaN."""
    if value is None or _missing(value):
        return NONE
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:z.4g}"


def change(value: float | None) -> str:
    """Format a `score` with its sign, for consoles, logs and files: ``+0.012``, ``-0.003``, ``0.000``."""
    return NONE if _missing(value) else f"{value:+z.3f}".replace("+0.000", "0.000")


def signed(value: float | None) -> str:
    """Format a `change` for a page: ``+0.012``, ``−0.003``, ``0.000``."""
    return change(value).replace("-", "−")


def forms(*, in_units: bool) -> tuple[Form, Form]:
    """Return how a score and a change of it are formatted, whether it has a unit or lies between 0 and 1."""
    if not in_units:
        return score, change
    return quantity, lambda value: NONE if _missing(value) else f"{value:+z.4g}"


def interval(
    value: float | None, ends: Sequence[float | None] | None, form: Callable[[float | None], str] = score
) -> str:
    """Format a value with its interval: ``0.873 [0.861, 0.884]``; no brackets without one."""
    if _missing(value) or ends is None or _missing(ends[0]):
        return form(value)
    return f"{form(value)} [{form(ends[0])}, {form(ends[1])}]"


def gain(value: float, ends: Sequence[float]) -> str:
    """Format a relative change with its interval in percent: ``+22 % [15, 30]``, ``-3 % [-9, 2]``."""
    return f"{100 * value:+z.0f} % [{100 * ends[0]:z.0f}, {100 * ends[1]:z.0f}]"


def brackets(ends: Sequence[float | None] | None, form: Callable[[float | None], str] = score) -> str:
    """Format the ends of an interval: ``[0.861, 0.884]``; "" where it is not known."""
    return f"[{form(ends[0])}, {form(ends[1])}]" if known(ends) else ""


def known(ends: Sequence[float | None] | None) -> TypeGuard[Sequence[float]]:
    """Return whether there is an interval with these ends."""
    return ends is not None and not any(map(_missing, ends))


def figure(row: Mapping[Any, Any], name: str, form: Callable[[float | None], str] = score) -> str:
    """Format the value ``name`` of a row with the interval from its ``_low`` and ``_high`` columns."""
    return interval(row.get(name), (row.get(name + LOW), row.get(name + HIGH)), form)


def rows_drawn(rows: int, groups: int | None, noun: str = "test rows") -> str:
    """Say what an interval is over: ``323 test rows``, or ``24 groups (323 test rows)``."""
    return f"{rows:,} {noun}" if groups is None else f"{groups:,} groups ({rows:,} {noun})"


def cautions(groups: int | None, rows_per_class: float | None = None) -> list[str]:
    """Say what makes figures of the test rows rough, a sentence each.

    Args:
        groups: that the intervals are over; None for rows.
        rows_per_class: median number of test rows of a class; None where it is not known.
    """
    found = []
    if groups is not None and groups < FEW_GROUPS:
        found.append(f"Only {groups} groups of test rows: intervals and tests of so few are rough.")
    if rows_per_class is not None and rows_per_class < FEW_PER_CLASS:
        found.append(
            f"Too few test rows per class ({rows_per_class:g} at the median class): F1 of so few rows is "
            "rough, and macro-F1 tends to be too low."
        )
    return found


def p_value(p: float | None) -> str:
    """Format a p-value: ``0.012``, ``< 0.001``."""
    return "< 0.001" if p is not None and p < 0.001 else score(p)


def p_equals(p: float, comparisons: int = 1) -> str:
    """Format a p-value with its name: ``p = 0.012``, ``p < 0.001``, ``p = 0.098 (3 comparisons)``."""
    corrected = f" ({comparisons} comparisons)" if comparisons > 1 else ""
    return f"p {p_value(p)}{corrected}" if p < 0.001 else f"p = {p_value(p)}{corrected}"


def significant(ends: Sequence[float | None] | None, p: float | None) -> bool:
    """Return whether a difference is significant: its interval leaves out 0, and its p-value, corrected where
    there are several, is below 5 %."""
    return known(ends) and (ends[0] > 0 or ends[1] < 0) and not _missing(p) and p is not None and p < LEVEL


def compared(
    names: tuple[str, str],
    effect: tuple[float, float, float],
    p: float | None,
    *,
    comparisons: int = 1,
    form: Callable[[float | None], str] = signed,
    metric: str = "macro-F1",
) -> str:
    """Say in one line whether the first of two methods is better: ``B vs A: macro-F1 −0.003 [−0.025, +0.019],
    p = 0.812: no difference shown.``

    Args:
        effect: the score of the first less that of the second, with the ends of its interval.
        comparisons: that p is corrected for.
    """
    value, *ends = effect
    told = f"{metric} {interval(value, ends, form)}" + ("" if p is None else f", {p_equals(p, comparisons)}")
    one, other = names
    if not significant(ends, p):
        return f"{one} vs {other}: {told}: no difference shown."
    return f"{one} is {'better' if value > 0 else 'worse'} than {other}: {told}."


def below_expected(less: float, low: float, high: float, *, metric: str = "macro-F1") -> str | None:
    """Say that the test rows score below what was expected by more than chance, and what to look at; None
    where they do not.

    Args:
        less: the test score less the expected one, with its interval.
        metric: what the score is.
    """
    if high >= 0:
        return None
    return (
        f"Test {metric} is {interval(-less, (-high, -low))} below what was expected. The test rows may come "
        "from another source, time or mix of classes than train and val; or images of one person or series "
        "are on both sides of a fold (--groups keeps them together)."
    )


def detectable(effect: float | None, comparisons: int = 1) -> str:
    """Format what a comparison that shows nothing could have shown, to follow its figures: ``; 0.028 or more
    would have shown (80 % power)``; "" where it is not known. See `could_show` for a sentence.

    Args:
        effect: `stats.power.detectable_effect`.
        comparisons: that it is corrected for.
    """
    corrected = f" for {comparisons} comparisons" if comparisons > 1 else ""
    return "" if _missing(effect) else f"; {score(effect)} or more would have shown (80 % power{corrected})"


def could_show(effect: float | None, comparisons: int = 1) -> str:
    """Say what `detectable` formats in a sentence: ``A difference of 0.028 or more would have shown …``."""
    told = detectable(effect, comparisons).removeprefix("; ")
    return f"A difference of {told}." if told else ""


def duration(seconds: float | None, *, short: bool = False) -> str:
    """Format seconds: ``850 ms``, ``42 s``, ``3 min 5 s``, ``2 h 10 min``; short: ``3.1 min``, ``2.2 h``."""
    if seconds is None:
        return NONE
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    for size, unit, below, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size and short:
            return f"{seconds / size:.1f} {unit}"
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // below} {part}"
    return f"{whole} s"


def count(number: int | None, noun: str = "") -> str:
    """Format ``1,797 images``; a noun is given in the singular and takes an s."""
    if number is None:
        return NONE
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rate(per_s: float) -> str:
    """Format a rate per second, or per minute below 1 per second."""
    rounded = float(f"{per_s if per_s >= 1 else 60 * per_s:.3g}")
    return f"{rounded:,{'.0f' if rounded >= 100 else ''}}/{'s' if per_s >= 1 else 'min'}".replace(".0/", "/")


def left(seconds: float) -> str:
    """Format a remaining time: ``2:05 left``, ``1:02:05 left``."""
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02} left" if hours else f"{minutes}:{whole:02} left"


def cut(value: object, limit: int) -> str:
    """Return ``value`` as text, truncated to ``limit`` characters with an ellipsis."""
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def harmless(text: str) -> str:
    """Return a text of others as a terminal may show it: what would steer the terminal is spelled out.

    So are control characters other than tab and line feed, marks that turn the direction of writing, line
    separators and halves of surrogates: ``\\x1b[2J``, ``\\u202e``.
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def files_by_extension(count: Mapping[str, int]) -> str:
    """Format numbers of files by extension: ``30 .heic, 3 .dcm, 2 without an extension``; "" for none."""
    ordered = sorted(count.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{n:,} {kind or 'without an extension'}" for kind, n in ordered[:KINDS_SHOWN]]
    rest = ordered[KINDS_SHOWN:]
    if rest:
        named.append(f"{sum(n for _, n in rest):,} of {len(rest)} other kinds")
    return ", ".join(named)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key for natural order: "2" before "10", "fold2" before "fold10"."""
    key = []
    for i, part in enumerate(re.split(r"([0-9]+)", name)):
        digits = part.lstrip("0")
        if part:
            key.append((1, len(digits), digits) if i % 2 else (2, 0, part))
    return [*key, (0, 0, name)]  # breaks ties between "01" and "1"


def _missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
