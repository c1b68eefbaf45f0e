"""Containers that claim what they do not hold, for fuzz_inputs.py: sizes, shapes, depths, rows, encodings.

Each function takes a well-formed data set (the folder, the file) and changes it.
"""

from __future__ import annotations

import io
import json
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet

SIZES = [-1, -512, 0, 1, 511, 513, 1 << 20, 10 << 30, 1 << 31, (1 << 33) - 1, 1 << 40, (1 << 63) - 1, 8 << 60]
DEPTHS = [65, 400, 1_000, 20_000, 200_000]


def deep(chosen: random.Random) -> str:
    """JSON within JSON."""
    depth, (opening, closing) = chosen.choice(DEPTHS), chosen.choice([("[", "]"), ('{"a":', "}")])
    inner = opening * depth + "1" + closing * chosen.choice([0, depth])
    return chosen.choice([inner, f'{{"label": {inner}}}', f'{{"caption": {inner}, "label": "a"}}'])


def hostile_json(chosen: random.Random) -> str:
    """JSON that is too deep, too long, no object, or holds what nothing else can."""
    kinds: list[Callable[[], str]] = [
        lambda: deep(chosen),
        lambda: "\0" * chosen.randint(1, 2_000),
        lambda: '{"label": "a\\u0000b"}',
        lambda: '{"label": "\\ud800"}',
        lambda: '{"label": ' + "9" * chosen.choice([5, 5_000, 200_000]) + "}",
        lambda: '{"label": [' + ",".join("[]" for _ in range(chosen.choice([10, 200_000]))) + "]}",
        lambda: json.dumps({f"k{i}": i for i in range(chosen.choice([3, 3_000, 30_000]))}),
        lambda: json.dumps({"label": "x" * chosen.choice([10, 1 << 20])}),
        lambda: '{"label": NaN, "caption": -Infinity}',
        lambda: chosen.choice(["[]", "null", "1", '"a"', "{", '{"label"', "\ufeff{}"]),
    ]
    return chosen.choice(kinds)()


def text_lines(file: Path, chosen: random.Random) -> None:
    """A table or metadata in text: long lines, long cells, many columns, other encodings."""
    text = file.read_bytes()
    first, _, rest = text.partition(b"\n")
    kinds: list[Callable[[], bytes]] = [
        lambda: first + b"\n" + b"x" * chosen.choice([1 << 16, 9 << 20, 40 << 20]),  # and no line ends
        lambda: first + b"," * chosen.choice([100, 20_000, 1 << 20]) + b"\n" + rest,
        lambda: text + b'"' + b"a,b\n" * chosen.choice([10, 300_000]),
        lambda: text.replace(b"cat", b"c" * (1 << 20)) + rest * 300,  # a long label, and many rows
        lambda: text.decode("utf-8", "replace").encode(chosen.choice(["utf-16", "utf-16-le", "utf-32"])),
        lambda: text.replace(b"thing", b"th\xe9ng").replace(b"a", b"\0a"),
        lambda: text + hostile_json(chosen).encode("utf-8", "surrogatepass") + b"\n",
        lambda: b"".join(b'{"path": "i/0.png", "k%d": 1}\n' % i for i in range(chosen.choice([9, 5_000]))),
    ]
    file.write_bytes(chosen.choice(kinds)())


def json_file(file: Path, chosen: random.Random) -> None:
    """A file of JSON beside an image, or of the datasets library."""
    if file.suffix == ".json":
        file.write_bytes(hostile_json(chosen).encode("utf-8", "surrogatepass"))
    else:
        claimed_lengths(file, chosen)


def claimed_lengths(file: Path, chosen: random.Random) -> None:
    """Any binary file: a number in it becomes a large or a negative one."""
    data = bytearray(file.read_bytes())
    for _ in range(chosen.randint(1, 3)):
        form = chosen.choice(["<i", "<q", ">q", "<I"])
        size = struct.calcsize(form)
        bits = 8 * size - (form[1] in "iq")
        value = chosen.choice(SIZES) if chosen.random() < 0.8 else chosen.getrandbits(bits)
        low = 0 if form[1] == "I" else -(1 << bits)
        at = chosen.randrange(max(len(data) - size, 1)) & (~7 if chosen.random() < 0.5 else ~0)
        data[at : at + size] = struct.pack(form, min(max(value, low), (1 << bits) - 1))
    file.write_bytes(bytes(data))


# --- tar ------------------------------------------------------------------------------------------


