"""Pages of a sweep that predicts a number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dashboard.frames import numbers as frames
from dashboard.ui.pages import NUMBERS
from tests.support import trained_numbers
from tests.support.pages import Showing, active, charts, open_page, words
from tests.support.trained_target import HOSTILE, Swept
from trainer.tracking.schema import Artifact

PAGES = ("home", "curves", "hyperparameters", "confusion", "embeddings", "twoclass", "tryit")


def predictions(rows: int = 30) -> pd.DataFrame:
    random = np.random.default_rng(0)
    target = random.normal(size=rows)
    return pd.DataFrame(
        {
            "head": "best",
            "sample_id": [f"{i}.png" for i in range(rows)],
            "split": "test",
            "target": target,
            "number": target + 0.3 * random.normal(size=rows),
            "unit": np.arange(rows),
        }
    )


def test_errors_are_predicted_less_true_and_the_largest_come_first() -> None:
    rows = frames.answers(predictions(), "best", "test")
    assert (rows["error"] == rows["number"] - rows["target"]).all()
    assert rows["absolute error"].is_monotonic_decreasing
    assert frames.answers(predictions(), "best", "val").empty


def test_the_histogram_has_every_row_and_no_bin_on_both_sides_of_none() -> None:
    rows = frames.answers(predictions(), "best", "test")
    bins = frames.histogram(rows)
    assert bins["n"].sum() == len(rows)
    assert ((bins["low"] >= -1e-12) | (bins["high"] <= 1e-12)).all()
    assert frames.histogram(rows.assign(error=0.0))["n"].sum() == len(rows)


def test_the_page_shows_the_recorded_figures_and_the_worst_images_first(showing: Showing) -> None:
    swept: Swept = showing(trained_numbers.sweep)
    app = open_page("views/confusion.py")
    said = words(app)
    assert NUMBERS in [header.value for header in app.header]
    assert f"R² {swept.figures['test_r2']:.3f}" in said.replace("\\", "")
    assert len(charts(app)) == 2
    rows = pd.read_parquet(swept.folder / Artifact.PREDICTIONS).query("head == 'best' and split == 'test'")
    worst = rows.loc[(rows["target"] - rows["number"]).abs().idxmax()]
    first = next(one.value for one in app.caption if "→" in one.value)
    assert f"{worst['target']:.4g} → {worst['number']:.4g}" in first.replace("\\", "")
    assert len(app.get("imgs")) + len(app.get("image")) >= 1


def test_a_box_in_the_address_chooses_the_images(showing: Showing) -> None:
    swept: Swept = showing(trained_numbers.sweep)
    rows = pd.read_parquet(swept.folder / Artifact.PREDICTIONS).query("head == 'best' and split == 'test'")
    one = rows.iloc[0]
    ends = [one["target"] - 1e-2, one["target"] + 1e-2, one["number"] - 1e-2, one["number"] + 1e-2]
    app = open_page("views/confusion.py", box=",".join(f"{end:.6g}" for end in ends))
    assert "1 selected" in words(app)
    app = open_page("views/confusion.py", box="nonsense")
    assert "Largest errors" in words(app)


def test_two_classes_says_calmly_that_it_does_not_apply(showing: Showing) -> None:
    showing(trained_numbers.sweep)
    assert "predicts a number" in words(open_page("views/twoclass.py"))


def test_the_map_is_coloured_by_the_number(showing: Showing) -> None:
    showing(trained_numbers.sweep)
    app = open_page("views/embeddings.py")
    assert app.selectbox(key="score").options[:3] == ["true number", "predicted number", "error"]
    assert "off by" in words(app)
    assert "misclassified" not in words(app)


def test_home_and_curves_name_the_scores_of_numbers(showing: Showing) -> None:
    showing(trained_numbers.sweep)
    said = words(open_page("views/home.py")) + str([m.label for m in open_page("views/home.py").metric])
    assert "Test R²" in said
    assert "Baseline, the mean number" in said.replace("\\", "")
    assert "macro-F1" not in said


def test_try_it_shows_a_number_for_a_test_row(showing: Showing) -> None:
    showing(trained_numbers.sweep)
    app = open_page("views/tryit.py", source="test row")
    assert "90% interval" in words(app).replace("\\", "")
    assert "nearest have" in words(app)


@pytest.mark.parametrize("page", PAGES)
def test_hostile_names_stay_text(showing: Showing, page: str) -> None:
    showing(trained_numbers.sweep)
    app = open_page(f"views/{page}.py")
    for node in (*app.markdown, *app.caption, *app.header, *app.subheader):
        assert HOSTILE not in active(str(node.value))
        assert "javascript:" not in active(str(node.value))
