"""Tables and figures of a sweep, of a prediction and of a fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable


class Trials:
    """Columns of TRIALS, one row per trial; beside them one ``param.*`` column per hyperparameter
    (null where it does not apply, such as the width of a linear head)."""

    TRIAL = "trial"  # int, from 0
    STATE = "state"  # TrialState
    SEEDS = "seeds"  # int: number of seeds; the figures below are means over them
    EPOCHS = "epochs"  # int: epochs run (maximum over seeds)
    BEST_EPOCH = "best_epoch"  # float: mean over seeds, epochs count from 1
    VAL_F1_MACRO = "val_f1_macro"  # mean over seeds, each at its best epoch
    VAL_F1_MACRO_SE = "val_f1_macro_se"  # standard error over seeds (null for one seed)
    VAL_F1_MACRO_UNIT_SE = "val_f1_macro_unit_se"  # standard error over judged rows, or groups of them
    # 95 % interval over both; where UNIT_SE is null (older studies), over seeds alone (null for one seed)
    VAL_F1_MACRO_LOW = "val_f1_macro_low"
    VAL_F1_MACRO_HIGH = "val_f1_macro_high"
    VAL_ACCURACY = "val_accuracy"
    VAL_LOSS = "val_loss"
    # this and the next: only where they are the objective. Beside the column of another objective than
    # macro-F1 (--objective accuracy, balanced, auroc, nll: the loss) there are the same four of it:
    # val_accuracy_se, val_accuracy_unit_se, val_accuracy_low and val_accuracy_high, for example.
    VAL_BALANCED_ACCURACY = "val_balanced_accuracy"
    VAL_AUROC = "val_auroc"  # of several classes one against the rest, averaged over classes
    # where a number is predicted, in the place of macro-F1 (with its four) and accuracy:
    VAL_R2 = "val_r2"
    VAL_MAE = "val_mae"  # in units of the number, as is the next
    VAL_RMSE = "val_rmse"
    # where a row may have several labels, in the place of macro-F1 (with its four) and accuracy; F1 of labels
    # with a probability of at least 0.5:
    VAL_MAP = "val_map"
    VAL_F1_MACRO_LABELS = "val_f1_macro_labels"
    VAL_F1_MICRO_LABELS = "val_f1_micro_labels"
    SE, UNIT_SE, LOW, HIGH = "_se", "_unit_se", "_low", "_high"  # endings of these
    PARAMETERS = "parameters"  # int: weights and biases in one head
    STARTED_S = "started_s"  # seconds since the sweep began
    FINISHED_S = "finished_s"
    RUNGS = "rungs"  # JSON {epoch: score by the objective}, used for pruning on resume
    MESSAGE = "message"  # why it failed or where it was pruned, else ""


class Curves:
    """Columns of CURVES, long form: one row per trial, seed, epoch, split and metric."""

    TRIAL = "trial"  # int32
    SEED = "seed"  # int16: 0 … seeds-1
    EPOCH = "epoch"  # int16, from 1
    SPLIT = "split"  # "train" | "val"
    METRIC = "metric"  # "loss" | "f1_macro" | "accuracy" | "balanced_accuracy" (only where it is the
    # objective) | "lr" (lr is logged under train); of numbers "loss" | "r2" | "mae" | "rmse" | "lr"; of
    # several labels "loss" | "f1_macro_labels" | "f1_micro_labels" | "lr"
    VALUE = "value"  # float32


class Predictions:
    """Columns of PREDICTIONS: every row of every split, once per logged head."""

    HEAD = "head"  # display name: "best", "best linear", "best 1-hidden", …
    TRIAL = "trial"
    SEED = "seed"
    SAMPLE_ID = "sample_id"
    SPLIT = "split"  # "train" | "val" | "test"
    LABEL = "label"  # class name
    PRED = "pred"  # class name
    CONFIDENCE = "confidence"  # probability of PRED
    CONFIDENCE_UNCALIBRATED = "confidence_uncalibrated"  # float32: before the head was calibrated; null where
    # it is not, and of heads other than "best"; sweeps of before have no such column
    PROBS = "probs"  # list of float32, in the order of the summary's "classes"
    UNIT = "unit"  # int32: rows of one group and copies of one image share a number; intervals draw units
    # where a number is predicted, in the place of LABEL up to PROBS:
    TARGET = "target"  # float64: the true number
    NUMBER = "number"  # float64: the predicted one
    # where a row may have several labels, in the place of LABEL up to PROBS:
    TRUE_LABELS = "true_labels"  # list of label names, in the order of Summary.LABEL_NAMES
    LABEL_PROBABILITIES = "label_probabilities"  # list of float32, one per label, in that order


class Projection:
    """Columns of PROJECTION: t-SNE and principal components of a sample of the rows.

    ``x`` and ``y`` are the map at perplexity `USUAL` (of fewer rows the largest that they allow); where there
    are rows enough ``x_10``, ``y_10`` … are others of the same rows. Sweeps of before have one map alone.
    """

    SAMPLE_ID = "sample_id"
    X = "x"
    Y = "y"
    X_PCA = "x_pca"  # first principal component of the features; sweeps of before have no such column
    Y_PCA = "y_pca"  # the second
    USUAL = 30

    @classmethod
    def at(cls, perplexity: int) -> tuple[str, str]:
        """Return the columns of the map at a perplexity."""
        return (cls.X, cls.Y) if perplexity == cls.USUAL else (f"x_{perplexity}", f"y_{perplexity}")

    @classmethod
    def perplexities(cls, columns: Iterable[str]) -> list[int]:
        """Return the stored perplexities, ascending."""
        others = (name.removeprefix("x_") for name in columns if name.startswith("x_"))
        return sorted([cls.USUAL, *(int(name) for name in others if name.isdecimal())])


class Samples:
    """Columns of SAMPLES: label, caption and thumbnail of each projected row."""

    SAMPLE_ID = "sample_id"
    SPLIT = "split"
    LABEL = "label"
    CAPTION = "caption"  # "" where there is none
    GROUP = "group"  # "" where there is none
    CORRUPTED = "spoiled_how"  # known corruption of the row, "" for clean, null for unknown
    THUMBNAIL = "thumbnail"  # WebP bytes, null where the data has no images
    CONTENT_HASH = (
        "content_hash"  # SHA-256 hex of the image's bytes as stored; without images of the vector's.
    )
    # Corrections of labels take it along; older runs have no such column
    FIELD = (
        "field_of_view"  # six float32: left, top, right, bottom of what the (first) encoder sees, as shares
    )
    # of width and height, outside 0…1 where black is added; width and height of its input in pixels. Null
    # where the size was not measured; older runs have no such column


class Summary:
    """Keys of a sweep's SUMMARY and of the last line that ``trainer.sweep`` prints."""

    RUN_ID = "mlflow_run_id"
    STUDY = "study"
    TRIALS = "trials"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    OBJECTIVE = "objective"  # --objective; sweeps of before have none: macro-F1
    VALIDATION = "validation"  # what judged the trials: "holdout", or "5-fold cross-validation"
    REFIT = "refit"  # whether the final head learned from all rows but the test rows
    TARGET = "target"  # "number" where one is predicted, "labels" of several per row; absent of classes
    FEATURES = "features"  # what the vectors are: pooled, cls4 or cls4+patch; not of precomputed ones
    FEATURES_SCORES = "features_scores"  # {recipe: score by the objective} where it was chosen among several
    MEMBERS = "members"  # {trial: weight} of the final head, the heaviest first
    HELD_OUT_F1_MACRO = "held_out_f1_macro"  # of the final head, on rows that it had not learned from
    # what to expect of the final head on new data, from rows that it had not learned from:
    EXPECTED_F1_MACRO = "expected_f1_macro"
    EXPECTED_F1_MACRO_CI95 = "expected_f1_macro_ci95"
    EXPECTED_ACCURACY = "expected_accuracy"
    EXPECTED_ACCURACY_CI95 = "expected_accuracy_ci95"
    EXPECTED_OVER = "expected_over"  # what its intervals are over, such as "812 rows"
    TEST_LESS_EXPECTED = "test_less_expected"  # [test - expected macro-F1, low, high]
    TEST_LOOKS = (
        "test_looks"  # how often the test rows were answered by runs of this store, this one included
    )
    BEST_TRIAL = "best_trial"  # by the objective; the next is its macro-F1. MEMBERS may be others
    BEST_VAL_F1_MACRO = "best_val_f1_macro"
    BEST_VAL_F1_MACRO_CI95 = "best_val_f1_macro_ci95"
    # the best configuration retrained with fresh seeds (--fresh-seeds), by the objective:
    FRESH_VAL_F1_MACRO = "fresh_val_f1_macro"  # mean over those seeds
    FRESH_VAL_F1_MACRO_CI95 = "fresh_val_f1_macro_ci95"  # t-interval; [null, null] for one seed
    FRESH_SEEDS = "fresh_seeds"  # how many
    FRESH_LEAD = "fresh_lead"  # {head name: [difference best - it, low, high]}, paired by seed
    # Of another objective than macro-F1, with _ci95 beside each: these before the column of TRIALS, as in
    BEST, FRESH = "best_", "fresh_"  # best_val_accuracy and fresh_val_loss;
    HELD_OUT, EXPECTED, TEST = "held_out_", "expected_", "test_"  # before accuracy, balanced_accuracy, auroc
    # or log_loss: of the final head, what to expect of it, and on test rows
    FRONT = "front"  # --objective f1+size: [{"trial", "val_f1_macro", "parameters"}], the smallest head first
    PROFILE = "profile"  # --profile: seconds by stage
    TEST_F1_MACRO = "test_f1_macro"
    TEST_F1_MACRO_CI95 = "test_f1_macro_ci95"
    TEST_ACCURACY = "test_accuracy"
    TEST_ACCURACY_CI95 = "test_accuracy_ci95"
    # further scores of its answers, with NAME_ci95:
    TEST_BALANCED_ACCURACY = "test_balanced_accuracy"  # mean recall of the classes that the test rows have
    TEST_F1_WEIGHTED = "test_f1_weighted"  # mean F1 of the classes, by their rows
    TEST_MCC = "test_mcc"  # Matthews correlation coefficient, -1 to 1; of several classes Gorodkin's
    TEST_F1_POSITIVE = "test_f1_positive"  # of two classes only: F1 of POSITIVE
    # of the probabilities as the final head says them; NAME_ci95 beside each, over groups or rows:
    TEST_ECE_TOP_LABEL = "test_ece_top_label"  # calibration error of PRED, ten bins of as many rows
    TEST_LOG_LOSS = "test_log_loss"
    TEST_BRIER_SCORE = "test_brier_score"  # summed over classes: 0 to 2
    TEST_AURC = "test_aurc"  # area under the risk-coverage curve: error rate, averaged over shares answered
    COVERAGE = "coverage"  # that prediction sets promise; this and the next three where a row was held out
    COVERAGE_THRESHOLD = "coverage_threshold"  # probability from which a class belongs to a set
    TEST_COVERAGE = "test_coverage"  # share of test rows whose set holds the label
    TEST_SET_SIZE = "test_set_size"  # classes in a set, on average
    OOD_FALSE_ALARM_RATE = (
        "ood_false_alarm_rate"  # promised by the detector of unlike images, where there is one
    )
    TEST_OOD_FALSE_ALARMS = "test_ood_false_alarms"  # share of test rows that it takes for unlike
    HELD_OUT_ECE_TOP_LABEL = "held_out_ece_top_label"  # this and the next two: on rows that the final head
    HELD_OUT_LOG_LOSS = "held_out_log_loss"  # had not learned from, with which it was calibrated
    HELD_OUT_BRIER_SCORE = "held_out_brier_score"
    HELD_OUT_ROWS = "held_out_rows"  # how many these are
    TEMPERATURE = "temperature"  # with its _ci95: the divisor of logits that makes labels likeliest, fitted
    # there; of an ensemble, whose members have their own, that of its uncalibrated mean
    TEST_GROUPS = "test_groups"  # how many the intervals of test figures draw; absent where they draw rows
    TEST_ROWS_PER_CLASS = "test_rows_per_class"  # median over the classes that the test rows have
    # this and what follows up to BRIER_CHANGE of two classes only; NAME_ci95 beside what has an interval:
    TEST_AUROC = "test_auroc"  # with --objective auroc of more classes, too: each against the rest, averaged
    TEST_AUROC_CI95 = "test_auroc_ci95"
    POSITIVE = "positive"  # the positive class: the second of CLASSES
    TEST_PREVALENCE = "test_prevalence"  # its share of the test rows, and the AUPRC of chance
    TEST_AUPRC = "test_auprc"  # average precision
    THRESHOLD = "threshold_at_specificity90"  # probability of POSITIVE from which it is predicted, …
    VAL_SPECIFICITY = (
        "val_specificity_at_threshold"  # … so that this is at least 90 %; on test rows it gives:
    )
    TEST_SENSITIVITY = "test_sensitivity_at_specificity90"
    TEST_SPECIFICITY = "test_specificity_at_threshold"
    SPECIFICITY_CHANGE = "test_specificity_change"  # [test - validation, low, high]
    SENSITIVITY_ON_ROC = "test_sensitivity_on_its_own_roc"  # at that specificity of the test rows themselves
    TEST_ECE = "test_ece"  # of POSITIVE's probability, before calibration; ten bins of as many rows
    TEST_ECE_CALIBRATED = "test_ece_calibrated"  # as the head says it
    ECE_CHANGE = "test_ece_change"  # [calibrated - raw, low, high], paired by row
    TEST_NLL = "test_nll"
    TEST_NLL_CALIBRATED = "test_nll_calibrated"
    NLL_CHANGE = "test_nll_change"
    TEST_BRIER = "test_brier"
    TEST_BRIER_CALIBRATED = "test_brier_calibrated"
    BRIER_CHANGE = "test_brier_change"
    # of numbers: these with NAME_ci95, in units of the number, but R² and Spearman; and what EXPECTED,
    # HELD_OUT, BEST and FRESH make of r2, mae and rmse:
    TEST_R2 = "test_r2"
    TEST_MAE = "test_mae"
    TEST_RMSE = "test_rmse"
    TEST_SPEARMAN = "test_spearman"
    TEST_BASELINE_MAE = "test_baseline_mae"  # of the mean of the rows that the head learned from, …
    TEST_BASELINE_RMSE = "test_baseline_rmse"  # … whatever the image
    EXPECTED_R2 = "expected_r2"
    RIDGE_LEFT_OUT_R2 = "ridge_left_out_r2"  # of ridge regression on these rows, exact leave-one-out
    HALF_WIDTH = "half_width"  # of the intervals of predicted numbers that promise COVERAGE
    # of several labels per row: these with NAME_ci95; and what EXPECTED, HELD_OUT, BEST and FRESH make of
    # map (with --objective f1-labels or f1-micro also of that score at a probability of 0.5):
    TEST_MAP = "test_map"  # mean over labels of the average precision, but LEFT_OUT_LABELS
    TEST_F1_MACRO_LABELS = "test_f1_macro_labels"  # at THRESHOLDS, as is the next
    TEST_F1_MICRO_LABELS = "test_f1_micro_labels"
    TEST_BASELINE_MAP = "test_baseline_map"  # of one answer to all: the share of positives, mean over labels
    # of the probabilities, each label by itself and averaged over labels; over groups or rows:
    TEST_ECE_LABELS = "test_ece_labels"  # calibration error, ten bins of as many rows
    TEST_LOG_LOSS_LABELS = "test_log_loss_labels"
    TEST_BRIER_LABELS = "test_brier_labels"  # 0 to 1
    TEST_ECE_LABELS_RAW = "test_ece_labels_uncalibrated"  # this and the next: before the scale of each label
    TEST_LOG_LOSS_LABELS_RAW = "test_log_loss_labels_uncalibrated"  # that is fitted on rows held out
    LOG_LOSS_LABELS_CHANGE = "test_log_loss_labels_change"  # [calibrated - raw, low, high], paired by row
    LABEL_NAMES = "labels"  # list of the names, in the order of Predictions.LABEL_PROBABILITIES
    THRESHOLDS = "thresholds"  # list of the probabilities from which each label is said: of the highest F1 on
    # rows that the head had not learned from; 0.5 for a label that none of them has
    LEFT_OUT_LABELS = "labels_left_out"  # names of those with test rows of one kind only, or with none
    GROUPS = "groups"  # {"train": n, "val": n, "test": n, "in_two_splits": n}; only where rows have groups
    MODEL = "model_uri"  # the best head in MLflow's registry: models:/NAME/VERSION; null where it has none
    ENCODER_CALLS = "encoder_calls"
    ELAPSED_S = "elapsed_s"
    TRIALS_PER_S = "trials_per_s"
    # only in the file, not printed:
    BEST_SO_FAR = "best_so_far"  # best score by the objective as trials completed: [at most SPARK_POINTS]
    CLASSES = "classes"  # list of class names, in the order of Predictions.PROBS
    COUNTS = "counts"  # {"train": n, "val": n, "test": n}
    DIMENSION = "dimension"  # features per row
    HEADS = "heads"  # {head name: {"trial": …, "seed": …}} of the logged heads

    ONLY_IN_FILE = (BEST_SO_FAR, CLASSES, COUNTS, DIMENSION, HEADS)
    CI95 = "_ci95"
    SPECIFICITY = 0.9  # that THRESHOLD is chosen for
    FURTHER = (TEST_BALANCED_ACCURACY, TEST_F1_WEIGHTED, TEST_MCC, TEST_F1_POSITIVE)  # metrics, too
    OF_CALIBRATION = (TEST_ECE_TOP_LABEL, TEST_LOG_LOSS, TEST_BRIER_SCORE, TEST_AURC)  # metrics, too
    OF_TWO_CLASSES = (  # numbers that are logged as metrics, too
        *(TEST_AUROC, TEST_AUPRC, TEST_SENSITIVITY, TEST_SPECIFICITY, TEMPERATURE),
        *(TEST_ECE, TEST_ECE_CALIBRATED, TEST_NLL, TEST_NLL_CALIBRATED, TEST_BRIER, TEST_BRIER_CALIBRATED),
    )
    OF_NUMBERS = (TEST_SPEARMAN, TEST_BASELINE_MAE, TEST_BASELINE_RMSE, RIDGE_LEFT_OUT_R2)  # metrics, too
    OF_LABELS = (  # metrics, too
        *(TEST_F1_MACRO_LABELS, TEST_F1_MICRO_LABELS, TEST_BASELINE_MAP),
        *(TEST_ECE_LABELS, TEST_LOG_LOSS_LABELS, TEST_BRIER_LABELS),
        *(TEST_ECE_LABELS_RAW, TEST_LOG_LOSS_LABELS_RAW),
    )
    SPARK_POINTS = 32


