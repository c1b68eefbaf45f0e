"""Classify image files with a logged head and write a CSV."""

from __future__ import annotations

import io
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainer.core import atomic, errors
from trainer.core.config import check_coverage, require_at_least
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.core.locations import without_password
from trainer.core.text import files_by_extension
from trainer.serving.config import PredictConfig
from trainer.tracking.schema import Artifact, Predicted

# Heavy packages (torch, transformers, MLflow) are imported on use.
if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from trainer.data.manifest import Manifest
    from trainer.features.extract import ExtractReport, Features
    from trainer.serving.predictor import RecordedHead
    from trainer.tracking.reader import RunFiles

NO_SETS = (
    "No prediction sets: the record of this head has no thresholds for them. It was written before they "
    "were kept, or no labelled row was held out. Run the sweep again."
)
SET, IS_OOD = "prediction_set", "is_ood"  # columns of the CSV
SHOWN = 20  # corrupt files listed on the terminal; the CSV and the results have all


def run(config: PredictConfig) -> dict[str, Any]:
    """Classify the images and write the CSV. Returns the results (`schema.Predicted`).

    Raises:
        InputError: no such sweep, model, encoder or image; the CSV cannot be written.
        NoResultError: more files than ``max_bad`` are bad. The CSV of the others is written.
    """
    began = time.time()
    check(config)
    from trainer.features.key import BETWEEN
    from trainer.serving.predictor import folders_of

    recorded, model, source = find_head(config)
    used = recorded.require_encoders()
    folders = folders_of(used, cache_dir=config.cache_dir, instead=config.encoder, model=model)
    named = BETWEEN.join(one.name for one in used)
    say(f"Head: trial {recorded.trial}, {len(recorded.classes)} classes, of {named} ({used[0].dtype}).")
    started = time.time()
    listed = list_images(config, recorded.bits)
    features = encode(config, listed, recorded, folders)
    probs_nc = recorded.probabilities(features.vectors_nd)
    took_s = time.time() - started
    report = features.report
    say_bad(config, report)
    more = further_columns(config, recorded, features.vectors_nd, probs_nc)
    write_csv(config, features, recorded.classes, probs_nc, more)
    taken = Counter(recorded.classes[c] for c in probs_nc.argmax(1)) if len(probs_nc) else Counter()
    figures = {
        **source,
        Predicted.TRIAL: recorded.trial,
        Predicted.ENCODER: BETWEEN.join(map(str, used)),
        Predicted.FOUND: report.found,
        Predicted.PREDICTED: report.used,
        Predicted.BAD: len(report.quarantined),
        Predicted.BAD_FILES: [{"path": path, "reason": reason} for path, reason in report.quarantined],
        Predicted.PASSED_OVER: dict(listed.passed_over),
        Predicted.COUNTS: dict(taken.most_common()),
        Predicted.CLASSES: list(recorded.classes),
        Predicted.REUSED: report.reused,
        Predicted.ENCODER_CALLS: report.encoder_calls,
        Predicted.IMAGES_PER_S: round(report.used / took_s, 1),
        **further_figures(config, recorded, more),
        Predicted.OUT: str(config.out),
        Predicted.ELAPSED_S: round(time.time() - began, 3),
    }
    others = sum(listed.passed_over.values())
    say(
        f"Found {report.found} = predicted {report.used} + bad {len(report.quarantined)}"
        f"{f' (and passed over {others:,} other files)' if others else ''}, "
        f"{figures[Predicted.IMAGES_PER_S]:g} images/s. Predictions: {config.out}"
    )
    if len(report.quarantined) > config.max_bad * report.found:
        raise errors.NoResultError(
            f"{len(report.quarantined)} of {report.found} files cannot be used, more than the "
            f"{config.max_bad:.1%} that --max-bad allows. {config.out} has the predictions of the others.",
            figures,
        )
    return figures


def list_images(config: PredictConfig, bits: int | None) -> Manifest:
    """Return the images as rows; says how many there are by extension, and what was passed over.

    Args:
        bits: as `RecordedHead` has them.

    Raises:
        InputError: there are none.
    """
    from trainer.data.bit_depth import BIT_DEPTHS, with_bits, with_used_bits
    from trainer.data.dataset_summary import notices
    from trainer.data.file_list import read_files

    listed = read_files(config.images)
    if bits is None:
        listed = with_used_bits(listed, cache_file=config.cache_dir / BIT_DEPTHS)
    else:
        listed = with_bits(listed, bits)
    paths = [*listed.sample_id, *(path for path, _ in listed.quarantined)]
    kinds = Counter(os.path.splitext(path)[1].lower() for path in paths)
    say(f"Images: {files_by_extension(kinds)}.")
    for notice in notices(listed):
        say(notice)
    return listed


def say_bad(config: PredictConfig, report: ExtractReport) -> None:
    """Name the files that cannot be used."""
    for path, reason in report.quarantined[:SHOWN]:
        say(f"Bad: {path}: {reason}")
    if len(report.quarantined) > SHOWN:
        say(f"… and {len(report.quarantined) - SHOWN} more, all in {config.out}.")


def further_columns(
    config: PredictConfig, recorded: RecordedHead, vectors_nd: np.ndarray, probs_nc: np.ndarray
) -> dict[str, list[Any]]:
    """Return the columns of the CSV that only some heads can fill, one value for each usable file."""
    more: dict[str, list[Any]] = {}
    sets = recorded.prediction_sets(probs_nc, coverage=config.coverage)
    if sets is not None:
        more[SET] = [json.dumps(one, ensure_ascii=False) for one in sets]
    elif config.coverage is not None:
        say(NO_SETS)
    if recorded.novelty is not None:
        score_n = recorded.novelty.scores(vectors_nd)
        more["ood_score"] = [f"{score:.9g}" for score in score_n]
        more[IS_OOD] = recorded.novelty.is_novel(score_n).tolist()
    return more


