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
    """Number of last blocks of the encoder to train (residual blocks of a ResNet)."""
    unfreeze: tuple[str, ...] = ()
    """Train these parameters in place of the last blocks: regular expressions for whole parts of their dotted
    names, such as 'layers.1[01]' or 'q_proj', or layer-norm for all norms."""
    lora: int = 0
    """Rank of low-rank additions (LoRA) that are trained in place of the attention projections among these
    parameters; 0: none. They are merged into the weights at the end. Larger --lrs suit them, such as 1e-3
    3e-3."""
    lora_alpha: float = 16.0
    """The additions are multiplied by this / rank."""
    lrs: tuple[float, ...] = (1e-4, 3e-4)
    """Learning rates of the last block to try; the best on the validation set is used."""
    head_lr: float = 3e-4
    """Learning rate of the head."""
    layer_decay: float = 0.7
    """Layer-wise learning-rate decay factor."""
    weight_decay: float = 0.05
    """Weight decay of AdamW, not applied to biases and norms."""
    warmup: float = 0.1
    """Share of steps for linear warm-up, before cosine decay."""
    label_smoothing: float = 0.1
    """Label smoothing."""
    clip_norm: float = 1.0
    """Maximum gradient norm."""
    epochs: int = 15
    """Maximum number of epochs."""
    patience: int = 5
    """Epochs without improvement in validation macro-F1 before training stops."""
    train_batch: int = 32
    """Images per optimiser step. Gradients are accumulated if they do not fit into memory."""
    views: int = 4
    """Number of augmented views of each training image, also for the frozen head."""
    augment: Augmentation = field(default_factory=Augmentation)
    """Image augmentation."""
    seeds: int = 2
    """Number of seeds per learning rate."""
    kept: Literal["float16", "bfloat16"] = "float16"
    """Storage type of activations. Use bfloat16 if they exceed 65,504."""
    checkpoint_s: float = 20.0
    """Seconds between checkpoints."""
