"""The encoder gives the model's own vectors, and refuses what would give others."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.image_files import noise
from tests.support.paths import REPO
from tests.support.tiny_clip import WIDTH
from trainer.core.errors import InputError
from trainer.features.encoder import ImageEncoder
from trainer.features.hub import resolve

IMAGES = [noise(i, height=20 + 7 * i, width=60 - 5 * i) for i in range(5)]


def _plain(folder: Path, images: list[np.ndarray]) -> np.ndarray:
    """The same by transformers alone."""
    import torch
    from transformers import CLIPVisionModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    pixels = CLIPImageProcessorPil.from_pretrained(folder)(images, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        return CLIPVisionModel.from_pretrained(folder).eval()(pixel_values=pixels).pooler_output.numpy()


def _cosine(a_nd: np.ndarray, b_nd: np.ndarray) -> np.ndarray:
    return (a_nd * b_nd).sum(1) / np.linalg.norm(a_nd, axis=1) / np.linalg.norm(b_nd, axis=1)


def test_vectors_are_those_of_the_plain_model(saved_clip: Path) -> None:
    encoder = ImageEncoder(saved_clip, device="cpu")
    vectors_nd = encoder.encode(IMAGES)
    assert vectors_nd.shape == (5, WIDTH)
    assert vectors_nd.dtype == np.float32
    assert _cosine(vectors_nd, _plain(saved_clip, IMAGES)).min() > 0.99999
    assert encoder.calls == 1


def test_a_vision_tower_saved_alone_gives_the_same_vectors(saved_clip: Path, tmp_path: Path) -> None:
    from transformers import CLIPVisionModel

    CLIPVisionModel.from_pretrained(saved_clip).save_pretrained(tmp_path)
    shutil.copy(saved_clip / "preprocessor_config.json", tmp_path)
    assert resolve(str(tmp_path)) == tmp_path
    alone, whole = (ImageEncoder(folder, device="cpu").encode(IMAGES) for folder in (tmp_path, saved_clip))
    assert np.array_equal(alone, whole)


def test_a_checkpoint_stored_in_float16_computes_in_float32(model: Path) -> None:
    import torch
    from transformers import CLIPModel

    before = ImageEncoder(model, device="cpu").encode(IMAGES)
    CLIPModel.from_pretrained(model, dtype=torch.float16).save_pretrained(model)
    after = ImageEncoder(model, device="cpu").encode(IMAGES)
    assert _cosine(before, after).min() > 0.9999
    assert not np.array_equal(after, after.astype(np.float16).astype(np.float32))


def test_bfloat16_is_close_to_float32(saved_clip: Path) -> None:
    exact, rough = (
        ImageEncoder(saved_clip, device="cpu", dtype=d).encode(IMAGES) for d in ("float32", "bfloat16")
    )
    assert rough.dtype == np.float32
    assert 0.99 < _cosine(exact, rough).min() < 1


def test_without_image_settings_the_published_ones_are_used(model: Path) -> None:
    before = ImageEncoder(model, device="cpu").encode(IMAGES)
    (model / "preprocessor_config.json").unlink()
    assert np.array_equal(ImageEncoder(model, device="cpu").encode(IMAGES), before)


def test_the_image_settings_of_the_first_published_models_are_understood(model: Path) -> None:
    before = ImageEncoder(model, device="cpu").encode(IMAGES)
    settings = json.loads((model / "preprocessor_config.json").read_text())
    old = {
        name: settings[name] for name in ("image_mean", "image_std", "resample", "do_resize", "do_normalize")
    }
    old |= {
        "feature_extractor_type": "CLIPFeatureExtractor",
        "size": 32,
        "crop_size": 32,
        "do_center_crop": True,
    }
    (model / "preprocessor_config.json").write_text(json.dumps(old))
    assert np.array_equal(ImageEncoder(model, device="cpu").encode(IMAGES), before)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (1, 3), (3, 200), (200, 3)])
def test_the_smallest_images_are_not_taken_for_channels(saved_clip: Path, height: int, width: int) -> None:
    grey = np.full((height, width, 3), [200, 100, 0], np.uint8)
    large = np.full((64, 64, 3), [200, 100, 0], np.uint8)
    small_nd, large_nd = (ImageEncoder(saved_clip, device="cpu").encode([one]) for one in (grey, large))
    assert np.allclose(small_nd, large_nd, atol=1e-4)


def test_weights_that_leave_a_layer_empty_are_refused(model: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(model / "model.safetensors")
    del weights["vision_model.encoder.layers.1.mlp.fc1.weight"]
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        InputError, match=r"1 tensors are missing, such as encoder\.layers\.1\.mlp\.fc1\.weight"
    ):
        ImageEncoder(model, device="cpu")


def test_weights_of_another_shape_are_refused(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    config["vision_config"]["intermediate_size"] = 48
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="cannot be loaded as a CLIPVisionModel"):
        ImageEncoder(model, device="cpu")


def test_torn_weights_are_refused(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be loaded"):
        ImageEncoder(model, device="cpu")


def test_an_unknown_device_is_refused(saved_clip: Path) -> None:
    with pytest.raises(InputError, match="no device 'tpu'"):
        ImageEncoder(saved_clip, device="tpu")


@pytest.mark.slow
def test_loading_is_silent(saved_clip: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path;"
        "from trainer.features.encoder import ImageEncoder;"
        "ImageEncoder(Path(sys.argv[1]), device='cpu').encode([np.zeros((9, 9, 3), np.uint8)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved_clip)], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


# --- names -------------------------------------------------------------------------------------


def test_a_model_of_another_kind_is_refused_by_its_type(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match=r"model of type 'bert'.*one of these: CLIP, SigLIP"):
        resolve(str(tmp_path))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no config\.json"):
        resolve(str(tmp_path))


@pytest.mark.parametrize("name", ["./models/none", "/nowhere/at/all", "a/b/c", "two words"])
def test_a_path_that_is_not_there_is_no_question_for_the_hub(name: str) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        resolve(name)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache; the library reads its place once, at import."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_an_id_that_cannot_be_fetched_names_the_id_and_the_cures(hub_cache: Path) -> None:
    with pytest.raises(
        InputError, match=r"'somebody/no-such-model' is neither.*save_pretrained.*HF_ENDPOINT"
    ):
        resolve("somebody/no-such-model")


def test_an_id_in_the_cache_needs_no_network_and_half_a_model_is_not_enough(
    hub_cache: Path, saved_clip: Path
) -> None:
    commit = "0" * 40
    repo = hub_cache / "models--some--clip"
    snapshot = repo / "snapshots" / commit
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    snapshot.mkdir(parents=True)
    shutil.copy(saved_clip / "config.json", snapshot)
    with pytest.raises(InputError, match="neither a local folder nor in the local cache"):
        resolve("some/clip")
    shutil.copy(saved_clip / "model.safetensors", snapshot)
    assert resolve("some/clip") == snapshot
