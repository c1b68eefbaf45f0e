"""A shard of the feature store: an immutable file of vectors, and a note that makes it valid.

``<name>.safetensors`` holds ``vectors`` [n, D] and ``content`` uint8 [n, 32]; ``<name>.json`` its SHA-256,
whose first 16 digits are the name, and is written last. A shard that is not what its note says is damaged.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainer.core import atomic

SHA256_BYTES = 32
NAME_LENGTH = 16  # hex digits
NOTE_BYTES = 65_536  # no note is larger
HEADER_BYTES = 4_096  # no header of a shard is larger
KEY_FILE = "key.json"  # stands beside the notes
_NAME = re.compile(f"[0-9a-f]{{{NAME_LENGTH}}}")
ATTEMPTS = 20  # to write into a folder that other processes delete
PAUSES_S = (0.01, 0.1)  # before a shard that looks damaged is read again
CHECKED_ROWS = 256  # at a time: they stay in the processor's cache
_EXPONENTS = {  # storage type → the same bits as integers, and those that are all set in NaN and infinity
    "float16": (np.uint16, 0x7C00),
    "float32": (np.uint32, 0x7F80_0000),
    "uint16": (np.uint16, 0x7F80),  # bits of bfloat16
}


class DamagedShard(ValueError):
    """A shard that cannot be used; the text says why."""


@dataclass(frozen=True)
class ShardNote:
    """What is on record of a shard."""

    sha256: str  # of the file, hex
    n: int  # vectors
    d: int  # numbers of each
    imported: str = ""  # file that the vectors came from; "" if the encoder made them

    @property
    def name(self) -> str:
        """Name of the shard's files."""
        return self.sha256[:NAME_LENGTH]


class Shard(NamedTuple):
    """A shard that holds what its note promises."""

    content: list[str]  # SHA-256 hex of each image
    vectors_nd: np.ndarray
    note: ShardNote


def notes_in(folder: Path) -> list[Path]:
    """Return the notes of the shards in a folder, by name; none if it does not exist (any more)."""
    return sorted(folder / name for name in names_in(folder) if name.endswith(".json") and name != KEY_FILE)


