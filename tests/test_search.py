"""The search: its space, its budget, its memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.errors import InputError
from trainer.heads.data import TrainingData, prepare
from trainer.search import finalists
from trainer.search.loop import TrialRecord, search
from trainer.search.record import Ledger, curves_frame, finished_trials, trials_frame
from trainer.search.space import MATTERS, Space, head_spec, load_space
from trainer.search.study import Study, rungs

QUICK = """
width: {choice: [8, 16]}
epochs: 6
patience: 6
batch_size: 32
"""


@pytest.fixture
def quick_space(tmp_path: Path) -> Space:
    (tmp_path / "space.yaml").write_text(QUICK)
    return load_space(tmp_path / "space.yaml")


def blobs() -> TrainingData:
    random = np.random.default_rng(0)
    y = np.arange(150) % 3
    x = random.normal(size=(3, 8))[y] + random.normal(size=(150, 8))
    return prepare(x[:90], y[:90], val_x_nd=x[90:], val_y_n=y[90:], classes=3)


def run(study: Study, *, trials: int, at_once: int = 8) -> tuple[Ledger, list[list[TrialRecord]]]:
    ledger, seen = Ledger(), []
    for records in search(study, blobs(), seeds=(0, 1), trials=trials, at_once=at_once, pruner="median"):
        seen.append(records)
        if all(record.state != "running" for record in records):
            ledger.add(records)
    return ledger, seen


# --- the space --------------------------------------------------------------------------------


def test_the_default_space_can_be_read_and_every_proposal_is_a_head() -> None:
    study = Study(load_space(), seed=0, pruner="none")
    for proposal in study.ask(60):
        depth = proposal.params["depth"]
        assert len(proposal.spec.hidden) == depth
        for name, matters in MATTERS.items():
            assert (name in proposal.params) == matters(proposal.params)


def test_a_line_of_the_override_replaces_the_default_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("lr: {log: [1e-3, 1e-2]}\noptimizer: sgd\n")
    space = load_space(path)
    params = space.propose(lambda name, d: d.low if hasattr(d, "low") else d.choices[0])
    assert params["lr"] == 1e-3
    assert params["optimizer"] == "sgd"
    assert set(space.text) == set(load_space().text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("learning_rate: 0.1", "learning_rate"),
        ("dropot: 0.1", "'dropout'"),  # the near match
        ("lr: {log: [0, 1]}", "lr"),
        ("lr: {log: [1, 0.1]}", "lr"),
        ("lr: {gauss: [0, 1]}", "gauss"),
        ("dropout: {uniform: [0, 1]}", "dropout"),
        ("optimizer: {choice: [adam, lion]}", "lion"),
        ("depth: {choice: [0, 3]}", "3"),
        ("width: 12.5", "12.5"),
        ("width: {uniform: [8, 64]}", "width"),
        ("epochs: 0", "epochs"),
        ("layer_norm: maybe", "maybe"),
        ("lr: {log: [1, 2], choice: [3]}", "lr"),
        ("- a\n- b", "list"),
        ("a: [", "YAML"),
    ],
)
def test_a_space_that_cannot_be_meant_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as refusal:
        load_space(path)
    assert named in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_a_space_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        load_space(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("epochs", "expected"), [(60, [6, 20, 60]), (6, [2, 6]), (3, [1, 3]), (2, [2]), (1, [1])]
)
def test_rungs_stand_at_a_ninth_and_a_third(epochs: int, expected: list[int]) -> None:
    assert rungs(epochs, "median") == expected
    assert rungs(epochs, "none") == [epochs]


# --- budget, pruning, resuming ----------------------------------------------------------------


def test_a_search_runs_exactly_the_trials_asked_for(quick_space: Space) -> None:
    ledger, seen = run(Study(quick_space, seed=3, pruner="median"), trials=27)
    assert sorted(t.number for t in ledger.finished) == list(range(27))
    assert {record.state for record in seen[0]} == {"running"}
    assert ledger.count("complete") + ledger.count("pruned") + ledger.count("failed") == 27
    pruned = ledger.trials[ledger.trials["state"] == "pruned"]
    assert len(pruned) > 0
    assert (pruned["epochs"] < 6).all()
    assert pruned["message"].str.contains("rung").all()


def test_a_resumed_search_proposes_what_the_uninterrupted_one_does(quick_space: Space) -> None:
    whole, _ = run(Study(quick_space, seed=5, pruner="median"), trials=32)
    first, _ = run(Study(quick_space, seed=5, pruner="median"), trials=16)
    resumed = Study(quick_space, seed=5, pruner="median")
    table = _through_parquet(first.trials)
    resumed.recall(finished_trials(table))
    ledger = Ledger(table, first.curves)
    for records in search(resumed, blobs(), seeds=(0, 1), trials=32, at_once=8, pruner="median"):
        if all(record.state != "running" for record in records):
            ledger.add(records)
    columns = [c for c in whole.trials.columns if c not in ("started_s", "finished_s")]
    pd.testing.assert_frame_equal(
        _through_parquet(ledger.trials)[columns].reset_index(drop=True),
        _through_parquet(whole.trials)[columns].reset_index(drop=True),
        check_dtype=False,
    )


def _through_parquet(frame: pd.DataFrame) -> pd.DataFrame:
    import io

    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return pd.read_parquet(buffer)


def test_trials_that_were_running_are_forgotten_on_resume(quick_space: Space) -> None:
    study = Study(quick_space, seed=1, pruner="median")
    records = next(iter(search(study, blobs(), seeds=(0,), trials=4, at_once=4, pruner="median")))
    ledger = Ledger(trials_frame(records, began=0), curves_frame(records))
    assert ledger.finished == []
    assert len(ledger.trials) == len(ledger.curves) == 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_params_survive_the_table(seed: int) -> None:
    proposals = Study(load_space(), seed=seed, pruner="none").ask(6)
    rows = [
        {"trial": p.number, "state": "complete", "val_f1_macro": 0.5, "rungs": "{}"}
        | {f"param.{name}": value for name, value in p.params.items()}
        for p in proposals
    ]
    back = finished_trials(_through_parquet(pd.DataFrame(rows)))
    for proposal, finished in zip(proposals, back, strict=True):
        assert head_spec(dict(finished.params)) == proposal.spec


def test_curves_hold_each_epoch_of_each_seed_once(quick_space: Space) -> None:
    ledger, _ = run(Study(quick_space, seed=2, pruner="median"), trials=8)
    curves = ledger.curves
    assert not curves.duplicated(["trial", "seed", "epoch", "split", "metric"]).any()
    lengths = curves[curves["metric"] == "f1_macro"].groupby("trial")["epoch"].max()
    assert lengths.to_dict() == ledger.trials.set_index("trial")["epochs"].to_dict()
    best = (
        curves[curves["metric"] == "f1_macro"]
        .groupby(["trial", "seed"])["value"]
        .max()
        .groupby("trial")
        .mean()
    )
    np.testing.assert_allclose(best.to_numpy(), ledger.trials.sort_values("trial")["val_f1_macro"], rtol=1e-6)


# --- finalists --------------------------------------------------------------------------------


def test_the_finalists_are_the_best_and_the_best_of_every_other_depth(quick_space: Space) -> None:
    ledger, _ = run(Study(quick_space, seed=0, pruner="median"), trials=24)
    chosen = finalists.choose(ledger.finished)
    complete = [t for t in ledger.finished if t.state == "complete"]
    assert chosen["best"].score == max(t.score for t in complete)
    assert len({t.params["depth"] for t in chosen.values()}) == len(chosen)


def test_a_finalist_trained_again_scores_what_its_record_says(quick_space: Space) -> None:
    ledger, _ = run(Study(quick_space, seed=0, pruner="median"), trials=24)
    chosen = finalists.choose(ledger.finished)
    population_scores = finalists.train(chosen, blobs(), seeds=(0, 1))
    for finalist in population_scores:
        curves = ledger.curves[
            (ledger.curves["trial"] == finalist.trial) & (ledger.curves["metric"] == "f1_macro")
        ]
        recorded = curves[curves["seed"] == finalist.seed_index]["value"].max()
        assert finalist.val_f1_macro == pytest.approx(recorded, abs=1e-6)


def test_without_a_completed_trial_there_is_no_finalist() -> None:
    assert finalists.choose([]) == {}
