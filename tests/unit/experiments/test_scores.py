"""Scores of rows: what is wrong in a way that is known must come out at the low end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from trainer.data.decode import decode_sized
from trainer.data.image_quality import MEASURE_NAMES
from trainer.data.load import load
from trainer.data.manifest import Manifest
from trainer.data.table_columns import column_as_text, split_captions
from trainer.experiments.ablation.scores import (
    TECHNICAL,
    Of,
    aesthetic_score,
    agreement_score,
    clip_score,
    cosine,
    found_bad,
    quality_score,
    rows_of_captions,
    separation,
)
from trainer.features.aesthetic import AestheticHead
from trainer.features.extract import extract
from trainer.features.image_measures import measure_stored_image
from trainer.features.preprocessing import MIN_SIDE
from trainer.features.settings import EncoderSettings
from trainer.features.text_features import encode_texts

# --- image and text, by hand --------------------------------------------------------------------------

IMAGE = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
TEXT = np.array([[3.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [5.0, 5.0]])
ROW = np.array([0, 0, 0, 2])  # row 1 has no caption


@pytest.mark.parametrize(("of", "expected"), [("best", 1.0), ("mean", 0.0), ("worst", -1.0)])
def test_of_several_captions_the_one_asked_for_counts(of: Of, expected: float) -> None:
    found = clip_score(IMAGE, TEXT, ROW, of=of)
    np.testing.assert_allclose(found, [expected, np.nan, 1.0], atol=1e-12)


def test_rows_without_any_caption_have_no_score() -> None:
    texts, row = rows_of_captions([[], []])
    assert texts == []
    assert np.isnan(clip_score(IMAGE[:2], np.zeros((0, 2)), row)).all()


def test_captions_that_were_joined_come_apart_again() -> None:
    stored = column_as_text(pa.chunked_array([[["a dog", "", "dog|pet"], ["one"], [], None]]))
    assert [split_captions(caption) for caption in stored] == [["a dog", "dog|pet"], ["one"], [], []]


def test_captions_remember_their_row() -> None:
    texts, row = rows_of_captions([["a", "b"], [], ["c"]])
    assert texts == ["a", "b", "c"]
    assert row.tolist() == [0, 0, 2]


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), of=st.sampled_from(["best", "mean", "worst"]))
def test_clip_score_looks_at_directions_and_never_at_lengths(seed: int, of: Of) -> None:
    random = np.random.default_rng(seed)
    image, text = random.normal(size=(5, 4)), random.normal(size=(9, 4))
    row = random.integers(5, size=9)
    lengths = random.lognormal(sigma=3, size=14)[:, None]
    plain = clip_score(image, text, row, of=of)
    np.testing.assert_allclose(plain, clip_score(image * lengths[:5], text * lengths[5:], row, of=of))
    assert (np.abs(plain[np.isfinite(plain)]) <= 1 + 1e-12).all()
    worst, mean, best = (clip_score(image, text, row, of=one) for one in ("worst", "mean", "best"))
    has = np.isin(np.arange(5), row)
    assert (worst[has] <= mean[has] + 1e-12).all()
    assert (mean[has] <= best[has] + 1e-12).all()
    np.testing.assert_array_equal(np.isnan(plain), ~has)


@pytest.mark.parametrize("of", ["best", "mean", "worst"])
def test_a_caption_without_direction_leaves_the_score_to_the_others(of: Of) -> None:
    text_me = np.array([[0.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    found = clip_score(IMAGE[1:], text_me, np.array([0, 0, 1]), of=of)
    np.testing.assert_allclose(found, [1.0, np.nan])


@pytest.mark.filterwarnings("error")
def test_a_vector_without_direction_has_no_cosine() -> None:
    assert np.isnan(cosine(np.zeros((1, 3)), np.ones((1, 3)))).all()
    assert np.isnan(cosine(np.full((1, 3), np.nan), np.ones((1, 3)))).all()


def test_half_precision_does_not_overflow() -> None:
    long = np.full((1, 512), 2e4, dtype=np.float16)
    np.testing.assert_allclose(cosine(long, long), 1)


# --- image and text, with a real encoder ----------------------------------------------------------------


class Embedded(NamedTuple):
    image_ne: np.ndarray
    text_me: np.ndarray  # of all captions of all rows
    captions: list[list[str]]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Embedded:
    """Half of the test rows of the demo data, which are sound, in the space that images and texts share."""
    cache = tmp_path_factory.mktemp("cache")
    demo = load("demo", seed=0)
    test = demo.take(demo.rows("test")[::2])
    how = EncoderSettings(encoder="demo", cache_dir=cache, space="shared", device="cpu", measure=False)
    features = extract(test, how)
    assert len(features.manifest) == len(test)
    captions = [split_captions(caption) for caption in features.manifest.caption]
    texts, _ = rows_of_captions(captions)
    text_me = encode_texts(texts, how).vectors_ne
    return Embedded(features.vectors_nd, text_me, captions)


def cosine_of_logits(image_ne: np.ndarray, text_ne: np.ndarray) -> np.ndarray:
    """The known bug: pair by pair, ``cosine_similarity(logits_per_image, logits_per_text)``."""
    scores = []
    for image_e, text_e in zip(image_ne, text_ne, strict=True):
        image_e, text_e = image_e / np.linalg.norm(image_e), text_e / np.linalg.norm(text_e)
        logits_per_image = 100 * np.array([[image_e @ text_e]])  # [1, 1]: one image, one text
        logits_per_text = logits_per_image.T
        scores.append(float(cosine(logits_per_image, logits_per_text)[0]))
    return np.array(scores)


def test_true_captions_score_above_those_of_other_rows_and_by_the_cosine_of_logits_do_not(
    embedded: Embedded,
) -> None:
    image, text, captions = embedded
    _, row = rows_of_captions(captions)
    order = np.random.default_rng(0).permutation(len(image))
    partner = np.empty_like(order)
    partner[order] = np.roll(order, 1)  # no row keeps its own captions
    is_true = np.repeat([True, False], len(image))

    ours = [clip_score(image, text, row), clip_score(image[partner], text, row)]
    assert roc_auc_score(is_true, np.concatenate(ours)) > 0.7
    assert separation(np.concatenate(ours), ~is_true).low > 0.7

    first = np.array([np.flatnonzero(row == one)[0] for one in range(len(image))])
    theirs = [cosine_of_logits(image, text[first]), cosine_of_logits(image[partner], text[first])]
    np.testing.assert_allclose(np.concatenate(theirs), 1)  # whatever the image shows
    assert roc_auc_score(is_true, np.concatenate(theirs).round(9)) == 0.5


def test_clip_scores_are_cosines_and_spread(embedded: Embedded) -> None:
    image, text, captions = embedded
    found = clip_score(image, text, rows_of_captions(captions)[1])
    assert found.shape == (len(image),)
    assert (np.abs(found) <= 1).all()
    assert found.std() > 0.01


# --- what people like -------------------------------------------------------------------------------


def test_aesthetic_score_is_the_head_on_vectors_of_length_one() -> None:
    head = AestheticHead(np.array([1.0, 2.0]), 5.0)
    np.testing.assert_allclose(aesthetic_score(np.array([[3.0, 4.0], [0.3, 0.4]]), head), 5 + 0.6 + 1.6)


# --- technical quality ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo_quality() -> tuple[np.ndarray, np.ndarray]:
    """Quality of the demo's training images, and how each is known to be spoiled."""
    demo = load("demo", seed=0)
    train: Manifest = demo.take(demo.rows("train"))
    assert train.images is not None
    assert train.corrupted is not None
    stored = [image if isinstance(image, bytes) else image.read_bytes() for image in train.images]
    measured = np.array(
        [
            measure_stored_image(data, decode_sized(data, min_side=MIN_SIDE), min_side=MIN_SIDE)
            for data in stored
        ]
    )
    by_name = {name: measured[:, MEASURE_NAMES.index(name)] for name in ("sharpness", "contrast", "entropy")}
    by_name["size"] = measured[:, :2].min(1)
    return quality_score(by_name), np.array(train.corrupted)