def names_in(folder: Path) -> list[str]:
    """Return what is in a folder; nothing if it does not exist (any more)."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def read_note(path: Path) -> ShardNote:
    """Return a note.

    Raises:
        DamagedShard: it is not one.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise DamagedShard("its note is missing")
    try:
        with path.open("rb") as file:
            values = json.loads(file.read(NOTE_BYTES))
        note = ShardNote(values["sha256"], values["n"], values["d"], values.get("imported", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamagedShard("its note cannot be read") from None
    counts = (note.n, note.d)
    if not all(type(one) is int and one > 0 for one in counts) or not isinstance(note.imported, str):
        raise DamagedShard("its note makes no sense")
    if not isinstance(note.sha256, str) or note.name != path.stem:
        raise DamagedShard("its note is that of another shard")
    return note


def read_those_there(
    paths: Sequence[Path], dtype: np.dtype | None = None, *, read: Callable[[], None] = lambda: None
) -> tuple[list[Shard], dict[str, str]]:
    """Return the shards with the notes at ``paths``, and by name what is wrong with damaged ones. Those that
    another process is deleting are in neither.

    What looks damaged is read again, all of it after one pause: it may be deleted, or written anew, at this
    moment.

    Args:
        read: called after each shard that is looked at for the first time.

    Raises:
        OSError: one cannot be read; ``filename`` says which.
    """
    shards: list[Shard] = []
    left, damage = list(paths), dict[Path, str]()
    for look, pause_s in enumerate((0.0, *PAUSES_S)):
        time.sleep(pause_s if left else 0)
        damage = {}
        for path in left:
            try:
                shards.append(read_shard(path, dtype))
            except (DamagedShard, FileNotFoundError) as error:
                if os.path.lexists(path):
                    damage[path] = str(error)
            if look == 0:
                read()
        left = list(damage)
    return shards, {path.stem: reason for path, reason in damage.items()}


def read_shard(path: Path, dtype: np.dtype | None = None) -> Shard:
    """Return the shard with the note at ``path``.

    Args:
        dtype: storage type that is expected; None: any.

    Raises:
        DamagedShard: it is missing, or not what its note promises.
        OSError: it cannot be read.
    """
    note = read_note(path)
    data = _read(path.with_suffix(".safetensors"), note.n * (4 * note.d + SHA256_BYTES) + HEADER_BYTES)
    if hashlib.sha256(data).hexdigest() != note.sha256:
        raise DamagedShard("its SHA-256 does not match")
    content, vectors_nd = _parse(data)
    if vectors_nd.shape != (note.n, note.d):
        raise DamagedShard(f"it has the shape {vectors_nd.shape}, and its note says {(note.n, note.d)}")
    if dtype is not None and vectors_nd.dtype != dtype:
        raise DamagedShard(f"it holds {vectors_nd.dtype}, where {dtype} is expected")
    return Shard(content, vectors_nd, note)


def write_shard(folder: Path, content: Sequence[str], vectors_nd: np.ndarray, *, imported: str) -> Shard:
    """Write a shard durably and return it. The arrays must be fit for one.

    Raises:
        OSError: it cannot be written.
    """
    shard, data = pack_shard(content, vectors_nd, imported=imported)
    write_file(folder / f"{shard.note.name}.safetensors", data)
    write_note(folder, shard.note)
    return shard


def pack_shard(content: Sequence[str], vectors_nd: np.ndarray, *, imported: str) -> tuple[Shard, bytes]:
    """Return a shard and the bytes of its file."""
    data = _bytes(content, vectors_nd)
    n, d = vectors_nd.shape
    note = ShardNote(hashlib.sha256(data).hexdigest(), n, d, imported)
    return Shard(list(content), vectors_nd, note), data


def shard_bytes(n: int, d: int, dtype: np.dtype) -> int:
    """Return the size of a shard, but for its header."""
    return n * (d * dtype.itemsize + SHA256_BYTES)


def finite_rows(vectors_nd: np.ndarray) -> np.ndarray:
    """Return which vectors have neither NaN nor infinity, bool [N]; uint16 are bits of bfloat16."""
    integer, exponent = _EXPONENTS[vectors_nd.dtype.name]
    bits_nd = np.ascontiguousarray(vectors_nd).view(integer)
    good_n = np.empty(len(bits_nd), dtype=bool)
    for at in range(0, len(bits_nd), CHECKED_ROWS):
        some = bits_nd[at : at + CHECKED_ROWS]
        good_n[at : at + CHECKED_ROWS] = ((some & exponent) != exponent).all(axis=1)
    return good_n


def orphans_in(folder: Path) -> list[Path]:
    """Return the shards without a note: a process writes it at this moment, or was killed before it could."""
    shards = (folder / name for name in names_in(folder) if name.endswith(".safetensors"))
    found = sorted(path for path in shards if _NAME.fullmatch(path.stem))
    return [path for path in found if not os.path.lexists(path.with_suffix(".json"))]


def adopt_orphans(folder: Path) -> list[str]:
    """Write a note for every intact shard without one. Call it inside the lock.

    A shard's name tells whether it is intact.

    Returns:
        Names of those that are not.
    """
    damaged = []
    for path in orphans_in(folder):
        data = path.read_bytes() if path.is_file() else b""
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            if sha256[:NAME_LENGTH] != path.stem:
                raise DamagedShard
            n, d = _parse(data)[1].shape
            write_note(folder, ShardNote(sha256, n, d))
        except DamagedShard:
            damaged.append(path.stem)
    return damaged


def set_aside(folder: Path, name: str, reason: str) -> str:
    """Move a damaged shard and its note to ``bad``, where people may look at it. Returns a message on it."""
    imported = _imported(folder / f"{name}.json")
    bad = folder / "bad"
    moved = "was moved to the folder bad beside it"
    try:
        bad.mkdir(exist_ok=True)
        for suffix in (".json", ".safetensors"):  # the note first: without it there is no shard
            target = bad / f"{name}{suffix}"
            if os.path.lexists(target):
                target = bad / f"{name}.{time.time_ns()}{suffix}"
            with suppress(FileNotFoundError):
                os.replace(folder / f"{name}{suffix}", target)
    except OSError as error:
        moved = f"could not be moved to {bad} ({error.strerror})"
    text = f"Damaged shard {folder / name}.safetensors ({reason}) {moved}; its vectors count as missing."
    if not imported:
        return text
    return f"{text} They were imported from {imported}: import it again, unless you have the images."


def _imported(note: Path) -> str:
    """Return where the vectors of a damaged shard came from; "" if that is not known."""
    with suppress(DamagedShard, OSError):
        return read_note(note).imported
    return ""


def _read(path: Path, limit: int) -> bytes:
    """Return the bytes of a file. Raises DamagedShard if it is missing, no file, or larger than ``limit``."""
    if not path.is_file():
        raise DamagedShard("it is missing" if not os.path.lexists(path) else "it is not a regular file")
    if path.stat().st_size > limit:
        raise DamagedShard("it is larger than its note says")
    return path.read_bytes()


def _parse(data: bytes) -> tuple[list[str], np.ndarray]:
    """Return contents and vectors.

    Raises:
        DamagedShard: they are not of a shard.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(data)
        content_n32, vectors_nd = tensors["content"], tensors["vectors"]
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedShard(f"it cannot be read as a shard: {error}") from error
    if vectors_nd.ndim != 2 or not vectors_nd.size or vectors_nd.dtype.name not in _EXPONENTS:
        raise DamagedShard(f"its vectors are {vectors_nd.dtype} of the shape {vectors_nd.shape}")
    if content_n32.dtype != np.uint8 or content_n32.shape != (len(vectors_nd), SHA256_BYTES):
        raise DamagedShard("it does not name an image for each vector")
    content = [row.tobytes().hex() for row in content_n32]
    if len(set(content)) < len(content):
        raise DamagedShard("it holds an image twice")
    if not finite_rows(vectors_nd).all():
        raise DamagedShard("it holds NaN or infinite numbers")
    return content, vectors_nd


def _bytes(content: Sequence[str], vectors_nd: np.ndarray) -> bytes:
    from safetensors.numpy import save

    content_n32 = np.frombuffer(bytes.fromhex("".join(content)), dtype=np.uint8).reshape(-1, SHA256_BYTES)
    return save({"vectors": vectors_nd, "content": content_n32})


def write_note(folder: Path, note: ShardNote) -> None:
    """Write a note durably: from then on there is the shard. Raises OSError."""
    values = {name: value for name, value in asdict(note).items() if value != ""}
    write_file(folder / f"{note.name}.json", json.dumps(values).encode())


def write_file(path: Path, data: bytes) -> None:
    """Write a file, also while another process deletes its folder. Raises OSError."""
    for _ in range(ATTEMPTS):
        with suppress(FileNotFoundError):
            return atomic.write_bytes(path, data)
    return atomic.write_bytes(path, data)
