"""What the JSON files of a saved model may say: read once, checked against a table, and cut to it.

What is in no table is never handed to another library: general settings of transformers, which may name
other files, kernels to download or modules to run, and what only training needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.core.errors import InputError
from trainer.core.text import cut

OWN_CODE = "auto_map"  # names modules in the folder, which transformers would run
SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class Rule:
    """What a value must be."""

    wanted: str  # to follow "expected"
    fits: Callable[[Any], bool]

    def __or__(self, other: Rule) -> Rule:
        return Rule(f"{self.wanted} or {other.wanted}", lambda value: self.fits(value) or other.fits(value))


def whole(least: int, most: int) -> Rule:
    """Return the rule of whole numbers from ``least`` to ``most``."""
    return Rule(
        f"a whole number from {least} to {most:,}",
        lambda value: type(value) is int and least <= value <= most,
    )


def number(least: float, most: float) -> Rule:
    """Return the rule of finite numbers from ``least`` to ``most``."""
    return Rule(
        f"a number from {least:g} to {most:g}",
        lambda value: type(value) in (int, float) and math.isfinite(value) and least <= value <= most,
    )


def one_of(names: Iterable[str]) -> Rule:
    """Return the rule of these words."""
    known = tuple(names)
    return Rule(f"one of {', '.join(known)}", lambda value: isinstance(value, str) and value in known)


def list_of(rule: Rule, *lengths: int, wanted: str | None = None) -> Rule:
    """Return the rule of lists of so many values that fit ``rule``, to follow that of one value."""
    return Rule(
        f"a list of {_counts(lengths)} such values" if wanted is None else wanted,
        lambda value: (
            isinstance(value, list | tuple) and len(value) in lengths and all(map(rule.fits, value))
        ),
    )


def _counts(lengths: Sequence[int]) -> str:
    return f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 2 else " or ".join(map(str, lengths))


NULL = Rule("null", lambda value: value is None)
FLAG = Rule("true or false", lambda value: type(value) is bool)
OBJECT = Rule("an object", lambda value: isinstance(value, dict))
_WIDTH = whole(1, 1_000_000)
_LAYERS = whole(1, 200)
_SHARE = number(0, 1)
_PIXELS = whole(1, 4096)
_SIDES = _PIXELS | list_of(_PIXELS, 2)
_TOKEN = whole(-1, 10_000_000) | NULL
_STAGES = range(1, 9)  # of a ResNet; published ones have 4
_ACTIVATIONS = (
    *("gelu", "gelu_new", "gelu_fast", "gelu_python", "gelu_pytorch_tanh", "gelu_accurate", "quick_gelu"),
    *("relu", "relu6", "leaky_relu", "silu", "swish", "mish", "tanh", "sigmoid", "linear", "laplace"),
)

# of config.json and of its parts: everything that the vectors of the supported families depend on
_SETTINGS: dict[str, Rule] = {
    **dict.fromkeys(("hidden_size", "intermediate_size", "embedding_size", "encoder_hidden_size"), _WIDTH),
    **dict.fromkeys(("num_attention_heads", "num_channels", "mlp_ratio"), whole(1, 1000)),
    **dict.fromkeys(("projection_dim", "projection_size", "image_text_hidden_size"), _WIDTH | NULL),
    "vocab_size": whole(1, 10_000_000),
    "max_position_embeddings": whole(1, 100_000),
    "num_register_tokens": whole(0, 1000),
    "num_hidden_layers": _LAYERS,
    "patch_size": _SIDES,
    "hidden_sizes": list_of(_WIDTH, *_STAGES, wanted=f"a list of widths, each {_WIDTH.wanted}"),
    "depths": list_of(_LAYERS, *_STAGES, wanted=f"a list of numbers of layers, each {_LAYERS.wanted}"),
    "layer_type": one_of(("basic", "bottleneck")),
    "hidden_act": one_of(_ACTIVATIONS),
    "layer_norm_eps": number(1e-30, 0.1),
    "rope_theta": number(1, 1e9),
    **dict.fromkeys(("attention_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob"), _SHARE),
    "drop_path_rate": _SHARE,
    **dict.fromkeys(("pos_embed_shift", "pos_embed_jitter", "pos_embed_rescale"), number(0, 1000) | NULL),
    **dict.fromkeys(("query_bias", "key_bias", "value_bias", "proj_bias", "mlp_bias", "qkv_bias"), FLAG),
    **dict.fromkeys(("use_swiglu_ffn", "use_gated_mlp", "use_mask_token", "vision_use_head"), FLAG),
    **dict.fromkeys(("downsample_in_first_stage", "downsample_in_bottleneck", "is_decoder"), FLAG),
    "tie_word_embeddings": FLAG,
    **dict.fromkeys(("pad_token_id", "bos_token_id", "sep_token_id"), _TOKEN),
    "eos_token_id": _TOKEN | list_of(_TOKEN, *range(1, 9)),
    "image_size": _SIDES | NULL,
}
PARTS = ("vision_config", "text_config", "vision_config_dict", "text_config_dict")  # the last two: older


def check_config(file: Path, config: Mapping[str, Any]) -> None:
    """Raise InputError for a ``config.json`` in which a setting has a value that cannot be."""
    _check_all(file, config)
    for part in PARTS:
        if part in config:
            check(file, part, config[part], OBJECT | NULL)
            _check_all(file, config[part] or {}, within=f"{part}.")


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a checked ``config.json`` is handed to transformers."""
    own = {name: value for name, value in config.items() if name in _SETTINGS}
    parts = {name: settings_of(config[name]) for name in PARTS if config.get(name) is not None}
    return own | parts


def check(file: Path | str, name: str, value: Any, rule: Rule) -> None:
    """Raise InputError, which names the file, the setting, its value and what was expected."""
    if not rule.fits(value):
        raise InputError(
            f"{file} has the {name} {cut(repr(value), SHOWN)}; expected {rule.wanted}. Fetch or save the "
            "model again."
        )


def refuse_code(file: Path, settings: Mapping[str, Any]) -> None:
    """Raise InputError for a model that brings its own code."""
    if settings.get(OWN_CODE):
        named = settings[OWN_CODE]
        classes = named.values() if isinstance(named, dict) else named if isinstance(named, list) else [named]
        raise InputError(
            f"{file} has an {OWN_CODE} ({cut(', '.join(map(str, classes)), SHOWN)}): this model needs Python "
            "code of its own, and Headroom runs no code from a model's folder. Pass a model of one of "
            "transformers' own classes."
        )


def _check_all(file: Path, settings: Mapping[str, Any], within: str = "") -> None:
    for name, value in settings.items():
        if name in _SETTINGS:
            check(file, within + name, value, _SETTINGS[name])
