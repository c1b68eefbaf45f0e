"""Every family of encoders gives the vectors that transformers gives, from its own processor's images."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.image_files import noise
from tests.support.tiny_encoders import MODELS, save_tiny
from trainer.core.errors import InputError
from trainer.data.demo import ENCODER as DEMO
from trainer.features.encoder import ImageEncoder
from trainer.features.families import FAMILIES, family_of
from trainer.features.key import encoder_key
from trainer.features.model_files import image_settings
from trainer.features.preprocessing import KINDS, preparation
from trainer.features.text_encoder import TextEncoder

IMAGES = [
    noise(i, height=h, width=w) for i, (h, w) in enumerate([(20, 60), (64, 64), (90, 31), (7, 7), (200, 150)])
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save_tiny(name, tmp_path_factory.mktemp(name)) for name in MODELS}


def _processor(kind: str, **options: object):
    module = importlib.import_module(
        f"transformers.models.{kind.lower()}.image_processing_pil_{kind.lower()}"
    )
    return getattr(module, f"{kind}ImageProcessorPil")(**options)


def _plain(folder: Path) -> np.ndarray:
    """What the model's own classes make of the images."""
    import torch
    import transformers

    kind = json.loads((folder / "preprocessor_config.json").read_text())["image_processor_type"]
    family = family_of(folder)
    processor = _processor(kind.removesuffix("Pil").removesuffix("ImageProcessor"))
    processor = type(processor).from_pretrained(folder)
    pixels = processor(IMAGES, input_data_format="channels_last", return_tensors="pt")["pixel_values"]
    whole = getattr(transformers, json.loads((folder / "config.json").read_text())["architectures"][0])
    model = whole.from_pretrained(folder).eval()
    tower = next(
        (getattr(model, name) for name in ("vision_model", "vit", "deit", "resnet") if hasattr(model, name)),
        model,
    )
    with torch.inference_mode():
        output = tower(pixel_values=pixels)
    if family.name in ("ViT", "DeiT"):
        return output.last_hidden_state[:, 0].numpy()
    return output.pooler_output.flatten(1).numpy()


@pytest.mark.parametrize("name", MODELS)
def test_vectors_are_those_of_the_plain_model(saved: dict[str, Path], name: str) -> None:
    encoder = ImageEncoder(saved[name], device="cpu")
    assert np.allclose(encoder.encode(IMAGES), _plain(saved[name]), atol=1e-5)
    assert encoder.family is FAMILIES[name]


def test_each_family_has_a_key_of_its_own_that_says_how_it_pools(
    saved: dict[str, Path], tmp_path: Path
) -> None:
    keys = [encoder_key(folder, dtype="float32", cache_dir=tmp_path) for folder in saved.values()]
    assert len({key.digest for key in keys}) == len(saved)
    assert all(
        FAMILIES[name].image.vector in key.fields["pooling"] for name, key in zip(saved, keys, strict=True)
    )
    shared = encoder_key(saved["blip"], dtype="float32", cache_dir=tmp_path, space="shared")
    assert shared.digest not in {key.digest for key in keys}


TEXTS = ["a cat on a red mat", "dog", "", "a dog on a cat on a dog on a cat on a dog on a cat on a mat"]


def test_texts_and_images_of_a_clip_meet_where_the_whole_model_puts_them() -> None:
    import torch
    from transformers import CLIPModel, CLIPTokenizer

    clip = CLIPModel.from_pretrained(DEMO, dtype=torch.float32).eval()
    tokens = CLIPTokenizer.from_pretrained(DEMO)(
        TEXTS, padding=True, truncation=True, max_length=24, return_tensors="pt"
    )
    image = ImageEncoder(DEMO, device="cpu", space="shared")
    pixels = (np.stack([image.prepare(one) for one in IMAGES]) / 127.5 - 1).astype(np.float32)
    with torch.inference_mode():
        whole = clip(**tokens, pixel_values=torch.from_numpy(pixels))
    text_be = TextEncoder(DEMO, device="cpu").encode(TEXTS)
    assert np.allclose(_unit(text_be), whole.text_embeds.numpy(), atol=1e-5)
    assert np.allclose(_unit(image.encode(IMAGES)), whole.image_embeds.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["siglip", "blip"])
def test_texts_and_images_meet_where_the_whole_model_puts_them(saved: dict[str, Path], name: str) -> None:
    import torch
    import transformers

    folder = saved[name]
    whole = getattr(transformers, json.loads((folder / "config.json").read_text())["architectures"][0])
    model = whole.from_pretrained(folder).eval()
    padding = {"siglip": "max_length", "blip": True}[name]
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        TEXTS[:3], padding=padding, truncation=True, max_length=16, return_tensors="pt"
    )
    image = ImageEncoder(folder, device="cpu", space="shared")
    pixels = np.stack([image.prepare(one) for one in IMAGES[:3]])
    scaled = (torch.from_numpy(pixels).float() - image._mean) / image._std
    with torch.inference_mode():
        if name == "siglip":
            output = model(input_ids=tokens["input_ids"], pixel_values=scaled)
            text, seen = output.text_embeds, output.image_embeds
        else:
            score = model(
                tokens["input_ids"], scaled, attention_mask=tokens["attention_mask"], use_itm_head=False
            )[0]
            text = seen = None
    text_be = TextEncoder(folder, device="cpu").encode(TEXTS[:3])
    image_be = image.encode(IMAGES[:3])
    if name == "siglip":
        assert np.allclose(_unit(text_be), text.numpy(), atol=1e-5)
        assert np.allclose(_unit(image_be), seen.numpy(), atol=1e-5)
    else:
        assert np.allclose(_unit(image_be) @ _unit(text_be).T, score.numpy(), atol=1e-5)


