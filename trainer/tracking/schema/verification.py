"""Tables and figures of a verification."""

from __future__ import annotations

from enum import StrEnum


class PairMethod(StrEnum):
    """Embedding that a verification applies before the cosine."""

    RAW = "raw"  # none
    WHITENED = "whitened"  # PCA whitening, fitted on other people, without labels
    LDA = "lda"  # linear discriminant analysis, fitted on other people
    TRAINED = (
        "trained"  # a head trained on other people: classifier or contrastive, selected on validation people
    )


class FacePairs:
    """Columns of PAIRS: one row per pair of test photos; beside them ``score.*``, a method's cosine."""

    SAMPLE_ID_A = "sample_id_a"
    SAMPLE_ID_B = "sample_id_b"
    PERSON_A = "person_a"
    PERSON_B = "person_b"
    SAME = "same"  # bool: one person
    FOLD = "fold"  # int16, from 0
    SPLIT = "split"  # int16, from 0: the split that scored it

    SCORE_PREFIX = "score."


class Candidates:
    """Columns of CANDIDATES: one row per split and candidate."""

    SPLIT = "split"
    METHOD = "method"  # Method
    NAME = "name"
    CONFIG = "config"  # JSON
    VAL_AUC = "val_auc"  # of validation people's pairs, mean over seeds
    CHOSEN = "chosen"  # bool: selected to score the split's test pairs


class RocCurves:
    """Columns of ROC: of each method its curve over a grid of FARs."""

    METHOD = "method"
    FAR = "far"  # false accept rate: different pairs that are accepted
    TAR = "tar"  # true accept rate: same pairs that are accepted
    TAR_LOW = "tar_low"  # 95 %, people resampled, each FAR by itself
    TAR_HIGH = "tar_high"
    THRESHOLD = "threshold"  # null where no pair is accepted


class Faces:
    """Columns of FACES: one row per photo that the page shows."""

    SAMPLE_ID = "sample_id"
    PERSON = "person"
    THUMBNAIL = "thumbnail"  # WebP bytes; null where the data has no images
    PRED = "pred"  # closed set: predicted person; null if not identified
    CONFIDENCE = "confidence"
    RANK = "rank"  # float: rank of the true person, from 1
    RAW_RANK = "raw_rank"  # likewise by the nearest known photo
    HELD_OUT = "held_out"  # bool: not in the training set of the head of the map
    X = "x"  # t-SNE of the features, null where a photo is not on the map
    Y = "y"
    TRAINED_X = "trained_x"  # t-SNE of the head's embedding
    TRAINED_Y = "trained_y"

    SHOWN = 6000  # photos at most
    MAPPED = 2000  # of them on the map, of at most MAPPED_PEOPLE people
    MAPPED_PEOPLE = 56


class OpenSet:
    """Keys of `Verified.OPEN_SET`: whether a photo is of a known person, by its nearest known photo."""

    THRESHOLD = (
        "threshold"  # of the raw cosine to the nearest known photo, from which it is of a known person
    )
    RATE = "rate"  # share of photos of unknown people that may be taken for known ones
    FALSE_ALARMS = "false_alarms"  # [share of them that are, low, high]: people of other folds chose
    FOUND = "found"  # [share of photos of known people whose person is found, low, high], likewise
    PEOPLE = "people"  # enrolled
    PHOTOS = "photos"


class Verified:
    """Keys of a verification's SUMMARY and of the last line that ``trainer.verify`` prints.

    The figures at the top are of the trained head (of the raw cosine, where none could be trained); METHODS
    has those of every method, in the same words.
    """

    RUN_ID = "mlflow_run_id"
    STUDY = "study"
    PEOPLE = "people"  # number of people in pairs
    PHOTOS = "photos"
    FOLDS = "folds"
    DISJOINT = "folds_disjoint"  # bool: no person is in two folds
    SAME = "same_pairs"
    DIFFERENT = "different_pairs"
    LEFT_OUT = "left_out"  # copies of photos, or pairs of the file with an unusable photo
    AUC = "auc"  # these with _ci95: [low, high]
    EER = "eer"
    ACCURACY = "accuracy"
    ACCURACY_SE = "accuracy_se"  # over folds, as LFW reports it
    TAR_AT = "tar_at"  # {"0.01": [value, low, high], "0.001": null if there are too few pairs}
    METHODS = "methods"  # {Method: the figures above and the next two}
    FOLD_ACCURACY = "fold_accuracy"
    THRESHOLDS = "thresholds"  # of each fold, chosen on the others
    DIFFERENCES = (
        "differences"  # {Method: {"auc"|"eer"|"accuracy"|"tar0.01": [less raw, low, high]}, "p_holm"}
    )
    P_HOLM = "p_holm"  # of the AUC's difference, adjusted for the methods
    VERDICT = "trained_against_raw"  # "better" | "worse" | "unclear" | null
    CHOSEN = "chosen"  # {candidate of the trained method: splits that selected it}
    IDENTIFICATION = "identification"  # closed set; null where too few photos
    OPEN_SET = "open_set"  # see OpenSet; null where too few photos; older runs have none
    BITS = "bits"  # that 16-bit images use; null where there are none; older runs have none
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

    ONLY_IN_FILE = (METHODS, CHOSEN, BITS)
