"""The contract between the trainer, which writes, and the dashboard, which reads.

Every name that ends up in MLflow stands here and nowhere else. Standard library only, so that
the dashboard can import it without importing torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

REPO_ROOT = Path(__file__).resolve().parents[2]
DEFAULT_EXPERIMENT = "headroom"


def default_tracking_uri() -> str:
    """``HEADROOM_TRACKING_URI`` if set, else the SQLite store in ``mlruns/`` of this checkout."""
    return os.environ.get("HEADROOM_TRACKING_URI") or f"sqlite:///{REPO_ROOT / 'mlruns' / 'mlflow.db'}"


# --- Runs -------------------------------------------------------------------------------------


class Kind(StrEnum):
    """What a run of ours is (tag ``headroom.kind``)."""

    SWEEP = "sweep"  # a parent run
    TRIAL = "trial"  # a child of a sweep: one configuration, all its seeds
    EXTRACTION = "extraction"  # pictures were encoded, and looked at
    ABLATION = "ablation"  # a parent run: what filters and augmentation do
    CELL = "cell"  # a child of an ablation: one filter, with or without augmentation
    VERIFICATION = "verification"  # faces: same person or not
    ZERO_SHOT = "zero-shot"  # classes by their names, and how many pictures a head needs to do better
    FUSION = "fusion"  # pictures and captions together
    FINE_TUNING = "fine-tuning"  # the last layers of an encoder; has the artifacts of a sweep
    ENCODERS = "encoders"  # the same probe on several


CHILDREN = (Kind.TRIAL, Kind.CELL)
LIKE_SWEEPS = (Kind.SWEEP, Kind.FINE_TUNING)  # what the pages about a sweep can show


class Tag:
    """Tags. MLflow keeps them as text."""

    PARENT = "mlflow.parentRunId"  # MLflow's own: makes the tree in its UI
    KIND = "headroom.kind"
    STUDY = "headroom.study"
    DATA = "headroom.data"  # what --data said
    DIGEST = "headroom.data_digest"  # names exactly this data
    ENCODER = "headroom.encoder"
    COMMAND = "headroom.command"  # the shell command that goes on where this run stopped
    IDENTITY = "headroom.identity"  # JSON: what must not change when the study is resumed
    HEARTBEAT = "headroom.heartbeat"  # UNIX seconds of the writer's last sign of life
    STOPPED = "headroom.stopped"  # why a run was closed early: see Stopped
    TRIAL = "headroom.trial"  # a child's trial number; of an ablation its row in ABLATION
    TRIAL_STATE = "headroom.trial_state"  # a child's TrialState
    ERROR = "headroom.error"  # what went wrong, one paragraph


class Stopped(StrEnum):
    """Values of ``Tag.STOPPED``."""

    INTERRUPTED = "interrupted"  # somebody pressed Ctrl-C (or sent SIGTERM): closed in good order
    LOST = "lost"  # the process died without a word; a later command closed the run
    ERROR = "error"  # an exception; its text is in Tag.ERROR


class TrialState(StrEnum):
    """State of one trial: a configuration with all its seeds."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"  # left at a rung
    FAILED = "failed"  # its loss stopped being a number


class RunState(StrEnum):
    """State of a sweep as people see it."""

    LIVE = "live"
    DONE = "done"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


HEARTBEAT_EVERY_S = 5.0
HEARTBEAT_LOST_S = 60.0  # a heartbeat older than this means that the writer is gone


def run_state(status: str, heartbeat: float | None, now: float) -> RunState:
    """The state to show for an MLflow run.

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
    if heartbeat is not None and now - heartbeat > HEARTBEAT_LOST_S:
        return RunState.INTERRUPTED
    return RunState.LIVE


# --- Artifacts of a sweep (parent run), of an extraction and of an ablation (parent run) --------


class Artifact:
    """Paths below a run's artifact root. Tables are Parquet."""

    TRIALS = "trials.parquet"
    CURVES = "curves.parquet"
    PREDICTIONS = "predictions.parquet"
    PROJECTION = "projection.parquet"
    SAMPLES = "samples.parquet"
    QUARANTINE = "quarantine.parquet"  # of a sweep only where a file was quarantined
    PICTURES = "pictures.parquet"  # this and the next: of an extraction
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
    REPORT = "report.md"  # with its pictures beside it
    HEAD = "head"  # a folder: the next two
    HEAD_WEIGHTS = "head/head.safetensors"
    HEAD_CARD = "head/head.json"
    MODEL = "model"  # a folder: the same head, with what it needs to answer pictures, as MLflow serves it
    VECTORS = "vectors.safetensors"  # "vectors" [n, D] of the rows of SAMPLES, in their order
    PAIRS = "pairs.parquet"  # this and the next three: of a verification
    CANDIDATES = "candidates.parquet"
    ROC = "roc.parquet"
    FACES = "faces.parquet"
    TUNED = "tuned"  # of a fine-tuning in HEAD's place: tuned/tuned.safetensors + tuned/tuned.json
    CONFUSION_PNG = "confusion_matrix.png"
    CONFIG = "config.yaml"
    SUMMARY = "summary.json"  # the figures that the command prints last


