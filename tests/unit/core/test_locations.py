"""Where runs are stored if nobody says so."""

from __future__ import annotations

import contextlib
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from trainer.core.config import CommonConfig, DataConfig, command_line, settings
from trainer.core.errors import InputError
from trainer.core.locations import (
    address_of_copy,
    base_folder,
    check_is_local,
    check_no_password,
    default_tracking_uri,
    hide_password,
    sqlite_file,
    sqlite_uri,
    without_password,
)
from trainer.experiments.sweep.config import SweepConfig
from trainer.tracking import database


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
        ("https://host:5000/a@b", "https://host:5000/a@b"),
        ("postgresql://me:s3/c?r#e:t@host/runs", "postgresql://me:***@host/runs"),
        ("mysql+pymysql://me:s3%40cret@host/runs", "mysql+pymysql://me:***@host/runs"),
        ("mssql:///?odbc_connect=DRIVER%3DX%3BPWD%3Ds3cret", "mssql:///?odbc_connect=***"),
        ("https://host/?x=1&access_token=s3cret&y=2", "https://host/?x=1&access_token=***&y=2"),
        (
            "postgresql://host/r?sslpassword=s3cret&passfile=/p",
            "postgresql://host/r?sslpassword=***&passfile=/p",
        ),
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


SECRET = st.text(st.characters(codec="utf-8", exclude_characters="@"), min_size=8, max_size=30)


@given(secret=SECRET, route=st.sampled_from(["userinfo", "query", "quoted"]))
def test_no_text_about_a_store_holds_its_password_as_written_or_decoded(secret: str, route: str) -> None:
    secret = f"s{secret}t"  # of no text that is there anyway
    quoted = quote(secret, safe="")
    uri = {
        "userinfo": f"postgresql://me:{secret}@host/runs",
        "quoted": f"https://me:{quoted}@host/",
        "query": f"mysql://host/runs?user=me&password={quoted}",
    }[route]
    shown = without_password(uri)
    written = secret if route == "userinfo" else quoted
    assert written not in shown
    assert without_password(shown) == shown
    said = hide_password(f"no server at {uri}: user me, password {secret}, ({written})", uri)
    assert secret not in said
    assert written not in said


@given(path=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=80))
def test_a_file_is_named_by_its_uri_as_sqlalchemy_reads_it(path: str) -> None:
    uri = sqlite_uri(Path("/") / path)
    assert sqlite_file(uri) == str(Path("/") / path)
    assert sqlalchemy.make_url(uri).database == str(Path("/") / path)
    assert without_password(uri) == uri


@given(uri=st.text(max_size=60) | st.from_regex(r"(sqlite|postgresql|http|s3|file)(\+\w+)?:/{0,4}.{0,30}"))
def test_a_location_is_taken_or_refused_in_a_sentence(uri: str) -> None:
    with contextlib.suppress(InputError):
        CommonConfig(tracking_uri=uri)
        database.sqlite_path(uri)
        database.check_driver(uri)


@pytest.mark.parametrize("field", ["tracking_uri", "experiment", "cache_dir", "data", "encoder"])
def test_a_nul_is_refused_with_the_flag(field: str) -> None:
    value = Path("/a\0b") if field == "cache_dir" else "a\0b"
    with pytest.raises(InputError, match=f"--{field.replace('_', '-')} holds a NUL"):
        DataConfig(**{field: value})  # type: ignore[arg-type]


def test_bytes_that_are_not_utf_8_are_refused_in_a_store_and_stored_escaped_elsewhere() -> None:
    with pytest.raises(InputError, match="not UTF-8"):
        database.sqlite_path("sqlite:////tmp/\udcff/mlflow.db")
    flags = settings(DataConfig(data="/photos/\udcff", cache_dir=Path("/cache/\udce4")))
    assert (flags["data"], flags["cache_dir"]) == ("/photos/\\udcff", "/cache/\\udce4")


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ("space", "s3://bucket/key"),
        ("space", "gs://b/k"),
        ("cache_dir", "https://host/x"),
        ("cache_dir", "file:///x"),
    ],
)
def test_an_address_is_not_taken_for_a_folder_of_that_name(field: str, path: str) -> None:
    scheme = path.partition("://")[0]
    with pytest.raises(
        InputError, match=rf"--{field.replace('_', '-')} {scheme}://.* a path on this machine"
    ):
        SweepConfig(data="demo", **{field: Path(path)})


def test_a_bucket_is_recorded_as_it_was_given_and_read_through_a_copy_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADROOM_COPY_DIR", str(tmp_path))
    copies = set()
    for endpoint in ("", "http://127.0.0.1:9000", "http://127.0.0.1:9001"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        config = SweepConfig(data="demo", cache_dir=Path("s3://bucket/our/cache"))
        assert settings(config)["cache_dir"] == "s3://bucket/our/cache"
        assert command_line("trainer.sweep", config).endswith("--cache-dir s3://bucket/our/cache")
        folder = config.cache_folder
        assert folder.is_relative_to(tmp_path)
        assert address_of_copy(folder / "features") == "s3://bucket/our/cache/features"
        copies.add(folder)
    assert len(copies) == 3
    assert address_of_copy(tmp_path.parent) is None
    here = SweepConfig(data="demo", cache_dir=tmp_path / "cache")
    assert here.cache_folder == here.cache_dir
    with pytest.raises(InputError, match=r"goes up by"):
        _ = SweepConfig(data="demo", cache_dir=Path("s3://bucket/../x"))


def test_a_path_with_a_colon_is_a_path() -> None:
    for path in ("C:/x", "a:b/c", "./s3:/x"):
        check_is_local("--out", Path(path).absolute() if path.startswith(".") else Path(path))
