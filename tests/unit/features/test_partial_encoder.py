"""A tower cut before one of its last blocks gives the vectors of the whole tower, whatever its family."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.tiny_clip import save_tiny_clip
from tests.support.tiny_encoders import MODELS, PATCHES, save_tiny
from trainer.core.errors import InputError
from trainer.experiments.finetuning.tuned_encoder import save_tuned
from trainer.features.encoder import ImageEncoder, preparation_of
from trainer.features.families import FAMILIES
from trainer.features.partial_encoder import ENCODER_PARTS, FrozenFront
from trainer.features.unfreezing import LAYER_NORM, Unfreezing

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
    return FrozenFront(folder, Unfreezing(last), side=side, device="cpu", dtype="float32")


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


def named(folder: Path, *names: str, attention_only: bool = False) -> FrozenFront:
    side = preparation_of(folder).shape
    how = Unfreezing(names=names, attention_only=attention_only)
    return FrozenFront(folder, how, side=side, device="cpu", dtype="float32")


@pytest.mark.parametrize("name", NAMES)
def test_norms_alone_can_be_trained_whatever_the_family(saved: dict[str, Path], name: str) -> None:
    front = named(saved[name], LAYER_NORM)
    assert front.unfrozen.blocks == front.blocks  # every block has one
    tail = front.tail()
    learns = {tail.tower_names[mine] for mine, p in tail.named_parameters() if p.requires_grad}
    assert learns == set(front.unfrozen.names)
    assert all(p.ndim == 1 for p in tail.parameters() if p.requires_grad)
    assert len(learns) >= 4


@pytest.mark.parametrize("name", [name for name in NAMES if name != "resnet"])
def test_attention_projections_are_found_whatever_the_family(saved: dict[str, Path], name: str) -> None:
    side = preparation_of(saved[name]).shape
    how = Unfreezing(1, attention_only=True)
    front = FrozenFront(saved[name], how, side=side, device="cpu", dtype="float32")
    per_block = 2 if name == "blip" else 4  # BLIP has one layer for q, k and v
    assert len(front.unfrozen.names) == per_block
    assert all(one.endswith("proj.weight") or name == "blip" for one in front.unfrozen.names)


def test_a_tower_without_attention_is_refused_what_adds_to_it(saved: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"--lora adds to .* attention layers, and this encoder has none"):
        named(saved["resnet"], "layers", attention_only=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_tail_is_saved_as_an_ordinary_encoder(
    saved: dict[str, Path], name: str, tmp_path: Path
) -> None:
    front = front_of(saved[name], 1)
    tail = front.tail()
    with torch.no_grad():
        for parameter in tail.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        h = front(pixel_values=pixels_for(saved[name])).view(5, *front.shape)
        changed = tail(h)
    save_tuned(saved[name], tail, tmp_path / "saved")
    loaded = ImageEncoder(tmp_path / "saved", device="cpu")
    assert preparation_of(tmp_path / "saved") == preparation_of(saved[name])
    assert torch.allclose(loaded._tower(pixel_values=pixels_for(saved[name])), changed, atol=1e-5)
    before = ImageEncoder(saved[name], device="cpu")._tower(pixel_values=pixels_for(saved[name]))
    assert not torch.allclose(before, changed, atol=1e-3)


def test_every_family_can_be_cut() -> None:
    assert {family.image.part for family in FAMILIES.values()} == set(ENCODER_PARTS)
