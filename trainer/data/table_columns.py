"""Find the columns of a table by role and convert them to text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as arrow

# Accepted column names in lower case; the first match counts.
NAMES = {
    "image": ("path", "file_name", "filename", "filepath", "image_path", "image", "img", "file"),
    "id": ("sample_id", "id", "key", "image_id"),
    "label": ("label", "class", "class_name", "category"),
    "caption": ("caption", "captions", "text"),
    "group": ("group", "group_id"),
    "split": ("split",),
}
CAPTIONS_JOINED_BY = " | "


def by_role(present: Iterable[str]) -> dict[str, str]:
    """Map each role to the name of its column; roles without a column are left out."""
    own = {one.strip().lower(): one for one in present}
    return {
        role: next(own[known] for known in names if known in own)
        for role, names in NAMES.items()
        if any(known in own for known in names)
    }


def holds_bytes(kind: arrow.DataType) -> bool:
    """Return whether a type is binary, or a struct with bytes, as Hugging Face stores images."""
    bare = arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind)
    return bare or (arrow.types.is_struct(kind) and any(f.name == "bytes" for f in kind))


def image_bytes_column(schema: arrow.Schema) -> str | None:
    """Return the first column with the name of an image column that holds bytes."""
    return next((f.name for f in schema if f.name.lower() in NAMES["image"] and holds_bytes(f.type)), None)


def bytes_of(cell: arrow.Scalar) -> bytes | None:
    """Return the bytes of a cell of such a column, or None."""
    value = cell.as_py()
    return value.get("bytes") if isinstance(value, dict) else value


def column_as_text(column: arrow.ChunkedArray) -> list[str]:
    """Return values as text: "" for null, lists joined by " | "."""
    return [_as_text(value) for value in column.to_pylist()]


def split_captions(caption: str) -> list[str]:
    """Split a row's joined captions; empty for ""."""
    return [one for one in caption.split(CAPTIONS_JOINED_BY) if one.strip()]


def class_names(label: list[str], names: Sequence[str] | None) -> list[str]:
    """Replace labels that are indices into ``names``; -1 is a row without a label."""
    if not names:
        return label
    name = {str(number): one for number, one in enumerate(names)} | {"-1": ""}
    return [name.get(one, one) for one in label]


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return CAPTIONS_JOINED_BY.join(filter(None, map(_as_text, value)))
    return str(value).strip()
