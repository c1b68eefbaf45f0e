"""Small data sets of every kind, well-formed, with odd cells or damaged, for fuzz_inputs.py."""

from __future__ import annotations

import csv
import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
from PIL import Image
from safetensors.numpy import save_file

MOST_ROWS = 8
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


def image(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


# --- data sets: each writer returns what --data gets, the file to damage, and the rows it wrote -------------


def rows_of(
    folder: Path, chosen: random.Random, odd: bool, among: tuple[str, ...] = ("path", "label", "caption")
) -> list[dict[str, str]]:
    """Write images and return their rows, of which some cells ``among`` these columns are odd."""
    rows = []
    for number in range(chosen.randint(1, MOST_ROWS)):
        name = f"i/{number}.png"
        (folder / "i").mkdir(exist_ok=True)
        (folder / name).write_bytes(image(number))
        rows.append({"path": name, "label": chosen.choice(LABELS), "caption": f"a thing {number}"})
    if odd:
        for _ in range(chosen.randint(1, 6)):
            rows[chosen.randrange(len(rows))][chosen.choice(among)] = chosen.choice(ODD)
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
    write_csv(file, rows, separator)
    return file, file, images_of(rows)


def write_csv(file: Path, rows: list[dict[str, str]], separator: str = ",") -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.DictWriter(opened, list(rows[0]), delimiter=separator)
        table.writeheader()
        table.writerows(rows)


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


def metadata_of(folder: Path, chosen: random.Random, odd: bool) -> list[dict[str, str]]:
    """Write images and return the rows of their metadata, in which file names are right."""
    rows = rows_of(folder, chosen, odd, ("label", "caption"))
    for row in rows:
        row["file_name"] = row.pop("path")
    return rows


def written_folder(folder: Path, chosen: random.Random, odd: bool) -> tuple[Path, Path, int]:
    rows = metadata_of(folder, chosen, odd)
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


def written_metadata(folder: Path, chosen: random.Random, odd: bool) -> tuple[Path, Path, int]:
    write_csv(folder / "metadata.csv", metadata_of(folder, chosen, odd))
    return folder, folder / "metadata.csv", len(list((folder / "i").iterdir()))


def written_sidecars(folder: Path, chosen: random.Random, odd: bool) -> tuple[Path, Path, int]:
    """As img2dataset writes them into folders: text beside each image."""
    shard, rows = folder / "00000", chosen.randint(2, MOST_ROWS)
    shard.mkdir()
    for number in range(rows):
        (shard / f"{number:09d}.png").write_bytes(image(number))
        told = {"label": chosen.choice(ODD if odd else LABELS), "caption": f"a thing {number}"}
        (shard / f"{number:09d}.json").write_text(json.dumps(told))
    return folder, shard / f"{chosen.randrange(rows):09d}.json", rows


def written_cells(folder: Path, chosen: random.Random, odd: bool) -> tuple[Path, Path, int]:
    """Parquet with the images in it."""
    rows = chosen.randint(1, MOST_ROWS)
    table = arrow.table(
        {
            "image": [{"bytes": image(number), "path": f"{number}.png"} for number in range(rows)],
            "label": [chosen.choice(ODD if odd else LABELS) for _ in range(rows)],
        }
    )
    parquet.write_table(table, folder / "c.parquet", row_group_size=3)
    return folder / "c.parquet", folder / "c.parquet", rows


def written_arrow(folder: Path, chosen: random.Random, odd: bool) -> tuple[Path, Path, int]:
    """As ``save_to_disk`` of the datasets library writes it."""
    import datasets

    rows = chosen.randint(1, MOST_ROWS)
    columns = {
        "image": [{"bytes": image(number), "path": None} for number in range(rows)],
        "label": [chosen.choice(ODD if odd else LABELS) for _ in range(rows)],
    }
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(columns, kinds).save_to_disk(folder / "saved")
    files = sorted((folder / "saved").iterdir())
    return folder / "saved", chosen.choice([*files, *(one for one in files if one.suffix == ".arrow")]), rows


WRITERS = {
    "csv": written_csv,
    "tsv": written_tsv,
    "jsonl": written_jsonl,
    "parquet": written_parquet,
    "folder": written_folder,
    "npz": written_npz,
    "safetensors": written_safetensors,
    "tar": written_tar,
    "metadata": written_metadata,
    "sidecars": written_sidecars,
    "cells": written_cells,
    "arrow": written_arrow,
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
