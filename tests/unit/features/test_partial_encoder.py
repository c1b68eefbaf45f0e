"""A tower cut before one of its last blocks gives the vectors of the whole tower, whatever its family."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.tiny_clip import save_tiny_clip
from tests.support.tiny_encoders import MODELS, PATCHES, save_tiny
from trainer.core.errors import InputError
from trainer.features.encoder import ImageEncoder, preparation_of
from trainer.features.families import FAMILIES
from trainer.features.partial_encoder import ENCODER_PARTS, FrozenFront

NAMES = ["clip", "dinov3", *MODELS]


def save_tiny_dinov3(folder: Path) -> Path:
    from transformers import DINOv3ViTConfig, DINOv3ViTModel
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    torch.manual_seed(0)
    layers = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    DINOv3ViTModel(DINOv3ViTConfig(**PATCHES, **layers)).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    special = {"clip": save_tiny_clip, "dinov3": save_tiny_dinov3}
    return {
        name: special[name](tmp_path_factory.mktemp(name))
        if name in special
        else save_tiny(name, tmp_path_factory.mktemp(name))
        for name in NAMES
    }


def front_of(folder: Path, last: int) -> FrozenFront:
    side = preparation_of(folder).shape
    return FrozenFront(folder, unfreeze_last=last, side=side, device="cpu", dtype="float32")


def pixels_for(folder: Path) -> torch.Tensor:
    return torch.randn(5, 3, *preparation_of(folder).shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("last", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_front_and_tail_together_are_the_tower(saved: dict[str, Path], name: str, last: int) -> None:
    whole = ImageEncoder(saved[name], device="cpu")._tower(pixel_values=pixels_for(saved[name]))
    front = front_of(saved[name], last)
    h = front(pixel_values=pixels_for(saved[name])).view(5, *front.shape)
    with torch.no_grad():
        assert torch.allclose(front.tail()(h), whole, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_everything_behind_the_cut_learns(saved: dict[str, Path], name: str) -> None:
    front = front_of(saved[name], 1)
    tail, h = front.tail(), front(pixel_values=pixels_for(saved[name])).clone().view(5, *front.shape)
    (tail(h) * torch.randn(tail(h).shape[1])).sum().backward()
    still = [part for part, p in tail.named_parameters() if p.grad is None]
    assert not still
    assert not any(module.training for module in tail.modules())


def test_the_front_stays_as_it_was_when_a_tail_learns(saved: dict[str, Path]) -> None:
    front = front_of(saved["clip"], 1)
    first, second = front.tail(), front.tail()
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(1)
    h = torch.randn(2, *front.shape)
    assert not torch.equal(first(h), second(h))
    assert torch.equal(second(h), front.tail()(h))


@pytest.mark.parametrize("last", [0, 3])
def test_a_tower_with_fewer_blocks_is_told_by_the_flag(saved: dict[str, Path], last: int) -> None:
    with pytest.raises(InputError, match=rf"--unfreeze-last is {last}; .* between 1 and 2"):
        front_of(saved["clip"], last)


def test_every_family_can_be_cut() -> None:
    assert {family.image.part for family in FAMILIES.values()} == set(ENCODER_PARTS)
