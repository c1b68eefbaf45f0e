"""Feature recipes: class tokens of the last layers and the mean of the patch tokens, by one forward pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.image_files import class_folders, noise
from tests.support.tiny_clip import save_tiny_clip
from tests.support.tiny_encoders import LAYERS, PATCHES, save_tiny
from trainer.core.errors import InputError
from trainer.data.demo import ENCODER as DEMO
from trainer.data.load import load
from trainer.features import recipes
from trainer.features.encoder import ImageEncoder
from trainer.features.extract import extract, with_recipe
from trainer.features.key import encoder_key
from trainer.features.settings import EncoderSettings

IMAGES = [noise(i, height=40, width=40) for i in range(3)]
FAMILIES = ("clip", "blip", "dinov2", "dinov3", "vit", "deit")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    others = {
        name: save_tiny(name, tmp_path_factory.mktemp(name)) for name in ("blip", "dinov2", "vit", "deit")
    }
    return {"clip": DEMO, "dinov3": _dinov3(tmp_path_factory.mktemp("dinov3")), **others}


def _dinov3(folder: Path) -> Path:
    import transformers as t

    t.DINOv3ViTModel(t.DINOv3ViTConfig(**PATCHES, **LAYERS, num_register_tokens=3)).save_pretrained(folder)
    settings = '{"image_processor_type": "DINOv3ViTImageProcessor", "size": {"height": 32, "width": 32}}'
    (folder / "preprocessor_config.json").write_text(settings)
    return folder


def _blocks(model: object) -> list:
    for path in ("encoder.layers", "encoder.layer", "model.layer", "layers"):
        found: object | None = model
        for name in path.split("."):
            found = getattr(found, name, None)
        if found is not None:
            return found  # type: ignore[return-value]
    raise AssertionError("no blocks")


@pytest.mark.parametrize("family", FAMILIES)
def test_each_class_token_is_the_pooled_vector_of_the_tower_without_its_last_layers(
    saved: dict[str, Path], family: str
) -> None:
    whole_nd = ImageEncoder(saved[family], device="cpu", space="cls4").encode(IMAGES)
    parts = np.split(whole_nd, recipes.LAYERS, axis=1)
    shrinking = ImageEncoder(saved[family], device="cpu")
    for part_nd in parts:
        assert np.allclose(part_nd, shrinking.encode(IMAGES), atol=1e-5)
        del _blocks(shrinking._tower._model)[-1]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_part_is_the_mean_over_the_patches_alone(saved: dict[str, Path], family: str) -> None:
    import torch

    encoder = ImageEncoder(saved[family], device="cpu", space="cls4+patch")
    all_nd = encoder.encode(IMAGES)
    cls4_nd = ImageEncoder(saved[family], device="cpu", space="cls4").encode(IMAGES)
    model, width = encoder._tower._model, cls4_nd.shape[1] // recipes.LAYERS
    pixels = torch.from_numpy(np.stack([encoder.prepare(image) for image in IMAGES])).float()
    with torch.inference_mode():
        tokens = model(pixel_values=(pixels - encoder._mean) / encoder._std).last_hidden_state
        if family in ("clip", "blip"):  # CLIP's comes before its last norm, of which BLIP has two
            tokens = model.post_layernorm(tokens)
    patches = (model.config.image_size // model.config.patch_size) ** 2
    assert np.array_equal(all_nd[:, :-width], cls4_nd)
    assert np.allclose(all_nd[:, -width:], tokens[:, -patches:].mean(1).numpy(), atol=1e-5)


def test_a_recipe_cut_from_a_larger_one_is_what_encoding_it_gives(
    saved: dict[str, Path], tmp_path: Path
) -> None:
    manifest = load(str(class_folders(tmp_path / "images", {"a": 3, "b": 3})), seed=0)
    how = {"encoder": str(saved["vit"]), "device": "cpu", "batch_size": 4, "views": 1}
    largest = EncoderSettings(cache_dir=tmp_path, space="cls4+patch", **how)  # type: ignore[arg-type]
    whole = extract(manifest, largest)
    for space, parts in recipes.PARTS.items():
        alone = extract(manifest, EncoderSettings(cache_dir=tmp_path, space=space, **how))  # type: ignore[arg-type]
        cut = with_recipe(whole, largest, space)  # type: ignore[arg-type]
        assert cut.vectors_nd.shape[1] == parts * LAYERS["hidden_size"]
        assert np.array_equal(cut.vectors_nd, alone.vectors_nd)
        assert cut.views_vnd is not None
        assert alone.views_vnd is not None
        assert np.array_equal(cut.views_vnd, alone.views_vnd)
        assert cut.report.encoder == alone.report.encoder
        assert (f", {space}, key" in alone.report.encoder) == (space != "pooled")


def test_each_recipe_has_a_key_of_its_own(saved: dict[str, Path], tmp_path: Path) -> None:
    keys = {
        encoder_key(saved["vit"], dtype="float32", cache_dir=tmp_path, space=space).digest
        for space in recipes.PARTS  # type: ignore[misc]
    }
    assert len(keys) == len(recipes.PARTS)


def test_encoders_without_class_token_or_with_too_few_layers_say_what_they_can_do(tmp_path: Path) -> None:
    for family, name in (("resnet", "ResNet"), ("siglip", "SigLIP")):
        folder = save_tiny(family, tmp_path / family)
        with pytest.raises(InputError, match=rf"A {name} has no class token.*--features pooled, or.*DINOv2"):
            encoder_key(folder, dtype="float32", cache_dir=tmp_path, space="cls4")
    two = ImageEncoder(save_tiny_clip(tmp_path / "clip"), device="cpu", space="cls4")
    with pytest.raises(InputError, match="last 4 layers of an encoder; this one has 2"):
        two.encode(IMAGES)


def test_precomputed_features_have_no_other_recipe(tmp_path: Path) -> None:
    x = np.zeros((4, 3), dtype=np.float32)
    np.savez(tmp_path / "x.npz", train_x=x, train_y=[0, 1, 0, 1], test_x=x, test_y=[0, 1, 0, 1])
    manifest = load(str(tmp_path / "x.npz"), seed=0)
    with pytest.raises(InputError, match="precomputed features, so there is nothing to compute"):
        extract(manifest, EncoderSettings(encoder="demo", cache_dir=tmp_path, space="cls4"))
