"""Home lists sweeps and ablations, and leads to either."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import synthetic_runs, trained_ablation
from tests.support.pages import open_page, restart, words


def test_ablations_stand_below_the_sweeps_with_the_effect_of_the_chosen_cell(
    ablated: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = trained_ablation.copied(ablated[0], tmp_path / "copy")
    monkeypatch.setenv("HEADROOM_TRACKING_URI", uri)
    app = open_page("views/home.py")
    row = app.dataframe[0].value.iloc[0]  # a store without any sweep
    assert row["ablation"] == "small"
    assert row["cells"] >= 10
    assert "[" in row["baseline macro-F1"]
    assert "make demo" not in words(app)
    synthetic_runs.sweep(uri)
    restart()
    app = open_page("views/home.py")
    assert [header.value for header in app.header][:2] == ["Sweeps", "Filter ablations"]
    assert not app.exception


def test_the_list_draws_the_best_so_far_of_sweeps_and_of_nothing_else(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", tracking_uri)
    synthetic_runs.sweep(tracking_uri, name="done", trials=9)
    synthetic_runs.sweep(tracking_uri, name="live", state="live")
    synthetic_runs.foreign(tracking_uri, name="other")
    sparks = open_page("views/home.py").dataframe[0].value.set_index("run")["best so far"]
    for name in ("done", "live"):
        assert list(sparks[name]) == sorted(sparks[name])
        assert len(sparks[name]) > 1
    assert sparks["other"] is None
