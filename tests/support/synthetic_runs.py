"""MLflow stores for the tests of the dashboard, written by the contract in `trainer.tracking.schema`.

The rows are scikit-learn's handwritten digits (they come with the library), the heads nearest-centroid
classifiers of different sharpness: real images, real mistakes, no training.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import time
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlparse

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from PIL import Image
from safetensors.numpy import save
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score

from trainer.experiments import binary_evaluation
from trainer.experiments.evaluation import groups_by_split
from trainer.tracking.schema import (
    Artifact,
    Curves,
    Duplicates,
    Extracted,
    Images,
    Kind,
    Metric,
    RunState,
    Stopped,
    Tag,
    TrialState,
)

STATUS = {"done": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
HOSTILE = "![x](http://evil.example/x.png) <img src=x onerror=alert(1)> :red[a] **b** `c` $d$"
RUNG = 1 / 3  # share of the epochs after which a pruned trial stops
ERROR = "The disk is full: no space left for features."
LIVELY_S, DEAD_S = -3600.0, 400.0  # ages of a heartbeat: of a run that stays live whatever a test takes; lost


def sweep(
    tracking_uri: str,
    *,
    study: str = "digits",
    state: str = "done",
    trials: int = 6,
    seeds: int = 2,
    epochs: int = 9,
    rows: int = 120,
    images: bool = True,
    spoiled: bool = True,
    name: str | None = None,
    classes: list[str] | None = None,
    started: float | None = None,
    heartbeat_age_s: float = LIVELY_S,
) -> str:
    """Write one sweep in a given `RunState`; returns its run id."""
    started = time.time() - 300 if started is None else started
    client = MlflowClient(tracking_uri)
    tags = {
        Tag.KIND: Kind.SWEEP,
        Tag.STUDY: study,
        Tag.DATA: "demo",
        Tag.DATA_SUMMARY: "Classes (2): ant 70, bee 50 · train/val/test 0/0/120 · captions – · groups –",
        Tag.ENCODER: "demo (float32, key 0123456789abcdef)",
        Tag.COMMAND: shlex.join(["python", "-m", "trainer.sweep", "--study", study]),
        **signs(state, heartbeat_age_s),
    }
    run = client.create_run(
        experiment(client, tracking_uri),
        run_name=name or study,
        tags=tags,
        start_time=int(started * 1000),
    )
    run_id, folder = run.info.run_id, folder_of(run.info.artifact_uri)
    done = trials if state == RunState.DONE else trials * 2 // 3
    curves, table = training(done, seeds, epochs)
    if state != RunState.FAILED:
        folder.mkdir(parents=True)
        table.to_parquet(folder / Artifact.TRIALS)
        curves.to_parquet(folder / Artifact.CURVES)
        for step, best in enumerate(table["val_f1_macro"].dropna().cummax(), start=1):
            client.log_metric(run_id, Metric.BEST_VAL_F1_MACRO, best, step=step)
    if state == RunState.DONE:
        _results(
            folder,
            table,
            run_id=run_id,
            study=study,
            rows=rows,
            images=images,
            spoiled=spoiled,
            classes=classes,
        )
    for row in table.head(3).itertuples():
        child(client, run, row, curves)
    if state in STATUS:
        client.set_terminated(run_id, STATUS[state], end_time=int((started + 240) * 1000))
    return run_id


def signs(state: str, heartbeat_age_s: float) -> dict[str, str]:
    """Tags that tell how a run goes, or how it ended."""
    tags = {str(Tag.HEARTBEAT): str(time.time() - heartbeat_age_s)}
    if state == RunState.INTERRUPTED:
        tags[Tag.STOPPED] = Stopped.INTERRUPTED
    if state == RunState.FAILED:
        tags |= {Tag.STOPPED: Stopped.ERROR, Tag.ERROR: ERROR}
    return tags


def extraction(
    tracking_uri: str,
    *,
    name: str = "digits",
    state: str = "done",
    rows: int = 60,
    measured: bool = True,
    hostile: bool = False,
    started: float | None = None,
    heartbeat_age_s: float = LIVELY_S,
) -> str:
    """Write one extraction in a given `RunState`, with tables if it is done; returns its run id."""
    started = time.time() - 100 if started is None else started
    client = MlflowClient(tracking_uri)
    tags = {
        Tag.KIND: Kind.EXTRACTION,
        Tag.DATA: HOSTILE if hostile else "path/to/digits",
        Tag.ENCODER: HOSTILE if hostile else "demo (float32, key 0123456789abcdef)",
        Tag.COMMAND: "python -m trainer.extract --data path/to/digits",
        **signs(state, heartbeat_age_s),
    }
    run = client.create_run(
        experiment(client, tracking_uri),
        run_name=HOSTILE if hostile else name,
        tags=tags,
        start_time=int(started * 1000),
    )
    if state == RunState.DONE:
        _tables(run, rows, measured, hostile)
    if state in STATUS:
        client.set_terminated(run.info.run_id, STATUS[state], end_time=int((started + 60) * 1000))
    return run.info.run_id


def _tables(run: Any, rows: int, measured: bool, hostile: bool) -> None:
    """What a finished extraction has."""
    folder = folder_of(run.info.artifact_uri)
    folder.mkdir(parents=True)
    quarantine(HOSTILE if hostile else "").to_parquet(folder / Artifact.QUARANTINE)
    table = _images(rows, measured, prefix=HOSTILE if hostile else "")
    table.to_parquet(folder / Artifact.IMAGES)
    ids = table[Images.SAMPLE_ID]
    pairs = [(8, 0, Duplicates.NEAR, 0.99), (9, 1, Duplicates.NEAR, 0.95), (0, 2, Duplicates.SAME, 1.0)]
    pairs += [(5, 6, Duplicates.NEAR, 0.97), (1, 3, Duplicates.NEAR, 0.93)]
    split = table[Images.SPLIT]
    pd.DataFrame(
        [(ids[a], ids[b], split[a], split[b], likeness, kind) for a, b, kind, likeness in pairs],
        columns=[
            *(Duplicates.SAMPLE_ID_A, Duplicates.SAMPLE_ID_B, Duplicates.SPLIT_A, Duplicates.SPLIT_B),
            *(Duplicates.SIMILARITY, Duplicates.KIND),
        ],
    ).to_parquet(folder / Artifact.DUPLICATES)
    figures = {
        Extracted.RUN_ID: run.info.run_id,
        Extracted.FOUND: rows + 5,
        Extracted.USED: rows,
        Extracted.QUARANTINED: 3,
        Extracted.DROPPED: 2,
        Extracted.PASSED_OVER: {".heic": 4, ".dcm": 1},
        Extracted.DUPLICATES: 3,
        Extracted.ENCODED: rows,
        Extracted.NEAR_DUPLICATES: {"test/train": 2, "train/train": 2},
        Extracted.NEAR_LEAKS: 2,
        Extracted.NOT_COMPARED: 0,
        Extracted.ENCODER: run.data.tags[Tag.ENCODER],
    }
    (folder / Artifact.SUMMARY).write_text(json.dumps(figures))


def quarantine(prefix: str = "") -> pd.DataFrame:
    """QUARANTINE of three files."""
    reasons = ["not an image (begins with b'<html>')", "empty file", "not an image (begins with b'GIT')"]
    return pd.DataFrame(
        {"path": [f"{prefix}{i}.jpg" for i in range(3)], "reason": [prefix + r for r in reasons]}
    )


def _images(rows: int, measured: bool, prefix: str) -> pd.DataFrame:
    """PICTURES of the first digits: 0 to 6 of every ten are train, 7 val, 8 and 9 test."""
    digits, random = load_digits(), np.random.default_rng(0)
    values = {name: random.lognormal(0, 0.5, rows) if measured else np.nan for name in Images.MEASURES}
    return pd.DataFrame(
        {
            Images.SAMPLE_ID: [f"{prefix}digit-{i:04d}" for i in range(rows)],
            Images.SPLIT: [
                ("train", "val", "test")[max(0, i % 10 - 6) if i % 10 < 9 else 2] for i in range(rows)
            ],
            Images.LABEL: [f"{prefix}{digit}" for digit in digits.target[:rows]],
            **values,
            Images.THUMBNAIL: [webp(image) for image in digits.images[:rows]],
        }
    )


def foreign(tracking_uri: str, *, name: str = "somebody's transformer", epochs: int = 8) -> str:
    """A run that another program wrote: parameters, per-epoch metrics, nothing else."""
    client = MlflowClient(tracking_uri)
    run_id = client.create_run(experiment(client, tracking_uri, "other"), run_name=name).info.run_id
    client.log_param(run_id, "learning.rate", "0.001")
    client.log_param(run_id, "optimiser", "lion")
    for epoch in range(epochs):
        client.log_metric(run_id, "eval/loss", 2.0 / (epoch + 1), step=epoch)
        client.log_metric(run_id, "eval/accuracy", 1 - 0.9 / (epoch + 1), step=epoch)
    client.set_terminated(run_id)
    return run_id


def foreign_tree(tracking_uri: str, *, children: int = 3) -> str:
    """A parent run of another program with its own children."""
    client = MlflowClient(tracking_uri)
    experiment_id = experiment(client, tracking_uri, "other")
    parent = client.create_run(experiment_id, run_name="grid").info.run_id
    for number in range(children):
        run = client.create_run(experiment_id, run_name=f"child {number}", tags={Tag.PARENT: parent})
        client.log_param(run.info.run_id, "depth", number)
        for epoch in range(4):
            client.log_metric(run.info.run_id, "loss", 1 / (1 + epoch + number), step=epoch)
        client.set_terminated(run.info.run_id)
    client.set_terminated(parent)
    return parent


def experiment(client: MlflowClient, tracking_uri: str, name: str = "headroom") -> str:
    """Id of the experiment of that name, made where missing, its artifacts beside the database."""
    found = client.get_experiment_by_name(name)
    if found:
        return str(found.experiment_id)
    root = Path(tracking_uri.removeprefix("sqlite:///")).parent / "artifacts" / name
    return str(client.create_experiment(name, artifact_location=root.as_uri()))


def child(client: MlflowClient, parent: Any, row: Any, curves: pd.DataFrame) -> None:
    """One trial as a child run, the way the MLflow UI shows it."""
    run = client.create_run(
        parent.info.experiment_id,
        run_name=f"trial {row.trial}",
        tags={
            Tag.KIND: Kind.TRIAL,
            Tag.PARENT: parent.info.run_id,
            Tag.TRIAL: str(row.trial),
            Tag.TRIAL_STATE: row.state,
        },
    )
    scores = curves[(curves["trial"] == row.trial) & (curves["metric"] == "f1_macro")]
    means = scores.groupby("epoch")["value"].mean()
    entries = [
        mlflow.entities.Metric(Metric.VAL_F1_MACRO, float(value), 0, int(epoch))
        for epoch, value in means.items()
    ]
    client.log_batch(run.info.run_id, metrics=entries)
    client.set_terminated(run.info.run_id)


def folder_of(artifact_uri: str) -> Path:
    return Path(unquote(urlparse(artifact_uri).path))


def training(trials: int, seeds: int, epochs: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Made-up training of ``trials`` × ``seeds`` heads: the tables CURVES and TRIALS."""
    random = np.random.default_rng(0)
    curves, rows = [], []
    for trial in range(trials):
        params = _params(random, trial)
        state = _trial_state(trial)
        length = max(2, int(epochs * RUNG)) if state == TrialState.PRUNED else epochs
        skill = 0.93 - 0.035 * (np.log10(params["lr"]) + 2.2) ** 2 - 0.04 * (params["depth"] == 0)
        per_seed = [_seed_curves(random, trial, seed, length, skill, params["lr"]) for seed in range(seeds)]
        curves += per_seed
        rows.append(_trial_row(trial, state, params, per_seed))
    return pd.concat(curves, ignore_index=True), pd.DataFrame(rows)


