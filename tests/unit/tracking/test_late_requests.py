"""A request that was given up, and that a hanging server carries out all the same, doubles nothing."""

from __future__ import annotations

from typing import Any

import pytest
from mlflow import MlflowClient

from tests.unit.tracking.test_writer import child, children_of, start
from trainer.tracking import schema
from trainer.tracking.schema import Artifact
from trainer.tracking.server import ServerAway
from trainer.tracking.writer import RunWriter


class Late:
    """A client whose first request of a name is carried out, but not answered in time."""

    def __init__(self, client: MlflowClient, name: str) -> None:
        self._client = client
        self._waiting = {name}

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)

        def late(*arguments: Any, **options: Any) -> Any:
            answer = value(*arguments, **options)
            if name in self._waiting:
                self._waiting.discard(name)
                raise ServerAway("http://a.server", TimeoutError("timed out"))
            return answer

        return late if callable(value) else value


def writer_of_late(uri: str, name: str, monkeypatch: pytest.MonkeyPatch) -> RunWriter:
    monkeypatch.setattr(schema, "HEARTBEAT_EVERY_S", 0.05)
    writer = start(uri)
    monkeypatch.setattr(writer, "_client", Late(MlflowClient(uri), name))
    return writer


@pytest.mark.parametrize("request_", ["create_run", "log_batch", "set_terminated"])
def test_a_trial_written_again_has_one_child_run(
    request_: str, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writer_of_late(tracking_uri, request_, monkeypatch) as writer:
        with pytest.raises(ServerAway):
            writer.trials([child(0), child(1)])
        writer.wait_for_server()
        writer.trials([child(0), child(1)])
    assert sorted(children_of(tracking_uri, writer.run_id)) == ["0", "1"]


@pytest.mark.parametrize("request_", ["create_registered_model", "create_model_version"])
def test_a_model_registered_again_has_one_version(
    request_: str, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writer_of_late(tracking_uri, request_, monkeypatch) as writer:
        assert writer.register("late", Artifact.MODEL) == "models:/late/1"
    assert len(MlflowClient(tracking_uri).search_model_versions("name = 'late'")) == 1
