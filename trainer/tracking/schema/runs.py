"""The contract between the trainer, which writes, and the dashboard, which reads.

Every name that ends up in MLflow stands here and nowhere else. Standard library only, so that
the dashboard can import it without importing torch.
"""

from __future__ import annotations

from enum import StrEnum

SCHEMA_VERSION = 1  # rises when a name or a table's meaning changes, not when one is added

# --- Runs -------------------------------------------------------------------------------------


class Kind(StrEnum):
    """Kind of a run (tag ``headroom.kind``)."""

    SWEEP = "sweep"  # a parent run
    TRIAL = "trial"  # a child of a sweep: one configuration, all its seeds
    EXTRACTION = "extraction"  # encoded images and their quality
    ABLATION = "ablation"  # a parent run: effects of filters and augmentation
    CELL = "cell"  # a child of an ablation: one filter, with or without augmentation
    VERIFICATION = "verification"  # faces: same person or not
    ZERO_SHOT = "zero-shot"  # zero-shot classification and the few-shot curve
    FUSION = "fusion"  # images and captions together
    FINE_TUNING = "fine-tuning"  # the last layers of an encoder; has the artifacts of a sweep
    ENCODERS = "encoders"  # a comparison of encoders


CHILDREN = (Kind.TRIAL, Kind.CELL)
SWEEP_KINDS = (Kind.SWEEP, Kind.FINE_TUNING)  # kinds with the artifacts of a sweep


class Tag:
    """Tags. MLflow keeps them as text."""

    PARENT = "mlflow.parentRunId"  # MLflow's own: makes the tree in its UI
    KIND = "headroom.kind"
    SCHEMA = "headroom.schema"  # SCHEMA_VERSION of the writer; runs of 0.1 and earlier have none
    STUDY = "headroom.study"
    DATA = "headroom.data"  # value of --data
    DIGEST = "headroom.data_digest"  # digest of the manifest
    DATA_SUMMARY = "headroom.data_summary"  # a line: classes, splits, captions, groups of the rows used
    ENCODER = "headroom.encoder"
    COMMAND = "headroom.command"  # the shell command that resumes this run
    IDENTITY = "headroom.identity"  # JSON: what must not change when the study is resumed
    HEARTBEAT = "headroom.heartbeat"  # UNIX seconds of the last heartbeat; of a server's clock
    WRITER = "headroom.writer"  # who writes this run: another value for each start of a command
    USER = "mlflow.user"  # MLflow's own: who started the run
    NOTE = "mlflow.note.content"  # MLflow's own: what people have written about the run
    STAR = "headroom.starred"  # there on runs that people have starred
    ARCHIVED = "headroom.archived"  # UNIX seconds; on runs that people have archived, and their children
    STOPPED = "headroom.stopped"  # why a run was closed early: see Stopped
    TEST_LOOKS = "headroom.test_looks"  # how often this run has answered the test rows
    BUDGET = "headroom.trials"  # of a sweep: --trials of its latest start
    TRIAL = "headroom.trial"  # a child's trial number; of an ablation its row in ABLATION
    TRIAL_STATE = "headroom.trial_state"  # a child's TrialState
    ERROR = "headroom.error"  # error message


EXPERIMENT_VERSION = "headroom.version"  # tag of an experiment on a server: of the last command that wrote it

# Where one of these is longer than MLflow allows, its value is the path of the artifact that holds it.
LONG_TAGS = (Tag.COMMAND, Tag.IDENTITY)


class Stopped(StrEnum):
    """Values of ``Tag.STOPPED``."""

    INTERRUPTED = "interrupted"  # stopped by Ctrl-C or SIGTERM, closed properly
    LOST = "lost"  # the process died; a later command closed the run
    ERROR = "error"  # an exception; its text is in Tag.ERROR


