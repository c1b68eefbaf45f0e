"""Which parameters a name means: whole parts of dotted names, of blocks and of what follows them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from trainer.core.errors import InputError
from trainer.features.unfreezing import LAYER_NORM, Unfreezing, Unfrozen, collapsed, unfreeze

BLOCKS = 12


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.mlp = nn.LayerNorm(2), nn.Linear(2, 2)


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pre_norm = nn.Linear(2, 2), nn.LayerNorm(2)
        self.layers = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(2)


TOWER = Tower()


def chosen(*names: str, last: int = 2) -> Unfrozen:
    return unfreeze(TOWER, list(TOWER.layers), [TOWER.norm], Unfreezing(last, names))


def blocks_of(names: tuple[str, ...]) -> set[int]:
    return {int(name.split(".")[1]) for name in names if name.startswith("layers.")}


@pytest.mark.parametrize(
    ("pattern", "blocks"),
    [
        ("layers.1", {1}),  # not 10 and 11
        ("layers.1[01]", {10, 11}),
        ("layers.(3|7)", {3, 7}),
        (r"layers.\d", set(range(10))),
        ("mlp", set(range(BLOCKS))),
        ("layers.4.mlp.bias", {4}),
    ],
)
def test_a_pattern_stands_for_whole_parts_of_a_name(pattern: str, blocks: set[int]) -> None:
    found = chosen(pattern)
    assert blocks_of(found.names) == blocks
    assert found.blocks == BLOCKS - min(blocks)


@given(numbers=st.sets(st.integers(0, BLOCKS - 1), min_size=1))
def test_several_patterns_are_joined_and_the_first_block_decides_what_is_cached(numbers: set[int]) -> None:
    found = chosen(*(f"layers.{number}" for number in numbers))
    assert blocks_of(found.names) == numbers
    assert found.blocks == BLOCKS - min(numbers)
    assert len(found.names) == 4 * len(numbers)


@given(last=st.integers(1, BLOCKS))
def test_the_last_blocks_come_with_what_follows_them(last: int) -> None:
    found = chosen(last=last)
    assert blocks_of(found.names) == set(range(BLOCKS - last, BLOCKS))
    assert found.blocks == last
    assert {"norm.weight", "norm.bias"} <= set(found.names)


def test_norms_are_found_by_what_they_are_and_those_before_the_blocks_are_named() -> None:
    found = chosen(LAYER_NORM)
    assert len(found.names) == 2 * BLOCKS + 2
    assert all("norm" in name for name in found.names)
    assert found.before == ("pre_norm.weight", "pre_norm.bias")


def test_what_follows_the_blocks_can_be_trained_alone() -> None:
    assert chosen("norm") == Unfrozen(("norm.weight", "norm.bias"), 1, ())


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("layers.12", "'layers.12' matches no parameter of this encoder"),
        ("stem", "'stem' matches only parameters before the first block"),
        ("layers.(1", "'layers.(1' is no regular expression"),
    ],
)
def test_a_name_that_means_nothing_is_refused_with_the_names_that_exist(pattern: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        chosen("mlp", pattern)
    assert said in str(refused.value)
    if "regular" not in said:
        assert "layers.N.norm1.weight (12), layers.N.norm1.bias (12)" in str(refused.value)


def test_names_that_differ_in_numbers_are_counted_and_a_long_list_is_cut() -> None:
    names = [f"layers.{i}.{part}" for i in range(3) for part in ("a", "b")] + ["norm.weight"]
    assert collapsed(names) == "layers.N.a (3), layers.N.b (3), norm.weight"
    assert collapsed(names, most=1) == "layers.N.a (3), … and 2 more"
