"""Predict probabilities of classes or labels, or numbers, of images with a logged head and its encoder.

Shared by served models, the page "Try it" and ``trainer.predict``; needs no MLflow. Vectors are computed as
for training: same decoding, preprocessing and compute type, rounded to the type of the feature store.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from trainer.core.config import Recipe
from trainer.core.errors import InputError
from trainer.data.bit_depth import FULL, scaled
from trainer.data.decode import MAX_PIXELS, DecodeError, decode_sized
from trainer.data.files import problem
from trainer.features.concatenation import concatenate_vectors
from trainer.features.encoder import ImageEncoder
from trainer.features.hub import encoder_names, resolve
from trainer.features.key import BETWEEN, STORED_DTYPE, encoder_key, encoder_text
from trainer.heads.ensemble import Ensemble, Member
from trainer.heads.head import Head
from trainer.heads.head_config import HeadSpec
from trainer.heads.novelty import NoveltyDetector, RelativeDistance
from trainer.heads.platt import LabelScale
from trainer.heads.training_data import Scale
from trainer.serving.answer_columns import HIGH, LABELS, LOW, NUMBER
from trainer.stats.conformal import prediction_sets

if TYPE_CHECKING:
    import pandas as pd

BATCH = 32  # images per batch
ENCODER_FOLDER = "encoder"  # folder of a model with its encoder, if small; of the second: encoder_2
CARD, WEIGHTS = "head.json", "head.safetensors"
LABEL_SCALE = "calibration."  # before the names of its tensors
# what `encoder_text` writes
_USED = re.compile(r"(.+?) \((float32|bfloat16)(?:, (cls4|cls4\+patch))?, key ([0-9a-f]{16})\)", re.DOTALL)


class EncoderUsed(NamedTuple):
    """A logged encoder of a sweep."""

    name: str  # demo, a Hugging Face id, or a folder
    dtype: str  # compute type
    key: str  # the first 16 digits of its :class:`EncoderKey`
    recipe: Recipe = "pooled"

    def __str__(self) -> str:
        return encoder_text(self.name, dtype=self.dtype, space=self.recipe, digest=self.key)


class SaidLabels(NamedTuple):
    """The labels that a head knows, and when it says one."""

    names: tuple[str, ...]
    thresholds_c: np.ndarray  # float64 [C], probabilities
    separator: str

    def joined(self, probability_nc: np.ndarray) -> list[str]:
        """Return the labels of each row that are at or above their threshold, joined; "" for none."""
        said_nc = probability_nc >= self.thresholds_c
        return [
            self.separator.join(name for name, said in zip(self.names, said_c, strict=True) if said)
            for said_c in said_nc
        ]


@dataclass(frozen=True)
class RecordedHead:
    """A logged head."""

    head: Ensemble
    classes: tuple[str, ...]
    trial: int
    seed: int  # index; -1 for the mean over all seeds
    encoders: tuple[EncoderUsed, ...]  # whose vectors are concatenated; () for precomputed features
    coverage: float = 0.0  # of its prediction sets, unless another one is asked for
    thresholds: Mapping[float, float] = field(default_factory=dict)  # by coverage; {}: it has no sets
    novelty: NoveltyDetector | None = None
    bits: int | None = FULL  # that 16-bit images use; None: it learned from none, so each is read by itself
    half_widths: Mapping[float, float] = field(
        default_factory=dict
    )  # of the intervals of numbers, by coverage
    said: SaidLabels | None = None  # of several labels per image

    @property
    def numbers(self) -> bool:
        """Whether it predicts a number; ``classes`` is () then."""
        return self.head.numbers

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels where an image may have several; ``classes`` is () then. Else ()."""
        return () if self.said is None else self.said.names

    @property
    def what(self) -> str:
        """What it predicts, for people."""
        if self.labels:
            return f"{len(self.labels)} labels"
        return "a number" if self.numbers else f"{len(self.classes)} classes"

    def answers(self, vectors_nd: np.ndarray) -> np.ndarray:
        """Return probabilities of classes or labels, float32 [N, C], of features float32 [N, D], or numbers
        [N, 1]."""
        if not len(vectors_nd):
            return np.empty((0, self.width), dtype=np.float32)
        return self.head.answers(torch.as_tensor(vectors_nd)).numpy()

    @property
    def width(self) -> int:
        """Columns of `answers`."""
        return 1 if self.numbers else len(self.labels or self.classes)

    def half_width(self, coverage: float | None = None) -> float | None:
        """Return how far the true number is at most from a predicted one, with that probability.

        None where too few rows were held out for it.

        Args:
            coverage: that probability, 0.5 to 0.99, two decimals; None: that of the sweep.
        """
        return self.half_widths.get(round(coverage or self.coverage, 2))

    def prediction_sets(
        self, probability_nc: np.ndarray, *, coverage: float | None = None
    ) -> list[list[str]] | None:
        """Return for each row the classes that hold the true one with a probability, the most probable first.

        None for a head that has no thresholds.

        Args:
            coverage: that probability, 0.5 to 0.99, two decimals; None: that of the sweep.
        """
        if not self.thresholds:
            return None
        threshold = self.thresholds[round(coverage or self.coverage, 2)]
        order_nc = np.argsort(-probability_nc, axis=1, kind="stable")
        inside_nc = np.take_along_axis(prediction_sets(probability_nc, threshold), order_nc, axis=1)
        rows = zip(order_nc, inside_nc, strict=True)
        return [[self.classes[c] for c in order_c[inside_c]] for order_c, inside_c in rows]

    def require_encoders(self) -> tuple[EncoderUsed, ...]:
        """Return the encoders. Raises InputError for a head trained on precomputed features."""
        if not self.encoders:
            raise InputError(
                "This head was trained on precomputed features, so it cannot classify images. Run a sweep on "
                "images."
            )
        return self.encoders


