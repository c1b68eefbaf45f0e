"""Measure what data filters and augmentation change, with paired tests."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.core.config import command_line, require_at_least
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.experiments.ablation.config import AblateConfig
from trainer.experiments.base import open_run
from trainer.experiments.hardware import precision, slab_bytes
from trainer.experiments.inputs import encoder_settings, read_features, training_data
from trainer.tracking.schema import Ablated, Artifact, Kind, Scores

# Heavy rooms (torch, transformers, MLflow) are imported where they are entered.
if TYPE_CHECKING:
    import numpy as np
    import torch

    from trainer.data.manifest import Manifest
    from trainer.experiments.ablation.design import Cell
    from trainer.experiments.ablation.record import Record
    from trainer.experiments.ablation.scoring import Scored
    from trainer.features.extract import Features
    from trainer.heads.head_config import HeadSpec
    from trainer.heads.training_data import TrainingData
    from trainer.tracking.writer import SweepWriter

FEWEST_SEEDS = 6
VIEWS = 2  # augmented views of each training picture, where there are pictures
LINEAR = {"lr": 3e-3, "epochs": 40}
MLP = {"hidden": (128,), "dropout": 0.2, "lr": 1e-3, "epochs": 40}


class Subject(NamedTuple):
    """One encoder's rows."""

    encoder: str
    data: TrainingData
    test_x_nd: torch.Tensor
    specs: dict[tuple[int, bool], HeadSpec]  # of every arm: (cell, random)