PARAM_PREFIX = "param."  # hyperparameter columns of TRIALS: param.lr, param.width, …


class Trials:
    """Columns of TRIALS, one row per trial; beside them one ``param.*`` column per hyperparameter
    (null where a hyperparameter has no meaning, such as the width of a linear head)."""

    TRIAL = "trial"  # int, from 0
    STATE = "state"  # TrialState
    SEEDS = "seeds"  # int: how many seeds each figure below is the mean of
    EPOCHS = "epochs"  # int: epochs run (the most of any seed)
    BEST_EPOCH = "best_epoch"  # float: mean over seeds, epochs count from 1
    VAL_F1_MACRO = "val_f1_macro"  # mean over seeds, each at its best epoch
    VAL_F1_MACRO_SE = "val_f1_macro_se"  # standard error over seeds (null for one seed)
    VAL_F1_MACRO_LOW = "val_f1_macro_low"  # 95 % t-interval over seeds (null for one seed)
    VAL_F1_MACRO_HIGH = "val_f1_macro_high"
    VAL_ACCURACY = "val_accuracy"
    VAL_LOSS = "val_loss"
    PARAMETERS = "parameters"  # int: weights and biases in one head
    STARTED_S = "started_s"  # seconds since the sweep began
    FINISHED_S = "finished_s"
    RUNGS = "rungs"  # JSON {epoch: score at that rung}, so that a resumed study can prune as before
    MESSAGE = "message"  # why it failed or where it was pruned, for people; else ""


class Curves:
    """Columns of CURVES, long form: one row per trial, seed, epoch, split and metric."""

    TRIAL = "trial"  # int32
    SEED = "seed"  # int16: 0 … seeds-1
    EPOCH = "epoch"  # int16, from 1
    SPLIT = "split"  # "train" | "val"
    METRIC = "metric"  # "loss" | "f1_macro" | "accuracy" | "lr" (lr is logged under train)
    VALUE = "value"  # float32


class Predictions:
    """Columns of PREDICTIONS: every row of every split, once per logged head."""

    HEAD = "head"  # a name for people: "best", "best linear", "best 1-hidden", …
    TRIAL = "trial"
    SEED = "seed"
    SAMPLE_ID = "sample_id"
    SPLIT = "split"  # "train" | "val" | "test"
    LABEL = "label"  # class name
    PRED = "pred"  # class name
    CONFIDENCE = "confidence"  # probability of PRED
    PROBS = "probs"  # list of float32, in the order of the summary's "classes"


class Projection:
    """Columns of PROJECTION: t-SNE of a sample of the rows.

    ``x`` and ``y`` are the map at perplexity `USUAL` (of fewer rows the largest that they allow); where there
    are rows enough ``x_10``, ``y_10`` … are others of the same rows. Sweeps of before have one map alone.
    """

    SAMPLE_ID = "sample_id"
    X = "x"
    Y = "y"
    USUAL = 30

    @classmethod
    def at(cls, perplexity: int) -> tuple[str, str]:
        """The columns of the map at a perplexity."""
        return (cls.X, cls.Y) if perplexity == cls.USUAL else (f"x_{perplexity}", f"y_{perplexity}")

    @classmethod
    def perplexities(cls, columns: Iterable[str]) -> list[int]:
        """Those on record, ascending."""
        others = (name.removeprefix("x_") for name in columns if name.startswith("x_"))
        return sorted([cls.USUAL, *(int(name) for name in others if name.isdecimal())])


class Samples:
    """Columns of SAMPLES: what a person needs to see of each projected row."""

    SAMPLE_ID = "sample_id"
    SPLIT = "split"
    LABEL = "label"
    CAPTION = "caption"  # "" where there is none
    GROUP = "group"  # "" where there is none
    SPOILED = "spoiled_how"  # how the row was spoiled, "" if it was not; null where nothing is known
    THUMBNAIL = "thumbnail"  # WebP bytes, null where the data has no pictures


class Quarantine:
    """Columns of QUARANTINE."""

    PATH = "path"
    REASON = "reason"


class Pictures:
    """Columns of PICTURES: every row that was used. Measures are null where a picture was not measured."""

    SAMPLE_ID = "sample_id"
    SPLIT = "split"
    LABEL = "label"  # "" where there is none
    WIDTH = "width"  # pixels, as stored
    HEIGHT = "height"
    BRIGHTNESS = "brightness"  # 0…1
    CONTRAST = "contrast"  # 0…0.5
    SHARPNESS = "sharpness"  # from 0
    ENTROPY = "entropy"  # bits, 0…8
    COLOURFULNESS = "colourfulness"  # from 0
    THUMBNAIL = "thumbnail"  # WebP bytes of the pictures that the page shows, else null

    MEASURES = (WIDTH, HEIGHT, BRIGHTNESS, CONTRAST, SHARPNESS, ENTROPY, COLOURFULNESS)
    SIZE = "size"  # no column but shown as one: the shorter side, min(width, height)
    SHOWN = (BRIGHTNESS, CONTRAST, SHARPNESS, ENTROPY, COLOURFULNESS, SIZE)
    EXTREMES = 8  # pictures at either end of each of these that have a thumbnail