def test_a_text_that_does_not_fit_is_cut_and_says_so() -> None:
    encoder = TextEncoder(DEMO, device="cpu")
    long = "cat " * 100
    texts = ["a cat", long, long + "and a dog"]
    assert encoder.tokens.is_truncated(texts).tolist() == [False, True, True]
    vectors_be = encoder.encode(texts)
    assert np.allclose(vectors_be[1], vectors_be[2], atol=1e-6)


def test_without_a_text_tower_there_is_no_shared_space(saved: dict[str, Path]) -> None:
    for make in (lambda: TextEncoder(saved["vit"]), lambda: ImageEncoder(saved["vit"], space="shared")):
        with pytest.raises(InputError, match=r"A ViT has no text tower.*CLIP, SigLIP, BLIP"):
            make()


def test_a_tokenizer_that_is_not_there_is_asked_for(saved_clip: Path) -> None:
    with pytest.raises(InputError, match="no tokenizer"):
        TextEncoder(saved_clip, device="cpu")


def _unit(vectors_nd: np.ndarray) -> np.ndarray:
    return vectors_nd / np.linalg.norm(vectors_nd, axis=1, keepdims=True)


def test_settings_that_name_no_processor_mean_the_usual_one_of_the_family(saved: dict[str, Path]) -> None:
    for name, folder in saved.items():
        told = image_settings(folder)[0]
        silent = {key: value for key, value in told.items() if key != "image_processor_type"}
        kind = FAMILIES[name].processor
        assert preparation(silent, kind=kind) == preparation(told, kind="CLIP"), name


def test_a_model_of_another_kind_is_refused_and_the_known_ones_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "siglip2"}')
    with pytest.raises(InputError, match=r"type 'siglip2'.*CLIP, SigLIP, BLIP, DINOv2.*fixed resolution"):
        family_of(tmp_path)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"image_processor_type": "FlavaImageProcessor"}, "'FlavaImageProcessor', which is not supported"),
        ({"image_processor_type": "CLIPImageProcessor", "do_center_crop": False}, "another size"),
        ({"image_processor_type": "ViTImageProcessor", "size": {"longest_edge": 9}}, "longest_edge"),
    ],
)
def test_settings_that_cannot_be_followed_are_refused(told: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        preparation(told, kind="CLIP")


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from([kind for kind in KINDS if kind != "DINOv3ViT"]),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    side=st.integers(8, 48),
    crop=st.integers(8, 48),
    seed=st.integers(0, 9),
)
def test_pixels_are_those_of_the_processor_for_any_shape(
    kind: str, height: int, width: int, side: int, crop: int, seed: int
) -> None:
    usual = KINDS[kind]
    options: dict[str, object] = {
        "size": {"height": side, "width": side} if usual.square else {"shortest_edge": side}
    }
    if usual.crop:
        options["crop_size"] = {"height": crop, "width": crop}
    processor = _processor(kind, **options)
    picture = noise(seed, height=height, width=width)
    theirs = processor(picture, input_data_format="channels_last", return_tensors="np")["pixel_values"][0]
    ours = preparation(processor.to_dict(), kind="CLIP")
    mean, std = (np.array(value, np.float32).reshape(3, 1, 1) for value in (ours.mean, ours.std))
    assert np.allclose((ours.pixels(picture).astype(np.float32) - mean) / std, theirs, atol=1e-5)


def test_a_dinov3_is_read_by_the_numbers_in_its_settings(tmp_path: Path) -> None:
    """Its own processor needs torchvision, so the pixels here are those of :func:`preparation`."""
    import torch
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    torch.manual_seed(0)
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = DINOv3ViTModel(DINOv3ViTConfig(image_size=32, patch_size=8, **layers)).eval()
    model.save_pretrained(tmp_path)
    settings = {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 32, "width": 32}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    encoder = ImageEncoder(tmp_path, device="cpu")
    pixels = np.stack([encoder.prepare(one) for one in IMAGES]) / 255.0
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    scaled = (pixels - mean.reshape(3, 1, 1)) / std.reshape(3, 1, 1)
    with torch.inference_mode():
        expected = model(pixel_values=torch.from_numpy(scaled.astype(np.float32))).pooler_output
    assert encoder.family is FAMILIES["dinov3_vit"]
    assert np.allclose(encoder.encode(IMAGES), expected.numpy(), atol=1e-5)
