"""List, verify, prune, export and import the keys of a feature store."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.core import atomic
from trainer.core.errors import InputError
from trainer.core.json_cache import read_json
from trainer.features.key import STORED_DTYPES, EncoderKey, digest_of
from trainer.features.store import DAMAGED, FeatureStore, locked, read_shard

FORMATS = (".npz", ".parquet")
_KEY = "headroom_key"  # field of an exported file with the key's fields as JSON


@dataclass(frozen=True)
class StoreEntry:
    """The stored vectors, or measures, of one key."""

    folder: Path
    key: EncoderKey | None  # None if key.json is damaged
    shards: int
    vectors: int  # in shards with a readable note
    width: int  # 0 if there are none
    bytes: int  # of the folder


@dataclass(frozen=True)
class Damage:
    """A damaged shard."""

    path: Path
    reason: str


def entries(root: Path) -> list[StoreEntry]:
    """Return all keys in the store, by name. Does not read vectors."""
    if not root.is_dir():
        return []
    return [_entry(folder) for folder in sorted(root.iterdir()) if (folder / "key.json").is_file()]


def find(root: Path, name: str) -> StoreEntry:
    """Return the key whose name begins with ``name``.

    Raises:
        InputError: there is no such key, or more than one.
    """
    found = [entry for entry in entries(root) if entry.folder.name.startswith(name)]
    if len(found) != 1:
        there = ", ".join(entry.folder.name for entry in found or entries(root)) or "none"
        raise InputError(f"{len(found)} keys in {root} begin with {name!r}; expected one. Keys: {there}.")
    return found[0]


def verify(entry: StoreEntry) -> Iterator[Damage | None]:
    """Check the SHA-256 of every shard. Yields one result per shard, None if it is intact.

    A damaged key.json is a further result.
    """
    if entry.key is None:
        yield Damage(entry.folder / "key.json", "it does not match the name of the folder")
    for note in _notes(entry.folder):
        try:
            read_shard(note)
            yield None
        except DAMAGED as error:
            yield Damage(note.with_suffix(".safetensors"), str(error))


def prune(entry: StoreEntry) -> int:
    """Delete a key with all its vectors; return the freed bytes. Waits for the lock."""
    with locked(entry.folder):
        freed = _entry(entry.folder).bytes
        (entry.folder / "key.json").unlink()  # first: a folder without key.json is not a key
        shutil.rmtree(entry.folder)
    return freed


def export(entry: StoreEntry, path: Path) -> int:
    """Export all vectors of a key to a file; return their number. Damaged shards are set aside.

    ``.npz``: content (SHA-256 of each image, hex), vectors [N, D] as stored, and the key. ``.parquet``: a
    row for each image, the vector as a list of float32.

    Raises:
        InputError: unknown suffix; damaged key.json.
    """
    _check_ending(path)
    if entry.key is None:
        raise InputError(
            f"{entry.folder / 'key.json'} is damaged, so the encoder of these vectors is unknown. Run an "
            "extraction with their encoder to restore it."
        )
    store = FeatureStore(entry.folder.parent, entry.key)
    content = store.contents()
    vectors_nd = store.lookup(content)[1].astype(store.dtype)
    text = json.dumps(entry.key.fields)
    if path.suffix == ".npz":
        buffer = io.BytesIO()
        np.savez(buffer, content=np.array(content), vectors=vectors_nd, headroom_key=np.array(text))
        atomic.write_bytes(path, buffer.getvalue())
    else:
        atomic.write_bytes(path, _to_parquet(content, vectors_nd, text))
    return len(content)


def import_vectors(path: Path, root: Path) -> tuple[StoreEntry, int]:
    """Import the vectors of an exported file; return the key's entry and the number of new vectors.

    Raises:
        InputError: the file was not written by :func:`export`.
    """
    _check_ending(path)
    try:
        content, vectors_nd, fields = _read_npz(path) if path.suffix == ".npz" else _read_parquet(path)
        if vectors_nd.ndim != 2 or len(content) != len(vectors_nd):
            raise ValueError(f"{len(content)} contents for vectors of shape {vectors_nd.shape}")
        if any(len(one) != 64 or set(one) - set("0123456789abcdef") for one in content):
            raise ValueError("content is not SHA-256 in hexadecimal")
        key = EncoderKey(fields, digest_of(fields))
        if key.stored_dtype not in STORED_DTYPES:
            raise ValueError(f"stored as {key.stored_dtype!r}, which is none of {', '.join(STORED_DTYPES)}")
    except (OSError, EOFError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not a file that `python -m trainer.cache export` wrote: {error}."
        ) from error
    store = FeatureStore(root, key)
    with store.lock():
        new = [i for i, one in enumerate(content) if one not in store]
        if new:
            names = [content[i] for i in new]
            store.append(names, vectors_nd[new].astype(np.float32), sample_id=names)
    return _entry(store.folder), len(new)


def _entry(folder: Path) -> StoreEntry:
    notes = [_noted(note) for note in _notes(folder)]
    return StoreEntry(
        folder=folder,
        key=_key(folder),
        shards=len(notes),
        vectors=sum(n for n, _ in notes),
        width=max((d for _, d in notes), default=0),
        bytes=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
    )


def _key(folder: Path) -> EncoderKey | None:
    try:
        fields = read_json(folder / "key.json")
    except InputError:
        return None
    digest = digest_of(fields)
    return EncoderKey(fields, digest) if digest.startswith(folder.name) else None


def _noted(note: Path) -> tuple[int, int]:
    """Return number and width of a shard's vectors from its note; (0, 0) if it is damaged."""
    try:
        values = json.loads(note.read_text())
        return int(values["n"]), int(values["d"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0


def _notes(folder: Path) -> list[Path]:
    return [note for note in sorted(folder.glob("*.json")) if note.name != "key.json"]


def _check_ending(path: Path) -> None:
    if path.suffix not in FORMATS:
        raise InputError(f"{path} must end in one of {', '.join(FORMATS)}.")


def _to_parquet(content: list[str], vectors_nd: np.ndarray, key: str) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(vectors_nd.astype(np.float32).ravel())
    columns = {
        "content": content,
        "vector": pa.FixedSizeListArray.from_arrays(flat, max(vectors_nd.shape[1], 1)),
    }
    table = pa.table(columns).replace_schema_metadata({_KEY: key})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _read_npz(path: Path) -> tuple[list[str], np.ndarray, dict[str, Any]]:
    with np.load(path, allow_pickle=False) as file:
        return [str(one) for one in file["content"]], file["vectors"], json.loads(str(file[_KEY]))


def _read_parquet(path: Path) -> tuple[list[str], np.ndarray, dict[str, Any]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    key = (table.schema.metadata or {})[_KEY.encode()]
    vectors = table["vector"].combine_chunks()
    vectors_nd = vectors.flatten().to_numpy().reshape(len(table), -1)
    return table["content"].to_pylist(), vectors_nd, json.loads(key)
