"""Where runs are stored if nobody says so."""

from __future__ import annotations

import pytest

from trainer.core.config import DataConfig, command_line, settings
from trainer.core.errors import InputError
from trainer.core.locations import base_folder, check_no_password, default_tracking_uri, without_password


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


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:s3cret@host:5432/runs", "postgresql://me:***@host:5432/runs"),
        ("https://me:s3@cret@host/", "https://me:***@host/"),
        ("postgresql://host/runs?user=me&password=s3cret", "postgresql://host/runs?user=me&password=***"),
        ("https://host?token=s3cret#part", "https://host?token=***#part"),
        ("https://me@host:5000/a:b@c", "https://me@host:5000/a:b@c"),
        ("sqlite:////home/a:b@c/mlflow.db", "sqlite:////home/a:b@c/mlflow.db"),
    ],
)
def test_a_password_is_never_shown(uri: str, shown: str) -> None:
    assert without_password(uri) == shown


def test_a_password_is_refused_as_a_flag_and_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = "postgresql://me:s3cret@host/runs"
    with pytest.raises(InputError, match="HEADROOM_TRACKING_URI") as refusal:
        check_no_password(uri)
    assert "s3cret" not in str(refusal.value)
    monkeypatch.setenv("HEADROOM_TRACKING_URI", uri)
    check_no_password(uri)
    config = DataConfig()
    assert config.tracking_uri == uri
    assert "s3cret" not in command_line("trainer.sweep", config)
    assert "s3cret" not in str(settings(config))
