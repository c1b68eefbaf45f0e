"""Flags of a fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from trainer.core.config import StudyConfig
from trainer.features.image_augmentation import Augmentation


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(StudyConfig):
    """What to fine-tune, on what."""

    unfreeze_last: int = 2
    """How many of the encoder's last blocks learn, with what follows them. Of a ResNet, residual blocks."""
    lrs: tuple[float, ...] = (1e-4, 3e-4)
    """Learning rates of the last block to try; the best is chosen on validation rows."""
    head_lr: float = 3e-4
    """Learning rate of the head."""
    layer_decay: float = 0.7
    """Each block learns so many times as fast as the next one."""
    weight_decay: float = 0.05
    """Of AdamW, for weights that are no biases and no norms."""
    warmup: float = 0.1
    """Share of the steps in which rates rise, before they fall along a cosine."""
    label_smoothing: float = 0.1
    """Share of the target that goes to all classes alike."""
    clip_norm: float = 1.0
    """Largest norm of a step's gradient."""
    epochs: int = 15
    """At most."""
    patience: int = 5
    """Epochs without a better validation macro-F1 after which a training stops."""
    train_batch: int = 32
    """Images per optimiser step. What does not fit into memory at once is added up in parts."""
    views: int = 4
    """Augmented views of each training image to train on besides itself; for the frozen head, too."""
    augment: Augmentation = field(default_factory=Augmentation)
    """How views stray from their image."""
    seeds: int = 2
    """How many times each learning rate is trained."""
    kept: Literal["float16", "bfloat16"] = "float16"
    """In what activations are kept. bfloat16 for encoders whose activations go beyond 65,504."""
    checkpoint_s: float = 20.0
    """Seconds between two checkpoints: what a kill can lose."""
