"""Rows → vectors, each picture encoded once in its life."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trainer.core.errors import InputError, TooManyBadFiles
from trainer.data.duplicates import repeats, same_picture
from trainer.data.manifest import Manifest, Quarantined
from trainer.features.backbone import pick_dtype
from trainer.features.encoder import preparation_of
from trainer.features.encoding_loop import Auto, LazyEncoder, Work, encode_missing
from trainer.features.families import Space, family_of
from trainer.features.hub import resolve
from trainer.features.image_augmentation import Augmentation, Straying
from trainer.features.image_measures import lookup_measures, measures_store
from trainer.features.key import identity
from trainer.features.store import FeatureStore

DEFAULT_STRAYING = Straying(Augmentation(), seed=0)


@dataclass(frozen=True)
class ExtractReport:
    """What an extraction found and did. ``found == used + len(quarantined) + dropped_duplicates``, always."""

    found: int  # rows and quarantined files together
    used: int  # rows that have a vector
    quarantined: tuple[Quarantined, ...]
    dropped_duplicates: int  # rows that were left out because another shows the same picture
    duplicates: int  # rows, used or dropped, whose picture another row before them shows
    reused: int  # rows whose vector was there already, or is the same picture's as another row's
    encoded: int  # distinct pictures encoded now; reused + encoded == used + dropped_duplicates
    encoder_calls: int  # forward passes, with those that measured the batch size
    elapsed_s: float
    batch_size: int  # pictures per call of the encoder; 0 where nothing was encoded
    processes: int  # that decoded; 0: threads did
    share: dict[str, float]  # of elapsed_s that the encoding thread spent on: load, decode (it waited for
    # pictures), transfer, encode, write (it waited for the disk)
    encoder: str  # for people: name and key; "ready features" where the data brought its vectors
    warnings: tuple[str, ...]  # such as a damaged shard that was set aside


@dataclass(frozen=True)
class Features:
    """Rows with their vectors."""

    manifest: Manifest  # the rows that have a vector; its quarantined names the rest
    vectors_nd: np.ndarray  # float32 [N, D]
    measures_nm: (
        np.ndarray | None
    )  # float32 [N, M], columns as in trainer.data.image_quality.NAMES; NaN for a
    # picture whose vector was stored without them; None where the data brought its vectors
    report: ExtractReport
    views_vnd: np.ndarray | None = None  # float32 [V, N, D], views 1…V of the N rows of train


def extract(
    manifest: Manifest,
    *,
    encoder: str,
    cache_dir: Path,
    device: str = "auto",
    dtype: str = "float32",
    space: Space = "pooled",
    views: int = 0,
    straying: Straying = DEFAULT_STRAYING,
    batch_size: int | Auto = 64,
    workers: int | Auto = 0,
    max_bad: float = 0.05,
    drop_duplicates: bool = False,
    measure: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Features:
    """Give every row its vector: from the data itself, from the store, or from the encoder.

    Pictures that cannot be read or decoded leave the rows and are named in ``quarantined``. What
    was encoded is stored at once, so that a run that was killed goes on where it stopped. A run
    that finds everything stored imports neither torch nor transformers.

    Args:
        encoder: ``demo``, a local folder or a Hugging Face id; unused where the data brings features.
        cache_dir: holds the feature store. One process at a time encodes with one encoder.
        device: "auto", "cpu", "cuda".
        dtype: what the encoder computes in, "float32", "bfloat16", or "auto": bfloat16 where ``device``
            computes in it natively.
        space: "pooled", the image tower's own output, or "shared", the space of images and texts.
        views: how many views to make of each training picture besides itself, for augmentation.
        straying: how these differ from it.
        batch_size: pictures per call of the encoder, "auto": measured (:mod:`trainer.features.batch_size`).
        workers: processes that decode, 0 for threads, "auto": processes once threads do not keep up.
        max_bad: the share of files, 0 to 1, that may be quarantined.
        drop_duplicates: of rows that show the same picture keep one, see :func:`duplicates.repeats`.
        measure: measure each picture that is encoded, once in its life.
        progress: called with (distinct pictures done, distinct pictures), first before any is encoded.

    Raises:
        InputError: the encoder is not to be had or gives unusable vectors; the cache cannot be written.
        TooManyBadFiles: more than ``max_bad`` of the files are quarantined. Vectors made so far stay stored.
    """
    started = time.perf_counter()
    _check_bad(manifest, {}, max_bad)
    if manifest.features_nd is not None:
        kept = _distinct(manifest, drop_duplicates)
        assert kept.features_nd is not None
        report = _report(
            manifest, kept, Work(), calls=0, encoder="ready features", warnings=(), started=started
        )
        return Features(kept, kept.features_nd, None, report)
    if batch_size != "auto" and batch_size < 1:
        raise InputError(f"The batch size is {batch_size}; it must be 1 or more, or auto.")
    if workers != "auto" and workers < 0:
        raise InputError(f"The number of workers is {workers}; it must be 0 or more, or auto.")
    if views < 0:
        raise InputError(f"The number of views is {views}; it must be 0 or more.")
    straying.how.check()
    folder = resolve(encoder)
    dtype = pick_dtype(dtype, device)
    keys = [
        identity(folder, dtype=dtype, cache_dir=cache_dir, space=space, view=view, straying=straying)
        for view in range(views + 1)
    ]
    stores = [FeatureStore(cache_dir / "features", key) for key in keys]
    measures = measures_store(cache_dir / "features") if measure else None
    lazy = LazyEncoder(folder, device=device, dtype=dtype, space=space)
    work = Work()
    train = [manifest.content[row] for row in manifest.rows("train")]
    wanted = [manifest.content, *[train] * views]
    if any(content not in store for store, some in zip(stores, wanted, strict=True) for content in some):
        with ExitStack() as owned:
            for store in sorted(stores, key=lambda one: one.folder):  # one order for all: none waits for ever
                owned.enter_context(store.owner())
            work = encode_missing(
                manifest,
                stores,
                lazy,
                preparation_of(folder),
                straying=straying,
                measures=measures,
                batch_size=batch_size,
                workers=workers,
                memory=cache_dir / "batch_sizes.json",
                progress=progress,
            )
    _check_bad(manifest, work.bad, max_bad)
    manifest = _without(manifest, work.bad)
    kept = _distinct(manifest, drop_duplicates)
    _, vectors_nd = stores[0].lookup(kept.content)
    warnings = [said for one in stores for said in one.warnings]
    warnings += (measures.warnings if measures else []) + work.said
    if keys[0].fields["preprocessing_source"] == "defaults":
        usual = family_of(folder).name
        warnings.append(
            f"{encoder} has no preprocessor_config.json; the usual settings of {usual} were used."
        )
    report = _report(
        manifest,
        kept,
        work,
        calls=lazy.calls,
        encoder=f"{encoder} ({dtype}, key {keys[0].digest[:16]})",
        warnings=warnings,
        started=started,
    )
    return Features(
        kept,
        vectors_nd,
        lookup_measures(measures, kept.content),
        report,
        _views(kept, stores[1:]) if views else None,
    )


def _views(manifest: Manifest, stores: Sequence[FeatureStore]) -> np.ndarray:
    """float32 [V, N, D] of the rows of train."""
    train = [manifest.content[row] for row in manifest.rows("train")]
    return np.stack([store.lookup(train)[1] for store in stores])


def _without(manifest: Manifest, bad: dict[int, str]) -> Manifest:
    """The rows that are not bad; the bad ones join the quarantined."""
    keep = [row for row in range(len(manifest)) if row not in bad]
    more = tuple(Quarantined(manifest.sample_id[row], bad[row]) for row in sorted(bad))
    return replace(manifest.take(keep), quarantined=manifest.quarantined + more)


def _distinct(manifest: Manifest, drop: bool) -> Manifest:
    return manifest.take(np.flatnonzero(~repeats(manifest))) if drop else manifest


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
    calls: int,
    encoder: str,
    warnings: Sequence[str],
    started: float,
) -> ExtractReport:
    elapsed_s = time.perf_counter() - started
    return ExtractReport(
        found=len(manifest) + len(manifest.quarantined),
        used=len(kept),
        quarantined=manifest.quarantined,
        dropped_duplicates=len(manifest) - len(kept),
        duplicates=sum(len(rows) - 1 for rows in same_picture(manifest.content)),
        reused=len(manifest) - work.encoded,
        encoded=work.encoded,
        encoder_calls=calls,
        elapsed_s=elapsed_s,
        batch_size=work.batch_size,
        processes=work.processes,
        share={what: seconds / elapsed_s for what, seconds in work.seconds.items()},
        encoder=encoder,
        warnings=tuple(warnings),
    )
