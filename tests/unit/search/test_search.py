"""The search: its space, its budget, its memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.core.errors import InputError
from trainer.heads.head_config import Target
from trainer.heads.resampling import Folds, holdout
from trainer.heads.training_data import to_training_data
from trainer.search import refit
from trainer.search.loop import SearchSettings, SearchStep, TrialRecord, search
from trainer.search.optuna_export import check_export, export_to_optuna
from trainer.search.space import CONDITIONS, Space, head_spec, load_space
from trainer.search.study import FinishedTrial, Pruner, Study, linear_path, pareto_front, rungs
from trainer.search.trial_log import TrialLog, best_trials, finished_trials
from trainer.stats.objective import NLL

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


def blobs() -> Folds:
    """Ninety rows to train on, sixty held out."""
    random = np.random.default_rng(0)
    y = np.arange(150) % 3
    x = random.normal(size=(3, 8))[y] + random.normal(size=(150, 8))
    none = (x[:0], y[:0])
    return holdout(
        to_training_data((x[:90], y[:90]), (x[90:], y[90:]), classes=3),
        to_training_data((x, y), none, classes=3),
    )


def run(
    study: Study,
    *,
    trials: int,
    pruner: Pruner = "median",
    trial_log: TrialLog | None = None,
    should_stop: Callable[[], str] = lambda: "",
) -> tuple[TrialLog, list[SearchStep]]:
    """Search to the end, or on from a trial_log."""
    trial_log, seen = trial_log or TrialLog(), []
    study.recall(trial_log.finished)
    study.requeue(trial_log.interrupted)
    for step in search(
        study,
        blobs(),
        SearchSettings(seeds=(0, 1), trials=trials, batch_size=8, pruner=pruner),
        should_stop=should_stop,
    ):
        seen.append(step)
        trial_log.add(step.ended)
    return trial_log, seen


def cut_short(study: Study, *, trials: int, steps: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables as they stand after so many steps, with what is under way."""
    trial_log = TrialLog()
    settings = SearchSettings(seeds=(0, 1), trials=trials, batch_size=8, pruner="median")
    running: list[TrialRecord] = []
    for step in itertools.islice(search(study, blobs(), settings), steps):
        trial_log.add(step.ended)
        running = step.running
    trials_table, curves = trial_log.with_records(running)
    return _through_parquet(trials_table), curves


# --- the space --------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["class", "number"])
def test_the_default_space_can_be_read_and_every_proposal_is_a_head(target: Target) -> None:
    space = load_space(target=target)
    study = Study(space, seed=0, pruner="none")
    for proposal in study.ask(60):
        depth = proposal.params["depth"]
        assert len(proposal.spec.hidden) == depth
        for name in CONDITIONS.keys() & space.text.keys():
            assert (name in proposal.params) == CONDITIONS[name](proposal.params)


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


@pytest.mark.parametrize("pruner", ["median", "halving", "none"])
def test_a_search_runs_exactly_the_trials_asked_for(quick_space: Space, pruner: Pruner) -> None:
    trial_log, seen = run(Study(quick_space, seed=3, pruner=pruner, path=4), trials=43, pruner=pruner)
    assert sorted(t.number for t in trial_log.finished) == list(range(43))
    assert trial_log.count("complete") + trial_log.count("pruned") + trial_log.count("failed") == 43
    assert all(not step.running for step in seen[-1:])
    pruned = trial_log.trials[trial_log.trials["state"] == "pruned"]
    assert (len(pruned) > 0) == (pruner != "none")
    assert (pruned["epochs"] < 6).all()
    assert pruned["message"].str.contains("rung").all()


