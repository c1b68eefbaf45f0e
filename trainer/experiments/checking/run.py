"""Read everything, train nothing: what was understood, what it would take, what looks wrong."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.core import text
from trainer.core.config import command_line
from trainer.core.console import bar, say
from trainer.core.errors import InputError, NoResultError
from trainer.experiments.checking.config import CheckConfig
from trainer.experiments.checking.corrected_table import check_corrected_table, write_corrected_table
from trainer.experiments.inputs import encoder_settings, understand_rows

# Heavy rooms (torch, transformers) are imported where they are entered.
if TYPE_CHECKING:
    from trainer.data.manifest import Manifest
    from trainer.experiments.checking.findings import Finding
    from trainer.experiments.checking.images import Decoding
    from trainer.features.settings import EncoderSettings

BYTES_PER_NUMBER = 2  # of a cached vector: float16
TRIED = 16  # images with which the encoder is timed


def run(config: CheckConfig) -> dict[str, Any]:
    """Check data and encoder, and say what was found. Returns the figures.

    Raises:
        InputError: the data cannot be read.
        NoResultError: a sweep would refuse data or encoder; with the figures.
    """
    from trainer.data.manifest import SPLITS
    from trainer.experiments.checking import findings

    check_corrected_table(config)
    manifest = understand_rows(config)
    write_corrected_table(config, manifest)
    say(findings.precision_of_test(manifest))
    found = list(findings.of_rows(manifest, config))
    figures: dict[str, Any] = {
        "rows": len(manifest),
        **_labels(manifest),
        "splits": {split: len(manifest.rows(split)) for split in SPLITS},
        "drawn_splits": list(manifest.drawn_splits),
        "captions": sum(map(bool, manifest.caption)),
        "groups": len(set(manifest.group) - {""}),
        "passed_over": dict(manifest.passed_over),
    }
    if manifest.images is not None:
        figures |= _check_images(config, manifest, found)
    else:
        assert manifest.features_nd is not None
        figures["features"] = manifest.features_nd.shape[1]
    found.sort(key=lambda one: one.severity)
    _tell(config, found)
    figures["findings"] = [one._asdict() for one in found]
    errors = sum(one.severity == "error" for one in found)
    if errors:
        raise NoResultError(f"A sweep would refuse {config.data}, for the reasons above.", figures)
    return figures


def _labels(manifest: Manifest) -> dict[str, Any]:
    """Return the rows of each class or label, or where the numbers to predict lie."""
    target_n = manifest.target_n
    if manifest.label_nc is not None:
        rows_c = manifest.label_nc.sum(0).tolist()
        return {"classes": {}, "labels": dict(zip(manifest.labels, rows_c, strict=True))}
    if target_n is None:
        names = enumerate(manifest.classes)
        return {"classes": {name: int((manifest.label_n == number).sum()) for number, name in names}}
    figures = {"min": target_n.min(), "mean": target_n.mean(), "max": target_n.max()}
    return {"classes": {}, "numbers": {name: float(value) for name, value in figures.items()}}


class Encoding(NamedTuple):
    """What encoding would take."""

    side: int  # pixels
    numbers: int  # of a vector
    images_per_s: float  # of the encoder alone
    missing: int  # distinct images that are not cached


def _check_images(config: CheckConfig, manifest: Manifest, found: list[Finding]) -> dict[str, Any]:
    """Decode the images and try the encoder; adds to ``found``. Returns the figures."""
    from trainer.experiments.checking import images
    from trainer.experiments.checking.findings import Finding
    from trainer.features.backbone import pick_device
    from trainer.features.recipes import largest

    encodings: list[Encoding] = []
    try:
        settings = encoder_settings(config, pick_device(config.device), space=largest(config.features))
        encodings = [_try_encoder(one, manifest) for one in settings.parts]
        found += _of_captions(settings, manifest)
    except InputError as error:
        found.append(Finding("error", str(error)))
    with bar("Reading", "images") as progress:
        decoding = images.decode_all(manifest, progress=progress.update)
    say(images.describe(decoding))
    side = max((one.side for one in encodings), default=None)
    found += images.of_images(decoding, side=side, max_bad=config.max_bad)
    told = {
        "images": len(decoding.size_m2),
        "bad": [{"path": path, "reason": reason} for path, reason in decoding.bad.items()],
    }
    return told | _estimate(settings, encodings, decoding, found) if encodings else told


def _try_encoder(settings: EncoderSettings, manifest: Manifest) -> Encoding:
    """Load the encoder and time a batch.

    Raises:
        InputError: it cannot be used.
    """
    import numpy as np

    from trainer.features.encoder import ImageEncoder
    from trainer.features.store import FeatureStore
    from trainer.storing.copies import origin_of

    cached: FeatureStore | frozenset[str] = frozenset()
    root = settings.cache_dir / "features"
    if root.is_dir() or origin_of(root) is not None:
        cached = FeatureStore(root, settings.key())
    missing = sum(content not in cached for content in set(manifest.content))
    encoder = ImageEncoder(
        settings.folder, device=settings.device, dtype=settings.compute_dtype, space=settings.space
    )
    noise = np.random.default_rng(0).integers(0, 256, (TRIED, 3, *encoder.shape), dtype=np.uint8)
    encoder.forward(noise)
    began = time.perf_counter()
    vectors_nd = encoder.forward(noise)
    return Encoding(encoder.shape[0], vectors_nd.shape[1], TRIED / (time.perf_counter() - began), missing)


def _of_captions(settings: EncoderSettings, manifest: Manifest) -> list[Finding]:
    """Return what looks wrong in the captions, where the encoder reads texts."""
    from trainer.data.table_columns import split_captions
    from trainer.experiments.checking.findings import Finding
    from trainer.features.families import family_of
    from trainer.features.text_encoder import Tokens

    captions = [one for caption in manifest.caption for one in split_captions(caption) if one]
    if not captions or len(settings.parts) > 1 or family_of(settings.folder).text is None:
        return []
    tokens = Tokens(settings.folder)
    cut = int(tokens.is_truncated(captions).sum())
    if not cut:
        return []
    return [
        Finding(
            "warning",
            f"{cut:,} of {len(captions):,} captions are longer than the {tokens.length} tokens that the "
            "encoder sees: their end does not count.",
        )
    ]


def _estimate(
    settings: EncoderSettings, encodings: list[Encoding], decoding: Decoding, found: list[Finding]
) -> dict[str, Any]:
    """Say what encoding would take; adds to ``found`` if the disk has no room. Returns the figures."""
    from trainer.experiments.checking.findings import Finding

    decoded_per_s = (len(decoding.size_m2) + len(decoding.bad)) / decoding.elapsed_s
    seconds = sum(one.missing / min(decoded_per_s, one.images_per_s) for one in encodings)
    needed = sum(one.missing * one.numbers for one in encodings) * BYTES_PER_NUMBER
    sides, missing = " and ".join(str(one.side) for one in encodings), max(one.missing for one in encodings)
    images_per_s = 1 / sum(1 / one.images_per_s for one in encodings)
    free = shutil.disk_usage(_existing(settings.cache_dir)).free
    say(
        f"Encoder: {settings.encoder}, {sides} pixels per side, vectors of "
        f"{sum(one.numbers for one in encodings):,} "
        f"numbers, {images_per_s:.0f} images per second ({settings.compute_dtype}). "
        f"{missing:,} images are not cached: about {text.duration(seconds)}, {needed / 2**20:,.1f} "
        f"MiB of the {free / 2**30:,.1f} GiB that are free in {settings.cache_dir}."
    )
    if needed > free:
        found.append(
            Finding("error", f"The cache needs {needed / 2**30:,.1f} GiB. Pass a --cache-dir with more room.")
        )
    return {
        "encoder": settings.encoder,
        "not_cached": missing,
        "encoding_s": round(seconds, 1),
        "cache_bytes": needed,
        "free_bytes": free,
    }


def _existing(folder: Path) -> Path:
    return next(one for one in (folder.resolve(), *folder.resolve().parents) if one.is_dir())


def _tell(config: CheckConfig, found: list[Finding]) -> None:
    errors = sum(one.severity == "error" for one in found)
    warnings = len(found) - errors
    if not found:
        say(f"Nothing looks wrong. Go on: {command_line('trainer.sweep', config)}")
        return
    say(f"Looks wrong: {errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}.")
    for one in found:
        say(f"  {one.severity.capitalize()}: {one.text}")
    if not errors:
        say(f"A sweep would run: {command_line('trainer.sweep', config)}")
