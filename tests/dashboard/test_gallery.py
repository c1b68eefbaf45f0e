"""The pages about cells and points, run in process: what the address asks for, images, pages, links."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from safetensors.numpy import load

from dashboard.ui import gallery
from tests.support import synthetic_answers, synthetic_runs
from tests.support.pages import Showing, active, charts, gallery_alone, open_page, words
from trainer.tracking.schema import Artifact, Tag

CONFUSION, EMBEDDINGS = "views/confusion.py", "views/embeddings.py"


def rows(count: int, *, images: bool = True) -> pd.DataFrame:
    image = synthetic_runs.webp(synthetic_runs.load_digits().images[0])
    return pd.DataFrame(
        {
            "sample_id": [f"row-{i}" for i in range(count)],
            "caption": [f"caption {i}" for i in range(count)],
            "thumbnail": [image if images else None] * count,
            gallery.SAYS: [f"{i} % sure" for i in range(count)],
        }
    )


def test_a_gallery_says_which_images_of_how_many_it_shows() -> None:
    assert "3 images, in this order." in words(gallery_alone(rows(3)))
    first = words(gallery_alone(rows(25)))
    assert "1 to 10 of 25 images" in first
    assert "caption 9" in first
    assert "caption 10" not in first


def test_the_page_of_a_gallery_stands_in_the_address() -> None:
    last = words(gallery_alone(rows(25), page="3"))
    assert "21 to 25 of 25 images" in last
    assert "24 % sure" in last
    assert "of 25 images" in words(gallery_alone(rows(25), page="9"))


def test_a_gallery_counts_the_rows_that_have_no_image() -> None:
    mixed = pd.concat([rows(3), rows(2, images=False)])
    assert "2 without an image." in words(gallery_alone(mixed))
    without = gallery_alone(rows(4, images=False))
    assert "No images were kept for 4 rows" in words(without)
    assert len(without.dataframe[0].value) == 4
    assert "No rows here" in words(gallery_alone(rows(0)))


def test_below_an_image_stands_one_line_with_all_that_is_said_of_it() -> None:
    app = gallery_alone(rows(3).assign(**{gallery.ALSO: "also this"}))
    lines = [node for node in app.caption if "row-" in node.value]
    assert [node.value.count(gallery.JOINED) for node in lines] == [3, 3, 3]
    assert not any(node.proto.wrap for node in lines)  # what has no room shows in a tooltip
    assert "1 % sure · also this · caption 1 · row-1" in lines[1].value


def test_the_size_of_the_images_stands_in_the_address() -> None:
    assert gallery_alone(rows(3), page_size="136 px").select_slider(key="page_size").value == 136
    assert gallery_alone(rows(3), page_size="large").select_slider(key="page_size").value == gallery.WIDTH


def test_captions_are_literal_text_and_fetch_nothing() -> None:
    frame = rows(2).assign(
        caption=synthetic_runs.HOSTILE,
        sample_id=synthetic_runs.HOSTILE,
        **{gallery.SAYS: synthetic_runs.HOSTILE},
    )
    *below, _ = (node.value for node in gallery_alone(frame).caption)
    assert len(below) == 2
    for caption in below:
        assert "](http" not in active(caption)
        assert "<img" not in active(caption)


def test_no_row_is_lost_on_the_way_to_its_image() -> None:
    samples = rows(2).drop(columns=gallery.SAYS)
    found = gallery.with_images(pd.DataFrame({"sample_id": ["row-1", "row-7"]}), samples)
    assert list(found["sample_id"]) == ["row-1", "row-7"]
    assert found["thumbnail"].notna().tolist() == [True, False]
    assert list(gallery.with_images(found, None)["caption"]) == ["", ""]


# --- Confusion matrix -------------------------------------------------------------------------


def test_the_address_names_the_cell(showing: Showing) -> None:
    showing(synthetic_answers.sweep, rows=600)
    said = words(open_page(CONFUSION, label="class 2", pred="class 2"))
    assert "class 2, correct" in said
    assert "1 to 16 of" in said


def test_a_cell_that_does_not_exist_is_said_to_be_none(showing: Showing) -> None:
    showing(synthetic_answers.sweep)
    app = open_page(CONFUSION, label="class 2", pred="unicorn")
    assert "no row in this split" in app.toast[0].value
    assert re.search(r"^class \d → class \d$", words(app), re.MULTILINE)


def test_every_cell_can_be_chosen_by_name_and_by_button(showing: Showing) -> None:
    showing(synthetic_answers.sweep)
    app = open_page(CONFUSION)
    app.selectbox(key="cell-label").set_value("class 3").run()
    app.selectbox(key="cell-pred").set_value("class 3").run()
    assert "class 3, correct" in words(app)
    assert app.query_params["label"] == "class 3"
    ways_in = app.button_group(key="ways-in")
    assert ways_in.value is None
    ways_in.set_value(ways_in.options[0]).run()
    assert not app.exception
    label, _, rest = ways_in.options[0].partition(" → ")
    assert app.query_params["label"] == label
    assert rest.startswith(app.query_params["pred"])


@pytest.mark.parametrize("order", ["name", "similarity"])
@pytest.mark.parametrize("cells", ["counts", "row %"])
def test_every_order_and_form_of_the_matrix_opens(showing: Showing, order: str, cells: str) -> None:
    showing(synthetic_answers.sweep)
    app = open_page(CONFUSION)
    app.segmented_control(key="order").set_value(order)
    app.segmented_control(key="cells").set_value(cells).run()
    assert not app.exception
    assert charts(app)


def test_two_heads_are_compared_on_the_same_rows(showing: Showing) -> None:
    showing(synthetic_answers.sweep, rows=900)
    app = open_page(CONFUSION)
    app.selectbox(key="against").set_value("best linear").run()
    assert not app.exception
    assert len(charts(app)) == 5  # two matrices, their difference, reliability, accuracy by share answered
    said = words(app)
    assert re.search(r"\*\*best linear is worse than best: accuracy −0\.\d+ \[.*\], p < 0.001\.\*\*", said)
    assert "Same 300 test rows. Only best linear correct: " in said
    assert "% confidence, " in said
    assert "Of the most confident 80%, " in said
    assert "McNemar’s exact test" in said
    assert "★: significant after Holm’s correction (2 of" in said
    assert "class 0, correct" in said  # the surest difference is chosen


def test_the_rows_that_only_one_head_puts_into_a_cell_can_be_seen(showing: Showing) -> None:
    showing(synthetic_answers.sweep, rows=900)
    app = open_page(CONFUSION, label="class 0", pred="class 1")
    app.selectbox(key="against").set_value("best linear").run()
    by = app.button_group(key="by")
    by.set_value("only second").run()
    assert not app.exception
    assert re.search(r"of \d+ images, most confident first", words(app))


def test_two_hundred_classes_open_side_by_side(showing: Showing) -> None:
    showing(synthetic_answers.sweep, rows=3000, classes=200, projected=300, images=False)
    app = open_page(CONFUSION, against="best linear", order="similarity")
    assert len(charts(app)) == 5


def test_a_sweep_of_one_head_offers_no_comparison(uri: str) -> None:
    run_id = synthetic_answers.sweep(uri)
    folder = synthetic_runs.folder_of(synthetic_runs.MlflowClient(uri).get_run(run_id).info.artifact_uri)
    path = folder / synthetic_answers.Artifact.PREDICTIONS
    frame = pd.read_parquet(path)
    frame[frame["head"] == "best"].to_parquet(path)
    app = open_page(CONFUSION)
    assert "against" not in [box.key for box in app.selectbox]


# --- Embeddings -------------------------------------------------------------------------------


def test_the_rows_of_a_cell_are_matches_and_can_be_cleared(showing: Showing) -> None:
    showing(synthetic_answers.sweep)
    app = open_page(EMBEDDINGS, label="class 1", pred="class 1", split="test")
    said = words(app)
    assert re.search(r"\d\d matches, 0 misclassified", said)
    assert "predicted “class 1”, test" in said
    app.button(key="unlight").click().run()
    assert "matches" not in words(app)
    assert "label" not in app.query_params


def test_a_link_from_the_matrix_chooses_its_head(showing: Showing) -> None:
    showing(synthetic_answers.sweep)
    app = open_page(EMBEDDINGS, label="class 0", pred="class 1", cell_head="best linear", cell_split="test")
    assert app.selectbox(key="head").value == "best linear"
    assert "misclassified by “best linear”" in words(app)


def test_find_shows_its_matches(showing: Showing) -> None:
    showing(synthetic_answers.sweep)
    app = open_page(EMBEDDINGS)
    app.text_input(key="find").set_value("NUMBER 39").run()
    assert "11 matches, " in words(app)
    assert "11 images, most confident first" in words(app)
    app.text_input(key="find").set_value("no such thing").run()
    assert "0 matches, 0 misclassified" in words(app)


def test_a_box_in_the_address_selects_points(showing: Showing) -> None:
    showing(synthetic_answers.sweep)
    app = open_page(EMBEDDINGS, box="-1000,1000,-1000,1000")
    assert "400 selected, 32 misclassified" in words(app)
    assert "1 to 18 of 400 images" in words(app)
    assert len(app.dataframe[0].value) == 400
    app = open_page(EMBEDDINGS, box="-1000,1000,-1000,1000;0,1,0,1", label="class 1", pred="class 1")
    assert "in 2 boxes" in words(app)


def test_the_neighbours_of_a_point_are_said_to_be_those_on_the_map(showing: Showing) -> None:
    showing(synthetic_answers.sweep)
    app = open_page(EMBEDDINGS, point="row-00007")
    said = words(app)
    assert "those on the map" in said
    assert "13 images" in said
    assert "selected · class 3" in said


def test_where_features_are_on_record_neighbours_are_those_with_the_largest_cosine(uri: str) -> None:
    run_id = synthetic_runs.sweep(uri)
    folder = Path(synthetic_runs.folder_of(MlflowClient(uri).get_run(run_id).info.artifact_uri))
    samples = pd.read_parquet(folder / Artifact.SAMPLES)
    x_nd = load((folder / Artifact.VECTORS).read_bytes())["vectors"].astype(np.float64)
    unit_nd = x_nd / np.linalg.norm(x_nd, axis=1, keepdims=True)
    cosine = pd.Series(unit_nd @ unit_nd[5], index=samples["sample_id"]).drop(samples["sample_id"][5])
    nearest = cosine.nlargest(12)
    said = words(open_page(EMBEDDINGS, point=samples["sample_id"][5]))
    assert "by cosine similarity in feature space" in said
    assert all(f"cosine {value:.3f}" in said for value in nearest)
    assert all(name.rpartition("/")[2] in said for name in nearest.index)


def test_a_point_that_is_not_on_the_map_is_said_not_to_be(showing: Showing) -> None:
    showing(synthetic_answers.sweep)
    app = open_page(EMBEDDINGS, point="nobody")
    assert "not on this map" in app.toast[0].value


def test_every_perplexity_on_record_has_its_map(showing: Showing) -> None:
    showing(synthetic_runs.sweep)
    app = open_page(EMBEDDINGS, box="-1,1,-1,1", point="digit-0003")
    box = app.selectbox(key="perplexity")
    assert box.options == ["10", "30"]
    assert "at perplexity 30." in words(app)
    box.set_value(10).run()
    assert not app.exception
    assert "at perplexity 10." in words(app)
    assert "box" not in app.query_params  # it holds other points on another map
    assert app.query_params["point"] in ("digit-0003", ["digit-0003"])
    assert "at perplexity 10." in words(open_page(EMBEDDINGS, perplexity="10"))


def test_principal_components_are_a_map_of_their_own_with_their_share_of_the_variance(
    showing: Showing,
) -> None:
    showing(synthetic_runs.sweep)
    app = open_page(EMBEDDINGS, box="-1,1,-1,1")
    app.segmented_control(key="method").set_value("PCA").run()
    assert not app.exception
    assert "perplexity" not in [one.key for one in app.selectbox]
    assert "box" not in app.query_params
    x_nd = synthetic_runs.load_digits().data[:120] / 16
    variances = np.linalg.svd(x_nd - x_nd.mean(axis=0), compute_uv=False) ** 2
    assert f"which hold {variances[:2].sum() / variances.sum():.0%} of their variance" in words(app)


def test_a_sweep_of_before_has_one_map_and_asks_for_no_perplexity(showing: Showing) -> None:
    showing(synthetic_answers.sweep)
    app = open_page(EMBEDDINGS, perplexity="10")
    assert "perplexity" not in [box.key for box in app.selectbox]
    assert "t-SNE of the features. Near" in words(app)
    assert "method" not in [one.key for one in app.segmented_control]
    assert "from before PCA was stored" in words(app)


def test_groups_and_scores_colour_the_map_where_there_are_any(showing: Showing) -> None:
    showing(synthetic_answers.sweep, groups=True)
    app = open_page(EMBEDDINGS)
    control = app.segmented_control(key="colour")
    assert {"group", "score"} <= set(control.options)
    control.set_value("group").run()
    assert not app.exception
    app.segmented_control(key="colour").set_value("score").run()
    assert not app.exception
    assert "probability of label is known" in words(app)


def test_without_groups_none_is_offered(showing: Showing) -> None:
    showing(synthetic_answers.sweep)
    assert "group" not in open_page(EMBEDDINGS).segmented_control(key="colour").options


def test_measures_of_an_extraction_of_the_same_data_are_scores(uri: str) -> None:
    synthetic_runs.sweep(uri)
    run_id = synthetic_runs.extraction(uri)
    synthetic_runs.MlflowClient(uri).set_tag(run_id, "headroom.data", "demo")
    app = open_page(EMBEDDINGS, colour="score")
    app.segmented_control(key="colour").set_value("score").run()
    assert "sharpness" in app.selectbox(key="score").options
    app.selectbox(key="score").set_value("sharpness").run()
    assert "sharpness is known for 60 rows; the other 60 are grey" in words(app)


def test_measures_of_other_rows_under_the_same_name_are_no_scores(uri: str) -> None:
    client = synthetic_runs.MlflowClient(uri)
    client.set_tag(synthetic_runs.sweep(uri), Tag.DIGEST, "a")
    extraction = synthetic_runs.extraction(uri)
    client.set_tag(extraction, Tag.DATA, "demo")
    client.set_tag(extraction, Tag.DIGEST, "b")
    app = open_page(EMBEDDINGS, colour="score")
    app.segmented_control(key="colour").set_value("score").run()
    assert app.selectbox(key="score").options == ["probability of label"]