def run(config: AblateConfig) -> dict[str, Any]:
    """Run an ablation, or the rest of one. Returns its figures (`schema.Ablated`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    began = time.time()
    require_at_least(config, seeds=FEWEST_SEEDS, seed=0, retune=0)
    config.wording.check()
    from trainer.experiments.ablation.design import read as read_filters
    from trainer.features.backbone import pick_device
    from trainer.tracking import database

    database.check(config.tracking_uri)
    written = [one for axis in config.grid for one in axis.split(",")] + list(config.filters)
    list(read_filters(written))  # before anything is encoded
    device = pick_device(config.device)
    spec = head_of(config)
    views = views_of(config, spec)
    features = read(config, device, views=views)
    scored = score(config, device, features)
    cells = cells_of(config, scored, augment=features.views_vnd is not None)
    from trainer.experiments.ablation import findings

    for line in findings.of_filters(scored, cells):
        say(line)
    if config.dry_run:
        return findings.figures_of_scores(scored, cells) | {Ablated.ELAPSED_S: round(time.time() - began, 3)}

    from trainer.experiments.ablation.record import Record
    from trainer.search.study import head_seeds

    subjects = [prepared(config, device, features, cells, scored, spec)]
    for encoder in config.encoders:
        others = read(dataclasses.replace(config, encoder=encoder), device, views=views)
        if others.manifest.sample_id != features.manifest.sample_id:
            raise InputError(f"{encoder} could not read the same pictures as {subjects[0].encoder}.")
        if others.report.encoder in {subject.encoder for subject in subjects}:
            raise InputError(f"{others.report.encoder} is among the encoders twice. Name each once.")
        subjects.append(prepared(config, device, others, cells, scored, spec))
    with open_run(
        config,
        identity(config, features, cells, subjects, spec),
        kind=Kind.ABLATION,
        module="trainer.ablate",
        about=f"{len(cells)} cells × {config.seeds} seeds",
    ) as writer:
        seeds = head_seeds(config.seed, config.seeds)
        record = Record(writer.read_table(Artifact.ANSWERS), writer.read_table(Artifact.CURVES), seeds=seeds)
        summary = json.loads(writer.read_file(Artifact.SUMMARY) or "{}")
        figures = summary
        if summary.get(Ablated.SEEDS, 0) < config.seeds:
            log_scores(config, writer, scored, cells)
            train(config, subjects, cells, scored, seeds=seeds, record=record, writer=writer)
            figures = conclude(
                config, features, scored, cells, subjects, record=record, writer=writer, began=began
            )
            writer.file(Artifact.SUMMARY, json.dumps(figures, indent=2).encode())
        else:
            say(f"Study {writer.study}: all of its {summary[Ablated.SEEDS]} seeds are on record.")
        say(f"\n{figures[Ablated.ADVICE]}\n")
        if config.report is not None:
            write_report(config.report, writer)
    return {name: value for name, value in figures.items() if name not in Ablated.ONLY_IN_FILE}


# --- before training --------------------------------------------------------------------------


def head_of(config: AblateConfig) -> HeadSpec:
    """The head that all cells train.

    Raises:
        InputError: there is no such head.
    """
    from trainer.heads.head_config import HeadSpec

    if config.head in ("linear", "mlp"):
        spec = HeadSpec(**(LINEAR if config.head == "linear" else MLP))
    else:
        from trainer.experiments.recorded_head import recorded_head
        from trainer.tracking.reader import RunFiles

        _, spec, _ = recorded_head(RunFiles(config.tracking_uri, config.head), flag="--head")
    weight = spec.class_weight if config.class_weight is None else config.class_weight
    return dataclasses.replace(spec, class_weight=weight, weights="last")


def views_of(config: AblateConfig, spec: HeadSpec) -> int:
    """How many views to make.

    Raises:
        InputError: there shall be some, for a head that cannot be trained on them.
    """
    if spec.solver == "lbfgs":
        if config.views:
            raise InputError(
                f"--views is {config.views}, but the head of {config.head} is a logistic regression, which "
                "is fitted to the pictures themselves. Pass --views 0, or --head linear."
            )
        return 0
    if config.dry_run:
        return 0
    return VIEWS if config.views is None else config.views


def read(config: AblateConfig, device: str, *, views: int) -> Features:
    """Rows with vectors and views, and with the damage that is planted.

    Raises:
        InputError: data or encoder cannot be used; a picture or a group stands in two splits.
    """
    features = read_features(
        config,
        encoder_settings(config, device, views=views),
        to_train=not config.dry_run,
        corrupt=lambda manifest: planted(config, manifest),
    )
    if config.views and features.views_vnd is None and not config.dry_run:
        raise InputError(f"--views is {config.views}, but {config.data} brings ready features. Leave it out.")
    return features


def planted(config: AblateConfig, manifest: Manifest) -> Manifest:
    """The rows with the damage that was asked for."""
    from trainer.data.corruption import degrade_source, flip_labels, shuffle_captions

    if config.dry_run and len(manifest.classes) < 2:  # nothing to train or to test: all rows are looked at
        import numpy as np

        manifest = dataclasses.replace(manifest, split_n=np.full(len(manifest), "train"))
    for share, plant in (
        (config.mismatch, flip_labels),
        (config.bad_source, degrade_source),
        (config.shuffle_captions, shuffle_captions),
    ):
        if share:
            manifest = plant(manifest, share, seed=config.seed)
    return manifest


def score(config: AblateConfig, device: str, features: Features) -> Scored:
    """Every score that these training rows can have.

    Raises:
        InputError: the aesthetic predictor, or the encoder that scores, cannot be used.
    """
    from trainer.experiments.ablation.scoring import Scored, Scoring
    from trainer.experiments.data_quality import Quality

    settings = encoder_settings(
        config,
        device,
        encoder=config.score_encoder or encoder_settings(config, device).encoder,
        space="shared",
        max_bad=1.0,  # what cannot be read has left already
        drop_duplicates=False,
        measure=False,
    )
    quality = Quality(features)
    quality.tell()
    with bar("Scoring", "images") as progress:
        return Scored(
            features,
            Scoring(
                settings,
                aesthetic=config.aesthetic,
                of=config.captions_count,
                wording=config.wording,
                seed=config.seed,
            ),
            group_n=quality.group_n,
            progress=progress.update,
        )


def cells_of(config: AblateConfig, scored: Scored, *, augment: bool) -> list[Cell]:
    """The cells that the flags ask for.

    Raises:
        InputError: a filter cannot be read, asks for a score that is not there, or empties a class.
    """
    from trainer.experiments.ablation.design import design, usual

    how: dict[str, Any] = {"augment": augment, "why_not": scored.why_not}
    if config.grid or config.filters:
        return design(scored.rows, axes=config.grid, alone=config.filters, **how)
    axes, alone = usual(scored.rows)
    left_out: list[str] = []
    cells = design(scored.rows, axes=axes, alone=alone, left_out=left_out, **how)
    if left_out:
        say(f"Left out, for they would empty a class: {', '.join(left_out)}.")
    return cells


def prepared(
    config: AblateConfig, device: str, features: Features, cells: list[Cell], scored: Scored, spec: HeadSpec
) -> Subject:
    """One encoder's rows on the device, and the head of every arm: the same, or tuned for each."""
    import torch

    from trainer.experiments.ablation.design import random_choice
    from trainer.experiments.ablation.training import arms_of, candidates, tune

    data = training_data(features, device)
    test_x_nd = torch.as_tensor(features.vectors_nd[features.manifest.rows("test")]).to(device)
    arms = arms_of(cells, lambda cell: random_choice(cell, scored.rows, seed=config.seed, draw=0))
    specs = [spec] * len(arms)
    if config.retune:
        tried = candidates(config.retune, like=spec, seed=config.seed)
        with bar(f"Tuning {len(arms)} arms", "configurations") as progress:
            specs = tune(
                arms,
                tried,
                data,
                seed=config.seed,
                precision=precision(config),
                slab_bytes=slab_bytes(config, data, seeds=1),
                progress=progress.update,
            )
    by_arm = {(arm.cell, arm.random): one for arm, one in zip(arms, specs, strict=True)}
    return Subject(features.report.encoder, data, test_x_nd, by_arm)


