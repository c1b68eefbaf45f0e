"""Which head a sweep hands over: the ensemble or the best trial."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from trainer.search.refit import CalibratedTrial, candidates, choose
from trainer.search.study import FinishedTrial

CLASSES, ROWS = 4, 400
LABEL = np.arange(ROWS) % CLASSES


def sure_answers(*, right: np.ndarray, sure: float) -> np.ndarray:
    """Log-probabilities [M, C] of a trial that is right in some rows, and sure of what it says."""
    p_mc = np.full((ROWS, CLASSES), (1 - sure) / (CLASSES - 1))
    p_mc[np.arange(ROWS), np.where(right, LABEL, (LABEL + 1) % CLASSES)] = sure
    return np.log(p_mc)


def found_among(said: list[np.ndarray]) -> list[CalibratedTrial]:
    trials = [FinishedTrial(number, {"depth": 0}, "complete", 0.5, {}) for number in range(len(said))]
    return candidates(trials, dict(enumerate(said)), LABEL)


def test_an_ensemble_is_taken_where_its_log_loss_is_lower_though_not_by_more_than_chance() -> None:
    """Two trials that differ in little: what they gain together is too little to be shown by so few rows."""
    random = np.random.default_rng(0)
    logits = 2 * np.eye(CLASSES)[LABEL] + random.normal(size=(ROWS, CLASSES))
    said = [log_softmax(logits + 0.3 * random.normal(size=logits.shape), axis=1) for _ in range(2)]
    choice = choose(found_among(said), LABEL, np.arange(ROWS), seed=0)
    assert choice.gain.low < 0 < choice.gain.value
    assert len(choice.weights) == 2


def test_an_ensemble_that_scores_worse_by_more_than_chance_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However much lower its log-loss is: the score is what was asked for."""
    right = np.arange(ROWS) >= 40
    best = sure_answers(right=right, sure=0.99)  # of its mistakes, too
    other = sure_answers(right=np.arange(ROWS) >= 120, sure=0.34)
    monkeypatch.setattr("trainer.search.refit.greedy_weights", lambda *args, **kwargs: np.array([0.02, 0.98]))
    monkeypatch.setattr("trainer.search.refit.fit_temperature", lambda *args: 1.0)
    choice = choose(found_among([best, other]), LABEL, np.arange(ROWS), seed=0)
    assert choice.lead.high < 0
    assert choice.weights == {0: 1.0}


def test_a_candidate_alone_is_handed_over() -> None:
    answers = sure_answers(right=np.arange(ROWS) >= 40, sure=0.8)
    choice = choose(found_among([answers]), LABEL, np.arange(ROWS), seed=0)
    assert choice.weights == {0: 1.0}
    assert choice.gain.value == 0