class Predicted:
    """Keys of the last line that ``trainer.predict`` prints. ``found == predicted + bad``, always."""

    RUN_ID = "mlflow_run_id"  # of the sweep; null for --model-uri
    MODEL = "model_uri"  # null for the head of a sweep
    TRIAL = "trial"
    ENCODER = "encoder"
    FOUND = "found"
    PREDICTED = "predicted"
    BAD = "bad"
    BAD_FILES = "bad_files"  # [{"path": …, "reason": …}]
    PASSED_OVER = "passed_over"  # {".heic": files in the given folders that are no readable images, …}
    COUNTS = "counts"  # {class: images predicted as it}; of numbers {}
    CLASSES = "classes"
    REUSED = "reused"  # images whose vector was in the cache
    ENCODER_CALLS = "encoder_calls"
    IMAGES_PER_S = "images_per_s"  # predicted images / seconds from listing the files to the last prediction
    COVERAGE = "coverage"  # of the prediction sets; null where the head has no thresholds
    SET_SIZE = "mean_set_size"  # classes in a set, on average; null likewise
    OOD = "out_of_distribution"  # images unlike the training images; null where the head cannot tell
    OUT = "out"
    ELAPSED_S = "elapsed_s"


class FineTuned:
    """Keys that the SUMMARY of a fine-tuning has besides those of `Summary`. There the best trial and the
    head "best" are the fine-tuned encoder, while trial 0 and the head "frozen" are the best logistic
    regression on the frozen one."""

    UNFROZEN = "unfrozen"  # number of blocks from the first trained parameter on …
    BLOCKS = "blocks"  # … of all blocks
    TRAINED = "trained"  # what was trained of them, in words; "" for all of the blocks
    SEEDS = "seeds"
    FROZEN_VAL_F1_MACRO = "frozen_val_f1_macro"
    FROZEN_TEST_F1_MACRO = "frozen_test_f1_macro"
    FROZEN_TEST_F1_MACRO_CI95 = "frozen_test_f1_macro_ci95"
    EFFECT = "effect"  # [fine-tuned - frozen in test macro-F1, low, high]: mean over seeds, paired by row
    EFFECT_P = "effect_p"  # swap test
    VERDICT = "verdict"  # Verdict, without BASELINE
    WHY = "why"  # likely reason if there is no gain, else ""
    EPOCH_S = "epoch_s"  # mean seconds per epoch, with validation
    CACHED_BYTES = "cached_bytes"  # of the activations that the blocks were trained on
    MODEL_BYTES = "model_bytes"  # of the logged model, which carries the fine-tuned encoder

    FROZEN_HEAD = "frozen"  # its name in PREDICTIONS
