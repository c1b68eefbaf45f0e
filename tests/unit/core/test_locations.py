"""Where runs are stored if nobody says so."""

from __future__ import annotations

import pytest

from trainer.core.locations import base_folder, default_tracking_uri


@pytest.mark.parametrize(
    ("own", "mlflows", "uri"),
    [
        ("sqlite:///own.db", "sqlite:///theirs.db", "sqlite:///own.db"),
        ("", "sqlite:///theirs.db", "sqlite:///theirs.db"),
        ("", "", f"sqlite:///{base_folder() / 'mlruns' / 'mlflow.db'}"),
    ],
)
def test_the_store_is_headrooms_own_variable_else_mlflows_else_a_file(
    monkeypatch: pytest.MonkeyPatch, own: str, mlflows: str, uri: str
) -> None:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", own)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflows)
    assert default_tracking_uri() == uri