class Duplicates:
    """Columns of DUPLICATES: pairs of rows, leaks first, the most alike first.

    Of rows that show the same picture each is paired with the one that stays when duplicates are dropped; of
    near-duplicates every row has the most alike one in each split.
    """

    SAMPLE_ID_A = "sample_id_a"
    SAMPLE_ID_B = "sample_id_b"
    SPLIT_A = "split_a"  # of two different ones the first in the order of SPLITS
    SPLIT_B = "split_b"
    LIKENESS = "likeness"  # cosine of centred vectors; 1 for the same bytes
    KIND = "kind"  # SAME | NEAR

    SAME, NEAR = "same bytes", "near"
    BETWEEN = ("test/train", "val/train", "test/val", "test/test", "val/val", "train/train")  # leaks first
    PAIRS = 12  # of each kind and two splits, the closest, that have thumbnails


class Ablation:
    """Columns of ABLATION: one row per cell and encoder. Cell 0 trains on every row: the baseline. The row's
    number is what CURVES have as trial, and child runs in Tag.TRIAL.

    Figures are of test rows, means over seeds, with 95 % intervals (``_low``, ``_high``); an effect is the
    cell less the baseline (``effect``) or less a random choice of as many training rows (``over_random``).
    P-values ending in ``_holm`` are adjusted for all cells of the ablation. Null: has no meaning, as the
    random choice for a cell that keeps all rows.
    """

    CELL = "cell"  # int, from 0
    ENCODER = "encoder"
    FILTER = "filter"  # its text, "none" for every row
    AUGMENT = "augment"  # bool: trained on augmented views
    KEPT = "kept"  # int: training rows
    TRAIN = "train"  # int: training rows before the filter
    STEPS = (
        "steps"  # int: optimiser steps, the same for all cells; of a logistic regression the most it may take
    )
    HEAD = "head"  # JSON: the head's configuration
    VAL_F1_MACRO = "val_f1_macro"
    F1_MACRO = "f1_macro"  # these five with _low and _high; the last three for two classes alone
    ACCURACY = "accuracy"
    AUROC = "auroc"
    SENSITIVITY = "sensitivity"  # recall of the second class
    SPECIFICITY = "specificity"  # recall of the first
    RANDOM_F1_MACRO = "random_f1_macro"  # of the random choices, each seed with another
    EFFECT = "effect"  # on macro-F1, with _low and _high
    EFFECT_P = "effect_p"  # swap test over rows
    EFFECT_P_HOLM = "effect_p_holm"
    OVER_RANDOM = "over_random"  # with _low and _high: what luck in choosing rows would do is in the interval
    OVER_RANDOM_P = "over_random_p"
    OVER_RANDOM_P_HOLM = "over_random_p_holm"
    HELPFUL_P_HOLM = "helpful_p_holm"  # of the claim that it beats both
    VERDICT = "verdict"  # Verdict
    CHOSEN = "chosen"  # bool: the cell with the highest macro-F1 on validation rows
    THROWN_OUT = "thrown_out"  # int, and the next three: where it is known which rows are spoiled
    SPOILED = "spoiled"  # int: spoiled training rows
    PRECISION = "precision"  # share of the rows thrown out that are spoiled
    RECALL = "recall"  # share of the spoiled rows thrown out

    LOW, HIGH = "_low", "_high"
    PART_PREFIX = "by."  # one column per score that a filter looks at: by.clip = ">=top75%"; null where not


class Verdict(StrEnum):
    """What an ablation says of a cell, after Holm's correction, at 5 %."""

    BASELINE = "baseline"
    HELPS = "helps"  # better than the baseline and than a random choice of as many rows
    HURTS = "hurts"  # worse than the baseline
    UNCLEAR = "unclear"  # neither


class AblationClasses:
    """Columns of ABLATION_CLASSES: one row per cell, encoder and class."""

    CELL = "cell"
    ENCODER = "encoder"
    CLASS = "class"
    KEPT = "kept"  # training rows of the class that the cell keeps
    TRAIN = "train"
    TEST = "test"  # test rows of the class
    F1 = "f1"
    RECALL = "recall"
    EFFECT = "effect"  # on the class's F1, less the baseline's, with _low and _high
    EFFECT_P = "effect_p"
    EFFECT_P_HOLM = "effect_p_holm"  # adjusted for the classes of the cell