def tar_header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header with any size, also one that is no size."""
    member = tarfile.TarInfo(name)
    member.type = kind
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT)[:512])
    if 0 <= size < 8**11:
        header[124:136] = b"%011o\0" % size
    else:
        header[124:136] = (b"\x80" if size >= 0 else b"\xff") + size.to_bytes(11, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def pax(*records: tuple[str, str]) -> bytes:
    """A pax header with these records."""
    told = b""
    for key, value in records:
        record = f" {key}={value}\n".encode()
        told += str(len(record) + len(str(len(record) + 2))).encode() + record
    return tar_header("pax", len(told), tarfile.XHDTYPE) + told + bytes(-len(told) % 512)


def tar_members(file: Path, chosen: random.Random) -> None:
    """A shard with a member that claims too much, before, between or behind the others."""
    data = file.read_bytes()
    size, name = (
        chosen.choice(SIZES),
        chosen.choice(["00009.png", "a\0b.png", "é.json", "../x.png", "x" * 99]),
    )
    sparse = bytearray(tar_header(name, size, tarfile.GNUTYPE_SPARSE))
    sparse[482] = 1  # more of the map follows, and does not
    kinds: list[Callable[[], bytes]] = [
        lambda: tar_header(name, size),
        lambda: tar_header(name, size, tarfile.DIRTYPE),
        lambda: tar_header(name, size, b"Z"),
        lambda: tar_header("@LongLink", size, tarfile.GNUTYPE_LONGNAME),
        lambda: tar_header("pax", size, chosen.choice([tarfile.XHDTYPE, tarfile.XGLTYPE])),
        lambda: pax(("size", str(size))) + tar_header(name, 4) + b"data".ljust(512, b"\0"),
        lambda: (
            pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")) + tar_header(name, 512) + b"9" * 512
        ),
        lambda: (
            pax(("path", "\0\ud800".encode("utf-8", "surrogatepass").decode("latin-1"))) + tar_header(name, 0)
        ),
        lambda: pax(("path", "a.png")) * chosen.choice([2, 1_500]) + tar_header(name, 0),
        lambda: bytes(sparse),
        lambda: member_of("00000.json", hostile_json(chosen).encode("utf-8", "surrogatepass")),
        lambda: member_of("00001.cls", b"\xff\xfe\0" * chosen.randint(1, 99)),
        lambda: tar_header(name, 0)[:148] + b"damaged." + tar_header(name, 0)[156:],
    ]
    at = 512 * chosen.randrange(len(data) // 512)
    file.write_bytes(data[:at] + chosen.choice(kinds)() + data[at:])


def member_of(name: str, data: bytes) -> bytes:
    return tar_header(name, len(data)) + data + bytes(-len(data) % 512)


# --- arrays ---------------------------------------------------------------------------------------


def npz_entries(file: Path, chosen: random.Random) -> None:
    """An archive with arrays whose headers or whose directory claim too much; or none at all."""
    good = {name: value for name, value in np.load(file).items() if not value.dtype.hasobject}
    entries = {name: npy(value) for name, value in good.items()}
    name = chosen.choice(list(entries))
    shape: Any = chosen.choice([(-1, 4), (1 << 40, 4), (10**19,), (1 << 62, 0), (3, -3), (9,) * 40, "junk"])
    kind = chosen.choice(["|O", "<f4", "<U0", "|V0", f"<U{1 << 28}", "|S1000000", "<c16", "nothing"])
    kinds: list[Callable[[], None]] = [
        lambda: file.write_bytes(entries[name]),  # an .npy by another name
        lambda: file.write_bytes(entries[name] + file.read_bytes()),
        lambda: file.write_bytes(b"PK\3\4" + chosen.randbytes(300)),
        lambda: zipped(file, entries | {name: header(shape, "<f4") + b"\0" * 64}),
        lambda: zipped(file, entries | {name: header((4,), kind) + b"\0" * 64}),
        lambda: zipped(file, entries | {name: b"\x93NUMPY\2\0\xff\xff\xff\x7f" + b"(" * 9_000}),
        lambda: zipped(file, entries | {name: header((64 << 20, 4), "<f4") + bytes(1 << 30)}, bomb=True),
        lambda: zipped(file, entries | {f"{name}{i}": b"" for i in range(chosen.choice([3, 3_000]))}),
        lambda: zipped(file, entries, method=chosen.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])),
        lambda: zipped(file, entries | {"classes": npy(np.array(["c" * 100_000, "d"] * 20))}),
        lambda: claimed_lengths(file, chosen),
    ]
    # a gigabyte takes seconds to write: rarely
    chosen.choice(kinds if chosen.random() < 0.02 else kinds[:6] + kinds[7:])()


def npy(value: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, value)
    return data.getvalue()


def header(shape: Any, kind: str) -> bytes:
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def zipped(
    file: Path, entries: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED, bomb: bool = False
) -> None:
    with zipfile.ZipFile(file, "w", method, compresslevel=1 if bomb else None) as archive:
        for name, data in entries.items():
            archive.writestr(f"{name}.npy", data)


def safetensors_header(file: Path, chosen: random.Random) -> None:
    """A header that claims another length, or tensors that are not there."""
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    told = json.loads(data[8 : 8 + length])
    name = chosen.choice([one for one in told if one != "__metadata__"])
    classes = chosen.choice([deep(chosen), json.dumps(["c" * 100_000, *"abc" * 99]), "{}", "[null, 1]", "\0"])
    kinds: list[Callable[[], Any]] = [
        lambda: told[name].update(shape=[chosen.choice([1 << 40, 1 << 62, 0, 7]), 4]),
        lambda: told[name].update(data_offsets=[0, chosen.choice([1 << 40, 1 << 62, 0, 7])]),
        lambda: told[name].update(dtype=chosen.choice(["BF16", "F8_E5M2", "BOOL", "U64", "F4", "nothing"])),
        lambda: told.update(__metadata__={"classes": classes}),
        lambda: told.update({f"t{i}": told[name] for i in range(chosen.choice([3, 3_000]))}),
        lambda: told.clear(),
    ]
    if chosen.random() < 0.3:
        size = chosen.choice(SIZES) % (1 << 64)
        file.write_bytes(size.to_bytes(8, "little") + chosen.choice([data[8:], deep(chosen).encode()]))
        return
    chosen.choice(kinds)()
    text = json.dumps(told).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


# --- Parquet --------------------------------------------------------------------------------------


def parquet_file(file: Path, chosen: random.Random) -> None:
    """A file with broken notes, text that is not UTF-8, odd types, or a few bytes that stand for much."""
    table = parquet.read_table(file)
    notes = chosen.choice([b"[]", b"[1]", b"\0", b"{", deep(chosen).encode(), b'{"info": {"features": []}}'])
    rows = chosen.choice([1_000, 20_000])
    bad = arrow.array([b"\xff\xfe", b"caf\xe9"] * rows)[: len(table)].view(arrow.string())
    late = arrow.array([(1 << 62) + i for i in range(len(table))])
    kinds: list[Callable[[], arrow.Table]] = [
        lambda: table.replace_schema_metadata({b"huggingface": notes, b"pandas": notes}),
        lambda: replaced(table, "label", bad),
        lambda: replaced(table, "caption", bad),
        lambda: replaced(table, "label", late.cast(arrow.timestamp("us"), safe=False)),
        lambda: replaced(table, "label", late.view(arrow.timestamp("ns", tz="Mars/Olympus"))),
        lambda: replaced(table, "label", arrow.array([[[1]], None] * rows)[: len(table)]),
        lambda: replaced(table, "label", arrow.nulls(len(table))),
        lambda: arrow.concat_tables([table.slice(0, 1)] * (rows // 10)).combine_chunks(),
        lambda: arrow.table({"path": ["i/0.png"] * rows, "label": ["c" * 100_000] * rows}),
        lambda: arrow.table({"path": arrow.nulls(50 * rows, arrow.string())}),
    ]
    if chosen.random() < 0.3:
        claimed_lengths(file, chosen)
    else:
        options = {"compression": chosen.choice(["none", "snappy", "zstd"])}
        parquet.write_table(chosen.choice(kinds)(), file, **options)


def replaced(table: arrow.Table, name: str, values: arrow.Array) -> arrow.Table:
    """The table with another column of this name."""
    if name in table.column_names:
        table = table.drop_columns([name])
    return table.append_column(name, values)


CRAFTED: dict[str, Callable[[Path, random.Random], None]] = {
    **dict.fromkeys(["csv", "tsv", "jsonl", "folder", "metadata"], text_lines),
    **dict.fromkeys(["parquet", "cells"], parquet_file),
    "npz": npz_entries,
    "safetensors": safetensors_header,
    "tar": tar_members,
    "sidecars": json_file,
    "arrow": json_file,
}
