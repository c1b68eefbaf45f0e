"""Return the features of rows, encoding only images that are not cached."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from trainer.core.config import Recipe
from trainer.core.errors import InputError, TooManyBadFiles
from trainer.data.duplicates import duplicate_rows, redundant_rows
from trainer.data.manifest import Manifest, Quarantined, first_reasons
from trainer.features.concatenation import concatenate_vectors
from trainer.features.encoder import preparation_of
from trainer.features.encoding_loop import LazyEncoder, Work, encode_missing, measure_missing
from trainer.features.families import family_of
from trainer.features.field_of_view import fields_of_view
from trainer.features.image_measures import lookup_measures, measures_store
from trainer.features.key import BETWEEN, encoder_text
from trainer.features.preprocessing import Preparation
from trainer.features.recipes import PARTS, prefix
from trainer.features.settings import EncoderSettings
from trainer.features.store import FeatureStore


@dataclass(frozen=True)
class ExtractReport:
    """Report of an extraction.

    ``found == used + len(quarantined) + dropped_duplicates + dropped_conflicts``. Of several encoders, calls
    and seconds are those of all.
    """

    found: int  # rows and quarantined files together
    used: int  # rows that have a vector
    quarantined: tuple[Quarantined, ...]
    dropped_duplicates: int  # rows dropped because another has the same image
    duplicates: int  # rows, used or dropped, with the image of an earlier row
    reused: int  # rows whose vector was cached, or encoded for another row
    encoded: int  # distinct images encoded in this run, of several encoders by the one that had most to do;
    # reused + encoded == used + dropped_duplicates
    encoder_calls: int  # forward passes, including those that measured the batch size
    elapsed_s: float
    batch_size: int  # images per batch; 0 if nothing was encoded
    processes: int  # decoding processes; 0: threads
    share: dict[str, float]  # of elapsed_s that the encoding thread spent on: load, decode (it waited for
    # images), transfer, encode, write (it waited for the disk)
    encoder: str  # name, dtype, recipe unless pooled, and key, of several joined by " + "; "ready features"
    # for precomputed features
    warnings: tuple[str, ...]  # such as damaged shards
    dropped_conflicts: int = 0  # rows dropped before encoding because a copy has another label


@dataclass(frozen=True)
class Features:
    """Rows with their vectors."""

    manifest: Manifest  # the rows that have a vector
    vectors_nd: np.ndarray  # float32 [N, D]
    # float32 [N, M], columns as in `image_quality.MEASURE_NAMES`; NaN for all without
    # `EncoderSettings.measure`, and for images that can no longer be read; None for precomputed features
    measures_nm: np.ndarray | None
    report: ExtractReport
    views_vnd: np.ndarray | None = None  # float32 [V, N, D], views 1…V of the N rows of train
    widths: tuple[int, ...] = ()  # of each encoder's part of D; () for precomputed features
    preparation: Preparation | None = None  # of the first encoder; None for precomputed features

    @property
    def field_n6(self) -> np.ndarray | None:
        """Return `fields_of_view` of the first encoder, float32 [N, 6]; None if no size is known."""
        if self.preparation is None or self.measures_nm is None:
            return None
        return fields_of_view(self.preparation, self.measures_nm[:, :2])

    def take(self, index: np.ndarray) -> Features:
        """Return the rows of ``index``, int64, ascending."""
        train = np.isin(self.manifest.rows("train"), index)
        return replace(
            self,
            manifest=self.manifest.take(index),
            vectors_nd=self.vectors_nd[index],
            measures_nm=None if self.measures_nm is None else self.measures_nm[index],
            views_vnd=None if self.views_vnd is None else self.views_vnd[:, train],
        )


def extract(
    manifest: Manifest, settings: EncoderSettings, *, progress: Callable[[int, int], None] | None = None
) -> Features:
    """Return the vector of every row: from the data, the cache or the encoder.

    Corrupt images are removed from the rows and listed in ``quarantined``. Encoded images are cached at once,
    so an interrupted run resumes. If everything is cached, neither torch nor transformers is imported.
    Several encoders follow one another, each with a preprocessing and a cache of its own; their vectors are
    joined by :func:`concatenate_vectors`.

    Args:
        progress: called with (distinct images done, distinct images), first at the start; of several
            encoders each image counts once for each.

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
    cache = settings.cache_dir / "features"
    measures = measures_store(cache) if settings.measure else None
    encoders = [_OneEncoder(part, cache) for part in settings.parts]
    work = Work()
    for number, one in enumerate(encoders):
        shown = progress and partial(_shown, progress, number, len(encoders))
        work.add(one.encode(manifest, measures, shown))
    if measures is not None:
        measure_missing(_without(manifest, work.bad), measures, settings.parts[0])
    _check_bad(manifest, work.bad, settings.max_bad)
    manifest = _without(manifest, work.bad)
    kept = _distinct(manifest, settings.drop_duplicates)
    parts = [one.vectors(kept) for one in encoders]
    warnings = [warning for one in encoders for warning in one.warnings]
    warnings += (measures.warnings if measures else []) + work.messages
    report = _report(
        manifest, kept, work, encoder=_described(settings), warnings=warnings, elapsed_s=_since(started)
    )
    return Features(
        kept,
        concatenate_vectors(parts),
        lookup_measures(measures, kept.content),
        report,
        _views(kept, encoders, settings.views),
        tuple(part_nd.shape[1] for part_nd in parts),
        preparation_of(settings.parts[0].folder),
    )


