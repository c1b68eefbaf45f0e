"""A fine-tuned encoder as it is kept: tensors and a description; images in, probabilities out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from trainer.experiments.finetuning.learner import Learner
from trainer.experiments.finetuning.training import autocast
from trainer.features.encoder import ImageEncoder, preparation_of
from trainer.features.hub import resolve
from trainer.features.partial_encoder import FrozenFront
from trainer.heads.head import Head
from trainer.heads.head_config import HeadSpec
from trainer.heads.training_data import Scale

TENSORS, DESCRIPTION = "tuned.safetensors", "tuned.json"


@dataclass(frozen=True, kw_only=True)
class Description:
    """From which encoder a learner was made, and how."""

    encoder: str
    unfreeze_last: int
    dtype: str  # what the frozen blocks compute in
    kept: str  # what their activations are rounded to
    precision: str  # what the last blocks compute in
    classes: Sequence[str]


def files_of(learner: Learner, description: Description) -> dict[str, bytes]:
    """Return what to keep of a learner, by file name. The encoder's other weights are found by its name."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in kept_tensors(learner).items()}
    return {TENSORS: save(tensors), DESCRIPTION: json.dumps(asdict(description), indent=2).encode()}


def kept_tensors(learner: Learner) -> dict[str, Tensor]:
    """Return what learnt, and how the head's vectors are scaled."""
    scale = {"centre": learner.centre, "factor": learner.factor}
    return {name: parameter.detach() for name, parameter in learner.learnt()} | scale


class TunedEncoder:
    """A fine-tuned encoder with its head.

    Attributes:
        classes: their names, in the order of the probabilities.
    """

    def __init__(self, files: dict[str, bytes], *, device: str = "auto") -> None:
        """Take what :func:`files_of` made.

        Raises:
            InputError: the encoder that it was made from is not to be had; no such device.
        """
        described, tensors = json.loads(files[DESCRIPTION]), load(files[TENSORS])
        self.classes: tuple[str, ...] = tuple(described["classes"])
        self._kept = torch.bfloat16 if described["kept"] == "bfloat16" else torch.float16
        self._precision = described["precision"]
        folder = resolve(described["encoder"])
        self._front = FrozenFront(
            folder,
            unfreeze_last=described["unfreeze_last"],
            side=preparation_of(folder).shape,
            device=device,
            dtype=described["dtype"],
        )
        self._encoder = ImageEncoder(folder, tower=self._front)
        linear = {f"layers.0.{part}": tensors[f"head.{part}"] for part in ("weight", "bias")}
        head = Head(HeadSpec(), Scale(tensors["centre"], tensors["factor"]), linear)
        self._learner = Learner(self._front.tail(), head)
        with torch.no_grad():
            for name, parameter in self._learner.learnt():
                parameter.copy_(tensors[name])

    @torch.no_grad()
    def probabilities(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return float32 [N, C] of images uint8 [H, W, 3] each, of any sizes.

        Activations are rounded as they were when they were stored, so that the answers are those of training.
        """
        h = torch.from_numpy(self._encoder.encode(images)).to(self._kept).float()
        h = h.view(len(images), *self._front.shape).to(self._front.device)
        with autocast(h.device, self._precision):
            return self._learner(h).softmax(1).cpu().numpy()
