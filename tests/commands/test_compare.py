"""The compare command from end to end: real sweeps in a real store."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import trainer as hr
from tests.commands.test_sweep import config_in
from tests.support import commands
from trainer.experiments.sweep.run import run

UNLIKE = {"depth": 0, "solver": "descent", "epochs": 1, "lr": 1e-4}  # one step from where a head begins


@pytest.fixture(scope="module")
def studies(module_store: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Figures of a good sweep, a bad one, and one with splits of another seed that learned from test rows."""
    folder = tmp_path_factory.mktemp("compared")
    config = dataclasses.replace(config_in(folder, module_store), trials=3, seeds=1, fresh_seeds=0)
    bad = folder / "bad.yaml"
    bad.write_text(json.dumps(UNLIKE))
    return {
        "good": run(dataclasses.replace(config, study="good")),
        "bad": run(dataclasses.replace(config, study="bad", space=bad)),
    }


def compare(uri: str, *arguments: object) -> tuple[dict[str, Any], str, int]:
    done = commands.run("trainer.compare", *arguments, "--tracking-uri", uri)
    said = " ".join(done.stderr.split())
    return json.loads(done.stdout) if done.stdout else {}, said, done.returncode


def test_runs_are_compared_by_study_or_id_and_what_differs_is_told(
    studies: dict[str, dict[str, Any]], module_store: str, tmp_path: Path
) -> None:
    out = tmp_path / "figures.json"
    figures, said, code = compare(module_store, "good", studies["bad"]["mlflow_run_id"], "--out", out)
    assert code == 0
    good, bad = figures["runs"]
    assert (figures["base"], figures["paired"], figures["test_rows"]) == ("good", True, 40)
    assert good["f1_macro"] == pytest.approx(studies["good"]["test_f1_macro"])
    assert bad["accuracy"] == pytest.approx(studies["bad"]["test_accuracy"])
    assert {"space"} <= bad["settings"].keys()
    (difference,) = figures["differences"]
    assert difference["verdict"] == "worse"
    assert "bad is worse than good: macro-F1" in said
    assert [one["class"] for one in json.loads(out.read_text())["classes"]] == ["0", "1", "2"]


def test_a_script_is_told_by_the_exit_code(studies: dict[str, dict[str, Any]], module_store: str) -> None:
    figures, said, code = compare(module_store, "good", "bad", "--fail-if-worse")
    assert code == 1
    assert "Error: bad: significantly worse than good." in said
    assert figures["differences"][0]["verdict"] == "worse"
    figures, _, code = compare(module_store, "good", "bad", "--base", "bad", "--fail-if-worse")
    assert code == 0
    assert figures["differences"][0]["verdict"] == "better"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["good"], "name two or more different ones"),
        (["good", "good"], "name two or more different ones"),
        (["good", "gone"], "no run and no study 'gone'"),
        (["good", "bad:worst"], "bad has no head 'worst'"),
        (["good", "bad", "--base", "else"], "--base is else, which is none of the runs"),
    ],
)
def test_what_cannot_be_compared_is_named(
    arguments: list[str], told: str, studies: dict[str, dict[str, Any]], module_store: str
) -> None:
    _, said, code = compare(module_store, *arguments)
    assert code == 2
    assert told in said
    assert "Traceback" not in said


def test_the_module_of_the_command_can_still_be_called_as_the_function_of_the_api(
    studies: dict[str, dict[str, Any]], module_store: str
) -> None:
    import trainer.compare  # noqa: F401, shadows the function

    good, bad = (hr.open_run(studies[name]["mlflow_run_id"], module_store) for name in ("good", "bad"))
    assert hr.compare(good, bad).significant
