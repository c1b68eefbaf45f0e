"""A recorded head and the encoder that it learned from: images in, class probabilities out.

What a served model and the page "Try it" have in common with ``trainer.predict``: no files but the encoder's,
no MLflow. Vectors are made as they were for training: the same decoding and preparation, the same compute
type, rounded to what the feature store keeps.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load

from trainer.core.errors import InputError
from trainer.data.decode import MAX_PIXELS, DecodeError, decode_sized
from trainer.data.files import problem
from trainer.features.encoder import ImageEncoder
from trainer.features.hub import resolve
from trainer.features.key import STORED_DTYPE, identity
from trainer.heads.head import Head
from trainer.heads.head_config import HeadSpec
from trainer.heads.training_data import Scale

if TYPE_CHECKING:
    import pandas as pd

BATCH = 32  # images per call of the encoder
CARRIED = "encoder"  # folder of a model's that holds its encoder, where this is small
CARD, WEIGHTS = "head.json", "head.safetensors"
_USED = re.compile(r"(.+) \((float32|bfloat16), key ([0-9a-f]{16})\)", re.DOTALL)  # ExtractReport.encoder


class EncoderUsed(NamedTuple):
    """The encoder of a sweep, as its record names it."""

    name: str  # demo, a Hugging Face id, or a folder
    dtype: str  # what it computed in
    key: str  # the first 16 digits of its :class:`EncoderKey`


@dataclass(frozen=True)
class RecordedHead:
    """A head as a sweep logged it."""

    head: Head
    classes: tuple[str, ...]
    trial: int
    seed: int  # index
    encoder: EncoderUsed | None  # None where the data brought its features

    def probabilities(self, vectors_nd: np.ndarray) -> np.ndarray:
        """float32 [N, C] of features float32 [N, D]."""
        if not len(vectors_nd):
            return np.empty((0, len(self.classes)), dtype=np.float32)
        return self.head.probabilities(torch.as_tensor(vectors_nd)).numpy()

    def encoder_used(self) -> EncoderUsed:
        """Its encoder. InputError where there is none: such a head cannot answer images."""
        if self.encoder is None:
            raise InputError(
                "This head learned from ready features: no encoder is known that would turn an image into "
                "such. Run a sweep on the images themselves."
            )
        return self.encoder


def read_head(card: bytes, weights: bytes) -> RecordedHead:
    """The head behind ``head.json`` and ``head.safetensors``. InputError where they are no such files."""
    try:
        described: dict[str, Any] = json.loads(card)
        tensors = load(weights)
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in described["spec"].items()
        }
        centre_d, matrix = tensors.pop("scale.centre"), tensors.pop("scale.matrix")
        return RecordedHead(
            Head(HeadSpec(**fields), Scale(centre_d, matrix, described["unit_norm"]), tensors),
            tuple(described["classes"]),
            int(described["trial"]),
            int(described["seed"]),
            _encoder_used(described),
        )
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise InputError(
            f"The recorded head cannot be read ({type(error).__name__}: {error}). It is damaged, or was "
            "written by another version of Headroom."
        ) from error


def encoder_used(encoder: str) -> EncoderUsed | None:
    """What ``ExtractReport.encoder`` names; None for ready features."""
    found = _USED.fullmatch(encoder)
    return None if found is None else EncoderUsed(found[1], found[2], found[3])


def _encoder_used(described: dict[str, Any]) -> EncoderUsed | None:
    used, folder = encoder_used(described["encoder"]), described.get("encoder_folder")
    if used is None or not folder or not Path(folder).is_dir():
        return used  # sweeps of before have the name alone, which may be relative
    return used._replace(name=folder)


def folder_of(used: EncoderUsed, *, cache_dir: Path | None = None, instead: str | Path | None = None) -> Path:
    """The folder of the model that ``used`` names, and no other.

    Args:
        cache_dir: remembers the hash of weights; None: they are hashed now.
        instead: where the same encoder is on this machine, if not by its name.

    Raises:
        InputError: it is not to be had, or is another: other weights or settings make other vectors.
    """
    folder = resolve(str(instead or used.name))
    with tempfile.TemporaryDirectory() as scratch:
        key = identity(folder, dtype=used.dtype, cache_dir=cache_dir or Path(scratch))
    if key.digest[:16] != used.key:
        raise InputError(
            f"{instead or used.name} is not the encoder that the head learned from: its key is "
            f"{key.digest[:16]}, the record says {used.key}. Its weights or settings have changed, or this "
            "is another version of Headroom. Bring back what it was, or run the sweep again."
        )
    return folder


class Answered(NamedTuple):
    """What was said of N images. Rows of those that cannot be used are NaN."""

    probabilities_nc: np.ndarray  # float32
    vectors_nd: np.ndarray  # float32, as the feature store keeps them
    reasons: list[str]  # why an image cannot be used, "" where it can
    classes: tuple[str, ...]  # in the order of the axis C

    def frame(self) -> pd.DataFrame:
        """One row per image: ``label, confidence, error``; the first two are null where there is an error."""
        import pandas as pd

        good = [not reason for reason in self.reasons]
        best_n = np.nan_to_num(self.probabilities_nc, nan=0).argmax(1)
        labels = [self.classes[c] if usable else None for c, usable in zip(best_n, good, strict=True)]
        confidence_n = self.probabilities_nc[np.arange(len(best_n)), best_n]
        return pd.DataFrame({"label": labels, "confidence": confidence_n, "error": self.reasons})


class Predictor:
    """A head with its encoder, loaded. Safe in threads, one call of the encoder at a time per thread."""

    def __init__(
        self,
        recorded: RecordedHead,
        *,
        encoder: str | Path | None = None,
        device: str = "auto",
        cache_dir: Path | None = None,
    ) -> None:
        """Load the encoder; arguments as :func:`folder_of` has them. InputError likewise."""
        used = recorded.encoder_used()
        self.recorded = recorded
        self.folder = folder_of(used, cache_dir=cache_dir, instead=encoder)
        self._encoder = ImageEncoder(self.folder, device=device, dtype=used.dtype)

    @classmethod
    def of_folder(cls, folder: Path, *, encoder: str | Path | None = None, device: str = "auto") -> Predictor:
        """From a folder with ``head.json``, ``head.safetensors`` and perhaps the encoder itself."""
        recorded = read_folder(folder)
        carried = folder / CARRIED
        return cls(recorded, encoder=encoder or (carried if carried.is_dir() else None), device=device)

    @classmethod
    def from_run(
        cls,
        run_id: str,
        *,
        tracking_uri: str | None = None,
        encoder: str | Path | None = None,
        device: str = "auto",
    ) -> Predictor:
        """Return the best head of a sweep, with its encoder.

        Args:
            run_id: of the sweep, in MLflow.
            tracking_uri: the store; None: as :func:`trainer.open_run`.
            encoder: where the encoder is on this machine, if not where the record says.
            device: "auto", "cpu" or "cuda".

        Raises:
            InputError: there is no such run or encoder, or the sweep learned from ready features.
        """
        from trainer.core.locations import default_tracking_uri
        from trainer.serving.batch_predict import head_of
        from trainer.tracking.reader import RunFiles

        files = RunFiles(tracking_uri or default_tracking_uri(), run_id)
        return cls(head_of(files), encoder=encoder, device=device)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the axis C of probabilities."""
        return self.recorded.classes

    def predict(self, images: Sequence[bytes | str | Path], *, most_pixels: int = MAX_PIXELS) -> Answered:
        """Classify images, each by itself: a corrupt one has a reason and changes no other.

        Args:
            images: the bytes of image files, or their paths.
            most_pixels: that an image may have.
        """
        prepared, reasons = [], []
        for image in images:
            try:
                image = Path(image) if isinstance(image, str) else image
                prepared.append(self._prepare(image, most_pixels))
                reasons.append("")
            except DecodeError as error:
                reasons.append(error.reason)
        good = np.array([not reason for reason in reasons], dtype=bool)
        vectors_nd = encoded(self._encoder, prepared)
        width = vectors_nd.shape[1] if len(prepared) else 0
        every_nd = np.full((len(images), width), np.nan, dtype=np.float32)
        every_nc = np.full((len(images), len(self.recorded.classes)), np.nan, dtype=np.float32)
        every_nd[good], every_nc[good] = vectors_nd, self.recorded.probabilities(vectors_nd)
        return Answered(every_nc, every_nd, reasons, self.classes)

    def _prepare(self, image: bytes | Path, most_pixels: int) -> np.ndarray:
        if isinstance(image, Path) and (why := problem(image)):
            raise DecodeError(why)
        return prepared_for(self._encoder, image, most_pixels=most_pixels)


