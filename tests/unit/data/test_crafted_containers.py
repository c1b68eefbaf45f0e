"""Containers that claim what they do not hold are refused with a sentence, before anything is allocated."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from tests.support.image_files import encoded, noise
from tests.support.paths import REPO
from trainer.core.errors import InputError
from trainer.core.untrusted_json import MAX_DEPTH, parse_json
from trainer.data.load import load
from trainer.data.manifest import Manifest

MOST = 100 << 20  # bytes that reading one of these small files may take
GIANT = 10 << 30
KINDS = ["csv", "tsv", "jsonl", "parquet", "cells", "folder", "metadata", "sidecars", "npz", "safetensors"]


@pytest.fixture(autouse=True)
def _little_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST


def refusal(path: Path) -> str:
    tracemalloc.reset_peak()
    with pytest.raises(InputError) as refused:
        load(str(path), seed=0)
    assert len(str(refused.value)) < 1_000
    return str(refused.value)


# --- JSON -------------------------------------------------------------------------------------


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1, 900, 100_000])
def test_json_is_read_up_to_a_depth(opening: str, depth: int) -> None:
    text = opening * depth + ("" if opening == "[" else "1") + ("]" if opening == "[" else "}") * depth
    if depth <= MAX_DEPTH:
        assert parse_json(text)
    else:
        with pytest.raises(ValueError, match="nested more than"):
            parse_json(text)


def test_json_is_read_up_to_a_size_and_brackets_in_text_do_not_count() -> None:
    assert parse_json(json.dumps("[" * 1_000)) == "[" * 1_000
    with pytest.raises(ValueError, match="the limit is 10"):
        parse_json(b"[" * 11, max_bytes=10)


# --- tar --------------------------------------------------------------------------------------


def member(name: str, data: bytes, *, size: int | None = None, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A member whose header may claim any size."""
    made = tarfile.TarInfo(name)
    made.type = kind
    header = bytearray(made.tobuf(tarfile.GNU_FORMAT)[:512])
    claimed = len(data) if size is None else size
    header[124:136] = (b"\x80" if claimed >= 0 else b"\xff") + claimed.to_bytes(11, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data + bytes(-len(data) % 512)


def shard(path: Path, *members: bytes) -> Manifest:
    good = [member(f"{i}.png", encoded(noise(i))) for i in range(4)]
    path.write_bytes(b"".join([*good, *members, member("9.png", encoded(noise(9))), bytes(1024)]))
    return load(str(path), seed=0)


@pytest.mark.parametrize("size", [GIANT, 8 << 60, -513, -(8 << 60)])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, b"Z"])
def test_a_tar_header_that_claims_too_much_ends_the_shard_and_is_told(
    tmp_path: Path, size: int, kind: bytes
) -> None:
    manifest = shard(tmp_path / "s.tar", member("a.png", b"", size=size, kind=kind))
    assert len(manifest) == 4
    ((path, reason),) = manifest.quarantined
    assert path == "s.tar"
    assert reason.startswith("truncated or damaged after 4 files")


def test_a_damaged_header_between_members_is_told(tmp_path: Path) -> None:
    manifest = shard(tmp_path / "s.tar", b"no header".ljust(512, b"\xff"))
    assert len(manifest) == 4
    assert "after 4 files" in manifest.quarantined[0].reason


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500, b"\0" * 900, b'{"label": "\\ud800\\u0000"}']
)
def test_hostile_text_in_a_shard_costs_that_text_alone(tmp_path: Path, text: bytes) -> None:
    manifest = shard(tmp_path / "s.tar", member("0.json", text), member("1.cls", b"\xff\xfe\0caf\xe9"))
    assert len(manifest) == 5


def test_a_member_is_hashed_without_being_held(tmp_path: Path) -> None:
    with (tmp_path / "s.tar").open("wb") as file:
        for name in ("b.npy", "b.png"):
            file.write(member(name, b"", size=2 * MOST))
            file.seek(2 * MOST, io.SEEK_CUR)
        file.truncate(file.tell() + 1024)
    assert len(load(str(tmp_path / "s.tar"), seed=0)) == 1


# --- arrays -----------------------------------------------------------------------------------


def header(shape: object, kind: str) -> bytes:
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def npz(path: Path, train_x: bytes, *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    labels = io.BytesIO()
    np.save(labels, np.arange(4))
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("train_x.npy", train_x)
        archive.writestr("train_y.npy", labels.getvalue())
    return path


@pytest.mark.parametrize(
    ("shape", "kind", "why"),
    [
        ((1 << 40, 4), "<f4", "17,592,186,044,416 bytes, 64 are there"),
        ((10**30,), "<f4", "claims"),
        ((-1, 4), "<f4", "the shape"),
        ((10**12,), "<U0", "the shape"),
        ((4,), "|O", "Python objects"),
        ((1,), f"<U{1 << 28}", "claims 1,073,741,824 bytes"),
    ],
)
def test_an_array_that_claims_more_than_its_bytes_is_refused(
    tmp_path: Path, shape: tuple[int, ...], kind: str, why: str
) -> None:
    assert why in refusal(npz(tmp_path / "f.npz", header(shape, kind) + bytes(64)))


def test_a_zip_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    path = npz(tmp_path / "f.npz", header((1 << 18, 64), "<f4") + bytes(1 << 26))
    assert "more than 200 times what the file has" in refusal(path)


def test_an_npz_that_is_an_npy_or_junk_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.ones(4))
    (tmp_path / "f.npy").rename(tmp_path / "f.npz")
    assert "a single array (.npy)" in refusal(tmp_path / "f.npz")
    (tmp_path / "f.npz").write_bytes(b"PK\3\4" + b"junk" * 99)
    assert "not an npz archive" in refusal(tmp_path / "f.npz")


