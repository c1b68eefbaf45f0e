"""Measure what data filters and augmentation change, with paired tests."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.core import atomic, text
from trainer.core.config import command_line, require_at_least
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.experiments.ablation.config import AblateConfig
from trainer.experiments.base import Experiment, Figures, begin
from trainer.experiments.inputs import encoder_settings, read_features, training_data
from trainer.tracking.schema import Ablated, Artifact, Kind, Scores

# Heavy rooms (torch, transformers, MLflow) are imported where they are entered.
if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch

    from trainer.data.manifest import Manifest
    from trainer.experiments.ablation.design import Cell
    from trainer.experiments.ablation.record import AblationRecord
    from trainer.experiments.ablation.scoring import ScoredRows
    from trainer.features.extract import Features
    from trainer.features.settings import EncoderSettings
    from trainer.heads.head_config import HeadSpec
    from trainer.heads.training_data import TrainingData
    from trainer.tracking.writer import RunWriter

FEWEST_SEEDS = 6
FITTED = {"lbfgs": "logistic regression", "gda": "discriminant", "ridge": "ridge regression"}
VIEWS = 2  # augmented views of each training image, where there are images
LINEAR = {"lr": 3e-3, "epochs": 40}
MLP = {"hidden": (128,), "dropout": 0.2, "lr": 1e-3, "epochs": 40}


class EncoderRows(NamedTuple):
    """One encoder's rows."""

    encoder: str
    data: TrainingData
    test_x_nd: torch.Tensor
    specs: dict[tuple[int, bool], HeadSpec]  # of every arm: (cell, random)