class Scores:
    """Columns of SCORES: one row per training row; beside these one column ``score.*`` per score, null where
    a row has none, and one bool column ``keep.N`` per cell."""

    SAMPLE_ID = "sample_id"
    LABEL = "label"
    CAPTION = "caption"
    SPOILED = "spoiled_how"  # as in SAMPLES
    GROUP = "duplicate_group"  # near-duplicates share a number; null where they were not looked for
    THUMBNAIL = "thumbnail"  # WebP bytes of at most Scores.SHOWN rows, else null

    SCORE_PREFIX = "score."
    KEEP_PREFIX = "keep."
    SHOWN = 5000  # rows that have a thumbnail, drawn at random


class AnswersOf:
    """Columns of ANSWERS: one row per encoder, seed and arm (a cell, or its random choice)."""

    ENCODER = "encoder"
    SEED = "seed"
    CELL = "cell"
    RANDOM = "random"  # bool: trained on a random choice of as many rows as the cell keeps
    PRED_VAL = "pred_val"  # list of int16: class numbers of the val rows, in the order of the data
    PRED_TEST = "pred_test"  # likewise of the test rows
    SCORE_TEST = "score_test"  # list of float32: probability of the second of two classes; else null


class Ablated:
    """Keys of an ablation's SUMMARY and of the last line that ``trainer.ablate`` prints."""

    RUN_ID = "mlflow_run_id"
    STUDY = "study"
    SEEDS = "seeds"
    TRAINED = "trained"  # heads, with those of the random choices
    COUNTS = "counts"  # {"train": n, "val": n, "test": n}
    CELLS = "cells"
    BASELINE = "baseline_f1_macro"
    BASELINE_CI95 = "baseline_f1_macro_ci95"
    CHOSEN = "chosen"  # the cell best on validation: its row of ABLATION
    HELPFUL = "helpful"  # [rows] with the verdict `helps`, the best first
    HARMFUL = "harmful"  # how many cells hurt
    SCORES = "scores"  # {name: rows that have it}
    FILTERS = "filters"  # {filter: {"thrown_out", "precision", "recall"}}; null where the truth is not known
    SEPARATION = "separation"  # {score: {kind of spoiling: [AUROC, low, high]}}; {} where it is not known
    WORDING = "wording"  # what rewording does to the CLIP score; null without captions
    ADVICE = "advice"  # the paragraph
    ENCODER_CALLS = "encoder_calls"
    ELAPSED_S = "elapsed_s"
    CLASSES = "classes"  # only in the file

    ONLY_IN_FILE = (CLASSES,)


class Method(StrEnum):
    """How a verification embeds photos before it takes the cosine."""

    RAW = "raw"  # not at all
    WHITENED = "whitened"  # principal axes of equal variance: uses photos of other people, not their names
    LDA = "lda"  # Fisher's discriminants of other people
    TRAINED = "trained"  # a head trained on other people: classifier or contrastive, by validation people


class PairsOf:
    """Columns of PAIRS: one row per pair of test photos; beside them ``score.*``, a method's cosine."""

    SAMPLE_ID_A = "sample_id_a"
    SAMPLE_ID_B = "sample_id_b"
    PERSON_A = "person_a"
    PERSON_B = "person_b"
    SAME = "same"  # bool: one person
    FOLD = "fold"  # int16, from 0
    SPLIT = "split"  # int16, from 0: which training scored it

    SCORE_PREFIX = "score."


class Candidates:
    """Columns of CANDIDATES: one row per split and candidate."""

    SPLIT = "split"
    METHOD = "method"  # Method
    NAME = "name"
    CONFIG = "config"  # JSON
    VAL_AUC = "val_auc"  # of validation people's pairs, mean over seeds
    CHOSEN = "chosen"  # bool: it scored the split's test pairs


class RocOf:
    """Columns of ROC: of each method its curve over a grid of FARs."""

    METHOD = "method"
    FAR = "far"  # false accept rate: different pairs that are accepted
    TAR = "tar"  # true accept rate: same pairs that are accepted
    TAR_LOW = "tar_low"  # 95 %, people resampled, each FAR by itself
    TAR_HIGH = "tar_high"
    THRESHOLD = "threshold"  # null where nobody is accepted


class Faces:
    """Columns of FACES: one row per photo that the page shows."""

    SAMPLE_ID = "sample_id"
    PERSON = "person"
    THUMBNAIL = "thumbnail"  # WebP bytes; null where the data has no pictures
    PRED = "pred"  # closed set: who the head said it is; null where nobody was asked
    CONFIDENCE = "confidence"
    RANK = "rank"  # float: the place of the right person, from 1
    RAW_RANK = "raw_rank"  # likewise by the nearest known photo
    HELD_OUT = "held_out"  # bool: the head of the map did not learn from it
    X = "x"  # t-SNE of the features, null where a photo is not on the map
    Y = "y"
    TRAINED_X = "trained_x"  # t-SNE of what the head makes of them
    TRAINED_Y = "trained_y"

    SHOWN = 6000  # photos at most
    MAPPED = 2000  # of them on the map, of at most MAPPED_PEOPLE people
    MAPPED_PEOPLE = 56


