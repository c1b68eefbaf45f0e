"""Search the images of a run's data for the page "Search", by words or by an image.

Vectors of the data come from the feature cache; only what is searched for is encoded. Thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.core.errors import InputError
from trainer.core.locations import cache_folder, default_cache_dir
from trainer.data import demo
from trainer.data.bit_depth import BIT_DEPTHS, scaled, with_used_bits
from trainer.data.decode import DecodeError
from trainer.data.groups import with_groups
from trainer.data.hf_dataset import PREFIX
from trainer.data.label_target import with_several_labels
from trainer.data.load import load
from trainer.data.table_columns import ColumnChoice, separated
from trainer.data.thumbnails import thumbnails
from trainer.features.concatenation import concatenate_vectors
from trainer.features.encoder import ImageEncoder
from trainer.features.families import Space, family_of
from trainer.features.key import encoder_key
from trainer.features.store import FeatureStore
from trainer.serving.explain import MAX_UPLOAD_PIXELS
from trainer.serving.predictor import (
    EncoderUsed,
    encode_prepared,
    encoders_used,
    folders_of,
    prepare_image,
)
from trainer.stats.nearest_vectors import nearest
from trainer.storing.copies import origin_of

if TYPE_CHECKING:
    from trainer.features.text_encoder import TextEncoder

SIDE = 256  # pixels of a thumbnail


class Query(NamedTuple):
    """What is searched for."""

    vector_d: np.ndarray  # float32
    shared: bool  # in the space of images and texts; else in that of the run's features


class FoundImages(NamedTuple):
    """Images, the most similar first."""

    row_k: np.ndarray  # int, of the manifest
    cosine_k: np.ndarray
    searched: int  # rows that could be found


class CachedRows(NamedTuple):
    """The rows whose vectors are cached."""

    cached_n: np.ndarray  # bool [N]
    row_m: np.ndarray  # int [M], these rows
    vector_md: np.ndarray  # float32


class ImageIndex:
    """The rows of a run's data, and their cached vectors.

    Attributes:
        manifest: the rows.
        encoders: of the run.
        cache_dir: folder of the feature cache.
    """

    def __init__(self, flags: Mapping[str, Any], encoder: str) -> None:
        """List and hash the images of the data; encodes nothing.

        Args:
            flags: of the run's command, as its `Artifact.CONFIG` has them.
            encoder: `Tag.ENCODER` of the run.

        Raises:
            InputError: the data cannot be read here; it holds precomputed features; an encoder is not
                available or has changed.
        """
        self.encoders = encoders_used(encoder)
        self.cache_dir = cache_folder(Path(flags.get("cache_dir") or default_cache_dir()))
        if not self.encoders:
            raise InputError("This run used precomputed features, so there are no images to search.")
        data = str(flags["data"])
        if data != demo.NAME and not data.startswith(PREFIX) and not Path(data).expanduser().exists():
            raise InputError(f"The data of this run is not on this machine: {data}.")
        self._folders = folders_of(self.encoders, cache_dir=self.cache_dir)
        named = {name: flags.get(f"{name}_column") for name in ("image", "label", "caption", "group")}
        columns = ColumnChoice(**named, labels=separated(flags.get("label_columns")))
        seed = int(flags.get("seed", 0))
        manifest = load(data, seed=seed, columns=columns, unlabelled=flags.get("unlabelled"))
        separator = flags.get("label_separator")
        if separator or columns.labels or manifest.joined or flags.get("target") == "labels":
            manifest = with_several_labels(manifest, separator, seed=seed)
        if flags.get("groups") is not None:
            manifest = with_groups(manifest, str(flags["groups"]), seed=seed)
        self.manifest = with_used_bits(manifest, cache_file=self.cache_dir / BIT_DEPTHS)
        self._complete: dict[bool, CachedRows] = {}
        self._lock = threading.Lock()

    @property
    def reads_words(self) -> bool:
        """Whether the encoder has a text tower; several encoders share no space with texts."""
        return len(self._folders) == 1 and family_of(self._folders[0]).text is not None

    def words(self, words: str) -> Query:
        """Encode words. Raises InputError if text tower or tokenizer cannot be used."""
        with self._lock:
            return Query(self._texts.encode([words])[0], shared=True)

    def image(self, data: bytes) -> Query:
        """Encode an image file.

        Raises:
            InputError: it cannot be decoded, or the encoder cannot be used.
        """
        try:
            with self._lock:
                image = scaled(data, self.manifest.bits, max_pixels=MAX_UPLOAD_PIXELS)
                parts = [
                    encode_prepared(one, [prepare_image(one, image, max_pixels=MAX_UPLOAD_PIXELS)])
                    for one in self._images
                ]
        except DecodeError as error:
            raise InputError(f"The image cannot be used: {error.reason}. Try another one.") from error
        vector_d = concatenate_vectors(parts)[0]
        if not np.isfinite(vector_d).all():
            raise InputError("The encoder gave the image a vector with NaN or infinite numbers.")
        return Query(vector_d, shared=False)

    def row(self, sample_id: str) -> Query | None:
        """Return the row of this name as what is searched for; None if there is none, or it is not cached."""
        if sample_id not in self._row_of:
            return None
        rows = self.cached(shared=False)
        at = np.flatnonzero(rows.row_m == self._row_of[sample_id])
        return Query(rows.vector_md[at[0]], shared=False) if len(at) else None

    def find(self, query: Query, count: int, *, among_n: np.ndarray) -> FoundImages:
        """Return the cached rows among bool [N] that are most similar: all are compared."""
        rows = self.cached(shared=query.shared)
        among_m = among_n[rows.row_m]
        near = nearest(query.vector_d[None], rows.vector_md, count, among_n=among_m)
        return FoundImages(rows.row_m[near.row_qk[0]], near.cosine_qk[0], int(among_m.sum()))

    def cached(self, *, shared: bool) -> CachedRows:
        """Return the rows that are cached by now, in one of the two spaces."""
        if shared not in self._complete:
            rows = self._cached(shared)
            if not rows.cached_n.all():
                return rows
            self._complete[shared] = rows
        return self._complete[shared]

    def thumbnails(self, rows: Sequence[int]) -> list[bytes | None]:
        """Return a WebP of each row; None where the image can no longer be read."""
        return thumbnails(self.manifest, rows, side=SIDE)

    def _cached(self, shared: bool) -> CachedRows:
        spaces: list[Space] = ["shared"] if shared else [one.recipe for one in self.encoders]
        content = self.manifest.content
        stores = [
            self._store(one, folder, space)
            for one, folder, space in zip(self.encoders, self._folders, spaces, strict=True)
        ]
        cached_n = np.array(
            [all(store is not None and one in store for store in stores) for one in content], dtype=bool
        )
        row_m = np.flatnonzero(cached_n)
        if not len(row_m):
            return CachedRows(cached_n, row_m, np.empty((0, 0), dtype=np.float32))
        kept = [content[row] for row in row_m]
        parts = [store.lookup_all(kept) for store in stores if store is not None]
        return CachedRows(cached_n, row_m, concatenate_vectors(parts))

    def _store(self, used: EncoderUsed, folder: Path, space: Space) -> FeatureStore | None:
        """Open what is cached; None where there is nothing, so that a page makes no folder."""
        key = encoder_key(folder, dtype=used.dtype, cache_dir=self.cache_dir, space=space)
        root = self.cache_dir / "features"
        there = (root / key.digest[:16]).is_dir() or origin_of(root) is not None
        return FeatureStore(root, key) if there else None

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.manifest.sample_id)}

    @cached_property
    def _images(self) -> list[ImageEncoder]:
        return [
            ImageEncoder(folder, dtype=one.dtype, space=one.recipe)
            for one, folder in zip(self.encoders, self._folders, strict=True)
        ]

    @cached_property
    def _texts(self) -> TextEncoder:
        from trainer.features.text_encoder import TextEncoder

        return TextEncoder(self._folders[0], dtype=self.encoders[0].dtype)
