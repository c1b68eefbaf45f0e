"""The page "Try it", run in process: what is dropped is answered, and what cannot be is named kindly."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image
from safetensors.numpy import load_file
from streamlit.testing.v1 import AppTest

from dashboard.charts.explain import HEAD, ZERO_SHOT, place, probabilities
from tests.support import synthetic_runs
from tests.support.image_files import encoded, noise
from tests.support.pages import Showing, active, captions, charts, open_page, words
from tests.support.trained_sweep import CLASSES, Answering, image
from trainer.data.formats import extensions
from trainer.heads.novelty import NoveltyDetector
from trainer.serving.explain import Explainer, original
from trainer.tracking.schema import Artifact

PAGE = "views/tryit.py"
TEST_ROW = {"source": "test row"}


@pytest.fixture
def answered(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> Answering:
    """The app looks at a sweep that can answer."""
    monkeypatch.setenv("HEADROOM_TRACKING_URI", answering.uri)
    return answering


def rendered(app: AppTest) -> str:
    """Words that the page renders as Markdown."""
    nodes = [*app.markdown, *app.caption, *app.subheader, *app.warning, *app.error, *app.info]
    return "\n".join([*(str(node.value) for node in nodes), *captions(app)])


def drop(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    app.file_uploader[0].set_value([(name, data, "image/png") for name, data in files]).run()
    assert not app.exception, app.exception[0].message
    return app


def test_before_anything_is_dropped_the_page_says_what_to_do(answered: Answering) -> None:
    assert "at most 20 MB) to see its class" in words(open_page(PAGE))


def test_every_image_that_commands_read_may_be_uploaded(answered: Answering) -> None:
    app = open_page(PAGE)
    assert {".jpg", ".avif", ".jp2"} <= set(app.file_uploader[0].proto.type)
    assert set(app.file_uploader[0].proto.type) >= extensions()
    avif = encoded(Image.fromarray(noise(0, height=40, width=40)), kind="AVIF")
    assert "cannot be used" not in words(drop(app, ("mine.avif", avif)))


def test_an_image_is_answered_with_neighbours_zero_shot_and_a_place(answered: Answering) -> None:
    app = drop(open_page(PAGE), ("mine.png", (answered.images / "red" / "3.png").read_bytes()))
    told = words(app)
    assert len(charts(app)) == 2
    probs_c = answered.probabilities()["red/3.png"]
    assert f"{100 * probs_c.max():.1f} %" in told
    assert sorted(CLASSES)[probs_c.argmax()] in told
    assert "Zero-shot compares the image with the names of the classes" in told
    assert "Zero-shot: " in told
    assert "Prediction set (90% coverage):" in told
    assert "of 12 share the predicted label" in told
    assert "openTSNE places the new image" in told


def test_an_image_unlike_the_training_images_is_none_of_these(
    answered: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NoveltyDetector, "is_novel", lambda self, score_n: score_n > -np.inf)
    told = words(drop(open_page(PAGE), ("mine.png", image(999, 0.1))))
    assert "None of these" in told
    assert "false alarms: 5 %" in told


def test_of_several_images_the_bad_are_named_and_one_is_chosen(answered: Answering) -> None:
    good = [(f"{i}.png", (answered.images / "red" / f"{i}.png").read_bytes()) for i in range(2)]
    app = drop(open_page(PAGE), ("bad.png", b"<html>"), *good, (f"{synthetic_runs.HOSTILE}.png", b""))
    assert app.warning[0].value.startswith("“bad.png” cannot be used: not an image")
    assert "](http" not in active(app.warning[1].value)
    assert list(app.selectbox(key="which").options) == ["1. 0.png", "2. 1.png"]
    app.selectbox(key="which").select_index(1).run()
    assert "1.png" in words(app)
    drop(app, ("bad.png", b"<html>"))
    assert len(charts(app)) == 0


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(answered: Answering) -> None:
    large = io.BytesIO()
    Image.new("1", (9000, 6000)).save(large, "PNG")
    app = drop(open_page(PAGE), ("large.png", large.getvalue()))
    assert "too large: 9000 x 6000 pixels, the limit is 50,000,000" in app.warning[0].value


def test_a_test_row_is_shown_as_it_was_answered(answered: Answering) -> None:
    app = open_page(PAGE, **TEST_ROW)
    told = words(app)
    assert len(charts(app)) == 2
    assert "This image is one of them" in told
    assert "Zero-shot" in told  # its own image is at hand
    assert not app.error


def test_an_encoder_that_is_gone_is_said_to_be_gone(
    uri: str,
    answering: Answering,
) -> None:
    run_id = synthetic_runs.sweep(uri)
    folder = Path(synthetic_runs.folder_of(MlflowClient(uri).get_run(run_id).info.artifact_uri))
    for name in ("head.json", "head.safetensors"):
        shutil.copyfile(answering.folder / "head" / name, folder / "head" / name)
    card = (folder / "head" / "head.json").read_text().replace('"demo (', '"./gone (')
    (folder / "head" / "head.json").write_text(card)
    app = drop(open_page(PAGE), ("a.png", (answering.images / "red" / "3.png").read_bytes()))
    assert "There is no folder './gone'" in app.error[0].value


def test_a_sweep_on_precomputed_features_shows_its_test_rows(showing: Showing) -> None:
    showing(synthetic_runs.sweep)
    app = open_page(PAGE)
    assert "Trained on precomputed features" in app.info[0].value
    assert not app.file_uploader
    assert len(charts(app)) == 2
    first = words(app)
    app.selectbox(key="row").select_index(5).run()
    assert words(app) != first


def test_foreign_words_spring_nothing(showing: Showing) -> None:
    showing(
        synthetic_runs.sweep,
        name=synthetic_runs.HOSTILE,
        classes=[synthetic_runs.HOSTILE, "<script>", ":red[c]"],
    )
    app = open_page(PAGE)
    assert len(charts(app)) == 2
    assert "](http" not in active(rendered(app))
    assert "<script" not in active(rendered(app))


@pytest.mark.parametrize("absent", [Artifact.VECTORS, Artifact.HEAD_WEIGHTS])
def test_what_an_older_sweep_lacks_is_said(uri: str, absent: str) -> None:
    run_id = synthetic_runs.sweep(uri)
    folder = Path(synthetic_runs.folder_of(MlflowClient(uri).get_run(run_id).info.artifact_uri))
    (folder / absent).unlink()
    told = words(open_page(PAGE))
    assert ("stored no features" in told) == (absent == Artifact.VECTORS)
    assert ("Not recorded: the model" in told) == (absent == Artifact.HEAD_WEIGHTS)


def test_a_damaged_head_is_said_to_be_damaged(uri: str) -> None:
    run_id = synthetic_runs.sweep(uri)
    folder = Path(synthetic_runs.folder_of(MlflowClient(uri).get_run(run_id).info.artifact_uri))
    (folder / Artifact.HEAD_WEIGHTS).write_bytes(b"torn")
    assert "recorded head cannot be read" in open_page(PAGE).error[0].value


# --- what is behind it ------------------------------------------------------------------------


def test_neighbours_are_training_rows_by_cosine(answering: Answering) -> None:
    card, weights = (
        (answering.folder / name).read_bytes() for name in ("head/head.json", "head/head.safetensors")
    )
    samples = pd.read_parquet(answering.folder / Artifact.SAMPLES)
    xy = pd.read_parquet(answering.folder / Artifact.PROJECTION)[["x", "y"]].to_numpy()
    train = (samples["split"] == "train").to_numpy()
    vectors = (answering.folder / Artifact.VECTORS).read_bytes()
    trying = Explainer(card, weights, vectors=vectors, xy_n2=xy, train_n=train)
    x = load_file(answering.folder / Artifact.VECTORS)["vectors"].astype(np.float64)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    row = int(np.flatnonzero(train)[3])
    near = trying.nearest_to_row(row, neighbours=5)
    assert row not in [one for one, _ in near]
    order = [int(i) for i in np.argsort(-(unit @ unit[row])) if train[i] and i != row][:5]
    assert [one for one, _ in near] == order
    assert [cosine for _, cosine in near] == pytest.approx([(unit @ unit[row])[i] for i in order], abs=1e-5)
    tried = trying.image((answering.images / samples["sample_id"][row]).read_bytes(), neighbours=3)
    assert tried.near[0] == (row, pytest.approx(1.0, abs=1e-5))
    assert tried.zero_shot_c is not None
    assert tried.zero_shot_c.sum() == pytest.approx(1)


def test_an_original_is_read_from_its_own_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(b"a")
    (tmp_path / "secret.png").write_bytes(b"s")
    (tmp_path / "data" / "link.png").symlink_to(tmp_path / "secret.png")
    data = str(tmp_path / "data")
    assert original(data, "a.png") == b"a"
    for name in ("../secret.png", str(tmp_path / "secret.png"), "link.png", "no.png", ""):
        assert original(data, name) is None
    assert original("", "a.png") is original("hf:owner/name", "a.png") is None
    assert original("demo", "no such row") is None


def test_bars_are_the_heads_and_dots_are_zero_shots() -> None:
    answers = pd.DataFrame(
        [("a", HEAD, 0.7), ("a", ZERO_SHOT, 0.2), ("b", HEAD, 0.3), ("b", ZERO_SHOT, 0.8)],
        columns=["class", "by", "probability"],
    )
    both = probabilities(answers).to_dict()
    assert [layer["mark"]["type"] for layer in both["layer"]] == ["bar", "point"]
    alone = probabilities(answers[answers["by"] == HEAD]).to_dict()
    assert alone["layer"][0]["encoding"]["color"]["legend"] is None
    rows = pd.DataFrame({"x": [0.0, 1], "y": [0.0, 1], "likely": [True, False], "near": [False, True]})
    rows = rows.assign(label="a", split="train", sample_id="r")
    here = pd.DataFrame({"x": [2.0], "y": [0.5], "image": [None]})
    drawn = place(rows, here, title="a", dark=False).to_dict()
    assert len(drawn["layer"]) == 3


@pytest.mark.parametrize("image", [None, "data:image/webp;base64,AA=="])
def test_a_row_has_a_marker_on_the_map_with_or_without_an_image(image: str | None) -> None:
    rows = pd.DataFrame({"x": [0.0], "y": [0.0], "likely": True, "near": False, "label": "a"})
    here = pd.DataFrame({"x": [2.0], "y": [0.5], "image": [image]})
    spec = place(rows.assign(split="train", sample_id="r"), here, title="a", dark=False).to_dict()
    drawn = [layer["mark"].get("shape", layer["mark"]["type"]) for layer in spec["layer"][2:]]
    assert drawn == (["diamond"] if image is None else ["image", "point"])


def test_an_image_stands_beside_what_the_encoder_sees(answered: Answering) -> None:
    app = drop(open_page(PAGE), ("mine.png", (answered.images / "red" / "3.png").read_bytes()))
    assert [one.proto.imgs[0].caption for one in app.get("image")][:2] == ["original", "encoder’s input"]
    row = open_page(PAGE, **TEST_ROW)
    assert [one.proto.imgs[0].caption for one in row.get("image")][:2] == ["original", "encoder’s input"]
