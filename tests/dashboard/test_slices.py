"""Where a head is worst: which slices there are, what is said of them, and the page's section."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from dashboard.frames import slices
from dashboard.frames.comparison import NOT_SIGNIFICANT, WORSE
from dashboard.frames.predictions import BEST
from tests.support import synthetic_runs
from tests.support.pages import open_page, words
from trainer.tracking.schema import Artifact, Duplicates, Predictions, Samples

ROWS = 200


def answers(*, right: np.ndarray, folder: str = "") -> pd.DataFrame:
    label_n = np.arange(ROWS) % 2
    return pd.DataFrame(
        {
            Predictions.SAMPLE_ID: [f"{folder}{'a' if n < 100 else 'b'}/{n}.png" for n in range(ROWS)],
            Predictions.LABEL: label_n.astype(str),
            Predictions.PRED: np.where(right, label_n, 1 - label_n).astype(str),
            Predictions.CONFIDENCE: 0.9,
        }
    )


def samples_of(rows: pd.DataFrame, **columns: object) -> pd.DataFrame:
    given = {Samples.CAPTION: "", Samples.GROUP: "", **columns}
    return pd.DataFrame({Samples.SAMPLE_ID: rows[Predictions.SAMPLE_ID], **given})


def test_slices_are_folders_groups_words_and_both_ends_of_numbers_and_none_twice() -> None:
    rows = answers(right=np.ones(ROWS, dtype=bool))
    captions = ["A striped cat, at night" if n < 30 else "the cat" for n in range(ROWS)]
    groups = ["g1" if n < 20 else "" for n in range(ROWS)]
    samples = samples_of(rows, **{Samples.CAPTION: captions, Samples.GROUP: groups})
    numbers = pd.DataFrame({"brightness": np.arange(ROWS) / ROWS}, index=list(rows[Predictions.SAMPLE_ID]))
    found = {(one.kind, one.name.partition(" (")[0]): int(one.inside_n.sum()) for one in
             slices.slices(rows, samples, numbers)}  # fmt: skip
    assert found == {
        ("folder", "a"): 100,
        ("folder", "b"): 100,
        ("group", "g1"): 20,
        ("caption", "night"): 30,  # "striped" is of the same rows; "cat" of too many
        ("caption", "the"): 170,
        ("brightness", "lowest quarter"): 50,
        ("brightness", "highest quarter"): 50,
    }


def test_a_worse_slice_is_named_with_both_accuracies_and_others_are_not_called_worse() -> None:
    right = np.ones(ROWS, dtype=bool)
    right[:40] = False  # all in folder a
    rows = answers(right=right)
    numbers = pd.DataFrame(
        {"noise": np.random.default_rng(0).permutation(ROWS).astype(float)}, index=rows[Predictions.SAMPLE_ID]
    )
    table = slices.compared(rows, slices.slices(rows, None, numbers))
    assert table["slice"].iloc[0] == "a"
    assert table["says"].tolist() == [WORSE, *[NOT_SIGNIFICANT] * (len(table) - 1)]
    assert slices.verdict(table) == "Worst on folder: a: accuracy 0.600 against 1.000 elsewhere"
    assert table["detectable"].notna().tolist() == [False, *[True] * (len(table) - 1)]
    read = slices.as_read(table)
    assert read["accuracy [95 %]"].iloc[0].startswith("0.600 [")
    assert read["macro-F1"].tolist()[0] == "0.600"


def test_the_macro_f1_of_a_slice_is_over_its_labels_alone() -> None:
    rows = answers(right=np.ones(ROWS, dtype=bool))
    rows.loc[:9, Predictions.PRED] = [f"another {n}" for n in range(10)]
    rows[Predictions.LABEL] = "1"
    rows.loc[10:, Predictions.PRED] = "1"
    (first, _) = slices.compared(rows, slices.slices(rows, None, None)).to_dict("records")
    assert first["f1"] == pytest.approx(2 * 90 / (2 * 90 + 10))


def test_rows_like_a_training_row_are_a_slice_and_so_are_the_others() -> None:
    rows = answers(right=np.ones(ROWS, dtype=bool))
    ids = rows[Predictions.SAMPLE_ID]
    pairs = pd.DataFrame(
        {
            Duplicates.SAMPLE_ID_A: [*ids[:15], *["of training"] * 5, *ids[40:60]],
            Duplicates.SPLIT_A: [*["test"] * 15, *["train"] * 5, *["test"] * 20],
            Duplicates.SAMPLE_ID_B: [*["of training"] * 15, *ids[15:20], *ids[60:80]],
            Duplicates.SPLIT_B: [*["train"] * 15, *["test"] * 5, *["test"] * 20],
        }
    )
    found = {
        one.name: one.inside_n for one in slices.slices(rows, None, None, pairs) if one.kind == slices.ALIKE
    }
    assert np.flatnonzero(found["yes"]).tolist() == [*range(20)]
    assert np.flatnonzero(found["no"]).tolist() == [*range(20, ROWS)]


def test_the_size_of_an_image_is_one_number() -> None:
    numbers = pd.DataFrame({"width": [10.0, 30.0], "height": [20.0, 5.0], "brightness": [0.1, 0.2]})
    assert slices.with_one_size(numbers).to_dict("list") == {
        "brightness": [0.1, 0.2],
        slices.LONGER: [20, 30],
    }
    assert list(slices.with_one_size(numbers[["height"]])) == ["height"]


def test_of_many_folders_and_groups_the_largest_are_tested() -> None:
    count = slices.MOST_NAMED + 20
    sizes = [slices.FEWEST + (n >= 20) for n in range(count)]  # the first twenty have a row less
    folder_n = np.repeat(np.arange(count), sizes)
    rows = pd.DataFrame(
        {
            Predictions.SAMPLE_ID: [f"{folder}/{n}.png" for n, folder in enumerate(folder_n)],
            Predictions.LABEL: "a",
            Predictions.PRED: "a",
        }
    )
    samples = samples_of(rows, **{Samples.GROUP: [f"g{folder // 2}" for folder in folder_n]})
    found = slices.slices(rows, samples, None)
    assert [one.name for one in found if one.kind == "folder"] == [str(n) for n in range(20, count)]
    assert sum(one.kind == "group" for one in found) == count // 2
    assert len(slices.compared(rows, found)) == slices.MOST_NAMED + count // 2


def test_slices_whose_names_begin_alike_stay_apart() -> None:
    rows = answers(right=np.ones(ROWS, dtype=bool), folder="a folder of a folder of a folder of a folder/")
    table = slices.compared(rows, slices.slices(rows, None, None))
    assert table["name"].nunique() == len(table) == 2


@pytest.mark.parametrize("rows", [0, 5, 19])
def test_of_few_rows_there_are_no_slices(rows: int) -> None:
    every = answers(right=np.ones(ROWS, dtype=bool)).head(rows)
    assert slices.slices(every, samples_of(every), None) == []


def test_rows_without_a_sample_or_a_number_belong_to_no_slice_of_it() -> None:
    rows = answers(right=np.ones(ROWS, dtype=bool))
    known = rows.head(60)
    samples = samples_of(known, **{Samples.CAPTION: "dog", Samples.GROUP: "g"})
    numbers = pd.DataFrame({"size": np.arange(60.0)}, index=known[Predictions.SAMPLE_ID])
    sizes = {(one.kind, int(one.inside_n.sum())) for one in slices.slices(rows, samples, numbers)}
    assert sizes == {("folder", 100), ("group", 60), ("size", 15)}


def test_the_page_says_where_the_head_is_worst_and_shows_its_mistakes(uri: str) -> None:
    run_id = synthetic_runs.sweep(uri, rows=240)
    folder = synthetic_runs.folder_of(MlflowClient(uri).get_run(run_id).info.artifact_uri)
    answered, samples = (pd.read_parquet(folder / one) for one in (Artifact.PREDICTIONS, Artifact.SAMPLES))
    best = answered[(answered[Predictions.HEAD] == BEST) & (answered[Predictions.SPLIT] == "test")]
    hard = best[Predictions.SAMPLE_ID].head(15)
    of_hard = answered[Predictions.SAMPLE_ID].isin(hard)
    answered[Predictions.PRED] = answered[Predictions.LABEL].where(~of_hard, "another")
    is_hard = samples[Samples.SAMPLE_ID].isin(hard)
    samples[Samples.CAPTION] = samples[Samples.CAPTION].where(~is_hard, "a blurred drawing")
    answered.to_parquet(folder / Artifact.PREDICTIONS)
    samples.to_parquet(folder / Artifact.SAMPLES)
    app = open_page("views/confusion.py")
    assert not app.exception
    assert "Worst on caption: blurred: accuracy 0.000 against 1.000 elsewhere" in words(app)
    (picked,) = [box for box in app.selectbox if box.label == "Mistakes in"]
    assert picked.options[0] == "caption: blurred (n = 15)"
