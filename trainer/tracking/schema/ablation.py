"""Tables and figures of an ablation."""

from __future__ import annotations

from enum import StrEnum


class Ablation:
    """Columns of ABLATION: one row per cell and encoder. Cell 0 trains on every row: the baseline. The row's
    number is what CURVES have as trial, and child runs in Tag.TRIAL.

    Figures are of test rows, means over seeds, with 95 % intervals (``_low``, ``_high``); an effect is the
    cell less the baseline (``effect``) or less a random subset of the same size (``over_random``).
    P-values ending in ``_holm`` are adjusted for all cells of the ablation. Null: does not apply, as the
    random subset for a cell that keeps all rows.
    """

    CELL = "cell"  # int, from 0
    ENCODER = "encoder"
    FILTER = "filter"  # as text, "none" for all rows
    AUGMENT = "augment"  # bool: trained on augmented views
    KEPT = "kept"  # int: training rows
    TRAIN = "train"  # int: training rows before the filter
    STEPS = "steps"  # int: optimiser steps, the same for all cells; of a logistic regression the maximum
    HEAD = "head"  # JSON: the head's configuration
    VAL_F1_MACRO = "val_f1_macro"
    F1_MACRO = "f1_macro"  # this to SPECIFICITY with _low and _high; the last three for two classes only
    ACCURACY = "accuracy"
    AUROC = "auroc"
    SENSITIVITY = "sensitivity"  # recall of the second class
    SPECIFICITY = "specificity"  # recall of the first
    RANDOM_F1_MACRO = "random_f1_macro"  # of random subsets, a different one per seed
    EFFECT = "effect"  # on macro-F1, with _low and _high
    RELATIVE = "relative_effect"  # EFFECT / the baseline's F1_MACRO, with ends; not in older runs
    EFFECT_P = "effect_p"  # swap test over rows
    EFFECT_P_HOLM = "effect_p_holm"
    OVER_RANDOM = "over_random"  # with _low and _high, including the variance of the random subset
    OVER_RANDOM_P = "over_random_p"
    OVER_RANDOM_P_HOLM = "over_random_p_holm"
    HELPFUL_P_HOLM = "helpful_p_holm"  # that it beats both baselines
    VERDICT = "verdict"  # Verdict
    CHOSEN = "chosen"  # bool: the cell with the highest macro-F1 on validation rows
    REMOVED = "thrown_out"  # int: removed training rows; this and the next three if corruption is known
    CORRUPTED = "spoiled"  # int: corrupted training rows
    PRECISION = "precision"  # share of the removed rows that are corrupted
    RECALL = "recall"  # share of the corrupted rows that are removed

    LOW, HIGH = "_low", "_high"
    PART_PREFIX = "by."  # one column per score of the filter: by.clip = ">=top75%"; else null


class Verdict(StrEnum):
    """Verdict on a cell at 5 %, after Holm's correction."""

    BASELINE = "baseline"
    HELPS = "helps"  # better than the baseline and than a random subset
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
    CORRUPTED = "spoiled_how"  # as in SAMPLES
    GROUP = "duplicate_group"  # near-duplicates share a number; null if not computed
    THUMBNAIL = "thumbnail"  # WebP bytes of at most Scores.SHOWN rows, else null

    SCORE_PREFIX = "score."
    KEEP_PREFIX = "keep."
    SHOWN = 5000  # rows that have a thumbnail, drawn at random


class CellPredictions:
    """Columns of ANSWERS: one row per encoder, seed and arm (a cell or its random subset)."""

    ENCODER = "encoder"
    SEED = "seed"
    CELL = "cell"
    RANDOM = "random"  # bool: trained on a random subset of the cell's size
    PRED_VAL = "pred_val"  # list of int16: class numbers of the val rows, in the order of the data
    PRED_TEST = "pred_test"  # likewise of the test rows
    SCORE_TEST = "score_test"  # list of float32: probability of the second of two classes; else null


class Ablated:
    """Keys of an ablation's SUMMARY and of the last line that ``trainer.ablate`` prints."""

    RUN_ID = "mlflow_run_id"
    STUDY = "study"
    SEEDS = "seeds"
    TRAINED = "trained"  # heads, with those of the random subsets
    COUNTS = "counts"  # {"train": n, "val": n, "test": n}
    TEST_GROUPS = "test_groups"  # as Summary.TEST_GROUPS
    CELLS = "cells"
    BASELINE = "baseline_f1_macro"
    BASELINE_CI95 = "baseline_f1_macro_ci95"
    CHOSEN = "chosen"  # the cell best on validation: its row of ABLATION
    HELPFUL = "helpful"  # [rows] with the verdict `helps`, the best first
    HARMFUL = "harmful"  # how many cells hurt
    SCORES = "scores"  # {name: rows that have it}
    FILTERS = "filters"  # {filter: {"thrown_out", "precision", "recall"}}; null if corruption is unknown
    SEPARATION = "separation"  # {score: {kind of corruption: [AUROC, low, high]}}; {} if unknown
    WORDING = "wording"  # effect of caption augmentation on the CLIP score; null without captions
    ADVICE = "advice"  # the paragraph
    ENCODER_CALLS = "encoder_calls"
    ELAPSED_S = "elapsed_s"
    CLASSES = "classes"  # only in the file

    ONLY_IN_FILE = (CLASSES,)
