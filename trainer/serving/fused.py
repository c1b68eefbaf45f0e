"""Predict with heads on images and captions together.

A fusion's head is a few ordinary heads: on the image, on its text, on both. An image without a text is
answered by the first of them.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer.core.errors import InputError
from trainer.data.caption_leakage import remove_class_names
from trainer.data.table_columns import split_captions
from trainer.features.key import STORED_DTYPE, text_encoder_key
from trainer.features.text_encoder import TextEncoder
from trainer.heads.ensemble import Ensemble, Member
from trainer.heads.fused_head import FusedHead
from trainer.serving.predictor import BatchPrediction, Predictor, RecordedHead, read_head, write_head
from trainer.stats.vectors import unit_rows

FUSED_CARD, FUSED_WEIGHTS = "fused.json", "fused.safetensors"
TEXT_BATCH = 32  # captions per batch
Encode = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class RecordedFusion:
    """A logged head on images and captions.

    Attributes:
        image: the head on images alone, with classes and encoder.
        head: all of them.
        hidden: the names of each class that captions are rid of first; () for none.
        text_key: the first 16 digits of the text tower's :class:`EncoderKey`.
    """

    image: RecordedHead
    head: FusedHead
    hidden: tuple[tuple[str, ...], ...]
    text_key: str

    def captions(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the captions of each image as they are encoded."""
        several = [split_captions(text) for text in texts]
        if not self.hidden:
            return several
        return [[one for one in remove_class_names(some, self.hidden) if one] for some in several]

    def probabilities(self, image_nd: np.ndarray, texts: Sequence[str], encode: Encode) -> np.ndarray:
        """Return class probabilities float32 [N, C].

        Args:
            image_nd: float32 [N, D], features of the images.
            texts: of each; "" for none.
            encode: returns the vectors float32 [M, E] of captions, not normalised.
        """
        if not len(image_nd):
            return np.empty((0, len(self.image.classes)), dtype=np.float32)
        captions = self.captions(texts)
        text_ne = mean_text_vectors(captions, encode)
        has_n = torch.tensor([bool(one) for one in captions])
        return self.head.probabilities(torch.as_tensor(image_nd), torch.from_numpy(text_ne), has_n).numpy()


def mean_text_vectors(captions: Sequence[Sequence[str]], encode: Encode) -> np.ndarray:
    """Return the mean vector of each row's captions, each and it of length 1: float32 [N, E], zeros where
    there is none."""
    row_t = np.repeat(np.arange(len(captions)), [len(several) for several in captions])
    vectors_te = encode([one for several in captions for one in several])
    mean_ne = np.zeros((len(captions), vectors_te.shape[1]), dtype=np.float32)
    np.add.at(mean_ne, row_t, unit_rows(vectors_te))
    return unit_rows(mean_ne)


def write_fusion(
    head: FusedHead, described: dict[str, Any], *, hidden: Sequence[Sequence[str]], text_key: str
) -> dict[str, bytes]:
    """Return the files that `read_fusion` reads, by name.

    Args:
        described: what the card of a head on images alone says beside its members.
        hidden, text_key: as :class:`RecordedFusion` has them.
    """
    roles = [role for role in FusedHead.ROLES if getattr(head, role) is not None]
    members = tuple(Member(0, 1 / len(roles), 1.0, (getattr(head, role),)) for role in roles)
    described = described | {
        "form": head.form,
        "roles": roles,
        "text_weight": head.weight,
        "text_mean": head.text_mean_e.tolist(),
        "hidden": hidden,
        "text_key": text_key,
    }
    card, weights = write_head(Ensemble(members), described)
    return {FUSED_CARD: card, FUSED_WEIGHTS: weights}


def read_fusion(card: bytes, weights: bytes) -> RecordedFusion:
    """Parse the files of `write_fusion`. Raises InputError if they are invalid."""
    every = read_head(card, weights)
    try:
        described = json.loads(card)
        parts = zip(described["roles"], every.head.members, strict=True)
        heads = {role: member.heads[0] for role, member in parts}
        head = FusedHead(
            form=described["form"],
            weight=float(described["text_weight"]),
            text_mean_e=torch.tensor(described["text_mean"]),
            **heads,
        )
        image = dataclasses.replace(every, head=Ensemble.of(heads["image"], trial=0))
        hidden = tuple(tuple(of_class) for of_class in described["hidden"])
        return RecordedFusion(image, head, hidden, described["text_key"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The recorded head cannot be read ({type(error).__name__}: {error}). It is damaged, or was "
            "written by another version of Headroom."
        ) from error


class FusionPredictor:
    """A loaded head on images and captions with its encoder. Thread-safe."""

    def __init__(
        self,
        recorded: RecordedFusion,
        *,
        encoder: str | Path | None = None,
        device: str = "auto",
        model: Path | None = None,
    ) -> None:
        """Load the encoder. Arguments and errors as :class:`Predictor`; its text tower must be the same."""
        self.fusion, self.recorded = recorded, recorded.image
        self._images = Predictor(recorded.image, encoder=encoder, device=device, model=model)
        (self.folder,), (used,) = self._images.folders, recorded.image.require_encoders()
        check_text_tower(recorded, self.folder, dtype=used.dtype)
        self._texts = TextEncoder(self.folder, device=device, dtype=used.dtype)

    @classmethod
    def from_folder(cls, folder: Path, *, encoder: str | Path | None = None) -> FusionPredictor:
        """Load a folder with ``fused.json``, ``fused.safetensors`` and optionally the encoder."""
        files = ((folder / name).read_bytes() for name in (FUSED_CARD, FUSED_WEIGHTS))
        return cls(read_fusion(*files), encoder=encoder, model=folder)

    def predict(self, images: Sequence[bytes | str | Path], texts: Sequence[str]) -> BatchPrediction:
        """Classify images with their captions ("" for none); a corrupt image has a reason."""
        found = self._images.predict(images)
        good = np.array([not reason for reason in found.reasons], dtype=bool)
        captions = [text for text, usable in zip(texts, good, strict=True) if usable]
        every_nc = found.probabilities_nc.copy()
        every_nc[good] = self.fusion.probabilities(found.vectors_nd[good], captions, self._encode)
        return found._replace(probabilities_nc=every_nc)

    def _encode(self, captions: Sequence[str]) -> np.ndarray:
        """Return vectors as the feature store rounds them."""
        pieces = [
            self._texts.encode(captions[at : at + TEXT_BATCH]) for at in range(0, len(captions), TEXT_BATCH)
        ]
        if not pieces:
            return np.empty((0, len(self.fusion.head.text_mean_e)), dtype=np.float32)
        return np.concatenate(pieces).astype(STORED_DTYPE).astype(np.float32)


def check_text_tower(
    recorded: RecordedFusion, folder: Path, *, dtype: str, cache_dir: Path | None = None
) -> None:
    """Raise InputError where the text tower in ``folder`` is not that of the head.

    Args:
        cache_dir: where hashes of its weights are kept; None: nowhere.
    """
    with tempfile.TemporaryDirectory() as scratch:
        key = text_encoder_key(folder, dtype=dtype, cache_dir=cache_dir or Path(scratch))
    if key.digest[:16] != recorded.text_key:
        raise InputError(
            f"{folder} has another text tower or tokenizer than the encoder of this head. Restore it, or run "
            "the fusion again."
        )
