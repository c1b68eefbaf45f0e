"""The key: what vectors depend on, and what they do not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from trainer.core.errors import InputError
from trainer.features.key import EncoderKey, encoder_key
from trainer.features.model_files import weight_files


def _key(model: Path, tmp_path: Path, dtype: str = "float32") -> EncoderKey:
    return encoder_key(model, dtype=dtype, cache_dir=tmp_path / "cache")


def test_the_place_of_a_model_is_no_part_of_its_key(model: Path, saved_clip: Path, tmp_path: Path) -> None:
    assert _key(model, tmp_path) == _key(saved_clip, tmp_path)


def test_other_weights_are_another_key_even_of_the_same_size_and_under_the_same_name(
    model: Path, tmp_path: Path
) -> None:
    before = _key(model, tmp_path)
    weights = model / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    os.utime(weights, ns=(0, 1))
    assert _key(model, tmp_path).digest != before.digest


def test_weights_are_hashed_once(model: Path, tmp_path: Path) -> None:
    before = _key(model, tmp_path)
    memory = tmp_path / "cache" / "weights.json"
    known = json.loads(memory.read_text())
    (name,) = known
    assert name == str((model / "model.safetensors").resolve())
    known[name][2] = "remembered"
    memory.write_text(json.dumps(known))
    assert before.fields["weights"]["model.safetensors"] != "remembered"
    assert _key(model, tmp_path).fields["weights"]["model.safetensors"] == "remembered"


def test_image_settings_and_dtype_are_part_of_the_key(model: Path, tmp_path: Path) -> None:
    keys = {_key(model, tmp_path).digest, _key(model, tmp_path, "bfloat16").digest}
    settings = model / "preprocessor_config.json"
    changed = json.loads(settings.read_text()) | {"image_mean": [0.5, 0.5, 0.5]}
    settings.write_text(json.dumps(changed))
    keys.add(_key(model, tmp_path).digest)
    settings.unlink()
    without = _key(model, tmp_path)
    keys.add(without.digest)
    assert len(keys) == 4
    assert without.fields["preprocessing_source"] == "defaults"
    assert without.fields["preprocessing"]["crop_size"] == {"height": 32, "width": 32}


def test_image_settings_are_also_found_in_a_processor_config(model: Path, tmp_path: Path) -> None:
    settings = json.loads((model / "preprocessor_config.json").read_text())
    (model / "preprocessor_config.json").unlink()
    (model / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    assert _key(model, tmp_path).fields["preprocessing"] == settings


def test_weights_in_parts_are_all_part_of_the_key_and_a_missing_part_is_named(
    model: Path, tmp_path: Path
) -> None:
    (model / "model.safetensors").rename(model / "part-1.safetensors")
    (model / "part-2.safetensors").write_bytes(b"x")
    index = {"weight_map": {"a": "part-2.safetensors", "b": "part-1.safetensors", "c": "part-1.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    assert [file.name for file in weight_files(model)] == ["part-1.safetensors", "part-2.safetensors"]
    (model / "part-2.safetensors").unlink()
    with pytest.raises(InputError, match=r"lacks part-2\.safetensors"):
        _key(model, tmp_path)


def test_a_folder_without_weights_is_refused(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").unlink()
    with pytest.raises(InputError, match="has no weights"):
        _key(model, tmp_path)


def test_an_unknown_dtype_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no dtype 'float8'.*float32, bfloat16"):
        _key(model, tmp_path, "float8")