class Verified:
    """Keys of a verification's SUMMARY and of the last line that ``trainer.verify`` prints.

    The figures at the top are of the trained head (of the raw cosine, where none could be trained); METHODS
    has those of every method, in the same words.
    """

    RUN_ID = "mlflow_run_id"
    STUDY = "study"
    PEOPLE = "people"  # whose photos are in pairs
    PHOTOS = "photos"
    FOLDS = "folds"
    DISJOINT = "folds_disjoint"  # bool: no person stands in two folds
    SAME = "same_pairs"
    DIFFERENT = "different_pairs"
    LEFT_OUT = "left_out"  # copies of photos, or pairs of the file with an unusable photo
    AUC = "auc"  # these with _ci95: [low, high]
    EER = "eer"
    ACCURACY = "accuracy"
    ACCURACY_SE = "accuracy_se"  # over folds, as LFW reports it
    TAR_AT = "tar_at"  # {"0.01": [value, low, high], "0.001": null where the pairs do not allow it}
    METHODS = "methods"  # {Method: the figures above and the next two}
    FOLD_ACCURACY = "fold_accuracy"
    THRESHOLDS = "thresholds"  # of each fold, chosen on the others
    DIFFERENCES = (
        "differences"  # {Method: {"auc"|"eer"|"accuracy"|"tar0.01": [less raw, low, high]}, "p_holm"}
    )
    P_HOLM = "p_holm"  # of the AUC's difference, adjusted for the methods
    VERDICT = "trained_against_raw"  # "better" | "worse" | "unclear" | null
    CHOSEN = "chosen"  # {candidate of the trained method: splits that chose it}
    IDENTIFICATION = "identification"  # closed set; null where too few photos
    ADVICE = "advice"
    ENCODER_CALLS = "encoder_calls"
    ELAPSED_S = "elapsed_s"

    CI95 = "_ci95"
    # keys of IDENTIFICATION
    PROBES = "probes"
    RANK1 = "rank1"  # with _ci95
    RAW_RANK1 = "raw_rank1"
    RANK1_DIFFERENCE = "rank1_difference"  # [head less nearest photo, low, high]
    CMC = "cmc"  # shares found among the first 1, 2, … 10
    RAW_CMC = "raw_cmc"

    ONLY_IN_FILE = (METHODS, CHOSEN)


class Methods:
    """Columns of METHODS: one row per way to classify the same test rows. Figures are means over its heads,
    with 95 % intervals (``_low``, ``_high``) over rows and heads."""

    METHOD = "method"
    HOW = "how"  # in words: what was chosen on validation rows
    HEADS = "heads"  # int: how many, with other random numbers, the figures are means of
    CHOSEN = "chosen"  # bool: the best on validation rows
    VAL_F1_MACRO = "val_f1_macro"
    F1_MACRO = "f1_macro"
    ACCURACY = "accuracy"

    LOW, HIGH = "_low", "_high"


class MethodPairs:
    """Columns of METHOD_PAIRS: one row per two methods, compared row by row: method less against.

    P-values ending in ``_holm`` are adjusted for all rows of the table.
    """

    METHOD = "method"
    AGAINST = "against"
    EFFECT = "effect"  # on macro-F1, with _low and _high
    EFFECT_P = "effect_p"  # swap test over rows
    EFFECT_P_HOLM = "effect_p_holm"
    ACCURACY = "accuracy"  # difference, with _low and _high
    ONLY_METHOD = "only_method"  # int: test rows that only the method's first head has right
    ONLY_AGAINST = "only_against"
    MCNEMAR_P = "mcnemar_p"  # exact, of these two numbers
    MCNEMAR_P_HOLM = "mcnemar_p_holm"


class MethodClasses:
    """Columns of METHOD_CLASSES: one row per row of METHOD_PAIRS and class."""

    METHOD = "method"
    AGAINST = "against"
    CLASS = "class"
    TEST = "test"  # int: test rows of the class
    F1 = "f1"  # of the method
    F1_AGAINST = "f1_against"
    EFFECT = "effect"  # on the class's F1, with _low and _high
    EFFECT_P = "effect_p"
    EFFECT_P_HOLM = "effect_p_holm"  # adjusted for the classes of the pair


class FewShot:
    """Columns of FEW_SHOT: one row per kind of head and number of pictures per class. Figures are of test
    rows, means over draws, with 95 % intervals over draws and rows (``_low``, ``_high``)."""

    KIND = "kind"  # as in METHODS
    SHOTS = "shots"  # int: training pictures of each class; the row of all training pictures has their median
    ALL = "all"  # bool: trained on all training rows, one draw
    ROWS = "rows"  # int: training rows
    DRAWS = "draws"  # int
    L2 = "l2"  # strength of the penalty, chosen on validation rows for all draws together
    VAL_F1_MACRO = "val_f1_macro"
    F1_MACRO = "f1_macro"
    EFFECT = "effect"  # on macro-F1, less zero-shot's
    EFFECT_P = "effect_p"  # swap test over rows
    EFFECT_P_HOLM = "effect_p_holm"  # adjusted for all rows of the table