def run(config: AblateConfig) -> Figures:
    """Run an ablation, or the rest of one. Returns its figures (`schema.Ablated`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    require_at_least(config, seeds=FEWEST_SEEDS, seed=0, retune=0)
    config.wording.check()
    if config.report is not None:
        atomic.check_output(config.report, "--report", inputs=[Path(config.data)])
    from trainer.experiments.ablation import findings
    from trainer.experiments.ablation.design import read as read_filters

    plan = begin(config)
    written = [one for axis in config.grid for one in axis.split(",")] + list(config.filters)
    list(read_filters(written))  # before anything is encoded
    spec = head_of(config)
    views = views_of(config, spec)
    features = read(config, plan.device, views=views)
    scored = score(config, plan.device, features)
    cells = cells_of(config, scored, augment=features.views_vnd is not None)
    for line in findings.of_filters(scored, cells):
        say(line)
    if config.dry_run:
        return findings.figures_of_scores(scored, cells) | {Ablated.ELAPSED_S: plan.elapsed_s()}
    ablation = AblationStudy(config, plan, features, scored, cells, spec)
    ablation.add_encoder(features)
    for encoder in config.encoders:
        others = read(dataclasses.replace(config, encoder=encoder), plan.device, views=views)
        ablation.add_encoder(others, name=encoder)
    return ablation.run()


@dataclass
class AblationStudy(Experiment[AblateConfig]):
    """Cells: the same head trained on all rows, on those that a filter keeps, and on as many random ones."""

    kind = Kind.ABLATION
    module = "trainer.ablate"
    only_in_file = Ablated.ONLY_IN_FILE

    scored: ScoredRows
    cells: list[Cell]
    spec: HeadSpec
    encoders: list[EncoderRows] = field(default_factory=list)

    @property
    def about(self) -> str:
        return f"{len(self.cells)} cells × {self.config.seeds} seeds"

    @property
    def encoder(self) -> str:
        return ", ".join(one.encoder for one in self.encoders)

    @property
    def encoder_calls(self) -> int:
        return super().encoder_calls + self.scored.encoder_calls

    def settings(self) -> Figures:
        masks = hashlib.sha256(b"".join(cell.keep_n.tobytes() for cell in self.cells)).hexdigest()
        views_vnd = self.features.views_vnd
        return {
            "cells": [str(cell) for cell in self.cells],
            "rows kept": masks,
            "head": dataclasses.asdict(self.spec),
            "retune": self.config.retune,
            "views": 0 if views_vnd is None else len(views_vnd),
            "precision": self.plan.precision,
            "seed": self.config.seed,
        }

    def on_record(self, summary: Figures, writer: RunWriter) -> str | None:
        if summary.get(Ablated.SEEDS, 0) < self.config.seeds:
            return None
        return f"Study {writer.study}: all of its {summary[Ablated.SEEDS]} seeds are on record."

    def execute(self, writer: RunWriter) -> Figures:
        from trainer.experiments.ablation.record import AblationRecord
        from trainer.search.study import head_seeds

        seeds = head_seeds(self.config.seed, self.config.seeds)
        record = AblationRecord(
            writer.read_table(Artifact.ANSWERS), writer.read_table(Artifact.CURVES), seeds=seeds
        )
        log_scores(self.config, writer, self.scored, self.cells)
        self.train(seeds, record, writer)
        return self.conclude(record, writer)

    def finish(self, figures: Figures, writer: RunWriter) -> Figures:
        say(f"\n{figures[Ablated.ADVICE]}\n")
        if self.config.report is not None:
            write_report(self.config.report, writer)
        return figures

    # --- training -----------------------------------------------------------------------------

    def add_encoder(self, features: Features, *, name: str = "") -> None:
        """Put one encoder's rows on the device, and choose each arm's head: the same, or one tuned for it.

        Raises:
            InputError: it has other rows than the first, or is there already.
        """
        import torch

        from trainer.experiments.ablation.training import TrainingSettings, arms_of, candidates, tune

        if features.manifest.sample_id != self.features.manifest.sample_id:
            raise InputError(f"{name} could not read the same images as {self.encoders[0].encoder}.")
        if features.report.encoder in {one.encoder for one in self.encoders}:
            raise InputError(f"{features.report.encoder} is among the encoders twice. Name each once.")
        config, plan = self.config, self.plan
        data = training_data(features, plan.device)
        test_x_nd = torch.as_tensor(features.vectors_nd[features.manifest.rows("test")]).to(plan.device)
        arms = arms_of(self.cells, partial(self.random_rows, draw=0))
        specs = [self.spec] * len(arms)
        if config.retune:
            tried = candidates(config.retune, like=self.spec, seed=config.seed)
            how = TrainingSettings(config.seed, plan.precision, plan.slab_bytes(data, seeds=1))
            with bar(f"Tuning {len(arms)} arms", "configurations") as progress:
                specs = tune(arms, tried, data, how, progress=progress.update)
        by_arm = {(arm.cell, arm.random): one for arm, one in zip(arms, specs, strict=True)}
        self.encoders.append(EncoderRows(features.report.encoder, data, test_x_nd, by_arm))

    def random_rows(self, cell: Cell, *, draw: int) -> np.ndarray:
        """Return bool [N]: as many training rows as the cell keeps, chosen at random."""
        from trainer.experiments.ablation.design import random_choice

        return random_choice(cell, self.scored.rows, seed=self.config.seed, draw=draw)

    def train(self, seeds: list[int], record: AblationRecord, writer: RunWriter) -> None:
        """Train what is missing from the record, one encoder and one seed at a time."""
        from trainer.experiments.ablation.training import TrainingSettings, arms_of
        from trainer.experiments.ablation.training import train as train_arms

        missing = [
            (number, seed)
            for seed in seeds
            for number, one in enumerate(self.encoders)
            if not record.has(one.encoder, seed)
        ]
        rounds = len(seeds) * len(self.encoders)
        if len(missing) < rounds:
            say(f"Resuming {writer.study}: {rounds - len(missing)} of {rounds} rounds are on record.")
        with bar("Training", "head-epochs") as progress:
            trained = 0
            each = len(self.encoders[0].specs)
            epochs = [sum(spec.epochs for spec in one.specs.values()) for one in self.encoders]
            total = sum(epochs[number] for number, _ in missing)
            for at, (number, seed) in enumerate(missing):
                one = self.encoders[number]

                here = f"round {at + 1}/{len(missing)} of {each} heads each"

                def tell(added: int, note: str = here) -> None:
                    nonlocal trained
                    trained += added
                    progress.update(min(trained, total), total, note)

                arms = arms_of(self.cells, partial(self.random_rows, draw=seed))
                slab_bytes = self.plan.slab_bytes(one.data, seeds=1)
                answers = train_arms(
                    arms,
                    [one.specs[arm.cell, arm.random] for arm in arms],
                    one.data,
                    one.test_x_nd,
                    TrainingSettings(seed, self.plan.precision, slab_bytes),
                    progress=tell,
                )
                record.add(one.encoder, seed, answers, first_row=number * len(self.cells))
                # ANSWERS is written last: a round counts once it stands there
                writer.table(Artifact.CURVES, record.curves)
                writer.table(Artifact.ANSWERS, record.answers)

    # --- the end ------------------------------------------------------------------------------

    def judge(self, record: AblationRecord) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return ABLATION and ABLATION_CLASSES."""
        from trainer.data.duplicates import unit_numbers
        from trainer.experiments.ablation.judging import Judge, LabelledRows

        manifest = self.features.manifest
        rows = LabelledRows(
            train_n=self.scored.rows.label_n,
            val_n=manifest.label_n[manifest.rows("val")],
            test_n=manifest.label_n[manifest.rows("test")],
            corrupted_n=self.scored.bad_n,
            test_unit_n=unit_numbers(manifest)[manifest.rows("test")],
        )
        specs = {
            (one.encoder, cell.number): one.specs[cell.number, False]
            for one in self.encoders
            for cell in self.cells
        }
        judge = Judge(self.cells, manifest.classes, rows, seed=self.config.seed)
        with bar("Judging", "cells") as progress:
            return judge.tables(record.answers, specs=specs, progress=progress.update)

    def conclude(self, record: AblationRecord, writer: RunWriter) -> Figures:
        """Judge the cells, log what the pages show, say it. Returns the figures."""
        from trainer.data.duplicates import groups_drawn
        from trainer.experiments.ablation import findings
        from trainer.experiments.ablation.advice import advise, most_telling
        from trainer.experiments.ablation.record import cells_as_runs

        manifest = self.features.manifest
        table, classes = self.judge(record)
        counts = {split: len(manifest.rows(split)) for split in ("train", "val", "test")}
        groups = groups_drawn(manifest)
        drawn = text.rows_drawn(counts["test"], groups)
        figures = {
            Ablated.SEEDS: self.config.seeds,
            Ablated.TRAINED: len(record.answers),
            Ablated.COUNTS: counts,
            **({} if groups is None else {Ablated.TEST_GROUPS: groups}),
            **findings.figures_of_cells(table),
            **findings.figures_of_scores(self.scored, self.cells),
            Ablated.ADVICE: advise(table, classes, seeds=self.config.seeds, drawn=drawn),
            **self.cost(),
            Ablated.CLASSES: list(manifest.classes),
        }
        for line in most_telling(table):
            say(line)
        writer.table(Artifact.ABLATION_CLASSES, classes)
        writer.table(Artifact.ABLATION, table)
        self.log_report(table, classes, figures, writer)
        began, ended = self.plan.began, time.time()
        writer.trials(list(cells_as_runs(table, record.curves, began_s=began, ended_s=ended)))
        return figures

    def log_report(
        self, table: pd.DataFrame, classes: pd.DataFrame, figures: Figures, writer: RunWriter
    ) -> None:
        """Log the report with its images."""
        from trainer.experiments.ablation.report import report

        config = self.config
        retuned = f", the best of {config.retune} for each cell" if config.retune else ""
        written = report(
            table,
            classes,
            title=f"Ablation {writer.study}",
            figures=figures,
            facts={
                "Data": f"{config.data} (digest {self.features.manifest.digest[:12]})",
                "Encoder": self.encoder,
                "Head": config.head + retuned,
                "Command": command_line(self.module, config, study=writer.study),
            },
        )
        for name, image in written.images.items():
            writer.file(name, image)
        writer.file(Artifact.REPORT, written.markdown.encode())


