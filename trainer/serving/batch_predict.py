"""Answer image files with a logged head and write a CSV."""

from __future__ import annotations

import io
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.core import atomic, errors
from trainer.core.config import check_coverage, require_at_least
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.core.locations import without_password
from trainer.core.text import files_by_extension
from trainer.serving.answer_columns import HIGH, IS_OOD, LABELS, LOW, NUMBER, PROBABILITY_OF, SCORE, SET
from trainer.serving.config import PredictConfig
from trainer.tracking.schema import SWEEP_KINDS, Artifact, Kind, Predicted

# Heavy packages (torch, transformers, MLflow) are imported on use.
if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from trainer.data.manifest import Manifest
    from trainer.features.extract import ExtractReport, Features
    from trainer.features.settings import EncoderSettings
    from trainer.serving.fused import RecordedFusion
    from trainer.serving.predictor import RecordedHead, SaidLabels
    from trainer.tracking.reader import RunFiles

NO_SETS = (
    "No prediction sets: the record of this head has no thresholds for them. It was written before they "
    "were kept, or no labelled row was held out. Run the sweep again."
)
NO_INTERVALS = (
    "No intervals: too few labelled rows were held out for this coverage when the head was trained."
)
NO_SETS_OF_LABELS = (
    "No prediction sets: this head says several labels per image. The column labels has those whose "
    "probability reaches their threshold."
)
SHOWN = 20  # corrupt files listed on the terminal; the CSV and the results have all


def run(config: PredictConfig) -> dict[str, Any]:
    """Classify the images and write the CSV. Returns the results (`schema.Predicted`).

    Raises:
        InputError: no such sweep, model, encoder or image; the CSV cannot be written.
        NoResultError: more files than ``max_bad`` are bad. The CSV of the others is written.
    """
    began = time.perf_counter()  # the clock may be set meanwhile
    check(config)
    from trainer.features.key import BETWEEN
    from trainer.serving.predictor import folders_of

    recorded, model, source, fusion = find_head(config)
    used = recorded.require_encoders()
    folders = folders_of(used, cache_dir=config.cache_folder, instead=config.encoder, model=model)
    named = BETWEEN.join(one.name for one in used)
    say(f"Head: trial {recorded.trial}, {recorded.what}, of {named} ({used[0].dtype}).")
    started = time.perf_counter()
    listed = list_images(config, recorded.bits)
    read = [one for one in listed.images or () if isinstance(one, Path)]
    atomic.check_output(config.out, "--out", inputs=read)
    features = encode(config, listed, recorded, folders)
    answer_nc = answers_of(config, fusion or recorded, features, folders)
    probs_nc = answer_nc[:, : len(recorded.classes)]  # no columns of a head of numbers, or of labels
    took_s = time.perf_counter() - started
    report = features.report
    say_bad(config, report)
    more = further_columns(config, recorded, features.vectors_nd, answer_nc)
    write_csv(config, features, recorded.classes, probs_nc, more)
    figures = {
        **source,
        Predicted.TRIAL: recorded.trial,
        Predicted.ENCODER: BETWEEN.join(map(str, used)),
        Predicted.FOUND: report.found,
        Predicted.PREDICTED: report.used,
        Predicted.BAD: len(report.quarantined),
        Predicted.BAD_FILES: [{"path": path, "reason": reason} for path, reason in report.quarantined],
        Predicted.PASSED_OVER: dict(listed.passed_over),
        Predicted.COUNTS: counts_of(recorded, answer_nc),
        Predicted.CLASSES: list(recorded.classes or recorded.labels),
        Predicted.REUSED: report.reused,
        Predicted.ENCODER_CALLS: report.encoder_calls,
        Predicted.IMAGES_PER_S: round(report.used / took_s, 1),
        **further_figures(config, recorded, more),
        Predicted.OUT: str(config.out),
        Predicted.ELAPSED_S: round(time.perf_counter() - began, 3),
    }
    say_done(figures)
    if len(report.quarantined) > config.max_bad * report.found:
        raise errors.NoResultError(
            f"{len(report.quarantined)} of {report.found} files cannot be used, more than the "
            f"{config.max_bad:.1%} that --max-bad allows. {config.out} has the predictions of the others.",
            figures,
        )
    return figures


def say_done(figures: Mapping[str, Any]) -> None:
    """Say how many files were found, and what became of them."""
    others = sum(figures[Predicted.PASSED_OVER].values())
    say(
        f"Found {figures[Predicted.FOUND]} = predicted {figures[Predicted.PREDICTED]} + bad "
        f"{figures[Predicted.BAD]}{f' (and passed over {others:,} other files)' if others else ''}, "
        f"{figures[Predicted.IMAGES_PER_S]:g} images/s. Predictions: {figures[Predicted.OUT]}"
    )


