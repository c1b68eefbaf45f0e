"""List, verify, prune, export or import cached features.

    python -m trainer.cache list
    python -m trainer.cache verify
    python -m trainer.cache prune --key 3f2a
    python -m trainer.cache export --key 3f2a --file features.npz
    python -m trainer.cache import --file features.npz

A key identifies an encoder and everything else that its vectors depend on; a unique prefix is enough. One key
holds the measures of the images, whatever the encoder.
The last line on stdout is one JSON object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from trainer import cli
from trainer.core import errors
from trainer.core.console import bar, say
from trainer.core.locations import default_cache_dir
from trainer.features import store_admin


@dataclass(frozen=True, kw_only=True)
class _Cache:
    cache_dir: Path = field(default_factory=default_cache_dir)
    """Folder of the feature cache."""

    @property
    def root(self) -> Path:
        return self.cache_dir / "features"


@dataclass(frozen=True, kw_only=True)
class List(_Cache):
    """List the keys with their number of vectors and size."""

    def run(self) -> dict[str, Any]:
        found = store_admin.entries(self.root)
        for entry in found:
            what = f"{entry.vectors:,} vectors of {entry.width} numbers, {entry.bytes / 1e6:,.1f} MB"
            say(f"{entry.folder.name}  {what}  {describe(entry)}")
        fields = ("vectors", "width", "shards", "bytes")
        keys = [{"key": one.folder.name} | {name: getattr(one, name) for name in fields} for one in found]
        return {"keys": keys, "bytes": sum(entry.bytes for entry in found)}


@dataclass(frozen=True, kw_only=True)
class Verify(_Cache):
    """Check the SHA-256 of every shard. Exit code 1 if any is damaged; the next extraction sets it aside and
    encodes its images again."""

    def run(self) -> dict[str, Any]:
        found = store_admin.entries(self.root)
        total, done = sum(entry.shards for entry in found), 0
        damaged = []
        with bar("Verifying", "shards") as progress:
            for entry in found:
                for damage in store_admin.verify(entry):
                    done += 1
                    progress.update(done, total)
                    if damage is not None:
                        damaged.append(damage)
        for damage in damaged:
            say(f"Damaged: {damage.path}: {damage.reason}")
        figures = {"shards": done, "damaged": len(damaged), "paths": [str(damage.path) for damage in damaged]}
        if damaged:
            raise errors.NoResultError(
                f"{len(damaged)} of {done} shards are damaged. Run the extraction again to replace them.",
                figures,
            )
        return figures


@dataclass(frozen=True, kw_only=True)
class Prune(_Cache):
    """Remove all vectors of one encoder."""

    key: str
    """The key, or a unique prefix of it."""

    def run(self) -> dict[str, Any]:
        entry = store_admin.find(self.root, self.key)
        freed = store_admin.prune(entry)
        say(f"Removed {entry.folder.name}: {entry.vectors:,} vectors, {freed / 1e6:,.1f} MB.")
        return {"key": entry.folder.name, "removed": entry.vectors, "freed_bytes": freed}


@dataclass(frozen=True, kw_only=True)
class Export(_Cache):
    """Write all vectors of one encoder to a file."""

    key: str
    """The key, or a unique prefix of it."""
    file: Path
    """Output file: .npz or .parquet."""

    def run(self) -> dict[str, Any]:
        entry = store_admin.find(self.root, self.key)
        return {
            "key": entry.folder.name,
            "exported": store_admin.export(entry, self.file),
            "file": str(self.file),
        }


@dataclass(frozen=True, kw_only=True)
class Import(_Cache):
    """Add the vectors of an exported file to the cache."""

    file: Path
    """File written by `export`."""

    def run(self) -> dict[str, Any]:
        entry, new = store_admin.import_vectors(self.file, self.root)
        say(f"{entry.folder.name}: {new:,} new vectors, {entry.vectors:,} in all.")
        return {"key": entry.folder.name, "imported": new, "vectors": entry.vectors}


Command = Annotated[List | Verify | Prune | Export | Import, tyro.conf.OmitSubcommandPrefixes]


def describe(entry: store_admin.StoreEntry) -> str:
    """Return one line that describes what made a key's vectors."""
    fields = entry.key.fields if entry.key else {}
    if "measures" in fields:
        return "measures of images"
    weights = next(iter(fields.get("weights", {}).values()), "?")[:8]
    return f"{fields.get('pooling', '?')}, {fields.get('compute_dtype', '?')}, weights {weights}"


if __name__ == "__main__":
    cli.main(Command, lambda command: command.run(), __doc__)  # type: ignore[arg-type]
