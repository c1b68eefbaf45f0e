"""Which encoder to use: the fastest that is shown to be as good as the best, up to a margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from trainer.core import text
from trainer.stats.intervals import Interval
from trainer.stats.power import rows_to_tell


class Rival(NamedTuple):
    """An encoder beside the best on validation rows."""

    name: str
    images_per_s: float
    less: Interval  # its test macro-F1 less that of the best, 95 %
    low: float  # ends of the interval that holds for all rivals together
    high: float


class Recommendation(NamedTuple):
    """The encoder to use, and why."""

    name: str
    verdict: str  # one sentence
    open_questions: tuple[str, ...]  # a sentence for each faster encoder of which nothing is shown


def recommend(
    best: str, images_per_s: float, rivals: Sequence[Rival], *, margin: float, rows: int
) -> Recommendation:
    """Return the fastest encoder that is shown not to be worse than the best by the margin (non-inferiority:
    the lower end of its interval, which holds for all rivals together, is above -margin), else the best.

    Args:
        best: the encoder chosen on validation rows, and the speed that it has.
        margin: of macro-F1, 0 or more.
        rows: test rows.
    """
    faster = [rival for rival in rivals if rival.images_per_s > images_per_s]
    level = [rival for rival in faster if rival.low > -margin]
    doubtful = tuple(
        _question(rival, images_per_s, margin=margin, rows=rows, comparisons=len(rivals))
        for rival in faster
        if rival.low <= -margin and rival.high >= 0
    )
    if level:
        take = max(level, key=lambda rival: rival.images_per_s)
        times = take.images_per_s / images_per_s
        return Recommendation(
            take.name,
            f"Use {take.name}: {times:.1f} times as fast as {best}, macro-F1 less than {margin:g} below it "
            f"({text.interval(take.less.value, (take.low, take.high), text.change)}).",
            doubtful,
        )
    if faster:
        why = f"no faster encoder is shown to be as good (macro-F1 less than {margin:g} below)"
    else:
        why = "best on validation, and none is faster"
    return Recommendation(best, f"Use {best}: {why}.", doubtful)


def _question(rival: Rival, best_speed: float, *, margin: float, rows: int, comparisons: int) -> str:
    """Return what is not known of a faster encoder, and how many rows would tell."""
    said = (
        f"{rival.name} is {rival.images_per_s / best_speed:.1f} times as fast. Whether it is worse by "
        f"{margin:g} is open with {rows:,} test rows"
    )
    needed = rows_to_tell(rival.less, margin=margin, rows=rows, comparisons=comparisons) - rows
    if not math.isfinite(needed):
        return f"{said}."
    return f"{said}; about {max(float(f'{needed:.1g}'), 1):,.0f} more would answer it."
