"""Whatever the files of a model folder say: it encodes finite vectors, or is refused with a sentence."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from tests.support.image_files import noise
from tests.support.tiny_encoders import save_tiny
from trainer.core.errors import InputError
from trainer.data.demo import ENCODER as DEMO
from trainer.features.encoder import ImageEncoder
from trainer.features.families import FAMILIES
from trainer.features.hub import resolve
from trainer.features.model_schema import PARTS, settings_of
from trainer.features.text_encoder import TextEncoder, Tokens

MOST_GROWTH = 300 << 10  # KiB of memory that a refused model may take
FILES = ("config.json", "preprocessor_config.json")
UGLY = (
    *(None, True, False, 0, -1, 3, 1000, 10**6, 10**9, 10**30, 0.5, -0.5, 1e308, float("nan"), float("inf")),
    *("8", "", "x", "\x1b[2J", [], [1], [0, 0], [None], [[]], {}, {"a": 1}, {"height": -1, "width": 10**9}),
)
MARKER = "code-ran"


def encode(folder: Path) -> np.ndarray:
    return ImageEncoder(resolve(str(folder)), device="cpu").encode([noise(0), noise(1)])


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside."""
    if at:
        yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in inside:
        yield from places(inner, (*at, name))


def changed(folder: Path, name: str, place: tuple[Any, ...], value: Any) -> None:
    told = json.loads((folder / name).read_text())
    inner = told
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = copy.deepcopy(value)
    (folder / name).write_text(json.dumps(told))


def config(folder: Path, place: str, value: Any) -> Path:
    changed(folder, "config.json", tuple(place.split(".")), value)
    return folder


# --- any value -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def originals(saved_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    made = tmp_path_factory.mktemp("families")
    return [saved_clip, *(save_tiny(family, made / family) for family in ("dinov2", "resnet", "siglip"))]


def _is_refused_or_encodes(original: Path, folder: Path, name: str, place: tuple, value: Any) -> None:
    for file in FILES:
        shutil.copyfile(original / file, folder / file)
    if not (folder / "model.safetensors").exists():
        (folder / "model.safetensors").symlink_to(original / "model.safetensors")
    changed(folder, name, place, value)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        vectors_nd = encode(folder)
    except InputError:
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH
    else:
        assert vectors_nd.shape[0] == 2
        assert np.isfinite(vectors_nd).all()


def _check_any_value(data: st.DataObject, originals: list[Path], tmp_path: Path) -> None:
    original = data.draw(st.sampled_from(originals))
    name = data.draw(st.sampled_from(FILES))
    place = data.draw(st.sampled_from(list(places(json.loads((original / name).read_text())))))
    value = data.draw(st.sampled_from(UGLY) | st.integers() | st.floats() | st.text(max_size=5))
    folder = tmp_path / original.name
    folder.mkdir(exist_ok=True)
    _is_refused_or_encodes(original, folder, name, place, value)


UNHURRIED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=60, suppress_health_check=UNHURRIED)
@given(data=st.data())
def test_a_model_with_any_setting_is_refused_or_encodes(
    data: st.DataObject, originals: list[Path], tmp_path: Path
) -> None:
    _check_any_value(data, originals, tmp_path)


@pytest.mark.slow
@settings(max_examples=2000, suppress_health_check=UNHURRIED)
@given(data=st.data())
def test_2000_models_with_any_setting_are_refused_or_encode(
    data: st.DataObject, originals: list[Path], tmp_path: Path
) -> None:
    _check_any_value(data, originals, tmp_path)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("vision_config.hidden_size", "32", "vision_config.hidden_size '32'; expected a whole number from 1"),
        ("vision_config.num_hidden_layers", 10**9, "num_hidden_layers 1000000000; expected .* 1 to 200"),
        ("vision_config.num_attention_heads", -1, "num_attention_heads -1; expected a whole number"),
        ("vision_config.num_attention_heads", 3, r"hidden size \(32\) is not a multiple .* heads \(3\)"),
        ("vision_config.layer_norm_eps", float("nan"), "layer_norm_eps nan; expected a number from"),
        ("vision_config.layer_norm_eps", -0.5, "layer_norm_eps -0.5"),
        ("vision_config.hidden_act", "wiggle", "hidden_act 'wiggle'; expected one of gelu"),
        ("vision_config.patch_size", [], r"patch_size \[\]; expected .* 2 such values"),
        ("vision_config", [1], r"vision_config \[1\]; expected an object"),
        ("model_type", ["clip"], "is a model of type .'clip'."),
    ],
)
def test_a_refusal_names_file_setting_value_and_what_was_expected(
    model: Path, place: str, value: Any, words: str
) -> None:
    with pytest.raises(InputError, match=words) as refused:
        encode(config(model, place, value))
    assert str(model) in str(refused.value)


