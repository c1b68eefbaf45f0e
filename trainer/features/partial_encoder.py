"""Split an image tower into a frozen front, which runs once per image, and a trainable tail."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.features.backbone import LoadedBackbone
from trainer.features.families import family_of
from trainer.features.unfreezing import Unfreezing, unfreeze


@dataclass(frozen=True)
class AttentionNames:
    """Attribute names of a transformers block with separate layers for q, k and v."""

    attention: str
    out: str  # output projection
    norms: tuple[str, str]  # before attention, before the MLP
    scales: tuple[str, str] | None = None  # LayerScale after each


@dataclass(frozen=True)
class EncoderParts:
    """The blocks of a tower and the modules after the last block."""

    blocks: Callable[[Any], list[nn.Module]]
    after: tuple[str, ...]  # modules between the last block and the vector; trainable, too
    vector: Callable[[Any, Tensor], Tensor]  # these modules, the last block's output → [B, D]
    token: AttentionNames | None = (
        None  # the vector is made of the class token alone, so of the last block's output
    )
    # only that is needed


_PRE_NORM = AttentionNames("attention", "o_proj", ("layernorm_before", "layernorm_after"))
_CLASS_TOKEN = ("layernorm",), lambda after, h: after.layernorm(h[:, 0])
# By class of transformers. BLIP normalises twice, as in its own code. Batch norms of ResNet train their
# weights and keep their statistics.
ENCODER_PARTS = {
    "CLIPVisionModel": EncoderParts(
        lambda model: model.encoder.layers,
        ("post_layernorm",),
        lambda after, h: after.post_layernorm(h[:, 0]),
        AttentionNames("self_attn", "out_proj", ("layer_norm1", "layer_norm2")),
    ),
    "SiglipVisionModel": EncoderParts(
        lambda model: model.encoder.layers,
        ("post_layernorm", "head"),
        lambda after, h: after.head(after.post_layernorm(h)),
    ),
    "BlipVisionModel": EncoderParts(
        lambda model: model.encoder.layers,
        ("post_layernorm",),
        lambda after, h: after.post_layernorm(after.post_layernorm(h[:, 0])),
    ),
    "Dinov2Model": EncoderParts(
        lambda model: model.encoder.layer,
        *_CLASS_TOKEN,
        AttentionNames("attention", "o_proj", ("norm1", "norm2"), ("layer_scale1", "layer_scale2")),
    ),
    "DINOv3ViTModel": EncoderParts(
        lambda model: model.model.layer, ("norm",), lambda after, h: after.norm(h[:, 0])
    ),
    "ViTModel": EncoderParts(lambda model: model.layers, *_CLASS_TOKEN, _PRE_NORM),
    "DeiTModel": EncoderParts(lambda model: model.layers, *_CLASS_TOKEN, _PRE_NORM),
    "ResNetModel": EncoderParts(
        lambda model: [block for stage in model.encoder.stages for block in stage.layers],
        ("pooler",),
        lambda after, h: after.pooler(h).flatten(1),
    ),
}


class BlockInput(NamedTuple):
    """Input of a block."""

    h: Tensor  # [B, tokens, width], of a ResNet [B, channels, height, width]
    args: tuple[Any, ...]  # further arguments, the same for every image: masks, positions
    kwargs: dict[str, Any]


class _Stop(Exception):
    def __init__(self, reached: BlockInput) -> None:
        self.reached = reached


def run_to_block(model: nn.Module, block: nn.Module, pixel_values: Tensor) -> BlockInput:
    """Run the model up to ``block`` and return the input of ``block``."""

    def stop(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Stop(BlockInput(args[0], args[1:], kwargs))

    hook = block.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        model(pixel_values=pixel_values)
    except _Stop as stopped:
        return stopped.reached
    finally:
        hook.remove()
    raise AssertionError("the model never called the block")


class FrozenFront(LoadedBackbone):
    """Map images to the input of the first block that is trained, flattened: float32 [B, M].

    Attributes:
        blocks: number of blocks of the tower.
        unfrozen: the parameters to train.
        shape: shape of one image's activations.
    """

    def __init__(
        self, folder: Path, how: Unfreezing, *, side: tuple[int, int], device: str, dtype: str
    ) -> None:
        """Load the tower of the model in ``folder``.

        Args:
            how: what to train.
            side: height and width of a preprocessed image.
            device, dtype: as :class:`LoadedBackbone` takes them.

        Raises:
            InputError: unusable weights; no such device; as :func:`unfreezing.unfreeze`.
        """
        tower = family_of(folder).image
        super().__init__(folder, tower, device=device, dtype=dtype)
        self.parts = ENCODER_PARTS[tower.part]
        blocks = self.parts.blocks(self._model)
        self.blocks = len(blocks)
        self._after = {name: getattr(self._model, name) for name in self.parts.after}
        self.unfrozen = unfreeze(self._model, blocks, self._after.values(), how)
        self._last = list(blocks[-self.unfrozen.blocks :])
        self._vector = lambda model, inputs: run_to_block(model, self._last[0], **inputs).h.flatten(1)
        with torch.no_grad():
            self._reached = run_to_block(
                self._model, self._last[0], torch.zeros(1, 3, *side, device=self.device)
            )
        self.shape = tuple(self._reached.h.shape[1:])

    def tail(self) -> TrainableTail:
        """Return a copy of the rest of the tower in which the unfrozen parameters require gradients."""
        rest = TrainableTail(
            self._last, self._after, self.parts, args=self._reached.args, kwargs=self._reached.kwargs
        )
        name_of = {id(parameter): name for name, parameter in self._model.named_parameters()}
        rest.tower_names = {mine: name_of[id(parameter)] for mine, parameter in rest.named_parameters()}
        tail = copy.deepcopy(rest).eval()
        for mine, parameter in tail.named_parameters():
            parameter.requires_grad_(tail.tower_names[mine] in self.unfrozen.names)
        return tail


class TrainableTail(nn.Module):
    """The last blocks of a tower and the modules after them; maps activations to vectors.

    It stays in evaluation mode: no dropout, fixed batch norm statistics.

    Attributes:
        tower_names: the name in the tower of each parameter, by its name here.
    """

    def __init__(
        self,
        blocks: list[nn.Module],
        after: dict[str, nn.Module],
        parts: EncoderParts,
        *,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        super().__init__()
        self.blocks, self.after = nn.ModuleList(blocks), nn.ModuleDict(after)
        self._parts, self._args, self._kwargs = parts, args, kwargs
        self.tower_names: dict[str, str] = {}

    def tower_parameters(self) -> dict[str, Tensor]:
        """Return the values of the parameters by their names in the tower; of one with a parametrisation its
        result."""
        found = {}
        for mine, name in self.tower_names.items():
            module, _, parameter = mine.rpartition(".")
            found[name] = getattr(self.get_submodule(module), parameter).detach()
        return found

    def forward(self, h: Tensor) -> Tensor:
        """[B, tokens, width] (of a ResNet [B, channels, height, width]) → [B, D]."""
        *earlier, last = self.blocks
        for block in earlier:
            h = block(h, *self._args, **self._kwargs)
        if self._parts.token is None:
            h = last(h, *self._args, **self._kwargs)
        else:
            h = class_token_output(last, h, self._parts.token)
        return self._parts.vector(self.after, h)


def class_token_output(block: Any, h_btw: Tensor, names: AttentionNames) -> Tensor:
    """Return the output of a block for the class token only, [B, 1, W]: equal, at a sixth of the cost.

    Keys and values are computed for all tokens; query, output projection and MLP for one.
    """
    attention, norms = getattr(block, names.attention), [getattr(block, name) for name in names.norms]
    scale = [getattr(block, name) for name in names.scales] if names.scales else [nn.Identity()] * 2
    x_btw = norms[0](h_btw)

    def per_head(projected: Tensor) -> Tensor:
        return projected.unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)

    drawn = F.scaled_dot_product_attention(
        per_head(attention.q_proj(x_btw[:, :1])),
        per_head(attention.k_proj(x_btw)),
        per_head(attention.v_proj(x_btw)),
    )
    drawn = getattr(attention, names.out)(drawn.transpose(1, 2).flatten(2))
    h = h_btw[:, :1] + scale[0](drawn)
    return h + scale[1](block.mlp(norms[1](h)))
