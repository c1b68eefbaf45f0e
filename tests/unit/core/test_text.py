"""Sentences for pages, consoles and files."""

from __future__ import annotations

from trainer.core import text


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