def test_a_batch_far_on_is_full_as_long_as_there_are_trials_to_begin(quick_space: Space) -> None:
    """Those that stay wait for others: no stretch is gone by a few, until the end."""
    trial_log, seen = run(Study(quick_space, seed=3, pruner="median", path=0), trials=64)
    sizes = []
    before: set[int] = set()
    begun = 0
    for step in seen:
        now = {record.number for record in step.running}
        known = before | now | {record.number for record in step.ended}
        moved = [r for r in [*step.running, *step.ended] if r.number in before and len(r.rungs) > 1]
        if begun < 64 and known == before:
            sizes.append(len({r.number for r in moved}))
        begun, before = max(begun, max(known) + 1), now
    assert len(trial_log.finished) == 64
    assert sizes
    assert min(sizes) >= 8


def test_a_search_goes_on_with_the_very_trials_that_were_under_way(quick_space: Space) -> None:
    tables = cut_short(Study(quick_space, seed=5, pruner="median", path=16), trials=40, steps=3)
    under_way = tables[0][tables[0]["state"] == "running"].set_index("trial")
    assert len(under_way)
    trial_log, _ = run(
        Study(quick_space, seed=5, pruner="median", path=16), trials=40, trial_log=TrialLog(*tables)
    )
    assert sorted(t.number for t in trial_log.finished) == list(range(40))
    after = _through_parquet(trial_log.trials).set_index("trial").loc[under_way.index]
    parameters = [c for c in under_way.columns if c.startswith("param.")]
    pd.testing.assert_frame_equal(after[parameters], under_way[parameters], check_dtype=False)


def test_a_finished_study_that_goes_on_proposes_what_it_would_have_in_one_go(quick_space: Space) -> None:
    """As long as nobody waits: without pruning, trials come in whole batches."""
    whole, _ = run(Study(quick_space, seed=5, pruner="none"), trials=48, pruner="none")
    first, _ = run(Study(quick_space, seed=5, pruner="none"), trials=40, pruner="none")
    trial_log = TrialLog(_through_parquet(first.trials), first.curves)
    run(Study(quick_space, seed=5, pruner="none"), trials=48, pruner="none", trial_log=trial_log)
    columns = [c for c in whole.trials.columns if c not in ("started_s", "finished_s")]
    a, b = (
        _through_parquet(one.trials)[columns].sort_values("trial").reset_index(drop=True)
        for one in (trial_log, whole)
    )
    pd.testing.assert_frame_equal(a, b, check_dtype=False)


def test_a_search_that_has_enough_gives_up_what_is_under_way(quick_space: Space) -> None:
    calls = itertools.count()
    trial_log, seen = run(
        Study(quick_space, seed=1, pruner="median"),
        trials=1000,
        should_stop=lambda: "It was enough." if next(calls) > 4 else "",
    )
    assert 0 < len(trial_log.finished) < 1000
    assert not seen[-1].running
    given_up = [record for record in seen[-1].ended if record.message == "It was enough."]
    assert all(record.state == "pruned" for record in given_up)


# --- what is proposed -------------------------------------------------------------------------


def test_a_study_begins_with_linear_heads_of_many_strengths() -> None:
    path = linear_path(load_space())
    assert len(path) == len({head_spec(params) for params in path}) == 32
    assert all(params["depth"] == 0 for params in path)
    assert {params["solver"] for params in path[:3]} == {"gda", "lbfgs"}
    assert len([params for params in path if params["solver"] == "gda"]) == 8
    regressions = [params for params in path if params["solver"] == "lbfgs"]
    assert {params["scaling"] for params in regressions} == {"centre", "standardise"}
    strengths = sorted({params["l2"] for params in regressions})
    assert strengths[0] == pytest.approx(1e-4)
    assert strengths[-1] == pytest.approx(10)
    proposals = Study(load_space(), seed=0, pruner="none", path=5).ask(8)
    assert [p.params for p in proposals[:5]] == path[:5]
    assert proposals[5].params not in path


@pytest.mark.parametrize(
    ("lines", "kinds"),
    [
        ("depth: {choice: [1, 2]}", set()),
        ("solver: descent", set()),
        ("solver: gda", {"gda"}),
        ("solver: {choice: [ridge, gda]}", {"gda"}),
        ("solver: {choice: [lbfgs, descent]}", {"lbfgs"}),
    ],
)
def test_a_study_begins_with_no_linear_head_that_the_space_has_not(
    tmp_path: Path, lines: str, kinds: set[str]
) -> None:
    (tmp_path / "space.yaml").write_text(lines + "\n")
    assert {params["solver"] for params in linear_path(load_space(tmp_path / "space.yaml"))} == kinds