def counts_of(recorded: RecordedHead, answer_nc: np.ndarray) -> dict[str, int]:
    """Return how many images are predicted as each class, or said to have each label, the most frequent
    first; {} of numbers."""
    if recorded.numbers or not answer_nc.size:
        return {}
    if recorded.said is not None:
        _, said_k = (answer_nc >= recorded.said.thresholds_c).nonzero()
        return dict(Counter(recorded.labels[c] for c in said_k).most_common())
    return dict(Counter(recorded.classes[c] for c in answer_nc.argmax(1)).most_common())


def list_images(config: PredictConfig, bits: int | None) -> Manifest:
    """Return the images as rows; says how many there are by extension, and what was passed over.

    Args:
        bits: as `RecordedHead` has them.

    Raises:
        InputError: there are none.
    """
    from trainer.data import image_memory
    from trainer.data.bit_depth import BIT_DEPTHS, with_bits_of_head
    from trainer.data.dataset_summary import notices
    from trainer.data.file_list import read_files

    image_memory.set_limit(config.max_memory)
    cache_file = config.cache_folder / BIT_DEPTHS
    listed = with_bits_of_head(read_files(config.images), bits, cache_file=cache_file)
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
    config: PredictConfig, recorded: RecordedHead, vectors_nd: np.ndarray, answer_nc: np.ndarray
) -> dict[str, list[Any]]:
    """Return the columns of the CSV that only some heads can fill, one value for each usable file."""
    if recorded.numbers:
        return number_columns(config, recorded, answer_nc[:, 0])
    more = {} if recorded.said is None else label_columns(recorded.said, answer_nc)
    sets = recorded.prediction_sets(answer_nc, coverage=config.coverage)
    if sets is not None:
        more[SET] = [json.dumps(one, ensure_ascii=False) for one in sets]
    elif config.coverage is not None:
        say(NO_SETS_OF_LABELS if recorded.labels else NO_SETS)
    if recorded.novelty is not None:
        score_n = recorded.novelty.scores(vectors_nd)
        more[SCORE] = [f"{score:.9g}" for score in score_n]
        more[IS_OOD] = recorded.novelty.is_novel(score_n).tolist()
    return more


def label_columns(said: SaidLabels, probability_nc: np.ndarray) -> dict[str, list[Any]]:
    """Return the columns of several labels: those that are said, and the probability of each."""
    columns: dict[str, list[Any]] = {LABELS: said.joined(probability_nc)}
    for name, probability_n in zip(said.names, probability_nc.T, strict=True):
        columns[PROBABILITY_OF.format(name)] = [f"{one:.9g}" for one in probability_n]
    return columns


def number_columns(
    config: PredictConfig, recorded: RecordedHead, number_n: np.ndarray
) -> dict[str, list[Any]]:
    """Return the columns of predicted numbers, with the ends of their intervals where there are any."""
    columns = {NUMBER: [f"{one:.9g}" for one in number_n]}
    width = recorded.half_width(config.coverage)
    if width is None:
        say(NO_INTERVALS)
        return columns
    ends = {LOW: number_n - width, HIGH: number_n + width}
    return columns | {name: [f"{one:.9g}" for one in end_n] for name, end_n in ends.items()}


