"""What a place promises in which many processes store files, of every kind of place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.object_store import BUCKET, READER, ObjectStore
from trainer.core.errors import InputError
from trainer.storing import copies
from trainer.storing.bucket_location import BucketLocation, open_bucket
from trainer.storing.commit import check_store, commit_once
from trainer.storing.folder_location import FolderLocation
from trainer.storing.location import Location

pytestmark = pytest.mark.scale


@pytest.fixture(params=["folder", "memory", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "folder":
        return FolderLocation(tmp_path / "place")
    if request.param == "memory":
        from obstore.store import MemoryStore

        return BucketLocation(MemoryStore(), "memory://test")
    return open_bucket(request.getfixturevalue("s3"))


def test_what_was_put_is_listed_and_read_until_it_is_deleted(location: Location) -> None:
    assert location.entries() == []
    location.put("a.json", b"12")
    location.put("tasks/b.json", b"3")
    location.put("tasks-2/c.json", b"")
    location.put("a.json", b"456")
    assert [(one.name, one.size) for one in location.entries()] == [
        ("a.json", 3),
        ("tasks-2/c.json", 0),
        ("tasks/b.json", 1),
    ]
    assert [one.name for one in location.entries("tasks")] == ["tasks/b.json"]
    assert location.entries("nothing") == []
    assert location.get("a.json") == b"456"
    location.delete("a.json")
    location.delete("a.json")
    with pytest.raises(FileNotFoundError):
        location.get("a.json")


def test_what_is_new_never_replaces_a_file(location: Location) -> None:
    assert location.put_new("tasks/a.json", b"first")
    assert not location.put_new("tasks/a.json", b"second")
    assert location.get("tasks/a.json") == b"first"
    location.delete("tasks/a.json")
    assert location.put_new("tasks/a.json", b"third")


def test_of_many_writers_at_once_exactly_one_is_first(location: Location) -> None:
    turns = 3 if location.address.startswith("s3") else 25  # SeaweedFS looks once a second for a lock
    with ThreadPoolExecutor(4) as pool:
        for turn in range(turns):
            names = [f"tasks/{turn}.json"] * 4
            made = list(pool.map(location.put_new, names, [b"%d" % one for one in range(4)]))
            assert made.count(True) == 1
            assert location.get(names[0]) == b"%d" % made.index(True)


def test_a_task_is_committed_once_and_the_loser_learns_by_whom(location: Location) -> None:
    assert commit_once(location, "tasks/a.json", {"worker": "one"}).won
    won, standing = commit_once(location, "tasks/a.json", {"worker": "two"})
    assert not won
    assert standing["worker"] == "one"


def test_a_place_that_keeps_its_promise_passes_the_self_test_and_stays_empty(location: Location) -> None:
    check_store(location)
    assert location.entries() == []


class _LostAnswers:
    """Does what it is told, and answers as to a retry."""

    def __init__(self, location: Location) -> None:
        self._location = location

    def __getattr__(self, name: str) -> Any:
        return getattr(self._location, name)

    def put_new(self, name: str, data: bytes) -> bool:
        self._location.put_new(name, data)
        return False


def test_a_worker_whose_answer_was_lost_knows_its_own_commit(tmp_path: Path) -> None:
    place = _LostAnswers(FolderLocation(tmp_path))
    assert commit_once(place, "tasks/a.json", {}).won
    assert not commit_once(place, "tasks/a.json", {}).won


class _Overwriting:
    """Ignores the condition, as some stores do."""

    def __init__(self, location: Location) -> None:
        self._location = location

    def __getattr__(self, name: str) -> Any:
        return getattr(self._location, name)

    def put_new(self, name: str, data: bytes) -> bool:
        self._location.put(name, data)
        return True


class _Pretending(_Overwriting):
    """Says that there is a file already, and has overwritten it."""

    def put_new(self, name: str, data: bytes) -> bool:
        self._location.put(name, data)
        return False


@pytest.mark.parametrize("kind", [_Overwriting, _Pretending])
def test_a_store_that_ignores_the_condition_is_refused(kind: type, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="honours conditional writes"):
        check_store(kind(FolderLocation(tmp_path)))


# --- what cannot be used is refused with a sentence -------------------------------------------


@pytest.fixture
def refused(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, s3: str) -> Any:
    """Returns the sentence with which an address is refused."""

    def refuse(address: str, **variables: str) -> str:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(copies, "FIRST_PATIENCE_S", 0.5)
        copies._check.cache_clear()
        with pytest.raises(InputError) as refusal:
            copies.check_cache_dir(Path(address))
        return str(refusal.value)

    return refuse


def test_a_denied_writer_is_refused(refused: Any, s3: str) -> None:
    said = refused(s3, AWS_ACCESS_KEY_ID=READER[0], AWS_SECRET_ACCESS_KEY=READER[1])
    assert said.startswith(f"--cache-dir {s3}: the store denies that it is written (AccessDenied). Set AWS_")


def test_an_unknown_user_is_refused(refused: Any, s3: str) -> None:
    assert "the store denies that it is listed (InvalidAccessKeyId)" in refused(
        s3, AWS_ACCESS_KEY_ID="nobody"
    )


def test_a_missing_bucket_is_refused_and_not_made(refused: Any) -> None:
    assert refused("s3://absent/cache") == (
        "--cache-dir s3://absent/cache: its bucket does not exist. Create it first."
    )
    assert "does not exist" in refused("s3://absent/cache")


def test_an_endpoint_that_does_not_answer_is_refused(refused: Any, s3: str) -> None:
    said = refused(s3, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert "it cannot be listed" in said
    assert "Debug" not in said


def test_a_store_that_stays_busy_is_given_up_in_the_end(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, s3: str
) -> None:
    with FaultProxy(object_store.endpoint, refuse_every=1, lose_every=1) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with pytest.raises(InputError, match=r"cannot be written: .* 503 .* stored before is intact"):
            open_bucket(s3, patience_s=0.5).put("x", b"1")
        assert proxy.counts["refused"] >= 2


def test_plain_http_is_refused_with_the_variable_that_allows_it(
    refused: Any, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    assert "Set AWS_ALLOW_HTTP=true" in refused(s3)


def test_without_the_package_an_address_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "obstore", None)
    open_bucket.cache_clear()
    copies._check.cache_clear()
    copies.check_cache_dir(tmp_path)
    with pytest.raises(InputError, match=r"pip install 'headroom\[scale\]'"):
        copies.check_cache_dir(Path(f"s3://{BUCKET}/x"))