def test_a_ridge_regression_is_searched_where_the_space_names_it(tmp_path: Path) -> None:
    assert not load_space().allows("solver", "ridge")
    (tmp_path / "space.yaml").write_text("depth: 0\nsolver: {choice: [ridge, descent]}\n")
    proposals = Study(load_space(tmp_path / "space.yaml"), seed=0, pruner="none").ask(16)
    found = [proposal for proposal in proposals if proposal.spec.solver == "ridge"]
    assert 0 < len(found) < 16
    assert {"l2", "scaling", "class_weight"} <= set(found[0].params)
    assert not {"shrinkage", "label_smoothing", "lr", "output"} & set(found[0].params)
    assert len({proposal.spec.l2 for proposal in found}) == len(found)


def test_a_shrinkage_that_the_space_fixes_is_the_only_one(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("shrinkage: 0.7\n")
    path = linear_path(load_space(tmp_path / "space.yaml"))
    assert {params["shrinkage"] for params in path if params["solver"] == "gda"} == {0.7}


def test_augmented_views_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("augment: true\n")
    with pytest.raises(InputError, match="--views"):
        load_space(tmp_path / "space.yaml")
    assert load_space(tmp_path / "space.yaml", views=2).fixed["augment"] is True
    assert "augment" in load_space(views=2).varying


@settings(max_examples=60, deadline=None)
@given(points=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), max_size=12))
def test_the_front_holds_exactly_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    def beaten(a: tuple[int, int]) -> bool:
        return any(b != a and b[0] >= a[0] and b[1] <= a[1] for b in points)

    found = pareto_front([(float(score), size) for score, size in points])
    assert sorted(found) == [i for i, point in enumerate(points) if not beaten(point)]


def test_small_heads_are_sought_where_size_counts() -> None:
    space = load_space()
    found = {}
    for sized in (False, True):
        study = Study(space, seed=0, pruner="none", path=0, sized=sized)
        for number, proposal in enumerate(study.ask(48)):
            size = proposal.spec.parameters(features=512, classes=10)
            score = 0.8 + size / 1e7  # larger heads are a little better
            study.tell(FinishedTrial(number, proposal.params, "complete", score, {}, parameters=size))
        found[sized] = np.median([p.spec.parameters(features=512, classes=10) for p in study.ask(32)])
    assert found[True] < found[False]


def test_a_study_can_be_read_by_optuna_where_it_was_exported_to(quick_space: Space, tmp_path: Path) -> None:
    trial_log, _ = run(Study(quick_space, seed=2, pruner="median"), trials=24)
    url = f"sqlite:///{tmp_path}/study.db"
    export_to_optuna(trial_log.finished, space=quick_space, study="birds", url=url)
    loaded = optuna.load_study(study_name="birds", storage=url)
    assert loaded.best_value == max(t.score for t in trial_log.finished if t.state == "complete")
    assert [t.state.name.lower() for t in loaded.trials] == [
        {"failed": "fail"}.get(t.state, t.state) for t in sorted(trial_log.finished, key=lambda t: t.number)
    ]
    export_to_optuna(trial_log.finished, space=quick_space, study="birds", url=url)  # of a resumed study
    assert len(optuna.load_study(study_name="birds", storage=url).trials) == 24
    check_export(url, "birds", resumed=True)
    with pytest.raises(InputError, match="birds already"):
        check_export(url, "birds", resumed=False)
    with pytest.raises(InputError, match="nowhere"):
        check_export("sqlite:////nowhere/at/all.db", None, resumed=False)


