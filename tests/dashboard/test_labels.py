"""Pages of a sweep of several labels per image."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from dashboard.frames import labels as frames
from dashboard.ui.pages import LABELS
from tests.support import synthetic_labels, synthetic_runs, trained_labels, trained_numbers, wording
from tests.support.pages import Showing, active, charts, open_page, words
from tests.support.trained_target import Swept
from trainer.tracking.schema import Artifact, Summary, Tag

SUMMARY = {Summary.LABEL_NAMES: ["cat", "dog", "fox"], Summary.THRESHOLDS: [0.5, 0.5, 0.9]}
PAGES = ("home", "curves", "hyperparameters", "confusion", "embeddings", "twoclass", "tryit")


def answered() -> frames.LabelAnswers:
    """Four rows of three labels, said from 0.5, 0.5 and 0.9 on."""
    rows = pd.DataFrame(
        {
            "head": "best",
            "sample_id": list("abcd"),
            "split": "test",
            "true_labels": [["cat", "dog"], ["cat"], [], ["dog", "fox"]],
            "label_probabilities": [[0.9, 0.2, 0.1], [0.4, 0.6, 0.1], [0.1, 0.1, 0.8], [0.1, 0.7, 0.95]],
            "unit": range(4),
        }
    )
    return frames.answers(rows, SUMMARY, head="best", split="test")


def test_labels_are_said_from_their_thresholds_on() -> None:
    assert answered().said_nc.astype(int).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 1]]
    assert frames.said_names(answered())[3] == ("dog", "fox")
    some = frames.of_rows(answered().rows, ["cat", "dog", "fox"], [])
    assert some.threshold_c.tolist() == [0.5] * 3
    assert len(frames.answers(answered().rows, SUMMARY, head="best", split="val").rows) == 0


def test_each_label_has_its_figures_the_worst_first() -> None:
    table = frames.per_label(answered()).set_index("label")
    assert list(table.index) == ["dog", "cat", "fox"] or table["ap"].is_monotonic_increasing
    assert table.loc["dog", ["n", "said", "right"]].tolist() == [2, 2, 1]
    assert table.loc["dog", ["precision", "recall", "f1"]].tolist() == [0.5, 0.5, 0.5]
    assert table.loc["cat", "recall"] == 0.5
    assert table.loc["fox", "threshold"] == 0.9


def test_pairs_say_what_is_there_together_and_what_is_missed_with_what() -> None:
    together = frames.together(answered(), 9).cells
    assert ("cat", "dog", 1, 2, 0.5) in list(together.itertuples(index=False, name=None))
    wrongly = frames.missed(answered(), 9, there=False).cells
    assert list(wrongly.itertuples(index=False, name=None)) == [("cat", "dog", 1, 1, 1.0)]
    there = frames.missed(answered(), 9, there=True)
    assert list(there.cells.itertuples(index=False, name=None)) == [("dog", "cat", 1, 1, 1.0)]
    assert there.names == ["cat", "dog", "fox"]
    assert frames.together(answered(), 2).names == ["cat", "dog"]
    assert frames.missed(answered(), 1, there=False).names == ["dog"]  # missed, and said


def test_the_worst_rows_come_first_with_their_labels_in_words() -> None:
    order_n = frames.worst(answered())
    rows = frames.with_words(answered().take(order_n))
    assert rows[frames.LOG_LOSS].is_monotonic_decreasing
    assert sorted(order_n) == [0, 1, 2, 3]
    one = rows.set_index("sample_id").loc["b"]
    words_ = one[[frames.TRUE, frames.SAID, frames.MISSED, frames.WRONG]].tolist()
    assert words_ == ["cat", "dog", "cat", "dog"]
    assert frames.worst(answered(), "dog", frames.MISSED).tolist() == [0]
    assert frames.worst(answered(), "fox").tolist() == [3]
    assert frames.worst(answered(), None, frames.WRONG).tolist() == [1]


def test_labels_without_rows_of_both_kinds_have_no_average_precision() -> None:
    bare = answered()._replace(label_nc=np.zeros((4, 3), dtype=bool))
    assert frames.per_label(bare)["ap"].isna().all()
    assert np.isnan(frames.scores(bare).chance)


def test_the_page_shows_the_recorded_map_and_the_worst_label(showing: Showing) -> None:
    showing(synthetic_labels.sweep, never=True)
    app = open_page("views/confusion.py")
    said = words(app).replace("\\", "")
    assert LABELS in [header.value for header in app.header]
    assert "worst label: fish" in wording.verdicts(app)[0]
    assert "Left out, without rows of both kinds: hat" in said
    assert len(charts(app)) == 3
    assert "missed: " in said
    assert "wrongly said: " in said
    assert len(app.get("imgs")) + len(app.get("image")) >= 1


def test_label_and_kind_of_the_images_are_in_the_address(showing: Showing) -> None:
    showing(synthetic_labels.sweep)
    app = open_page("views/confusion.py", of_label="dog", shown=frames.MISSED, pairs="there, too")
    assert app.selectbox(key="of_label").value == "dog"
    lines = [one.value for one in app.caption if one.value.startswith("true: ")]
    assert lines
    assert all("missed: " in line and "dog" in line.partition("missed: ")[2] for line in lines)
    assert "nonsense" not in words(open_page("views/confusion.py", of_label="nonsense", shown="nonsense"))


def test_another_head_and_split_have_figures_of_their_own(showing: Showing) -> None:
    showing(synthetic_labels.sweep, groups=True)
    first = wording.verdicts(open_page("views/confusion.py"))[0]
    second = wording.verdicts(open_page("views/confusion.py", head="best linear", split="val"))[0]
    assert "val rows" in second
    assert first != second
    assert "groups" in words(open_page("views/confusion.py"))


def test_two_classes_says_that_it_does_not_apply(showing: Showing) -> None:
    showing(synthetic_labels.sweep)
    assert "several labels per image" in words(open_page("views/twoclass.py"))


def test_the_map_is_coloured_by_one_label_their_number_or_all_together(showing: Showing) -> None:
    showing(synthetic_labels.sweep)
    app = open_page("views/embeddings.py", of_label="dog")
    assert app.button_group(key="colour").value == "one label"
    assert app.selectbox(key="of_label").value == "dog"
    legends = wording.labels(app)
    assert {"dog", frames.RIGHT, frames.MISSED, frames.WRONG, frames.NEITHER} <= set(legends)
    assert "with a missed or wrong label" in words(app)
    for colour, title in (("number of labels", "number of labels"), ("labels", "rarer combinations")):
        app = open_page("views/embeddings.py", colour=colour)
        assert any(title in one for one in wording.labels(app)), title
    app = open_page("views/embeddings.py", colour="score")
    assert app.selectbox(key="score").options[:2] == ["log-loss", "probability of apple"]


def test_found_rows_of_the_map_say_true_and_said_labels(showing: Showing) -> None:
    showing(synthetic_labels.sweep)
    app = open_page("views/embeddings.py", find="dog", point="drawing-0003")
    said = words(app)
    assert "dog → " in said.replace("\\", "")
    assert "nearest have the same labels" in said
    assert "confusion matrix" not in said


def test_try_it_shows_each_label_beside_its_threshold(showing: Showing) -> None:
    showing(synthetic_labels.sweep)
    app = open_page("views/tryit.py")
    assert "A label is said where its bar reaches the tick" in words(app)
    assert {"said", "not said"} <= set(wording.labels(app))
    assert "Of the 12 nearest, " in words(app)
    assert "Zero-shot does not apply" in words(app)


def test_a_real_sweep_of_labels_shows_what_it_recorded(showing: Showing) -> None:
    swept: Swept = showing(trained_labels.sweep)
    verdict = wording.verdicts(open_page("views/confusion.py"))[0]
    assert f"mAP {swept.figures['test_map']:.3f}" in verdict
    home = open_page("views/home.py")
    assert home.metric[0].value == f"{swept.figures['test_map']:.3f}"
    app = open_page("views/tryit.py", source="test row")
    assert "reaches the tick" in words(app)
    for page in ("curves", "hyperparameters", "embeddings"):
        assert "Traceback" not in words(open_page(f"views/{page}.py"))


def test_search_filters_by_one_of_several_labels(showing: Showing) -> None:
    showing(trained_labels.sweep)
    app = open_page("views/search.py", like="0.png")
    every = words(app)
    assert "bright" in app.selectbox(key="of_label").options
    app = open_page("views/search.py", like="0.png", of_label="bright", of_pred="red")
    assert words(app) != every


def test_search_of_a_sweep_that_predicts_a_number_offers_no_prediction(showing: Showing) -> None:
    showing(trained_numbers.sweep)
    app = open_page("views/search.py", like="0.png")
    assert "of_pred" not in [one.key for one in app.selectbox]


def test_data_quality_counts_each_label_of_a_row(uri: str) -> None:
    run_id = synthetic_runs.extraction(uri)
    client = MlflowClient(uri)
    client.set_tag(run_id, Tag.DATA_SUMMARY, "Labels (2): ant 40, bee 30 · 1.2 per image")
    table = synthetic_runs.folder_of(client.get_run(run_id).info.artifact_uri) / Artifact.IMAGES
    images = pd.read_parquet(table)
    images.assign(label=["ant|bee" if i % 2 else "ant" for i in range(len(images))]).to_parquet(table)
    app = open_page("views/quality.py")
    assert "Labels" in [one.value for one in app.subheader]
    assert "share of the rows of a split that have the label" in words(app).lower()
    assert "ant|bee" not in str(wording.labels(app))


def test_home_leads_with_map_and_names_what_is_left_out(showing: Showing) -> None:
    showing(synthetic_labels.sweep, never=True)
    app = open_page("views/home.py")
    assert [one.label for one in app.metric][:3] == ["Test mAP", "Test macro-F1", "Test micro-F1"]
    assert "Left out of mAP, without test rows of both kinds: hat." in words(app)
    assert app.dataframe[0].value["test score"].iloc[0].startswith("mAP ")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_labels_says_it_briefly(showing: Showing, page: str) -> None:
    showing(synthetic_labels.sweep)
    app = open_page(f"views/{page}.py")
    assert not wording.too_long(wording.captions(app), wording.CAPTION)
    assert not wording.too_long(wording.paragraphs(app), wording.PARAGRAPH)
    assert not wording.too_long(wording.verdicts(app), wording.VERDICT)
    assert not wording.banned([*wording.captions(app), *wording.paragraphs(app), *wording.labels(app)])
    assert "nan" not in words(app).lower()


@pytest.mark.parametrize("page", PAGES)
def test_hostile_names_of_labels_stay_text(showing: Showing, page: str) -> None:
    showing(synthetic_labels.hostile)
    app = open_page(f"views/{page}.py")
    for node in (*app.markdown, *app.caption, *app.header, *app.subheader):
        assert "<img" not in active(str(node.value))
        assert "javascript:" not in active(str(node.value))


def test_the_navigation_is_named_after_what_the_sweep_predicts(showing: Showing) -> None:
    from dashboard.ui import pages
    from trainer.stats.objective import F1, MAP, R2

    assert [pages.title_of(pages.CONFUSION, one) for one in (None, F1, R2, MAP)] == [
        *("Confusion matrix", "Confusion matrix", "Predicted against true", "Labels"),
    ]
    assert pages.title_of(pages.HOME, MAP) == "Home"
