"""Answering images with a recorded head: as in training, every bad file named, nothing lost."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.commands.test_sweep import features_file
from tests.support import trained_sweep as small
from tests.support.image_files import encoded, noise
from tests.support.paths import REPO, SHARED
from tests.support.tiny_encoders import save_tiny
from tests.support.trained_sweep import Answering
from trainer.core.errors import InputError, NoResultError
from trainer.core.locations import default_tracking_uri
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.run import run as run_sweep
from trainer.serving import batch_predict
from trainer.serving.batch_predict import run
from trainer.serving.config import PredictConfig
from trainer.serving.predictor import Predictor, read_head
from trainer.tracking.schema import Artifact, Summary

BAD_IMAGES = SHARED / "bad_images"
CLASSES = len(small.CLASSES)


def predict(answering: Answering, *images: Path, out: Path, **flags: object) -> dict:
    given = {"tracking_uri": answering.uri, "cache_dir": out.parent / "cache", "device": "cpu", **flags}
    return run(PredictConfig(images=images, out=out, **given))  # type: ignore[arg-type]


def rows(out: Path) -> list[dict[str, str]]:
    with out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def said(row: dict[str, str]) -> dict[str, float]:
    """Class → probability, of a row of the CSV."""
    return {row[f"label_{k}"]: float(row[f"probability_{k}"]) for k in range(1, CLASSES + 1)}


def largest_difference(answering: Answering, out: Path) -> float:
    """Between a CSV of the sweep's own images and what the sweep recorded of them."""
    classes = read_head(*(answering.folder.joinpath(one).read_bytes() for one in HEAD)).classes
    recorded, worst = answering.probabilities(), 0.0
    for row in rows(out):
        name = os.path.relpath(row["path"], answering.images)
        told = said(row)
        worst = max(worst, float(np.abs([told[c] for c in classes] - recorded.pop(name)).max()))
    assert recorded == {}
    return worst


HEAD = (Artifact.HEAD_CARD, Artifact.HEAD_WEIGHTS)


# --- the same as in training ------------------------------------------------------------------


