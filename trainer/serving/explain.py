"""Explain the prediction of an image for the page "Try it": zero-shot, neighbours, position on the map.

Inputs are the artifacts of a sweep as bytes and arrays; this module reads no store. The encoder and the map
are loaded on first use. Thread-safe, one image at a time.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load

from trainer.core.errors import InputError
from trainer.data import demo
from trainer.data.bit_depth import scaled
from trainer.data.decode import DecodeError, decode, thumbnail
from trainer.data.files import problem
from trainer.data.formats import described_extensions, extensions
from trainer.features.encoder import ImageEncoder
from trainer.features.families import family_of
from trainer.features.model_files import weight_files
from trainer.serving.predictor import Predictor, encode_prepared, prepare_image, read_head
from trainer.stats.vectors import unit_rows

if TYPE_CHECKING:
    from trainer.features.projection_transform import ProjectionTransform

MAX_UPLOAD_PIXELS = 50_000_000  # of an uploaded image: 150 MB as RGB
PROMPTS = ("{}", "a photo of a {}.", "an image of a {}.")  # averaged per class
DEFAULT_LOGIT_SCALE = 100.0  # if the model has none (the maximum of CLIP's)
SIDE = 96  # pixels of the thumbnail on the map
SHOWN_SIDE = 360  # pixels of an image that stands beside what the encoder sees


class Explanation(NamedTuple):
    """Prediction for an image with explanations."""

    reason: str  # why the image is corrupt, else ""; the other fields are then empty
    probabilities_c: np.ndarray
    zero_shot_c: np.ndarray | None  # probabilities; None without a text tower, and of several encoders
    near: list[tuple[int, float]]  # training rows of the map and cosine, nearest first
    xy: tuple[float, float] | None
    thumbnail: bytes  # WebP
    novel: bool | None = None  # unlike the training images; None of a head that cannot tell
    views: tuple[bytes, ...] = ()  # see `Explainer.views`


BAD = Explanation("", np.empty(0), None, [], None, b"")


class Explainer:
    """Explains predictions of the best head of a sweep."""

    def __init__(
        self,
        card: bytes,
        weights: bytes,
        *,
        vectors: bytes | None,
        xy_n2: np.ndarray | None,
        train_n: np.ndarray | None,
        model: Callable[[], Path | None] = lambda: None,
    ) -> None:
        """Load ``head.json``, ``head.safetensors`` and the N rows of the map.

        Args:
            vectors: `Artifact.VECTORS`; None: no neighbours and no position on the map.
            xy_n2: coordinates on the map.
            train_n: bool [N], training rows; only these are neighbours.
            model: returns the folder of a model that carries the encoder; called on first use.

        Raises:
            InputError: one of the files is damaged.
        """
        self.recorded = read_head(card, weights)
        self._model = model
        self._lock = threading.Lock()
        self._vectors_nd, self._xy_n2 = _vectors(vectors), xy_n2
        self._train = np.flatnonzero(train_n) if train_n is not None else np.empty(0, dtype=np.int64)
        if self._vectors_nd is not None and (xy_n2 is None or len(xy_n2) != len(self._vectors_nd)):
            self._vectors_nd = None

    @property
    def has_neighbours(self) -> bool:
        """Whether neighbours and positions are available."""
        return self._vectors_nd is not None and len(self._train) > 0

    def image(self, data: bytes, *, neighbours: int = 12) -> Explanation:
        """Classify and explain an image file. Raises InputError if the encoder is not available."""
        with self._lock:
            predicted = self._predictor.predict([data], max_pixels=MAX_UPLOAD_PIXELS)
            if predicted.reasons[0]:
                return BAD._replace(reason=predicted.reasons[0])
            vector_d = predicted.vectors_nd[0]
            return Explanation(
                "",
                predicted.probabilities_nc[0],
                self._zero_shot(data),
                self.nearest(vector_d, neighbours),
                self._place(vector_d),
                thumbnail(decode(scaled(data, self.recorded.bits), min_side=4 * SIDE), SIDE),
                self.is_novel(vector_d),
                self._views(data),
            )

    def views(self, data: bytes) -> tuple[bytes, ...]:
        """Return an image to be shown and then what each encoder sees of it, resized and cropped, before
        normalisation: WebP and PNG. () if it is corrupt. Raises InputError if an encoder is not available."""
        with self._lock:
            return self._views(data)

    def _views(self, data: bytes) -> tuple[bytes, ...]:
        try:
            inputs = self._predictor.inputs(data, MAX_UPLOAD_PIXELS)
            whole = decode(scaled(data, self.recorded.bits), min_side=2 * SHOWN_SIDE)
        except DecodeError:
            return ()
        return (thumbnail(whole, SHOWN_SIDE), *map(png, inputs))

    def is_novel(self, vector_d: np.ndarray) -> bool | None:
        """Return whether features are unlike those of the training images; None if the head cannot tell."""
        novelty = self.recorded.novelty
        return None if novelty is None else bool(novelty.is_novel(novelty.scores(vector_d[None]))[0])

    def row_is_novel(self, row: int) -> bool | None:
        """Return the same of a row of the map. Needs no encoder."""
        return None if self._vectors_nd is None else self.is_novel(self._vectors_nd[row])

    def nearest_to_row(self, row: int, *, neighbours: int = 12) -> list[tuple[int, float]]:
        """Return the training rows nearest to a row of the map, without the row itself. Needs no encoder."""
        if self._vectors_nd is None:
            return []
        return [one for one in self.nearest(self._vectors_nd[row], neighbours + 1) if one[0] != row][
            :neighbours
        ]

    def zero_shot(self, data: bytes) -> np.ndarray | None:
        """Return zero-shot probabilities; None without a text tower, of several encoders, or if the image is
        corrupt."""
        with self._lock:
            return self._zero_shot(data)

    def nearest(self, vector_d: np.ndarray, count: int) -> list[tuple[int, float]]:
        """Return the training rows of the map with the highest cosine, nearest first."""
        if self._vectors_nd is None or not len(self._train):
            return []
        cosine_n = self._unit_nd @ (vector_d / max(float(np.linalg.norm(vector_d)), 1e-12))
        best = np.argsort(-cosine_n, kind="stable")[:count]
        return [(int(self._train[i]), float(cosine_n[i])) for i in best]

    @cached_property
    def _unit_nd(self) -> np.ndarray:
        assert self._vectors_nd is not None
        train_nd = self._vectors_nd[self._train]
        return unit_rows(train_nd)

    @cached_property
    def _predictor(self) -> Predictor:
        return Predictor(self.recorded, model=self._model())

    @cached_property
    def _placer(self) -> ProjectionTransform:
        from trainer.features.projection_transform import ProjectionTransform

        assert self._vectors_nd is not None
        assert self._xy_n2 is not None
        return ProjectionTransform(self._vectors_nd, self._xy_n2)

    def _place(self, vector_d: np.ndarray) -> tuple[float, float] | None:
        if self._vectors_nd is None:
            return None
        x, y = self._placer.transform(vector_d[None])[0]
        return float(x), float(y)

    def _zero_shot(self, data: bytes) -> np.ndarray | None:
        if self._names is None:
            return None
        encoder, classes_ce, scale = self._names
        try:
            image = scaled(data, self.recorded.bits, max_pixels=MAX_UPLOAD_PIXELS)
            prepared = prepare_image(encoder, image, max_pixels=MAX_UPLOAD_PIXELS)
        except DecodeError:
            return None
        logits_c = scale * (unit_rows(encode_prepared(encoder, [prepared])) @ classes_ce.T)[0]
        powers_c = np.exp(logits_c - logits_c.max())
        return powers_c / powers_c.sum()

    @cached_property
    def _names(self) -> tuple[ImageEncoder, np.ndarray, float] | None:
        """Encoder into the shared space, class vectors there, and the logit scale."""
        if len(self.recorded.encoders) > 1 or not self.recorded.classes:  # each has a shared space; no names
            return None
        (folder,), (used,) = self._predictor.folders, self.recorded.require_encoders()
        if family_of(folder).shared_image is None:
            return None
        from trainer.features.text_encoder import TextEncoder

        try:
            texts = TextEncoder(folder, dtype=used.dtype)
            encoder = ImageEncoder(folder, dtype=used.dtype, space="shared")
        except InputError:  # saved without text tower or tokenizer
            return None
        names = [name.replace("_", " ") for name in self.recorded.classes]
        vectors = [unit_rows(texts.encode([prompt.format(name) for name in names])) for prompt in PROMPTS]
        return encoder, unit_rows(np.mean(vectors, axis=0)), _logit_scale(folder)


def png(pixels_chw: np.ndarray) -> bytes:
    """Return a PNG of an image uint8 [3, H, W]."""
    buffer = io.BytesIO()
    Image.fromarray(pixels_chw.transpose(1, 2, 0)).save(buffer, format="PNG")
    return buffer.getvalue()


def readable_images() -> tuple[list[str], str]:
    """Return the extensions of image files that can be read here, such as ".jpg", and the same in words."""
    return sorted(extensions()), described_extensions()


def original(data: str, sample_id: str) -> bytes | None:
    """The image file of a row, where it is at hand: of the built-in data, or below a folder that ``data``
    names. None elsewhere."""
    if data == demo.NAME:
        return _demo_images().get(sample_id)
    root = Path(data)
    if not data or not root.is_dir():
        return None
    path = (root / sample_id).resolve()
    if not path.is_relative_to(root.resolve()) or problem(path):
        return None
    try:
        return path.read_bytes()
    except OSError:
        return None


@lru_cache(maxsize=1)
def _demo_images() -> dict[str, bytes]:
    manifest = demo.read()
    return {
        name: image
        for name, image in zip(manifest.sample_id, manifest.images or (), strict=True)
        if isinstance(image, bytes)
    }


def _vectors(data: bytes | None) -> np.ndarray | None:
    if data is None:
        return None
    try:
        return load(data)["vectors"].astype(np.float32)
    except (SafetensorError, KeyError) as error:
        raise InputError(f"The recorded vectors cannot be read: {error}.") from error


def _logit_scale(folder: Path) -> float:
    """Return the factor of cosines before the softmax."""
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as tensors:
                if "logit_scale" in tensors.keys():  # noqa: SIM118  (not a dict)
                    return float(tensors.get_tensor("logit_scale").float().exp())
    return DEFAULT_LOGIT_SCALE