@pytest.mark.parametrize(
    ("place", "value"),
    [("intermediate_size", 10**6), ("intermediate_size", 10**5), ("num_hidden_layers", 100)],
)
def test_sizes_that_the_weights_cannot_hold_are_refused_before_memory_is_taken(
    model: Path, place: str, value: int
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"describes [\d,]+ weights, which take at least"):
        encode(config(model, f"vision_config.{place}", value))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH


@pytest.mark.parametrize("family", ["clip", "siglip", "vit", "dinov2"])
def test_fewer_layers_than_the_weights_have_are_refused(
    tmp_path: Path, family: str, saved_clip: Path
) -> None:
    folder = tmp_path / family
    if family == "clip":
        shutil.copytree(saved_clip, folder)
    else:
        save_tiny(family, folder)
    inside = "" if family in ("vit", "dinov2") else "vision_config."
    with pytest.raises(InputError, match=r"more layers than its config.json describes"):
        encode(config(folder, f"{inside}num_hidden_layers", 1))


@pytest.mark.parametrize(
    "text", ["[" * 50_000, '{"a":' * 5000 + "1" + "}" * 5000, '{"a":' * 500 + "1" + "}" * 500, "[]", "\x00"]
)
@pytest.mark.parametrize("name", FILES)
def test_json_that_is_deep_or_no_object_is_refused(model: Path, name: str, text: str) -> None:
    (model / name).write_text(text)
    with pytest.raises(InputError, match=rf"{name} (cannot be read as JSON|holds no JSON)"):
        encode(model)


def test_the_table_has_every_setting_of_the_families_that_vectors_depend_on() -> None:
    from transformers import CONFIG_MAPPING, PreTrainedConfig

    common = {one.name for one in dataclasses.fields(PreTrainedConfig)}
    of_training = {  # start values, losses, generation
        *("initializer_range", "initializer_factor", "logit_scale_init_value", "layerscale_value"),
        *("label_smoothing", "use_cache"),
    }
    of_other_heads = {  # parts that are not loaded
        *("_out_features", "_out_indices", "apply_layernorm", "reshape_hidden_states", "encoder_stride"),
        *("pooler_output_size", "pooler_act"),
    }
    told: set[str] = set()
    for kind in FAMILIES:
        whole = CONFIG_MAPPING[kind]()
        for one in (whole, *(getattr(whole, part) for part in PARTS if hasattr(whole, part))):
            told |= {field.name for field in dataclasses.fields(one)} - common - set(PARTS)
    missing = told - of_training - of_other_heads - set(settings_of(dict.fromkeys(told, 1)))
    assert missing == set()


# --- weights -------------------------------------------------------------------------------------


def test_weights_that_are_not_numbers_are_refused_at_the_first_batch(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    weights["vision_model.post_layernorm.weight"][:] = np.nan
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        InputError, match="cannot compute with its weights and settings: all vectors hold NaN"
    ):
        encode(model)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 5000, -1])
def test_a_truncated_file_of_weights_is_refused(model: Path, keep: int) -> None:
    read = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(read[:keep])
    with pytest.raises(InputError, match=r"cannot be loaded|which take at least"):
        encode(model)


def test_a_header_of_weights_that_is_deep_or_claims_any_length_is_refused(model: Path) -> None:
    deep = b'{"a":' * 20_000
    for head in (len(deep).to_bytes(8, "little") + deep, (2**63).to_bytes(8, "little"), b"\xff" * 64):
        (model / "model.safetensors").write_bytes(head)
        with pytest.raises(InputError, match=r"cannot be loaded|which take at least"):
            encode(model)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"a": "../outside.safetensors"}, r"'\.\./outside.safetensors'; expected the name of a .safetensors"),
        ({"a": "/etc/passwd"}, "file of a '/etc/passwd'"),
        ({"a": "pickle.bin"}, "file of a 'pickle.bin'"),
        ({"a": 5}, "file of a 5"),
        ({"a": "absent.safetensors"}, "lacks absent.safetensors"),
        ([], r"weight_map \[\]; expected an object"),
        (None, "weight_map None"),
    ],
)
def test_an_index_names_files_beside_it_or_is_refused(model: Path, told: Any, words: str) -> None:
    (model / "model.safetensors").rename(model.parent / "outside.safetensors")
    (model / "pickle.bin").write_bytes(_evil(model))
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": told}))
    with pytest.raises(InputError, match=words):
        encode(model)
    assert not (model / MARKER).exists()


# --- code ----------------------------------------------------------------------------------------


class _Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def _evil(folder: Path) -> bytes:
    return pickle.dumps({"weight": _Evil(folder / MARKER)})


@pytest.fixture
def coded(model: Path) -> Path:
    """A model with a Python file beside it that leaves a marker when it is run."""
    for tokenizer in DEMO.glob("tokenizer*"):
        shutil.copy(tokenizer, model)
    text = f"open({str(model / MARKER)!r}, 'w')\nclass Evil: pass\n"
    for name in ("evil.py", "modeling_clip.py", "tokenization_clip.py", "configuration_clip.py"):
        (model / name).write_text(text)
    return model


