"""Write vectors of one key to a file that travels, and read it back: checked, and whole or not at all.

``.npz``: content (SHA-256 of each image, hex), vectors [N, D] as stored, and the key. ``.parquet``: a row for
each image, the vector as a list of float32; the key in its metadata. Both carry a SHA-256 of all that.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainer.core import atomic
from trainer.core.errors import InputError, first_line
from trainer.core.untrusted_json import parse_json
from trainer.data.array_file import open_npz
from trainer.features.key import STORED_DTYPES, EncoderKey, digest_of
from trainer.features.shard import SHA256_BYTES, finite_rows

FORMATS = (".npz", ".parquet")
_KEY, _SHA256 = "headroom_key", "headroom_sha256"  # fields of a file beside content and vectors
_HEX = frozenset("0123456789abcdef")
_BROKEN = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, NotImplementedError),
    *(MemoryError, RecursionError, zipfile.BadZipFile),
)  # of NumPy and Arrow, for a file that is none of ours


class ExportedVectors(NamedTuple):
    """The vectors of a file."""

    content: list[str]  # SHA-256 hex of each image, all different
    vectors_nd: np.ndarray  # in the storage type of the key; finite
    key: EncoderKey


class _Raw(NamedTuple):
    """What a file holds, unchecked."""

    content: Sequence[Any]
    vectors_nd: np.ndarray
    key: str
    sha256: str | None  # None: an export of an earlier version


def check_format(path: Path) -> None:
    """Raise InputError for a file name of another format."""
    if path.suffix not in FORMATS:
        raise InputError(f"{path} must end in one of {', '.join(FORMATS)}.")


def write_vectors(path: Path, vectors: ExportedVectors) -> None:
    """Write a file. Raises InputError for another format."""
    check_format(path)
    key = json.dumps(vectors.key.fields)
    raw = _Raw(vectors.content, vectors.vectors_nd, key, _digest(key, vectors.content, vectors.vectors_nd))
    atomic.write_output(path, _to_npz(raw) if path.suffix == ".npz" else _to_parquet(raw), "The file")


def read_vectors(path: Path) -> ExportedVectors:
    """Read a file.

    Raises:
        InputError: it was not written by :func:`write_vectors`, or was changed. Names the first bad row.
    """
    check_format(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}. Pass one that `python -m trainer.cache export` wrote.")
    try:
        raw = _from_npz(path) if path.suffix == ".npz" else _from_parquet(path)
        key = _key(raw.key)
        content_problem, vectors_problem = _first_bad_id(raw.content), _wrong_shape(raw)
    except _BROKEN as error:
        raise InputError(
            f"{path} is not a file that `python -m trainer.cache export` wrote: {first_line(error)}."
        ) from error
    problem = content_problem or vectors_problem
    if problem is None:
        stored_nd, problem = _stored(raw.vectors_nd, key)
    if problem is None and raw.sha256 not in (None, _digest(raw.key, raw.content, stored_nd)):
        problem = "its SHA-256 does not match, so it was changed or damaged after the export"
    if problem is not None:
        raise InputError(f"{path}: {problem}. Nothing was imported. Export the vectors again.")
    return ExportedVectors([str(one) for one in raw.content], stored_nd, key)


# --- checks -----------------------------------------------------------------------------------


def _key(text: str) -> EncoderKey:
    fields = parse_json(text)
    if not isinstance(fields, dict) or not isinstance(fields.get("weights", {}), dict):
        raise ValueError(f"its {_KEY} is none")
    key = EncoderKey(fields, digest_of(fields))
    if key.stored_dtype not in STORED_DTYPES:
        raise ValueError(f"stored as {key.stored_dtype!r}, which is none of {', '.join(STORED_DTYPES)}")
    return key


def _first_bad_id(content: Sequence[Any]) -> str | None:
    seen: dict[str, int] = {}
    for row, one in enumerate(content):
        if not isinstance(one, str) or len(one) != 2 * SHA256_BYTES or set(one) - _HEX:
            return f"{_row(row)} names its image {str(one)[:80]!r}; a SHA-256 in hexadecimal is expected"
        if one in seen:
            return f"{_row(row)} has the same image as row {seen[one]}; every image may be there once"
        seen[one] = row
    return None


def _wrong_shape(raw: _Raw) -> str | None:
    if raw.vectors_nd.ndim != 2 or not raw.vectors_nd.size:
        return f"its vectors have the shape {raw.vectors_nd.shape}; one of some numbers per image is expected"
    if len(raw.content) != len(raw.vectors_nd):
        return f"it has {len(raw.content):,} images and {len(raw.vectors_nd):,} vectors; one each is expected"
    return None


def _stored(vectors_nd: np.ndarray, key: EncoderKey) -> tuple[np.ndarray, str | None]:
    """Return vectors in the storage type of a key, and what is wrong with the first that cannot be."""
    dtype = np.dtype(key.stored_dtype)
    if vectors_nd.dtype != dtype and vectors_nd.dtype.kind != "f":
        return vectors_nd, f"its vectors are {vectors_nd.dtype}; {dtype} is expected"
    with np.errstate(over="ignore", invalid="ignore"):
        stored_nd = np.ascontiguousarray(vectors_nd, dtype=dtype)
    if vectors_nd.dtype.kind == "f":
        if row := _first(~np.isfinite(vectors_nd).all(axis=1)):
            return stored_nd, f"{row} has NaN, infinite or missing numbers; finite ones are expected"
        if dtype.kind == "u" and (row := _first((stored_nd != vectors_nd).any(axis=1))):
            return stored_nd, f"{row} has numbers that are not the bits of bfloat16; 0 to 65,535 are expected"
    if row := _first(~finite_rows(stored_nd)):
        return stored_nd, f"{row} has numbers beyond the range of {_range(dtype)}"
    return stored_nd, None


def _first(bad_n: np.ndarray) -> str | None:
    return _row(bad_n.argmax()) if bad_n.any() else None


def _row(row: int | np.integer) -> str:
    return f"row {row} (the first is 0)"


def _range(dtype: np.dtype) -> str:
    return "bfloat16" if dtype.kind == "u" else f"{dtype} (±{np.finfo(dtype).max:,.0f})"


def _digest(key: str, content: Sequence[str], stored_nd: np.ndarray) -> str:
    digest = hashlib.sha256(f"{key}\n{''.join(content)}\n{stored_nd.dtype} {stored_nd.shape}\n".encode())
    digest.update(np.ascontiguousarray(stored_nd).tobytes())
    return digest.hexdigest()


# --- formats ----------------------------------------------------------------------------------


def _to_npz(raw: _Raw) -> bytes:
    buffer = io.BytesIO()
    fields: dict[str, Any] = {_KEY: np.array(raw.key), _SHA256: np.array(raw.sha256)}
    np.savez(buffer, content=np.array(raw.content), vectors=raw.vectors_nd, **fields)
    return buffer.getvalue()


def _from_npz(path: Path) -> _Raw:
    with open_npz(path) as file:
        sha256 = str(file[_SHA256]) if _SHA256 in file else None
        return _Raw(file["content"].tolist(), file["vectors"], str(file[_KEY]), sha256)


def _to_parquet(raw: _Raw) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(raw.vectors_nd.astype(np.float32).ravel())
    vectors = pa.FixedSizeListArray.from_arrays(flat, raw.vectors_nd.shape[1])
    table = pa.table({"content": raw.content, "vector": vectors})
    buffer = io.BytesIO()
    more = {_KEY: raw.key, _SHA256: raw.sha256}
    pq.write_table(table.replace_schema_metadata(more), buffer, compression="zstd")
    return buffer.getvalue()


def _from_parquet(path: Path) -> _Raw:
    import pyarrow.compute as pc

    from trainer.data.parquet_file import open_parquet

    with open_parquet(path) as file:
        table = file.read()
    more = table.schema.metadata or {}
    vectors = table["vector"].combine_chunks()
    if vectors.null_count:
        raise ValueError(f"{_row(vectors.is_null().to_numpy(False).argmax())} has no vector")
    widths = pc.unique(pc.list_value_length(vectors)).to_pylist()
    if len(widths) > 1:
        raise ValueError(f"its vectors have different widths, such as {widths[0]} and {widths[1]}")
    flat = pc.list_flatten(vectors).to_numpy(zero_copy_only=False)  # NaN for what is missing
    vectors_nd = flat.reshape(len(table), widths[0] if widths else 0)
    sha256 = more[_SHA256.encode()].decode() if _SHA256.encode() in more else None
    return _Raw(table["content"].to_pylist(), vectors_nd, more[_KEY.encode()].decode(), sha256)
