"""Flags that several commands share, and a command line made of them."""

from __future__ import annotations

import dataclasses
import secrets
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainer.core import locations
from trainer.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class CommonConfig:
    """Flags of every command."""

    tracking_uri: str = field(default_factory=locations.default_tracking_uri)
    """MLflow store. Default: HEADROOM_TRACKING_URI, else MLFLOW_TRACKING_URI, else mlruns/mlflow.db of this
    checkout (installed as a package: of the working directory)."""
    experiment: str = locations.DEFAULT_EXPERIMENT
    """MLflow experiment."""
    cache_dir: Path = field(default_factory=locations.default_cache_dir)
    """Where features are kept."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where encoders and heads run."""
    seed: int = 0
    """Decides everything random: splits, proposals, heads."""


@dataclass(frozen=True, kw_only=True)
class DataConfig(CommonConfig):
    """Which images, and how they become vectors."""

    data: str = "demo"
    """`demo`; an image folder (class folders, also below train/ val/ test/); a .csv, .tsv, .jsonl or .parquet
    table; .tar shards or a folder of them; a folder that save_to_disk of the datasets library wrote, or
    `hf:owner/name` (`hf:owner/name:config`) for a data set of the Hugging Face hub; an .npz or .safetensors
    file of ready features."""
    encoder: str | None = None
    """`demo`, or the Hugging Face id or local folder of a CLIP, SigLIP, BLIP, DINOv2, DINOv3, ViT, DeiT or
    ResNet. Left out: `demo` for `--data demo`, else openai/clip-vit-base-patch32. Ready features need
    none."""
    batch_size: int | Literal["auto"] = "auto"
    """Images per call of the encoder. auto: the fastest of a few, measured once and remembered."""
    workers: int | Literal["auto"] = "auto"
    """Processes that decode; 0: threads do. auto: processes once threads do not keep up with the encoder."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What the encoder computes in. auto: bfloat16 where the device does so natively."""
    max_bad: float = 0.05
    """Largest share of images that may be unreadable."""
    measure: bool = True
    """Also measure each image that is encoded (size, brightness, sharpness …: some 3 ms), which the page
    "Data quality" and the search for near-duplicates need. Those encoded before are not measured."""
    drop_duplicates: bool = False
    """Of an image that stands in the data several times keep one row: a test row if there is one."""
    allow_leaks: bool = False
    """Go on although an image, or a group, stands in train and in test."""
    groups: str | None = None
    """Regular expression that finds in a row's name what must not be divided between splits: '(person\\d+)_'
    makes a group of each patient. Splits that the data brings stay."""
    drop_shared_groups: bool = False
    """Of a group that stands in several splits keep the rows of test, or else of val."""


@dataclass(frozen=True, kw_only=True)
class StudyConfig(DataConfig):
    """Flags of the commands that train heads on record, and go on with what they began."""

    study: str | None = None
    """Name of the study: one that exists is resumed. Left out, a new name is made."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What the factors of matrix products are rounded to. auto: bfloat16 where the device has it natively."""


def require_at_least(config: CommonConfig, **least: int) -> None:
    """Raise InputError for a flag below its least value."""
    for name, bound in least.items():
        if getattr(config, name) < bound:
            flag = "--" + name.replace("_", "-")
            raise InputError(f"{flag} is {getattr(config, name)}; it must be at least {bound}.")


def settings(config: CommonConfig) -> dict[str, Any]:
    """Every flag with its value, paths as text: for a run's parameters and its YAML."""
    return {name: str(v) if isinstance(v, Path) else v for name, v in dataclasses.asdict(config).items()}


def command_line(module: str, config: CommonConfig, **changed: Any) -> str:
    """The shell command that gives ``config`` again, ``changed`` in part; default flags are left out."""
    words = ["python", "-m", module]
    for flag in dataclasses.fields(config):
        value = changed.get(flag.name, getattr(config, flag.name))
        usual = flag.default if flag.default_factory is dataclasses.MISSING else flag.default_factory()
        name = flag.name.replace("_", "-")
        if value == usual or value is None:
            continue
        if dataclasses.is_dataclass(value):
            for inner in dataclasses.fields(value):
                if getattr(value, inner.name) != inner.default:
                    words += [f"--{name}.{inner.name.replace('_', '-')}", str(getattr(value, inner.name))]
        elif isinstance(value, tuple):
            words += [f"--{name}", *map(str, value)]
        elif isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        else:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def new_study_name(stem: str) -> str:
    """A readable name that is new: what it is about, the time, four random digits."""
    return f"{Path(stem).stem or 'study'}-{time.strftime('%m%d-%H%M%S')}-{secrets.token_hex(2)}"
