"""On which images one of two runs of numbers, or of several labels, is better than the other."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard.frames.row_differences import RowDifferences, lines, row_differences
from tests.support import synthetic_numbers
from tests.support.pages import Showing, open_page, words
from trainer.tracking.compared_runs import RunAnswers
from trainer.tracking.schema import Predictions, Summary

PAGE = "views/compare.py"


def run(name: str, **columns: object) -> RunAnswers:
    count = len(next(iter(columns.values())))  # type: ignore[arg-type]
    ids = [f"row {i}" for i in range(count)]
    given = {Predictions.SAMPLE_ID: ids, Predictions.SPLIT: "test", Predictions.HEAD: "best", **columns}
    return RunAnswers(name, pd.DataFrame(given))


def of_numbers() -> RowDifferences:
    true = [1.0, 2.0, 3.0, 4.0]
    said = ([1.5, 2.0, 3.0, 9.0], [1.0, 9.0, 3.0, 4.5])
    runs = [
        run(name, **{Predictions.TARGET: true, Predictions.NUMBER: one})
        for name, one in zip("ab", said, strict=True)
    ]
    return row_differences(runs, [{}, {}])


def labelled(name: str, known: list[str], probability: list[list[float]]) -> RunAnswers:
    true = [["cat"], ["cat", "dog"], []]
    given = [np.array(one, dtype=np.float32) for one in probability]
    return run(name, **{Predictions.TRUE_LABELS: true, Predictions.LABEL_PROBABILITIES: given})


def test_images_of_numbers_come_by_how_much_nearer_one_run_is() -> None:
    found = of_numbers()
    assert found.counts == (1, 2, 1)
    assert found.better(first=True).rows["sample_id"].tolist() == ["row 1"]
    other = found.better(first=False)
    assert other.rows["sample_id"].tolist() == ["row 3", "row 0"]  # 4.5 and 0.5 nearer
    assert lines(other, ("a", "b"))[0] == ["true: 4", "a: 9 (+5)", "b: 4.5 (+0.5)"]


def test_images_of_labels_come_by_how_many_more_labels_one_run_has_right_of_those_that_both_know() -> None:
    runs = [
        labelled("a", ["cat", "dog"], [[0.9, 0.1], [0.9, 0.9], [0.6, 0.1]]),
        labelled("b", ["dog", "cat", "owl"], [[0.1, 0.9, 0.9], [0.1, 0.1, 0.1], [0.1, 0.6, 0.6]]),
    ]
    summaries = [
        {Summary.LABEL_NAMES: names, Summary.THRESHOLDS: [0.5] * len(names)}
        for names in (["cat", "dog"], ["dog", "cat", "owl"])
    ]
    found = row_differences(runs, summaries)
    assert found.rows["ahead"].tolist() == [0, 2, 0]  # the owl, which only one of them knows, does not count
    assert found.counts == (1, 0, 2)
    better = found.better(first=True)
    assert lines(better, ("a", "b")) == [["true: cat, dog", "a: cat, dog", "b: none"]]
    assert found.better(first=False).rows.empty


def test_thresholds_of_each_run_decide_which_labels_it_predicts() -> None:
    runs = [labelled(name, ["cat"], [[0.4], [0.4], [0.2]]) for name in "ab"]
    summaries = [{Summary.LABEL_NAMES: ["cat"], Summary.THRESHOLDS: [threshold]} for threshold in (0.3, 0.5)]
    assert row_differences(runs, summaries).rows["ahead"].tolist() == [1, 1, 0]


def test_the_page_shows_the_images_on_which_the_run_of_the_chosen_side_is_nearer(showing: Showing) -> None:
    def three(uri: str) -> list[str]:
        return [
            synthetic_numbers.sweep(uri, study=study, error=error, seed=seed)
            for seed, (study, error) in enumerate((("near", 1.0), ("far", 9.0), ("wild", 30.0)))
        ]

    ids = showing(three)
    app = open_page(PAGE, runs=",".join(ids), pair="wild − near", only="near")
    assert "By the absolute error, wild is better on" in words(app)
    assert "largest difference first" in words(app)
    shown = [one.value for one in app.caption if one.value.startswith("true")]
    assert len(shown) == 12
    assert all("near" in one and "wild" in one for one in shown)
