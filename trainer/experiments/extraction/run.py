"""Encode images into the feature cache and report on data quality."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from trainer.core import signals
from trainer.core.config import command_line, new_study_name, require_at_least
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.core.memory import peak_bytes
from trainer.experiments import base
from trainer.experiments.extraction.config import ExtractConfig
from trainer.experiments.extraction.part import parse_part, run_part
from trainer.experiments.inputs import (
    encode_rows,
    encoder_settings,
    read_rows,
    recipe_of,
    require_captions,
    require_one_encoder,
)
from trainer.tracking.schema import Artifact, Extracted, Kind, Tag

# Heavy rooms (scikit-learn, pandas, MLflow) are imported where they are entered.
if TYPE_CHECKING:
    from trainer.features.extract import ExtractReport, Features
    from trainer.features.settings import EncoderSettings
    from trainer.tracking.writer import RunWriter

SHOWN = 20  # quarantined files named on the terminal; all of them are in the figures


def run(config: ExtractConfig) -> dict[str, Any]:
    """Extract, or find that everything is there already. Returns the figures (`schema.Extracted`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable. What was encoded stays stored.
    """
    began = time.perf_counter()
    require_at_least(config, seed=0)
    if config.captions or config.space == "shared":
        require_one_encoder(config, "Images and texts share a space of one.")
    from trainer.features.text_features import check_texts
    from trainer.tracking import database
    from trainer.tracking.client import check_may_write

    part = None if config.part is None else parse_part(config.part)
    if part is None:
        database.check(config.tracking_uri)
        check_may_write(config.tracking_uri, config.experiment)
    settings = settings_of(config)
    if part is not None:
        return run_part(config, settings, part)
    manifest = read_rows(config)
    if config.captions:
        require_captions(config, manifest, wanted=" to encode", flag="--captions")
        check_texts(settings)
    features = encode_rows(config, manifest, settings, to_train=False)
    texts = encode_captions(config, settings, features) if config.captions else {}
    report = features.report
    say_quarantined(report)

    from trainer.experiments.data_quality import Quality

    quality = Quality(features)
    quality.tell()
    with ExitStack() as opened:
        with signals.held():
            writer = opened.enter_context(open_run(config, features))
        quality.log(writer)
        figures = {
            Extracted.RUN_ID: writer.run_id,
            **figures_of(report),
            Extracted.PASSED_OVER: dict(features.manifest.passed_over),
            **texts,
            **quality.figures(),
            Extracted.PEAK_MEMORY: peak_bytes(),
            Extracted.ELAPSED_S: round(time.perf_counter() - began, 3),
        }
        writer.metrics({name: figures[name] for name in Extracted.METRICS})
        writer.file(Artifact.SUMMARY, json.dumps(figures, indent=2).encode())
    say(f"Peak memory: {figures[Extracted.PEAK_MEMORY] / 2**30:.1f} GiB.")
    say("See Data quality in the dashboard: streamlit run dashboard/Home.py")
    quarantine = [{"path": path, "reason": reason} for path, reason in report.quarantined]
    return figures | {Extracted.QUARANTINE: quarantine}


def settings_of(config: ExtractConfig) -> EncoderSettings:
    """Return how the images are encoded. Raises InputError for flags that exclude each other."""
    from trainer.features.backbone import pick_device

    if config.space == "shared" and config.features != ("pooled",):
        raise InputError("--space shared has no other --features than pooled. Leave out one of the two.")
    return encoder_settings(
        config,
        pick_device(config.device),
        space="shared" if config.space == "shared" else recipe_of(config),
        views=config.views,
        augment=config.augment,
    )


def say_quarantined(report: ExtractReport) -> None:
    """Name the files that cannot be used."""
    for path, reason in report.quarantined[:SHOWN]:
        say(f"Quarantined: {path}: {reason}")
    if len(report.quarantined) > SHOWN:
        say(f"… and {len(report.quarantined) - SHOWN} more.")


def encode_captions(config: ExtractConfig, settings: EncoderSettings, features: Features) -> dict[str, Any]:
    """Encode the captions of the rows that were used. Returns the figures."""
    from trainer.features.text_features import encode_texts

    captions = [caption for caption in features.manifest.caption if caption]
    with bar("Encoding", "captions") as progress:
        texts = encode_texts(captions, settings, progress=progress.update)
    cut = int(texts.truncated_n.sum())
    say(
        f"Captions: {len(captions)} of {len(features.manifest)} rows have one, {texts.encoded} encoded now; "
        f"{cut} are longer than the {texts.length} tokens that the encoder sees: their end does not count."
    )
    return {
        Extracted.CAPTIONS: len(captions),
        Extracted.CAPTIONS_ENCODED: texts.encoded,
        Extracted.CAPTIONS_CUT: cut,
    }


def figures_of(report: ExtractReport) -> dict[str, Any]:
    """Return what was found and done."""
    return {
        Extracted.FOUND: report.found,
        Extracted.USED: report.used,
        Extracted.QUARANTINED: len(report.quarantined),
        Extracted.DROPPED: report.dropped_duplicates,
        Extracted.DROPPED_CONFLICTS: report.dropped_conflicts,
        Extracted.DUPLICATES: report.duplicates,
        Extracted.REUSED: report.reused,
        Extracted.ENCODED: report.encoded,
        Extracted.ENCODER_CALLS: report.encoder_calls,
        Extracted.IMAGES_PER_S: round(report.encoded / report.elapsed_s, 1),
        Extracted.BATCH_SIZE: report.batch_size,
        Extracted.PROCESSES: report.processes,
        Extracted.SHARE_OF_TIME: {what: round(share, 3) for what, share in report.share.items()},
        Extracted.ENCODER: report.encoder,
    }


def open_run(config: ExtractConfig, features: Features) -> RunWriter:
    """Open a run of its own in the same experiment as the sweeps."""
    from trainer.data.dataset_summary import summarise

    base.close_lost_runs(config)
    tags = {
        Tag.DIGEST: features.manifest.digest,
        Tag.DATA_SUMMARY: summarise(features.manifest),
        Tag.ENCODER: features.report.encoder,
        Tag.COMMAND: command_line("trainer.extract", config),
    }
    return base.start_run(config, Kind.EXTRACTION, study=new_study_name(config.data), tags=tags)
