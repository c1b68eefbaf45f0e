"""What a sweep says of its best trial, retrained with fresh seeds."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.experiments import evaluation
from trainer.stats.objective import F1, NLL, Objective


@pytest.mark.parametrize(
    ("objective", "best", "worse"), [(F1, 0.6, True), (F1, 0.8, False), (NLL, 0.8, True), (NLL, 0.6, False)]
)
def test_a_best_trial_that_falls_behind_another_with_fresh_seeds_is_not_said_to_lead(
    monkeypatch: pytest.MonkeyPatch, objective: Objective, best: float, worse: bool
) -> None:
    said: list[str] = []
    monkeypatch.setattr(evaluation, "say", said.append)
    spread_s = np.array([-0.01, 0.0, 0.01])
    scores = {"best": best + spread_s, "linear": 0.7 + spread_s[[1, 2, 0]]}
    evaluation.report_selection_bias(0.75, evaluation.fresh_seed_figures(scores, objective), objective)
    assert "lead" not in said[1]
    assert ("significantly worse: prefer the linear trial" in said[1]) == worse
