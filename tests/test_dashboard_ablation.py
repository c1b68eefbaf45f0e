"""The page "Filter ablations": what it draws of a real ablation, and what it says where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import ablation_stores
import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_dashboard_pages import charts, open_page, words

from dashboard import ablations
from dashboard.charts import ablation as drawn
from trainer.tracking.schema import Ablation, Scores, Verdict

PAGE = "views/ablation.py"


def table(**columns: list) -> pd.DataFrame:
    """ABLATION of four cells: none, clip, quality, both."""
    n = 4
    frame = pd.DataFrame(
        {
            Ablation.CELL: range(n),
            Ablation.FILTER: ["none", "clip>=top90%", "quality>=top80%", "quality>=top80% & clip>=top90%"],
            Ablation.AUGMENT: False,
            Ablation.KEPT: [100, 90, 80, 72],
            Ablation.VERDICT: [Verdict.BASELINE, Verdict.UNCLEAR, Verdict.HELPS, Verdict.HURTS],
            Ablation.F1_MACRO: [0.5, 0.51, 0.6, 0.4],
            Ablation.EFFECT: [np.nan, 0.01, 0.1, -0.1],
            Ablation.OVER_RANDOM: [np.nan, 0.02, 0.12, -0.05],
            Ablation.EFFECT_P_HOLM: [np.nan, 1.0, 0.01, 0.02],
            Ablation.OVER_RANDOM_P_HOLM: [np.nan, 1.0, 0.01, 0.9],
            Ablation.CHOSEN: [False, False, True, False],
            "by.clip": [None, ">=top90%", None, ">=top90%"],
            "by.quality": [None, None, ">=top80%", ">=top80%"],
        }
    )
    for name in (Ablation.F1_MACRO, Ablation.EFFECT, Ablation.OVER_RANDOM):
        frame[name + Ablation.LOW], frame[name + Ablation.HIGH] = frame[name] - 0.05, frame[name] + 0.05
    return frame.assign(**columns)


def scores(n: int = 100) -> pd.DataFrame:
    return pd.DataFrame(
        {
            Scores.SAMPLE_ID: [f"row{i}" for i in range(n)],
            Scores.LABEL: ["a", "b"] * (n // 2),
            Scores.SPOILED: ["blur" if i < 10 else "" for i in range(n)],
            "score.clip": np.linspace(0, 1, n),
            "score.quality": [np.nan, *np.linspace(-3, 1, n - 1)],
        }
    )


# --- frames -----------------------------------------------------------------------------------


def test_the_grid_is_of_the_two_scores_that_were_crossed_and_its_bounds_keep_fewer_and_fewer() -> None:
    assert set(ablations.crossed(table()) or ()) == {"clip", "quality"}
    cells = ablations.grid(table(), "clip", "quality")
    assert cells[["across", "up"]].to_numpy().tolist() == [
        ["all", "all"],
        [">=top90%", "all"],
        ["all", ">=top80%"],
        [">=top90%", ">=top80%"],
    ]
    assert ablations.bounds(pd.Series([">=top60%", "all", ">=top90%"])) == ["all", ">=top90%", ">=top60%"]
    assert ablations.bounds(pd.Series([">=0.3", "all", ">=0.1"])) == ["all", ">=0.1", ">=0.3"]
    assert ablations.crossed(table().drop(columns="by.clip")) is None


def test_a_slider_keeps_the_share_with_the_highest_values_and_rows_without_the_score() -> None:
    keep_n = ablations.kept_above(scores(), {"clip": 0.8})
    assert keep_n.sum() == 80
    assert keep_n[-80:].all()
    assert ablations.kept_above(scores(), {"quality": 0.5})[0]
    assert ablations.kept_above(scores(), {"clip": 1.0, "quality": 1.0}).all()
    assert ablations.found(keep_n, scores()[Scores.SPOILED]) == (0.5, 1.0)
    assert ablations.found(keep_n, pd.Series([None] * 100)) is None


def test_the_nearest_measured_cells_are_those_that_keep_similar_shares() -> None:
    cells = ablations.grid(table(), "clip", "quality")
    close = ablations.nearest(cells, scores(), "clip", "quality", {"clip": 0.95, "quality": 0.82})
    assert close[Ablation.FILTER].iloc[0] == "quality>=top80% & clip>=top90%"
    assert ablations.share_kept(scores(), "clip", ">=0.5") == pytest.approx(0.5)


def test_rows_thrown_out_begin_with_the_lowest_in_any_of_the_scores() -> None:
    keep_n = ablations.kept_above(scores(), {"clip": 0.8})
    rows = ablations.thrown_out(scores(), keep_n, ["clip"])
    assert rows[Scores.SAMPLE_ID].tolist()[:3] == ["row0", "row1", "row2"]
    assert len(rows) == 20


def test_the_way_to_a_cell_goes_by_the_cells_that_were_measured() -> None:
    way = ablations.steps(table(), table().iloc[3].to_dict())
    assert way["step"].tolist() == ["all rows", "+ quality>=top80%", "+ clip>=top90%"]
    assert way["gain"].iloc[1:].tolist() == pytest.approx([0.1, -0.2])
    without = table().drop(index=2)
    assert ablations.steps(without, table().iloc[3].to_dict())["step"].tolist() == [
        "all rows",
        "+ clip>=top90%",
    ]


def test_the_forest_has_both_comparisons_of_every_cell_the_best_first() -> None:
    frame = ablations.forest(table())
    assert frame["number"].tolist() == [2, 1, 3, 2, 1, 3]
    assert frame["sure"].tolist() == ["p < 0.05", "not so", "p < 0.05", "p < 0.05", "not so", "not so"]
    chart = drawn.forest(frame, title="change").to_dict()
    assert chart["layer"][1]["encoding"]["y"]["sort"] == list(dict.fromkeys(frame["name"]))


# --- the page ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ablated(migrated_database: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A store with a real ablation, and the id of its run."""
    folder = tmp_path_factory.mktemp("ablated")
    shutil.copyfile(migrated_database, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return uri, ablation_stores.ablation(uri, folder)


def opened(uri: str, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    st.cache_data.clear()
    monkeypatch.setenv("HEADROOM_TRACKING_URI", uri)
    return open_page(PAGE, **query)


def test_a_real_ablation_shows_its_advice_its_figures_and_its_charts(
    ablated: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(ablated[0], monkeypatch)
    said = words(app)
    assert "cells were held against training on all 32 rows" in said
    assert "python -m trainer.ablate" in said
    assert {metric.label for metric in app.metric} >= {"Baseline macro-F1", "Cells that help", "Test rows"}
    assert len(charts(app)) >= 5  # thresholds, two spreads, all cells, steps or classes
    assert "known to be spoiled" in said


def test_the_sliders_say_how_many_rows_would_stay(
    ablated: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(ablated[0], monkeypatch)
    app.slider(key="keep_first").set_value(50).run()
    app.slider(key="keep_second").set_value(100).run()
    assert not app.exception
    assert "16 of 32 training rows stay" in words(app)


def test_a_link_opens_the_cell_that_it_names(
    ablated: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(ablated[0], monkeypatch, cell="2")
    assert [box.value for box in app.selectbox if box.label == "Cell"] == [2]
    unknown = opened(ablated[0], monkeypatch, cell="<script>")
    assert not unknown.exception


def test_an_ablation_that_is_being_trained_shows_who_would_be_thrown_out(
    ablated: tuple[str, str], tmp_path: Path, migrated_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(migrated_database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    ablation_stores.cut_off(uri, ablation_stores.ablation(uri, tmp_path))
    app = opened(uri, monkeypatch)
    said = words(app)
    assert "The cells are being trained" in said
    assert "training rows stay" in said


def test_without_an_ablation_the_page_gives_the_command(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = words(opened(tracking_uri, monkeypatch))
    assert "python -m trainer.ablate" in said
