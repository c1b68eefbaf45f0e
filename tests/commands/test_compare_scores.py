"""The compare command on runs of numbers and of several labels: real sweeps in a real store."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import r2_score

from tests.commands.test_compare import UNLIKE, compare
from tests.support import trained_labels, trained_numbers, trained_target
from trainer.experiments.sweep.run import run
from trainer.tracking.reader import RunFiles
from trainer.tracking.schema import Artifact

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def swept(module_store: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Figures of a sweep of numbers and one of labels; of each another that learned next to nothing."""
    folder, found = tmp_path_factory.mktemp("compared"), {}
    bad = folder / "bad.yaml"
    bad.write_text(json.dumps(UNLIKE))
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "numbers": (trained_numbers, {"label_column": "brightness"}),
        "labels": (trained_labels, {"label_separator": "|"}),
    }
    for kind, (data, flags) in kinds.items():
        (own := folder / kind).mkdir()
        flags |= {"encoder": "demo", "trials": 2, "seeds": 1, "fresh_seeds": 0}
        config = trained_target.config_on_features(own, data.compose(own), module_store, **flags)
        found[kind] = run(dataclasses.replace(config, study=kind))
        found[f"bad {kind}"] = run(dataclasses.replace(config, study=f"bad {kind}", space=bad, trials=1))
    return found


@pytest.mark.parametrize(
    ("kind", "scores"),
    [("numbers", ["r2", "mae", "rmse"]), ("labels", ["map", "f1_macro", "f1_micro"])],
)
def test_runs_of_numbers_and_of_labels_are_compared_by_their_scores(
    kind: str, scores: list[str], swept: dict[str, dict[str, Any]], module_store: str, tmp_path: Path
) -> None:
    good, bad = (swept[name] for name in (kind, f"bad {kind}"))
    out = tmp_path / "figures.json"
    figures, said, code = compare(module_store, good["mlflow_run_id"], bad["mlflow_run_id"], "--out", out)
    assert code == 0, said
    (difference,) = figures["differences"]
    assert [one["score"] for one in difference["scores"]] == scores
    first: dict[str, Any] = difference["scores"][0]
    assert first["base"] == pytest.approx(good[f"test_{scores[0]}"], abs=1e-6)
    assert first["run"] == pytest.approx(bad[f"test_{scores[0]}"], abs=1e-6)
    assert first["difference"] == pytest.approx(first["run"] - first["base"])
    assert first["low"] <= first["difference"] <= first["high"]
    assert "space" in figures["runs"][1]["settings"]
    labels = json.loads(out.read_text())["differences"][0].get("labels")
    assert (labels is None) == (kind == "numbers")
    turned, _, _ = compare(module_store, bad["mlflow_run_id"], good["mlflow_run_id"])
    assert turned["differences"][0]["scores"][0]["difference"] == pytest.approx(-first["difference"])


def test_the_score_of_numbers_is_that_of_scikit_learn(
    swept: dict[str, dict[str, Any]], module_store: str
) -> None:
    good, bad = (swept[name]["mlflow_run_id"] for name in ("numbers", "bad numbers"))
    figures, _, _ = compare(module_store, good, bad)
    table = RunFiles(module_store, bad).table(Artifact.PREDICTIONS)
    rows = table[(table["head"] == "best") & (table["split"] == "test")]
    first = figures["differences"][0]["scores"][0]
    assert first["run"] == pytest.approx(r2_score(rows["target"], rows["number"]), abs=1e-9)


def test_runs_that_predict_different_things_are_not_compared(
    swept: dict[str, dict[str, Any]], module_store: str
) -> None:
    ids = (swept[name]["mlflow_run_id"] for name in ("numbers", "labels"))
    _, said, code = compare(module_store, *ids)
    assert code == 2
    assert "predict different things" in said