def read_folder(folder: Path) -> RecordedHead:
    """The head in a folder. InputError where there is none."""
    try:
        return read_head((folder / CARD).read_bytes(), (folder / WEIGHTS).read_bytes())
    except OSError as error:
        raise InputError(
            f"{folder} holds no head of Headroom's: {error.strerror} ({error.filename})."
        ) from error


def prepared_for(encoder: ImageEncoder, image: bytes | Path, *, most_pixels: int = MAX_PIXELS) -> np.ndarray:
    """uint8 [3, H, W], as the extraction prepares an image. Undecodable as :func:`decode_sized`."""
    return encoder.prepare(decode_sized(image, least=encoder.least, most_pixels=most_pixels).image_hwc)


def encoded(encoder: ImageEncoder, prepared: Sequence[np.ndarray]) -> np.ndarray:
    """float32 [N, D] of prepared images, rounded as the feature store rounds. Batches are filled up, so
    that a vector does not depend on how many others are with it."""
    pieces = []
    for at in range(0, len(prepared), BATCH):
        some = list(prepared[at : at + BATCH])
        full = some + some[-1:] * (encoder.full(BATCH) - len(some))
        pieces.append(encoder.forward(np.stack(full))[: len(some)])
    if not pieces:
        return np.empty((0, 0), dtype=np.float32)
    return np.concatenate(pieces).astype(STORED_DTYPE).astype(np.float32)