def _through_parquet(frame: pd.DataFrame) -> pd.DataFrame:
    import io

    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return pd.read_parquet(buffer)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_params_survive_the_table(seed: int) -> None:
    proposals = Study(load_space(), seed=seed, pruner="none").ask(6)
    rows = [
        {"trial": p.number, "state": "complete", "val_f1_macro": 0.5, "rungs": "{}", "parameters": 7}
        | {f"param.{name}": value for name, value in p.params.items()}
        for p in proposals
    ]
    back = finished_trials(_through_parquet(pd.DataFrame(rows)))
    for proposal, finished in zip(proposals, back, strict=True):
        assert head_spec(dict(finished.params)) == proposal.spec


def test_curves_hold_each_epoch_of_each_seed_once(quick_space: Space) -> None:
    trial_log, _ = run(Study(quick_space, seed=2, pruner="median"), trials=24)
    curves = trial_log.curves
    assert not curves.duplicated(["trial", "seed", "epoch", "split", "metric"]).any()
    lengths = curves[curves["metric"] == "f1_macro"].groupby("trial")["epoch"].max()
    assert lengths.to_dict() == trial_log.trials.set_index("trial")["epochs"].to_dict()
    by_seed = curves[curves["metric"] == "f1_macro"].sort_values("epoch").groupby(["trial", "seed"])["value"]
    trials = trial_log.trials.sort_values("trial")
    of_its_best_epoch = by_seed.max().groupby("trial").mean()
    at_its_optimum = by_seed.last().groupby("trial").mean()
    descends = trials["param.solver"].fillna("descent").to_numpy() == "descent"
    expected = np.where(descends, of_its_best_epoch, at_its_optimum)
    np.testing.assert_allclose(trials["val_f1_macro"], expected, rtol=1e-6)


# --- finalists --------------------------------------------------------------------------------


def test_the_finalists_are_the_best_and_the_best_of_every_other_depth(quick_space: Space) -> None:
    trial_log, _ = run(Study(quick_space, seed=0, pruner="median"), trials=24)
    chosen = refit.choose_finalists(trial_log.finished)
    complete = [t for t in trial_log.finished if t.state == "complete"]
    assert chosen["best"].score == max(t.score for t in complete)
    assert len({t.params["depth"] for t in chosen.values()}) == len(chosen)


def test_a_candidate_is_judged_as_its_record_says(quick_space: Space) -> None:
    """What a trial said of the validation rows is on record; of one seed, its macro-F1 is the trial's."""
    trial_log, folds = TrialLog(), blobs()
    settings = SearchSettings(seeds=(0,), trials=24, batch_size=8, pruner="median")
    for step in search(Study(quick_space, seed=0, pruner="median"), folds, settings):
        trial_log.add(step.ended)
    found = refit.candidates(trial_log.finished, trial_log.held_out, folds.judged_labels)
    assert len(found) > 4
    for candidate in found:
        assert candidate.leading_score == pytest.approx(candidate.trial.score, abs=1e-9)
        assert candidate.probability_mc.shape == (60, 3)
    assert [one.leading_score for one in found] == sorted((one.leading_score for one in found), reverse=True)


def test_of_equal_scores_the_lower_log_loss_decides_then_the_earlier_trial() -> None:
    losses = {0: 0.5, 1: 0.3, 2: 0.3, 3: 0.9}
    trials = [
        FinishedTrial(number, {"depth": 0}, "complete", 0.9 if number == 3 else 0.8, {}, log_loss=loss)
        for number, loss in losses.items()
    ]
    assert [trial.number for trial in refit.ranking(trials)] == [3, 1, 2, 0]
    table = pd.DataFrame(
        {
            "trial": list(losses),
            "state": "complete",
            "val_f1_macro": [0.8, 0.8, 0.8, 0.7],
            "val_loss": list(losses.values()),
            "parameters": 1,
            "rungs": "{}",
            "finished_s": 0.0,
        }
    )
    best = TrialLog(table).best()
    assert best is not None
    assert best["trial"] == 1


