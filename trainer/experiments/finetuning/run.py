"""Fine-tune the last blocks of an encoder, or parts of them, and compare with the frozen one."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.core import errors, text
from trainer.core.config import require_at_least
from trainer.core.console import Bar, bar, say
from trainer.core.errors import InputError
from trainer.experiments.base import Figures, begin
from trainer.experiments.child_runs import TrialExperiment
from trainer.experiments.finetuning.config import FinetuneConfig
from trainer.experiments.inputs import (
    encoder_settings,
    read_features,
    require_images,
    require_one_encoder,
)
from trainer.tracking.schema import Artifact, FineTuned, Kind, Summary, Verdict

if TYPE_CHECKING:
    import numpy as np

    from trainer.experiments.finetuning import judging
    from trainer.experiments.finetuning.frozen import Frozen
    from trainer.experiments.finetuning.learner import Learner
    from trainer.experiments.finetuning.report import TunedAnswers
    from trainer.experiments.finetuning.training import Recipe, Training, TrainingProgress
    from trainer.features.activations import Activations
    from trainer.features.extract import Features
    from trainer.features.settings import EncoderSettings
    from trainer.heads.outcome import Outcome
    from trainer.search.loop import TrialRecord
    from trainer.tracking.writer import RunWriter

LIVE_EVERY_S = 2.0  # how often the tables are rewritten while training
FROZEN = 0  # the trial's number
MOST_AT_ONCE = 64  # images that the last blocks answer at once
USUAL_BLOCKS = FinetuneConfig.unfreeze_last
NAMED = 6  # kinds of unfrozen parameters that are named on the terminal


def run(config: FinetuneConfig) -> Figures:
    """Fine-tune, or go on with it. Returns its figures (`schema.Summary` and `schema.FineTuned`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
        NoResultError: every training diverged.
    """
    check(config)
    plan = begin(config)
    config = replace(config, encoder=encoder_settings(config, plan.device).encoder)
    features = read_features(config, encoder_settings(config, plan.device), to_train=True)
    require_images(config, features.manifest, "Fine-tuning needs the images.")
    stored = cache_activations(config, features, plan.device)
    if config.lora:
        from trainer.experiments.finetuning.low_rank import check_rank

        check_rank(stored.tail, config.lora)
    return FineTuning(config, plan, features, stored).run()


def check(config: FinetuneConfig) -> None:
    """Raises InputError for a flag that makes no sense."""
    require_at_least(config, unfreeze_last=1, epochs=1, patience=1, train_batch=1, views=0, seeds=1, seed=0)
    require_at_least(config, lora=0)
    if config.unfreeze and config.unfreeze_last != USUAL_BLOCKS:
        raise InputError("--unfreeze and --unfreeze-last both say what to train; pass one of them.")
    require_one_encoder(config, "Fine-tuning trains the last blocks of one.")
    if config.features != ("pooled",):
        raise InputError("Fine-tuning trains the encoder's own output. Pass --features pooled.")
    if not config.lrs:
        raise InputError("--lrs is empty; name at least one learning rate.")
    positive = {"lrs": min(config.lrs), "head_lr": config.head_lr, "clip_norm": config.clip_norm}
    positive |= {"lora_alpha": config.lora_alpha}
    for name, value in positive.items():
        if not value > 0:
            raise InputError(f"--{name.replace('_', '-')} is {value}; it must be above 0.")
    shares = {"layer_decay": (0, 1), "warmup": (0, 1), "label_smoothing": (0, 0.99)}
    for name, (low, high) in shares.items():
        if not low <= getattr(config, name) <= high:
            flag = "--" + name.replace("_", "-")
            raise InputError(f"{flag} is {getattr(config, name)}; it must be between {low} and {high}.")
    for name in ("weight_decay", "checkpoint_s"):
        if not getattr(config, name) >= 0:
            raise InputError(f"--{name.replace('_', '-')} is {getattr(config, name)}; it must be 0 or more.")


def cache_activations(config: FinetuneConfig, features: Features, device: str) -> Activations:
    """Return what arrives at the last blocks, from the cache where it is in it; says what was done."""
    from trainer.features.activations import activations
    from trainer.features.unfreezing import Unfreezing

    settings = encoder_settings(config, device, augment=config.augment, views=config.views)
    how = Unfreezing(config.unfreeze_last, config.unfreeze, attention_only=config.lora > 0)
    with bar("Running the frozen part", "images") as progress:
        stored = activations(features.manifest, settings, how, kept=config.kept, progress=progress.update)
    for warning in stored.warnings:
        say(f"Warning: {warning}")
    say_unfrozen(config, stored)
    shape = " × ".join(map(str, stored.shape))
    say(
        f"Activations before the last {stored.unfrozen.blocks} of {stored.blocks} blocks: {shape} numbers an "
        f"image, {stored.bytes / 1e6:,.0f} MB with {config.views} views of each training image; "
        f"{stored.work.encoded} images encoded now."
    )
    if stored.move_to_gpu():
        say("Activations are kept in the GPU's memory.")
    return stored


def say_unfrozen(config: FinetuneConfig, stored: Activations) -> None:
    """Name the parameters that are trained, and those that were asked for and are not."""
    from trainer.experiments.finetuning.learner import parameters
    from trainer.features.unfreezing import collapsed

    names, _, before = stored.unfrozen
    what = f"{len(names)} weights get low-rank additions" if config.lora else f"{len(names)} tensors"
    size = "" if config.lora else f", {parameters(stored.tail):,} parameters"
    say(f"Unfrozen: {what}{size}: {collapsed(names, most=NAMED)}.")
    if before:
        say(f"Not trained, because they come before the first block: {collapsed(before)}.")


@dataclass
class FineTuning(TrialExperiment[FinetuneConfig]):
    """One study: the best head on the frozen encoder, the trainings, their comparison."""

    kind = Kind.FINE_TUNING
    module = "trainer.finetune"
    only_in_file = Summary.ONLY_IN_FILE

    stored: Activations
    shown: float = 0.0  # when the pages got the tables of a trial that is under way

    @property
    def about(self) -> str:
        config = self.config
        blocks = f"the last {config.unfreeze_last} of {self.stored.blocks} blocks"
        what = self.trained or blocks
        return f"{what}, {len(config.lrs)} learning rates × {config.seeds} seeds"

    @property
    def trained(self) -> str:
        """What is trained, in words; "" for whole blocks."""
        config, count = self.config, len(self.stored.unfrozen.names)
        if config.lora:
            return f"with LoRA (rank {config.lora}, {text.count(count, 'attention projection')})"
        return f"{', '.join(config.unfreeze)} ({text.count(count, 'tensor')})" if config.unfreeze else ""

    def settings(self) -> Figures:
        # only what differs from before, so that earlier studies go on
        parts = {"unfreeze": self.config.unfreeze} if self.config.unfreeze else {}
        lora = {name: getattr(self.config, name) for name in ("lora", "lora_alpha") if self.config.lora}
        names = (
            *("unfreeze_last", "lrs", "head_lr", "layer_decay", "weight_decay", "warmup", "label_smoothing"),
            *("clip_norm", "epochs", "patience", "train_batch", "views", "seeds", "seed", "kept"),
        )
        return {
            "precision": self.plan.precision,
            "augment": asdict(self.config.augment),
            **{name: getattr(self.config, name) for name in names},
            **parts,
            **lora,
        }

    def on_record(self, summary: Figures, writer: RunWriter) -> str | None:
        return f"Study {writer.study}: it is done and on record." if summary else None

    def execute(self, writer: RunWriter) -> Figures:
        self.writer = writer
        self.frozen, self.frozen_nd = self.fit_frozen()
        recorded = {trial.number for trial in self.trial_log.finished}
        if FROZEN not in recorded:
            self.record([self.frozen_record()])
        mine = {}
        with bar("Fine-tuning", "steps") as progress:
            for number, lr in enumerate(self.config.lrs, start=1):
                started = time.time()
                mine[number] = self.train(number, lr, started, progress)
                if number not in recorded:
                    self.record([self.trial_record(number, lr, mine[number], started, ended=True)])
        figures = self.conclude(mine)
        self.mirror.catch_up()
        return figures

    def finish(self, figures: Figures, writer: RunWriter) -> Figures:
        shutil.rmtree(self.checkpoints(writer), ignore_errors=True)
        return figures | self.cost()

    def checkpoints(self, writer: RunWriter) -> Path:
        """Return the folder of the run's checkpoints."""
        return self.config.cache_folder / "finetuning" / writer.run_id

    # --- the rival ----------------------------------------------------------------------------

    def fit_frozen(self) -> tuple[Frozen, np.ndarray]:
        """Return the best head on the frozen encoder, and the vectors [N, D] of all rows that it is used
        on."""
        import numpy as np
        import torch

        from trainer.experiments.finetuning.frozen import best_frozen
        from trainer.experiments.finetuning.training import Running, vectors
        from trainer.heads.training_data import Split

        how = Running(MOST_AT_ONCE, self.plan.precision)
        train, val = self.manifest.rows("train"), self.manifest.rows("val")
        everything = np.arange(len(self.manifest))
        x_nd = vectors(self.stored.tail, self.stored, everything, how)
        views = [
            vectors(self.stored.tail, self.stored, train, how, view=view)
            for view in range(1, self.config.views + 1)
        ]
        y_n = torch.from_numpy(self.manifest.label_n).to(x_nd.device)
        frozen = best_frozen(
            Split(x_nd[train], y_n[train]),
            Split(x_nd[val], y_n[val]),
            classes=len(self.manifest.classes),
            views_vnd=torch.stack(views) if views else None,
        )
        say(
            f"Frozen: the best of {frozen.tried} logistic regressions has validation macro-F1 "
            f"{frozen.outcome.score:.4f} (L2 {frozen.spec.l2:.2g}, {frozen.spec.scaling}d vectors, "
            f"{'with' if frozen.on_views else 'without'} augmented views)."
        )
        return frozen, x_nd.cpu().numpy()

    def frozen_record(self) -> TrialRecord:
        """Return the frozen head's row of TRIALS."""
        from trainer.search.loop import TrialRecord

        spec, now = self.frozen.spec, time.time()
        size = spec.parameters(features=self.frozen_nd.shape[1], classes=len(self.manifest.classes))
        params = {"unfrozen": 0, "l2": spec.l2, "scaling": spec.scaling, "views": self.frozen.on_views}
        return TrialRecord(FROZEN, params, "complete", self.frozen.outcome, size, now, now)

    # --- training -----------------------------------------------------------------------------

    def recipe(self, lr: float) -> Recipe:
        """Return how to train with this learning rate."""
        from trainer.experiments.finetuning.training import Recipe

        config = self.config
        return Recipe(
            lr=lr,
            head_lr=config.head_lr,
            layer_decay=config.layer_decay,
            weight_decay=config.weight_decay,
            warmup=config.warmup,
            label_smoothing=config.label_smoothing,
            clip_norm=config.clip_norm,
            batch_size=config.train_batch,
            epochs=config.epochs,
            patience=config.patience,
            precision=self.plan.precision,
        )

    def learner(self, seed: int) -> Learner:
        """Return what a training begins with; its seed draws low-rank additions."""
        from trainer.experiments.finetuning.learner import Learner
        from trainer.experiments.finetuning.low_rank import add_low_rank

        learner = Learner(self.stored.tail, self.frozen.head)
        if self.config.lora:
            add_low_rank(learner.tail, rank=self.config.lora, alpha=self.config.lora_alpha, seed=seed)
        return learner

    @cached_property
    def size(self) -> int:
        """How many weights and biases learn."""
        from trainer.experiments.finetuning.learner import parameters

        return parameters(self.learner(0))

    def training(self, number: int, lr: float, seed: int) -> tuple[Training, Path]:
        """Return the training of a learning rate with a seed, where its last checkpoint left it, and that
        file."""
        import torch

        from trainer.experiments.finetuning import checkpoint
        from trainer.experiments.finetuning.training import IndexedRows, Splits, Training
        from trainer.search.study import head_seeds

        drawn = head_seeds(self.config.seed, self.config.seeds)[seed]
        y_n = torch.from_numpy(self.manifest.label_n).to(self.stored.device)
        rows = Splits(*(IndexedRows(rows, y_n[rows]) for rows in map(self.manifest.rows, ("train", "val"))))
        training = Training(
            self.learner(drawn),
            self.stored,
            rows,
            recipe=self.recipe(lr),
            seed=drawn,
            said=say,
        )
        path = self.checkpoints(self.writer) / f"trial-{number}-seed-{seed}.safetensors"
        found = checkpoint.read(path)
        if found is not None:
            training.restore(*found)
            if not training.standing.done:
                say(f"Trial {number}, seed {seed}: resumes at step {training.standing.step}.")
        return training, path

    def train(self, number: int, lr: float, started: float, progress: Bar) -> list[TrainingProgress]:
        """Train a learning rate with every seed, or what is left of it; how each ended."""
        from trainer.experiments.finetuning import checkpoint

        def tell(training: Training, ended: list[TrainingProgress], before: int) -> None:
            standing = training.standing
            total = len(self.config.lrs) * self.config.seeds * self.config.epochs * training.steps_per_epoch
            scores = standing.curves["val_f1_macro"]
            best = f", best val macro-F1 {max(scores):.4f}" if scores else ""
            note = f"lr {lr:g}, seed {len(ended)}, epoch {training.epoch + 1}{best}"
            progress.update(before + standing.step, total, note)
            if scores and time.time() - self.shown > LIVE_EVERY_S:
                self.show(self.trial_record(number, lr, [*ended, standing], started, ended=False))

        ended: list[TrainingProgress] = []
        for seed in range(self.config.seeds):
            training, path = self.training(number, lr, seed)
            whole = self.config.epochs * training.steps_per_epoch
            before = ((number - 1) * self.config.seeds + seed) * whole
            training.run(
                save=partial(checkpoint.write, path, training),
                every_s=self.config.checkpoint_s,
                progress=partial(tell, training, ended.copy(), before),
            )
            ended.append(training.standing)
        return ended

    def trial_record(
        self, number: int, lr: float, standings: list[TrainingProgress], started: float, *, ended: bool
    ) -> TrialRecord:
        """Return a learning rate's row of TRIALS."""
        from trainer.experiments.finetuning.outcome import outcome_of
        from trainer.search.loop import TrialRecord

        outcome = outcome_of(standings)
        now = time.time()
        return TrialRecord(
            number,
            {
                "unfrozen": self.stored.unfrozen.blocks,
                **({"lora": self.config.lora} if self.config.lora else {}),
                "lr": lr,
                "head_lr": self.config.head_lr,
                "layer_decay": self.config.layer_decay,
                "views": self.config.views > 0,
            },
            "running" if not ended else "failed" if outcome.failed else "complete",
            outcome,
            self.size,
            # of one that is taken up again, what was spent before counts, too
            min(started, now - sum(standing.spent_s for standing in standings)),
            now if ended else None,
            message="The loss stopped being a finite number." if outcome.failed else "",
        )

    # --- the record ---------------------------------------------------------------------------

    def record(self, records: list[TrialRecord]) -> None:
        """Put finished trials on record: TRIALS last, since a trial counts once it stands there."""
        self.trial_log.add(records)
        self.writer.table(Artifact.CURVES, self.trial_log.curves)
        self.writer.table(Artifact.TRIALS, self.trial_log.trials)
        self.mirror.follow(self.trial_log)

    def show(self, running: TrialRecord) -> None:
        """Let the pages see the trial that is under way."""
        trials, curves = self.trial_log.with_records([running])
        self.writer.table(Artifact.CURVES, curves)
        self.writer.table(Artifact.TRIALS, trials)
        self.shown = time.time()

    # --- the end ------------------------------------------------------------------------------

    def conclude(self, ended: dict[int, list[TrainingProgress]]) -> Figures:
        """Choose on validation, answer the test rows once, compare with the rival, log what the pages show.

        Raises:
            NoResultError: every training diverged.
        """
        from trainer.experiments.finetuning.report import figures_of
        from trainer.experiments.row_map import RowMap

        chosen, outcome = self.choose(ended)
        answers, pred_sn = self.answer(chosen, outcome)
        row_map = RowMap(answers.features, seed=self.config.seed)
        answers.log(self.writer)
        row_map.log(self.writer)
        judgement, why = self.judge(answers, pred_sn, outcome)
        epochs = sum(len(one.curves["lr"]) for s in ended.values() for one in s)
        spent_s = sum(one.spent_s for s in ended.values() for one in s)
        figures = {
            **figures_of(self.trial_log, chosen),
            FineTuned.UNFROZEN: self.stored.unfrozen.blocks,
            FineTuned.BLOCKS: self.stored.blocks,
            FineTuned.TRAINED: self.trained,
            FineTuned.SEEDS: self.config.seeds,
            FineTuned.FROZEN_VAL_F1_MACRO: self.frozen.outcome.score,
            **answers.frozen_figures(),
            FineTuned.EFFECT: list(judgement.effect),
            FineTuned.EFFECT_P: judgement.p,
            FineTuned.VERDICT: judgement.verdict,
            FineTuned.WHY: why,
            FineTuned.EPOCH_S: round(spent_s / epochs, 4),
            FineTuned.CACHED_BYTES: self.stored.bytes,
            FineTuned.MODEL_BYTES: answers.model_bytes,
            Summary.MODEL: answers.model_uri,
            **answers.test_figures(),
        }
        logged = (Summary.TEST_F1_MACRO, Summary.TEST_ACCURACY, *Summary.OF_TWO_CLASSES)
        metrics = {
            name: figures[name] for name in (*logged, FineTuned.FROZEN_TEST_F1_MACRO) if name in figures
        }
        self.writer.metrics(metrics | {FineTuned.EFFECT: judgement.effect.value})
        return figures

    def choose(self, ended: dict[int, list[TrainingProgress]]) -> tuple[int, Outcome]:
        """Return the trial best on validation rows, and how it went. NoResultError where every training
        diverged."""
        from trainer.experiments.finetuning.outcome import outcome_of

        outcomes = {number: outcome_of(standings) for number, standings in ended.items()}
        alive = {number: outcome for number, outcome in outcomes.items() if not outcome.failed}
        if not alive:
            raise errors.NoResultError(
                "Every training diverged: the loss stopped being a finite number. Pass smaller --lrs."
            )
        chosen = max(alive, key=lambda number: alive[number].score)
        return chosen, alive[chosen]

    def answer(self, chosen: int, outcome: Outcome) -> tuple[TunedAnswers, np.ndarray]:
        """Return the answers of the best seed and of the rival, and the predictions [S, N] of every seed on
        the test rows.

        The best seed's are those of the encoder that is saved, so that a later prediction says the same.
        """
        import numpy as np

        from trainer.experiments.finetuning.report import TunedAnswers, with_own_head
        from trainer.experiments.finetuning.training import Running, vectors
        from trainer.experiments.finetuning.tuned_encoder import save_tuned, tuned_features
        from trainer.search.refit import Finalist

        score_s = outcome.val_f1_macro_s
        lr, seed = self.config.lrs[chosen - 1], int(score_s.argmax())
        learners = [self.training(chosen, lr, s)[0].take_best() for s in range(self.config.seeds)]
        folder = self.checkpoints(self.writer) / "encoder"
        save_tuned(self.encoding.folder, learners[seed].tail, folder)
        features = tuned_features(self.features, self.encoding, folder)
        how = Running(MOST_AT_ONCE, self.plan.precision)
        test = self.manifest.rows("test")
        heads = [with_own_head(self.frozen.head, one) for one in learners]
        finalists = [
            Finalist("best", chosen, seed, float(score_s[seed]), heads[seed]),
            Finalist(FineTuned.FROZEN_HEAD, FROZEN, 0, self.frozen.outcome.score, self.frozen.head),
        ]
        answers = TunedAnswers(
            features, finalists, frozen_nd=self.frozen_nd, encoder=folder, seed=self.config.seed
        )
        of_seed = [vectors(one.tail, self.stored, test, how).cpu().numpy() for one in learners]
        of_seed[seed] = features.vectors_nd[test]
        pred_sn = np.stack(
            [answers.answer(head, x).argmax(1) for head, x in zip(heads, of_seed, strict=True)]
        )
        return answers, pred_sn

    @property
    def encoding(self) -> EncoderSettings:
        """How the encoder is run."""
        return encoder_settings(self.config, self.plan.device)

    def judge(
        self, answers: TunedAnswers, pred_sn: np.ndarray, outcome: Outcome
    ) -> tuple[judging.Judgement, str]:
        """Return whether fine-tuning helped, and where it did not, why; says both."""
        from trainer.data.duplicates import groups_drawn, unit_numbers
        from trainer.experiments.finetuning import judging

        test, config = self.manifest.rows("test"), self.config
        judgement = judging.judge(
            self.manifest.label_n[test],
            answers.probabilities[1][test].argmax(1),
            pred_sn,
            classes=len(self.manifest.classes),
            unit_n=unit_numbers(self.manifest)[test],
            seed=config.seed,
        )
        why = ""
        if judgement.verdict != Verdict.HELPS:
            why = judging.why_no_better(
                outcome,
                frozen_val=self.frozen.outcome.score,
                rows=len(self.manifest.rows("train")),
                epochs=config.epochs,
            )
        trained = self.trained or f"the last {text.count(config.unfreeze_last, 'block')}"
        drawn = text.rows_drawn(len(test), groups_drawn(self.manifest))
        verdict = judging.words(judgement, trained=trained, drawn=drawn, seeds=config.seeds)
        say(f"{verdict} {why}".strip())
        return judgement, why
