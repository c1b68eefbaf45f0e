"""The zero-shot command from end to end: real images, a real encoder, a real store."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.metrics import f1_score

from tests.support import trained_comparison, wording
from trainer.core.errors import InputError
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.run import run as sweep
from trainer.experiments.zero_shot import run as zeroshot
from trainer.experiments.zero_shot.config import ZeroShotConfig
from trainer.experiments.zero_shot.run import CLOSED, SHARED, STARTED, TRAINED, run
from trainer.tracking.schema import (
    Artifact,
    FewShot,
    FewShotScores,
    Kind,
    MethodClasses,
    MethodPairs,
    Methods,
    Predictions,
    Summary,
    Tag,
    ZeroShot,
)


@pytest.fixture
def config(tracking_uri: str, tmp_path: Path) -> ZeroShotConfig:
    return trained_comparison.zero_shot_config(tracking_uri, tmp_path)


def table(config: ZeroShotConfig, run_id: str, artifact: str) -> pd.DataFrame:
    return pd.read_parquet(MlflowClient(config.tracking_uri).download_artifacts(run_id, artifact))


def runs_of(tracking_uri: str) -> list[Any]:
    client = MlflowClient(tracking_uri)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def test_zero_shot_and_heads_answer_the_same_rows_and_the_tables_fit_the_answers(
    config: ZeroShotConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = run(config)
    json.dumps(figures, allow_nan=False)
    assert figures[ZeroShot.COUNTS] == {"train": 30, "val": 30, "test": 30}
    assert set(figures[ZeroShot.CROSSING]) == {TRAINED, SHARED, STARTED, *CLOSED}
    said = capsys.readouterr().err
    assert "paired by row" in said
    assert "trained head vs zero-shot" in said or "trained head is" in said

    run_id = figures[ZeroShot.RUN_ID]
    (found,) = runs_of(config.tracking_uri)
    assert (found.data.tags[Tag.KIND], found.info.status) == (Kind.ZERO_SHOT, "FINISHED")
    methods, pairs = (table(config, run_id, name) for name in (Artifact.METHODS, Artifact.METHOD_PAIRS))
    answers = table(config, run_id, Artifact.PREDICTIONS)
    assert set(answers[Predictions.SPLIT]) == {"test"}
    for name, rows in answers.groupby(Predictions.HEAD):
        score = f1_score(rows[Predictions.LABEL], rows[Predictions.PRED], average="macro")
        assert figures[ZeroShot.METHODS][name]["f1_macro"] == pytest.approx(score)
    by_name = methods.set_index(Methods.METHOD)[Methods.F1_MACRO]
    for pair in pairs.to_dict("records"):
        difference = by_name[pair[MethodPairs.METHOD]] - by_name[pair[MethodPairs.AGAINST]]
        assert pair[MethodPairs.EFFECT] == pytest.approx(difference, abs=1e-6)
        assert pair["effect_low"] <= pair[MethodPairs.EFFECT] <= pair["effect_high"]
    assert pairs.iloc[0][MethodPairs.METHOD] == TRAINED
    classes = table(config, run_id, Artifact.METHOD_CLASSES)
    assert len(classes) == 3 * len(pairs)
    assert (classes[MethodClasses.TEST] == 10).all()

    curve = table(config, run_id, Artifact.FEW_SHOT)
    assert curve[FewShot.ROWS].tolist() == [3, 6, 30] * (3 + len(CLOSED))
    whole = curve[curve[FewShot.ALL]].set_index(FewShot.KIND)[FewShot.F1_MACRO]
    assert whole.to_dict() == pytest.approx(
        {name: by_name[name] for name in (TRAINED, SHARED, STARTED, *CLOSED)}
    )
    samples = table(config, run_id, Artifact.SAMPLES)
    assert len(samples) == 30
    assert samples["thumbnail"].map(lambda one: isinstance(one, bytes)).all()


@pytest.mark.slow
def test_a_study_that_was_cut_off_goes_on_with_the_draws_that_are_missing_and_ends_the_same(
    config: ZeroShotConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = run(dataclasses.replace(config, study="whole"))
    drawn = []

    def interrupted(config: ZeroShotConfig, features: Any, draw: int) -> np.ndarray:
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(draw)
        return chosen_rows(config, features, draw)

    chosen_rows = zeroshot.chosen_rows
    with monkeypatch.context() as patched:
        patched.setattr(zeroshot, "chosen_rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    capsys.readouterr()
    resumed = run(config)
    assert "Resuming small: 1 of 3 draws are on record" in capsys.readouterr().err
    for name in (ZeroShot.METHODS, ZeroShot.PAIRS, ZeroShot.CROSSING):
        assert resumed[name] == whole[name]
    again = run(config)
    assert "all of its 3 draws are on record" in capsys.readouterr().err
    assert again == resumed
    more = run(dataclasses.replace(config, draws=4))
    assert more[ZeroShot.RUN_ID] == resumed[ZeroShot.RUN_ID]
    record = table(config, more[ZeroShot.RUN_ID], Artifact.FEW_SHOT_SCORES)
    assert set(record[FewShotScores.DRAW]) == {-1, 0, 1, 2, 3}


@pytest.mark.slow
def test_prompts_are_part_of_what_a_study_is(config: ZeroShotConfig, tmp_path: Path) -> None:
    names, templates = tmp_path / "names.yaml", tmp_path / "templates.txt"
    names.write_text("blue: [blue noise, violet]\n")
    templates.write_text("an image of {}\n")
    mine = dataclasses.replace(config, templates=templates, class_names=names)
    figures = run(mine)
    assert figures[ZeroShot.TEMPLATES] == ["an image of {}"]
    assert figures[ZeroShot.CLASS_NAMES]["blue"] == ["blue noise", "violet"]
    with pytest.raises(InputError, match="cannot be resumed like this"):
        run(config)


@pytest.mark.slow
def test_the_head_of_a_sweep_is_compared_by_what_it_said(config: ZeroShotConfig, tmp_path: Path) -> None:
    common = {
        name: getattr(config, name) for name in ("data", "encoder", "tracking_uri", "cache_dir", "dtype")
    }
    found = sweep(
        SweepConfig(**common, device="cpu", trials=2, seeds=1, fresh_seeds=0, batch_size=32, workers=0)
    )
    figures = run(dataclasses.replace(config, head=found[Summary.RUN_ID]))
    swept = figures[ZeroShot.METHODS][zeroshot.SWEEPS]
    assert swept["f1_macro"] == pytest.approx(found[Summary.TEST_F1_MACRO])
    other = tmp_path / "other"
    trained_comparison.images(other, each=4)
    with pytest.raises(InputError, match="was trained on other data"):
        run(dataclasses.replace(config, data=str(other), head=found[Summary.RUN_ID], study="other"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shots": (2, 1)}, "--shots is"),
        ({"shots": ()}, "--shots is"),
        ({"draws": 1}, "--draws is 1"),
        ({"templates": Path("/no/such/file")}, "--templates"),
        ({"class_names": Path("/no/such/file")}, "--class-names"),
        ({"head": "0" * 32}, "0000"),
        ({"encoder": "demo+other"}, "names 2 encoders.* Pass one, such as --encoder demo"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_before_anything_is_written(
    config: ZeroShotConfig, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(dataclasses.replace(config, **change))
    assert runs_of(config.tracking_uri) == []


def test_ready_features_and_encoders_without_words_are_refused(
    config: ZeroShotConfig, tmp_path: Path
) -> None:
    arrays = {f"{s}_x": np.eye(6, dtype=np.float32) for s in ("train", "val", "test")}
    arrays |= {f"{s}_y": np.arange(6) % 2 for s in ("train", "val", "test")}
    np.savez(tmp_path / "ready.npz", **arrays)
    with pytest.raises(InputError, match="holds precomputed features"):
        run(dataclasses.replace(config, data=str(tmp_path / "ready.npz")))


def test_what_is_said_of_a_crossing_says_where_it_is_or_that_there_is_none() -> None:
    from trainer.stats.few_shot import Crossing

    def told(*found: float) -> str:
        return zeroshot.crossing_text("head", Crossing(*found), 16, margin=0.01)

    none = told(math.inf, 5.0, math.inf, 0.4, math.inf)
    assert "its mean stays below zero-shot" in none
    assert "5.0 to more than 16" in none
    assert "not shown to match it (less than 0.01 below)" in none
    assert "at 3.2 images per class" in told(3.2, 2.0, 7.0, 1.0, 8.0)
    assert "shown to match it (less than 0.01 below) from 8 images on" in told(3.2, 2.0, 7.0, 1.0, 8.0)
    assert "from 1 image per class on" in told(1.0, 1.0, 2.0, 1.0, 1.0)


def test_the_verdict_says_from_how_many_images_on_a_head_matches_zero_shot() -> None:
    from trainer.stats.few_shot import Crossing

    def told(*found: float) -> str:
        said = zeroshot.verdict(Crossing(*found), 16, margin=0.01)
        assert wording.count(said) <= wording.VERDICT
        return said

    shown = "From 1 image per class on a trained head matches zero-shot (less than 0.01 below)."
    assert told(1.0, 1.0, 2.0, 1.0, 1.0) == shown
    overtakes = "A trained head overtakes zero-shot at 3.2 images per class (95 %: ≤ 1 to more than 16)."
    assert told(3.2, 1.0, math.inf, 0.9, math.inf) == overtakes
    never = "Up to 16 images per class, a trained head is not shown to match zero-shot."
    assert told(math.inf, 5.0, math.inf, 0.4, math.inf) == never


def test_a_study_of_a_version_without_closed_forms_goes_on_with_the_kinds_that_it_began_with() -> None:
    record = pd.DataFrame({FewShotScores.DRAW: [-1, 0, 1], FewShotScores.KIND: TRAINED})
    writer: Any = SimpleNamespace(study="old", read_table=lambda _: record)
    subjects: Any = [SimpleNamespace(name=name) for name in (TRAINED, *CLOSED)]
    features: Any = None
    found, kinds = zeroshot.few_shot_record(ZeroShotConfig(draws=2), subjects, features, writer)
    assert len(found) == 3
    assert [one.name for one in kinds] == [TRAINED]