# --- before training --------------------------------------------------------------------------


def head_of(config: AblateConfig) -> HeadSpec:
    """Return the head that all cells train.

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
        if spec.target != "class":
            what = "a number" if spec.target == "number" else "several labels"
            raise InputError(f"--head {config.head} predicts {what}. Pass a sweep of classes.")
    weight = spec.class_weight if config.class_weight is None else config.class_weight
    return dataclasses.replace(spec, class_weight=weight, weights="last")


def views_of(config: AblateConfig, spec: HeadSpec) -> int:
    """Return how many views to make.

    Raises:
        InputError: there shall be some, for a head that cannot be trained on them.
    """
    if spec.solver != "descent":
        if config.views:
            kind = FITTED[spec.solver]
            raise InputError(
                f"--views is {config.views}, but the head of {config.head} is a {kind}, which "
                "is fitted to the images themselves. Pass --views 0, or --head linear."
            )
        return 0
    if config.dry_run:
        return 0
    return VIEWS if config.views is None else config.views


def read(config: AblateConfig, device: str, *, views: int) -> Features:
    """Return rows with vectors and views, and with the damage that is planted.

    Raises:
        InputError: data or encoder cannot be used; an image or a group stands in two splits.
    """

    def prepared(manifest: Manifest) -> Manifest:
        check_scoring(config, scoring_settings(config, device), manifest)
        return corrupted(config, manifest)

    features = read_features(
        config,
        encoder_settings(config, device, views=views),
        to_train=not config.dry_run,
        corrupt=prepared,
    )
    if config.views and features.views_vnd is None and not config.dry_run:
        raise InputError(f"--views is {config.views}, but {config.data} holds precomputed features. Drop it.")
    return features


def corrupted(config: AblateConfig, manifest: Manifest) -> Manifest:
    """Return the rows with the planted noise that the flags name."""
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


def scoring_settings(config: AblateConfig, device: str) -> EncoderSettings:
    """Return with what the rows are scored, in the space that images and texts share."""
    return encoder_settings(
        config,
        device,
        encoder=config.score_encoder or encoder_settings(config, device).encoder,
        space="shared",
        max_bad=1.0,  # what cannot be read has left already
        drop_duplicates=False,
        measure=False,
    )


def check_scoring(config: AblateConfig, settings: EncoderSettings, manifest: Manifest) -> None:
    """Refuse before images are encoded what could not score them.

    Raises:
        InputError: the aesthetic predictor cannot be used, or needs images; the tokenizer cannot be used.
    """
    from trainer.features.aesthetic import check_predictor
    from trainer.features.families import family_of
    from trainer.features.text_features import check_texts

    if config.aesthetic is not None:
        if manifest.images is None:
            raise InputError(
                f"--aesthetic {config.aesthetic} cannot be used: {config.data} holds precomputed "
                "features, no images. Leave it out."
            )
        check_predictor(config.aesthetic, settings.folder, encoder=settings.encoder)
    captions = manifest.images is not None and any(manifest.caption)
    if captions and len(settings.parts) == 1 and family_of(settings.folder).text is not None:
        check_texts(settings)


def score(config: AblateConfig, device: str, features: Features) -> ScoredRows:
    """Return every score that these training rows can have.

    Raises:
        InputError: the aesthetic predictor, or the encoder that scores, cannot be used.
    """
    from trainer.experiments.ablation.scoring import ScoredRows, ScoringSettings
    from trainer.experiments.data_quality import Quality

    settings = scoring_settings(config, device)
    quality = Quality(features)
    quality.tell()
    with bar("Scoring", "images") as progress:
        return ScoredRows(
            features,
            ScoringSettings(
                settings,
                aesthetic=config.aesthetic,
                of=config.captions_count,
                wording=config.wording,
                seed=config.seed,
            ),
            group_n=quality.group_n,
            progress=progress.update,
        )


def cells_of(config: AblateConfig, scored: ScoredRows, *, augment: bool) -> list[Cell]:
    """Return the cells that the flags ask for.

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


def log_scores(config: AblateConfig, writer: RunWriter, scored: ScoredRows, cells: list[Cell]) -> None:
    """Write SCORES, for the page that shows which rows filters remove; before training, to show it early."""
    from trainer.data.thumbnails import thumbnails
    from trainer.experiments.ablation.record import scores_frame
    from trainer.features.projection import sample_rows

    shown = sample_rows(scored.manifest.split_n, at_most=Scores.SHOWN, seed=config.seed).tolist()
    images = dict(zip(shown, thumbnails(scored.manifest, shown), strict=True))
    writer.table(Artifact.SCORES, scores_frame(scored, cells, images))


def write_report(path: Path, writer: RunWriter) -> None:
    """Write the logged report beside its images, each complete when it appears. A stream gets the text alone.

    Raises:
        InputError: the folder cannot be written.
    """
    import re

    text = (writer.read_file(Artifact.REPORT) or b"").decode()
    names = set() if atomic.is_stream(path) else set(re.findall(r"\]\((ablation_\w+\.png)\)", text))
    for name in names:
        image = writer.read_file(name)
        if image is not None:
            atomic.write_output(path.parent / name, image, "--report")
    atomic.write_output(path, text.encode(), "--report")
    say(f"The report is in {path}.")
