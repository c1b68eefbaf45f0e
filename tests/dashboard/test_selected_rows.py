"""What is selected on the map, by box or legend, is tagged, corrected, and leads to what is like it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.charts.scatter import LEGEND
from dashboard.frames import projection
from dashboard.runs import row_tags
from dashboard.ui import label_corrections, tagging
from tests.support import synthetic_runs
from tests.support.pages import Showing, open_page, words
from trainer.core import corrections
from trainer.core.corrections import Action
from trainer.core.errors import InputError

EMBEDDINGS = "views/embeddings.py"
EVERYWHERE = "-1e4,1e4,-1e4,1e4"
TWOS, THREES = 13, 13  # of the 120 digits
WHEN = "2026-12-01T10:00:00+00:00"


@pytest.fixture
def beside(showing: Showing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of the test's own for what people write about the rows of a sweep of 120 digits."""
    showing(synthetic_runs.sweep)
    monkeypatch.setattr(label_corrections, "file_of", lambda info: tmp_path / "corrections.csv")
    monkeypatch.setattr(tagging, "file_of", lambda info: tmp_path / "tags.csv")
    return tmp_path


def opened(**query: str | list[str]) -> AppTest:
    return open_page(EMBEDDINGS, **query)  # type: ignore[arg-type]


def test_classes_picked_in_the_legend_are_selected_within_the_box(beside: Path) -> None:
    of_two = opened(legend=["2", "3"])
    said = words(of_two)
    assert f"{TWOS + THREES} selected" in said
    assert "label: “2”, “3”." in said
    assert "120 selected" in words(opened(box=EVERYWHERE))
    assert f"{TWOS + THREES} selected" in words(opened(box=EVERYWHERE, legend=["2", "3"]))
    assert "0 selected" in words(opened(box="1e3,1e4,1e3,1e4", legend=["2"]))


def test_what_is_picked_is_forgotten_with_other_colours_and_cleared_with_the_boxes(beside: Path) -> None:
    app = opened(legend=["2"])
    app.segmented_control(key="colour").set_value("split").run()
    assert not app.exception
    assert LEGEND not in app.query_params
    app = opened(legend=["2"], box=EVERYWHERE)
    next(one for one in app.button if one.label == "Clear selection").click().run()
    assert not app.exception
    assert not {LEGEND, "box"} & set(app.query_params)


def test_a_class_that_the_legend_lacks_selects_nothing(beside: Path) -> None:
    assert "selected," not in words(opened(legend=["nobody"]))


def test_selected_images_are_tagged_and_found_again_by_their_colour(beside: Path) -> None:
    assert "tag" not in opened().segmented_control(key="colour").options
    row_tags.write(beside / "tags.csv", ["digit-0003"], "odd", when=WHEN)
    app = opened(legend=["2"])
    app.selectbox(key="selected-tags-tag").set_value("odd").run()
    app.button(key="selected-tags-save").click().run()
    assert not app.exception
    assert len(row_tags.read(beside / "tags.csv")) == TWOS + 1
    again = opened(colour="tag", legend=["odd"])
    assert f"{TWOS + 1} selected" in words(again)
    again.button(key="selected-tags-remove").click().run()
    assert not row_tags.read(beside / "tags.csv")


def test_all_selected_images_get_another_label_at_once(beside: Path) -> None:
    app = opened(legend=["2"])
    assert not app.session_state[f"selected-labels{label_corrections.OPEN}"]
    app.session_state[f"selected-labels{label_corrections.OPEN}"] = True
    app.run()
    box = next(one for one in app.selectbox if one.label == f"All {TWOS} images")
    box.set_value("7").run()
    next(one for one in app.button if one.label == f"Save {TWOS} corrections").click().run()
    assert not app.exception
    written = corrections.read(beside / "corrections.csv")
    assert {(one.old, one.new, one.action) for one in written} == {("2", "7", Action.RELABEL)}
    assert len({one.sample_id for one in written}) == TWOS
    box = next(one for one in app.selectbox if one.label == f"All {TWOS} images")
    box.set_value("2").run()  # back to what the data say
    next(one for one in app.button if one.label == f"Save {TWOS} corrections").click().run()
    assert not corrections.latest(corrections.read(beside / "corrections.csv"))


def test_who_may_only_read_writes_neither_tags_nor_labels(
    beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADROOM_READ_ONLY", "1")
    app = opened(legend=["2"])
    assert not [one for one in app.selectbox if one.key == "selected-tags-tag"]
    assert not [one.label for one in app.expander if "Correct" in one.label]


def test_images_like_the_selected_ones_are_none_of_them(beside: Path) -> None:
    said = words(opened(legend=["2"], similar="true"))
    assert f"18 images, by cosine to the mean of the {TWOS} selected images" in said


def test_cosines_are_those_to_the_direction_of_the_mean() -> None:
    unit_nd = np.array([[1, 0], [0, 1], [-1, 0], [0.6, 0.8]])
    inside = np.array([True, True, False, False])
    half = np.sqrt(0.5)
    cosine = projection.cosine_to_mean(unit_nd, inside)
    assert cosine == pytest.approx([half, half, -half, 1.4 * half])
    assert projection.cosine_to_mean(unit_nd, np.array([True, False, True, False])) == pytest.approx(0)


def test_the_last_tag_of_a_row_counts_and_an_empty_one_takes_it_away(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tags.csv"
    assert row_tags.read(path) == {}
    row_tags.write(path, ["a, with comma", "b"], " odd ", when=WHEN)
    row_tags.write(path, ["b", "c"], "=1+1", when=WHEN)
    row_tags.write(path, ["a, with comma"], "", when=WHEN)
    assert row_tags.read(path) == {"b": "=1+1", "c": "=1+1"}
    with pytest.raises(InputError, match="at most 40"):
        row_tags.write(path, ["b"], "x" * 41, when=WHEN)


@pytest.mark.parametrize("content", ["", "a,b\n", "sample_id,tag,when\na,b\n", 'sample_id,tag,when\n"a'])
def test_a_file_of_tags_that_is_none_is_named_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tags.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=r"tags\.csv"):
        row_tags.read(path)
    with pytest.raises(InputError, match=r"tags\.csv"):
        row_tags.write(path, ["a"], "odd", when=WHEN)
    assert path.read_text() == content
