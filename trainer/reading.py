"""What every command that reads pictures shares: which they are, with which encoder, what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer import cli
from trainer.errors import InputError
from trainer.progress import bar, say

if TYPE_CHECKING:
    from trainer.features.extract import Features


@dataclass(frozen=True, kw_only=True)
class Reading(cli.Common):
    """Which pictures, and how they become vectors."""

    data: str = "demo"
    """`demo`; an image folder (class folders, also below train/ val/ test/); a .csv, .tsv, .jsonl or .parquet
    table; .tar shards or a folder of them; an .npz or .safetensors file of ready features."""
    encoder: str | None = None
    """`demo`, or the Hugging Face id or local folder of a CLIP, SigLIP, BLIP, DINOv2, DINOv3, ViT, DeiT or
    ResNet. Left out: `demo` for `--data demo`, else openai/clip-vit-base-patch32. Ready features need
    none."""
    batch_size: int = 64
    """Images per call of the encoder."""
    max_bad: float = 0.05
    """Largest share of images that may be unreadable."""
    drop_duplicates: bool = False
    """Of a picture that stands in the data several times keep one row: a test row if there is one."""
    allow_leaks: bool = False
    """Go on although a picture stands in train and in test."""


def read_features(config: Reading, device: str, *, to_train: bool) -> Features:
    """Rows with their vectors, from the cache where they are in it; says what was found.

    Args:
        to_train: refuse data on which no head can be trained.

    Raises:
        InputError: data or encoder cannot be used.
        TooManyBadFiles: more images than ``config.max_bad`` are unreadable.
    """
    from trainer.data.duplicates import refuse_leaks
    from trainer.data.manifest import check_trainable
    from trainer.data.source import load
    from trainer.features.extract import extract
    from trainer.features.hub import default_encoder

    if not 0 <= config.max_bad <= 1:
        raise InputError(f"--max-bad is {config.max_bad}; it must be a share between 0 and 1.")
    manifest = load(config.data, seed=config.seed)
    if to_train:
        check_trainable(manifest)
    if manifest.features_nd is None and not (config.allow_leaks or config.drop_duplicates):
        refuse_leaks(manifest)
    with bar("Encoding", "images") as progress:
        features = extract(
            manifest,
            encoder=config.encoder or default_encoder(config.data),
            cache_dir=config.cache_dir,
            device=device,
            batch_size=config.batch_size,
            max_bad=config.max_bad,
            drop_duplicates=config.drop_duplicates,
            progress=progress.update,
        )
    if to_train:
        check_trainable(features.manifest)
    report = features.report
    for warning in report.warnings:
        say(f"Warning: {warning}")
    say(
        f"Data: found {report.found} = used {report.used} + quarantined {len(report.quarantined)} + dropped "
        f"duplicates {report.dropped_duplicates}."
        + (f" {report.duplicates} of the rows repeat another one's picture." if report.duplicates else "")
    )
    if manifest.features_nd is None:
        say(
            f"Features: {report.reused} from the cache, {report.encoded} encoded now "
            f"({report.encoder_calls} encoder calls, {report.elapsed_s:.1f} s)."
        )
    return features
