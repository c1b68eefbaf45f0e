"""A server with passwords and its own certificate: who may not write is told before any data are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.store import Store
from tests.commands.test_sweep import features_file
from tests.support import commands
from tests.support.protected_server import ADMIN, READER, STRANGER, ProtectedServer
from trainer.tracking.schema import Artifact, RunState, Summary

pytestmark = pytest.mark.slow
SMALL = ("--trials", 4, "--seeds", 1, "--validate", "holdout", "--fresh-seeds", 0)
LET_IN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedServer]:
    with ProtectedServer(tmp_path_factory.mktemp("protected")) as running:
        running.admit_reader()
        yield running


@pytest.fixture(scope="module")
def swept(server: ProtectedServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A sweep on it, by one who may; its run."""
    folder = tmp_path_factory.mktemp("swept")
    data = folder / "three.npz"
    features_file(data, classes=3)
    done = commands.run(
        *("trainer.sweep", "--data", data, *SMALL),
        *("--tracking-uri", server.uri, "--cache-dir", folder / "cache"),
        environment={**server.trusted, **ADMIN},
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)[Summary.RUN_ID])


REFUSED = {
    "an unknown certificate": (False, ADMIN, "MLFLOW_TRACKING_SERVER_CERT_PATH"),
    "no password": (True, {}, f"does not let you in: {LET_IN}"),
    "a wrong password": (True, {**ADMIN, "MLFLOW_TRACKING_PASSWORD": "x"}, f"does not let you in: {LET_IN}"),
    "an unknown user": (True, STRANGER, f"does not let you in: {LET_IN}"),
    "one who may only read": (True, READER, "refuses the request: Permission denied. Ask its owner"),
}


@pytest.mark.parametrize("module", ["trainer.sweep", "trainer.extract", "trainer.ablate"])
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_who_may_not_write_is_told_so_before_any_data_are_read(
    server: ProtectedServer, swept: str, case: str, module: str, tmp_path: Path
) -> None:
    trusts, who, said = REFUSED[case]
    done = commands.run(
        *(
            module,
            "--data",
            tmp_path / "is not there",
            "--encoder",
            "demo",
        ),  # read, it would be complained of
        *("--tracking-uri", server.uri, "--cache-dir", tmp_path / "cache"),
        environment={**(server.trusted if trusts else {}), **who},
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "is not there" not in done.stderr
    assert not (tmp_path / "cache").exists()


def test_the_dashboard_reads_a_server_that_is_no_default_of_mlflow(
    server: ProtectedServer, swept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**server.trusted, **READER}.items():
        monkeypatch.setenv(name, value)
    store = Store(server.uri)
    (info,) = store.sweeps()
    assert (info.run_id, info.state) == (swept, RunState.DONE)
    assert info.figures.best_val is not None
    trials = store.table(swept, Artifact.TRIALS)
    assert trials is not None
    assert len(trials) == 4
    assert store.file(swept, Artifact.HEAD_CARD)


def test_a_page_of_who_may_not_read_says_what_to_set(
    server: ProtectedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**server.trusted, **STRANGER}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreProblem, match=r"that you may read there \(MLFLOW_TRACKING_USERNAME and"):
        Store(server.uri).sweeps()
