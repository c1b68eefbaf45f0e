"""Flags shared by several commands, and their command line."""

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

Recipe = Literal["pooled", "cls4", "cls4+patch"]  # see trainer.features.recipes


@dataclass(frozen=True, kw_only=True)
class CommonConfig:
    """Flags of every command."""

    tracking_uri: str = field(default_factory=locations.default_tracking_uri)
    """MLflow store. Default: HEADROOM_TRACKING_URI, else MLFLOW_TRACKING_URI, else mlruns/mlflow.db of this
    checkout (if installed as a package: of the working directory)."""
    experiment: str = locations.DEFAULT_EXPERIMENT
    """MLflow experiment."""
    cache_dir: Path = field(default_factory=locations.default_cache_dir)
    """Folder of the feature cache, or a bucket: s3://bucket/prefix, gs://…, az://… (docs/scale), which is
    read through a copy on this machine."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device for encoders and heads. auto: CUDA if available."""
    seed: int = 0
    """Random seed for splits, proposals and heads."""

    def __post_init__(self) -> None:
        """Raise InputError for a location that cannot be used on any machine."""
        locations.check_no_password(self.tracking_uri)
        for name, value in vars(self).items():
            for one in value if isinstance(value, tuple) else (value,):
                flag = "--" + name.replace("_", "-")
                if isinstance(one, str | Path):
                    locations.check_characters(flag, str(one))
                if isinstance(one, Path) and not (name == "cache_dir" and locations.bucket_address(one)):
                    locations.check_is_local(flag, one)

    @property
    def cache_folder(self) -> Path:
        """Return the folder of ``cache_dir`` on this machine; of a bucket, that of its copy."""
        return locations.cache_folder(self.cache_dir)


@dataclass(frozen=True, kw_only=True)
class DataConfig(CommonConfig):
    """Flags for data and encoder."""

    data: str = "demo"
    """`demo`; an image folder (class folders, also below train/ val/ test/); a .csv, .tsv, .jsonl or .parquet
    table; .tar shards or a folder of them; a folder written by save_to_disk of the datasets library, or
    `hf:owner/name` (`hf:owner/name:config`) for a dataset of the Hugging Face hub; an .npz or .safetensors
    file of precomputed features."""
    label_column: str | None = None
    """Column with the class, in a table, in metadata.csv or .jsonl, or in a Hugging Face dataset; in shards,
    the key of the .json files. Default: found by its name, such as label, class, target or diagnosis. none:
    read no labels."""
    label_separator: str | None = None
    """Text between the labels of an image that has several, such as '|' in cat|dog: each is learned by
    itself. For sweep, check, extract and search_images. Lists of labels need none."""
    label_columns: str | None = None
    """Names of columns of 0 and 1, one per label, joined by commas: cat,dog,bird. In the place of
    --label-column, for sweep, check, extract and search_images."""
    image_column: str | None = None
    """Column with the path of the image, or with the image itself."""
    caption_column: str | None = None
    """Column with the caption."""
    group_column: str | None = None
    """Column with the group, such as a patient, whose images stay in one split."""
    unlabelled: str | None = None
    """Name of the folders, beside class folders or split folders, whose images have no label: extract and
    search_images encode and find them, and no head is trained or tested on them."""
    encoder: str | None = None
    """`demo`, or the Hugging Face id or local folder of a CLIP, SigLIP, BLIP, DINOv2, DINOv3, ViT, DeiT or
    ResNet. Several joined by + are concatenated, such as `demo+path/to/model`. Default: `demo` for
    `--data demo`, else openai/clip-vit-base-patch32. Precomputed features need none."""
    features: tuple[Recipe, ...] = ("pooled",)
    """What an image's vector is. pooled: the encoder's own output. cls4: the class tokens of its last four
    layers. cls4+patch: these and the mean of the patch tokens. A sweep chooses among several by
    cross-validation."""
    batch_size: int | Literal["auto"] = "auto"
    """Images per encoder batch. auto: the fastest of several, measured once and cached."""
    workers: int | Literal["auto"] = "auto"
    """Processes that decode images; 0: threads. auto: processes if threads are slower than the encoder."""
    max_memory: str | None = None
    """Memory for images while they are decoded, such as 2GB: larger ones are decoded one at a time. Default:
    a tenth of what is free."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Compute type of the encoder. auto: bfloat16 where the device supports it natively."""
    max_bad: float = 0.05
    """Maximum share of images that may be corrupt."""
    measure: bool = True
    """Also measure each encoded image (size, brightness, sharpness …, about 3 ms), for the page
    "Data quality" and the search for near-duplicates. Images that are already cached are not measured."""
    drop_duplicates: bool = False
    """Keep one row per duplicated image, preferring the test row."""
    corrections: Path | None = None
    """CSV of corrected labels, as the dashboard writes it: sample_id, old, new, action (relabel, drop, keep
    or undo). Splits stay as they are; test rows keep their labels."""
    correct_test: bool = False
    """Also correct the labels of test rows. Scores are then not comparable with those before."""
    label_conflicts: Literal["warn", "drop", "refuse"] = "warn"
    """If copies of an image have different labels: warn, drop all of its rows, or refuse the data."""
    allow_leaks: bool = False
    """Accept images or groups that are in both train and test."""
    groups: str | None = None
    """Regular expression that extracts a group from a row's name; a group stays in one split. Example:
    '(person\\d+)_' for one group per patient. Existing splits are kept."""
    drop_shared_groups: bool = False
    """For groups in several splits, keep only the test rows, or else the val rows."""

    @property
    def label_kind(self) -> Literal["class", "number", "labels"] | None:
        """Return what a label is to the command; None: several where they are lists or a flag says so, a
        number where it evidently is one, else a class."""
        return "class"

    @property
    def takes_several_labels(self) -> bool:
        """Return whether an image may have several labels."""
        return False


