"""Read tar shards of img2dataset (webdataset). Images stay in the shards."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from trainer.core.errors import InputError
from trainer.data import files, formats
from trainer.data.layout import Folder, Place, understand
from trainer.data.listing import SHARD, SIDECARS, ImageFile, Listing
from trainer.data.manifest import Columns, Manifest, Quarantined, first_reasons
from trainer.data.sidecars import MAX_BYTES, SidecarReader
from trainer.data.split import canonical_split, manifest_with_splits, parse_split, split_in_name
from trainer.data.table_columns import BY_NAME, ColumnChoice
from trainer.data.tar_file import read_members

EXPECTED = (
    "A shard is a tar of files that share a key: 000001.jpg with, if you have them, 000001.txt (caption), "
    "000001.cls (label) and 000001.json (label, caption, group, split)"
)


class _Sample(NamedTuple):
    """The members of one key."""

    sample_id: str
    key: str  # printable
    image: files.FileSlice
    content: str
    notes: dict[str, str]
    split: str  # of the shard's folder or name


@dataclass
class _Members:
    """What a shard has of one key, by the suffix that follows the key: ``.jpg``, ``.input.jpg``."""

    images: dict[str, tuple[files.FileSlice, str]] = field(default_factory=dict)  # and their SHA-256
    texts: dict[str, bytes] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def image(self) -> str | None:
        """Return the suffix of the key's image: the plain one, else the only one; None without either."""
        plain = [suffix for suffix in self.images if suffix.count(".") == 1]
        return plain[0] if plain else next(iter(self.images)) if len(self.images) == 1 else None

    def texts_by_kind(self) -> dict[str, bytes]:
        """Return the texts by extension: ``.caption.txt`` is the ``.txt`` where there is no plain one."""
        plain = {f".{suffix.rpartition('.')[2]}": text for suffix, text in self.texts.items()}
        return plain | {suffix: text for suffix, text in self.texts.items() if suffix.count(".") == 1}


def read(root: Path, listing: Listing, *, name: str, seed: int, chosen: ColumnChoice = BY_NAME) -> Manifest:
    """Read the shards by name. Files of one key are one row; a key without an image is quarantined.

    Complete images of a truncated shard are used; the shard is quarantined. A shard's split is that of its
    folder or its name (train, val, test), else the .json says it, else it is drawn. Where no .cls or .json
    says a label, folders within the shards are the classes, as `trainer.data.layout` reads them.

    Args:
        listing: the shards, in ``root``.
        chosen: keys of the .json members that are to be read whatever their names.

    Raises:
        InputError: there are no images; a split is unknown; an image has several labels; a chosen key is
            in no .json member.
    """
    reader = SidecarReader(name, chosen)
    samples: list[_Sample] = []
    quarantined: list[Quarantined] = []
    passed_over = listing.passed_over - Counter({SHARD: len(listing.shards)})
    sidecars: dict[Folder, set[str]] = {}
    for shard, split in zip(listing.shards, _splits(listing.shards, root), strict=True):
        where = "/".join(files.printable(part) for part in shard.relative_to(root).with_suffix("").parts)
        for key, members in _members(shard, quarantined).items():
            folder = PurePosixPath(key).parts[:-1]
            sidecars.setdefault(folder, set()).update(
                PurePosixPath(key).name + kind for kind in members.texts
            )
            sample = _sample(where, files.printable(key), members, split, reader, quarantined)
            passed_over.update(_not_used(members, sample is not None))
            if sample is not None:
                samples.append(sample)
    if not samples:
        first = first_reasons(quarantined)
        raise InputError(f"{name} holds no usable images{f' ({first})' if first else ''}. {EXPECTED}.")
    reader.check()
    places = _places(samples, sidecars, name)
    columns = Columns(
        sample_id=[one.sample_id for one in samples],
        label=[one.notes.get("label", "") or place.label for one, place in zip(samples, places, strict=True)],
        split=[
            parse_split(one.split or one.notes.get("split", ""), where=f"{name}: {one.sample_id}")
            or place.split
            for one, place in zip(samples, places, strict=True)
        ],
        content=[one.content for one in samples],
        caption=[one.notes.get("caption", "") for one in samples],
        group=[one.notes.get("group", "") for one in samples],
        images=[one.image for one in samples],
    )
    manifest = manifest_with_splits(name, columns, quarantined=quarantined, seed=seed)
    return replace(manifest, passed_over=dict(passed_over), notes=tuple(reader.notes_on_files()))