class FewShotScores:
    """Columns of FEW_SHOT_SCORES: one row per draw, kind, number of pictures and strength. The record from
    which a zero-shot run resumes: a draw counts once it stands there."""

    DRAW = "draw"  # int, from 0; -1: all training rows
    KIND = "kind"
    SHOTS = "shots"  # 0 for all training rows
    L2 = "l2"
    VAL_F1_MACRO = "val_f1_macro"


class ZeroShot:
    """Keys of a zero-shot run's SUMMARY and of the last line that ``trainer.zeroshot`` prints."""

    RUN_ID = "mlflow_run_id"
    STUDY = "study"
    COUNTS = "counts"  # {"train": n, "val": n, "test": n}
    TEMPLATES = "templates"
    CLASS_NAMES = "class_names"  # {class: [names]}
    SCALE = "scale"  # what cosines are multiplied with to be logits, fitted on validation rows
    METHODS = (
        "methods"  # {method: {"f1_macro": …, "f1_macro_ci95": […], "accuracy": …, "accuracy_ci95": […]}}
    )
    PAIRS = "pairs"  # rows of METHOD_PAIRS
    DRAWS = "draws"
    CROSSING = "crossing"  # {kind: {"shots": per class, "ci95": […], "within": share of draws}}; null: none
    ADVICE = "advice"  # what that means, a few sentences
    ENCODER_CALLS = "encoder_calls"
    ELAPSED_S = "elapsed_s"
    CLASSES = "classes"  # only in the file

    ONLY_IN_FILE = (CLASSES,)


class Fused:
    """Keys of a fusion run's SUMMARY and of the last line that ``trainer.fuse`` prints."""

    RUN_ID = "mlflow_run_id"
    STUDY = "study"
    COUNTS = "counts"  # {"train": n, "val": n, "test": n}
    WITHOUT = "without_caption"  # {"train": n, "val": n, "test": n}
    NAMED = "captions_naming_their_class"  # {"train": share of its captions, …}
    HIDDEN = "class_names_hidden"  # bool: they were masked
    CUT = "captions_cut"  # longer than the encoder sees
    CHOSEN = "chosen"  # method, the best on validation rows
    WEIGHT = "late_weight"  # of the text's log-probabilities, chosen on validation rows
    METHODS = "methods"  # as ZeroShot.METHODS
    PAIRS = "pairs"
    ADVICE = "advice"
    ENCODER_CALLS = "encoder_calls"
    ELAPSED_S = "elapsed_s"
    CLASSES = "classes"  # only in the file

    ONLY_IN_FILE = (CLASSES,)


class EncodersOf:
    """Columns of ENCODERS: one row per encoder, in the order of METHODS."""

    ENCODER = "encoder"  # as in METHODS
    KEY = "key"  # name, dtype and key, as everywhere
    DEVICE = "device"
    DIMENSION = "dimension"  # numbers in a vector
    PARAMETERS = "parameters"  # of the image tower
    SIDE = "side"  # pixels of a prepared picture's height
    BATCH_SIZE = "batch_size"  # the fastest that was found
    IMAGES_PER_S = "images_per_s"  # prepared pictures through the tower, on DEVICE
    PEAK_BYTES = "peak_bytes"  # of memory while it encodes, beyond what the libraries take
    ENCODED_S = "encoded_s"  # seconds in which this run encoded the pictures that were not cached …
    ENCODED = "encoded"  # … and how many these were


class EncodersCompared:
    """Keys of such a run's SUMMARY and of the last line that ``trainer.encoders`` prints."""

    RUN_ID = "mlflow_run_id"
    STUDY = "study"
    COUNTS = "counts"  # {"train": n, "val": n, "test": n}
    SEEDS = "seeds"
    CHOSEN = "chosen"  # the encoder best on validation rows
    TAKE = "take"  # the fastest of those that cannot be told from it
    METHODS = "methods"  # as ZeroShot.METHODS
    PAIRS = "pairs"
    ENCODERS = "encoders"  # rows of ENCODERS
    ADVICE = "advice"
    ENCODER_CALLS = "encoder_calls"
    ELAPSED_S = "elapsed_s"
    CLASSES = "classes"  # only in the file

    ONLY_IN_FILE = (CLASSES,)


