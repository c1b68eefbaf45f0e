"""Return the features of rows, encoding only images that are not cached."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainer.core.config import Recipe
from trainer.core.errors import InputError, TooManyBadFiles
from trainer.data.duplicates import duplicate_rows, redundant_rows
from trainer.data.manifest import Manifest, Quarantined
from trainer.features.encoding_loop import LazyEncoder, Work, encode_missing
from trainer.features.families import family_of
from trainer.features.image_measures import lookup_measures, measures_store
from trainer.features.key import encoder_text
from trainer.features.recipes import prefix
from trainer.features.settings import EncoderSettings
from trainer.features.store import FeatureStore


@dataclass(frozen=True)
class ExtractReport:
    """Report of an extraction. ``found == used + len(quarantined) + dropped_duplicates``."""

    found: int  # rows and quarantined files together
    used: int  # rows that have a vector
    quarantined: tuple[Quarantined, ...]
    dropped_duplicates: int  # rows dropped because another has the same image
    duplicates: int  # rows, used or dropped, with the image of an earlier row
    reused: int  # rows whose vector was cached, or encoded for another row
    encoded: int  # distinct images encoded in this run; reused + encoded == used + dropped_duplicates
    encoder_calls: int  # forward passes, including those that measured the batch size
    elapsed_s: float
    batch_size: int  # images per batch; 0 if nothing was encoded
    processes: int  # decoding processes; 0: threads
    share: dict[str, float]  # of elapsed_s that the encoding thread spent on: load, decode (it waited for
    # images), transfer, encode, write (it waited for the disk)
    encoder: str  # name, dtype, recipe unless pooled, and key; "ready features" for precomputed features
    warnings: tuple[str, ...]  # such as damaged shards


@dataclass(frozen=True)
class Features:
    """Rows with their vectors."""

    manifest: Manifest  # the rows that have a vector
    vectors_nd: np.ndarray  # float32 [N, D]
    # float32 [N, M], columns as in `image_quality.MEASURE_NAMES`; NaN for images that were
    # encoded without measuring; None for precomputed features
    measures_nm: np.ndarray | None
    report: ExtractReport
    views_vnd: np.ndarray | None = None  # float32 [V, N, D], views 1…V of the N rows of train


def extract(
    manifest: Manifest, settings: EncoderSettings, *, progress: Callable[[int, int], None] | None = None
) -> Features:
    """Return the vector of every row: from the data, the cache or the encoder.

    Corrupt images are removed from the rows and listed in ``quarantined``. Encoded images are cached at once,
    so an interrupted run resumes. If everything is cached, neither torch nor transformers is imported.

    Args:
        progress: called with (distinct images done, distinct images), first at the start.

    Raises:
        InputError: the encoder is not available or returns invalid vectors; the cache cannot be written.
        TooManyBadFiles: more than ``max_bad`` of the files are corrupt. Encoded images stay cached.
    """
    started = time.perf_counter()
    _check_bad(manifest, {}, settings.max_bad)
    if manifest.features_nd is not None:
        if settings.space not in ("pooled", "shared"):
            raise InputError(
                f"{manifest.name} holds precomputed features, so there is nothing to compute --features "
                f"{settings.space} from. Leave it out."
            )
        kept = _distinct(manifest, settings.drop_duplicates)
        assert kept.features_nd is not None
        report = _report(
            manifest, kept, Work(), encoder="ready features", warnings=(), elapsed_s=_since(started)
        )
        return Features(kept, kept.features_nd, None, report)
    settings.check()
    keys = [settings.key(view) for view in range(settings.views + 1)]
    cache = settings.cache_dir / "features"
    stores = [FeatureStore(cache, key) for key in keys]
    measures = measures_store(cache) if settings.measure else None
    work = encode_missing(
        manifest, stores, LazyEncoder(settings), settings, measures=measures, progress=progress
    )
    _check_bad(manifest, work.bad, settings.max_bad)
    manifest = _without(manifest, work.bad)
    kept = _distinct(manifest, settings.drop_duplicates)
    _, vectors_nd = stores[0].lookup(kept.content)
    warnings = [warning for store in stores for warning in store.warnings]
    warnings += (measures.warnings if measures else []) + work.messages
    if keys[0].fields["preprocessing_source"] == "defaults":
        usual = family_of(settings.folder).name
        warnings.append(
            f"{settings.encoder} has no preprocessor_config.json; the defaults of {usual} were used."
        )
    encoder = _described(settings)
    measures_nm = lookup_measures(measures, kept.content)
    views_vnd = _views(kept, stores[1:]) if settings.views else None
    report = _report(manifest, kept, work, encoder=encoder, warnings=warnings, elapsed_s=_since(started))
    return Features(kept, vectors_nd, measures_nm, report, views_vnd)


def with_recipe(features: Features, settings: EncoderSettings, recipe: Recipe) -> Features:
    """Return what :func:`extract` would with another recipe, which the space of ``settings`` contains."""
    if recipe == settings.space:
        return features
    views_vnd = features.views_vnd
    return replace(
        features,
        vectors_nd=prefix(features.vectors_nd, recipe, of=settings.space),
        views_vnd=None if views_vnd is None else prefix(views_vnd, recipe, of=settings.space),
        report=replace(features.report, encoder=_described(replace(settings, space=recipe))),
    )


def _described(settings: EncoderSettings) -> str:
    """Return ``ExtractReport.encoder``."""
    return encoder_text(
        settings.encoder,
        dtype=settings.compute_dtype,
        space=settings.space,
        digest=settings.key().digest,
    )


def _since(started: float) -> float:
    return time.perf_counter() - started


def _views(manifest: Manifest, stores: Sequence[FeatureStore]) -> np.ndarray:
    """Return the views of the training rows: float32 [V, N, D]."""
    train = [manifest.content[row] for row in manifest.rows("train")]
    return np.stack([store.lookup(train)[1] for store in stores])


def _without(manifest: Manifest, bad: dict[int, str]) -> Manifest:
    """Move corrupt rows to quarantine."""
    keep = [row for row in range(len(manifest)) if row not in bad]
    more = tuple(Quarantined(manifest.sample_id[row], bad[row]) for row in sorted(bad))
    return replace(manifest.take(keep), quarantined=manifest.quarantined + more)


def _distinct(manifest: Manifest, drop: bool) -> Manifest:
    return manifest.take(np.flatnonzero(~redundant_rows(manifest))) if drop else manifest


def _check_bad(manifest: Manifest, bad: dict[int, str], max_bad: float) -> None:
    quarantined = _without(manifest, bad).quarantined if bad else manifest.quarantined
    found = len(manifest) + len(manifest.quarantined)
    if found and len(quarantined) / found > max_bad:
        first = "; ".join(f"{path}: {reason}" for path, reason in quarantined[:5])
        raise TooManyBadFiles(
            f"{manifest.name}: {len(quarantined)} of {found} files ({len(quarantined) / found:.1%}) cannot "
            f"be used, more than the {max_bad:.1%} that --max-bad allows. The first: {first}. Repair or "
            "remove them, or raise --max-bad."
        )


def _report(
    manifest: Manifest,
    kept: Manifest,
    work: Work,
    *,
    encoder: str,
    warnings: Sequence[str],
    elapsed_s: float,
) -> ExtractReport:
    return ExtractReport(
        found=len(manifest) + len(manifest.quarantined),
        used=len(kept),
        quarantined=manifest.quarantined,
        dropped_duplicates=len(manifest) - len(kept),
        duplicates=sum(len(rows) - 1 for rows in duplicate_rows(manifest.content)),
        reused=len(manifest) - work.encoded,
        encoded=work.encoded,
        encoder_calls=work.calls,
        elapsed_s=elapsed_s,
        batch_size=work.batch_size,
        processes=work.processes,
        share={what: seconds / elapsed_s for what, seconds in work.seconds.items()},
        encoder=encoder,
        warnings=tuple(warnings),
    )
