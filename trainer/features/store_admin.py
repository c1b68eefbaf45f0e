"""What lies in a feature store, for people: listed, verified, pruned, carried elsewhere and back."""

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
_KEY = "headroom_key"  # where a file that is carried away keeps the key's fields, as JSON


@dataclass(frozen=True)
class StoreEntry:
    """The vectors, or measures, of one key, by what their shards' notes say."""

    folder: Path
    key: EncoderKey | None  # None where key.json is damaged
    shards: int
    vectors: int  # in shards whose note can be read
    width: int  # 0 where there are none
    bytes: int  # on disk, with everything that lies beside them


@dataclass(frozen=True)
class Damage:
    """A shard that does not hold what was written."""

    path: Path
    reason: str


def entries(root: Path) -> list[StoreEntry]:
    """Every key in the store, by name. Reads notes only, not vectors."""
    if not root.is_dir():
        return []
    return [_entry(folder) for folder in sorted(root.iterdir()) if (folder / "key.json").is_file()]


def find(root: Path, name: str) -> StoreEntry:
    """The one key whose name begins with ``name``.

    Raises:
        InputError: there is none, or more than one.
    """
    found = [entry for entry in entries(root) if entry.folder.name.startswith(name)]
    if len(found) != 1:
        there = ", ".join(entry.folder.name for entry in found or entries(root)) or "none"
        raise InputError(f"{len(found)} keys in {root} begin with {name!r}; name one. There are: {there}.")
    return found[0]


def verify(entry: StoreEntry) -> Iterator[Damage | None]:
    """Read every shard and compare its SHA-256: one result for each, ``None`` where it is whole.

    A damaged key.json is one more.
    """
    if entry.key is None:
        yield Damage(entry.folder / "key.json", "it is not the key that the folder is named after")
    for note in _notes(entry.folder):
        try:
            read_shard(note)
            yield None
        except DAMAGED as error:
            yield Damage(note.with_suffix(".safetensors"), str(error))


def prune(entry: StoreEntry) -> int:
    """Remove a key with all its vectors; returns the bytes that this frees. Waits for its owner."""
    with locked(entry.folder):
        freed = _entry(entry.folder).bytes
        (entry.folder / "key.json").unlink()  # first: what has no key.json is no key
        shutil.rmtree(entry.folder)
    return freed


def export(entry: StoreEntry, path: Path) -> int:
    """Write all vectors of a key into one file; returns how many. Damaged shards are set aside.

    ``.npz``: content (SHA-256 of each image, hex), vectors [N, D] as stored, and the key. ``.parquet``: a
    row for each image, the vector as a list of float32.

    Raises:
        InputError: another ending; a damaged key.json.
    """
    _check_ending(path)
    if entry.key is None:
        raise InputError(
            f"{entry.folder / 'key.json'} is damaged, so that nobody can say what made these vectors. Run an "
            "extraction with their encoder: it writes the file again."
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


def bring_in(path: Path, root: Path) -> tuple[StoreEntry, int]:
    """Put the vectors of an exported file into the store; returns the key's entry and how many were new.

    Raises:
        InputError: the file is not one that :func:`export` wrote.
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
    with store.owner():
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
    """Vectors and their width by a shard's note; (0, 0) where it is damaged, which :func:`verify` says."""
    try:
        said = json.loads(note.read_text())
        return int(said["n"]), int(said["d"])
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
