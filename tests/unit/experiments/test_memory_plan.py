"""A sweep trains as many trials together as fit into memory; what cannot fit is refused first."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.core import memory
from trainer.core.errors import InputError
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.memory_plan import search_bytes, trials_that_fit
from trainer.heads.resampling import Folds, crossed
from trainer.heads.training_data import to_training_data
from trainer.search.space import load_space

CONFIG, SPACE = SweepConfig(data="some.npz"), load_space(None)


def folds(classes: int = 3) -> Folds:
    y = np.arange(10 * classes) % classes
    x = np.random.default_rng(0).normal(size=(len(y), 16)).astype(np.float32)
    return crossed(to_training_data((x, y), (x[:0], y[:0]), classes=classes), (np.arange(len(y)) % 5)[None])


def allow(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: budget)


def test_ordinary_data_is_searched_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert trials_that_fit(CONFIG, SPACE, folds(), rows=40) == CONFIG.at_once
    assert "Memory" not in capsys.readouterr().err


def test_fewer_trials_are_trained_together_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    enough_for_five = search_bytes(CONFIG, SPACE, folds(), at_once=5)
    allow(monkeypatch, enough_for_five)
    assert trials_that_fit(CONFIG, SPACE, folds(), rows=40) == 5
    assert "5 trials are trained together instead of 16" in capsys.readouterr().err
    allow(monkeypatch, search_bytes(CONFIG, SPACE, folds(), at_once=1) - 1)
    with pytest.raises(InputError, match=r"to train one trial needs about .* GB"):
        trials_that_fit(CONFIG, SPACE, folds(), rows=40)


def test_tables_of_all_classes_that_cannot_fit_are_refused_with_the_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = folds(classes=2000)
    allow(monkeypatch, search_bytes(CONFIG, SPACE, many, at_once=1))
    sentence = r"some.npz: with 2,000 classes and 16 features, to evaluate 9,000,000 rows needs about \d+"
    with pytest.raises(InputError, match=sentence):
        trials_that_fit(CONFIG, SPACE, many, rows=9_000_000)