class Metric:
    """Names of MLflow metrics. Per-epoch ones are means over seeds, step = epoch."""

    TRAIN_LOSS = "train_loss"
    VAL_LOSS = "val_loss"
    VAL_F1_MACRO = "val_f1_macro"
    VAL_ACCURACY = "val_accuracy"
    LR = "lr"
    BEST_VAL_F1_MACRO = "best_val_f1_macro"  # on a sweep: the best so far, step = trials done
    BEST_VAL_F1_MACRO_LOW = "best_val_f1_macro_low"
    BEST_VAL_F1_MACRO_HIGH = "best_val_f1_macro_high"
    BEST_EPOCH = "best_epoch"
    TEST_F1_MACRO = "test_f1_macro"  # on a sweep, once, for the chosen head
    TEST_ACCURACY = "test_accuracy"
    TEST_AUROC = "test_auroc"
    FRESH_VAL_F1_MACRO = "fresh_val_f1_macro"  # of the chosen configuration, trained anew with fresh seeds
    EFFECT = "effect"  # on a cell: its test macro-F1 less the baseline's
    OVER_RANDOM = "over_random"  # on a cell: less that of a random choice of as many rows
    KEPT = "kept"  # on a cell: training rows


class Extracted:
    """Keys of an extraction's SUMMARY and of the last line that ``trainer.extract`` prints.

    ``found == used + quarantined + dropped_duplicates``, always.
    """

    RUN_ID = "mlflow_run_id"
    FOUND = "found"
    USED = "used"
    QUARANTINED = "quarantined"
    DROPPED = "dropped_duplicates"
    DUPLICATES = "duplicates"  # rows, used or dropped, whose picture another row before them shows
    REUSED = "reused"
    ENCODED = "encoded"
    ENCODER_CALLS = "encoder_calls"
    IMAGES_PER_S = "images_per_s"
    BATCH_SIZE = "batch_size"
    PROCESSES = "processes"
    SHARE_OF_TIME = "share_of_time"
    CAPTIONS = "captions"  # rows that have one; this and the next two only with --captions
    CAPTIONS_ENCODED = "captions_encoded"  # distinct ones encoded now
    CAPTIONS_CUT = "captions_cut"  # longer than the encoder sees
    SAME_BYTES = "same_bytes"  # {"test/train": pairs of rows with the same picture in DUPLICATES, …}
    NEAR_DUPLICATES = (
        "near_duplicates"  # {"test/train": pairs of different pictures, …}; {} if not looked for
    )
    NEAR_LEAKS = "near_leaks"  # pictures of test or val that have a near-duplicate in train
    NOT_COMPARED = "not_compared"  # rows that took no part in looking for near-duplicates
    ENCODER = "encoder"
    ELAPSED_S = "elapsed_s"
    QUARANTINE = "quarantine"  # only on the printed line: [{"path": …, "reason": …}]

    METRICS = (
        *(FOUND, USED, QUARANTINED, DROPPED, DUPLICATES, REUSED, ENCODED, ENCODER_CALLS, IMAGES_PER_S),
        *(BATCH_SIZE, PROCESSES, NEAR_LEAKS, NOT_COMPARED, ELAPSED_S),
    )


