"""The feature store on a bucket: what one machine stores another one finds, whatever is lost or damaged."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from trainer.core import locations
from trainer.core.errors import InputError
from trainer.features import store_admin
from trainer.features.key import EncoderKey, digest_of
from trainer.features.shared_key import SharedKey, Task
from trainer.features.store import FeatureStore
from trainer.storing.bucket_location import BucketLocation, open_bucket

pytestmark = pytest.mark.scale

KEY = EncoderKey({"pooling": "Toy"}, digest_of({"pooling": "Toy"}))
CONTENT = [f"{row:064x}" for row in range(6)]
VECTORS = np.arange(24, dtype=np.float32).reshape(6, 4)


class Machines:
    """Machines that know one bucket, each with a folder of its own for copies."""

    def __init__(self, address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._address, self._folder, self._monkeypatch = address, folder, monkeypatch

    def root(self, name: str) -> Path:
        self._monkeypatch.setenv(locations.COPIES, str(self._folder / name))
        return locations.cache_folder(Path(self._address)) / "features"

    def open(self, name: str) -> FeatureStore:
        return FeatureStore(self.root(name), KEY)

    @property
    def bucket(self) -> BucketLocation:
        return open_bucket(f"{self._address}/features/{KEY.digest[:16]}")

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.bucket.entries()]

    @property
    def shared(self) -> SharedKey:
        return SharedKey(self.bucket)


@pytest.fixture
def machines(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    return Machines(s3, tmp_path, monkeypatch)


def append(store: FeatureStore, rows: slice, change: float = 0.0, task: Task | None = None) -> None:
    store.append(CONTENT[rows], VECTORS[rows] + change, sample_id=CONTENT[rows], task=task)


def test_another_machine_finds_the_same_bits(machines: Machines) -> None:
    first = machines.open("one")
    with first.lock():
        append(first, slice(0, 4))
        append(first, slice(4, 6))
    other = machines.open("two")
    assert other.lookup_stored(CONTENT).tobytes() == VECTORS.astype(np.float16).tobytes()
    assert first.warnings == other.warnings == []
    assert sorted(one.partition(".")[2] or one for one in machines.names) == sorted(
        ["json", "json", "json", "safetensors", "safetensors"]
    )


def test_a_task_committed_twice_is_there_once(machines: Machines) -> None:
    stores = [machines.open(name) for name in ("one", "two")]  # neither knows of the other
    for store in stores:
        append(store, slice(0, 4))
    assert [len(machines.shared.markers()), len(machines.shared.orphans())] == [1, 0]
    assert len(machines.open("three")) == 4


def test_of_two_results_of_a_task_the_first_counts_for_everybody(machines: Machines) -> None:
    stores = [machines.open(name) for name in ("one", "two")]
    for number, store in enumerate(stores):
        append(store, slice(0, 4), change=number)
    for store in (*stores, machines.open("three")):
        assert store.lookup_all(CONTENT[:4]).tolist() == VECTORS[:4].tolist()
        assert store.warnings == []
    shared = machines.shared
    assert len(shared.orphans()) == 1
    found, deleted = shared.collect_orphans()
    assert (len(found), len(deleted)) == (1, 0)  # it may be of somebody who commits at this moment
    found, deleted = shared.collect_orphans(older_than=timedelta(0))
    assert (len(found), len(deleted)) == (1, 1)
    assert shared.orphans() == []


def test_different_vectors_of_an_image_in_two_tasks_are_said_and_the_first_counts(machines: Machines) -> None:
    stores = [machines.open(name) for name in ("one", "two")]
    append(stores[0], slice(0, 4))
    append(stores[1], slice(2, 6), change=1)
    readers = [machines.open(name) for name in ("three", "four")]
    assert len(readers[0]) == 6
    assert "2 images" in readers[0].warnings[0]
    assert readers[0].lookup_all(CONTENT).tolist() == readers[1].lookup_all(CONTENT).tolist()


def test_a_shard_without_a_marker_does_not_exist(machines: Machines) -> None:
    machines.bucket.put("0123456789abcdef.safetensors", b"of a writer that was killed")
    store = machines.open("one")
    assert (len(store), store.warnings) == (0, [])
    assert [one.name for one in machines.shared.orphans()] == ["0123456789abcdef.safetensors"]


def test_a_damaged_shard_is_done_again(machines: Machines) -> None:
    append(machines.open("one"), slice(0, 4))
    (shard,) = (name for name in machines.names if name.endswith(".safetensors"))
    machines.bucket.put(shard, b"rotten")
    store = machines.open("two")
    assert len(store) == 0
    assert "SHA-256 does not match" in store.warnings[0]
    append(store, slice(0, 4))
    assert machines.open("three").lookup_all(CONTENT[:4]).tolist() == VECTORS[:4].tolist()


def test_a_damaged_copy_is_read_again_from_the_bucket(machines: Machines) -> None:
    store = machines.open("one")
    append(store, slice(0, 4))
    next(store.folder.glob("*.safetensors")).write_bytes(b"rotten")
    again = machines.open("one")
    assert len(again) == 4
    assert len(machines.shared.markers()) == 1


def test_what_the_bucket_no_longer_has_is_no_longer_found(machines: Machines) -> None:
    append(machines.open("one"), slice(0, 4))
    machines.shared.remove()
    assert machines.names == []
    store = machines.open("one")
    assert len(store) == 0
    append(store, slice(0, 2))
    assert len(machines.open("two")) == 2


def test_a_copy_may_be_deleted_at_any_time(machines: Machines) -> None:
    append(machines.open("one"), slice(0, 4))
    shutil.rmtree(machines.root("one"))
    assert len(machines.open("one")) == 4


def test_a_key_that_stands_for_something_else_is_refused(machines: Machines) -> None:
    machines.bucket.put("key.json", b"{}")
    with pytest.raises(InputError, match="is that of another encoder"):
        append(machines.open("one"), slice(0, 4))


def test_keys_in_a_bucket_are_listed_verified_collected_exported_and_pruned(
    machines: Machines, tmp_path: Path
) -> None:
    stores = [machines.open(name) for name in ("one", "two")]
    for number, store in enumerate(stores):
        append(store, slice(0, 4), change=number)  # the second one becomes an orphan
    root = machines.root("three")
    (entry,) = store_admin.entries(root)
    assert (entry.key, entry.shards, entry.vectors, entry.width) == (KEY, 1, 4, 4)
    assert store_admin.find(root, KEY.digest[:4]).folder.name == KEY.digest[:16]
    assert store_admin.collect_orphans(entry) == store_admin.Orphans(1, 0, 0)
    assert store_admin.collect_orphans(entry, older_than=timedelta(0)).deleted == 1
    assert store_admin.verify(entry) == []
    assert store_admin.export(entry, tmp_path / "vectors.npz") == 4
    (shard,) = (name for name in machines.names if name.endswith(".safetensors"))
    machines.bucket.put(shard, b"rotten")
    (damage,) = store_admin.verify(entry)
    assert "its vectors count as missing" in store_admin.put_aside(damage)
    assert store_admin.verify(entry) == []
    assert store_admin.import_vectors(tmp_path / "vectors.npz", root).new == 4
    assert len(machines.open("four")) == 4
    assert store_admin.prune(store_admin.find(machines.root("four"), "")).vectors == 4
    assert machines.names == []
    assert store_admin.entries(machines.root("four")) == []
