"""A faster encoder is recommended where it is shown to be as good, and not where nothing is shown."""

from __future__ import annotations

import pytest

from trainer.experiments.encoder_comparison.recommendation import Rival, recommend
from trainer.stats.intervals import Interval


def rival(name: str, speed: float, value: float, low: float, high: float) -> Rival:
    return Rival(name, speed, Interval(value, low, high), low, high)


def test_the_fastest_of_those_shown_to_be_level_is_recommended() -> None:
    rivals = [
        rival("quick", 500, -0.002, -0.008, 0.004),
        rival("quicker", 900, -0.003, -0.0099, 0.004),
        rival("quickest", 2000, -0.1, -0.15, -0.05),
    ]
    found = recommend("best", 100, rivals, margin=0.01, rows=1000)
    assert found.name == "quicker"
    assert found.verdict.startswith("Use quicker: 9.0 times as fast as best, macro-F1 less than 0.01")
    assert not found.open_questions


def test_an_encoder_of_which_nothing_is_shown_is_not_recommended_and_the_rows_that_would_tell_are_named() -> (
    None
):
    random_weights = rival("resnet", 3980, -0.063, -0.160, 0.033)
    found = recommend("best", 100, [random_weights], margin=0.01, rows=90)
    assert found.name == "best"
    assert "no faster encoder is shown to be as good (macro-F1 less than 0.01 below)" in found.verdict
    assert "39.8 times as fast" in found.open_questions[0]
    assert "about 300 more would answer it" in found.open_questions[0]


@pytest.mark.parametrize("margin", [0.0, 0.01])
def test_slower_encoders_are_never_recommended(margin: float) -> None:
    found = recommend("best", 100, [rival("slow", 50, 0.05, 0.01, 0.09)], margin=margin, rows=90)
    assert (found.name, found.open_questions) == ("best", ())
    assert "none is faster" in found.verdict


def test_a_worse_encoder_raises_no_question() -> None:
    found = recommend("best", 100, [rival("worse", 200, -0.1, -0.2, -0.05)], margin=0.01, rows=90)
    assert (found.name, found.open_questions) == ("best", ())
