"""The store: what goes in comes out, whatever dies or rots in between."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.paths import REPO
from trainer.core.errors import InputError
from trainer.features.key import EncoderKey
from trainer.features.store import FeatureStore

KEY = EncoderKey(fields={"encoder": "toy"}, digest="ab" * 32)


def _content(numbers: Sequence[int]) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]


def _vectors(numbers: Sequence[int], d: int = 3) -> np.ndarray:
    return np.array([[number + i / 8 for i in range(d)] for number in numbers], dtype=np.float32).reshape(
        -1, d
    )


def _put(store: FeatureStore, numbers: Sequence[int]) -> None:
    with store.lock():
        store.append(_content(numbers), _vectors(numbers), sample_id=[f"row{n}" for n in numbers])


def test_what_was_stored_is_found_by_another_process_in_the_order_asked(tmp_path: Path) -> None:
    _put(FeatureStore(tmp_path, KEY), [1, 2, 3])
    _put(FeatureStore(tmp_path, KEY), [4, 5])
    store = FeatureStore(tmp_path, KEY)
    found_n, vectors_nd = store.lookup(_content([5, 9, 1, 1, 3]))
    assert found_n.tolist() == [True, False, True, True, True]
    assert vectors_nd.dtype == np.float32
    assert np.array_equal(vectors_nd, _vectors([5, 1, 1, 3]))
    assert len(store) == 5
    assert store.warnings == []


def test_an_empty_store_finds_nothing(tmp_path: Path) -> None:
    found_n, vectors_nd = FeatureStore(tmp_path, KEY).lookup(_content([1, 2]))
    assert found_n.tolist() == [False, False]
    assert len(vectors_nd) == 0


def test_keys_do_not_share_vectors_and_say_what_they_are(tmp_path: Path) -> None:
    _put(FeatureStore(tmp_path, KEY), [1])
    other = FeatureStore(tmp_path, EncoderKey(fields={}, digest="cd" * 32))
    assert len(other) == 0
    assert json.loads((FeatureStore(tmp_path, KEY).folder / "key.json").read_text()) == {"encoder": "toy"}


def test_the_owner_sees_what_another_stored_since_it_opened(tmp_path: Path) -> None:
    first, second = FeatureStore(tmp_path, KEY), FeatureStore(tmp_path, KEY)
    _put(first, [1])
    assert len(second) == 0
    with second.lock():
        assert _content([1])[0] in second


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_flipped_bit_is_noticed_and_the_shard_set_aside(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("store")
    store = FeatureStore(root, KEY)
    _put(store, [1, 2])
    _put(store, [3])
    damaged = data.draw(st.sampled_from(sorted(store.folder.glob("*.safetensors"))))
    content = bytearray(damaged.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged.write_bytes(content)

    again = FeatureStore(root, KEY)
    found_n, vectors_nd = again.lookup(_content([1, 2, 3]))
    assert found_n.tolist() in ([False, False, True], [True, True, False])
    assert np.array_equal(vectors_nd, _vectors(np.flatnonzero(found_n) + 1))
    assert len(again.warnings) == 1
    assert damaged.name in again.warnings[0]
    assert (again.folder / "bad" / damaged.name).is_file()

    _put(again, [int(n) + 1 for n in np.flatnonzero(~found_n)])
    healed = FeatureStore(root, KEY)
    assert healed.warnings == []
    assert healed.lookup(_content([1, 2, 3]))[0].all()


@pytest.mark.parametrize("damage", ["note torn", "note without key", "shard gone"])
def test_a_damaged_note_or_a_missing_shard_sets_it_aside(tmp_path: Path, damage: str) -> None:
    store = FeatureStore(tmp_path, KEY)
    _put(store, [1])
    (shard,) = store.folder.glob("*.safetensors")
    if damage == "shard gone":
        shard.unlink()
    else:
        shard.with_suffix(".json").write_text('{"sha' if damage == "note torn" else "{}")
    again = FeatureStore(tmp_path, KEY)
    assert (len(again), len(again.warnings)) == (0, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, 70_000.0])
def test_a_vector_that_cannot_be_stored_names_its_sample(tmp_path: Path, value: float) -> None:
    store = FeatureStore(tmp_path, KEY)
    vectors_nd = _vectors([1, 2])
    vectors_nd[1, 2] = value
    with pytest.raises(InputError, match=r"gave cats/2\.jpg"), store.lock():
        store.append(_content([1, 2]), vectors_nd, sample_id=["cats/1.jpg", "cats/2.jpg"])
    assert len(FeatureStore(tmp_path, KEY)) == 0


def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written.*--cache-dir"):
        FeatureStore(tmp_path / "file", KEY)


WRITER = """
import sys
from pathlib import Path
from tests.unit.features.test_store import KEY, FeatureStore, _content, _vectors
store = FeatureStore(Path(sys.argv[1]), KEY)
with store.lock():
    for first in range(int(sys.argv[2]), 10**9, 50):
        numbers = range(first, first + 50)
        store.append(_content(numbers), _vectors(numbers), sample_id=[""] * 50)
        print(first, flush=True)
"""


@pytest.mark.kill
def test_a_killed_writer_loses_no_finished_shard_and_leaves_none_half_read(tmp_path: Path) -> None:
    finished: list[int] = []
    for attempt in range(5):
        start = 10_000 * attempt
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(start)],
            cwd=REPO,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(3 + attempt):
            finished += [int(process.stdout.readline())]
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        store = FeatureStore(tmp_path, KEY)
        numbers = [number for first in finished for number in range(first, first + 50)]
        found_n, vectors_nd = store.lookup(_content(numbers))
        assert found_n.all()
        assert np.array_equal(vectors_nd, _vectors(numbers).astype(np.float16).astype(np.float32))
        assert store.warnings == []
    with store.lock():  # the lock fell with its process, and the owner clears what was half written
        assert list(store.folder.glob(".*.tmp")) == []
