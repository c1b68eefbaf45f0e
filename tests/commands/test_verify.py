"""The command trainer.verify from end to end."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.support import wording
from tests.support.paths import SHARED
from tests.unit.experiments.test_verification import people
from trainer.core.errors import InputError
from trainer.experiments.verification import embedding
from trainer.experiments.verification.config import VerifyConfig
from trainer.experiments.verification.run import run
from trainer.tracking.schema import (
    Artifact,
    Candidates,
    FacePairs,
    Faces,
    Kind,
    PairMethod,
    RocCurves,
    Tag,
    Verified,
)

FAST = ("cosine of the features", "16 components", "shrinkage by Ledoit and Wolf", "contrastive: τ 0.1")


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of each method: what all of them learn is tested elsewhere."""
    few = [one for one in embedding.candidates() if one.name in FAST]
    monkeypatch.setattr(embedding, "candidates", lambda: few)


def features_file(path: Path, *, count: int = 18, each: int = 5) -> Path:
    """Ready features of people; the splits that the file brings are of no importance."""
    x_nd, y_n = people(count, each=each)
    part = np.arange(len(y_n)) % 3
    np.savez(
        path,
        **{f"{name}_x": x_nd[part == i] for i, name in enumerate(("train", "val", "test"))},
        **{f"{name}_y": y_n[part == i] for i, name in enumerate(("train", "val", "test"))},
    )
    return path


@pytest.fixture
def config(tracking_uri: str, tmp_path: Path) -> VerifyConfig:
    return VerifyConfig(
        data=str(features_file(tmp_path / "people.npz")),
        tracking_uri=tracking_uri,
        cache_dir=tmp_path / "cache",
        device="cpu",
        study="study",
        folds=3,
        seeds=1,
    )


def table_of(config: VerifyConfig, figures: dict[str, Any], artifact: str) -> pd.DataFrame:
    return pd.read_parquet(
        MlflowClient(config.tracking_uri).download_artifacts(figures[Verified.RUN_ID], artifact)
    )


def test_a_verification_is_one_run_with_its_figures_and_tables(config: VerifyConfig) -> None:
    figures = run(config)
    json.dumps(figures, allow_nan=False)
    assert figures[Verified.PEOPLE] == 18
    assert figures[Verified.FOLDS] == 3
    assert figures[Verified.SAME] == figures[Verified.DIFFERENT] == 180
    assert figures[Verified.DISJOINT]
    for name in (Verified.AUC, Verified.EER, Verified.ACCURACY):
        low, high = figures[name + Verified.CI95]
        assert low <= figures[name] <= high
    assert figures[Verified.TAR_AT] == {"0.01": None, "0.001": None}
    first, *rest = figures[Verified.ADVICE].split("\n")
    assert first.startswith("Use the trained head: AUC +0.")
    assert "TAR at FAR 0.01 needs 1,000 different pairs (180 here)." in rest
    assert wording.count(first) <= wording.VERDICT
    assert not wording.banned([first, *rest])
    assert not wording.too_long(rest, wording.CAPTION)
    assert figures[Verified.VERDICT] == "better"
    assert figures[Verified.DIFFERENCES][PairMethod.TRAINED][Verified.AUC][1] > 0
    assert figures[Verified.IDENTIFICATION][Verified.PROBES] == 90

    pairs = table_of(config, figures, Artifact.PAIRS)
    assert {f"{FacePairs.SCORE_PREFIX}{method}" for method in PairMethod} <= set(pairs)
    assert pairs.notna().all(axis=None)
    by_fold = pairs.groupby(FacePairs.FOLD)[[FacePairs.PERSON_A, FacePairs.PERSON_B]].agg(set)
    everyone = [a | b for a, b in by_fold.to_numpy()]
    assert not set.intersection(*everyone)
    tried = table_of(config, figures, Artifact.CANDIDATES)
    assert tried.groupby([Candidates.SPLIT, Candidates.METHOD])[Candidates.CHOSEN].sum().eq(1).all()
    for _, of_one in tried.groupby([Candidates.SPLIT, Candidates.METHOD]):
        assert of_one[Candidates.CHOSEN][of_one[Candidates.VAL_AUC].idxmax()]
    assert set(table_of(config, figures, Artifact.ROC)[RocCurves.METHOD]) == set(PairMethod)
    faces = table_of(config, figures, Artifact.FACES)
    assert faces[[Faces.X, Faces.TRAINED_X, Faces.RANK]].notna().all(axis=None)
    run_of = MlflowClient(config.tracking_uri).get_run(figures[Verified.RUN_ID])
    assert run_of.data.tags[Tag.KIND] == Kind.VERIFICATION
    assert run_of.info.status == "FINISHED"
    assert run_of.data.metrics["eer"] == pytest.approx(figures[Verified.EER])