def read_head(card: bytes, weights: bytes) -> RecordedHead:
    """Parse ``head.json`` and ``head.safetensors``. Raises InputError if they are invalid."""
    try:
        described: dict[str, Any] = json.loads(card)
        tensors = load(weights)
        sets = described.get("prediction_sets", {})  # of a version that had none
        intervals = described.get("intervals", {})  # of numbers
        return RecordedHead(
            _ensemble(described, tensors),
            tuple(described["classes"]),
            int(described["trial"]),
            int(described["seed"]),
            _encoders_of(described),
            float((sets or intervals).get("coverage", 0)),
            {float(coverage): float(one) for coverage, one in sets.get("thresholds", {}).items()},
            _novelty(described, tensors),
            described.get("bits", FULL),  # absent in a version that knew no other
            {float(coverage): float(one) for coverage, one in intervals.get("half_widths", {}).items()},
            _said(described.get("labels")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise InputError(
            f"The recorded head cannot be read ({type(error).__name__}: {error}). It is damaged, or was "
            "written by another version of Headroom."
        ) from error


def write_head(
    head: Ensemble, described: dict[str, Any], *, novelty: NoveltyDetector | None = None
) -> tuple[bytes, bytes]:
    """Return ``head.json`` and ``head.safetensors``, which `read_head` reads.

    Args:
        described: what the card says beside the members.
        novelty: how it knows images that are unlike the training images.
    """
    members, tensors = [], {}
    if novelty is not None:
        described = described | {
            "novelty": {"threshold": novelty.threshold, "false_alarm_rate": novelty.false_alarm_rate}
        }
        for part in dataclasses.fields(novelty.distance):
            tensors[f"novelty.{part.name}"] = getattr(novelty.distance, part.name).contiguous()
    for i, member in enumerate(head.members):
        for j, one in enumerate(member.heads):
            scale = {"scale.centre": one.scale.centre_d, "scale.matrix": one.scale.matrix}
            for name, tensor in {**scale, **one.tensors}.items():
                tensors[f"members.{i}.{j}.{name}"] = tensor.cpu().clone().contiguous()
        first = member.heads[0]
        members.append(
            {
                "trial": member.trial,
                "weight": member.weight,
                "temperature": member.temperature,
                "heads": len(member.heads),
                "spec": dataclasses.asdict(first.spec),
                "unit_norm": first.scale.unit_norm,
            }
        )
    if head.label_scale is not None:
        for name, tensor in head.label_scale._asdict().items():
            tensors[LABEL_SCALE + name] = tensor.cpu().contiguous()
    card = {**described, "temperature": head.temperature, "members": members}
    return json.dumps(card, indent=2).encode(), save(tensors)


def _ensemble(described: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Ensemble:
    if "members" not in described:  # of a version that handed over one head, uncalibrated
        return Ensemble.of(_head(described, tensors), trial=described["trial"])
    members = []
    for i, one in enumerate(described["members"]):
        heads = []
        for j in range(one["heads"]):
            prefix = f"members.{i}.{j}."
            own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            heads.append(_head(one, own))
        members.append(
            Member(int(one["trial"]), float(one["weight"]), float(one["temperature"]), tuple(heads))
        )
    return Ensemble(tuple(members), float(described["temperature"]), _label_scale(tensors))


def _label_scale(tensors: dict[str, torch.Tensor]) -> LabelScale | None:
    names = [LABEL_SCALE + name for name in LabelScale._fields]
    if not any(name in tensors for name in names):  # of classes, of numbers, or of an earlier version
        return None
    return LabelScale(*(tensors[name] for name in names))


def _said(labels: dict[str, Any] | None) -> SaidLabels | None:
    if labels is None:
        return None
    names, thresholds_c = tuple(map(str, labels["names"])), np.array(labels["thresholds"], dtype=np.float64)
    if thresholds_c.shape != (len(names),):
        raise ValueError(f"{len(names)} labels and thresholds of the shape {thresholds_c.shape}")
    return SaidLabels(names, thresholds_c, str(labels["separator"]))


def _novelty(described: dict[str, Any], tensors: dict[str, torch.Tensor]) -> NoveltyDetector | None:
    if "novelty" not in described:
        return None
    names = (one.name for one in dataclasses.fields(RelativeDistance))
    distance = RelativeDistance(*(tensors[f"novelty.{name}"] for name in names))
    card = described["novelty"]
    return NoveltyDetector(distance, float(card["threshold"]), float(card["false_alarm_rate"]))


def _head(described: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Head:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in described["spec"].items()}
    centre_d, matrix = tensors.pop("scale.centre"), tensors.pop("scale.matrix")
    return Head(HeadSpec(**fields), Scale(centre_d, matrix, described["unit_norm"]), tensors)


def encoders_used(text: str) -> tuple[EncoderUsed, ...]:
    """Parse ``ExtractReport.encoder``; () for precomputed features."""
    found = list(_USED.finditer(text))
    return tuple(
        EncoderUsed(one[1].removeprefix(BETWEEN), one[2], one[4], cast("Recipe", one[3] or "pooled"))
        for one in found
    )


def _encoders_of(described: dict[str, Any]) -> tuple[EncoderUsed, ...]:
    used, folders = encoders_used(described["encoder"]), described.get("encoder_folder")
    if not isinstance(folders, list):  # of one encoder
        folders = [folders] * len(used)
    return tuple(
        # older sweeps have only the name, which may be relative
        one._replace(name=folder) if folder and Path(folder).is_dir() else one
        for one, folder in zip(used, folders, strict=True)
    )


def folders_of(
    encoders: Sequence[EncoderUsed],
    *,
    cache_dir: Path | None = None,
    instead: str | Path | None = None,
    model: Path | None = None,
) -> list[Path]:
    """Return the folders of the logged encoders, after checking their keys.

    Args:
        cache_dir: cache of the hash of the weights; None: compute it.
        instead: other location of the same encoder; of several, joined by ``+`` in their order.
        model: folder of a model that may carry the encoders.

    Raises:
        InputError: one is not available, or its weights or settings differ; ``instead`` names more or fewer.
    """
    if instead is not None:
        names = encoder_names(str(instead))
    else:
        places = [model and carried_folder(model, number) for number in range(len(encoders))]
        names = tuple(
            str(place) if place and place.is_dir() else one.name
            for one, place in zip(encoders, places, strict=True)
        )
    if len(names) != len(encoders):
        plural = "s" if len(encoders) > 1 else ""
        raise InputError(
            f"The head needs {len(encoders)} encoder{plural}, and {instead} names {len(names)}. Name them in "
            f"this order, joined by +: {BETWEEN.join(map(str, encoders))}."
        )
    return [_checked_folder(one, name, cache_dir) for one, name in zip(encoders, names, strict=True)]


def _checked_folder(used: EncoderUsed, name: str, cache_dir: Path | None) -> Path:
    folder = resolve(name)
    with tempfile.TemporaryDirectory() as scratch:
        key = encoder_key(folder, dtype=used.dtype, space=used.recipe, cache_dir=cache_dir or Path(scratch))
    if key.digest[:16] != used.key:
        raise InputError(
            f"{name} is not the encoder of this head: its key is "
            f"{key.digest[:16]}, expected {used.key}. Its weights or settings have changed, or this "
            "is another version of Headroom. Restore it, or run the sweep again."
        )
    return folder


class BatchPrediction(NamedTuple):
    """Predictions of N images. Rows of corrupt images are NaN."""

    probabilities_nc: np.ndarray  # float32; of a head of numbers these, [N, 1]
    vectors_nd: np.ndarray  # float32, rounded as in the feature store
    reasons: list[str]  # why an image is corrupt, else ""
    classes: tuple[str, ...]  # order of axis C; () of numbers and of several labels
    said: SaidLabels | None = None  # of several labels
    half_width: float | None = None  # of the intervals of numbers, see `RecordedHead.half_width`

    def frame(self) -> pd.DataFrame:
        """One row per image: ``label, confidence, error``, or ``number`` with ``number_low, number_high``
        (where the head has intervals) and ``error``, or ``labels``, a column for the probability of each
        label, and ``error``; all but the error are null for corrupt images."""
        import pandas as pd

        if self.said is not None:
            usable = [not reason for reason in self.reasons]
            joined = zip(self.said.joined(self.probabilities_nc), usable, strict=True)
            of_each = pd.DataFrame(self.probabilities_nc, columns=list(self.said.names))
            of_each.insert(0, LABELS, [one if good else None for one, good in joined], allow_duplicates=True)
            return of_each.assign(error=self.reasons)
        if not self.classes:
            number_n, width = self.probabilities_nc[:, 0].astype(np.float64), self.half_width
            ends = {} if width is None else {LOW: number_n - width, HIGH: number_n + width}
            return pd.DataFrame({NUMBER: number_n, **ends, "error": self.reasons})
        good = [not reason for reason in self.reasons]
        best_n = np.nan_to_num(self.probabilities_nc, nan=0).argmax(1)
        labels = [self.classes[c] if usable else None for c, usable in zip(best_n, good, strict=True)]
        confidence_n = self.probabilities_nc[np.arange(len(best_n)), best_n]
        return pd.DataFrame({"label": labels, "confidence": confidence_n, "error": self.reasons})


class Predictor:
    """A loaded head with its encoders. Thread-safe."""

    def __init__(
        self,
        recorded: RecordedHead,
        *,
        encoder: str | Path | None = None,
        device: str = "auto",
        cache_dir: Path | None = None,
        model: Path | None = None,
    ) -> None:
        """Load the encoders. Arguments and errors as :func:`folders_of`."""
        used = recorded.require_encoders()
        self.recorded = recorded
        self.folders = folders_of(used, cache_dir=cache_dir, instead=encoder, model=model)
        self._encoders = [
            ImageEncoder(folder, device=device, dtype=one.dtype, space=one.recipe)
            for folder, one in zip(self.folders, used, strict=True)
        ]

    @classmethod
    def from_folder(
        cls, folder: Path, *, encoder: str | Path | None = None, device: str = "auto"
    ) -> Predictor:
        """Load a folder with ``head.json``, ``head.safetensors`` and optionally encoders.

        Args:
            encoder: location of the encoders that the head was trained with, if they have moved; of several,
                joined by ``+``.
        """
        return cls(read_folder(folder), encoder=encoder, device=device, model=folder)

    @classmethod
    def from_run(
        cls,
        run_id: str,
        *,
        tracking_uri: str | None = None,
        encoder: str | Path | None = None,
        device: str = "auto",
    ) -> Predictor:
        """Return the best head of a sweep, or of a fine-tuning, with its encoders.

        Args:
            run_id: of the sweep or the fine-tuning, in MLflow.
            tracking_uri: the store; None: as :func:`trainer.open_run`.
            encoder: location of the encoder, if it has moved; of several, joined by ``+``.
            device: "auto", "cpu" or "cuda".

        Raises:
            InputError: there is no such run or encoder, or the sweep used precomputed features.
        """
        from trainer.core.locations import default_tracking_uri
        from trainer.serving.batch_predict import carrying_model, load_best_head
        from trainer.tracking.reader import RunFiles
        from trainer.tracking.schema import SWEEP_KINDS

        files = RunFiles(tracking_uri or default_tracking_uri(), run_id, kinds=SWEEP_KINDS)
        recorded = load_best_head(files)
        return cls(recorded, encoder=encoder, device=device, model=carrying_model(files))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of axis C."""
        return self.recorded.classes

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names, in the order of axis C, where an image may have several; else ()."""
        return self.recorded.labels

    @property
    def thresholds(self) -> np.ndarray | None:
        """Probabilities from which each label is said, float64 [C]; None without labels."""
        return None if self.recorded.said is None else self.recorded.said.thresholds_c

    def answers(self, vectors_nd: np.ndarray) -> np.ndarray:
        """Return what the head says of features, see `RecordedHead.answers`."""
        return self.recorded.answers(vectors_nd)

    def predict(
        self, images: Sequence[bytes | str | Path], *, max_pixels: int = MAX_PIXELS
    ) -> BatchPrediction:
        """Answer images, each by itself: a corrupt one has a reason and changes no other.

        Args:
            images: the bytes of image files, or their paths.
            max_pixels: larger images are refused.
        """
        reasons: list[str] = []
        pieces = [np.empty((0, 0), dtype=np.float32)]
        for at in range(0, len(images), BATCH):  # a request of any length takes the memory of one batch
            prepared = self._prepared(images[at : at + BATCH], reasons, max_pixels)
            if prepared:
                parts = [[image[i] for image in prepared] for i in range(len(self._encoders))]
                pieces.append(concatenate_vectors(list(map(encode_prepared, self._encoders, parts))))
        vectors_nd = np.concatenate(pieces[1:] or pieces)
        usable = np.flatnonzero([not reason for reason in reasons])
        for row in usable[~np.isfinite(vectors_nd).all(1)]:
            reasons[row] = "the encoder gave it a vector with NaN or infinite numbers"
        vectors_nd = vectors_nd[np.isfinite(vectors_nd).all(1)]
        good = np.array([not reason for reason in reasons], dtype=bool)
        width = vectors_nd.shape[1]
        every_nd = np.full((len(images), width), np.nan, dtype=np.float32)
        every_nc = np.full((len(images), self.recorded.width), np.nan, dtype=np.float32)
        every_nd[good], every_nc[good] = vectors_nd, self.recorded.answers(vectors_nd)
        width_of_numbers = self.recorded.half_width() if self.recorded.numbers else None
        return BatchPrediction(
            every_nc, every_nd, reasons, self.classes, self.recorded.said, width_of_numbers
        )

    def _prepared(
        self, images: Sequence[bytes | str | Path], reasons: list[str], max_pixels: int
    ) -> list[list[np.ndarray]]:
        """Return the usable images, for each encoder; ``reasons`` is given one for every image."""
        prepared = []
        for image in images:
            try:
                prepared.append(self.inputs(Path(image) if isinstance(image, str) else image, max_pixels))
                reasons.append("")
            except DecodeError as error:
                reasons.append(error.reason)
        return prepared

    def inputs(self, image: bytes | Path, max_pixels: int = MAX_PIXELS) -> list[np.ndarray]:
        """Return what each encoder is given of an image, before normalisation: uint8 [3, H, W].

        Raises:
            DecodeError: the image is corrupt.
        """
        if isinstance(image, Path) and (why := problem(image)):
            raise DecodeError(why)
        if self.recorded.bits != FULL:
            image = scaled(image, self.recorded.bits, max_pixels=max_pixels)
        return [prepare_image(one, image, max_pixels=max_pixels) for one in self._encoders]


def read_folder(folder: Path) -> RecordedHead:
    """Read the head in a folder. Raises InputError if there is none."""
    try:
        return read_head((folder / CARD).read_bytes(), (folder / WEIGHTS).read_bytes())
    except OSError as error:
        raise InputError(f"{folder} has no head of Headroom: {error.strerror} ({error.filename}).") from error


def carried_folder(folder: Path, number: int) -> Path:
    """Return where a model in ``folder`` has its encoder ``number``, from 0 on, if it carries it."""
    return folder / (f"{ENCODER_FOLDER}_{number + 1}" if number else ENCODER_FOLDER)


def prepare_image(encoder: ImageEncoder, image: bytes | Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode and preprocess an image as the extraction does: uint8 [3, H, W]. Raises DecodeError."""
    return encoder.prepare(decode_sized(image, min_side=encoder.min_side, max_pixels=max_pixels).image_hwc)


def encode_prepared(encoder: ImageEncoder, prepared: Sequence[np.ndarray]) -> np.ndarray:
    """Encode preprocessed images: float32 [N, D], rounded as in the feature store. Batches are padded, so
    that vectors do not depend on the batch size."""
    pieces = []
    for at in range(0, len(prepared), BATCH):
        some = list(prepared[at : at + BATCH])
        full = some + some[-1:] * (encoder.padded_size(BATCH) - len(some))
        pieces.append(encoder.forward(np.stack(full))[: len(some)])
    if not pieces:
        return np.empty((0, 0), dtype=np.float32)
    return np.concatenate(pieces).astype(STORED_DTYPE).astype(np.float32)