@pytest.mark.parametrize("kind", ["blur", "crop"])
def test_spoiled_images_of_the_demo_are_at_the_low_end(
    demo_quality: tuple[np.ndarray, np.ndarray], kind: str
) -> None:
    quality, spoiled = demo_quality
    assert np.isfinite(quality).all()
    of_kind = (spoiled == kind) | (spoiled == "")
    assert (spoiled == kind).sum() >= 20
    assert roc_auc_score(spoiled[of_kind] == kind, -quality[of_kind]) > 0.95
    assert np.median(quality[spoiled == kind]) < np.quantile(quality[spoiled == ""], 0.05)


def test_what_is_wrong_with_label_or_caption_is_no_matter_of_quality(
    demo_quality: tuple[np.ndarray, np.ndarray],
) -> None:
    quality, spoiled = demo_quality
    of_kind = np.isin(spoiled, ["", "label_wrong", "caption_swapped"])
    assert roc_auc_score(spoiled[of_kind] != "", -quality[of_kind]) < 0.65


def synthetic(rows: int, *, blurred: float, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Measures as images have them, and which of the images are blurred: next to no sharpness is left."""
    random = np.random.default_rng(seed)
    is_blurred = random.permutation(rows) < blurred * rows
    sharpness = random.lognormal(6, 0.6, size=rows)
    return {
        "sharpness": np.where(is_blurred, sharpness / 60, sharpness),
        "contrast": np.clip(random.normal(0.22, 0.05, size=rows), 0, 0.5),
        "entropy": np.clip(random.normal(7, 0.4, size=rows), 0, 8),
        "size": np.round(random.lognormal(6, 0.4, size=rows)),
    }, is_blurred


@pytest.mark.parametrize("blurred", [0.02, 0.2, 0.4])
def test_blurred_images_are_at_the_low_end_even_where_many_are(blurred: float) -> None:
    measures, is_blurred = synthetic(1000, blurred=blurred)
    quality = quality_score(measures)
    assert roc_auc_score(is_blurred, -quality) > 0.95
    assert np.median(quality[is_blurred]) < -2.5  # many bad images do not make bad ones usual
    assert np.median(quality[~is_blurred]) > -1.5


@pytest.mark.parametrize("name", TECHNICAL)
def test_each_measure_alone_can_spoil_an_image_and_only_downwards(name: str) -> None:
    measures, _ = synthetic(500, blurred=0)
    before = quality_score(measures)
    measures[name][7] = 0
    assert quality_score(measures)[7] < before.min()
    measures[name][7] = measures[name].max() * 5
    assert quality_score(measures)[7] >= before[7] - 0.05


def test_a_measure_that_is_the_same_for_all_does_not_count() -> None:
    measures, _ = synthetic(300, blurred=0.1)
    measures["size"] = np.full(300, 224.0)
    flat = quality_score(measures)
    assert np.isfinite(flat).all()
    np.testing.assert_array_equal(flat, quality_score(measures | {"size": np.full(300, 31.0)}))
    alike = quality_score({name: np.full(5, 3.0) for name in TECHNICAL})
    np.testing.assert_array_equal(alike, np.zeros(5))


def test_an_image_that_was_not_measured_has_no_quality_and_changes_that_of_none() -> None:
    measures, _ = synthetic(300, blurred=0.1)
    with_one_more = {name: np.r_[value, np.nan] for name, value in measures.items()}
    found = quality_score(with_one_more)
    assert np.isnan(found[-1])
    np.testing.assert_allclose(found[:-1], quality_score(measures))
    assert np.isnan(quality_score({name: np.full(3, np.nan) for name in TECHNICAL})).all()


# --- label agreement --------------------------------------------------------------------------------


def test_agreement_is_the_probability_as_if_all_classes_were_equally_frequent() -> None:
    label = np.array([0] * 90 + [1] * 10)
    knows_nothing = np.tile([0.9, 0.1], (100, 1))  # the frequencies of the data, whatever the row
    np.testing.assert_allclose(agreement_score(knows_nothing, label), 0.5)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6))
def test_agreement_undoes_the_frequencies_that_bayes_brought_in(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    label = np.r_[np.arange(classes), random.choice(classes, 40, p=random.dirichlet(np.ones(classes)))]
    likelihood = random.dirichlet(np.ones(classes), size=len(label))
    joint = likelihood * (np.bincount(label) / len(label))
    found = agreement_score(joint / joint.sum(1, keepdims=True), label)
    np.testing.assert_allclose(found, likelihood[np.arange(len(label)), label])


def test_a_rare_class_is_not_doubted_as_a_whole() -> None:
    """With the frequencies left in, many rightly labelled rows of the rare class are doubted."""
    random = np.random.default_rng(0)
    truth = (random.random(4000) < 0.08).astype(int)
    x = truth * 2.0 + random.normal(size=4000)
    wrong = random.random(4000) < 0.05
    label = np.where(wrong, 1 - truth, truth)
    share = label.mean()
    odds = np.exp(2 * x - 2) * share / (1 - share)
    p1 = odds / (1 + odds)
    probability = np.stack([1 - p1, p1], axis=1)
    plain = probability[np.arange(4000), label]
    ours = agreement_score(probability, label)
    sound_and_rare = ~wrong & (truth == 1)
    assert (ours < 0.5)[sound_and_rare].mean() < 0.5 * (plain < 0.5)[sound_and_rare].mean()


def test_agreement_without_a_probability_or_with_a_class_that_no_row_has() -> None:
    probability = np.array([[0.5, 0.3, 0.2], [np.nan] * 3, [0.2, 0.7, 0.1]])
    found = agreement_score(probability, np.array([0, 0, 1]))
    assert np.isnan(found[1])
    weighed = np.array([[0.5 * 3 / 2, 0.3 * 3], [0.2 * 3 / 2, 0.7 * 3]])
    np.testing.assert_allclose(found[[0, 2]], weighed[[0, 1], [0, 1]] / weighed.sum(1))


# --- how well filters find --------------------------------------------------------------------------


def test_found_bad_counts() -> None:
    keep = np.array([True, False, False, False, True, True])
    spoiled = np.array([True, True, True, False, False, False])
    found = found_bad(keep, spoiled)
    assert found == (3, 3, 2)
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 3)


def test_precision_of_nothing_removed_and_recall_of_nothing_bad_are_no_numbers() -> None:
    nothing = found_bad(np.ones(4, dtype=bool), np.zeros(4, dtype=bool))
    assert nothing == (0, 0, 0)
    assert np.isnan(nothing.precision)
    assert np.isnan(nothing.recall)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), rows=st.integers(6, 80), levels=st.sampled_from([3, 1000]))
def test_separation_equals_scikit_learns_area_of_low_scores(seed: int, rows: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    spoiled = random.permutation(np.arange(rows) % 3 == 0)
    score = random.integers(levels, size=rows).astype(float) - spoiled * random.random() * levels
    found = separation(score, spoiled)
    assert found.value == pytest.approx(roc_auc_score(spoiled, -score))
    assert 0 <= found.low <= found.value <= found.high <= 1
    with_gaps = separation(np.r_[score, np.nan, np.nan], np.r_[spoiled, True, False])
    assert with_gaps == pytest.approx(found)
    mirrored = separation(-score, spoiled)
    assert mirrored.value == pytest.approx(1 - found.value)


def test_the_interval_of_separation_covers_and_narrows() -> None:
    """Normal scores one standard deviation apart: the true area is Φ(1/√2) = 0.760."""
    random = np.random.default_rng(5)
    covered, widths = 0, {}
    for rows in (60, 600):
        spoiled = np.arange(rows) % 4 == 0
        found = [separation(random.normal(size=rows) - spoiled, spoiled) for _ in range(200)]
        covered += sum(one.low <= 0.7602 <= one.high for one in found)
        widths[rows] = np.mean([one.high - one.low for one in found])
    assert 0.91 <= covered / 400 <= 0.99
    assert widths[600] == pytest.approx(widths[60] / np.sqrt(10), rel=0.15)


@pytest.mark.parametrize("spoiled", [[True, True, False], [False, False, True]])
def test_separation_needs_both_kinds_of_rows_with_a_score(spoiled: list[bool]) -> None:
    assert np.isnan(separation(np.array([0.1, 0.2, np.nan]), np.array(spoiled))).all()