@pytest.mark.slow
def test_an_interrupted_verification_goes_on_where_it_stopped_and_ends_as_if_nothing_had_happened(
    config: VerifyConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainer.experiments.verification import split

    whole = run(dataclasses.replace(config, study="whole", identify=False))
    real = split.score

    def cut(*args: Any, **kwargs: Any) -> Any:
        if kwargs["split"] == 1:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    cut_off = dataclasses.replace(config, study="cut", identify=False)
    with monkeypatch.context() as patched:
        patched.setattr(split, "score", cut)
        with pytest.raises(KeyboardInterrupt):
            run(cut_off)
    capsys.readouterr()
    done = run(cut_off)
    assert "1 of 3 splits are on record" in capsys.readouterr().err
    for artifact in (Artifact.PAIRS, Artifact.CANDIDATES, Artifact.ROC):
        pd.testing.assert_frame_equal(table_of(config, done, artifact), table_of(config, whole, artifact))
    assert run(cut_off)[Verified.ADVICE] == done[Verified.ADVICE]
    assert "is done" in capsys.readouterr().err
    with pytest.raises(InputError, match="cannot be resumed"):
        run(dataclasses.replace(cut_off, folds=4))


def test_pairs_of_everybody_leave_nobody_to_learn_from_and_the_raw_cosine_is_judged(
    config: VerifyConfig, tmp_path: Path
) -> None:
    lines = [f"{i} 1 {j}" for i in range(18) for j in (2, 3)]
    lines += [f"{i} 1 {(i + k) % 18} 2" for i in range(18) for k in (1, 5)]
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    figures = run(dataclasses.replace(config, pairs=tmp_path / "pairs.txt", identify=False))
    assert figures[Verified.VERDICT] is None
    assert figures[Verified.SAME] == 36
    assert not figures[Verified.DISJOINT]
    assert "Too few people are left outside the pairs" in figures[Verified.ADVICE]
    assert figures[Verified.IDENTIFICATION] is None


def test_pairs_of_some_people_are_scored_by_what_the_others_teach(
    config: VerifyConfig, tmp_path: Path
) -> None:
    lines = [f"{i} 1 {j}" for i in range(6) for j in (2, 3)]
    lines += [f"{i} 1 {(i + k) % 6} 2" for i in range(6) for k in (1, 2)]
    (tmp_path / "pairs.txt").write_text("12\n" + "\n".join(lines))
    figures = run(dataclasses.replace(config, pairs=tmp_path / "pairs.txt", identify=False))
    assert figures[Verified.VERDICT] is not None
    assert figures[Verified.PEOPLE] == 6


def test_without_data_the_command_says_kindly_what_it_needs(config: VerifyConfig) -> None:
    with pytest.raises(InputError, match="No faces come along"):
        run(dataclasses.replace(config, data=""))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 2}, "--folds is 2"),
        ({"seeds": 0}, "--seeds is 0"),
        ({"pairs_per_fold": 0}, "--pairs-per-fold"),
    ],
)
def test_a_bad_flag_is_named(config: VerifyConfig, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(dataclasses.replace(config, **change))


@pytest.mark.slow
def test_faces_of_forty_people_are_verified_in_ten_folds_of_people(config: VerifyConfig) -> None:
    if not (SHARED / "orl_faces").is_dir():
        pytest.skip("no ../shared/data here")
    faces = dataclasses.replace(config, data=str(SHARED / "orl_faces"), encoder="demo", folds=10)
    figures = run(dataclasses.replace(faces, pairs_per_fold=110, identify=False, measure=False))
    assert figures[Verified.PEOPLE] == 40
    assert figures[Verified.FOLDS] == 10
    assert figures[Verified.SAME] == figures[Verified.DIFFERENT] == 1100
    assert figures[Verified.TAR_AT]["0.01"] is not None
    assert figures[Verified.TAR_AT]["0.001"] is None
    assert 0.05 < figures[Verified.EER] < 0.25