def test_candidates_of_one_score_are_told_apart_by_their_log_loss() -> None:
    label_m = np.arange(40) % 2
    guess_mc = np.random.default_rng(0).normal(size=(40, 2))
    guess_mc[:, 0] = guess_mc[:, 1] + np.where(label_m == 0, 0.1, -0.1)  # all right, some hardly
    trials = [FinishedTrial(number, {}, "complete", 1.0, {}) for number in range(2)]
    clear_mc = np.where(np.arange(2) == label_m[:, None], 0.0, -9.0)
    guess_mc[:5] = clear_mc[:5] = clear_mc[:5, ::-1]  # five errors each
    guess_mc[5:9] *= 3
    found = refit.candidates(trials, {0: guess_mc, 1: clear_mc}, label_m)
    assert found[0].leading_score == found[1].leading_score
    assert found[0].loss < found[1].loss
    assert [one.trial.number for one in found] == [1, 0]


def test_a_search_for_a_low_log_loss_ranks_by_it_and_shows_it_as_it_is(quick_space: Space) -> None:
    folds = blobs()
    part = folds.parts[0].judged_by(NLL)
    by_loss = holdout(part, folds.learning.judged_by(NLL))
    trial_log = TrialLog(objective=NLL)
    settings = SearchSettings(seeds=(0, 1), trials=32, batch_size=8, pruner="halving")
    study = Study(quick_space, seed=0, pruner="halving", path=8)
    for step in search(study, by_loss, settings):
        trial_log.add(step.ended)
    table = trial_log.trials
    complete = table[table["state"] == "complete"]
    best = trial_log.best()
    assert best is not None
    assert best["val_loss"] == complete["val_loss"].min()
    assert best["val_loss_low"] < best["val_loss"] < best["val_loss_high"]
    assert trial_log.best_so_far(points=5)[-1] == round(best["val_loss"], 4)
    ranked = refit.ranking(trial_log.finished)
    assert ranked[0].score == -best["val_loss"]
    # what is pruned, and what has not ended, is worse than all that is complete
    order = study._best_first()
    pruned = [one.number for one in trial_log.finished if one.state == "pruned"]
    assert pruned
    assert min(order.index(number) for number in pruned) > max(order.index(n) for n in complete["trial"])
    again = finished_trials(_through_parquet(table), NLL)
    recorded = {one.number: (one.score, one.rungs) for one in trial_log.finished}
    assert {one.number: (one.score, one.rungs) for one in again} == recorded
    assert not table["rungs"].str.contains(": -").any()  # what is stored is the log-loss itself


def test_answers_that_are_not_on_record_are_found_again(quick_space: Space) -> None:
    trial_log, _ = run(Study(quick_space, seed=0, pruner="median"), trials=24)
    trials = [trial for trial in trial_log.finished if trial.number in trial_log.held_out]
    again = refit.answers_again(trials, blobs(), seeds=(0, 1), precision="float32")
    for number, answers in trial_log.held_out.items():
        np.testing.assert_allclose(again[number], answers, atol=0.02)


def test_only_the_answers_of_trials_that_may_be_handed_over_are_kept(quick_space: Space) -> None:
    trial_log, _ = run(Study(quick_space, seed=3, pruner="none"), trials=40, pruner="none")
    kept = {trial.number for trial in best_trials(trial_log.finished, cells=450)}
    assert set(trial_log.held_out) == kept
    assert 25 <= len(kept) <= 28 < trial_log.count("complete")


def test_without_a_completed_trial_there_is_no_finalist() -> None:
    assert refit.choose_finalists([]) == {}


def test_the_best_so_far_is_short_rises_and_ends_at_the_best(quick_space: Space) -> None:
    trial_log, _ = run(Study(quick_space, seed=3, pruner="median"), trials=40)
    best = trial_log.best()
    assert best is not None
    for points in (5, 500):
        line = trial_log.best_so_far(points=points)
        assert line == sorted(line)
        assert line[-1] == pytest.approx(best["val_f1_macro"], abs=1e-4)
    assert len(trial_log.best_so_far(points=5)) == 5
    assert TrialLog().best_so_far(points=5) == []
