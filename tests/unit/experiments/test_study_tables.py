"""The record of a study: at every moment it holds all finished trials, whichever way they were written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.unit.search.test_search import QUICK, blobs
from trainer.experiments import study_tables
from trainer.experiments.study_tables import StudyTables, read
from trainer.search.loop import SearchSettings, SearchStep, search
from trainer.search.space import load_space
from trainer.search.study import Study
from trainer.search.trial_log import TrialLog
from trainer.tracking.client import local_folder
from trainer.tracking.schema import Artifact
from trainer.tracking.writer import RunWriter

TRIALS = 60


@pytest.fixture(autouse=True)
def _large_from_eight_trials_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_tables, "SMALL", 8)
    monkeypatch.setattr(study_tables, "GROWTH", 3)


@pytest.fixture
def writer(tracking_uri: str) -> RunWriter:
    return RunWriter.start(
        tracking_uri=tracking_uri, experiment="e", study="s", tags={}, params={}, config_yaml=""
    )


def folder_of(writer: RunWriter) -> Path:
    folder = local_folder(writer._run.info.artifact_uri)
    assert folder is not None
    return folder


def check_same(again: pd.DataFrame, log: pd.DataFrame, *, by: list[str]) -> None:
    """In any order; hyperparameters that only running trials had are empty columns."""
    again, log = (each.sort_values(by, ignore_index=True) for each in (again, log))
    assert again[[name for name in again if name not in log]].isna().all(axis=None)
    one, other = (each.astype(object).where(each.notna(), None) for each in (again[[*log]], log))
    pd.testing.assert_frame_equal(one, other)


CURVE = ["trial", "seed", "split", "metric", "epoch"]


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[SearchStep]:
    """Of a search, four trials at a time, some of which are pruned and some under way."""
    (tmp_path / "space.yaml").write_text(QUICK)
    study = Study(load_space(tmp_path / "space.yaml"), seed=1, pruner="median", path=4)
    return search(study, blobs(), SearchSettings(seeds=(0,), trials=TRIALS, batch_size=4, pruner="median"))


def test_a_process_that_ends_after_any_step_loses_and_doubles_nothing(
    writer: RunWriter, steps: Iterator[SearchStep]
) -> None:
    log, parts = TrialLog(), set[str]()
    tables = StudyTables(writer, log)
    with writer:
        for step in steps:
            log.add(step.ended)
            if not step.ended:
                continue
            tables.write(step.running)
            again = TrialLog(*read(writer))
            check_same(again.trials, log.trials, by=["trial"])
            check_same(again.curves, log.curves, by=CURVE)
            assert [n for n, _ in again.interrupted] == sorted(one.number for one in step.running)
            parts |= set(writer.list_folder(Artifact.LOG))
        tables.close()
        stored = pd.read_parquet(folder_of(writer) / Artifact.TRIALS)
    assert len(parts) > 3  # of a log, between tables that were rewritten
    assert stored["trial"].tolist() == list(range(TRIALS))
    assert set(stored["state"]) <= {"complete", "pruned", "failed"}


def test_a_part_whose_trials_were_not_written_does_not_count(
    writer: RunWriter, steps: Iterator[SearchStep]
) -> None:
    log, before = TrialLog(), 0
    tables = StudyTables(writer, log)
    with writer:
        while not writer.list_folder(Artifact.LOG):
            step, before = next(steps), len(log.finished)
            log.add(step.ended)
            tables.write(step.running)
        (folder_of(writer) / Artifact.LOG / str(len(log.finished)) / Artifact.TRIALS).unlink()
        again = TrialLog(*read(writer))
    assert len(again.finished) == before
    assert set(again.curves["trial"]) == {trial.number for trial in again.finished}


def test_a_study_that_goes_on_writes_its_tables_whole_first(
    writer: RunWriter, steps: Iterator[SearchStep]
) -> None:
    log = TrialLog()
    tables = StudyTables(writer, log)
    with writer:
        while not writer.list_folder(Artifact.LOG):
            step = next(steps)
            log.add(step.ended)
            tables.write(step.running)
        stored = pd.read_parquet(folder_of(writer) / Artifact.TRIALS)
        assert (stored["state"] != "running").sum() < len(log.finished)
        StudyTables(writer, TrialLog(*read(writer))).write([])
        stored = pd.read_parquet(folder_of(writer) / Artifact.TRIALS)
    assert stored["trial"].tolist() == sorted(trial.number for trial in log.finished)
