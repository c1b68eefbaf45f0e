"""Any table and any npz is read with counts that add up, or refused with an InputError."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.image_files import encoded, noise
from trainer.core.errors import InputError
from trainer.data.load import load
from trainer.data.manifest import Manifest, check_trainable
from trainer.data.table_columns import NAMES, as_text

FAST = settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MANY = settings(FAST, max_examples=500)  # benchmarks/fuzz_inputs.py tries thousands
FILES = [f"images/{i}.png" for i in range(4)]
PATHS = st.sampled_from(
    [*FILES, *(one.replace("/", "\\") for one in FILES), "0", "3.png", "no.png", "images", ""]
)
TEXT = st.text(max_size=12)
COLUMN = (
    st.sampled_from([*(name for names in NAMES.values() for name in names), "x", "", "Label", "url"]) | TEXT
)
NUMBER = st.integers(-9, 99) | st.floats()
VALUE = st.none() | st.booleans() | NUMBER | TEXT | st.lists(TEXT | NUMBER, max_size=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fuzzed")
    (root / "images").mkdir()
    for i, name in enumerate(FILES):
        (root / name).write_bytes(encoded(noise(i)))
    return root


def read(path: Path) -> Manifest | None:
    """The rows, None where they are refused; nothing else may be raised."""
    try:
        manifest = load(str(path), seed=0)
    except InputError:
        return None
    with suppress(InputError):
        check_trainable(manifest)
    assert len(manifest.label_n) == len(manifest.split_n) == len(manifest.content) == len(manifest)
    assert set(manifest.split_n) <= {"train", "val", "test"}
    assert set(np.unique(manifest.label_n)) - {-1} == set(range(len(manifest.classes)))
    return manifest


def in_csv(rows: list[dict[str, Any]], names: list[str], *, between: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=between)
    writer.writerow(names)
    writer.writerows([["" if row[name] is None else row[name] for name in names] for row in rows])
    return text.getvalue().encode("utf-8", "surrogatepass")


def in_tsv(rows: list[dict[str, Any]], names: list[str]) -> bytes:
    return in_csv(rows, names, between="\t")


def in_json_lines(rows: list[dict[str, Any]], names: list[str]) -> bytes:
    return "".join(json.dumps({name: row[name] for name in names}) + "\n" for row in rows).encode()


def in_parquet(rows: list[dict[str, Any]], names: list[str]) -> bytes:
    columns = {}
    for name in names:
        values = [row[name] for row in rows]
        try:
            columns[name] = arrow.array(values)
        except (arrow.ArrowException, UnicodeError, TypeError):  # several types
            columns[name] = arrow.array([ascii(one) for one in values])
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns), buffer)
    return buffer.getvalue()


WRITERS: dict[str, Callable[[list[dict[str, Any]], list[str]], bytes]] = {
    "t.csv": in_csv,
    "t.tsv": in_tsv,
    "t.jsonl": in_json_lines,
    "t.parquet": in_parquet,
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[str]]:
    names = ["path", *draw(st.lists(COLUMN.filter(lambda name: name != "path"), max_size=3, unique=True))]
    row = st.fixed_dictionaries({"path": PATHS, **dict.fromkeys(names[1:], VALUE)})
    return draw(st.lists(row, max_size=8)), names


def check_table(folder: Path, name: str, table: tuple[list[dict[str, Any]], list[str]]) -> None:
    rows, names = table
    path = folder / name
    path.write_bytes(WRITERS[name](rows, names))
    manifest = read(path)
    if manifest is not None:
        paths = [as_text(row["path"]) for row in rows]
        images = {one for one in paths if one}
        assert len(manifest) + len(manifest.quarantined) == len(images) + paths.count("")


@pytest.mark.parametrize("name", WRITERS)
@FAST
@given(table=tables())
def test_a_table_is_read_with_every_row_or_refused(folder: Path, name: str, table: Any) -> None:
    check_table(folder, name, table)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
@MANY
@given(table=tables())
def test_many_tables_are_read_with_every_row_or_refused(folder: Path, name: str, table: Any) -> None:
    check_table(folder, name, table)


# --- damaged text -----------------------------------------------------------------------------

PIECES = st.sampled_from(
    [*('"', "\n", "\t", ",", ";", "\r", "\0", "é", "{", "["), "path", '"a', "images/1.png", "\\ud800"]
)
EDITS = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 5), PIECES), max_size=5)


def check_damaged(
    folder: Path, name: str, rows: list[tuple[str, str]], edits: list[tuple[int, int, str]]
) -> None:
    table = [{"path": path, "label": label} for path, label in rows]
    text = WRITERS[name](table, ["path", "label"]).decode("utf-8", "surrogateescape")
    for at, removed, added in edits:
        text = text[:at] + added + text[at + removed :]
    path = folder / f"damaged_{name}"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    manifest = read(path)
    if manifest is not None:
        assert len(manifest) + len(manifest.quarantined) <= len(text.splitlines())


DAMAGED = given(rows=st.lists(st.tuples(PATHS, TEXT), min_size=1, max_size=6), edits=EDITS)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
@FAST
@DAMAGED
def test_a_damaged_table_has_no_more_rows_than_lines(folder: Path, name: str, rows: Any, edits: Any) -> None:
    check_damaged(folder, name, rows, edits)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
@MANY
@DAMAGED
def test_many_damaged_tables_have_no_more_rows_than_lines(
    folder: Path, name: str, rows: Any, edits: Any
) -> None:
    check_damaged(folder, name, rows, edits)


# --- arrays -----------------------------------------------------------------------------------

ARRAY = st.sampled_from(
    [
        *("train_x", "train_y", "X_train", "y_train", "val_x", "valid_y"),
        *("test_x", "labels_test", "x", "y", "classes", "ids"),
    ]
)
SHAPE = st.lists(st.sampled_from([0, 1, 3, 12]), max_size=3).map(tuple)
KIND = st.sampled_from(["f4", "f8", "i8", "u1", "b", "U3", "S3", "f2", "c8"])


@st.composite
def arrays(draw: st.DrawFn) -> dict[str, np.ndarray]:
    rows = draw(st.sampled_from([1, 12, 40]))
    good = {"train_x": np.random.default_rng(0).normal(size=(rows, 3)), "train_y": np.arange(rows) % 2}
    odd = {
        name: (np.arange(np.prod(shape, dtype=int)) % 5).reshape(shape).astype(kind)
        for name, shape, kind in draw(st.lists(st.tuples(ARRAY, SHAPE, KIND), max_size=4))
    }
    return {name: one for name, one in {**good, **odd}.items() if not draw(st.booleans()) or name in odd}


def check_arrays(folder: Path, found: dict[str, np.ndarray]) -> None:
    path = folder / "f.npz"
    np.savez(path, **found)  # type: ignore[arg-type]
    manifest = read(path)
    if manifest is not None:
        used = sum(len(one) for name, one in found.items() if one.ndim == 2 and name not in manifest.unused)
        assert len(manifest) == used


@FAST
@given(found=arrays())
def test_an_npz_is_read_with_every_row_or_refused(folder: Path, found: Any) -> None:
    check_arrays(folder, found)


@pytest.mark.slow
@MANY
@given(found=arrays())
def test_many_npz_are_read_with_every_row_or_refused(folder: Path, found: Any) -> None:
    check_arrays(folder, found)
