"""List, verify, prune, export and import the keys of a feature store."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from trainer.core import atomic
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.json_cache import read_json
from trainer.features.key import EncoderKey, digest_of
from trainer.features.shard import (
    KEY_FILE,
    DamagedShard,
    names_in,
    notes_in,
    orphans_in,
    read_note,
    read_those_there,
    set_aside,
)
from trainer.features.shard_index import ShardIndex
from trainer.features.shared_key import YOUNG, SharedKey
from trainer.features.store import (
    ORPHAN,
    PRUNED,
    FeatureStore,
    locked,
    remove_pruned,
    tidy_if_free,
    unreadable,
)
from trainer.features.vector_file import ExportedVectors, check_format, read_vectors, write_vectors
from trainer.storing.bucket_location import BucketLocation
from trainer.storing.copies import origin_of
from trainer.storing.folder_location import FolderLocation

LOOKS = 3  # at a key that cannot be read


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
    """A damaged shard, or key.json."""

    path: Path
    reason: str


def entries(root: Path) -> list[StoreEntry]:
    """Return all keys in the store, by name. Does not read vectors.

    Raises:
        InputError: it is a file; the bucket cannot be used.
    """
    origin = origin_of(root)
    if origin is not None:
        found = (_entry(root / name) for name in origin.folders())
        return [entry for entry in found if entry.bytes]  # some stores list a folder that has become empty
    for place in (root.parent, root):
        if place.exists() and not place.is_dir():
            raise InputError(
                f"{place} is a file; the folder of the feature cache is expected. Pass another --cache-dir."
            )
    if not root.is_dir():
        return []
    remove_pruned(root)
    folders = sorted(root / name for name in names_in(root))
    return [_entry(folder) for folder in folders if _is_key(folder)]


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


def verify(entry: StoreEntry, *, checked: Callable[[], None] = lambda: None) -> list[Damage]:
    """Check every shard of a key: its SHA-256, width and storage type, finite numbers, each image once.

    Args:
        checked: called after each shard.

    Returns:
        What is damaged: shards, and key.json. Nothing is changed.

    Raises:
        InputError: a shard cannot be read.
    """
    found = {}
    shared = _shared(entry.folder)
    if shared is not None:
        return _verify_bucket(entry, shared, checked)
    for _ in range(LOOKS):  # another process may have deleted the key, or made it anew, as it was read
        if entry.key is None and _is_key(entry.folder):
            entry = _entry(entry.folder)
    if entry.key is None and _is_key(entry.folder):
        found[entry.folder / KEY_FILE] = "it does not match the name of the folder"
    dtype = np.dtype(entry.key.stored_dtype) if entry.key else None
    found |= {_shard(entry, name): ORPHAN for name in tidy_if_free(entry.folder)}
    try:
        intact, damaged = read_those_there(notes_in(entry.folder), dtype, read=checked)
    except OSError as error:
        raise unreadable(entry.folder, error) from error
    refused = ShardIndex(entry.key.width if entry.key else None).add(intact)
    found |= {_shard(entry, name): reason for name, reason in (damaged | refused).items()}
    return [Damage(path, reason) for path, reason in found.items()]


def _verify_bucket(entry: StoreEntry, shared: SharedKey, checked: Callable[[], None]) -> list[Damage]:
    """Check the SHA-256 of every committed shard; what a store copies it checks further."""
    damaged = []
    if entry.key is None:
        damaged.append(Damage(entry.folder / KEY_FILE, "it does not match the name of the folder"))
    for marker in shared.markers():
        if marker.note is None:
            continue
        if not shared.is_intact(marker.note):
            damaged.append(Damage(_shard(entry, marker.note.name), "it is missing, or its SHA-256 differs"))
        checked()
    return damaged


def put_aside(damage: Damage) -> str:
    """Set a damaged shard aside, so that its images count as missing. Returns a message on it."""
    folder, name = damage.path.parent, damage.path.stem
    shared = _shared(folder)
    if shared is None:
        SharedKey(FolderLocation(folder)).forget(name)
        return set_aside(folder, name, damage.reason)
    shared.forget(name)
    return f"Damaged shard {name} ({damage.reason}) was taken off the record; its vectors count as missing."


@dataclass(frozen=True)
class Orphans:
    """Shards in a bucket that no marker names."""

    found: int
    deleted: int
    freed_bytes: int


def collect_orphans(entry: StoreEntry, *, older_than: timedelta = YOUNG) -> Orphans:
    """Delete old orphans of a key. In a folder there are none: intact ones are adopted, others set aside."""
    shared = _shared(entry.folder)
    if shared is None:
        return Orphans(0, 0, 0)
    found, deleted = shared.collect_orphans(older_than)
    return Orphans(len(found), len(deleted), sum(one.size for one in deleted))


def prune(entry: StoreEntry) -> StoreEntry:
    """Delete a key with all its vectors, waiting for its lock; return what was deleted.

    Raises:
        InputError: another process has deleted it meanwhile.
    """
    shared = _shared(entry.folder)
    if shared is not None:
        deleted = _entry(entry.folder)
        shared.remove()
        shutil.rmtree(entry.folder, ignore_errors=True)  # the copy
        return deleted
    with locked(entry.folder):
        there = _is_key(entry.folder)
        deleted = _entry(entry.folder)
        # By rename, so that no process ever sees half a key, and a kill leaves what the next command deletes.
        gone = entry.folder.with_name(f".{entry.folder.name}.{os.getpid()}.{time.time_ns()}{PRUNED}")
        os.rename(entry.folder, gone)
        shutil.rmtree(gone, onerror=_unless_gone)
    if not there:
        raise InputError(f"The key {entry.folder.name} was removed by another process meanwhile.")
    return deleted


def _unless_gone(function: object, path: object, error: Any) -> None:
    """Let another process delete a pruned key at the same time: it takes it for the rest of a killed one."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


