"""The fine-tuning command from end to end: real images, a small encoder, a real store."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.metrics import f1_score

from tests.support import commands
from tests.support.image_files import encoded
from trainer.core.errors import InputError
from trainer.data.load import load
from trainer.experiments.finetuning.config import FinetuneConfig
from trainer.experiments.finetuning.judging import judge, why_no_better, words
from trainer.experiments.finetuning.outcome import outcome_of
from trainer.experiments.finetuning.run import run
from trainer.experiments.finetuning.training import TrainingProgress
from trainer.features.activations import activations
from trainer.features.settings import EncoderSettings
from trainer.features.unfreezing import LAYER_NORM, Unfreezing
from trainer.serving.batch_predict import run as predict
from trainer.serving.config import PredictConfig
from trainer.serving.predictor import Predictor
from trainer.tracking.schema import Artifact, FineTuned, Kind, Summary, Tag, Verdict

CLASSES = ("blue", "red")
PROMISED = {
    *("mlflow_run_id", "study", "trials", "complete", "best_val_f1_macro", "test_f1_macro"),
    *(
        "test_f1_macro_ci95",
        "test_accuracy",
        "test_auroc",
        "encoder_calls",
        "elapsed_s",
        "unfrozen",
        "blocks",
    ),
    *("frozen_test_f1_macro", "frozen_test_f1_macro_ci95", "effect", "effect_p", "verdict", "epoch_s"),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise with a tint that a random encoder hardly sees: two classes, three splits."""
    root, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for split, count in (("train", 20), ("val", 10), ("test", 12)):
        for tint, label in enumerate(CLASSES):
            (root / split / label).mkdir(parents=True)
            for i in range(count):
                image = random.integers(0, 200, (24, 24, 3))
                image[..., 2 - 2 * tint] += 25
                (root / split / label / f"{i}.png").write_bytes(encoded(image.astype(np.uint8)))
    return root


@pytest.fixture
def config(tracking_uri: str, tmp_path: Path, images: Path, saved_clip: Path) -> FinetuneConfig:
    return config_in(tmp_path, tracking_uri, images, saved_clip)


@pytest.fixture(scope="module")
def tuned(
    module_store: str, tmp_path_factory: pytest.TempPathFactory, images: Path, saved_clip: Path
) -> tuple[FinetuneConfig, dict[str, Any]]:
    """A fine-tuning, and its figures, for tests that read and change nothing."""
    config = config_in(tmp_path_factory.mktemp("tuned"), module_store, images, saved_clip)
    return config, run(config)


def config_in(folder: Path, tracking_uri: str, images: Path, saved_clip: Path) -> FinetuneConfig:
    return FinetuneConfig(
        data=str(images),
        encoder=str(saved_clip),
        tracking_uri=tracking_uri,
        cache_dir=folder / "cache",
        study="study",
        device="cpu",
        dtype="float32",
        precision="float32",
        workers=0,
        unfreeze_last=1,
        lrs=(1e-3, 3e-3),
        epochs=3,
        views=1,
        train_batch=16,
    )


def folder_of(tracking_uri: str, figures: dict[str, Any]) -> Path:
    run_ = MlflowClient(tracking_uri).get_run(figures[Summary.RUN_ID])
    return Path(run_.info.artifact_uri.removeprefix("file://"))


def tables(config: FinetuneConfig, figures: dict[str, Any]) -> dict[str, pd.DataFrame]:
    folder = folder_of(config.tracking_uri, figures)
    names = (Artifact.TRIALS, Artifact.CURVES, Artifact.PREDICTIONS, Artifact.PROJECTION, Artifact.SAMPLES)
    return {name: pd.read_parquet(folder / name) for name in names}


