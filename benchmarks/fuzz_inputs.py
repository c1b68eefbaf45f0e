"""Damaged and odd inputs: ``python benchmarks/fuzz_inputs.py [--inputs 2000] [--seed 0]``.

Each input is a small data set of one kind (CSV, TSV, JSON lines, Parquet, class folders with metadata, npz,
safetensors, tar shards). Half of them hold odd cells in a well-formed file: then rows and quarantined files
must add up to what was written. The others have damaged bytes: cut, flipped, repeated, swapped, with odd text
put in. All are read, and their images decoded, as every command does. Prints one JSON line: inputs by kind,
read, refused with a sentence, and what must be 0: tracebacks, hangs (more than 20 s), miscounts. Failed
inputs are kept in ``--keep``.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
from PIL import Image
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.core.errors import InputError
from trainer.data.decode import DecodeError, decode
from trainer.data.load import load

WITHIN_S = 20
MOST_ROWS = 12
LABELS = ["cat", "dog", "n01440764", "été", "猫", "a|b", "0", "1.5"]
ODD = [
    *(
        "",
        " ",
        '"',
        "'",
        '"a',
        'a"b"',
        ",",
        ";",
        "\t",
        "\\",
        "a\\b.png",
        "\x00",
        "\x1b[31m",
        "\ufeff",
        "\u202e",
    ),
    *("nan", "None", "null", "-1", "1e400", "9" * 400, "true", "2020-01-01", "../../x.png", "/etc/passwd"),
    *("http://a/b.png", "train", "val", "test", "unlabeled", "a\nb", "a\r\nb", "x" * 5000, "{}", "[1, 2]"),
]
DAMAGE = [text.encode() for text in ODD] + [b"\xff\xfe", b"\xe9", b"[" * 5000, b"{" * 500, b"\x00" * 700]


class Hang(Exception):
    """Reading took too long."""


def image(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


# --- data sets: each writer returns what --data gets, the file to damage, and the rows it wrote -------------


def rows_of(folder: Path, chosen: random.Random, odd: bool) -> list[dict[str, str]]:
    """Write images and return their rows, of which some cells are odd."""
    rows = []
    for number in range(chosen.randint(1, MOST_ROWS)):
        name = f"i/{number}.png"
        (folder / "i").mkdir(exist_ok=True)
        (folder / name).write_bytes(image(number))
        rows.append({"path": name, "label": chosen.choice(LABELS), "caption": f"a thing {number}"})
    if odd:
        for _ in range(chosen.randint(1, 6)):
            rows[chosen.randrange(len(rows))][chosen.choice(list(rows[0]))] = chosen.choice(ODD)
    return rows


def images_of(rows: list[dict[str, str]]) -> int:
    """How many images rows stand for: several rows of one path are several captions of one image."""
    paths = [row["path"].strip() for row in rows]
    return paths.count("") + len({*paths} - {""})


def written_csv(
    folder: Path, chosen: random.Random, odd: bool, *, separator: str = ","
) -> tuple[Path, Path, int]:
    rows = rows_of(folder, chosen, odd)
    file = folder / ("t.csv" if separator == "," else "t.tsv")
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.DictWriter(opened, list(rows[0]), delimiter=separator)
        table.writeheader()
        table.writerows(rows)
    return file, file, images_of(rows)


def written_tsv(folder: Path, chosen: random.Random, odd: bool) -> tuple[Path, Path, int]:
    return written_csv(folder, chosen, odd, separator="\t")


def written_jsonl(folder: Path, chosen: random.Random, odd: bool) -> tuple[Path, Path, int]:
    rows = rows_of(folder, chosen, odd)
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "t.jsonl", folder / "t.jsonl", images_of(rows)


def written_parquet(folder: Path, chosen: random.Random, odd: bool) -> tuple[Path, Path, int]:
    rows = rows_of(folder, chosen, odd)
    parquet.write_table(arrow.Table.from_pylist(rows), folder / "t.parquet")
    return folder / "t.parquet", folder / "t.parquet", images_of(rows)


def written_folder(folder: Path, chosen: random.Random, odd: bool) -> tuple[Path, Path, int]:
    rows = rows_of(folder, chosen, odd)
    for row in rows:
        row["file_name"] = row.pop("path")
    written = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text(written)
    return folder, folder / "metadata.jsonl", len(list((folder / "i").iterdir()))


def arrays_of(chosen: random.Random, odd: bool) -> tuple[dict[str, np.ndarray], int]:
    rows = chosen.randint(1, MOST_ROWS)
    kinds: list[Callable[[], np.ndarray]] = [
        lambda: np.arange(rows) % 3,
        lambda: np.array([chosen.choice(ODD) if odd else "a" for _ in range(rows)]),
        lambda: np.full(rows, np.nan),
        lambda: np.arange(rows)[:, None] % 2,
    ]
    label_n = (chosen.choice(kinds) if odd else kinds[0])()
    vectors_nd = np.random.default_rng(rows).normal(size=(rows, 4))
    if odd and chosen.random() < 0.5:
        vectors_nd[0] = chosen.choice([np.nan, np.inf, 1e300, 0.0])
    return {"train_x": vectors_nd, "train_y": label_n}, rows


def written_npz(folder: Path, chosen: random.Random, odd: bool) -> tuple[Path, Path, int]:
    arrays, rows = arrays_of(chosen, odd)
    np.savez(folder / "f.npz", **arrays)  # type: ignore[arg-type]
    return folder / "f.npz", folder / "f.npz", rows


def written_safetensors(folder: Path, chosen: random.Random, odd: bool) -> tuple[Path, Path, int]:
    arrays, rows = arrays_of(chosen, odd=False)
    arrays["train_y"] = arrays["train_y"].astype(np.int64)
    if odd:
        arrays[chosen.choice(["val_x", "train_z", "classes"])] = arrays["train_x"]
    save_file(arrays, folder / "f.safetensors")
    return folder / "f.safetensors", folder / "f.safetensors", rows


def written_tar(folder: Path, chosen: random.Random, odd: bool) -> tuple[Path, Path, int]:
    rows = chosen.randint(1, MOST_ROWS)
    with tarfile.open(folder / "0.tar", "w") as tar:
        for number in range(rows):
            key = f"{number:05d}"
            told = {"cls": chosen.choice(LABELS), "txt": f"a thing {number}"}
            if odd and chosen.random() < 0.4:
                told[chosen.choice(["cls", "txt", "json"])] = chosen.choice(ODD)
            members = [
                (f"{key}.png", image(number)),
                *((f"{key}.{end}", one.encode()) for end, one in told.items()),
            ]
            for name, data in members:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return folder / "0.tar", folder / "0.tar", rows


WRITERS = {
    "csv": written_csv,
    "tsv": written_tsv,
    "jsonl": written_jsonl,
    "parquet": written_parquet,
    "folder": written_folder,
    "npz": written_npz,
    "safetensors": written_safetensors,
    "tar": written_tar,
}


def damage(file: Path, chosen: random.Random) -> None:
    """Change some bytes of a file."""
    data = bytearray(file.read_bytes())
    for _ in range(chosen.randint(1, 4)):
        at, length = chosen.randrange(len(data) + 1), chosen.randint(1, 64)
        how = chosen.randrange(5)
        if how == 0:
            data = data[:at]
        elif how == 1:
            data[at : at + length] = chosen.randbytes(min(length, max(len(data) - at, 0)))
        elif how == 2:
            data[at:at] = data[at : at + length]
        elif how == 3:
            data[at:at] = chosen.choice(DAMAGE)
        else:
            data[at : at + length] = reversed(data[at : at + length])
        if not data:
            break
    file.write_bytes(bytes(data))


def read(data: Path) -> tuple[int, int]:
    """Read a data set and decode its images. Returns rows, and files that were quarantined."""
    manifest = load(str(data), seed=0)
    for one in manifest.images or ():
        with suppress(DecodeError):
            decode(one)
    return len(manifest), len(manifest.quarantined)


def tried(folder: Path, number: int, seed: int) -> tuple[str, str, str]:
    """Write one input and read it. Returns its kind, what came of it, and a text on what is wrong."""
    chosen = random.Random(f"{seed} {number}")
    kind = chosen.choice(list(WRITERS))
    damaged = chosen.random() < 0.5
    data, file, rows = WRITERS[kind](folder, chosen, not damaged)
    if damaged:
        damage(file, chosen)
    signal.alarm(WITHIN_S)
    try:
        used, quarantined = read(data)
    except InputError:
        return kind, "refused", ""
    except Hang:
        return kind, "hang", ""
    except BaseException:  # whatever it is, it is not for people
        return kind, "traceback", traceback.format_exc()
    finally:
        signal.alarm(0)
    if not damaged and used + quarantined != rows:
        return kind, "miscount", f"{rows} rows written; {used} used, {quarantined} quarantined"
    return kind, "read", ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzzed_inputs")
    given = parser.parse_args()

    def too_long(*_: Any) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, too_long)
    kinds: Counter[str] = Counter()
    came: Counter[str] = Counter({"read": 0, "refused": 0, "traceback": 0, "hang": 0, "miscount": 0})
    for number in range(given.inputs):
        with tempfile.TemporaryDirectory() as scratch:
            kind, what, text = tried(Path(scratch), number, given.seed)
            if what not in ("read", "refused"):
                print(f"{number} ({kind}): {what}\n{text}", file=sys.stderr)
                shutil.copytree(scratch, given.keep / str(number), dirs_exist_ok=True)
        kinds[kind] += 1
        came[what] += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"inputs": dict(sorted(kinds.items())), **came, "peak_mib": round(peak)}))


if __name__ == "__main__":
    main()
