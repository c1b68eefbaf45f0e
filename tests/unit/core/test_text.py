"""Sentences for pages, consoles and files."""

from __future__ import annotations

import pytest

from trainer.core import text


@pytest.mark.parametrize("almost_nothing", [-0.0004, -0.0, 0.0, 0.0004])
def test_what_rounds_to_zero_has_no_sign(almost_nothing: float) -> None:
    assert text.score(almost_nothing) == text.change(almost_nothing) == text.signed(almost_nothing) == "0.000"
    assert text.gain(almost_nothing, (almost_nothing, 0.2)) == "+0 % [0, 20]"


def test_a_comparison_is_one_line_that_says_better_worse_or_no_difference() -> None:
    names = ("b", "a")
    assert text.compared(names, (0.1, 0.05, 0.15), 0.01) == (
        "b is better than a: macro-F1 +0.100 [+0.050, +0.150], p = 0.010."
    )
    assert text.compared(names, (-0.1, -0.15, -0.05), 0.0001, metric="accuracy") == (
        "b is worse than a: accuracy −0.100 [−0.150, −0.050], p < 0.001."
    )
    assert text.compared(names, (0.1, 0.05, 0.15), 0.12, comparisons=5) == (
        "b vs a: macro-F1 +0.100 [+0.050, +0.150], p = 0.120 (5 comparisons): no difference shown."
    )
    assert text.compared(names, (0.1, -0.05, 0.15), 0.01, form=text.change).endswith("no difference shown.")
