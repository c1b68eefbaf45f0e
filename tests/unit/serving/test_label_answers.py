"""A head of several labels answers images: the CSV of predict, and the served model."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from tests.support.trained_sweep import CLASSES, Answering
from trainer.serving import batch_predict, pyfunc
from trainer.serving.answer_columns import LABELS
from trainer.serving.batch_predict import FoundHead
from trainer.serving.config import PredictConfig
from trainer.serving.explain import Explainer
from trainer.serving.packaging import pack
from trainer.serving.predictor import CARD, WEIGHTS, Predictor, RecordedHead, read_folder
from trainer.serving.pyfunc import ServedModel

NAMES = tuple(sorted(CLASSES))
THRESHOLDS = (0.5, 0.2, 0.9)


@pytest.fixture(scope="module")
def folder(answering: Answering, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose head says each of the classes of a sweep by itself."""
    own = tmp_path_factory.mktemp("labels") / "head"
    shutil.copytree(answering.folder / "model" / "data" / "head", own)
    card = json.loads((own / CARD).read_text())
    card |= {"classes": [], "labels": {"names": NAMES, "thresholds": THRESHOLDS, "separator": "|"}}
    card.pop("prediction_sets", None)
    for member in card["members"]:
        member["spec"] |= {"target": "labels", "solver": "descent", "loss": "bce"}
    (own / CARD).write_text(json.dumps(card))
    return own


@pytest.fixture(scope="module")
def recorded(folder: Path) -> RecordedHead:
    return read_folder(folder)


def test_a_label_is_said_from_its_threshold_on(recorded: RecordedHead) -> None:
    assert recorded.what == "3 labels"
    assert recorded.said is not None
    probability_nc = np.array([[0.5, 0.1, 0.89], [0.4, 0.2, 0.9], [0.1, 0.1, 0.1]])
    columns = batch_predict.label_columns(recorded.said, probability_nc)
    assert columns[LABELS] == [NAMES[0], f"{NAMES[1]}|{NAMES[2]}", ""]
    assert columns[f"probability_{NAMES[2]}"] == ["0.89", "0.9", "0.1"]
    assert batch_predict.counts_of(recorded, probability_nc) == dict.fromkeys(NAMES, 1)


def test_the_csv_has_the_labels_and_the_probability_of_each(
    folder: Path,
    recorded: RecordedHead,
    answering: Answering,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    shutil.copyfile(answering.images / "red" / "0.png", images / "a.png")
    (images / "bad.png").write_bytes(b"no image")
    monkeypatch.setattr(batch_predict, "find_head", lambda _: FoundHead(recorded, folder, {}))
    config = PredictConfig(
        images=(images,),
        tracking_uri=answering.uri,
        cache_dir=tmp_path / "cache",
        out=tmp_path / "out.csv",
        device="cpu",
        max_bad=1.0,
        coverage=0.9,
    )
    figures = batch_predict.run(config)
    with config.out.open(newline="") as file:
        good, bad = csv.DictReader(file)
    of_labels = [LABELS, *(f"probability_{name}" for name in NAMES)]
    assert list(good)[:5] == ["path", *of_labels]
    given = [float(good[name]) for name in of_labels[1:]]
    said = [name for name, p, t in zip(NAMES, given, THRESHOLDS, strict=True) if p >= t]
    assert good[LABELS] == "|".join(said)
    assert bad["error"]
    assert not any(bad[name] for name in of_labels)
    assert figures["classes"] == list(NAMES)
    assert figures["counts"] == dict.fromkeys(said, 1)
    assert figures["coverage"] is None


def test_a_served_model_says_labels_and_the_probability_of_each(folder: Path, answering: Answering) -> None:
    predictor = Predictor.from_folder(folder, device="cpu")
    image = answering.images / "red" / "0.png"
    told = ServedModel(predictor).predict(pd.DataFrame({"path": [str(image), "none.png"]}), {"top_k": 2})
    good, bad = told.to_dict("records")
    assert "label" not in good
    assert good["probabilities"] == pytest.approx(predictor.predict([image]).probabilities_nc[0])
    said = [n for n, p, t in zip(NAMES, good["probabilities"], THRESHOLDS, strict=True) if p >= t]
    assert good[LABELS] == "|".join(said)
    assert len(good[pyfunc.TOP]) == 2
    assert good[pyfunc.TOP][0]["probability"] == max(good["probabilities"])
    assert bad[LABELS] is bad["probabilities"] is None
    assert bad["error"]


def test_an_image_is_explained_without_zero_shot(folder: Path, answering: Answering) -> None:
    files = [(folder / name).read_bytes() for name in (CARD, WEIGHTS)]
    trying = Explainer(*files, vectors=None, xy_n2=None, train_n=None, model=lambda: folder)
    told = trying.image((answering.images / "red" / "0.png").read_bytes())
    assert told.reason == ""
    assert told.probabilities_c.shape == (len(NAMES),)
    assert told.zero_shot_c is None
    assert told.views


def test_a_packed_model_declares_the_column_of_labels(folder: Path, tmp_path: Path) -> None:
    files = {name: (folder / name).read_bytes() for name in (CARD, WEIGHTS)}
    model = pack(tmp_path / "packed", files, [], labels=NAMES)
    outputs = mlflow.models.get_model_info(str(model)).signature.outputs.input_names()
    assert outputs == [LABELS, "probabilities", "top_k", "error"]
