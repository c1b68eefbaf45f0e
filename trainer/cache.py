"""List, verify, prune, export or import cached features.

    python -m trainer.cache list
    python -m trainer.cache verify
    python -m trainer.cache prune --key 3f2a
    python -m trainer.cache gc --cache-dir s3://bucket/prefix
    python -m trainer.cache export --key 3f2a --file features.npz
    python -m trainer.cache import --file features.npz

A key identifies an encoder and everything else that its vectors depend on; a unique prefix is enough. One key
holds the measures of the images, whatever the encoder.
The last line on stdout is one JSON object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import tyro

from trainer import cli
from trainer.core import errors, text
from trainer.core.console import bar, say
from trainer.core.locations import bucket_address, cache_folder, check_is_local, default_cache_dir
from trainer.features import store_admin
from trainer.storing.copies import check_cache_dir


@dataclass(frozen=True, kw_only=True)
class _Cache:
    cache_dir: Path = field(default_factory=default_cache_dir)
    """Folder of the feature cache, or s3://bucket/prefix (gs://, az://)."""

    @property
    def root(self) -> Path:
        if bucket_address(self.cache_dir) is None:
            check_is_local("--cache-dir", self.cache_dir)
        check_cache_dir(self.cache_dir)
        return cache_folder(self.cache_dir) / "features"


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
    """Check every shard: its SHA-256, width and storage type, finite numbers, each image once. Exit code 1 if
    any is damaged. Damaged shards are moved to the folder `bad` of their key, and the next command that needs
    their images encodes these again."""

    def run(self) -> dict[str, Any]:
        found = store_admin.entries(self.root)
        total, done = sum(entry.shards for entry in found), 0
        damaged = []
        with bar("Verifying", "shards") as progress:

            def checked() -> None:
                nonlocal done
                done += 1
                progress.update(done, total)

            for entry in found:
                damaged += store_admin.verify(entry, checked=checked)
        for damage in damaged:
            path, reason = damage.path, damage.reason
            is_shard = path.suffix == ".safetensors"
            say(store_admin.put_aside(damage) if is_shard else f"Damaged: {path}: {reason}.")
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
        gone = store_admin.prune(store_admin.find(self.root, self.key))
        say(f"Removed {gone.folder.name}: {gone.vectors:,} vectors, {gone.bytes / 1e6:,.1f} MB.")
        return {"key": gone.folder.name, "removed": gone.vectors, "freed_bytes": gone.bytes}


@dataclass(frozen=True, kw_only=True)
class Gc(_Cache):
    """Delete the shards in a bucket that no task names: what killed workers left, and what came second."""

    days: float = 7.0
    """Leave younger ones: a worker may be about to commit them."""

    def run(self) -> dict[str, Any]:
        if self.days < 0:
            raise errors.InputError(f"--days is {self.days:g}; it must be 0 or more.")
        older = timedelta(days=self.days)
        done = [store_admin.collect_orphans(one, older_than=older) for one in store_admin.entries(self.root)]
        found, deleted = sum(one.found for one in done), sum(one.deleted for one in done)
        freed = sum(one.freed_bytes for one in done)
        say(f"Orphans: {found}, of them {deleted} deleted, {freed / 1e6:,.1f} MB.")
        return {"orphans": found, "deleted": deleted, "freed_bytes": freed}


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
    """Add the vectors of an exported file to the cache: all of them, or none if one cannot be used."""

    file: Path
    """File written by `export`."""

    def run(self) -> dict[str, Any]:
        done = store_admin.import_vectors(self.file, self.root)
        entry = done.entry
        say(f"{entry.folder.name}: {done.new:,} new vectors, {entry.vectors:,} in all.")
        if done.different:
            images = text.count(done.different, "image")
            say(
                f"Warning: the cache has another vector of {images} and keeps it. To replace it, prune first."
            )
        return {"key": entry.folder.name, "imported": done.new, "vectors": entry.vectors}


Command = Annotated[List | Verify | Prune | Gc | Export | Import, tyro.conf.OmitSubcommandPrefixes]


def describe(entry: store_admin.StoreEntry) -> str:
    """Return one line that describes what made a key's vectors."""
    fields = entry.key.fields if entry.key else {}
    if "measures" in fields:
        return "measures of images"
    weights = str(next(iter(fields.get("weights", {}).values()), "?"))[:8]
    return f"{fields.get('pooling', '?')}, {fields.get('compute_dtype', '?')}, weights {weights}"


if __name__ == "__main__":
    cli.main(Command, lambda command: command.run(), __doc__)  # type: ignore[arg-type]