def _splits(shards: Sequence[Path], root: Path) -> list[str]:
    """Return the split of each shard by its folder, else by names like imagenet-train-0.tar; "" for none."""
    folders = [shard.relative_to(root).parts[:-1] for shard in shards]
    of_folder = [next(filter(None, map(canonical_split, reversed(parts))), "") for parts in folders]
    if any(of_folder):
        return of_folder
    for names in ([parts[-1] if parts else "" for parts in folders], [shard.stem for shard in shards]):
        found = [split_in_name(one) for one in names]
        several = {one.split for one in found if one is not None}
        if (
            None not in found
            and len(several) > 1
            and len({one.rest for one in found if one is not None}) == 1
        ):
            return [one.split for one in found if one is not None]
    return [""] * len(shards)


# --- members ----------------------------------------------------------------------------------


def _members(shard: Path, quarantined: list[Quarantined]) -> dict[str, _Members]:
    """Return the members of a shard by key. Those of a key need not stand side by side."""
    found: dict[str, _Members] = {}
    wrong = files.problem(shard)
    if wrong:
        quarantined.append(Quarantined(shard.name, wrong))
        return found
    whole = 0
    try:
        with shard.open("rb") as raw:
            for member in read_members(shard):
                path = PurePosixPath(member.name)
                if not member.isreg() or any(
                    part.startswith(".") or part == "__MACOSX" for part in path.parts
                ):
                    continue
                stem, _, suffix = path.name.partition(".")  # as in webdataset
                _add(
                    found.setdefault(str(path.parent / stem), _Members()),
                    f".{suffix.lower()}",
                    shard,
                    member,
                    raw,
                )
                whole += 1
    except (OSError, tarfile.TarError) as error:
        quarantined.append(Quarantined(shard.name, _damage(shard, whole, error)))
    return found


def _damage(shard: Path, whole: int, error: Exception) -> str:
    if whole == 0 and shard.is_file():
        with shard.open("rb") as raw:
            return f"truncated, damaged or no tar ({formats.describe_bytes(raw.read(512))})"
    return f"truncated or damaged after {whole} files: {error}"


def _add(
    members: _Members, suffix: str, shard: Path, member: tarfile.TarInfo, raw: io.BufferedReader
) -> None:
    """Add a member to those of its key. Of an image only the hash is kept; others are not read."""
    kind = f".{suffix.rpartition('.')[2]}"
    if member.issparse():
        members.others.append(suffix)
    elif kind in formats.extensions():
        image = files.FileSlice(shard, member.offset_data, member.size)
        members.images[suffix] = image, files.sha256_of(raw, image)
    elif kind in SIDECARS and member.size <= MAX_BYTES:
        raw.seek(member.offset_data)
        members.texts[suffix] = raw.read(member.size)
    else:
        members.others.append(suffix)


def _sample(
    where: str,
    key: str,
    members: _Members,
    split: str,
    reader: SidecarReader,
    quarantined: list[Quarantined],
) -> _Sample | None:
    """Return the row of a key; without a single image the key is quarantined."""
    sample_id = f"{where}/{key}"
    suffix = members.image()
    if suffix is not None:
        image, content = members.images[suffix]
        notes = reader.notes(members.texts_by_kind(), where=sample_id)
        return _Sample(sample_id, key, image, content, notes, split)
    if members.images:
        reason = (
            f"one of {len(members.images)} images of one key, which ends at the first dot of a name. Rename "
            "the files so that only the extension follows a dot"
        )
        quarantined += [Quarantined(sample_id + other, reason) for other in members.images]
    else:
        only = ", ".join(sorted({*members.texts, *members.others}))
        quarantined.append(Quarantined(sample_id, f"a key without an image (it has {only})"))
    return None


def _not_used(members: _Members, used: bool) -> Iterator[str]:
    """Yield the extensions of the members that are neither in a row nor quarantined."""
    if used:
        yield from (
            f".{one.rpartition('.')[2]}"
            for one in [*members.images, *members.others]
            if one != members.image()
        )


def _places(samples: Sequence[_Sample], sidecars: dict[Folder, set[str]], name: str) -> list[Place]:
    """Return split and class by the folders within shards, if these are classes and no row has a label."""
    nothing = [Place("", "")] * len(samples)
    folders = [PurePosixPath(one.key).parts[:-1] for one in samples]
    if len(set(folders)) < 2 or any(one.notes.get("label") for one in samples):
        return nothing
    images: dict[Folder, list[ImageFile]] = {}
    for one, folder in zip(samples, folders, strict=True):
        path = PurePosixPath(one.key)
        images.setdefault(folder, []).append(ImageFile(Path(path), path.parts, one.image.size, ""))
    try:
        layout = understand(images, sidecars, name)
    except InputError:
        return nothing
    if (
        layout.problem
        or layout.passed_over
        or len({place.label for place in layout.places.values()} - {""}) < 2
    ):
        return nothing
    return [layout.places[folder] for folder in folders]