def further_figures(
    config: PredictConfig, recorded: RecordedHead, more: Mapping[str, list[Any]]
) -> dict[str, Any]:
    """Return what `further_columns` come to."""
    sizes = [len(json.loads(one)) for one in more.get(SET, [])]
    return {
        Predicted.COVERAGE: (config.coverage or recorded.coverage) if SET in more else None,
        Predicted.SET_SIZE: round(sum(sizes) / len(sizes), 3) if sizes else None,
        Predicted.OOD: sum(more[IS_OOD]) if IS_OOD in more else None,
    }


def check(config: PredictConfig) -> None:
    """Raise InputError for invalid flags."""
    require_at_least(config, top_k=1)
    if config.coverage is not None:
        check_coverage(config.coverage)
    if not 0 <= config.max_bad <= 1:
        raise InputError(f"--max-bad is {config.max_bad}; it must be a share between 0 and 1.")
    if config.run is not None and config.model_uri is not None:
        raise InputError("--run and --model-uri both name a head; pass one of them.")
    if config.out.is_dir():
        raise InputError(f"--out {config.out} is a folder; pass the name of a file.")


def find_head(config: PredictConfig) -> tuple[RecordedHead, Path | None, dict[str, Any]]:
    """Return the head, the folder of its model (None: of a sweep), and the source for the results.

    Raises:
        InputError: there is no such head, or it was trained on precomputed features.
    """
    from trainer.tracking.client import download
    from trainer.tracking.reader import RunFiles

    if config.model_uri is not None:
        from trainer.serving.packaging import DATA
        from trainer.serving.predictor import read_folder

        folder = download(config.tracking_uri, config.model_uri, flag="--model-uri") / "data" / DATA
        return read_folder(folder), folder, {Predicted.RUN_ID: None, Predicted.MODEL: config.model_uri}
    run_id = config.run or newest_sweep(config)
    recorded = load_best_head(RunFiles(config.tracking_uri, run_id))
    recorded.require_encoders()
    return recorded, None, {Predicted.RUN_ID: run_id, Predicted.MODEL: None}


def newest_sweep(config: PredictConfig) -> str:
    """Return the newest finished sweep with a head for images. Raises InputError if there is none."""
    from trainer.tracking.reader import RunFiles
    from trainer.tracking.studies import finished_runs

    for run_id in finished_runs(config.tracking_uri, config.experiment):
        try:
            if load_best_head(RunFiles(config.tracking_uri, run_id)).encoders:
                say(f"Sweep {run_id}, the newest (--run takes another).")
                return run_id
        except InputError:
            continue
    raise InputError(
        f"No finished sweep with a head for images is in {without_password(config.tracking_uri)}, experiment "
        f"{config.experiment}. Run one first: python -m trainer.sweep --data FOLDER"
    )


def load_best_head(files: RunFiles) -> RecordedHead:
    """Load the best head of a sweep.

    Raises:
        InputError: no head was logged, or the run is a trial other than the best.
    """
    from trainer.serving.predictor import read_head

    recorded = read_head(files.read(Artifact.HEAD_CARD), files.read(Artifact.HEAD_WEIGHTS))
    if files.trial is not None and files.trial != recorded.trial:
        raise InputError(
            f"--run: the sweep {files.sweep} logged the head of trial {recorded.trial}, not of trial "
            f"{files.trial}. Pass the id of the sweep."
        )
    return recorded


def encode(
    config: PredictConfig, found: Manifest, recorded: RecordedHead, folders: Sequence[Path]
) -> Features:
    """Extract the features of all usable files, as in training, with the encoders in ``folders``."""
    from trainer.features.extract import extract
    from trainer.features.hub import JOIN
    from trainer.features.settings import EncoderSettings

    used = recorded.encoders[0]  # all were used with the same flags
    settings = EncoderSettings(
        encoder=JOIN.join(map(str, folders)),
        cache_dir=config.cache_dir,
        device=config.device,
        dtype=used.dtype,
        space=used.recipe,
        batch_size=config.batch_size,
        workers=config.workers,
        max_bad=1.0,
        measure=False,
    )
    with bar("Predicting", "images") as progress:
        features = extract(found, settings, progress=progress.update)
    for warning in features.report.warnings:
        say(f"Warning: {warning}")
    return features


def write_csv(
    config: PredictConfig,
    features: Features,
    classes: tuple[str, ...],
    probs_nc: np.ndarray,
    more: Mapping[str, list[Any]],
) -> None:
    """Write the CSV atomically: usable files in order, then corrupt ones with their reasons.

    Args:
        more: further columns, of the usable files.

    Raises:
        InputError: it cannot be written.
    """
    import csv

    shown = min(config.top_k, len(classes))
    names = [f"{what}_{k + 1}" for k in range(shown) for what in ("label", "probability")]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["path", *names, *more, "error"])
    for i, (path, probs_c) in enumerate(zip(features.manifest.sample_id, probs_nc, strict=True)):
        best = (-probs_c).argsort(kind="stable")[:shown]
        values = [value for c in best for value in (classes[c], f"{probs_c[c]:.9g}")]
        rows.writerow([path, *values, *(column[i] for column in more.values()), ""])
    for path, reason in features.report.quarantined:
        rows.writerow([path, *[""] * len([*names, *more]), reason])
    try:
        atomic.write_bytes(config.out, text.getvalue().encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise InputError(f"--out {config.out} cannot be written: {error.strerror}.") from error