def identity(
    config: AblateConfig, features: Features, cells: list[Cell], subjects: list[Subject], spec: HeadSpec
) -> dict[str, Any]:
    """What must not change while an ablation goes on: its seeds could not be compared."""
    masks = hashlib.sha256(b"".join(cell.keep_n.tobytes() for cell in cells)).hexdigest()
    return {
        "data digest": features.manifest.digest,
        "encoder": ", ".join(subject.encoder for subject in subjects),
        "cells": [str(cell) for cell in cells],
        "rows kept": masks,
        "head": dataclasses.asdict(spec),
        "retune": config.retune,
        "views": 0 if features.views_vnd is None else len(features.views_vnd),
        "precision": precision(config),
        "seed": config.seed,
    }


# --- training, and the end --------------------------------------------------------------------


def train(
    config: AblateConfig,
    subjects: list[Subject],
    cells: list[Cell],
    scored: Scored,
    *,
    seeds: list[int],
    record: Record,
    writer: SweepWriter,
) -> None:
    """Train what is missing from the record, one encoder and one seed at a time."""
    from trainer.experiments.ablation.design import random_choice
    from trainer.experiments.ablation.training import arms_of
    from trainer.experiments.ablation.training import train as train_arms

    missing = [
        (number, seed)
        for seed in seeds
        for number, subject in enumerate(subjects)
        if not record.has(subject.encoder, seed)
    ]
    if len(missing) < len(seeds) * len(subjects):
        done = len(seeds) * len(subjects) - len(missing)
        say(f"Resuming {writer.study}: {done} of {len(seeds) * len(subjects)} rounds are on record.")
    with bar("Training", "head-epochs") as progress:
        trained = 0
        each = len(subjects[0].specs)
        epochs = {
            number: sum(spec.epochs for spec in subject.specs.values())
            for number, subject in enumerate(subjects)
        }
        total = sum(epochs[number] for number, _ in missing)
        for round_number, (number, seed) in enumerate(missing):
            subject = subjects[number]

            def tell(added: int, at: int = round_number) -> None:
                nonlocal trained
                trained += added
                progress.update(
                    min(trained, total), total, f"round {at + 1}/{len(missing)} of {each} heads each"
                )

            def choose(cell: Cell, seed: int = seed) -> np.ndarray:
                return random_choice(cell, scored.rows, seed=config.seed, draw=seed)

            arms = arms_of(cells, choose)
            answers = train_arms(
                arms,
                [subject.specs[arm.cell, arm.random] for arm in arms],
                subject.data,
                subject.test_x_nd,
                seed=seed,
                precision=precision(config),
                slab_bytes=slab_bytes(config, subject.data, seeds=1),
                progress=tell,
            )
            record.add(subject.encoder, seed, answers, first_row=number * len(cells))
            # ANSWERS is written last: a round counts once it stands there
            writer.table(Artifact.CURVES, record.curves)
            writer.table(Artifact.ANSWERS, record.answers)