class _OneEncoder:
    """The stores of one encoder, of view 0, 1, …, and how they are filled."""

    def __init__(self, settings: EncoderSettings, cache: Path) -> None:
        self._settings = settings
        self.keys = [settings.key(view) for view in range(settings.views + 1)]
        self._stores = [FeatureStore(cache, key) for key in self.keys]

    def encode(
        self,
        manifest: Manifest,
        measures: FeatureStore | None,
        progress: Callable[[int, int], None] | None,
    ) -> Work:
        lazy = LazyEncoder(self._settings)
        return encode_missing(
            manifest, self._stores, lazy, self._settings, measures=measures, progress=progress
        )

    def vectors(self, manifest: Manifest, view: int = 0) -> np.ndarray:
        """Return the vectors of a view: float32 [N, D]."""
        return self._stores[view].lookup_all(manifest.content)

    @property
    def warnings(self) -> list[str]:
        warnings = [warning for store in self._stores for warning in store.warnings]
        if self.keys[0].fields["preprocessing_source"] == "defaults":
            usual = family_of(self._settings.folder).name
            warnings.append(
                f"{self._settings.encoder} has no preprocessor_config.json; the defaults of {usual} were "
                "used."
            )
        return warnings


def _shown(progress: Callable[[int, int], None], number: int, encoders: int, done: int, images: int) -> None:
    progress(number * images + done, encoders * images)


def with_recipe(features: Features, settings: EncoderSettings, recipe: Recipe) -> Features:
    """Return what :func:`extract` would with another recipe, which the space of ``settings`` contains.

    Vectors of several encoders may differ from it in the last bit.
    """
    if recipe == settings.space:
        return features

    def shortened(vectors_nd: np.ndarray) -> np.ndarray:
        parts = np.split(vectors_nd, np.cumsum(features.widths)[:-1], axis=1)
        return concatenate_vectors([prefix(part_nd, recipe, of=settings.space) for part_nd in parts])

    views_vnd = features.views_vnd
    widths = [width // PARTS[settings.space] * PARTS[recipe] for width in features.widths]
    return replace(
        features,
        vectors_nd=shortened(features.vectors_nd),
        views_vnd=None if views_vnd is None else np.stack([shortened(view_nd) for view_nd in views_vnd]),
        widths=tuple(widths),
        report=replace(features.report, encoder=_described(replace(settings, space=recipe))),
    )


def _described(settings: EncoderSettings) -> str:
    """Return ``ExtractReport.encoder``."""
    return BETWEEN.join(
        encoder_text(part.encoder, dtype=part.compute_dtype, space=part.space, digest=part.key().digest)
        for part in settings.parts
    )


def _since(started: float) -> float:
    return time.perf_counter() - started


def _views(manifest: Manifest, encoders: Sequence[_OneEncoder], views: int) -> np.ndarray | None:
    """Return the views of the training rows, float32 [V, N, D]; None without any."""
    if not views:
        return None
    train = manifest.take(manifest.rows("train"))
    return np.stack(
        [concatenate_vectors([one.vectors(train, view) for one in encoders]) for view in range(1, views + 1)]
    )


def _without(manifest: Manifest, bad: dict[int, str]) -> Manifest:
    """Move corrupt rows to quarantine."""
    keep = [row for row in range(len(manifest)) if row not in bad]
    more = tuple(Quarantined(manifest.sample_id[row], bad[row]) for row in sorted(bad))
    return replace(manifest.take(keep), quarantined=manifest.quarantined + more)


def _distinct(manifest: Manifest, drop: bool) -> Manifest:
    return manifest.take(np.flatnonzero(~redundant_rows(manifest))) if drop else manifest


def _check_bad(manifest: Manifest, bad: dict[int, str], max_bad: float) -> None:
    more = [Quarantined(manifest.sample_id[row], bad[row]) for row in sorted(bad)]
    check_quarantined(manifest, more, max_bad)


def check_quarantined(manifest: Manifest, more: Iterable[Quarantined], max_bad: float) -> None:
    """Raise TooManyBadFiles if with ``more`` files too large a share of them is corrupt."""
    quarantined = (*manifest.quarantined, *more)
    found = _found(manifest)
    if found and len(quarantined) / found > max_bad:
        raise TooManyBadFiles(
            f"{manifest.name}: {len(quarantined)} of {found} files ({len(quarantined) / found:.1%}) cannot "
            f"be used, more than the {max_bad:.1%} that --max-bad allows. Reasons: "
            f"{first_reasons(quarantined)}. Repair or remove them, or raise --max-bad."
        )


def _found(manifest: Manifest) -> int:
    return len(manifest) + len(manifest.quarantined) + manifest.dropped_conflicts


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
        found=_found(manifest),
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
        dropped_conflicts=manifest.dropped_conflicts,
    )