def further_figures(
    config: PredictConfig, recorded: RecordedHead, more: Mapping[str, list[Any]]
) -> dict[str, Any]:
    """Return what `further_columns` come to."""
    sizes = [len(json.loads(one)) for one in more.get(SET, [])]
    return {
        Predicted.COVERAGE: (config.coverage or recorded.coverage) if {SET, LOW} & set(more) else None,
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
    atomic.check_output(config.out, "--out", inputs=config.images)


class FoundHead(NamedTuple):
    """A head and where it is from."""

    recorded: RecordedHead  # of a fusion its head on images alone
    model: Path | None  # folder of the model with its encoder; None: the encoder is found by its name
    source: dict[str, Any]  # for the results
    fusion: RecordedFusion | None = None


def find_head(config: PredictConfig) -> FoundHead:
    """Return the head that is asked for.

    Raises:
        InputError: there is no such head, or it was trained on precomputed features.
    """
    from trainer.tracking.client import download
    from trainer.tracking.reader import RunFiles

    if config.model_uri is not None:
        from trainer.serving.fused import FUSED_CARD, FUSED_WEIGHTS, read_fusion
        from trainer.serving.packaging import DATA
        from trainer.serving.predictor import read_folder

        folder = download(config.tracking_uri, config.model_uri, flag="--model-uri") / "data" / DATA
        source = {Predicted.RUN_ID: None, Predicted.MODEL: config.model_uri}
        if (folder / FUSED_CARD).is_file():
            fusion = read_fusion(*((folder / name).read_bytes() for name in (FUSED_CARD, FUSED_WEIGHTS)))
            return FoundHead(fusion.image, folder, source, fusion)
        return FoundHead(read_folder(folder), folder, source)
    run_id = config.run or newest_sweep(config)
    files = RunFiles(config.tracking_uri, run_id, kinds=(*SWEEP_KINDS, Kind.FUSION))
    source = {Predicted.RUN_ID: run_id, Predicted.MODEL: None}
    if files.kind == Kind.FUSION:
        from trainer.serving.fused import read_fusion

        fusion = read_fusion(files.read(Artifact.FUSED_CARD), files.read(Artifact.FUSED_WEIGHTS))
        return FoundHead(fusion.image, None, source, fusion)
    recorded = load_best_head(files)
    recorded.require_encoders()
    return FoundHead(recorded, carrying_model(files), source)


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
    """Load the best head of a sweep or a fine-tuning.

    Raises:
        InputError: no head was logged, or the run is a trial other than the best.
    """
    from trainer.serving.predictor import read_head

    try:
        card, weights = files.read(Artifact.HEAD_CARD), files.read(Artifact.HEAD_WEIGHTS)
    except InputError as error:
        if files.kind != Kind.FINE_TUNING:
            raise
        raise InputError(
            f"The fine-tuning {files.sweep} has no model on record: it has not ended, or an earlier version "
            "made it, which logged none. Resume it with --study, or run it again under a new one."
        ) from error
    recorded = read_head(card, weights)
    if files.trial is not None and files.trial != recorded.trial:
        raise InputError(
            f"--run: the {files.kind} {files.sweep} logged the head of trial {recorded.trial}, not of trial "
            f"{files.trial}. Pass the id of the {files.kind}."
        )
    return recorded


def carrying_model(files: RunFiles) -> Path | None:
    """Return the folder of the model that carries a fine-tuned encoder; None of a sweep, whose encoder is
    found by its name."""
    return files.folder(Artifact.MODEL_DATA) if files.kind == Kind.FINE_TUNING else None


def encode(
    config: PredictConfig, found: Manifest, recorded: RecordedHead, folders: Sequence[Path]
) -> Features:
    """Extract the features of all usable files, as in training, with the encoders in ``folders``."""
    from trainer.features.extract import extract

    with bar("Predicting", "images") as progress:
        features = extract(found, settings_of(config, recorded, folders), progress=progress.update)
    for warning in features.report.warnings:
        say(f"Warning: {warning}")
    return features


def settings_of(config: PredictConfig, recorded: RecordedHead, folders: Sequence[Path]) -> EncoderSettings:
    """Return how the encoders in ``folders`` are run."""
    from trainer.features.hub import JOIN
    from trainer.features.settings import EncoderSettings

    used = recorded.encoders[0]  # all were used with the same flags
    return EncoderSettings(
        encoder=JOIN.join(map(str, folders)),
        cache_dir=config.cache_folder,
        device=config.device,
        dtype=used.dtype,
        space=used.recipe,
        batch_size=config.batch_size,
        workers=config.workers,
        max_bad=1.0,
        measure=False,
    )


def answers_of(
    config: PredictConfig, head: RecordedHead | RecordedFusion, features: Features, folders: Sequence[Path]
) -> np.ndarray:
    """Return probabilities of classes or labels [N, C] of images, or numbers [N, 1]; of a fusion with the
    captions that lie beside them."""
    from trainer.features.text_features import encode_texts
    from trainer.serving.fused import check_text_tower
    from trainer.serving.predictor import RecordedHead

    if isinstance(head, RecordedHead):
        return head.answers(features.vectors_nd)
    settings = settings_of(config, head.image, folders)
    check_text_tower(head, settings.folder, dtype=settings.compute_dtype, cache_dir=config.cache_folder)
    captions = captions_of(config.images, features.manifest.sample_id)
    with_one = sum(map(bool, captions))
    say(
        f"Captions: {with_one} of {len(captions)} images have one in a metadata.csv; the others are "
        "classified by the image alone."
    )
    return head.probabilities(
        features.vectors_nd, captions, lambda texts: encode_texts(texts, settings).vectors_ne
    )


def captions_of(given: Sequence[Path], paths: Sequence[str]) -> list[str]:
    """Return the caption of each image from the metadata.csv or .jsonl of the given folders, or of a given
    file's folder; "" where there is none.

    Raises:
        InputError: such a file cannot be read.
    """
    from trainer.data.metadata import read_metadata

    roots = dict.fromkeys(one if one.is_dir() else one.parent for one in given)
    found = {
        os.path.realpath(root / name): entry.caption
        for root in roots
        for name, entry in read_metadata(root).entries.items()
    }
    return [found.get(os.path.realpath(path), "") for path in paths]


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
    atomic.write_output(config.out, text.getvalue().encode("utf-8", "surrogatepass"), "--out")
