"""The cache command: what lies there is listed, damage is found, vectors travel and come back the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support import commands
from trainer.features import store_admin
from trainer.features.key import EncoderKey, digest_of
from trainer.features.store import FeatureStore

FIELDS = {
    "pooling": "Toy: pooler_output",
    "compute_dtype": "float32",
    "weights": {"model.safetensors": "ab" * 32},
}
CONTENT = [f"{i:064x}" for i in range(7)]


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    """Two keys: one with two shards of seven vectors in all, one with none."""
    store = FeatureStore(tmp_path / "cache" / "features", EncoderKey(FIELDS, digest_of(FIELDS)))
    with store.lock():
        store.append(CONTENT[:4], _vectors()[:4], sample_id=CONTENT[:4])
        store.append(CONTENT[4:], _vectors()[4:], sample_id=CONTENT[4:])
    FeatureStore(tmp_path / "cache" / "features", EncoderKey({"other": 1}, digest_of({"other": 1})))
    return tmp_path / "cache"


def _vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(7, 5)).astype(np.float16).astype(np.float32)


def _key() -> str:
    return digest_of(FIELDS)[:16]


def _cache(*arguments: object, run: Callable = commands.run) -> tuple[int, dict, str]:
    done = run("trainer.cache", *arguments)
    line = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "{}"
    return done.returncode, json.loads(line), done.stderr


def _read(cache_dir: Path) -> np.ndarray:
    found_n, vectors_nd = FeatureStore(cache_dir / "features", EncoderKey(FIELDS, digest_of(FIELDS))).lookup(
        CONTENT
    )
    return vectors_nd if found_n.all() else found_n


def test_list_says_what_is_there(cache_dir: Path) -> None:
    code, figures, said = _cache("list", "--cache-dir", cache_dir, run=commands.run_afresh)
    assert code == 0
    by_key = {entry["key"]: entry for entry in figures["keys"]}
    assert by_key[_key()] | {"bytes": 0} == {"key": _key(), "vectors": 7, "width": 5, "shards": 2, "bytes": 0}
    assert len(by_key) == 2
    assert figures["bytes"] == sum(file.stat().st_size for file in cache_dir.rglob("*") if file.is_file())
    assert "Toy: pooler_output" in said


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_verify_names_the_shard_that_is_damaged_and_the_rest_stays_usable(cache_dir: Path, harm: str) -> None:
    assert _cache("verify", "--cache-dir", cache_dir)[:2] == (0, {"shards": 2, "damaged": 0, "paths": []})
    shard = sorted((cache_dir / "features" / _key()).glob("*.safetensors"))[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    if harm == "remove":
        shard.unlink()
    else:
        shard.write_bytes(data if harm == "flip" else data[:-1])
    code, figures, said = _cache("verify", "--cache-dir", cache_dir)
    assert code == 1
    assert (figures["shards"], figures["damaged"], figures["paths"]) == (2, 1, [str(shard)])
    assert str(shard) in said


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_vectors_travel_and_come_back_the_same(cache_dir: Path, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"features{ending}"
    code, figures, _ = _cache("export", "--key", _key()[:6], "--file", file, "--cache-dir", cache_dir)
    assert (code, figures["exported"]) == (0, 7)
    other = tmp_path / "other"
    assert _cache("import", "--file", file, "--cache-dir", other)[1] == {
        "key": _key(),
        "imported": 7,
        "vectors": 7,
    }
    assert np.array_equal(_read(other), _vectors())
    assert _cache("import", "--file", file, "--cache-dir", other)[1]["imported"] == 0


def test_prune_removes_one_key_and_leaves_the_others(cache_dir: Path) -> None:
    code, figures, _ = _cache("prune", "--key", _key(), "--cache-dir", cache_dir)
    assert (code, figures["removed"]) == (0, 7)
    assert [entry.vectors for entry in store_admin.entries(cache_dir / "features")] == [0]
    assert figures["freed_bytes"] > 0


def test_a_key_that_is_not_there_is_refused_and_the_others_are_named(cache_dir: Path) -> None:
    code, _, said = _cache("prune", "--key", "zz", "--cache-dir", cache_dir)
    assert code == 2
    assert _key() in said


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 half"])
@pytest.mark.parametrize("ending", [".npz", ".parquet", ".csv"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, ending: str, content: bytes) -> None:
    from trainer.core.errors import InputError

    file = tmp_path / f"file{ending}"
    file.write_bytes(content)
    with pytest.raises(InputError, match="file"):
        store_admin.import_vectors(file, tmp_path / "features")
    assert not (tmp_path / "features").exists()


def test_verify_sets_a_damaged_shard_aside_and_says_where_it_was_imported_from(
    cache_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "features.npz"
    _cache("export", "--key", _key(), "--file", file, "--cache-dir", cache_dir)
    other = tmp_path / "other"
    _cache("import", "--file", file, "--cache-dir", other)
    (shard,) = (other / "features").rglob("*.safetensors")
    shard.write_bytes(b"junk")
    code, _, said = _cache("verify", "--cache-dir", other)
    assert code == 1
    assert f"imported from {file}: import it again" in said
    assert (shard.parent / "bad" / shard.name).read_bytes() == b"junk"
    assert _cache("verify", "--cache-dir", other)[0] == 0
    assert _cache("import", "--file", file, "--cache-dir", other)[1]["imported"] == 7
    assert np.array_equal(_read(other), _vectors())


@pytest.mark.parametrize("place", ["cache", "cache/features"])
@pytest.mark.parametrize("command", ["list", "verify"])
def test_a_file_in_the_place_of_the_cache_is_refused(tmp_path: Path, place: str, command: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("")
    code, _, said = _cache(command, "--cache-dir", tmp_path / "cache")
    assert code == 2
    assert f"{tmp_path / place} is a file" in said


@pytest.mark.parametrize("arguments", [("list",), ("prune", "--key", "gone")], ids=["list", "prune"])
def test_what_a_killed_prune_left_is_deleted_by_the_next_command(
    cache_dir: Path, arguments: tuple[str, ...]
) -> None:
    key = cache_dir / "features" / _key()
    left = key.with_name(f".{key.name}.4711.1.pruned")
    key.rename(left)  # as far as a process came that was killed there
    code, figures, _ = _cache(*arguments, "--cache-dir", cache_dir)
    assert code == (0 if arguments == ("list",) else 2)
    assert not left.exists()
    assert len(figures.get("keys", [0])) == 1


def test_vectors_without_a_key_are_named_by_verify_and_can_be_pruned(cache_dir: Path) -> None:
    (cache_dir / "features" / _key() / "key.json").unlink()
    code, figures, said = _cache("verify", "--cache-dir", cache_dir)
    assert (code, figures["damaged"]) == (1, 1)
    assert "key.json" in said
    assert _cache("prune", "--key", _key(), "--cache-dir", cache_dir)[1]["removed"] == 7


def test_a_key_without_vectors_is_not_exported(cache_dir: Path, tmp_path: Path) -> None:
    key = digest_of({"other": 1})[:16]
    code, _, said = _cache("export", "--key", key, "--file", tmp_path / "x.npz", "--cache-dir", cache_dir)
    assert code == 2
    assert "no vectors to export" in said
    assert not (tmp_path / "x.npz").exists()


def test_an_address_is_not_taken_for_a_folder_of_that_name(tmp_path: Path) -> None:
    status, _, said = _cache("list", "--cache-dir", "https://bucket/cache")
    assert status == 2
    assert "--cache-dir https://bucket/cache is the address of something on a network" in said