def _trial_state(trial: int) -> TrialState:
    if trial % 10 == 9:
        return TrialState.FAILED
    return TrialState.PRUNED if trial % 3 == 2 else TrialState.COMPLETE


def _params(random: np.random.Generator, trial: int) -> dict[str, Any]:
    depth = int(random.integers(0, 3))
    return {
        "depth": depth,
        "width": int(random.choice([64, 128, 256])) if depth else None,
        "lr": float(10 ** random.uniform(-4, -1)),
        "weight_decay": float(10 ** random.uniform(-5, 0)),
        "dropout": float(random.uniform(0, 0.6)) if depth else None,
        "optimizer": str(random.choice(["adam", "adamw", "sgd"])),
        "scheduler": ["none", "step", "cosine", "onecycle", "plateau", "exponential", "multistep"][trial % 7],
        "batch_size": 128,
        "epochs": 60,
    }


def _seed_curves(
    random: np.random.Generator, trial: int, seed: int, epochs: int, skill: float, lr: float
) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    learned = 1 - np.exp(-epoch / (3 + 2 * random.random()))
    noise = random.normal(0, 0.008, epochs)
    f1 = skill * learned + noise
    loss = 2.3 - 2.05 * learned * skill + 0.004 * np.maximum(epoch - 15, 0) + noise
    series = {
        ("train", "loss"): 2.3 - 2.2 * learned * skill + noise / 2,
        ("val", "loss"): loss,
        ("val", "f1_macro"): f1,
        ("val", "accuracy"): f1 + 0.01,
        ("train", "lr"): lr * (1 + np.cos(np.pi * epoch / epochs)) / 2,
    }
    parts = [
        pd.DataFrame(
            {
                Curves.TRIAL: np.int32(trial),
                Curves.SEED: np.int16(seed),
                Curves.EPOCH: epoch.astype(np.int16),
                Curves.SPLIT: split,
                Curves.METRIC: metric,
                Curves.VALUE: values.astype(np.float32),
            }
        )
        for (split, metric), values in series.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _trial_row(
    trial: int, state: TrialState, params: dict[str, Any], per_seed: list[pd.DataFrame]
) -> dict[str, Any]:
    scores = [frame.loc[frame["metric"] == "f1_macro", "value"] for frame in per_seed]
    best = np.array([score.max() for score in scores])
    spread = float(best.std(ddof=1) / np.sqrt(len(best))) if len(best) > 1 else None
    message = {"failed": "The loss became infinite at epoch 3.", "pruned": "Below the median at epoch 3."}
    return {
        "trial": trial,
        "state": str(state),
        "seeds": len(per_seed),
        "epochs": len(scores[0]),
        "best_epoch": float(np.mean([score.argmax() + 1 for score in scores])),
        "val_f1_macro": None if state == TrialState.FAILED else float(best.mean()),
        "val_f1_macro_se": spread,
        "val_f1_macro_low": None if spread is None else float(best.mean() - 4.3 * spread),
        "val_f1_macro_high": None if spread is None else float(best.mean() + 4.3 * spread),
        "val_accuracy": float(best.mean() + 0.01),
        "val_loss": 0.4,
        "parameters": 650 * (1 + 40 * params["depth"]),
        "started_s": float(trial),
        "finished_s": float(trial + 2),
        "message": message.get(str(state), ""),
        **{f"param.{name}": value for name, value in params.items()},
    }


def _results(
    folder: Path,
    table: pd.DataFrame,
    *,
    run_id: str,
    study: str,
    rows: int,
    images: bool,
    spoiled: bool,
    classes: list[str] | None,
) -> None:
    """What a finished sweep has besides: predictions, a map, images and the summary."""
    digits = load_digits()
    names = np.array(classes or [str(digit) for digit in range(10)])
    x, y = digits.data[:rows] / 16, digits.target[:rows]
    y = (y if len(names) <= 10 else 10 * y + np.arange(rows) % 10) % len(names)
    split = np.where(np.arange(rows) % 5 < 3, "train", np.where(np.arange(rows) % 5 == 3, "val", "test"))
    ids = np.array([f"digit-{i:04d}" for i in range(rows)])
    centres = np.stack([x[y == c].mean(axis=0) for c in range(len(names))])
    best = int(table.loc[table["state"] == TrialState.COMPLETE, "val_f1_macro"].idxmax())
    heads = {"best": (12.0, best), "best linear": (1.5, 0)}
    predictions = [_predict(h, t, sharp, x @ centres.T, y, names) for h, (sharp, t) in heads.items()]
    frame = pd.concat([p.assign(sample_id=ids, split=split) for p in predictions], ignore_index=True)
    frame.to_parquet(folder / Artifact.PREDICTIONS)
    _head(folder, centres.astype(np.float32), names, x.astype(np.float16), trial=best)
    centred = x - x.mean(axis=0)
    xy = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    maps = {"x": xy[:, 0], "y": xy[:, 1], "x_10": -xy[:, 0], "y_10": 2 * xy[:, 1]}
    maps |= {"x_pca": xy[:, 0], "y_pca": xy[:, 1]}
    pd.DataFrame({"sample_id": ids, **maps}).to_parquet(folder / Artifact.PROJECTION)
    thumbnails = [webp(image) if images else None for image in digits.images[:rows]]
    pd.DataFrame(
        {
            "sample_id": ids,
            "split": split,
            "label": names[y],
            "caption": [f"a photo of the digit {names[c]}" for c in y],
            "group": "",
            "spoiled_how": np.where((split == "train") & (y == 3), "blur", "") if spoiled else None,
            "thumbnail": thumbnails,
            "content_hash": [hashlib.sha256(one).hexdigest() for one in x],
        }
    ).to_parquet(folder / Artifact.SAMPLES)
    test = frame[(frame["split"] == "test") & (frame["head"] == "best")]
    f1 = float(f1_score(test["label"], test["pred"], average="macro"))
    states = table["state"].value_counts()
    summary = {
        "mlflow_run_id": run_id,
        "study": study,
        "trials": len(table),
        **{state: int(states.get(state, 0)) for state in ("complete", "pruned", "failed")},
        "best_trial": best,
        "best_so_far": table.loc[table["state"] == "complete", "val_f1_macro"].cummax().tolist(),
        "best_val_f1_macro": float(table.loc[best, "val_f1_macro"]),
        "best_val_f1_macro_ci95": list(
            table.loc[best, ["val_f1_macro_low", "val_f1_macro_high"]].astype(float)
        ),
        "test_f1_macro": f1,
        "test_f1_macro_ci95": [f1 - 0.02, f1 + 0.02],
        "test_accuracy": float((test["label"] == test["pred"]).mean()),
        "test_accuracy_ci95": [f1 - 0.02, min(f1 + 0.02, 1.0)],
        "encoder_calls": 12,
        "elapsed_s": 240.0,
        "trials_per_s": len(table) / 240,
        "classes": list(names),
        "counts": {part: int((split == part).sum()) for part in ("train", "val", "test")},
        "dimension": 64,
        "heads": {head: {"trial": trial, "seed": 0} for head, (_, trial) in heads.items()},
    }
    if len(names) == 2:
        summary |= _two_classes(frame[frame["head"] == "best"], names, y, split)
    (folder / Artifact.SUMMARY).write_text(json.dumps(summary))


def _two_classes(
    predictions: pd.DataFrame, names: np.ndarray, y: np.ndarray, split: np.ndarray
) -> dict[str, Any]:
    """What a sweep's conclusion says of two classes, of rows that come from patients."""
    manifest = SimpleNamespace(
        classes=tuple(names),
        label_n=y,
        content=[str(row) for row in range(len(split))],
        group=[f"{part}{i // 3}" for i, part in enumerate(split)],
        split_n=split,
        rows=lambda part: np.flatnonzero(split == part),
    )
    figures = binary_evaluation.figures(manifest, np.stack(predictions["probs"]), seed=0)  # type: ignore[arg-type]
    return {**figures, "groups": groups_by_split(manifest)}  # type: ignore[arg-type]


def _head(folder: Path, centres_cd: np.ndarray, names: np.ndarray, x_nd: np.ndarray, *, trial: int) -> None:
    """A head on features that came ready, and these."""
    classes, width = centres_cd.shape
    tensors = {
        "scale.centre": np.zeros(width, dtype=np.float32),
        "scale.matrix": np.ones(1, dtype=np.float32),
        "layers.0.weight": centres_cd,
        "layers.0.bias": np.zeros(classes, dtype=np.float32),
    }
    card = {"spec": {}, "unit_norm": False, "classes": list(names), "trial": trial, "seed": 0}
    (folder / Artifact.HEAD).mkdir()
    (folder / Artifact.HEAD_CARD).write_text(json.dumps({**card, "encoder": "ready features"}))
    (folder / Artifact.HEAD_WEIGHTS).write_bytes(save(tensors))
    (folder / Artifact.VECTORS).write_bytes(save({"vectors": x_nd}))


def _predict(
    head: str, trial: int, sharpness: float, scores_nc: np.ndarray, y: np.ndarray, names: np.ndarray
) -> pd.DataFrame:
    logits = (scores_nc - scores_nc.mean(axis=0)) * sharpness / 4
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    return pd.DataFrame(
        {
            "head": head,
            "trial": trial,
            "seed": 0,
            "label": names[y],
            "pred": names[probs.argmax(axis=1)],
            "confidence": probs.max(axis=1).astype(np.float32),
            "probs": list(probs.astype(np.float32)),
        }
    )


def webp(image: np.ndarray, side: int = 48) -> bytes:
    """A small image of an 8×8 digit."""
    return _webp((image * 15.9).astype(np.uint8).tobytes(), image.shape, side)


@cache
def _webp(pixels: bytes, shape: tuple[int, ...], side: int) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(np.frombuffer(pixels, np.uint8).reshape(shape))
    image.resize((side, side), Image.Resampling.BICUBIC).save(file, "WEBP")
    return file.getvalue()
