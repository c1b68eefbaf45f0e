"""Filters keep what their text says, combine as sets do, and are written as they are read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.experiments.ablation.filters import (
    UNIQUE,
    Combined,
    Everything,
    Filter,
    FilterRows,
    Fraction,
    Threshold,
    Unique,
    UnknownScore,
    both,
    emptied_classes,
    parse,
)

ROWS = FilterRows(
    label_n=np.array([0, 0, 0, 1, 1, 1]),
    classes=("cat", "dog"),
    scores={
        "clip": np.array([0.9, 0.1, 0.5, 0.2, 0.3, np.nan]),
        "quality": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    },
    group_n=np.array([0, 1, 0, 2, 2, 3]),
)


def kept(text: str) -> list[int]:
    return np.flatnonzero(parse(text).keep(ROWS)).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("none", [0, 1, 2, 3, 4, 5]),
        ("clip>=0.3", [0, 2, 4, 5]),  # row 5 has no caption: it cannot be judged, and stays
        ("clip <= 0.3", [1, 3, 4, 5]),
        ("quality>=top50%", [3, 4, 5]),
        ("quality<=bottom50%", [0, 1, 2]),
        ("quality>=top34%/class", [2, 5]),
        ("clip>=top40%", [0, 2, 5]),  # 40 % of the five rows that have one
        ("unique", [0, 1, 3, 5]),
        ("quality>=2 & quality<=4", [1, 2, 3]),
        ("quality<=1 | quality>=6", [0, 5]),
        ("quality<=1 | quality>=5 & quality<=5", [0, 4]),
        ("(quality<=1 | quality>=5) & quality<=5", [0, 4]),
        ("quality>=1e0", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_a_filter_keeps_the_rows_that_its_text_says(text: str, rows: list[int]) -> None:
    assert kept(text) == rows


def test_the_smallest_share_keeps_a_row_of_every_class() -> None:
    assert kept("quality>=top0.1%/class") == [2, 5]
    assert kept("quality>=top0.1%") == [5]


def test_of_equal_scores_the_earlier_rows_stay() -> None:
    rows = FilterRows(np.zeros(4, dtype=int), ("a",), {"s": np.ones(4)})
    assert parse("s>=top50%").keep(rows).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "ends where a filter was expected"),
        ("clip", "'clip' wants a bound"),
        ("clip>0.2", "cannot be read from '>0.2'"),
        ("clip>=abc", "'abc' is no bound"),
        ("clip>=nan", "'nan' is no bound"),
        ("clip>=top0%", "no share"),
        ("clip>=top120%", "no share"),
        ("clip>=bottom20%", ">= goes with top"),
        ("clip>=0.2 &", "ends where a filter was expected"),
        ("& clip>=0.2", "before '&'"),
        ("(clip>=0.2", "not closed"),
        ("clip>=0.2)", "')' was not expected"),
        ("clip>=0.2 unique", "'unique' was not expected"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("(", r"\(").replace(")", r"\)")) as caught:
        parse(text)
    assert repr(text) in str(caught.value)


def test_a_score_that_the_rows_do_not_have_is_named() -> None:
    with pytest.raises(UnknownScore) as caught:
        parse("aesthetic>=5 & clip>=0").keep(ROWS)
    assert caught.value.name == "aesthetic"
    with pytest.raises(UnknownScore) as caught:
        Unique().keep(FilterRows(ROWS.label_n, ROWS.classes, {}))
    assert caught.value.name == UNIQUE


def test_an_emptied_class_is_named_and_one_without_rows_is_not() -> None:
    rows = FilterRows(ROWS.label_n, ("cat", "dog", "cow"), ROWS.scores)
    assert emptied_classes(parse("quality>=4").keep(rows), rows) == ["cat"]
    assert emptied_classes(parse("quality>=3").keep(rows), rows) == []


names = st.sampled_from(["clip", "quality"])
shares = st.floats(0.001, 1)
numbers = st.floats(-10, 10, allow_nan=False)
leaves: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Threshold, names, st.sampled_from([">=", "<="]), numbers),
    st.builds(Fraction, names, st.sampled_from(["top", "bottom"]), shares, st.booleans()),
    st.just(Unique()),
    st.just(Everything()),
)
filters = st.recursive(
    leaves,
    lambda inner: st.builds(
        Combined, st.sampled_from(["&", "|"]), st.lists(inner, min_size=2, max_size=3).map(tuple)
    ),
    max_leaves=6,
)


@given(filters)
def test_a_filter_reads_back_as_it_was_written(one: Filter) -> None:
    again = parse(str(one))
    assert str(again) == str(one)
    np.testing.assert_array_equal(again.keep(ROWS), one.keep(ROWS))


@given(filters, filters)
def test_filters_combine_as_sets_of_rows_do(a: Filter, b: Filter) -> None:
    np.testing.assert_array_equal(both(a, b).keep(ROWS), a.keep(ROWS) & b.keep(ROWS))
    np.testing.assert_array_equal(Combined("|", (a, b)).keep(ROWS), a.keep(ROWS) | b.keep(ROWS))


@given(filters, st.permutations(range(6)))
def test_a_threshold_does_not_depend_on_the_order_of_rows(one: Filter, order: list[int]) -> None:
    if any(isinstance(part, (Fraction, Unique)) for part in one.parts()):
        return  # of equal rows these keep the earlier
    moved = FilterRows(ROWS.label_n[order], ROWS.classes, {n: s[order] for n, s in ROWS.scores.items()})
    np.testing.assert_array_equal(one.keep(moved), one.keep(ROWS)[order])
