"""Choose the parameters of an encoder that are trained: by blocks, by name, or its norms."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from trainer.core.errors import InputError

LAYER_NORM = "layer-norm"  # in place of a name: every norm
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


@dataclass(frozen=True)
class Unfreezing:
    """What to train: the last blocks and what follows them, or parameters by name.

    Attributes:
        last: number of last blocks; used where there are no ``names``.
        names: regular expressions for whole parts of a dotted name (``layers.1`` is not ``layers.10``), or
            `LAYER_NORM`; () for the last blocks.
        attention_only: keep only the projections of the blocks' attention, to which LoRA adds.
    """

    last: int = 2
    names: tuple[str, ...] = ()
    attention_only: bool = False


class Unfrozen(NamedTuple):
    """What an :class:`Unfreezing` comes to for an encoder."""

    names: tuple[str, ...]  # of parameters
    blocks: int  # from the first block with one of them to the last block; at least 1
    before: tuple[str, ...]  # that were named and stay frozen, because they come before the first block


def unfreeze(
    model: nn.Module, blocks: Sequence[nn.Module], after: Iterable[nn.Module], how: Unfreezing
) -> Unfrozen:
    """Return the parameters to train.

    Args:
        model: the whole tower.
        blocks: its blocks in their order.
        after: the modules after them, which can be trained, too.

    Raises:
        InputError: the tower has fewer blocks; a name is no regular expression or matches nothing that can be
            trained.
    """
    number_of = {id(p): number for number, block in enumerate(blocks) for p in block.parameters()}
    number_of |= {id(p): len(blocks) for module in after for p in module.parameters()}
    placed = {name: number_of[id(p)] for name, p in model.named_parameters() if id(p) in number_of}
    if how.names:
        chosen = _matching(model, how.names, list(placed))
    else:
        if not 1 <= how.last <= len(blocks):
            raise InputError(
                f"--unfreeze-last is {how.last}; this encoder has {len(blocks)} blocks, so it must be "
                f"between 1 and {len(blocks)}."
            )
        chosen = {name for name, number in placed.items() if number >= len(blocks) - how.last}
    everything = (name for name, _ in model.named_parameters())
    before = tuple(name for name in everything if name in chosen and name not in placed)
    if how.attention_only:
        in_blocks = {name for name, number in placed.items() if number < len(blocks)}
        chosen = _attention_only(model, chosen, in_blocks)
    names = tuple(name for name in placed if name in chosen)
    first = min(placed[name] for name in names)
    return Unfrozen(names, max(1, len(blocks) - first), () if how.attention_only else before)


def collapsed(names: Iterable[str], *, most: int = 0) -> str:
    """Return names in words, those that differ in their numbers as one: ``layers.N.norm.weight (6)``.

    Args:
        most: how many are named before the rest is counted; 0: all.
    """
    names = list(names)
    groups = Counter(_NUMBER.sub("N", name) for name in names)
    one = {_NUMBER.sub("N", name): name for name in names}
    shown = [f"{group} ({count})" if count > 1 else one[group] for group, count in groups.items()]
    if most and len(shown) > most:
        shown = [*shown[:most], f"… and {len(shown) - most} more"]
    return ", ".join(shown)


def _matching(model: nn.Module, wanted: Sequence[str], able: Sequence[str]) -> set[str]:
    """Return the parameters that are wanted by name, also those before the first block."""
    everything = [name for name, _ in model.named_parameters()]
    chosen: set[str] = set()
    for one in wanted:
        if one == LAYER_NORM:
            found = {name for name in everything if _is_norm(model.get_submodule(name.rpartition(".")[0]))}
        else:
            found = {name for name in everything if _pattern(one).search(name)}
        if not found & set(able):
            where = "only parameters before the first block" if found else "no parameter"
            raise InputError(
                f"--unfreeze {one!r} matches {where} of this encoder. These can be trained, where N is a "
                f"number: {collapsed(able)}."
            )
        chosen |= found
    return chosen


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(rf"(?:^|\.)(?:{text})(?:\.|$)")
    except re.error as error:
        raise InputError(
            f"--unfreeze {text!r} is no regular expression: {error}. An example: 'layers.1[01]'."
        ) from error


def _is_norm(module: nn.Module) -> bool:
    return "Norm" in type(module).__name__  # LayerNorm, BatchNorm2d, and the variants of transformers


def _attention_only(model: nn.Module, chosen: set[str], in_blocks: set[str]) -> set[str]:
    """Return those of the chosen weights that are projections of an attention in a block."""
    projections = {
        f"{outer}.{inner}.weight"
        for outer, module in model.named_modules()
        if "Attention" in type(module).__name__
        for inner, layer in module.named_modules()
        if isinstance(layer, nn.Linear)
    } & in_blocks
    if not projections:
        raise InputError(
            "--lora adds to the projections of attention layers, and this encoder has none. Leave it out, or "
            "pass another encoder."
        )
    if not projections & chosen:
        raise InputError(
            "--lora adds to the projections of attention layers, and --unfreeze matches none of them. They "
            f"are, where N is a number: {collapsed(sorted(projections))}."
        )
    return projections & chosen
