"""What the page "Try it" shows of an image: answer, zero-shot beside it, neighbours, place on the map.

All from what a sweep recorded, given as bytes and arrays: this module reads no store. What is costly (the
encoder, the map's neighbours) is loaded when it is first needed. Safe in threads, one image at a time.
"""

from __future__ import annotations

import threading
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load

from trainer.core.errors import InputError
from trainer.data import demo
from trainer.data.decode import DecodeError, decode, thumbnail
from trainer.data.files import problem
from trainer.features.encoder import ImageEncoder
from trainer.features.families import family_of
from trainer.features.model_files import weight_files
from trainer.serving.predictor import Predictor, encoded, prepared_for, read_head
from trainer.stats.vectors import unit_rows

if TYPE_CHECKING:
    from trainer.features.projection_transform import Placer

MOST_PIXELS = 50_000_000  # of an image that somebody drops on the page: as RGB 150 MB
PROMPTS = ("{}", "a photo of a {}.", "an image of a {}.")  # a class's vector is the mean over these
USUAL_SCALE = 100.0  # of logits where the model keeps none (CLIP's own, at its ceiling)
SIDE = 96  # pixels of the image as it is shown on the map


class Explanation(NamedTuple):
    """What was said of one image."""

    reason: str  # why it cannot be used, "" where it can; then nothing else counts
    probabilities_c: np.ndarray
    zero_shot_c: np.ndarray | None  # probabilities; None where the encoder has no text tower
    near: list[tuple[int, float]]  # training rows of the map, cosine: the nearest first
    xy: tuple[float, float] | None
    thumbnail: bytes  # WebP


BAD = Explanation("", np.empty(0), None, [], None, b"")


class Explainer:
    """A sweep's best head, with the rows of its map."""

    def __init__(
        self,
        card: bytes,
        weights: bytes,
        *,
        vectors: bytes | None,
        xy_n2: np.ndarray | None,
        train_n: np.ndarray | None,
        cache_dir: Path | None = None,
    ) -> None:
        """For ``head.json``, ``head.safetensors`` and what is known of the map's N rows.

        Args:
            vectors: `Artifact.VECTORS`; None where the sweep kept none: no neighbours, no place on the map.
            xy_n2: their places.
            train_n: bool [N], which are training rows: only these are neighbours.

        Raises:
            InputError: one of the files is damaged.
        """
        self.recorded = read_head(card, weights)
        self._cache_dir = cache_dir
        self._lock = threading.Lock()
        self._vectors_nd, self._xy_n2 = _vectors(vectors), xy_n2
        self._train = np.flatnonzero(train_n) if train_n is not None else np.empty(0, dtype=np.int64)
        if self._vectors_nd is not None and (xy_n2 is None or len(xy_n2) != len(self._vectors_nd)):
            self._vectors_nd = None

    @property
    def knows_neighbours(self) -> bool:
        """Whether there are neighbours and places."""
        return self._vectors_nd is not None and len(self._train) > 0

    def image(self, data: bytes, *, neighbours: int = 12) -> Explanation:
        """Answer an image file. InputError where the encoder is not to be had."""
        with self._lock:
            answered = self._predictor.predict([data], most_pixels=MOST_PIXELS)
            if answered.reasons[0]:
                return BAD._replace(reason=answered.reasons[0])
            vector_d = answered.vectors_nd[0]
            return Explanation(
                "",
                answered.probabilities_nc[0],
                self._zero_shot(data),
                self.near(vector_d, neighbours),
                self._place(vector_d),
                thumbnail(decode(data, least=4 * SIDE), SIDE),
            )

    def near_row(self, row: int, *, neighbours: int = 12) -> list[tuple[int, float]]:
        """The training rows nearest to a row of the map, itself left aside. Needs no encoder."""
        if self._vectors_nd is None:
            return []
        return [one for one in self.near(self._vectors_nd[row], neighbours + 1) if one[0] != row][:neighbours]

    def zero_shot(self, data: bytes) -> np.ndarray | None:
        """Probabilities of the classes by their names alone; None where the encoder has no text tower, or the
        image is bad."""
        with self._lock:
            return self._zero_shot(data)

    def near(self, vector_d: np.ndarray, count: int) -> list[tuple[int, float]]:
        """Training rows of the map by cosine in feature space, the nearest first."""
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
        return Predictor(self.recorded, cache_dir=self._cache_dir)

    @cached_property
    def _placer(self) -> Placer:
        from trainer.features.projection_transform import Placer

        assert self._vectors_nd is not None
        assert self._xy_n2 is not None
        return Placer(self._vectors_nd, self._xy_n2)

    def _place(self, vector_d: np.ndarray) -> tuple[float, float] | None:
        if self._vectors_nd is None:
            return None
        x, y = self._placer.place(vector_d[None])[0]
        return float(x), float(y)

    def _zero_shot(self, data: bytes) -> np.ndarray | None:
        if self._names is None:
            return None
        encoder, classes_ce, scale = self._names
        try:
            prepared = prepared_for(encoder, data, most_pixels=MOST_PIXELS)
        except DecodeError:
            return None
        logits_c = scale * (unit_rows(encoded(encoder, [prepared])) @ classes_ce.T)[0]
        powers_c = np.exp(logits_c - logits_c.max())
        return powers_c / powers_c.sum()

    @cached_property
    def _names(self) -> tuple[ImageEncoder, np.ndarray, float] | None:
        """The encoder into the space of images and texts, the classes' names there, the logits' scale."""
        folder, used = self._predictor.folder, self.recorded.encoder_used()
        if family_of(folder).shared_image is None:
            return None
        from trainer.features.text_encoder import TextEncoder

        try:
            texts = TextEncoder(folder, dtype=used.dtype)
            encoder = ImageEncoder(folder, dtype=used.dtype, space="shared")
        except InputError:  # an image tower that was saved alone, or without its tokenizer
            return None
        names = [name.replace("_", " ") for name in self.recorded.classes]
        vectors = [unit_rows(texts.encode([prompt.format(name) for name in names])) for prompt in PROMPTS]
        return encoder, unit_rows(np.mean(vectors, axis=0)), _logit_scale(folder)


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
    """The factor by which the model multiplies cosines before a softmax."""
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as tensors:
                if "logit_scale" in tensors.keys():  # noqa: SIM118  (it is no dict)
                    return float(tensors.get_tensor("logit_scale").float().exp())
    return USUAL_SCALE
