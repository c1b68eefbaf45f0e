"""What the page on data says of classes and of labels in doubt."""

from __future__ import annotations

import pandas as pd
import pytest

from dashboard.charts.data_quality import class_balance
from dashboard.frames import data_quality
from trainer.tracking.schema import Images, Scores


def images(rows: list[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[Images.LABEL, Images.SPLIT])


def test_a_class_that_is_missing_from_a_split_shows_as_nothing_there() -> None:
    balance = data_quality.class_balance(
        images([("a", "train")] * 3 + [("b", "train"), ("a", "test"), ("", "test")])
    )
    by = balance.set_index(["label", "split"])["n"]
    assert by["b", "test"] == 0
    assert by[data_quality.NO_LABEL, "test"] == 1
    assert balance.groupby("split")["share"].sum().tolist() == pytest.approx([1, 1])
    assert balance["label"].iloc[0] == "a"  # the most frequent first


def test_each_of_several_labels_of_a_row_is_counted_and_shares_are_of_rows() -> None:
    balance = data_quality.class_balance(images([("a|b", "train"), ("b", "train"), ("", "train")]), "|")
    by = balance.set_index("label")
    assert by["n"].to_dict() == {"b": 2, "a": 1, data_quality.NO_LABEL: 1}
    assert by["share"]["b"] == pytest.approx(2 / 3)
    assert set(by["total"]) == {3}


def test_the_largest_and_smallest_class_are_those_of_the_training_rows() -> None:
    balance = data_quality.class_balance(
        images([("a", "train")] * 3 + [("b", "train")] + [("b", "test")] * 9)
    )
    assert data_quality.imbalance(balance) == ("a", 3, "b", 1)
    assert data_quality.imbalance(data_quality.class_balance(images([("a", "test")]))) is None


def test_labels_in_doubt_are_those_with_the_least_agreement_and_rows_without_are_none() -> None:
    scores = pd.DataFrame({Scores.SAMPLE_ID: list("abcd"), data_quality.AGREEMENT: [0.5, None, 0.1, 0.9]})
    assert data_quality.doubtful(scores, 2)[Scores.SAMPLE_ID].tolist() == ["c", "a"]
    assert data_quality.doubtful(scores.drop(columns=data_quality.AGREEMENT), 2).empty


def test_bars_name_their_splits_with_n_and_keep_the_order_of_classes() -> None:
    balance = data_quality.class_balance(
        images([("a", "train"), ("b", "train"), ("b", "train"), ("a", "val")])
    )
    chart = class_balance(balance).to_dict()
    assert chart["encoding"]["y"]["sort"] == ["a", "b"]
    assert chart["encoding"]["color"]["scale"]["domain"] == ["train (n = 3)", "val (n = 1)"]
