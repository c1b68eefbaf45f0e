"""The address under which MLflow's pages show the runs."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from mlflow import MlflowClient

from tests.unit.tracking.test_writer import child, start
from trainer.core.locations import DEFAULT_EXPERIMENT
from trainer.tracking import mlflow_pages


def test_the_address_asks_for_the_runs_without_their_trials(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", tracking_uri)
    assert mlflow_pages.prepare(5001) == tracking_uri
    assert "http" not in capsys.readouterr().err  # no run yet, no page to show
    client = MlflowClient(tracking_uri)
    client.create_experiment(DEFAULT_EXPERIMENT)
    mlflow_pages.prepare(5001)
    (address,) = (word for word in capsys.readouterr().err.split() if word.startswith("http"))
    page, _, asked = urlsplit(address).fragment.partition("?")
    experiment = client.get_experiment_by_name(DEFAULT_EXPERIMENT)
    assert address.startswith("http://127.0.0.1:5001/#")
    assert page == f"/experiments/{experiment.experiment_id}/runs"
    with start(tracking_uri) as writer:
        writer.trials([child(0), child(1)])
    (where,) = parse_qs(asked)["searchFilter"]
    (found,) = client.search_runs([client.get_run(writer.run_id).info.experiment_id], where)
    assert found.info.run_id == writer.run_id
