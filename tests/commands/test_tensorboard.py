"""Event files for TensorBoard say what the record says, and appear complete."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from tests.support.image_files import class_folders
from tests.support.trained_target import HOSTILE, Swept, sweep
from trainer.core.errors import InputError
from trainer.experiments.sweep.run import run
from trainer.tracking.schema import PARAM_PREFIX, Artifact, Curves, Samples, Summary, Trials

TRIALS, MORE = 3, 2


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """Three trials with event files; then two more, without; then the finished study, with them again."""
    folder = tmp_path_factory.mktemp("tensorboard")
    done = sweep(
        f"sqlite:///{folder}/mlflow.db",
        lambda data: class_folders(data / "images", {HOSTILE.replace("/", ""): 12, "dog\tcat": 12}),
        trials=TRIALS,
        tensorboard=folder / "events",
    )
    more = dataclasses.replace(done.config, trials=TRIALS + MORE)
    run(dataclasses.replace(more, tensorboard=None))
    run(more)
    return done._replace(config=more)


@pytest.fixture(scope="module")
def events(swept: Swept) -> Path:
    """The folder of the study."""
    assert swept.config.tensorboard is not None
    (study,) = swept.config.tensorboard.iterdir()
    assert study.name.endswith(swept.figures[Summary.RUN_ID][:8])
    assert f"tensorboard --logdir {swept.config.tensorboard}" in swept.said
    return study


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def test_every_trial_that_has_ended_has_its_curves_over_all_epochs(swept: Swept, events: Path) -> None:
    curves = pd.read_parquet(swept.folder / Artifact.CURVES)
    assert [path.name for path in sorted(events.glob("trial-*"))] == [f"trial-{n:04d}" for n in range(5)]
    for trial in range(TRIALS + MORE):
        losses = curves[(curves.trial == trial) & (curves.split == "val") & (curves.metric == "loss")]
        mean = losses.groupby(Curves.EPOCH)[Curves.VALUE].mean()
        shown = read(events / f"trial-{trial:04d}").Scalars("val_loss")
        assert [one.step for one in shown] == mean.index.tolist()
        np.testing.assert_allclose([one.value for one in shown], mean, rtol=1e-6)


def test_hyperparameters_and_best_scores_are_those_of_the_table(swept: Swept, events: Path) -> None:
    table = pd.read_parquet(swept.folder / Artifact.TRIALS).set_index(Trials.TRIAL)
    for trial, row in table.iterrows():
        seen = read(events / f"trial-{trial:04d}")
        content = seen.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        told = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
        assert told["state"].string_value == row[Trials.STATE]
        assert told["depth"].number_value == row[PARAM_PREFIX + "depth"]
        assert told["scaling"].string_value == row[PARAM_PREFIX + "scaling"]
        (best,) = seen.Scalars("best_val_f1_macro")
        assert best.value == pytest.approx(row[Trials.VAL_F1_MACRO])


def test_the_projector_has_the_vectors_with_labels_and_thumbnails(swept: Swept, events: Path) -> None:
    samples = pd.read_parquet(swept.folder / Artifact.SAMPLES)
    (folder,) = (events / "projector").glob("*/vectors")
    header, *rows = (line.split("\t") for line in (folder / "metadata.tsv").read_text().splitlines())
    assert header == [Samples.LABEL, Samples.SPLIT, Samples.SAMPLE_ID]
    assert [row[0] for row in rows] == [" ".join(label.split()) for label in samples.label]
    vectors = np.loadtxt(folder / "tensors.tsv", delimiter="\t")
    logged = load((swept.folder / Artifact.VECTORS).read_bytes())["vectors"]
    np.testing.assert_allclose(vectors, logged.astype(np.float64), rtol=1e-5, atol=1e-7)
    with Image.open(folder / "sprite.png") as sprite:
        assert sprite.size == (5 * 64, 5 * 64)  # 24 rows


def test_nothing_half_written_is_left(events: Path) -> None:
    assert [path.name for path in events.iterdir() if path.name.startswith(".")] == []


def test_what_could_not_be_written_is_refused_before_any_work(
    swept: Swept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = tmp_path / "a file"
    taken.write_text("")
    refused = dataclasses.replace(swept.config, tensorboard=taken, data=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"--tensorboard is .*a file, a file; name a folder"):
        run(refused)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("trainer.experiments.sweep.event_files.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install tensorboard"):
        run(dataclasses.replace(refused, tensorboard=tmp_path / "events"))
