"""Read tar shards of img2dataset (webdataset). Images stay in the shards."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from trainer.core.errors import InputError
from trainer.data import files
from trainer.data.manifest import Columns, Manifest, Quarantined
from trainer.data.split import canonical_split, manifest_with_splits, parse_split

SUFFIX = ".tar"
MAX_TEXT_BYTES = 1 << 20  # larger .json, .txt and .cls members are ignored
EXPECTED = (
    "A shard is a tar of files that share a key: 000001.jpg with, if you have them, 000001.txt (caption), "
    "000001.cls (label) and 000001.json (label, caption, group, split)"
)


class _Sample(NamedTuple):
    """The members of one key."""

    sample_id: str
    image: files.FileSlice | None
    content: str
    notes: dict[str, str]
    split: str


def find_shards(path: Path) -> list[Path]:
    """Return the shards of a path: the file itself, or those in a folder and its sub-folders."""
    if path.is_file():
        return [path] if path.suffix.lower() == SUFFIX else []
    inside = [p for pattern in ("*.tar", "*/*.tar") for p in path.glob(pattern) if not p.name.startswith(".")]
    return sorted(inside)


def read(path: Path, *, name: str, seed: int) -> Manifest:
    """Read the shards by name. Files of one key are one row; a key without an image is quarantined.

    Complete images of a truncated shard are used; the shard is quarantined. The split is that of the folder
    (train, val, test), else of the .json, else drawn.

    Raises:
        InputError: there are no images, or a split is unknown.
    """
    samples: list[_Sample] = []
    quarantined: list[Quarantined] = []
    for shard in find_shards(path):
        folder = shard.parent.name if path not in (shard, shard.parent) else ""
        for one in _samples(shard, canonical_split(folder) or "", quarantined):
            if one.image is None:
                quarantined.append(Quarantined(one.sample_id, "a key without an image"))
            else:
                samples.append(one)
    if not samples:
        first = "; ".join(f"{where}: {reason}" for where, reason in quarantined[:3])
        raise InputError(f"{name} holds no usable images{f' ({first})' if first else ''}. {EXPECTED}.")
    columns = Columns(
        sample_id=[one.sample_id for one in samples],
        label=[one.notes.get("label", "") for one in samples],
        split=[
            parse_split(one.split or one.notes.get("split", ""), where=f"{name}: {one.sample_id}")
            for one in samples
        ],
        content=[one.content for one in samples],
        caption=[one.notes.get("caption", "") for one in samples],
        group=[one.notes.get("group", "") for one in samples],
        images=[one.image for one in samples if one.image is not None],
    )
    return manifest_with_splits(name, columns, quarantined=quarantined, seed=seed)


def _samples(shard: Path, split: str, quarantined: list[Quarantined]) -> Iterator[_Sample]:
    """Yield one sample per key. Members of a key are adjacent, as webdataset requires."""
    wrong = files.problem(shard)
    if wrong:
        quarantined.append(Quarantined(shard.name, wrong))
        return
    current: _Sample | None = None
    whole = 0
    try:
        with tarfile.open(shard, "r:") as tar, shard.open("rb") as raw:
            end = 0
            for member in tar:
                end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if not member.isreg():
                    continue
                key, suffix = _key(member.name)
                if current is None or current.sample_id != f"{shard.stem}/{key}":
                    if current is not None:
                        yield current
                    current = _Sample(f"{shard.stem}/{files.printable(key)}", None, "", {}, split)
                data = _data(raw, member)
                whole += 1
                current = _with_member(current, shard, member, suffix, data)
            raw.seek(end)
            # tarfile accepts an archive without an end marker
            if len(raw.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:
                raise tarfile.ReadError("no end marker")
    except (OSError, tarfile.TarError, EOFError) as error:
        quarantined.append(Quarantined(shard.name, f"truncated or damaged after {whole} files: {error}"))
    if current is not None:
        yield current


def _key(name: str) -> tuple[str, str]:
    """Return key and suffix. As in webdataset, the key ends at the first dot of the file name."""
    path = PurePosixPath(name)
    stem, _, suffix = path.name.partition(".")
    return str(path.parent / stem), f".{suffix.lower()}"


def _data(raw: io.BufferedReader, member: tarfile.TarInfo) -> bytes:
    raw.seek(member.offset_data)
    data = raw.read(member.size)
    if len(data) < member.size:
        raise tarfile.ReadError(f"{member.name} is truncated")
    return data


def _with_member(sample: _Sample, shard: Path, member: tarfile.TarInfo, suffix: str, data: bytes) -> _Sample:
    if suffix in files.EXTENSIONS and sample.image is None:
        image = files.FileSlice(shard, member.offset_data, member.size)
        return sample._replace(image=image, content=hashlib.sha256(data).hexdigest())
    if len(data) > MAX_TEXT_BYTES:
        return sample
    text = data.decode("utf-8", "replace").strip()
    values = {".txt": {"caption": text}, ".cls": {"label": text}, ".json": _json(text)}.get(suffix, {})
    return sample._replace(notes=values | sample.notes if suffix == ".json" else sample.notes | values)


def _json(text: str) -> dict[str, str]:
    """Return label, caption, group and split. A .txt or .cls takes precedence."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    return {
        key: str(value[key]).strip()
        for key in ("label", "caption", "group", "split")
        if value.get(key) is not None
    }