class TrialState(StrEnum):
    """State of one trial: a configuration with all its seeds."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"  # stopped early at a rung
    FAILED = "failed"  # its loss was not finite


class RunState(StrEnum):
    """State of a run as displayed."""

    LIVE = "live"
    DONE = "done"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


HEARTBEAT_EVERY_S = 5.0
HEARTBEAT_LOST_S = 60.0  # the writer is dead if its heartbeat is older
CLOCK_SET_S = 7200.0  # or if it is as far in the future: the clock was set back since


def run_state(status: str, heartbeat: float | None, now: float) -> RunState:
    """Return the state to display for an MLflow run.

    Args:
        status: MLflow's status: RUNNING, SCHEDULED, FINISHED, FAILED or KILLED.
        heartbeat: UNIX seconds of the last heartbeat; ``None`` for runs of other programs.
        now: UNIX seconds.
    """
    if status == "FINISHED":
        return RunState.DONE
    if status == "FAILED":
        return RunState.FAILED
    if status == "KILLED":
        return RunState.INTERRUPTED
    if heartbeat is not None and not -CLOCK_SET_S < now - heartbeat < HEARTBEAT_LOST_S:
        return RunState.INTERRUPTED
    return RunState.LIVE


# --- Artifacts of a sweep (parent run), of an extraction and of an ablation (parent run) --------


class Artifact:
    """Paths below a run's artifact root. Tables are Parquet."""

    TRIALS = "trials.parquet"
    CURVES = "curves.parquet"
    LOG = "log"  # a folder of a large study: log/N has the last rows of both up to the Nth finished trial
    HELD_OUT = "held_out.safetensors"  # of the best trials, by number: float16 [M, C], log-probabilities of
    # the judged rows of train, then of val, by heads that had not learned from them; numbers float32 [M, 1]
    PREDICTIONS = "predictions.parquet"
    PROJECTION = "projection.parquet"
    SAMPLES = "samples.parquet"
    QUARANTINE = "quarantine.parquet"  # of a sweep only where a file was quarantined
    IMAGES = "pictures.parquet"  # this and the next: of an extraction
    DUPLICATES = "duplicates.parquet"
    ABLATION = "ablation.parquet"  # this and the next four: of an ablation, which has CURVES, too
    ABLATION_CLASSES = "ablation_classes.parquet"
    SCORES = "scores.parquet"
    ANSWERS = "answers.parquet"
    METHODS = "methods.parquet"  # this and the next two: of a zero-shot run, and of fusion; both also have
    METHOD_PAIRS = "method_pairs.parquet"  # PREDICTIONS and SAMPLES, of test rows alone
    METHOD_CLASSES = "method_classes.parquet"
    FEW_SHOT = "few_shot.parquet"  # this and the next: of a zero-shot run
    FEW_SHOT_SCORES = "few_shot_scores.parquet"
    ENCODERS = "encoders.parquet"  # of a comparison of encoders, which has METHODS and what goes with it, too
    REPORT = "report.md"  # with its images beside it
    HEAD = "head"  # a folder: the next two
    HEAD_WEIGHTS = "head/head.safetensors"
    HEAD_CARD = "head/head.json"
    FUSED_WEIGHTS = "head/fused.safetensors"  # this and the next: of a fusion, in their place
    FUSED_CARD = "head/fused.json"
    MODEL = "model"  # a folder: MLflow model of the same head
    MODEL_DATA = "model/data/head"  # a folder in it: the head again, and the encoders that the model carries
    VECTORS = "vectors.safetensors"  # "vectors" [n, D] of the rows of SAMPLES (verification: FACES)
    PAIRS = "pairs.parquet"  # this and the next three: of a verification
    CANDIDATES = "candidates.parquet"
    ROC = "roc.parquet"
    FACES = "faces.parquet"
    TUNED = "tuned"  # of fine-tunings of before, in HEAD's place: tuned/tuned.safetensors + tuned/tuned.json
    CONFUSION_PNG = "confusion_matrix.png"
    NUMBERS_PNG = "predicted_against_true.png"  # in its place where a number is predicted, …
    PRECISIONS_PNG = "average_precision.png"  # … and where rows may have several labels
    CONFIG = "config.yaml"
    SUMMARY = "summary.json"  # the results that the command prints
    TAGS = "tags"  # a folder: tags that are longer than MLflow allows, see LONG_TAGS

    @staticmethod
    def of_tag(tag: str) -> str:
        """Return where a tag is that is longer than MLflow allows."""
        return f"{Artifact.TAGS}/{tag}.txt"


PARAM_PREFIX = "param."  # hyperparameter columns of TRIALS: param.lr, param.width, …


class Metric:
    """Names of MLflow metrics. Per-epoch ones are means over seeds, step = epoch."""

    TRAIN_LOSS = "train_loss"
    VAL_LOSS = "val_loss"
    VAL_F1_MACRO = "val_f1_macro"
    VAL_ACCURACY = "val_accuracy"
    VAL_BALANCED_ACCURACY = "val_balanced_accuracy"  # only where it is the objective
    LR = "lr"
    BEST_VAL_F1_MACRO = "best_val_f1_macro"  # on a sweep: of the best trial so far, step = finished trials
    BEST_VAL_F1_MACRO_LOW = "best_val_f1_macro_low"
    BEST_VAL_F1_MACRO_HIGH = "best_val_f1_macro_high"
    # of another objective than macro-F1 the same three of it: best_val_accuracy, best_val_balanced_accuracy,
    # best_val_auroc or best_val_loss, of numbers best_val_r2, …; at the end also what `Summary` has
    BEST = "best_"
    BEST_EPOCH = "best_epoch"
    TEST_F1_MACRO = "test_f1_macro"  # on a sweep, of the selected head
    TEST_ACCURACY = "test_accuracy"
    TEST_AUROC = "test_auroc"
    FRESH_VAL_F1_MACRO = "fresh_val_f1_macro"  # of the selected configuration, retrained with fresh seeds
    EFFECT = "effect"  # on a cell: its test macro-F1 less the baseline's
    OVER_RANDOM = "over_random"  # on a cell: less that of a random subset of the same size
    KEPT = "kept"  # on a cell: training rows
