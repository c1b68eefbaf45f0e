"""An exported file comes back as it was; what does not fit its key is refused whole, and the row is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.core.errors import InputError
from trainer.data.image_quality import MEASURE_NAMES
from trainer.features import store_admin
from trainer.features.image_measures import measures_store
from trainer.features.key import EncoderKey, digest_of
from trainer.features.store import FeatureStore
from trainer.features.vector_file import FORMATS, ExportedVectors, read_vectors, write_vectors

FIELDS = {"pooling": "Toy: pooler_output"}
KEY = EncoderKey(FIELDS, digest_of(FIELDS))
CONTENT = [f"{row:064x}" for row in range(6)]
VECTORS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float16)


def by_hand(path: Path, content: Any = CONTENT, vectors: Any = VECTORS, fields: Any = FIELDS) -> Path:
    """A file that nobody checked, without the SHA-256 that an export has."""
    if path.suffix == ".npz":
        key = {} if fields is None else {"headroom_key": np.array(json.dumps(fields))}
        np.savez(path, content=np.array(content), vectors=vectors, **key)  # type: ignore[arg-type]
        return path
    table = pa.table({"content": content, "vector": vectors if isinstance(vectors, list) else list(vectors)})
    pq.write_table(table.replace_schema_metadata({"headroom_key": json.dumps(fields)}), path)
    return path


def with_value(value: float, row: int = 3) -> np.ndarray:
    changed = VECTORS.astype(np.float32)
    changed[row, 1] = value
    return changed


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with the first two vectors."""
    store = FeatureStore(tmp_path / "features", KEY)
    with store.lock():
        store.append(CONTENT[:2], VECTORS[:2].astype(np.float32), sample_id=CONTENT[:2])
    return tmp_path / "features"


def refusal(root: Path, path: Path) -> str:
    """The sentence of an import that is refused, after which the store is as it was."""
    before = {file: file.read_bytes() for file in root.rglob("*") if file.is_file() and file.name != ".lock"}
    with pytest.raises(InputError) as refused:
        store_admin.import_vectors(path, root)
    after = {file: file.read_bytes() for file in root.rglob("*") if file.is_file() and file.name != ".lock"}
    assert after == before
    assert str(path) in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"vectors": np.ones((6, 5), np.float16)}, "have 5 numbers, and those of the key .* have 4"),
        ({"vectors": with_value(np.nan)}, r"row 3 .* finite ones are expected"),
        ({"vectors": with_value(-np.inf)}, r"row 3 .* finite ones are expected"),
        ({"vectors": with_value(70_000)}, r"row 3 .* beyond the range of float16 \(±65,504\)"),
        ({"content": [*CONTENT[:5], CONTENT[1]]}, "row 5 .* same image as row 1"),
        ({"content": [*CONTENT[:5], "cat.jpg"]}, "row 5 .* 'cat.jpg'; a SHA-256 in hexadecimal"),
        ({"content": [*CONTENT[:5], CONTENT[5].replace("0", "A")]}, "row 5"),
        ({"vectors": np.ones((6, 4), np.int64)}, "are int64; float16 is expected"),
        ({"vectors": np.ones((6, 4), bool)}, "are bool; float16 is expected"),
        ({"content": [], "vectors": np.empty((0, 4), np.float16)}, "not a file that|of the shape|the shape"),
        ({"fields": ["a list"]}, "headroom_key is none"),
        ({"fields": {"stored_dtype": "complex64"}}, "'complex64', which is none of float16"),
        ({"fields": {"weights": 5}}, "headroom_key is none"),
    ],
)
def test_what_does_not_fit_the_key_is_refused_whole(
    root: Path, tmp_path: Path, suffix: str, changed: dict[str, Any], sentence: str
) -> None:
    said = refusal(root, by_hand(tmp_path / f"bad{suffix}", **changed))
    assert re.search(sentence, said), said


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"vectors": VECTORS.astype(np.complex64)}, "are complex64; float16 is expected"),
        ({"vectors": VECTORS.astype(object)}, "not a file that"),
        ({"vectors": VECTORS.astype(str)}, "float16 is expected"),
        ({"vectors": VECTORS.view([("a", np.float16)])}, "float16 is expected"),
        ({"vectors": np.empty((6, 0), np.float16)}, r"the shape \(6, 0\)"),
        ({"vectors": VECTORS[0]}, r"the shape \(4,\)"),
        ({"vectors": VECTORS[None]}, r"the shape \(1, 6, 4\)"),
        ({"vectors": np.float16(1)}, r"the shape \(\)"),
        ({"vectors": VECTORS[:5]}, "6 images and 5 vectors"),
        ({"content": CONTENT[:5]}, "5 images and 6 vectors"),
        ({"content": list(range(6))}, "row 0"),
        ({"content": CONTENT[0]}, "row 0"),
        ({"fields": None}, "headroom_key"),
    ],
)
def test_odd_arrays_are_refused(root: Path, tmp_path: Path, changed: dict[str, Any], sentence: str) -> None:
    said = refusal(root, by_hand(tmp_path / "bad.npz", **changed))
    assert re.search(sentence, said), said