def export(entry: StoreEntry, path: Path) -> int:
    """Export all vectors of a key to a file (:mod:`vector_file`); return their number.

    Damaged shards are set aside, and said so.

    Raises:
        InputError: unknown suffix; damaged key.json; there are no vectors.
    """
    check_format(path)
    atomic.check_output(path, "The file")
    if entry.key is None:
        raise InputError(
            f"{entry.folder / KEY_FILE} is damaged, so the encoder of these vectors is unknown. Run an "
            "extraction with their encoder to restore it."
        )
    store = FeatureStore(entry.folder.parent, entry.key)
    for warning in store.warnings:
        say(f"Warning: {warning}")
    if not len(store):
        raise InputError(f"The key {entry.folder.name} has no vectors to export.")
    content = store.contents()
    write_vectors(path, ExportedVectors(content, store.lookup_stored(content), entry.key))
    return len(content)


@dataclass(frozen=True)
class Imported:
    """What an import added."""

    entry: StoreEntry
    new: int  # vectors
    different: int  # images whose stored vector is another one, which was kept


def import_vectors(path: Path, root: Path) -> Imported:
    """Import all vectors of an exported file, or none.

    Raises:
        InputError: the file was not written by :func:`export`, or does not fit the vectors of its key.
    """
    content, vectors_nd, key = read_vectors(path)
    width = vectors_nd.shape[1]
    _check_width(path, key.digest[:16], width, key.width)
    store = FeatureStore(root, key)
    with store.lock():
        _check_width(path, store.folder.name, width, store.width)
        new = [row for row, one in enumerate(content) if one not in store]
        old = [row for row, one in enumerate(content) if one in store]
        different = sum(
            store.lookup_stored([content[row]]).tobytes() != vectors_nd[row].tobytes() for row in old
        )
        if new:
            names = [content[row] for row in new]
            new_nd = vectors_nd[new].astype(np.float32)
            store.append(names, new_nd, sample_id=names, imported=str(path.absolute()))
    return Imported(_entry(store.folder), len(new), different)


def _check_width(path: Path, key: str, width: int, expected: int | None) -> None:
    if expected not in (None, width):
        raise InputError(
            f"{path}: its vectors have {width} numbers, and those of the key {key} have {expected}. Nothing "
            "was imported."
        )


def _is_key(folder: Path) -> bool:
    """Return whether a folder holds a key, or vectors whose key.json was deleted."""
    if folder.name.startswith(".") or not folder.is_dir():
        return False
    return (folder / KEY_FILE).exists() or bool(notes_in(folder)) or bool(orphans_in(folder))


def _shared(folder: Path) -> SharedKey | None:
    """Return the key in a bucket of which a folder is the copy; None for any other folder."""
    origin = origin_of(folder)
    return None if origin is None else SharedKey(origin)


def _bucket_entry(folder: Path, origin: BucketLocation) -> StoreEntry:
    notes = [marker.note for marker in SharedKey(origin).markers() if marker.note is not None]
    try:
        fields = json.loads(origin.get(KEY_FILE))
        digest = digest_of(fields) if isinstance(fields, dict) else ""
    except (FileNotFoundError, ValueError, RecursionError):
        digest = ""
    return StoreEntry(
        folder=folder,
        key=EncoderKey(fields, digest) if digest.startswith(folder.name) else None,
        shards=len(notes),
        vectors=sum(note.n for note in notes),
        width=max((note.d for note in notes), default=0),
        bytes=sum(one.size for one in origin.entries()),
    )


def _entry(folder: Path) -> StoreEntry:
    origin = origin_of(folder)
    if origin is not None:
        return _bucket_entry(folder, origin)
    notes = [_noted(note) for note in notes_in(folder)]
    return StoreEntry(
        folder=folder,
        key=_key(folder),
        shards=len(notes),
        vectors=sum(n for n, _ in notes),
        width=max((d for _, d in notes), default=0),
        bytes=_size(folder),
    )


def _size(folder: Path) -> int:
    """Return the bytes of all files in a folder, but for those that another process deletes meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(place, name)).st_size
    return total


def _key(folder: Path) -> EncoderKey | None:
    path = folder / KEY_FILE
    if not path.is_file():
        return None
    try:
        fields = read_json(path)
    except InputError:
        return None
    digest = digest_of(fields)
    return EncoderKey(fields, digest) if digest.startswith(folder.name) else None


def _noted(path: Path) -> tuple[int, int]:
    """Return number and width of a shard's vectors from its note; (0, 0) if it is damaged."""
    try:
        note = read_note(path)
    except (OSError, DamagedShard):
        return 0, 0
    return note.n, note.d


def _shard(entry: StoreEntry, name: str) -> Path:
    return entry.folder / f"{name}.safetensors"
