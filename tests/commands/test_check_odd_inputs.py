"""The check command on every odd input: it describes what it read, or says what to do; never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import odd_inputs, odd_tables
from tests.support.odd_case import Case, Refused
from trainer.core.errors import InputError, NoResultError
from trainer.experiments.checking.config import CheckConfig
from trainer.experiments.checking.run import run

pytestmark = pytest.mark.slow
CASES = [*odd_inputs.CASES, *odd_tables.CASES]
NUMBERS = {"scores_to_predict"}  # refused as classes, and what a sweep takes as numbers to predict
SEVERAL = {"lists_of_labels", "several_labels_in_json"}  # per image


@pytest.mark.parametrize("case", CASES, ids=[f"{case.kind}-{case.name}" for case in CASES])
def test_it_is_described_or_refused(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {f"{role}_column": name for role, name in case.flags.items()}
    (tmp_path / "data").mkdir()
    data = case.build(tmp_path / "data")
    config = CheckConfig(data=data, encoder="demo", cache_dir=tmp_path / "cache", device="cpu", **columns)
    try:
        figures, refusal = run(config), ""
    except NoResultError as refused:
        figures, refusal = refused.figures, str(refused)
    except InputError as refused:
        figures, refusal = None, str(refused)
    said = f"{capsys.readouterr().err} {refusal}"
    if case.name in NUMBERS:
        assert figures is not None
        assert figures["numbers"].keys() == {"min", "mean", "max"}
        assert not figures["classes"]
        return
    if case.name in SEVERAL:
        assert figures is not None
        assert len(figures["labels"]) > 1
        assert not figures["classes"]
        return
    if isinstance(case.verdict, Refused):
        assert refusal
        assert not [word for word in case.verdict.words if word not in " ".join(said.split())]
        return
    assert figures is not None
    if case.verdict.classes is not None:
        assert {name: rows for name, rows in figures["classes"].items() if rows} == case.verdict.classes
    assert figures["passed_over"] == case.verdict.passed_over
    assert not [word for word in case.verdict.says if word not in said]
    assert ("with several labels" in said) == (case.verdict.conflicts > 0)
