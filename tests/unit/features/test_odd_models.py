"""Model folders as people have them: each is read rightly, or refused with what it is and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.support.image_files import noise
from tests.support.tiny_encoders import save_tiny
from trainer.core.errors import InputError
from trainer.data.demo import ENCODER as DEMO
from trainer.features.aesthetic import load_aesthetic
from trainer.features.encoder import ImageEncoder, preparation_of
from trainer.features.hub import resolve
from trainer.features.key import encoder_key
from trainer.features.text_encoder import Tokens

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 605157884\n"
PAGE = "<!DOCTYPE html><html><head><title>401 Unauthorized</title></head></html>"


def _edit(path: Path, change: Callable[[dict], None]) -> None:
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


def _config(folder: Path, **changed: object) -> Path:
    _edit(folder / "config.json", lambda told: told.update(changed))
    return folder


@pytest.fixture
def siglip(tmp_path: Path) -> Path:
    return save_tiny("siglip", tmp_path / "siglip")


# --- text length -------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "usual"), [("siglip", 64), ("blip", 512)])
def test_a_text_length_that_config_json_leaves_out_is_the_usual_one(
    tmp_path: Path, family: str, usual: int
) -> None:
    folder = save_tiny(family, tmp_path / family)
    _edit(folder / "config.json", lambda told: told["text_config"].pop("max_position_embeddings"))
    assert Tokens(folder).length == usual


def test_a_clip_whose_text_part_names_only_its_type_has_texts_of_77_tokens(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEMO, tmp_path / "demo"))
    kind = json.loads((folder / "config.json").read_text())["text_config"]["model_type"]
    _config(folder, text_config={"model_type": kind})
    assert Tokens(folder).length == 77


# --- quantised ---------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["top", "vision"])
def test_a_model_that_says_it_is_quantised_is_refused_by_name(
    model: Path, tmp_path: Path, where: str
) -> None:
    told = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    if where == "top":
        _config(model, quantization_config=told)
    else:
        _edit(model / "config.json", lambda one: one["vision_config"].update(quantization_config=told))
    with pytest.raises(InputError, match=r"is quantised \(bitsandbytes.*Pass the model that it was made of"):
        ImageEncoder(model, device="cpu")
    with pytest.raises(InputError, match="quantised"):  # before anything is encoded or looked up
        encoder_key(model, dtype="float32", cache_dir=tmp_path)


@pytest.mark.parametrize("stored", [np.int8, np.uint8])
def test_whole_numbers_in_the_place_of_weights_are_refused(model: Path, stored: type) -> None:
    weights = load_file(model / "model.safetensors")
    name = "vision_model.encoder.layers.0.mlp.fc1.weight"
    weights[name] = (weights[name] * 127).astype(stored)
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=rf"quantised: {name} is stored as"):
        ImageEncoder(model, device="cpu")


def test_float8_weights_are_refused_and_whole_position_numbers_are_not(model: Path) -> None:
    import torch
    from safetensors.torch import load_file as load
    from safetensors.torch import save_file as save

    weights = load(model / "model.safetensors")
    weights["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    save(weights, model / "model.safetensors", metadata={"format": "pt"})
    assert ImageEncoder(model, device="cpu").encode([noise(0)]).shape == (1, 32)
    name = "vision_model.encoder.layers.1.mlp.fc2.weight"
    weights[name] = weights[name].to(torch.float8_e4m3fn)
    save(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="stored as F8_E4M3"):
        ImageEncoder(model, device="cpu")


# --- files that were not fetched ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocessor_config.json"])
@pytest.mark.parametrize(("text", "what"), [(POINTER, "Git LFS pointer.*git lfs pull"), (PAGE, "a web page")])
def test_what_stands_in_for_a_file_is_named(model: Path, name: str, text: str, what: str) -> None:
    (model / name).write_text(text)
    with pytest.raises(InputError, match=what):
        ImageEncoder(resolve(str(model)), device="cpu")


def test_a_pointer_in_place_of_a_tokenizer_or_a_pickle_is_named(siglip: Path, model: Path) -> None:
    (siglip / "tokenizer.json").write_text(POINTER)
    with pytest.raises(InputError, match="Git LFS pointer"):
        Tokens(siglip)
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_text(POINTER)
    with pytest.raises(InputError, match=r"pytorch_model\.bin is a Git LFS pointer"):
        ImageEncoder(model, device="cpu")


@pytest.mark.parametrize(
    ("text", "what"), [(POINTER, "Git LFS pointer"), (PAGE, "web page"), ("no", "expected|cannot be read")]
)
def test_no_message_about_a_predictor_advises_to_run_what_is_in_it(
    tmp_path: Path, text: str, what: str
) -> None:
    file = tmp_path / "head.pth"
    file.write_text(text)
    with pytest.raises(InputError, match=what) as refused:
        load_aesthetic(str(file))
    assert "weights_only" not in str(refused.value)


# --- settings that belong to another model -----------------------------------------------------


def test_image_settings_of_another_size_are_refused_on_loading(model: Path) -> None:
    _edit(
        model / "preprocessor_config.json",
        lambda told: told.update(size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}),
    )
    with pytest.raises(InputError, match=r"224 × 224 pixels, but .*a model for 32 × 32.*different models"):
        ImageEncoder(model, device="cpu")


def test_a_model_that_takes_any_size_is_not_asked_for_one(tmp_path: Path) -> None:
    folder = save_tiny("dinov2", tmp_path / "dinov2")
    _edit(
        folder / "preprocessor_config.json",
        lambda told: told.update(crop_size={"height": 48, "width": 48}, size={"shortest_edge": 56}),
    )
    assert ImageEncoder(folder, device="cpu").encode([noise(0)]).shape == (1, 32)


def test_a_size_that_config_json_leaves_out_is_the_usual_one(tmp_path: Path) -> None:
    folder = save_tiny("blip", tmp_path / "blip")
    (folder / "preprocessor_config.json").unlink()
    _edit(folder / "config.json", lambda told: told["vision_config"].pop("image_size"))
    assert preparation_of(folder).shape == (384, 384)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"resample": "bicubic"}, None),
        ({"resample": "BILINEAR"}, None),
        ({"resample": "sharp"}, "resample 'sharp'.*bicubic"),
        ({"resample": 17}, "resample 17"),
        ({"resample": [3]}, r"resample \[3\]"),
        ({"crop_size": {"height": -1, "width": 32}}, "crop_size .*-1"),
        ({"crop_size": {"height": "32", "width": 32}}, "crop_size .*'32'"),
        ({"crop_size": 10**9}, "crop_size 1000000000; expected a whole number from 1 to 4,096"),
        ({"size": {"shortest_edge": 0}}, "size .*'shortest_edge': 0"),
        ({"image_mean": [0.5, "half", 0.5]}, "'half'"),
        ({"image_std": [0.5, 0.5]}, r"image_std \[0.5, 0.5\]; expected .* 1 or 3 such"),
        ({"rescale_factor": None}, "rescale_factor None"),
        ({"rescale_factor": 0}, "rescale_factor 0"),
        ({"image_std": 0}, "image_std 0"),
        ({"do_resize": "no"}, "do_resize 'no'; expected true or false"),
    ],
)
def test_image_settings_are_understood_or_named(model: Path, changed: dict, words: str | None) -> None:
    _edit(model / "preprocessor_config.json", lambda told: told.update(changed))
    if words is None:
        assert preparation_of(model).shape == (32, 32)
        return
    with pytest.raises(InputError, match=words):
        preparation_of(model)


# --- half a model, another model ---------------------------------------------------------------


def test_the_image_half_of_a_clip_is_told_from_a_clip(saved_clip: Path, tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPVisionModelWithProjection

    half = tmp_path / "half"
    CLIPVisionModelWithProjection(CLIPConfig.from_pretrained(saved_clip).vision_config).save_pretrained(half)
    shutil.copy(saved_clip / "preprocessor_config.json", half)
    assert ImageEncoder(half, device="cpu").encode([noise(0)]).shape == (1, 32)
    with pytest.raises(InputError, match=r"only the image half of a CLIP.*Pass the whole model"):
        Tokens(half)


def test_a_blip_for_captions_is_not_taken_for_one_for_retrieval(tmp_path: Path) -> None:
    from transformers import BlipForConditionalGeneration, BlipForImageTextRetrieval

    folder = save_tiny("blip", tmp_path / "blip")
    config = BlipForImageTextRetrieval.from_pretrained(folder).config
    BlipForConditionalGeneration(config).save_pretrained(folder)
    assert ImageEncoder(folder, device="cpu").encode([noise(0)]).shape == (1, 32)
    with pytest.raises(InputError, match=r"no vision_proj.*captions.*blip-itm"):
        ImageEncoder(folder, device="cpu", space="shared")


# --- folders and files that are no saved model -------------------------------------------------


@pytest.mark.parametrize("name", ["ViT-B-32.pt", "model.safetensors", "weights.bin"])
def test_a_file_of_weights_is_told_from_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=rf"{name} is a file.*folder.*openai/clip-vit-base-patch32"):
        resolve(str(tmp_path / name))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["open_clip_config.json", "open_clip_pytorch_model.bin"], "open_clip.*laion/CLIP-ViT"),
        (["checkpoint-500/config.json", "training_args.bin"], "There is one in .*checkpoint-500: pass that"),
        (["snapshots/0123abc/config.json", "refs/main"], "There is one in .*0123abc: pass that"),
        (["0_CLIPModel/config.json", "modules.json"], "There is one in .*0_CLIPModel"),
        (["adapter_config.json", "adapter_model.safetensors"], r"adapter \(PEFT\)\. Merge"),
    ],
)
def test_a_folder_that_is_no_model_says_where_one_is(tmp_path: Path, files: list[str], words: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=words):
        resolve(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "words"),
    [("flax_model.msgpack", "Flax"), ("tf_model.h5", "TensorFlow"), ("model.fp16.safetensors", "rename it")],
)
def test_weights_of_another_format_are_named(model: Path, name: str, words: str) -> None:
    (model / "model.safetensors").rename(model / name)
    with pytest.raises(InputError, match=words):
        ImageEncoder(model, device="cpu")


def test_a_model_of_timm_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architecture": "vit_base_patch16_224"}')
    with pytest.raises(InputError, match="one of timm"):
        resolve(str(tmp_path))


def test_a_cached_model_that_is_quantised_is_named_and_not_asked_for_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    commit, repo = "0" * 40, tmp_path / "hub" / "models--some--clip"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    _config(model, quantization_config={"quant_method": "gptq"})
    shutil.copytree(model, repo / "snapshots" / commit)
    with pytest.raises(InputError, match=r"is quantised \(gptq"):
        ImageEncoder(resolve("some/clip"), device="cpu")