def test_the_pickle_in_this_file_would_run(tmp_path: Path) -> None:
    pickle.loads(_evil(tmp_path))
    assert (tmp_path / MARKER).exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_no_pickle_in_a_folder_is_run(coded: Path, name: str) -> None:
    (coded / "model.safetensors").unlink()
    (coded / name).write_bytes(_evil(coded))
    for other in ("training_args.bin", "optimizer.pt"):
        (coded / other).write_bytes(_evil(coded))
    with pytest.raises(InputError, match=r"cannot be loaded|which take at least"):
        encode(coded)
    assert not (coded / MARKER).exists()


@pytest.mark.parametrize(
    "told", [{"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"}, "evil.Evil", ["evil"]]
)
@pytest.mark.parametrize("kind", ["clip", "evil", None])
def test_a_model_with_its_own_code_is_refused_by_name_and_not_run(coded: Path, told: Any, kind: Any) -> None:
    changed(coded, "config.json", ("auto_map",), told)
    config(coded, "model_type", kind)
    config(coded, "trust_remote_code", True)
    with pytest.raises(InputError, match=r"config.json has an auto_map \(evil.*runs no code"):
        resolve(str(coded))
    assert not (coded / MARKER).exists()


def test_an_image_processor_with_its_own_code_is_refused_by_name(coded: Path) -> None:
    changed(coded, "preprocessor_config.json", ("auto_map",), {"AutoImageProcessor": "evil.Evil"})
    with pytest.raises(InputError, match=r"preprocessor_config.json has an auto_map \(evil.Evil\)"):
        encode(coded)
    assert not (coded / MARKER).exists()


def test_a_tokenizer_with_its_own_code_is_refused_by_name_and_not_run(coded: Path) -> None:
    changed(coded, "tokenizer_config.json", ("auto_map",), {"AutoTokenizer": ["evil.Evil", None]})
    with pytest.raises(InputError, match=r"tokenizer_config.json has an auto_map"):
        Tokens(coded)
    changed(coded, "tokenizer_config.json", ("auto_map",), None)
    changed(coded, "tokenizer_config.json", ("tokenizer_class",), "evil.Evil")
    with pytest.raises(InputError, match=r"tokenizer in .* cannot be used"):
        Tokens(coded)
    assert not (coded / MARKER).exists()


@pytest.mark.parametrize(
    "told",
    [
        {"transformers_weights": "../outside.safetensors"},
        {"attn_implementation": "kernels-community/evil", "_attn_implementation": "kernels-community/evil"},
        {"return_dict": False, "output_hidden_states": "yes", "chunk_size_feed_forward": -1},
        {"dtype": "evil", "torch_dtype": [], "id2label": {"x": 1}, "per_layer_config": {"0": {"a": 1}}},
        {
            "extra_files": ["../x"],
            "trust_remote_code": True,
            "custom_pipelines": {"a": {"impl": "evil.Evil"}},
        },
    ],
)
def test_settings_outside_of_the_table_never_reach_transformers(
    coded: Path, saved_clip: Path, told: Any
) -> None:
    for name, value in told.items():
        config(coded, name, value)
        config(coded, f"vision_config.{name}", value)
    assert np.array_equal(encode(coded), encode(saved_clip))
    assert not (coded / MARKER).exists()


# --- texts ---------------------------------------------------------------------------------------

TOKENS = ("tokenizer_config.json", "config.json")


@pytest.mark.parametrize(
    ("name", "value"), [("model_max_length", "8"), ("tokenizer_class", [1]), ("pad_token", 10**9)]
)
def test_a_tokenizer_with_an_ugly_setting_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    folder = Path(shutil.copytree(DEMO, tmp_path / "demo"))
    changed(folder, "tokenizer_config.json", (name,), value)
    with pytest.raises(InputError, match=r"tokenizer in .* cannot be used"):
        Tokens(folder)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=UNHURRIED)
@given(data=st.data())
@example(data=None)
def test_a_tokenizer_with_any_setting_is_refused_or_encodes(
    data: st.DataObject | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("texts") / "demo"
    shutil.copytree(DEMO, folder)
    if data is not None:
        name = data.draw(st.sampled_from(TOKENS))
        told = json.loads((folder / name).read_text())
        inside = told["text_config"] if name == "config.json" else told
        key = data.draw(st.sampled_from(sorted(inside)))
        place = ("text_config", key) if name == "config.json" else (key,)
        changed(folder, name, place, data.draw(st.sampled_from(UGLY)))
    try:
        tokens = Tokens(folder)
        tokens.is_truncated(["a cat"])
        vectors_nd = TextEncoder(folder, device="cpu", tokens=tokens).encode(["a cat", "", "dog " * 100])
    except InputError:
        return
    assert np.isfinite(vectors_nd).all()


def test_tokens_beyond_the_vocabulary_of_the_model_are_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEMO, tmp_path / "demo"))
    config(folder, "text_config.vocab_size", 7)
    with pytest.raises(InputError, match=r"gives a token the number .* a model of 7 tokens"):
        Tokens(folder)