def test_a_round_trip_gives_the_probabilities_that_the_sweep_recorded(
    answering: Answering, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    figures = predict(answering, answering.images, out=out, top_k=CLASSES)
    assert figures["encoder_calls"] > 0  # encoded anew, in a cache of its own
    assert figures["found"] == figures["predicted"] == CLASSES * small.PER_CLASS
    assert figures["mlflow_run_id"] == answering.run_id  # the newest
    assert largest_difference(answering, out) < 1e-5
    assert_sets(answering, out, coverage=0.9)
    assert predict(answering, answering.images, out=out, top_k=CLASSES, coverage=0.5)["coverage"] == 0.5
    assert_sets(answering, out, coverage=0.5)


def assert_sets(answering: Answering, out: Path, *, coverage: float) -> None:
    """The column holds the classes from the recorded threshold on, the most probable first."""
    recorded = read_head(*(answering.folder.joinpath(one).read_bytes() for one in HEAD))
    assert recorded.novelty is not None
    for row in rows(out):
        assert row["is_ood"] == str(float(row["ood_score"]) > recorded.novelty.threshold)
        found = json.loads(row["prediction_set"])
        likely = [name for name, p in said(row).items() if p >= recorded.thresholds[coverage]]
        assert found == (likely or [row["label_1"]])


def test_a_head_of_before_has_no_prediction_sets_and_says_so_when_asked(
    answering: Answering, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    card, weights = (answering.folder.joinpath(one).read_bytes() for one in HEAD)
    described = json.loads(card)
    del described["prediction_sets"], described["novelty"]
    old = read_head(json.dumps(described).encode(), weights)
    assert old.prediction_sets(np.ones((1, CLASSES))) is None
    monkeypatch.setattr(batch_predict, "load_best_head", lambda files: old)
    out, image = tmp_path / "out.csv", answering.images / "red" / "0.png"
    figures = predict(answering, image, out=out, run=answering.run_id, coverage=0.8)
    assert figures["coverage"] is figures["mean_set_size"] is None
    assert figures["out_of_distribution"] is None
    assert not {"prediction_set", "ood_score", "is_ood"} & set(rows(out)[0])
    assert "No prediction sets" in capsys.readouterr().err


@pytest.mark.parametrize(("family", "dtype"), [("siglip", "bfloat16"), ("resnet", "float32")])
def test_other_encoders_and_bfloat16_make_the_round_trip_too(
    tracking_uri: str, tmp_path: Path, family: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = save_tiny(family, tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)
    swept = small.sweep(tmp_path, encoder="encoder", dtype=dtype)  # a relative name …
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # … that is found from another folder
    out = tmp_path / "elsewhere" / "out.csv"
    assert predict(swept, swept.images, out=out, top_k=CLASSES)["encoder"].startswith(str(encoder))
    assert largest_difference(swept, out) < 1e-5


def test_bytes_paths_and_the_logged_model_answer_alike(answering: Answering, tmp_path: Path) -> None:
    path = answering.images / "red" / "3.png"
    predictor = Predictor.from_folder(answering.folder / "model" / "data" / "head", device="cpu")
    alone = predictor.predict([path]).probabilities_nc[0]
    among = predictor.predict([*([path.read_bytes()] * 40), b"no image", path.read_bytes()])
    assert among.reasons[40] != ""
    assert np.isnan(among.probabilities_nc[40]).all()
    assert np.abs(among.probabilities_nc[-1] - alone).max() < 1e-6
    assert np.abs(answering.probabilities()["red/3.png"] - alone).max() < 1e-5
    out = tmp_path / "out.csv"
    figures = predict(answering, path, out=out, model_uri=answering.model_uri, top_k=CLASSES)
    assert figures["model_uri"] == answering.model_uri
    assert default_tracking_uri() != answering.uri, "the store of one command became the default of the next"
    (row,) = rows(out)
    assert max(said(row).values()) == pytest.approx(alone.max(), abs=1e-6)


def test_what_is_in_the_cache_is_not_encoded_again(answering: Answering, tmp_path: Path) -> None:
    cache = Path(shutil.copytree(answering.cache, tmp_path / "cache"))
    figures = predict(answering, answering.images, out=tmp_path / "out.csv", cache_dir=cache)
    assert figures["encoder_calls"] == 0
    assert figures["reused"] == figures["predicted"]


@pytest.mark.slow
def test_a_recipe_of_two_encoders_makes_the_round_trip_and_another_encoder_by_the_same_name_is_refused(
    tracking_uri: str, tmp_path: Path
) -> None:
    other, encoder = save_tiny("dinov2", tmp_path / "a+b"), save_tiny("vit", tmp_path / "encoder")
    swept = small.sweep(
        tmp_path, encoder=f"{other}+{encoder}", dtype="float32", features=("cls4", "cls4+patch")
    )
    summary = json.loads((swept.folder / Artifact.SUMMARY).read_text())
    scores = summary[Summary.FEATURES_SCORES]
    assert set(scores) == {"cls4", "cls4+patch"}
    assert scores[summary[Summary.FEATURES]] == max(scores.values())
    answered = predict(swept, swept.images, out=tmp_path / "out.csv", top_k=CLASSES)
    assert answered["encoder"].count(f"(float32, {summary[Summary.FEATURES]}, key") == 2
    assert f") + {encoder} (" in answered["encoder"]
    assert largest_difference(swept, tmp_path / "out.csv") < 1e-5
    served = Predictor.from_folder(swept.folder / "model" / "data" / "head", device="cpu")
    alone = served.predict([swept.images / "red" / "3.png"]).probabilities_nc[0]
    assert np.abs(swept.probabilities()["red/3.png"] - alone).max() < 1e-5
    assert [folder.name for folder in served.folders] == ["encoder", "encoder_2"]  # carried by the model
    with pytest.raises(InputError, match=r"needs 2 encoders, and .* names 1\. Name them"):
        predict(swept, swept.images, out=tmp_path / "out2.csv", encoder=str(encoder))
    again = run_sweep(SweepConfig(tracking_uri=swept.uri, rerun=swept.run_id, device="cpu"))
    assert max(again["apart"].values()) <= 1e-6  # also of the chosen recipe
    weights = load_file(encoder / "model.safetensors")
    first = next(iter(weights))
    save_file({**weights, first: weights[first] + 1}, encoder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="not the encoder of this head"):
        predict(swept, swept.images, out=tmp_path / "out2.csv")


# --- files ------------------------------------------------------------------------------------


@pytest.mark.skipif(not BAD_IMAGES.is_dir(), reason="shared/data is not here")
def test_the_good_are_predicted_and_the_bad_named_with_reasons(answering: Answering, tmp_path: Path) -> None:
    expected = (BAD_IMAGES / "EXPECTED.tsv").read_text().splitlines()[1:]
    verdicts = dict(line.split("\t")[:2] for line in expected)
    out = tmp_path / "out.csv"
    figures = predict(answering, BAD_IMAGES, out=out, max_bad=0.3)
    table = {os.path.relpath(row["path"], BAD_IMAGES): row for row in rows(out)}
    assert {name for name, row in table.items() if row["label_1"]} == {
        name for name, verdict in verdicts.items() if verdict == "keep"
    }
    bad = {name for name, row in table.items() if row["error"]}
    assert bad == {name for name, verdict in verdicts.items() if verdict == "quarantine"}
    assert figures["found"] == figures["predicted"] + figures["bad"] == len(table)
    assert {one["path"] for one in figures["bad_files"]} == {str(BAD_IMAGES / name) for name in bad}
    assert "truncated" in table["alpha/truncated.jpg"]["error"]


def test_too_many_bad_files_end_in_1_with_the_answers_to_the_others(
    answering: Answering, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "good.png").write_bytes(encoded(noise(0)))
    (images / "bad.png").write_bytes(b"no image")
    with pytest.raises(NoResultError, match="1 of 2 files") as ended:
        predict(answering, images, out=tmp_path / "out.csv")
    assert ended.value.figures is not None
    assert ended.value.figures["predicted"] == 1
    assert [bool(row["label_1"]) for row in rows(tmp_path / "out.csv")] == [True, False]


def test_no_name_of_a_file_breaks_the_answer(answering: Answering, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    names = [
        b"-dash.png",
        b"a,b\"c'.png",
        b"line\nbreak.png",
        b"=1+1.png",
        b"\xff\xfe.png",
        b"\\xff\\xfe.png",
    ]
    for seed, name in enumerate([*names, "naïve 図 \u202e.png".encode()]):
        with open(os.fsencode(images) + b"/" + name, "wb") as file:
            file.write(encoded(noise(seed)))
    os.mkfifo(images / "pipe.png")  # opening it would wait for ever
    (images / "loop.png").symlink_to("loop.png")
    (images / "again").symlink_to(images)
    (images / "photo.xcf").touch()
    figures = predict(answering, images, images, out=tmp_path / "out.csv", max_bad=1.0)
    assert (figures["found"], figures["predicted"], figures["bad"]) == (9, 7, 2)
    assert figures["passed_over"] == {".xcf": 1}
    told = [row["path"] for row in rows(tmp_path / "out.csv")]
    assert len(set(told)) == 9
    json.dumps(figures).encode()


@pytest.mark.slow
def test_the_command_takes_files_and_folders_and_ends_with_one_line_of_json(
    answering: Answering, tmp_path: Path
) -> None:
    dash = tmp_path / "-dash.png"
    dash.write_bytes(encoded(noise(7)))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "trainer.predict", "--tracking-uri", answering.uri, "--device", "cpu"),
            *("--cache-dir", str(answering.cache), "--out", str(tmp_path / "out.csv"), "--top-k", "99"),
            *("--", str(answering.images), os.path.relpath(dash, REPO)),
        ],
        cwd=REPO, env={**os.environ}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    figures = json.loads(done.stdout)
    assert figures["found"] == CLASSES * small.PER_CLASS + 1
    assert sum(figures["counts"].values()) == figures["predicted"]
    assert figures["images_per_s"] > 0
    assert "/s" in done.stderr


# --- what is refused --------------------------------------------------------------------------


def test_what_cannot_be_used_is_named(answering: Answering, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    (tmp_path / "empty").mkdir()
    for images, words in (
        ((), "No images to predict"),
        ((tmp_path / "no such",), "There is no file or folder"),
        ((tmp_path / "empty",), "There is no image in"),
    ):
        with pytest.raises(InputError, match=words):
            predict(answering, *images, out=out)
    for flags, words in (
        ({"run": "0" * 32}, "There is no run"),
        ({"run": "x", "model_uri": "models:/a/1"}, "pass one of them"),
        ({"model_uri": "models:/no-such/1"}, "--model-uri"),
        ({"top_k": 0}, "--top-k"),
        ({"max_bad": 2.0}, "--max-bad"),
        ({"coverage": 0.999}, "--coverage is 0.999"),
        ({"out": tmp_path}, "is a folder"),
        ({"experiment": "another"}, "No finished sweep"),
    ):
        with pytest.raises(InputError, match=words):
            predict(answering, answering.images, **{"out": out, **flags})  # type: ignore[arg-type]
    assert not out.exists()


def test_a_head_on_ready_features_is_passed_over_and_refused_by_name(
    tracking_uri: str, tmp_path: Path
) -> None:
    figures = run_sweep(
        SweepConfig(
            data=str(features_file(tmp_path / "two.npz")), tracking_uri=tracking_uri, trials=1, seeds=1,
            cache_dir=tmp_path / "cache", fresh_seeds=0, device="cpu",
        )
    )  # fmt: skip
    assert figures["model_uri"] is None
    (tmp_path / "a.png").write_bytes(encoded(noise(0)))
    config = PredictConfig(
        images=(tmp_path / "a.png",), tracking_uri=tracking_uri, out=tmp_path / "out.csv", device="cpu"
    )
    with pytest.raises(InputError, match="No finished sweep"):
        run(config)
    with pytest.raises(InputError, match="trained on precomputed features"):
        run(PredictConfig(**{**vars(config), "run": figures["mlflow_run_id"]}))


def test_a_damaged_head_is_refused(answering: Answering) -> None:
    card, weights = (answering.folder.joinpath(one).read_bytes() for one in HEAD)
    for broken in ((b"{}", weights), (card, weights[:100]), (b"\xff", weights), (b"[]", weights)):
        with pytest.raises(InputError, match="recorded head cannot be read"):
            read_head(*broken)


def test_no_image_is_replaced_by_its_predictions(answering: Answering, tmp_path: Path) -> None:
    images = Path(shutil.copytree(answering.images, tmp_path / "images"))
    before = {path: path.read_bytes() for path in images.rglob("*.png")}
    (tmp_path / "link.csv").symlink_to(images / "red" / "0.png")
    for given, out in (
        (images / "red" / "0.png", images / "red" / "0.png"),
        (images, images / "red" / "0.png"),
        (images, tmp_path / "link.csv"),
    ):
        with pytest.raises(InputError, match=r"--out .* is read by this command, too"):
            predict(answering, given, out=out, cache_dir=answering.cache)
    assert {path: path.read_bytes() for path in images.rglob("*.png")} == before


def test_predictions_go_to_a_private_file_a_symlink_and_a_device(
    answering: Answering, tmp_path: Path
) -> None:
    image = answering.images / "red" / "0.png"
    private, link = tmp_path / "private.csv", tmp_path / "link.csv"
    private.write_text("before")
    private.chmod(0o600)
    link.symlink_to(private)
    for out in (private, link, Path(os.devnull)):
        assert predict(answering, image, out=out, cache_dir=answering.cache)["predicted"] == 1
    assert len(rows(private)) == 1
    assert (private.stat().st_mode & 0o777, link.is_symlink()) == (0o600, True)
    assert Path(os.devnull).is_char_device()