@dataclass(frozen=True, kw_only=True)
class StudyConfig(DataConfig):
    """Flags of the commands that log studies and can resume them."""

    study: str | None = None
    """Name of the study; an existing study is resumed. Default: a new name."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Input precision of matrix products. auto: bfloat16 where the device supports it natively."""


def require_at_least(config: CommonConfig, **minimum: int) -> None:
    """Raise InputError for a flag below its minimum."""
    for name, bound in minimum.items():
        if getattr(config, name) < bound:
            flag = "--" + name.replace("_", "-")
            raise InputError(f"{flag} is {getattr(config, name)}; it must be at least {bound}.")


def check_coverage(coverage: float) -> None:
    """Raise InputError for a ``--coverage`` for which no threshold is kept."""
    if not 0.5 <= coverage <= 0.99 or abs(100 * coverage - round(100 * coverage)) > 1e-9:
        raise InputError(
            f"--coverage is {coverage:g}; it must be a share from 0.5 to 0.99, with two decimals at most."
        )


def settings(config: CommonConfig) -> dict[str, Any]:
    """Return the value of every flag, paths as text, for a run's parameters and YAML."""
    values = {
        name: locations.storable(locations.as_given(v) if isinstance(v, Path) else v)
        if isinstance(v, Path | str)
        else v
        for name, v in dataclasses.asdict(config).items()
    }
    return values | {"tracking_uri": locations.without_password(config.tracking_uri)}


def command_line(module: str, config: CommonConfig, **changed: Any) -> str:
    """Return the shell command for ``config`` with ``changed`` flags; defaults are omitted."""
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
            words += [f"--{name}", locations.as_given(value) if isinstance(value, Path) else str(value)]
    return shlex.join(words)


def new_study_name(stem: str) -> str:
    """Return a new readable name: stem, time, four random hexadecimal digits."""
    return f"{Path(stem).stem or 'study'}-{time.strftime('%m%d-%H%M%S')}-{secrets.token_hex(2)}"
