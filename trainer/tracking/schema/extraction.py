"""Tables and figures of an extraction."""

from __future__ import annotations


class Quarantine:
    """Columns of QUARANTINE."""

    PATH = "path"
    REASON = "reason"


class Images:
    """Columns of IMAGES: every row that was used. Measures are null if an image was not measured."""

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
    CUT = "cut"  # share of the image that the encoder does not see, 0…1; older runs have no such column
    FIELD = "field_of_view"  # as Samples.FIELD
    THUMBNAIL = "thumbnail"  # WebP bytes of the images that the page shows, else null

    MEASURES = (WIDTH, HEIGHT, BRIGHTNESS, CONTRAST, SHARPNESS, ENTROPY, COLOURFULNESS)
    SIZE = "size"  # not stored; shown as a column: min(width, height)
    SHOWN = (BRIGHTNESS, CONTRAST, SHARPNESS, ENTROPY, COLOURFULNESS, SIZE)
    EXTREMES = 8  # images at either end of each of these that have a thumbnail; with the most cut away, too


class Duplicates:
    """Columns of DUPLICATES: pairs of rows, leaks first, then by similarity.

    Of rows that show the same image each is paired with the one that stays when duplicates are dropped; of
    near-duplicates every row has the most alike one in each split.
    """

    SAMPLE_ID_A = "sample_id_a"
    SAMPLE_ID_B = "sample_id_b"
    SPLIT_A = "split_a"  # of two different ones the first in the order of SPLITS
    SPLIT_B = "split_b"
    SIMILARITY = "likeness"  # cosine of centred vectors; 1 for the same bytes
    KIND = "kind"  # SAME | NEAR

    SAME, NEAR = "same bytes", "near"
    BETWEEN = ("test/train", "val/train", "test/val", "test/test", "val/val", "train/train")  # leaks first
    PAIRS = 12  # of each kind and two splits, the closest, that have thumbnails


class Extracted:
    """Keys of an extraction's SUMMARY and of the last line that ``trainer.extract`` prints.

    ``found == used + quarantined + dropped_duplicates + dropped_conflicts``, always.
    """

    RUN_ID = "mlflow_run_id"
    FOUND = "found"
    USED = "used"
    QUARANTINED = "quarantined"
    DROPPED = "dropped_duplicates"
    DROPPED_CONFLICTS = "dropped_conflicts"  # rows of images with several labels; absent in older runs
    PASSED_OVER = "passed_over"  # {".heic": files that are no rows, …}; absent in older runs
    DUPLICATES = "duplicates"  # rows, used or dropped, whose image another row before them shows
    REUSED = "reused"
    ENCODED = "encoded"
    ENCODER_CALLS = "encoder_calls"
    IMAGES_PER_S = "images_per_s"
    BATCH_SIZE = "batch_size"
    PROCESSES = "processes"
    SHARE_OF_TIME = "share_of_time"
    CAPTIONS = "captions"  # rows that have one; this and the next two only with --captions
    CAPTIONS_ENCODED = "captions_encoded"  # distinct captions encoded in this run
    CAPTIONS_CUT = "captions_cut"  # truncated by the encoder
    SAME_BYTES = "same_bytes"  # {"test/train": pairs of rows with the same image in DUPLICATES, …}
    NEAR_DUPLICATES = "near_duplicates"  # {"test/train": pairs of different images, …}; {} if not computed
    NEAR_LEAKS = "near_leaks"  # images of test or val that have a near-duplicate in train
    NOT_COMPARED = "not_compared"  # rows that were not searched for near-duplicates
    ENCODER = "encoder"
    PEAK_MEMORY = "peak_memory_bytes"  # of the command, without decoding processes; absent in older runs
    ELAPSED_S = "elapsed_s"
    QUARANTINE = "quarantine"  # only on the printed line: [{"path": …, "reason": …}]

    METRICS = (
        *(FOUND, USED, QUARANTINED, DROPPED, DUPLICATES, REUSED, ENCODED, ENCODER_CALLS, IMAGES_PER_S),
        *(BATCH_SIZE, PROCESSES, NEAR_LEAKS, NOT_COMPARED, PEAK_MEMORY, ELAPSED_S),
    )