def test_a_run_leaves_what_the_pages_about_a_sweep_read(
    tuned: tuple[FinetuneConfig, dict[str, Any]],
) -> None:
    config, figures = tuned
    assert set(figures) >= PROMISED
    made = tables(config, figures)
    trials = made[Artifact.TRIALS].set_index("trial")
    assert list(trials["state"]) == ["complete"] * 3
    assert list(trials["param.unfrozen"]) == [0, 1, 1]
    assert list(trials["param.lr"])[1:] == [1e-3, 3e-3]
    assert figures[Summary.BEST_TRIAL] in (1, 2)
    curves = made[Artifact.CURVES]
    assert set(curves["trial"]) == {0, 1, 2}
    assert set(curves.loc[curves["trial"] == 1, "metric"]) == {"loss", "lr", "f1_macro", "accuracy"}
    answers = made[Artifact.PREDICTIONS]
    assert set(answers["head"]) == {"best", FineTuned.FROZEN_HEAD}
    for head, key in (("best", Summary.TEST_F1_MACRO), ("frozen", FineTuned.FROZEN_TEST_F1_MACRO)):
        rows = answers[(answers["head"] == head) & (answers["split"] == "test")]
        assert figures[key] == pytest.approx(f1_score(rows["label"], rows["pred"], average="macro"))
    tags = MlflowClient(config.tracking_uri).get_run(figures[Summary.RUN_ID]).data.tags
    assert tags[Tag.KIND] == Kind.FINE_TUNING
    assert "trainer.finetune" in tags[Tag.COMMAND]
    assert not list((config.cache_dir / "finetuning").glob("*"))  # checkpoints are gone once it is on record


# --- what is trained ----------------------------------------------------------------------------