@pytest.mark.parametrize(
    ("vectors", "sentence"),
    [
        ([[1.0] * 4] * 5 + [None], "row 5 .* has no vector"),
        ([[1.0] * 4] * 4 + [[1.0, 2.0, None, 3.0], [1.0] * 4], "row 4 .* missing"),
        ([[1.0] * 4] * 4 + [[1.0] * 3, [1.0] * 5], "different widths, such as 4 and 3"),
        ([["x"] * 4] * 6, "float16 is expected"),
        ([[]] * 6, "shape"),
        ([1.0] * 6, "not a file that"),
        ([None] * 6, "not a file that"),
        ([[[1.0]] * 4] * 6, "not a file that|expected"),
    ],
)
def test_odd_columns_are_refused(root: Path, tmp_path: Path, vectors: list[Any], sentence: str) -> None:
    said = refusal(root, by_hand(tmp_path / "bad.parquet", vectors=vectors))
    assert re.search(sentence, said), said


@pytest.mark.parametrize("suffix", FORMATS)
def test_measures_have_a_width_before_there_are_any(tmp_path: Path, suffix: str) -> None:
    fields = json.loads((measures_store(tmp_path / "other").folder / "key.json").read_text())
    path = by_hand(tmp_path / f"bad{suffix}", fields=fields)
    with pytest.raises(
        InputError, match=f"have 4 numbers, and those of the key .* have {len(MEASURE_NAMES)}"
    ):
        store_admin.import_vectors(path, tmp_path / "features")
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("bits", [0x7F80, 0xFFC1])  # infinity and NaN
def test_bits_of_bfloat16_are_looked_through(tmp_path: Path, suffix: str, bits: int) -> None:
    fields = {"stored_dtype": "uint16"}
    vectors = np.full((6, 4), 0x3F80, np.uint16)
    dtype = np.float32 if suffix == ".parquet" else np.uint16
    good = store_admin.import_vectors(
        by_hand(tmp_path / f"good{suffix}", vectors=vectors.astype(dtype), fields=fields), tmp_path
    )
    assert good.new == 6
    vectors[2, 3] = bits
    path = by_hand(tmp_path / f"bad{suffix}", vectors=vectors.astype(dtype), fields=fields)
    with pytest.raises(InputError, match=r"row 2 .* beyond the range of bfloat16"):
        store_admin.import_vectors(path, tmp_path / "features")
    half = by_hand(tmp_path / f"half{suffix}", vectors=np.full((6, 4), 1.5, np.float32), fields=fields)
    with pytest.raises(InputError, match=r"row 0 .* not the bits of bfloat16"):
        store_admin.import_vectors(half, tmp_path / "features")


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: None])
@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_no_file_is_refused(tmp_path: Path, suffix: str, make: Callable[[Path], None]) -> None:
    make(tmp_path / f"no{suffix}")
    with pytest.raises(InputError, match="There is no file"):
        read_vectors(tmp_path / f"no{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_vector_that_the_cache_has_is_kept_and_counted(root: Path, tmp_path: Path, suffix: str) -> None:
    done = store_admin.import_vectors(by_hand(tmp_path / f"more{suffix}", vectors=with_value(9, row=1)), root)
    assert (done.new, done.different) == (4, 1)
    store = FeatureStore(root, KEY)
    assert np.array_equal(store.lookup_stored(CONTENT), VECTORS)
    assert store_admin.verify(done.entry) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_exported_file_that_was_edited_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write_vectors(path, ExportedVectors(CONTENT, VECTORS, KEY))
    if suffix == ".npz":
        fields = dict(np.load(path))
        fields["vectors"] = fields["vectors"][::-1]
        np.savez(path, **fields)
    else:
        table = pq.read_table(path)
        reversed_column = table["vector"].combine_chunks().take(pa.array(range(5, -1, -1)))
        pq.write_table(table.set_column(1, "vector", reversed_column), path)
    with pytest.raises(InputError, match="SHA-256 does not match"):
        read_vectors(path)


@settings(max_examples=300)
@given(st.sampled_from(FORMATS), st.floats(0, 1, exclude_max=True), st.integers(0, 7), st.integers(0, 20))
def test_a_damaged_export_is_refused_or_comes_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, place: float, bit: int, cut: int
) -> None:
    path = tmp_path_factory.mktemp("out") / f"out{suffix}"
    write_vectors(path, ExportedVectors(CONTENT, VECTORS, KEY))
    data = bytearray(path.read_bytes())
    at = int(place * len(data))
    data[at] ^= 1 << bit
    path.write_bytes(data[: len(data) - cut] if cut > 18 else data)
    try:
        vectors = read_vectors(path)
    except InputError:
        return
    assert (vectors.content, vectors.key) == (CONTENT, KEY)
    assert np.array_equal(vectors.vectors_nd, VECTORS)
