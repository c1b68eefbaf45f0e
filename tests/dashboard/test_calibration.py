"""The section about confidence: its frames and charts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts import calibration as charts
from dashboard.frames import calibration as frames
from trainer.stats.intervals import wilson
from trainer.tracking.schema import Predictions


def answers(number: int, seed: int = 0) -> pd.DataFrame:
    """Rows whose confidence is true, with ties."""
    random = np.random.default_rng(seed)
    confidence = np.round(random.uniform(0.3, 1, number), 2)
    pred = np.where(random.random(number) < confidence, "a", "b")
    return frames.confidence(
        pd.DataFrame(
            {Predictions.LABEL: "a", Predictions.PRED: pred, Predictions.CONFIDENCE: np.float32(confidence)}
        )
    )


@given(number=st.integers(1, 300), seed=st.integers(0, 100))
def test_bins_hold_every_row_and_the_error_is_their_mean_distance(number: int, seed: int) -> None:
    rows = answers(number, seed)
    bins = frames.reliability(rows)
    assert bins["n"].sum() == number
    assert bins["confidence"].is_monotonic_increasing
    gap = (bins["right"] - bins["confidence"]).abs() * bins["n"]
    assert frames.error(rows) == pytest.approx(gap.sum() / number)
    first = bins.iloc[0]
    assert tuple(first[["right", "low", "high"]]) == wilson(
        round(first["right"] * first["n"]), int(first["n"])
    )
    assert abs(frames.example(bins)["confidence"] - 0.9) == (bins["confidence"] - 0.9).abs().min()


@given(number=st.integers(1, 400), seed=st.integers(0, 100))
def test_the_curve_ends_at_the_accuracy_and_has_the_point_that_is_spoken_of(number: int, seed: int) -> None:
    rows = answers(number, seed)
    curve = frames.answered(rows)
    assert len(curve) <= frames.MOST_POINTS + 1
    assert curve["share"].is_monotonic_increasing
    assert curve["accuracy"].iloc[-1] == pytest.approx(rows["right"].mean())
    assert (curve["n"] == frames.share_count(number)).sum() == 1
    assert 0 <= frames.risk_area(rows) <= 1


@pytest.mark.parametrize("number", [1, 5, 300])
def test_charts_are_valid_and_show_all_of_the_bins(number: int) -> None:
    rows = answers(number)
    bins, curve = frames.reliability(rows), frames.answered(rows)
    drawn = charts.reliability(bins).to_dict()
    low, high = drawn["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low <= min(bins["low"].min(), bins["confidence"].min()) <= high == 1
    assert charts.answered(curve, curve[curve["n"] == frames.share_count(number)]).to_dict()
