"""Labels in doubt are found, and corrected from the page into a file that commands read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.frames import doubt
from dashboard.runs import launcher
from dashboard.ui import label_corrections, run_controls
from tests.support.pages import open_page, words
from tests.support.trained_sweep import DemoSweep
from trainer.core import corrections
from trainer.core.corrections import Action, Correction
from trainer.tracking.schema import Predictions

CONFUSION = "views/confusion.py"
CLASSES = ["a", "b"]


def best(labels: str, splits: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            Predictions.SAMPLE_ID: [f"{i}.png" for i in range(len(labels))],
            Predictions.LABEL: list(labels),
            Predictions.SPLIT: splits,
        }
    )


def log(probability_of_b: list[float]) -> np.ndarray:
    return np.log(np.array([[1 - p, p] for p in probability_of_b], dtype=np.float32)).astype(np.float16)


def test_the_least_likely_label_comes_first_by_the_weights_of_the_final_head() -> None:
    rows = best("abab", ["val", "train", "train", "test"])  # on record train comes before val
    held_out = {"3": log([0.2, 0.9, 0.8]), "7": log([0.4, 0.9, 0.6]), "9": log([0.9, 0.1, 0.1])}
    found = doubt.labels_in_doubt(rows, held_out, {"3": 0.75, "7": 0.25}, CLASSES)
    assert found is not None
    assert found[Predictions.SAMPLE_ID].tolist() == ["2.png", "1.png", "0.png"]
    assert found[doubt.OWN].tolist() == pytest.approx([0.1, 0.25, 0.25], abs=2e-3)
    assert found[Predictions.PRED].tolist() == ["b", "a", "b"]


def test_of_a_holdout_the_validation_rows_are_known() -> None:
    rows = best("aab", ["train", "val", "test"])
    found = doubt.labels_in_doubt(rows, {"0": log([0.7])}, {"0": 1.0}, CLASSES)
    assert found is not None
    assert found[Predictions.SAMPLE_ID].tolist() == ["1.png"]


@pytest.mark.parametrize(
    ("held_out", "members"),
    [({}, {"0": 1.0}), ({"0": log([0.5, 0.5, 0.5])}, {"0": 1.0}), ({"0": log([0.5])}, {})],
)
def test_what_is_not_on_record_is_not_guessed(
    held_out: dict[str, np.ndarray], members: dict[str, float]
) -> None:
    assert doubt.labels_in_doubt(best("aab", ["train", "val", "test"]), held_out, members, CLASSES) is None


@pytest.fixture
def opened(demo_sweep: DemoSweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AppTest:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", demo_sweep.uri)
    monkeypatch.setattr(label_corrections, "file_of", lambda info: tmp_path / "corrections" / "c.csv")
    return open_page(CONFUSION)


def unfold(app: AppTest) -> None:
    """Open "Correct these labels" of the labels in doubt."""
    app.session_state[f"doubted{label_corrections.OPEN}"] = True
    app.run()
    assert not app.exception


def button(app: AppTest, label: str) -> Any:
    return next(one for one in app.button if one.label == label)


def test_a_sweep_says_which_labels_are_in_doubt(opened: AppTest) -> None:
    said = words(opened)
    assert "Labels in doubt" in said
    assert "another class is likelier than the label" in said


def test_what_was_corrected_is_on_record_with_the_command_and_can_be_taken_back(
    opened: AppTest, tmp_path: Path
) -> None:
    path = tmp_path / "corrections" / "c.csv"
    rows = [
        Correction("1.png", "red", "blue", Action.RELABEL, "Ann", "2026-11-30T10:00:00"),
        Correction("2.png", "red", "", Action.DROP, "Ann", "2026-11-30T11:00:00"),
    ]
    corrections.append(path, rows)
    unfold(opened)
    said = words(opened)
    assert "On record: 1 relabelled, 1 dropped" in said
    assert f"--corrections {path}" in said
    assert "-corrected" in said
    button(opened, "Undo the last save (1 correction by Ann)").click().run()
    assert not opened.exception
    assert corrections.latest(corrections.read(path)).keys() == {"1.png"}


def test_nothing_is_offered_to_readers_who_may_only_read(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [one.label for one in opened.expander if "Correct these" in one.label]
    monkeypatch.setenv("HEADROOM_READ_ONLY", "1")
    opened.run()
    assert not [one.label for one in opened.expander if "Correct these" in one.label]


def shortcuts(app: AppTest) -> list[str]:
    return sorted(one.proto.shortcut for one in app.button if one.proto.shortcut)


def test_each_answer_has_a_key_where_labels_may_be_corrected_and_only_there(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfold(opened)
    assert shortcuts(opened) == []  # not beside a table, whose cells are typed in
    button(opened, label_corrections.BY_KEY).click().run()
    assert shortcuts(opened) == ["d", "k", "l", "n"]
    button(opened, "Keep").click().run()
    assert shortcuts(opened) == ["d", "k", "l", "n", "u"]
    monkeypatch.setenv("HEADROOM_READ_ONLY", "1")
    opened.run()
    assert shortcuts(opened) == []


def test_only_what_this_visit_saved_is_undone_by_key(opened: AppTest, tmp_path: Path) -> None:
    path = tmp_path / "corrections" / "c.csv"
    unfold(opened)
    button(opened, label_corrections.BY_KEY).click().run()
    button(opened, "Keep").click().run()
    (mine,) = corrections.read(path)
    assert len(mine.content_hash) == 64
    theirs = mine._replace(who="Bob", when="2126-11-30", action=Action.DROP)
    corrections.append(path, [theirs])
    opened.run()
    assert shortcuts(opened) == ["d", "k", "l", "n"]
    button(opened, "Table").click().run()
    button(opened, "Undo the last save (1 correction by Bob)").click().run()
    assert corrections.standing(corrections.read(path)) == [mine]


def test_a_decision_that_cannot_be_saved_is_said(opened: AppTest, tmp_path: Path) -> None:
    path = tmp_path / "corrections" / "c.csv"
    unfold(opened)
    button(opened, label_corrections.BY_KEY).click().run()
    path.parent.mkdir(exist_ok=True)
    path.mkdir()
    button(opened, "Keep").click().run()
    assert not opened.exception
    assert "cannot be read" in words(opened)


def test_a_file_that_is_none_is_said_and_left_alone(opened: AppTest, tmp_path: Path) -> None:
    path = tmp_path / "corrections" / "c.csv"
    path.parent.mkdir()
    path.write_text("nonsense\n")
    unfold(opened)
    assert "has no column" in words(opened)
    assert path.read_text() == "nonsense\n"


@pytest.mark.usefixtures("runs_allowed")
def test_training_with_corrections_is_started_to_be_compared_with_the_run_that_they_are_of(
    opened: AppTest, tmp_path: Path
) -> None:
    path = tmp_path / "corrections" / "c.csv"
    corrections.append(path, [Correction("1.png", "red", "blue", Action.RELABEL, "Ann", "2026-11-30")])
    unfold(opened)
    button(opened, "Train with them").click().run()
    assert not opened.exception
    (job,) = launcher.jobs(run_controls.home())
    assert job.baseline == opened.session_state["run"]
    assert f"--corrections {path}" in job.command
    first = job.study
    assert f"--study {first} " in job.command
    corrections.append(path, [Correction("2.png", "red", "blue", Action.RELABEL, "Ann", "2026-11-30")])
    opened.run()
    assert first not in words(opened).replace(f"Running: {first}", "")  # other corrections, another study
