"""A fine-tuning on the pages about sweeps: all of them open it, Home says whether it was worth it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.dashboard.test_words import check
from tests.support import synthetic_runs, trained_ablation, trained_finetuning
from tests.support.pages import active, charts, open_page, restart, words
from trainer.tracking.schema import Artifact, Kind, RunState, Tag

PAGES = [f"views/{name}.py" for name in ("home", "curves", "hyperparameters", "confusion", "embeddings")]


@pytest.fixture(scope="module")
def real(finetuned: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A store with one real run, and its id."""
    uri, run_id = finetuned
    return trained_ablation.copied(uri, tmp_path_factory.mktemp("tuned") / "copy"), run_id


@pytest.fixture
def tuned(real: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", real[0])
    restart()  # some tests rewrite it
    return real


@pytest.mark.parametrize("page", PAGES)
def test_every_page_about_sweeps_shows_a_fine_tuning(tuned: tuple[str, str], page: str) -> None:
    app = open_page(page, run=tuned[1])
    assert charts(app)
    assert not app.error


def test_home_lists_it_as_fine_tuned(tuned: tuple[str, str]) -> None:
    app = open_page("views/home.py")
    row = app.dataframe[0].value.iloc[0]
    assert row["encoder"].endswith(", fine-tuned")
    assert row["trials"] == "3 of 3 complete"


@pytest.mark.parametrize(
    ("effect", "verdict", "box", "said"),
    [
        ([0.051, 0.02, 0.08], "helps", "success", "blocks of 6 helps: +0.051 [+0.020, +0.080] test"),
        ([-0.051, -0.08, -0.02], "hurts", "warning", "keep the frozen encoder: −0.051 [−0.080, −0.020] test"),
        ([0.004, -0.02, 0.03], "unclear", "info", "no significant difference: +0.004 [−0.020, +0.030] test"),
    ],
)
def test_home_says_whether_it_helped_with_the_paired_interval(
    tuned: tuple[str, str], effect: list[float], verdict: str, box: str, said: str
) -> None:
    trained_finetuning.rewrite(*tuned, effect=effect, verdict=verdict, unfrozen=2, blocks=6)
    app = open_page("views/home.py", run=tuned[1])
    (shown,) = [one.value for one in getattr(app, box) if "Fine-tuning" in one.value]
    assert said in shown
    check(app)
    assert "paired by row (n = 32)" in words(app)


def test_home_says_why_nothing_was_gained(tuned: tuple[str, str]) -> None:
    trained_finetuning.rewrite(
        *tuned, verdict="unclear", why="Training loss did not fall: ![x](http://a.b/c)"
    )
    app = open_page("views/home.py", run=tuned[1])
    (shown,) = [one.value for one in app.caption if "Training loss did not fall" in one.value]
    assert "![x](http" not in active(shown)


def test_the_two_heads_are_compared_on_the_page_of_the_confusion_matrix(tuned: tuple[str, str]) -> None:
    app = open_page("views/confusion.py", run=tuned[1], head="best", against="frozen")
    assert app.selectbox(key="against").value == "frozen"
    assert len(charts(app)) >= 2


@pytest.mark.parametrize("state", ["live", "interrupted", "failed"])
@pytest.mark.parametrize("page", PAGES)
def test_one_that_is_not_done_says_so(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch, page: str, state: str
) -> None:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", tracking_uri)
    run_id = synthetic_runs.sweep(tracking_uri, state=state, name=synthetic_runs.HOSTILE)
    MlflowClient(tracking_uri).set_tag(run_id, Tag.KIND, Kind.FINE_TUNING)
    app = open_page(page)
    assert "Fine-tuning the last" not in words(app)
    if state == RunState.INTERRUPTED:
        assert any("Interrupted." in one.value for one in app.warning)


def test_try_it_answers_with_the_fine_tuned_encoder(tuned: tuple[str, str]) -> None:
    uri, run_id = tuned
    app = open_page("views/tryit.py", run=run_id)
    folder = Path(MlflowClient(uri).get_run(run_id).info.artifact_uri.removeprefix("file://"))
    predictions = pd.read_parquet(folder / Artifact.PREDICTIONS)
    row = predictions[predictions["head"] == "best"].iloc[0]
    data = MlflowClient(uri).get_run(run_id).data.tags[Tag.DATA]
    file = (Path(data) / row["sample_id"]).read_bytes()
    app.file_uploader[0].set_value([("mine.png", file, "image/png")]).run()
    assert not app.exception
    assert f"{100 * row['confidence']:.1f} %" in words(app)
    assert "Zero-shot compares" not in words(app)  # its text tower does not know the fine-tuned vectors


@pytest.mark.parametrize(
    "trained", ["layer-norm (10 tensors)", "with LoRA (rank 8, 8 attention projections)"]
)
def test_home_names_what_was_trained_where_it_was_not_whole_blocks(
    tuned: tuple[str, str], trained: str
) -> None:
    trained_finetuning.rewrite(*tuned, effect=[0.05, 0.02, 0.08], verdict="helps", trained=trained)
    app = open_page("views/home.py", run=tuned[1])
    assert any(one.value.startswith(f"**Fine-tuning {trained} helps: +0.050") for one in app.success)