PARTS: dict[str, tuple[dict[str, Any], int, str]] = {
    # what is asked for: flags, parameters that learn beside the head's 66, what the verdict says
    "a block by name": ({"unfreeze": ("layers.1",)}, 8544, "layers.1 (16 tensors)"),
    "norms": ({"unfreeze": (LAYER_NORM,)}, 320, "layer-norm (10 tensors)"),
    "low-rank": ({"lora": 2, "unfreeze_last": 1}, 512, "with LoRA (rank 2, 4 attention projections)"),
    "low-rank by name": (
        {"lora": 2, "unfreeze": ("[qv]_proj",)},
        512,
        "with LoRA (rank 2, 4 attention projections)",
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_blocks_are_trained_named_and_predicted_with(
    config: FinetuneConfig, tmp_path: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags, parameters, trained = PARTS[part]
    if "unfreeze" in flags:
        flags = {"unfreeze_last": FinetuneConfig.unfreeze_last, **flags}
    config = dataclasses.replace(config, lrs=(1e-2,), seeds=1, **flags)
    figures = run(config)
    trials = tables(config, figures)[Artifact.TRIALS].set_index("trial")
    assert trials.loc[1, "parameters"] == parameters + 66
    assert figures[FineTuned.TRAINED] == trained
    said = capsys.readouterr().err
    assert "Unfrozen: " in said
    assert f"Fine-tuning {trained} " in said
    assert ("Not trained, because they come before the first block: pre_layrnorm" in said) == (
        part == "norms"
    )
    assert largest_difference(config, figures, tmp_path) < 1e-5


def test_names_and_last_blocks_cannot_both_say_what_is_trained(config: FinetuneConfig) -> None:
    with pytest.raises(InputError, match="--unfreeze and --unfreeze-last both say what to train"):
        run(dataclasses.replace(config, unfreeze=("layers.1",)))


@pytest.mark.slow
def test_a_study_of_before_goes_on_and_another_choice_of_parameters_is_another_study(
    config: FinetuneConfig,
) -> None:
    first = run(config)
    names = {"unfreeze", "lora", "lora_alpha"}
    tags = MlflowClient(config.tracking_uri).get_run(first[Summary.RUN_ID]).data.tags
    assert not names & set(json.loads(tags[Tag.IDENTITY]))  # as an earlier version wrote it
    with pytest.raises(InputError, match="lora was None and is 2"):
        run(dataclasses.replace(config, lora=2))
    with pytest.raises(InputError, match=r"unfreeze was None and is \['layers.1'\]"):
        run(dataclasses.replace(config, unfreeze=("layers.1",), unfreeze_last=2))


# --- what is kept -------------------------------------------------------------------------------


def largest_difference(config: FinetuneConfig, figures: dict[str, Any], scratch: Path) -> float:
    """Between what `predict` says of the run's own images and what the run recorded of them."""
    out = scratch / "out.csv"
    flags = {"tracking_uri": config.tracking_uri, "cache_dir": scratch / "another", "device": "cpu"}
    predict(PredictConfig(images=(Path(config.data),), run=figures[Summary.RUN_ID], out=out, **flags))  # type: ignore[arg-type]
    told = pd.read_csv(out)
    recorded = tables(config, figures)[Artifact.PREDICTIONS]
    recorded = recorded[recorded["head"] == "best"].set_index("sample_id")["probs"]
    assert len(told) == len(recorded) == 84
    worst = 0.0
    for row in told.to_dict("records"):
        probs = {row[f"label_{k}"]: row[f"probability_{k}"] for k in (1, 2)}
        name = os.path.relpath(row["path"], config.data)
        worst = max(worst, float(np.abs(np.array([probs[c] for c in CLASSES]) - recorded[name]).max()))
    return worst


def test_predict_answers_as_the_run_did_and_the_model_is_registered_whole(
    tuned: tuple[FinetuneConfig, dict[str, Any]], tmp_path: Path
) -> None:
    config, figures = tuned
    assert largest_difference(config, figures, tmp_path) < 1e-5
    name, number = figures[Summary.MODEL].removeprefix("models:/").split("/")
    assert MlflowClient(config.tracking_uri).get_model_version(name, number).run_id == figures[Summary.RUN_ID]
    model = folder_of(config.tracking_uri, figures) / Artifact.MODEL
    held = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    assert figures[FineTuned.MODEL_BYTES] == held
    encoder = folder_of(config.tracking_uri, figures) / Artifact.MODEL_DATA / "encoder"
    assert {path.suffix for path in encoder.iterdir()} == {".json", ".safetensors"}


def test_a_predictor_of_a_run_and_of_its_model_say_the_same(
    tuned: tuple[FinetuneConfig, dict[str, Any]], tmp_path: Path
) -> None:
    config, figures = tuned
    images = sorted((Path(config.data) / "test").rglob("*.png"))
    of_run = Predictor.from_run(figures[Summary.RUN_ID], tracking_uri=config.tracking_uri, device="cpu")
    out = tmp_path / "out.csv"
    flags = {"tracking_uri": config.tracking_uri, "cache_dir": tmp_path / "cache", "device": "cpu"}
    predict(PredictConfig(images=tuple(images), model_uri=figures[Summary.MODEL], out=out, **flags))  # type: ignore[arg-type]
    likeliest_n = of_run.predict(images).probabilities_nc.max(1)
    assert np.allclose(pd.read_csv(out)["probability_1"], likeliest_n, atol=1e-5)


def test_a_fine_tuning_without_a_model_on_record_says_what_to_do(
    tuned: tuple[FinetuneConfig, dict[str, Any]], tmp_path: Path
) -> None:
    config, figures = tuned
    folder = folder_of(config.tracking_uri, figures)
    (folder / Artifact.HEAD).rename(tmp_path / "head")
    try:
        with pytest.raises(InputError, match="has no model on record: it has not ended, or an earlier"):
            Predictor.from_run(figures[Summary.RUN_ID], tracking_uri=config.tracking_uri)
    finally:
        (tmp_path / "head").rename(folder / Artifact.HEAD)


@pytest.mark.slow
@pytest.mark.kill
def test_a_killed_run_goes_on_where_it_stopped_and_ends_as_if_nothing_had_happened(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    whole = run(dataclasses.replace(config, study="whole", epochs=12, patience=12))
    flags = {
        "--data": config.data,
        "--encoder": str(config.encoder),
        "--tracking-uri": config.tracking_uri,
        "--cache-dir": str(config.cache_dir),
        "--study": "cut",
        "--epochs": "12",
        "--patience": "12",
        "--checkpoint-s": "0",
        **{f"--{name}": "float32" for name in ("dtype", "precision")},
        **{"--workers": "0", "--unfreeze-last": "1", "--views": "1", "--train-batch": "16"},
    }
    arguments = [
        *(word for flag in flags.items() for word in flag),
        "--lrs",
        "1e-3",
        "3e-3",
        "--device",
        "cpu",
    ]
    killed = commands.start("trainer.finetune", *arguments, folder=tmp_path)
    limit, kept = time.monotonic() + 120, []
    while not kept and killed.wait(0.01) is None and time.monotonic() < limit:
        kept = list((config.cache_dir / "finetuning").glob("*/trial-1-seed-1.safetensors"))
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert kept, "it ended before its second training had a checkpoint"
    resumed = run(dataclasses.replace(config, study="cut", epochs=12, patience=12, checkpoint_s=0))
    same = (Summary.BEST_TRIAL, Summary.BEST_VAL_F1_MACRO, Summary.TEST_F1_MACRO, FineTuned.EFFECT)
    assert {key: resumed[key] for key in same} == {key: whole[key] for key in same}
    one, other = tables(config, whole), tables(config, resumed)
    for name in (Artifact.CURVES, Artifact.PREDICTIONS):
        pd.testing.assert_frame_equal(one[name], other[name])


@pytest.mark.slow
def test_a_run_that_is_done_is_not_trained_again(
    config: FinetuneConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = run(config), run(config)
    assert again[Summary.RUN_ID] == first[Summary.RUN_ID]
    assert again[FineTuned.EFFECT] == first[FineTuned.EFFECT]
    assert again[Summary.ENCODER_CALLS] == 0
    assert "it is done and on record" in capsys.readouterr().err
    with pytest.raises(InputError, match="epochs was 3 and is 4"):
        run(dataclasses.replace(config, epochs=4))


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("unfreeze_last", 9, "--unfreeze-last is 9; this encoder has 2 blocks"),
        ("unfreeze", ("layers.7",), "'layers.7' matches no parameter.*encoder.layers.N.layer_norm1.bias"),
        ("unfreeze", ("layers.[",), r"'layers\.\[' is no regular expression"),
        ("unfreeze", ("pre_layrnorm",), "'pre_layrnorm' matches only parameters before the first block"),
        ("lora", -1, "--lora is -1; it must be at least 0"),
        ("lora", 33, "--lora is 33; the attention projections allow a rank of at most 32"),
        ("lora_alpha", 0.0, "--lora-alpha is 0.0; it must be above 0"),
        ("lrs", (1e-3, -1.0), "--lrs is -1.0; it must be above 0"),
        ("lrs", (), "--lrs is empty"),
        ("layer_decay", 1.5, "--layer-decay is 1.5; it must be between 0 and 1"),
        ("seeds", 0, "--seeds is 0; it must be at least 1"),
        ("features", ("cls4",), "trains the encoder's own output. Pass --features pooled"),
        ("encoder", "demo+other", "names 2 encoders.* last blocks of one. Pass one, such as --encoder demo"),
        ("checkpoint_s", -1.0, "--checkpoint-s is -1.0; it must be 0 or more"),
    ],
)
def test_a_bad_flag_is_named_with_what_is_allowed(
    config: FinetuneConfig, flag: str, value: Any, said: str
) -> None:
    usual = {"unfreeze_last": 2} if flag == "unfreeze" else {}
    with pytest.raises(InputError, match=said):
        run(dataclasses.replace(config, **usual, **{flag: value}))
    assert not MlflowClient(config.tracking_uri).search_runs(["0", "1"])


def test_ready_features_are_refused(config: FinetuneConfig, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    np.savez(tmp_path / "ready.npz", train_x=random.normal(size=(40, 4)), train_y=np.arange(40) % 2)
    with pytest.raises(InputError, match="needs the images"):
        run(dataclasses.replace(config, data=str(tmp_path / "ready.npz")))


# --- activations ------------------------------------------------------------------------------


def cached(config: FinetuneConfig, **changed: Any):
    how: dict[str, Any] = {
        "encoder": str(config.encoder),
        "cache_dir": config.cache_dir,
        "device": "cpu",
        "views": 1,
        "batch_size": "auto",
    } | changed
    last = how.pop("unfreeze_last", 1)
    kept = {name: how.pop(name) for name in ("kept",) if name in how}
    return activations(load(config.data, seed=0), EncoderSettings(**how), Unfreezing(last), **kept)


def test_activations_are_computed_once_and_views_are_others(config: FinetuneConfig) -> None:
    first, again = cached(config), cached(config)
    assert first.work.encoded == 84
    assert again.work.encoded == 0
    manifest = load(config.data, seed=0)
    train = manifest.rows("train")
    plain, view = again.batch(train), again.batch(train, np.ones(len(train), int))
    assert plain.shape == (40, *again.shape)
    assert not (plain == view).flatten(1).all(1).any()
    assert (plain == first.batch(train)).all()
    assert cached(config, unfreeze_last=2).work.encoded == 84  # another place in the tower: another key


def test_bfloat16_keeps_what_float16_has_no_range_for(
    config: FinetuneConfig, model: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(model / "model.safetensors")
    tensors["vision_model.pre_layrnorm.weight"] *= 1e6
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="beyond the range of float16"):
        cached(config, encoder=str(model), unfreeze_last=2)
    kept = cached(config, encoder=str(model), unfreeze_last=2, kept="bfloat16")
    assert kept.batch(np.arange(4)).abs().max() > 65504
    exact = cached(config, kept="float16").batch(np.arange(9))
    assert np.allclose(cached(config, kept="bfloat16").batch(np.arange(9)), exact, rtol=2**-7, atol=1e-2)


# --- the judgement ----------------------------------------------------------------------------


def answers_of(random: np.random.Generator, label_n: np.ndarray, right: float) -> np.ndarray:
    other = (label_n + random.integers(1, 3, len(label_n))) % 3
    return np.where(random.random(len(label_n)) < right, label_n, other)


def test_the_effect_is_the_difference_in_macro_f1_and_turns_round_with_the_arms() -> None:
    random = np.random.default_rng(0)
    label_n = random.integers(0, 3, 400)
    frozen, tuned = answers_of(random, label_n, 0.6), answers_of(random, label_n, 0.8)
    one = judge(label_n, frozen, tuned[None], classes=3, seed=0)
    other = judge(label_n, tuned, frozen[None], classes=3, seed=0)
    f1 = [f1_score(label_n, pred, average="macro") for pred in (frozen, tuned)]
    assert one.effect.value == pytest.approx(f1[1] - f1[0], abs=1e-6)
    assert other.effect.value == pytest.approx(-one.effect.value, abs=1e-6)
    assert (one.verdict, other.verdict) == (Verdict.HELPS, Verdict.HURTS)
    assert "helps: +0." in words(one, trained="the last 2 blocks", drawn="400 test rows", seeds=1)
    assert "Keep the frozen encoder" in words(
        other, trained="the last 2 blocks", drawn="400 test rows", seeds=1
    )


def test_equal_answers_and_noise_are_called_unclear() -> None:
    random = np.random.default_rng(1)
    label_n = random.integers(0, 3, 300)
    frozen = answers_of(random, label_n, 0.7)
    same = judge(label_n, frozen, frozen[None], classes=3, seed=0)
    assert same.verdict == Verdict.UNCLEAR
    assert same.effect == (0, 0, 0)
    verdicts = [
        judge(label_n, frozen, answers_of(random, label_n, 0.7)[None], classes=3, seed=draw).verdict
        for draw in range(20)
    ]
    assert verdicts.count(Verdict.UNCLEAR) >= 18
    assert "makes no difference that 300 test rows could show" in words(
        same, trained="the last 1 block", drawn="300 test rows", seeds=2
    )


def trained(train_loss: list[float], val_loss: list[float], f1: list[float]) -> TrainingProgress:
    curves = {
        "train_loss": train_loss,
        "val_loss": val_loss,
        "val_f1_macro": f1,
        "val_accuracy": f1,
        "lr": [0.1] * len(f1),
    }
    return TrainingProgress(best_epoch=1 + f1.index(max(f1)), done=True, curves=curves)


@pytest.mark.parametrize(
    ("train_loss", "val_loss", "f1", "said"),
    [
        ([1.4, 1.2, 0.8], [1.2, 1.1, 1.15], [0.6, 0.7, 0.65], "from these 1,234 images holds for others"),
        ([1.4, 1.2, 0.8], [1.2, 1.0, 0.7], [0.6, 0.7, 0.75], "more --epochs may bring more"),
        ([1.4, 1.5, 1.6], [1.2, 1.3, 1.5], [0.6, 0.5, 0.4], "other --lrs may learn more"),
        ([1.4, 1.2, 0.8], [1.2, 1.0, 0.7], [0.6, 0.7, 0.65], "no more than the frozen head's 0.720."),
    ],
)
def test_a_gain_that_did_not_come_is_explained_from_the_curves(
    train_loss: list[float], val_loss: list[float], f1: list[float], said: str
) -> None:
    outcome = outcome_of([trained(train_loss, val_loss, f1)] * 2)
    told = why_no_better(outcome, frozen_val=0.72, rows=1234, epochs=3)
    assert told.startswith(f"On validation rows its macro-F1 is {max(f1):.3f}, ")
    assert said in told


def test_seeds_of_unequal_length_are_each_taken_at_their_own_last_epoch() -> None:
    long = trained([1.4, 1.2, 0.8], [1.2, 1.1, 1.1], [0.6, 0.7, 0.6])
    short = trained([1.6, 1.0], [1.4, 1.5], [0.5, 0.4])
    told = why_no_better(outcome_of([long, short]), frozen_val=0.5, rows=9, epochs=9)
    assert "0.600, ahead of the frozen head's 0.500" in told
    assert "training loss fell from 1.50 to 0.90, validation loss went from 1.30 to 1.30" in told


def test_figures_are_json_and_give_a_reason_unless_a_gain_came(
    tuned: tuple[FinetuneConfig, dict[str, Any]],
) -> None:
    figures = tuned[1]
    assert json.loads(json.dumps(figures))[FineTuned.VERDICT] in set(Verdict)
    assert (figures[FineTuned.VERDICT] == Verdict.HELPS) == (figures[FineTuned.WHY] == "")