def conclude(
    config: AblateConfig,
    features: Features,
    scored: Scored,
    cells: list[Cell],
    subjects: list[Subject],
    *,
    record: Record,
    writer: SweepWriter,
    began: float,
) -> dict[str, Any]:
    """Judge the cells, log what the pages show, say it. Returns the figures."""
    from trainer.experiments.ablation import findings
    from trainer.experiments.ablation.advice import advise, most_telling
    from trainer.experiments.ablation.judging import Judge
    from trainer.experiments.ablation.record import cells_as_runs
    from trainer.experiments.ablation.report import report

    manifest = features.manifest
    val, test = manifest.rows("val"), manifest.rows("test")
    judge = Judge(
        cells,
        manifest.classes,
        label_n=scored.rows.label_n,
        val_label_n=manifest.label_n[val],
        test_label_n=manifest.label_n[test],
        spoiled_n=scored.spoiled_n,
        seed=config.seed,
    )
    specs = {
        (subject.encoder, cell.number): subject.specs[cell.number, False]
        for subject in subjects
        for cell in cells
    }
    with bar("Judging", "cells") as progress:
        table, classes = judge.tables(record.answers, specs=specs, progress=progress.update)
    counts = {"train": len(scored.manifest), "val": len(val), "test": len(test)}
    advice = advise(table, classes, seeds=config.seeds, test_rows=len(test))
    figures = {
        Ablated.RUN_ID: writer.run_id,
        Ablated.STUDY: writer.study,
        Ablated.SEEDS: config.seeds,
        Ablated.TRAINED: len(record.answers),
        Ablated.COUNTS: counts,
        **findings.figures_of_cells(table),
        **findings.figures_of_scores(scored, cells),
        Ablated.ADVICE: advice,
        Ablated.ENCODER_CALLS: features.report.encoder_calls + scored.encoder_calls,
        Ablated.CLASSES: list(manifest.classes),
        Ablated.ELAPSED_S: round(time.time() - began, 3),
    }
    for line in most_telling(table):
        say(line)
    writer.table(Artifact.ABLATION_CLASSES, classes)
    writer.table(Artifact.ABLATION, table)
    written = report(
        table,
        classes,
        title=f"Ablation {writer.study}",
        advice=advice,
        seeds=config.seeds,
        counts=counts,
        separation=figures[Ablated.SEPARATION],
        wording=figures[Ablated.WORDING],
        facts={
            "Data": f"{config.data} (digest {manifest.digest[:12]})",
            "Encoder": ", ".join(subject.encoder for subject in subjects),
            "Head": config.head + (f", the best of {config.retune} for each cell" if config.retune else ""),
            "Command": command_line("trainer.ablate", config, study=writer.study),
        },
    )
    for name, picture in written.pictures.items():
        writer.file(name, picture)
    writer.file(Artifact.REPORT, written.markdown.encode())
    writer.trials(list(cells_as_runs(table, record.curves, began_s=began, ended_s=time.time())))
    return figures


def log_scores(config: AblateConfig, writer: SweepWriter, scored: Scored, cells: list[Cell]) -> None:
    """Write SCORES, for the page that shows who was thrown out; before training, so it can be looked at."""
    from trainer.data.thumbnails import thumbnails
    from trainer.experiments.ablation.record import scores_frame
    from trainer.features.projection import sample_rows

    shown = sample_rows(scored.manifest.split_n, at_most=Scores.SHOWN, seed=config.seed).tolist()
    pictures = dict(zip(shown, thumbnails(scored.manifest, shown), strict=True))
    writer.table(Artifact.SCORES, scores_frame(scored, cells, pictures))


def write_report(path: Path, writer: SweepWriter) -> None:
    """The logged report beside its pictures, each complete when it appears.

    Raises:
        InputError: the folder cannot be written.
    """
    import re

    from trainer.core import atomic

    text = (writer.read_file(Artifact.REPORT) or b"").decode()
    try:
        for name in set(re.findall(r"\]\((ablation_\w+\.png)\)", text)):
            picture = writer.read_file(name)
            if picture is not None:
                atomic.write_bytes(path.parent / name, picture)
        atomic.write_bytes(path, text.encode())
    except OSError as error:
        raise InputError(f"--report {path} cannot be written: {error.strerror}.") from error
    say(f"The report is in {path}.")
