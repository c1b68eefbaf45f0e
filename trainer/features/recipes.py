"""Feature recipes: which outputs of an image tower make up an image's vector.

A recipe is a prefix of the next, so that one encoding serves them all::

    pooled       class token of the last layer
    cls4         … then of the third, second and first layer before it
    cls4+patch   … then the mean of the patch tokens of the last layer

All tokens pass the final layer norm of the tower, as in the linear evaluation of DINOv2 (Oquab et al. 2023),
which brings the parts to one scale. Imports torch on first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.core.config import Recipe
from trainer.core.errors import InputError

if TYPE_CHECKING:
    import torch

LAYERS = 4
# how many times the width of the tower
PARTS = {"pooled": 1, "cls4": LAYERS, "cls4+patch": LAYERS + 1}


def largest(recipes: Sequence[Recipe]) -> Recipe:
    """Return the recipe that contains the others."""
    return max(recipes, key=PARTS.__getitem__)


def prefix(vectors: np.ndarray, recipe: str, *, of: str) -> np.ndarray:
    """Return the vectors [..., D'] of a recipe from those [..., D] of one that contains it."""
    width = vectors.shape[-1] // PARTS[of] * PARTS[recipe]
    return np.ascontiguousarray(vectors[..., :width])


def concatenated(
    model: Any, inputs: dict[str, Any], *, norms: Sequence[str], patches: bool, before_patches: int
) -> torch.Tensor:
    """Return the vectors of a recipe other than "pooled", [B, D], by one forward pass.

    Args:
        model: image tower of transformers.
        norms: its modules that the class token of the last layer passes.
        patches: add the mean of the patch tokens.
        before_patches: number of tokens before the patches, registers not counted.

    Raises:
        InputError: the tower has fewer than `LAYERS` layers.
    """
    import torch

    layers = model(**inputs, output_hidden_states=True).hidden_states[1:]  # the first is of the embeddings
    if len(layers) < LAYERS:
        raise InputError(
            f"--features cls4 and cls4+patch take the last {LAYERS} layers of an encoder; this one has "
            f"{len(layers)}. Pass --features pooled."
        )

    def normed(tokens: torch.Tensor) -> torch.Tensor:
        for name in norms:
            tokens = getattr(model, name)(tokens)
        return tokens

    parts = [normed(tokens_btw[:, 0]) for tokens_btw in reversed(layers[-LAYERS:])]
    if patches:
        first = before_patches + getattr(model.config, "num_register_tokens", 0)
        parts.append(normed(layers[-1][:, first:]).mean(1))
    return torch.cat(parts, dim=1)
