"""Planted damage: as much as asked for, in training rows alone, real damage, and recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trainer.core.errors import InputError
from trainer.data.corruption import CAPTION_SWAPPED, MISMATCHED, flip_labels, shuffle_captions
from trainer.data.manifest import Columns, Manifest, build_manifest

Plant = Callable[..., Manifest]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "a", "b", "c", ""]),
        st.sampled_from(["train", "train", "train", "val", "test"]),
        st.sampled_from(["", "x", "x", "y", "z"]),
        st.sampled_from(["", "", "", "label"]),
    ),
    min_size=15,
    max_size=40,
)
SHARE = st.floats(0.3, 0.99)
PLANTS = pytest.mark.parametrize("plant", [flip_labels, shuffle_captions])


def _manifest(rows: list[tuple[str, str, str, str]], *, known: bool = True) -> Manifest:
    label, split, caption, spoiled = zip(*rows, strict=True)
    n = len(rows)
    return build_manifest(
        "toy",
        Columns(
            sample_id=[f"row{i}" for i in range(n)],
            label=label,
            split=split,
            content=[f"c{i}" for i in range(n)],
            caption=caption,
            corrupted=spoiled if known else None,
        ),
    )


def _plain(n: int = 100, *, label: str = "abc", split: str = "train") -> Manifest:
    """Every row has a caption of its own."""
    return _manifest([(label[i % len(label)], split, f"text {i}", "") for i in range(n)], known=False)


def _planted(plant: Plant, manifest: Manifest, share: float, seed: int) -> Manifest:
    """Leaves examples aside in which this cannot be done."""
    try:
        return plant(manifest, share, seed=seed)
    except InputError:
        assume(False)
        raise


def _marked(manifest: Manifest, how: str) -> list[int]:
    return [i for i, one in enumerate(manifest.corrupted or ()) if one == how]


@given(ROWS, SHARE, st.integers(0, 3))
def test_a_mismatched_row_has_label_and_caption_of_one_sound_training_row_of_the_next_class(
    rows: list[tuple[str, str, str, str]], share: float, seed: int
) -> None:
    before = _manifest(rows)
    after = _planted(flip_labels, before, share, seed)
    sound = [
        i for i, (label, split, _, spoiled) in enumerate(rows) if label and split == "train" and not spoiled
    ]
    marked = _marked(after, MISMATCHED)
    assert len(marked) == round(share * len(sound))
    assert set(marked) <= set(sound)
    given_values = {(before.label_n[i], before.caption[i]) for i in sound}
    present = sorted({int(before.label_n[i]) for i in sound})
    following = dict(zip(present, [*present[1:], present[0]], strict=True))
    for i in marked:
        assert after.label_n[i] == following[before.label_n[i]] != before.label_n[i]
        assert (after.label_n[i], after.caption[i]) in given_values
    _others_are_the_same(before, after, marked)


@given(ROWS, SHARE, st.integers(0, 3))
def test_swapped_captions_are_the_same_texts_in_other_rows_and_no_more_keep_theirs_than_must(
    rows: list[tuple[str, str, str, str]], share: float, seed: int
) -> None:
    before = _manifest(rows)
    after = _planted(shuffle_captions, before, share, seed)
    unlabelled = not any(label for label, *_ in rows)
    sound = [
        i
        for i, (_, split, caption, spoiled) in enumerate(rows)
        if caption and not spoiled and (unlabelled or split == "train")
    ]
    marked = _marked(after, CAPTION_SWAPPED)
    assert set(marked) <= set(sound)
    assert all(after.caption[i] != before.caption[i] for i in marked)
    assert Counter(after.caption) == Counter(before.caption)
    n = round(share * len(sound))
    most = min(n, max(Counter(before.caption[i] for i in sound).values()))
    assert n - max(0, 2 * most - n) <= len(marked) <= n
    assert after.label_n.tolist() == before.label_n.tolist()
    _others_are_the_same(before, after, marked)


def _others_are_the_same(before: Manifest, after: Manifest, marked: list[int]) -> None:
    assert before.corrupted is not None
    assert after.corrupted is not None
    for i in set(range(len(before))) - set(marked):
        assert after.label_n[i] == before.label_n[i]
        assert after.caption[i] == before.caption[i]
        assert after.corrupted[i] == before.corrupted[i]
    assert after.split_n.tolist() == before.split_n.tolist()
    assert after.content == before.content


def test_where_one_text_is_too_frequent_rows_that_keep_it_do_not_count_as_spoiled() -> None:
    rows = [("a", "train", "x", "")] * 8 + [("a", "train", "y", ""), ("a", "train", "z", "")]
    after = shuffle_captions(_manifest([*rows, ("a", "train", "", "")]), 0.99, seed=0)
    assert len(_marked(after, CAPTION_SWAPPED)) == 4


def test_without_labels_captions_are_exchanged_in_every_split() -> None:
    rows = [("", split, f"{split} {i}", "") for split in ("train", "val", "test") for i in range(20)]
    after = shuffle_captions(_manifest(rows), 0.5, seed=0)
    marked = _marked(after, CAPTION_SWAPPED)
    assert len(marked) == 30
    assert {str(after.split_n[i]) for i in marked} == {"train", "val", "test"}


@PLANTS
def test_the_same_seed_plants_the_same_and_another_seed_or_share_something_else(plant: Plant) -> None:
    data = _plain()
    first, again = plant(data, 0.3, seed=1), plant(data, 0.3, seed=1)
    assert (first.caption, first.corrupted, first.digest) == (again.caption, again.corrupted, again.digest)
    assert first.label_n.tolist() == again.label_n.tolist()
    assert first.corrupted != plant(data, 0.3, seed=2).corrupted
    others = [data, plant(data, 0.3, seed=2), plant(data, 0.301, seed=1)]
    assert first.digest not in {one.digest for one in others}


def test_the_two_kinds_choose_their_rows_independently_and_never_the_same_row_twice() -> None:
    data = _plain(1000)
    wrong = set(_marked(flip_labels(data, 0.3, seed=1), MISMATCHED))
    swapped = set(_marked(shuffle_captions(data, 0.3, seed=1), CAPTION_SWAPPED))
    assert 50 < len(wrong & swapped) < 130
    both = shuffle_captions(flip_labels(data, 0.3, seed=1), 0.3, seed=1)
    assert set(_marked(both, MISMATCHED)) == wrong
    assert len(_marked(both, CAPTION_SWAPPED)) == round(0.3 * 700)


@PLANTS
@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 5.0, float("nan")])
def test_a_share_that_is_none_is_refused_by_its_flag(plant: Plant, share: float) -> None:
    flag = "--mismatch" if plant is flip_labels else "--shuffle-captions"
    with pytest.raises(InputError, match=f"{flag} is .* between 0 and 1"):
        plant(_plain(), share, seed=0)


@pytest.mark.parametrize(
    ("manifest", "share"),
    [
        (_plain(label="a"), 0.5),
        (_plain(split="test"), 0.5),
        (_manifest([("", "train", "x", "")] * 9), 0.5),
        (_plain(10), 0.01),
    ],
    ids=["a single class", "no training rows", "no labels", "no row is taken"],
)
def test_labels_that_cannot_be_mixed_up_are_refused(manifest: Manifest, share: float) -> None:
    with pytest.raises(InputError, match=r"--mismatch 0\.\d+: toy has \d+ clean training rows"):
        flip_labels(manifest, share, seed=0)


@pytest.mark.parametrize(
    ("manifest", "share"),
    [
        (_manifest([("a", "train", "", "")] * 9), 0.5),
        (_manifest([("a", "train", "x", "")] * 9), 0.5),
        (_plain(split="test"), 0.5),
        (_plain(10), 0.1),
    ],
    ids=["no captions", "a single text", "no training rows", "one row is taken"],
)
def test_captions_that_cannot_be_exchanged_are_refused(manifest: Manifest, share: float) -> None:
    with pytest.raises(InputError, match=r"--shuffle-captions 0\.\d+: toy has \d+ clean rows with a caption"):
        shuffle_captions(manifest, share, seed=0)
