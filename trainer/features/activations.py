"""Rows → what arrives at the last blocks of an encoder, computed once in each image's life.

Stored in the manner of :mod:`trainer.features.store`, of which an image's activations are one long vector,
under a key that also says where the tower is cut.
"""

from __future__ import annotations

import json
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

Kept = Literal["float16", "bfloat16"]
RESIDENT = 0.4  # share of a GPU's free memory that activations may take for good


class Activations:
    """Stored activations of the rows of a manifest.

    Attributes:
        tail: the rest of the tower, as it was published; to be copied by whoever trains it.
        blocks: how many the tower has.
        shape: of one image's activations.
        dtype: what the frozen part computed in.
        views: how many views each training row has besides itself.
        work: what had to be encoded now.
        bytes: of all that these rows have in the store.
    """

    def __init__(
        self,
        stores: Sequence[FeatureStore],
        content: Sequence[str],
        front: FrozenFront,
        *,
        dtype: str,
        kept: Kept,
        work: Work,
    ) -> None:
        self.tail: TrainableTail = front.tail()
        self.blocks, self.shape, self.device, self.dtype = front.blocks, front.shape, front.device, dtype
        self.views, self.work, self.warnings = len(stores) - 1, work, [w for s in stores for w in s.warnings]
        self._stores, self._content = stores, np.asarray(content, dtype=object)
        self._kept = torch.bfloat16 if kept == "bfloat16" else torch.float16
        self.bytes = sum(map(len, stores)) * int(np.prod(self.shape)) * 2
        self._resident: dict[str, Tensor] = {}

    def batch(self, rows: np.ndarray, views: np.ndarray | None = None) -> Tensor:
        """float32 [B, *shape] on :attr:`device`, of these rows, each in the view named (0: as it is)."""
        numbers = np.zeros(len(rows), dtype=np.int64) if views is None else views
        content = self._content[rows]
        if self._resident:
            stored = torch.stack([self._resident[f"{v} {c}"] for c, v in zip(content, numbers, strict=True)])
        else:
            stored = self._read(content, numbers).to(self.device)
        return stored.float().view(len(rows), *self.shape)

    def settle(self) -> bool:
        """Move all activations to a GPU for good, if they fit beside what trains. Whether they did."""
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
        """[B, M] in the type that is stored."""
        rows = [self._stores[view].stored([one])[0] for one, view in zip(content, views, strict=True)]
        return torch.from_numpy(np.stack(rows)).view(self._kept)


def activations(
    manifest: Manifest,
    settings: EncoderSettings,
    *,
    unfreeze_last: int,
    kept: Kept = "float16",
    progress: Callable[[int, int], None] | None = None,
) -> Activations:
    """Give every row what arrives at the encoder's last ``unfreeze_last`` blocks.

    Args:
        manifest: rows whose images can be decoded.
        kept: in what activations are stored. bfloat16 has the range of float32 and a tenth of the precision
            of float16: it is for encoders whose activations go beyond 65,504.
        progress: as in :func:`trainer.features.extract.extract`.

    Raises:
        InputError: the encoder is not to be had, has not so many blocks, or gives what cannot be stored; an
            image can no longer be read; the cache cannot be written.
    """
    folder, dtype = settings.folder, settings.compute_dtype
    side = preparation_of(folder).shape
    front = FrozenFront(folder, unfreeze_last=unfreeze_last, side=side, device=settings.device, dtype=dtype)
    at = f"before block {front.blocks - unfreeze_last + 1} of {front.blocks}"
    keys = [_cut(settings.key(view), at, kept) for view in range(settings.views + 1)]
    stores = [FeatureStore(settings.cache_dir / "features", key) for key in keys]
    work = encode_missing(manifest, stores, _LazyFront(settings, front, kept), settings, progress=progress)
    if work.bad:
        row, reason = next(iter(work.bad.items()))
        raise InputError(
            f"{len(work.bad)} images can no longer be read, such as {manifest.sample_id[row]}: {reason}. "
            "Put them back, or take them out of the data and pass another --study."
        )
    return Activations(stores, manifest.content, front, dtype=dtype, kept=kept, work=work)


def _cut(key: EncoderKey, at: str, kept: Kept) -> EncoderKey:
    """The key of activations at a place in the tower."""
    fields = {**key.fields, "pooling": f"{key.fields['pooling'].partition(':')[0]}: {at}", "kept": kept}
    fields["stored_dtype"] = "uint16" if kept == "bfloat16" else "float16"
    return replace(key, fields=json.loads(json.dumps(fields)), digest=digest_of(fields))


class _LazyFront(LazyEncoder):
    """A front that is loaded, where the encoding loop looks for an encoder."""

    def __init__(self, settings: EncoderSettings, front: FrozenFront, kept: Kept) -> None:
        super().__init__(settings)
        self._front, self._kept = front, kept

    def _load(self) -> ImageEncoder:
        return _FrontEncoder(self._settings.folder, tower=self._front, kept=self._kept)


class _FrontEncoder(ImageEncoder):
    def __init__(self, folder: Path, *, tower: FrozenFront, kept: Kept) -> None:
        super().__init__(folder, tower=tower)
        self._kept = kept

    def begin(self, pixels: Tensor, colours_b5: np.ndarray | None = None) -> Callable[[], np.ndarray]:
        wait = super().begin(pixels, colours_b5)
        return wait if self._kept == "float16" else lambda: bits(wait())


def bits(values: np.ndarray) -> np.ndarray:
    """float32 → bfloat16, bit by bit, as uint16. What is no finite number stays none for the store to refuse:
    it comes back as float32."""
    if not np.isfinite(values).all():
        return values
    return torch.from_numpy(values).bfloat16().view(torch.uint16).numpy()