class Summary:
    """Keys of a sweep's SUMMARY and of the last line that ``trainer.sweep`` prints."""

    RUN_ID = "mlflow_run_id"
    STUDY = "study"
    TRIALS = "trials"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    BEST_TRIAL = "best_trial"
    BEST_VAL_F1_MACRO = "best_val_f1_macro"
    BEST_VAL_F1_MACRO_CI95 = "best_val_f1_macro_ci95"
    # the best configuration trained anew with seeds that had no part in choosing it (--fresh-seeds):
    FRESH_VAL_F1_MACRO = "fresh_val_f1_macro"  # mean over those seeds
    FRESH_VAL_F1_MACRO_CI95 = "fresh_val_f1_macro_ci95"  # t-interval; [null, null] for one seed
    FRESH_SEEDS = "fresh_seeds"  # how many
    FRESH_LEAD = "fresh_lead"  # {head name: [difference best - it, low, high]}, paired by seed
    FRONT = "front"  # --objective f1+size: [{"trial", "val_f1_macro", "parameters"}], the smallest head first
    PROFILE = "profile"  # --profile: where the time went
    TEST_F1_MACRO = "test_f1_macro"
    TEST_F1_MACRO_CI95 = "test_f1_macro_ci95"
    TEST_ACCURACY = "test_accuracy"
    TEST_ACCURACY_CI95 = "test_accuracy_ci95"
    # this and what follows up to BRIER_CHANGE of two classes only; NAME_ci95 beside what has an interval:
    TEST_AUROC = "test_auroc"
    TEST_AUROC_CI95 = "test_auroc_ci95"
    POSITIVE = "positive"  # the class that is looked for: the second of CLASSES
    TEST_PREVALENCE = "test_prevalence"  # its share of the test rows, and the AUPRC of chance
    TEST_AUPRC = "test_auprc"  # average precision
    THRESHOLD = "threshold_at_specificity90"  # probability of POSITIVE from which on it is said, …
    VAL_SPECIFICITY = (
        "val_specificity_at_threshold"  # … so that this is at least 90 %; on test rows it gives:
    )
    TEST_SENSITIVITY = "test_sensitivity_at_specificity90"
    TEST_SPECIFICITY = "test_specificity_at_threshold"
    SPECIFICITY_CHANGE = "test_specificity_change"  # [test - validation, low, high]
    SENSITIVITY_ON_ROC = "test_sensitivity_on_its_own_roc"  # at that specificity of the test rows themselves
    TEMPERATURE = "temperature"  # fitted on validation rows; the log-odds over it are *calibrated*
    TEST_ECE = "test_ece"  # expected calibration error, ten bins of as many rows
    TEST_ECE_CALIBRATED = "test_ece_calibrated"
    ECE_CHANGE = "test_ece_change"  # [calibrated - as the head says it, low, high], paired by row
    TEST_NLL = "test_nll"
    TEST_NLL_CALIBRATED = "test_nll_calibrated"
    NLL_CHANGE = "test_nll_change"
    TEST_BRIER = "test_brier"
    TEST_BRIER_CALIBRATED = "test_brier_calibrated"
    BRIER_CHANGE = "test_brier_change"
    GROUPS = "groups"  # {"train": n, "val": n, "test": n, "in_two_splits": n}; only where rows have groups
    MODEL = "model_uri"  # the best head in MLflow's registry: models:/NAME/VERSION; null where it has none
    ENCODER_CALLS = "encoder_calls"
    ELAPSED_S = "elapsed_s"
    TRIALS_PER_S = "trials_per_s"
    # only in the file, not on the printed line:
    BEST_SO_FAR = "best_so_far"  # best val macro-F1 as trials completed: [at most SPARK_POINTS]
    CLASSES = "classes"  # list of class names, in the order of Predictions.PROBS
    COUNTS = "counts"  # {"train": n, "val": n, "test": n}
    DIMENSION = "dimension"  # features per row
    HEADS = "heads"  # {head name: {"trial": …, "seed": …}} of the logged heads

    ONLY_IN_FILE = (BEST_SO_FAR, CLASSES, COUNTS, DIMENSION, HEADS)
    CI95 = "_ci95"
    SPECIFICITY = 0.9  # that THRESHOLD is chosen for
    OF_TWO_CLASSES = (  # numbers that are logged as metrics, too
        *(TEST_AUROC, TEST_AUPRC, TEST_SENSITIVITY, TEST_SPECIFICITY, TEMPERATURE),
        *(TEST_ECE, TEST_ECE_CALIBRATED, TEST_NLL, TEST_NLL_CALIBRATED, TEST_BRIER, TEST_BRIER_CALIBRATED),
    )
    SPARK_POINTS = 32


class Predicted:
    """Keys of the last line that ``trainer.predict`` prints. ``found == predicted + bad``, always."""

    RUN_ID = "mlflow_run_id"  # of the sweep whose head answered; null for --model-uri
    MODEL = "model_uri"  # null where the head was a sweep's
    TRIAL = "trial"
    ENCODER = "encoder"
    FOUND = "found"
    PREDICTED = "predicted"
    BAD = "bad"
    BAD_FILES = "bad_files"  # [{"path": …, "reason": …}]
    COUNTS = "counts"  # {class: pictures that were taken for it}
    CLASSES = "classes"
    REUSED = "reused"  # pictures whose vector was in the cache
    ENCODER_CALLS = "encoder_calls"
    IMAGES_PER_S = "images_per_s"  # predicted, over the time from listing the files to the last answer
    OUT = "out"
    ELAPSED_S = "elapsed_s"


class FineTuned:
    """Keys that the SUMMARY of a fine-tuning has besides those of `Summary`. There the best trial and the
    head "best" are the fine-tuned encoder, while trial 0 and the head "frozen" are the best logistic
    regression on the frozen one."""

    UNFROZEN = "unfrozen"  # how many of the last blocks learnt …
    BLOCKS = "blocks"  # … of how many
    SEEDS = "seeds"
    FROZEN_VAL_F1_MACRO = "frozen_val_f1_macro"
    FROZEN_TEST_F1_MACRO = "frozen_test_f1_macro"
    FROZEN_TEST_F1_MACRO_CI95 = "frozen_test_f1_macro_ci95"
    EFFECT = "effect"  # [fine-tuned - frozen in test macro-F1, low, high]: mean over seeds, paired by row
    EFFECT_P = "effect_p"  # swap test
    VERDICT = "verdict"  # Verdict, without BASELINE
    WHY = "why"  # a sentence from the curves about a gain that did not come, "" where it came
    EPOCH_S = "epoch_s"  # seconds of an epoch with its validation, mean over all
    CACHED_BYTES = "cached_bytes"  # of the activations that the blocks were trained on

    FROZEN_HEAD = "frozen"  # its name in PREDICTIONS
