"""One real S3 for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.object_store import BUCKET, ObjectStore
from trainer.core import locations
from trainer.storing.bucket_location import open_bucket


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A server that holds the bucket `BUCKET`."""
    with ObjectStore(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture
def s3(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of an empty prefix, for this process and those that it starts."""
    for name, value in object_store.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(locations.COPIES, str(tmp_path / "copies"))
    open_bucket.cache_clear()
    yield f"s3://{BUCKET}/{tmp_path.parent.name}-{tmp_path.name}"
    open_bucket.cache_clear()
