"""Tables and figures of methods compared on the same rows: zero-shot, fusion, encoders."""

from __future__ import annotations


class Methods:
    """Columns of METHODS: one row per way to classify the same test rows. Figures are means over its heads,
    with 95 % intervals (``_low``, ``_high``) over rows, or groups of rows, and heads."""

    METHOD = "method"
    HOW = "how"  # as text: settings selected on the validation set
    HEADS = "heads"  # int: number of heads (seeds), which the figures are means of
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
    SIMULTANEOUS = "effect_simultaneous"  # its _low and _high that hold with 95 % for all rows together
    EFFECT_P = "effect_p"  # swap test over rows, or groups of rows
    EFFECT_P_HOLM = "effect_p_holm"
    ACCURACY = "accuracy"  # difference, with _low and _high
    ONLY_METHOD = "only_method"  # test rows that only the method classifies correctly, mean over heads
    ONLY_AGAINST = "only_against"
    MCNEMAR_P = "mcnemar_p"  # exact, of these rows, or of groups of them
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
    """Columns of FEW_SHOT: one row per kind of head and number of images per class. Figures are of test
    rows, means over draws, with 95 % intervals over draws and rows, or groups of rows (``_low``,
    ``_high``)."""

    KIND = "kind"  # as in METHODS
    SHOTS = "shots"  # int: training images of each class; the row of all training images has their median
    ALL = "all"  # bool: trained on all training rows, one draw
    ROWS = "rows"  # int: training rows
    DRAWS = "draws"  # int
    L2 = (
        "l2"  # penalty, shrinkage or neighbours, chosen on validation rows for all draws together; 0: none is
    )
    VAL_F1_MACRO = "val_f1_macro"
    F1_MACRO = "f1_macro"
    EFFECT = "effect"  # on macro-F1, less zero-shot's
    EFFECT_P = "effect_p"  # swap test over rows, or groups of rows; null for heads that are only shown
    EFFECT_P_HOLM = "effect_p_holm"  # adjusted for all rows of the table


class FewShotScores:
    """Columns of FEW_SHOT_SCORES: one row per draw, kind, number of images and strength. A zero-shot
    run resumes from this table."""

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
    TEST_GROUPS = "test_groups"  # as Summary.TEST_GROUPS
    TEMPLATES = "templates"
    CLASS_NAMES = "class_names"  # {class: [names]}
    SCALE = "scale"  # logit scale of cosines, fitted on the validation set
    METHODS = (
        "methods"  # {method: {"f1_macro": …, "f1_macro_ci95": […], "accuracy": …, "accuracy_ci95": […]}}
    )
    PAIRS = "pairs"  # rows of METHOD_PAIRS
    DRAWS = "draws"
    CROSSING = (
        "crossing"  # {kind: {"shots": per class, "ci95": […], "within": share of draws, "as_good_from":
    )
    # per class, from where not below zero-shot by the margin}}; null: none
    MARGIN = "margin"  # of macro-F1
    ADVICE = "advice"  # conclusion, a few sentences
    ENCODER_CALLS = "encoder_calls"
    ELAPSED_S = "elapsed_s"
    CLASSES = "classes"  # only in the file

    ONLY_IN_FILE = (CLASSES,)


class Fused:
    """Keys of a fusion run's SUMMARY and of the last line that ``trainer.fuse`` prints."""

    RUN_ID = "mlflow_run_id"
    STUDY = "study"
    COUNTS = "counts"  # {"train": n, "val": n, "test": n}
    TEST_GROUPS = "test_groups"  # as Summary.TEST_GROUPS
    WITHOUT_CAPTION = "without_caption"  # {"train": n, "val": n, "test": n}
    NAMED = "captions_naming_their_class"  # {"train": share of its captions, …}
    HIDDEN = "class_names_hidden"  # bool: they were masked
    CUT = "captions_cut"  # truncated by the encoder
    VIEWS = "views"  # of each training row; above 0, methods named ", augmented" learned from them, too
    CHOSEN = "chosen"  # method, the best on validation rows
    WEIGHT = "late_weight"  # of the text's log-probabilities, chosen on validation rows
    METHODS = "methods"  # as ZeroShot.METHODS
    PAIRS = "pairs"
    ADVICE = "advice"
    MODEL = "model_uri"  # CHOSEN, its first seed, in MLflow's registry; null where it has none
    ENCODER_CALLS = "encoder_calls"
    ELAPSED_S = "elapsed_s"
    CLASSES = "classes"  # only in the file

    ONLY_IN_FILE = (CLASSES,)


class EncoderCosts:
    """Columns of ENCODERS: one row per encoder, in the order of METHODS."""

    ENCODER = "encoder"  # as in METHODS
    KEY = "key"  # name, dtype and key
    DEVICE = "device"
    DIMENSION = "dimension"  # numbers in a vector
    PARAMETERS = "parameters"  # of the image tower
    SIDE = "side"  # pixels of a prepared image's height
    BATCH_SIZE = "batch_size"  # the fastest that was found
    IMAGES_PER_S = "images_per_s"  # prepared images through the tower, on DEVICE
    PEAK_BYTES = "peak_bytes"  # of memory while it encodes, beyond what the libraries take
    ENCODED_S = "encoded_s"  # seconds that this run spent encoding images that were not cached …
    ENCODED = "encoded"  # … and their number


class EncodersCompared:
    """Keys of such a run's SUMMARY and of the last line that ``trainer.encoders`` prints."""

    RUN_ID = "mlflow_run_id"
    STUDY = "study"
    COUNTS = "counts"  # {"train": n, "val": n, "test": n}
    TEST_GROUPS = "test_groups"  # as Summary.TEST_GROUPS
    SEEDS = "seeds"
    MARGIN = "margin"  # of macro-F1: an encoder is as good as the best if it is shown to be less below it
    CHOSEN = "chosen"  # the best encoder on the validation set
    RECOMMENDED = "take"  # the fastest encoder shown to be as good as that, else that
    RECOMMENDATION = "recommendation"  # which to use, in a sentence
    METHODS = "methods"  # as ZeroShot.METHODS
    PAIRS = "pairs"
    ENCODERS = "encoders"  # rows of ENCODERS
    ADVICE = "advice"
    ENCODER_CALLS = "encoder_calls"
    ELAPSED_S = "elapsed_s"
    CLASSES = "classes"  # only in the file

    ONLY_IN_FILE = (CLASSES,)