@pytest.mark.parametrize("length", [1 << 33, (1 << 64) - 1, 0])
def test_a_safetensors_header_that_claims_too_much_is_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / "f.safetensors").write_bytes(length.to_bytes(8, "little") + b"{}")
    assert "cannot be read as .safetensors" in refusal(tmp_path / "f.safetensors")


def test_one_long_class_name_takes_room_once(tmp_path: Path) -> None:
    """As an array of text, every row would have room for the longest name: 4 GB."""
    rows = "".join(f"{i}.png,{'c' * (1 << 20) if i == 0 else 'd'}\n" for i in range(1_000))
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(encoded(noise(i)))
    (tmp_path / "t.csv").write_text("path,label\n" + rows)
    assert len(load(str(tmp_path / "t.csv"), seed=0)) == 2
    x = {"train_x": np.ones((900, 2), np.float32), "train_y": np.arange(900) % 2}
    np.savez(tmp_path / "f.npz", **x, classes=np.array(["c" * (1 << 18), "d"]))  # type: ignore[arg-type]
    assert len(load(str(tmp_path / "f.npz"), seed=0)) == 900


# --- tables -----------------------------------------------------------------------------------


def as_utf8(values: list[bytes]) -> arrow.Array:
    return arrow.array(values).view(arrow.string())


COLUMNS: dict[str, tuple[Callable[[int], arrow.Array], str]] = {
    "not UTF-8": (lambda n: as_utf8([b"caf\xe9"] * n), "text that is not UTF-8"),
    "a date": (lambda n: arrow.array([1 << 60] * n, arrow.timestamp("us")), "out of range"),
    "a zone": (lambda n: arrow.array([1] * n, arrow.timestamp("us", tz="Mars/Olympus")), "'label'"),
    "repeated text": (lambda n: arrow.array(["c" * (10 << 20)] * n), "50 times the size"),
}


@pytest.mark.parametrize("what", COLUMNS)
def test_a_parquet_column_without_an_equivalent_is_refused(tmp_path: Path, what: str) -> None:
    make, why = COLUMNS[what]
    (tmp_path / "0.png").write_bytes(encoded(noise(0)))
    parquet.write_table(arrow.table({"path": ["0.png"] * 20, "label": make(20)}), tmp_path / "t.parquet")
    assert why in refusal(tmp_path / "t.parquet")


def test_parquet_that_claims_more_rows_than_it_has_bytes_for_is_refused(tmp_path: Path) -> None:
    parquet.write_table(
        arrow.table({"path": arrow.nulls(10_000_000, arrow.string())}), tmp_path / "t.parquet"
    )
    assert "claims 10,000,000 rows" in refusal(tmp_path / "t.parquet")


@pytest.mark.parametrize("notes", [b"[]", b"\0", b"{", b'{"info": [1]}', b"[" * 100_000, b'{"a":' * 900])
def test_broken_notes_of_a_parquet_file_are_passed_over(tmp_path: Path, notes: bytes) -> None:
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(encoded(noise(i)))
    table = arrow.table({"path": [f"{i}.png" for i in range(4)], "label": [0, 1, 0, 1]})
    noted = table.replace_schema_metadata({b"huggingface": notes, b"pandas": notes})
    parquet.write_table(noted, tmp_path / "t.parquet")
    assert load(str(tmp_path / "t.parquet"), seed=0).classes == ("0", "1")


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "metadata.csv", "metadata.jsonl"])
def test_a_line_without_an_end_is_refused_before_it_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "0.png").write_bytes(encoded(noise(0)))
    with (tmp_path / name).open("wb") as file:
        file.write(b"x" * (9 << 20))
        file.truncate(300 << 20)
    assert "more than 8,388,608 characters" in refusal(tmp_path if "meta" in name else tmp_path / name)


def test_lines_that_each_have_a_name_of_their_own_take_no_square_of_room(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(encoded(noise(0)))
    lines = "".join(f'{{"path": "0.png", "k{i}": 1}}\n' for i in range(8_000))
    (tmp_path / "t.jsonl").write_text(lines)
    assert len(load(str(tmp_path / "t.jsonl"), seed=0)) == 1


def test_a_header_of_too_many_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path" + "," * 200_000 + "\n")
    assert "200,001 columns" in refusal(tmp_path / "t.csv")


# --- every reader -----------------------------------------------------------------------------


def fuzzed(kind: str, inputs: int) -> dict[str, int]:
    command = [sys.executable, "benchmarks/fuzz_inputs.py", "--inputs", str(inputs), "--kinds", kind]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    return json.loads(done.stdout)[kind]


@pytest.mark.slow
@pytest.mark.timeout(1800)  # for many inputs
@pytest.mark.parametrize("kind", [*KINDS, "tar", "arrow"])
def test_hostile_inputs_of_a_reader_are_read_or_refused(kind: str) -> None:
    """Each in 512 MiB and 20 s; the first that is not is told with its seed, and kept.

    ``FUZZ_INPUTS=2000`` for more of them: two or three minutes a reader.
    """
    inputs = int(os.environ.get("FUZZ_INPUTS", "150"))
    figures = fuzzed(kind, inputs)
    assert figures["inputs"] == inputs
    assert [figures[what] for what in ("traceback", "crash", "hang", "miscount")] == [0, 0, 0, 0]
