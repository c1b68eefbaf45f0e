"""Compute and cache the activations before the last blocks of an encoder.

They are stored as in :mod:`trainer.features.store`, one flat vector per image, under a key that includes the
block.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trainer.core.errors import InputError
from trainer.data.manifest import Manifest
from trainer.features.encoder import ImageEncoder, preparation_of
from trainer.features.encoding_loop import LazyEncoder, Work, encode_missing
from trainer.features.key import EncoderKey, digest_of
from trainer.features.partial_encoder import FrozenFront, TrainableTail
from trainer.features.settings import EncoderSettings
from trainer.features.store import FeatureStore
from trainer.features.unfreezing import Unfreezing

StorageDtype = Literal["float16", "bfloat16"]
RESIDENT = 0.4  # maximum share of free GPU memory for resident activations


class Activations:
    """Stored activations of the rows of a manifest.

    Attributes:
        tail: the remaining blocks with their pretrained weights; copy them before training.
        unfrozen: the parameters to train.
        blocks: number of blocks of the encoder.
        shape: shape of one image's activations.
        dtype: compute type of the frozen part.
        views: number of augmented views of each training row.
        work: statistics of the encoding.
        bytes: size of the stored activations.
    """

    def __init__(
        self,
        stores: Sequence[FeatureStore],
        content: Sequence[str],
        front: FrozenFront,
        *,
        dtype: str,
        kept: StorageDtype,
        work: Work,
    ) -> None:
        self.tail: TrainableTail = front.tail()
        self.unfrozen = front.unfrozen
        self.blocks, self.shape, self.device, self.dtype = front.blocks, front.shape, front.device, dtype
        self.views, self.work, self.warnings = len(stores) - 1, work, [w for s in stores for w in s.warnings]
        self._stores, self._content = stores, np.asarray(content, dtype=object)
        self._kept = torch.bfloat16 if kept == "bfloat16" else torch.float16
        self.bytes = sum(map(len, stores)) * int(np.prod(self.shape)) * 2
        self._resident: dict[str, Tensor] = {}

    def batch(self, rows: np.ndarray, views: np.ndarray | None = None) -> Tensor:
        """Return the activations of rows, float32 [B, *shape] on :attr:`device`; view 0 is the original
        image."""
        numbers = np.zeros(len(rows), dtype=np.int64) if views is None else views
        content = self._content[rows]
        if self._resident:
            stored = torch.stack([self._resident[f"{v} {c}"] for c, v in zip(content, numbers, strict=True)])
        else:
            stored = self._read(content, numbers).to(self.device)
        return stored.float().view(len(rows), *self.shape)

    def move_to_gpu(self) -> bool:
        """Keep all activations in GPU memory if they fit. Returns whether they do."""
        if self.device.type != "cuda" or self.bytes > RESIDENT * torch.cuda.mem_get_info(self.device)[0]:
            return False
        for view, store in enumerate(self._stores):
            names = [one for one in dict.fromkeys(self._content) if one in store]
            for at in range(0, len(names), 1024):
                some = names[at : at + 1024]
                moved = self._read(some, np.full(len(some), view)).to(self.device)
                self._resident.update({f"{view} {one}": row for one, row in zip(some, moved, strict=True)})
        return True

    def _read(self, content: Sequence[str], views: np.ndarray) -> Tensor:
        """Return stored activations [B, M] in their stored type."""
        rows = [self._stores[view].lookup_stored([one])[0] for one, view in zip(content, views, strict=True)]
        return torch.from_numpy(np.stack(rows)).view(self._kept)


def activations(
    manifest: Manifest,
    settings: EncoderSettings,
    how: Unfreezing,
    *,
    kept: StorageDtype = "float16",
    progress: Callable[[int, int], None] | None = None,
) -> Activations:
    """Return the input of the first block that is trained for every row.

    Args:
        manifest: rows whose images can be decoded.
        how: what is to be trained.
        kept: storage type. bfloat16 has the range of float32 and a tenth of the precision of float16, for
            encoders whose activations exceed 65,504.
        progress: as in :func:`trainer.features.extract.extract`.

    Raises:
        InputError: the encoder is not available, has nothing of what is to be trained, or its activations
            cannot be stored; an image can no longer be read; the cache cannot be written.
    """
    folder, dtype = settings.folder, settings.compute_dtype
    side = preparation_of(folder).shape
    front = FrozenFront(folder, how, side=side, device=settings.device, dtype=dtype)
    at = f"before block {front.blocks - front.unfrozen.blocks + 1} of {front.blocks}"
    keys = [_cut(settings.key(view), at, kept) for view in range(settings.views + 1)]
    width = math.prod(front.shape)
    stores = [FeatureStore(settings.cache_dir / "features", key, width=width) for key in keys]
    work = encode_missing(manifest, stores, _LazyFront(settings, front, kept), settings, progress=progress)
    if work.bad:
        row, reason = next(iter(work.bad.items()))
        raise InputError(
            f"{len(work.bad)} images can no longer be read, such as {manifest.sample_id[row]}: {reason}. "
            "Restore them, or remove them from the data and pass another --study."
        )
    return Activations(stores, manifest.content, front, dtype=dtype, kept=kept, work=work)


def _cut(key: EncoderKey, at: str, kept: StorageDtype) -> EncoderKey:
    """Return the key of activations before a block."""
    fields = {**key.fields, "pooling": f"{key.fields['pooling'].partition(':')[0]}: {at}", "kept": kept}
    fields["stored_dtype"] = "uint16" if kept == "bfloat16" else "float16"
    return replace(key, fields=json.loads(json.dumps(fields)), digest=digest_of(fields))


class _LazyFront(LazyEncoder):
    """A loaded `FrozenFront` with the interface of `LazyEncoder`."""

    def __init__(self, settings: EncoderSettings, front: FrozenFront, kept: StorageDtype) -> None:
        super().__init__(settings)
        self._front, self._kept = front, kept

    def _load(self) -> ImageEncoder:
        return _FrontEncoder(self._settings.folder, tower=self._front, kept=self._kept)


class _FrontEncoder(ImageEncoder):
    def __init__(self, folder: Path, *, tower: FrozenFront, kept: StorageDtype) -> None:
        super().__init__(folder, tower=tower)
        self._kept = kept

    def forward_async(self, pixels: Tensor, colours_b5: np.ndarray | None = None) -> Callable[[], np.ndarray]:
        wait = super().forward_async(pixels, colours_b5)
        return wait if self._kept == "float16" else lambda: bits(wait())


def bits(values: np.ndarray) -> np.ndarray:
    """Convert float32 to bfloat16 bits as uint16. Non-finite values are returned unchanged, so that the store
    refuses them."""
    if not np.isfinite(values).all():
        return values
    return torch.from_numpy(values).bfloat16().view(torch.uint16).numpy()
