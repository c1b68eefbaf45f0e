"""A sweep of several labels per image, written by the contract in `trainer.tracking.schema`.

A row is a drawing of up to three of scikit-learn's digits side by side; what heads say of it is made up: the
sixth label is seldom found, and the eighth is often said in the place of the fourth.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from safetensors.numpy import save

from tests.support import synthetic_runs
from tests.support.hostile_store import BACKWARDS, PICTURE, SCRIPT
from trainer.stats import multilabel
from trainer.stats.objective import LABEL_F1, MAP, MICRO_F1
from trainer.tracking.schema import Artifact, Curves, Predictions, Samples, Summary, Trials

NAMES = ["apple", "ball", "cat", "dog", "egg", "fish", "goat", "hat"]
HOSTILE_NAMES = [SCRIPT, PICTURE, BACKWARDS, "long " * 60, ":red[c]", "$$x$$", "`c`", "# d"]
HEADS = {"best": 0.8, "best linear": 0.5}  # head → how far the labels that are there are told apart
SEPARATOR = "|"
WIDTH = 16  # features


def sweep(
    tracking_uri: str,
    *,
    rows: int = 240,
    names: list[str] | None = None,
    never: bool = False,
    groups: bool = False,
    **options: Any,
) -> str:
    """Write a finished sweep; returns its run id.

    Args:
        never: no row has the last label.
        groups: three rows each are a group.
        options: of `synthetic_runs.sweep`.
    """
    names = list(names or NAMES)
    run_id = synthetic_runs.sweep(tracking_uri, **options)
    client = MlflowClient(tracking_uri)
    client.log_param(run_id, Summary.OBJECTIVE, MAP.name)
    folder = synthetic_runs.folder_of(client.get_run(run_id).info.artifact_uri)
    label_nc, shown = _drawings(rows, len(names))
    if never:
        label_nc[:, -1] = False
    unit_n = np.arange(rows) // 3 if groups else np.arange(rows)
    split = np.array(["train", "val", "test", "test"])[unit_n % 4]
    ids = [f"drawing-{i:04d}" for i in range(rows)]
    probability = {head: _probabilities(label_nc, skill) for head, skill in HEADS.items()}
    held_out = split == "val"
    threshold_c = multilabel.thresholds(label_nc[held_out], probability["best"][held_out])
    tables = [
        _predictions(head, given_nc, label_nc, names, {"sample_id": ids, "split": split, "unit": unit_n})
        for head, given_nc in probability.items()
    ]
    pd.concat(tables, ignore_index=True).to_parquet(folder / Artifact.PREDICTIONS)
    vectors_nd = _vectors(label_nc)
    pd.DataFrame({"sample_id": ids, "x": vectors_nd[:, 0], "y": vectors_nd[:, 1]}).to_parquet(
        folder / Artifact.PROJECTION
    )
    texts = [SEPARATOR.join(np.take(names, np.flatnonzero(label_c))) for label_c in label_nc]
    pd.DataFrame(
        {
            Samples.SAMPLE_ID: ids,
            Samples.SPLIT: split,
            Samples.LABEL: texts,
            Samples.CAPTION: [f"a drawing, number {i}" for i in range(rows)],
            Samples.GROUP: [f"series {unit}" if groups else "" for unit in unit_n],
            Samples.CORRUPTED: None,
            Samples.THUMBNAIL: [synthetic_runs.webp(one, 64) for one in shown],
        }
    ).to_parquet(folder / Artifact.SAMPLES)
    _training(folder)
    _head(folder, names, threshold_c, vectors_nd, label_nc)
    test = split == "test"
    _summary(folder, names, threshold_c, (label_nc[test], probability["best"][test], unit_n[test]), split)
    return run_id


def hostile(tracking_uri: str) -> str:
    """The same, named by traps, as are its labels."""
    return sweep(tracking_uri, names=HOSTILE_NAMES, name=PICTURE, study=SCRIPT)


def _drawings(rows: int, labels: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Labels bool [rows, labels], some rows without any, and a drawing of each row."""
    random = np.random.default_rng(3)
    digits = synthetic_runs.load_digits()
    label_nc = np.zeros((rows, labels), dtype=bool)
    shown = []
    for label_c in label_nc:
        first = int(random.integers(labels))
        label_c[[first, (first + 1) % labels] if random.random() < 0.4 else [first]] = True
        label_c[random.integers(labels)] |= random.random() < 0.3
        if random.random() < 0.05:
            label_c[:] = False
        parts = [digits.images[np.flatnonzero(digits.target == c % 10)[0]] for c in np.flatnonzero(label_c)]
        strip = np.hstack(parts) if parts else np.zeros((8, 8))
        square = np.zeros((strip.shape[1], strip.shape[1]))
        square[: strip.shape[0]] = strip
        shown.append(square)
    return label_nc, shown


def _probabilities(label_nc: np.ndarray, skill: float) -> np.ndarray:
    random = np.random.default_rng(4)
    score_nc = (
        skill * label_nc
        + (1 - skill) * random.random(label_nc.shape)
        + 0.1 * random.normal(size=label_nc.shape)
    )
    five = min(5, label_nc.shape[1] - 1)
    score_nc[:, five] = 0.25 * label_nc[:, five] + 0.7 * random.random(len(label_nc))
    taken = label_nc[:, 3] & (random.random(len(label_nc)) < 0.5)
    score_nc[taken, 3], score_nc[taken, 7] = 0.2, 0.8
    return score_nc.clip(0.001, 0.999)


def _predictions(
    head: str, given_nc: np.ndarray, label_nc: np.ndarray, names: list[str], rows: dict[str, Any]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            Predictions.HEAD: head,
            Predictions.TRIAL: np.int32(0),
            Predictions.SEED: np.int16(0),
            **rows,
            Predictions.TRUE_LABELS: [list(np.take(names, np.flatnonzero(label_c))) for label_c in label_nc],
            Predictions.LABEL_PROBABILITIES: list(given_nc.astype(np.float32)),
        }
    )


def _vectors(label_nc: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(5)
    centres_cd = random.normal(size=(label_nc.shape[1], WIDTH))
    return (label_nc @ centres_cd + 0.3 * random.normal(size=(len(label_nc), WIDTH))).astype(np.float32)


def _training(folder: Any) -> None:
    """TRIALS and CURVES with the scores of labels in the place of those of classes."""
    trials = pd.read_parquet(folder / Artifact.TRIALS)
    ends = ("", Trials.SE, Trials.LOW, Trials.HIGH)
    named = {f"{Trials.VAL_F1_MACRO}{end}": f"{Trials.VAL_MAP}{end}" for end in ends}
    trials = trials.rename(columns={**named, Trials.VAL_ACCURACY: Trials.VAL_F1_MACRO_LABELS})
    micro = trials[Trials.VAL_F1_MACRO_LABELS] + 0.01
    trials.assign(**{Trials.VAL_F1_MICRO_LABELS: micro}).to_parquet(folder / Artifact.TRIALS)
    curves = pd.read_parquet(folder / Artifact.CURVES)
    metric = {"f1_macro": LABEL_F1.metric, "accuracy": MICRO_F1.metric}
    curves.assign(**{Curves.METRIC: curves[Curves.METRIC].replace(metric)}).to_parquet(
        folder / Artifact.CURVES
    )


def _head(
    folder: Any, names: list[str], threshold_c: np.ndarray, vectors_nd: np.ndarray, label_nc: np.ndarray
) -> None:
    """A linear head of labels on these features, fitted by least squares."""
    wanted_nc = 6.0 * label_nc - 3.0
    with_one = np.hstack([vectors_nd, np.ones((len(vectors_nd), 1))])
    solved_dc = np.linalg.lstsq(with_one, wanted_nc, rcond=None)[0].astype(np.float32)
    tensors = {
        "scale.centre": np.zeros(WIDTH, dtype=np.float32),
        "scale.matrix": np.ones(1, dtype=np.float32),
        "layers.0.weight": np.ascontiguousarray(solved_dc[:-1].T),
        "layers.0.bias": np.ascontiguousarray(solved_dc[-1]),
    }
    card = {
        "spec": {"target": "labels", "loss": "bce"},
        "unit_norm": False,
        "classes": [],
        "labels": {"names": names, "thresholds": threshold_c.tolist(), "separator": SEPARATOR},
        "trial": 0,
        "seed": 0,
        "encoder": "ready features",
    }
    (folder / Artifact.HEAD_CARD).write_text(json.dumps(card))
    (folder / Artifact.HEAD_WEIGHTS).write_bytes(save(tensors))
    (folder / Artifact.VECTORS).write_bytes(save({"vectors": vectors_nd.astype(np.float16)}))


def _summary(
    folder: Any,
    names: list[str],
    threshold_c: np.ndarray,
    tested: tuple[np.ndarray, np.ndarray, np.ndarray],
    split: np.ndarray,
) -> None:
    label_nc, probability_nc, unit_n = tested
    said_nc, judged_c = probability_nc >= threshold_c, multilabel.judged_labels(label_nc)
    scores = {
        Summary.TEST_MAP: MAP.interval(MAP.of(label_nc, probability_nc), unit_n),
        Summary.TEST_F1_MACRO_LABELS: LABEL_F1.interval(multilabel.of_f1_macro_at(label_nc, said_nc), unit_n),
        Summary.TEST_F1_MICRO_LABELS: MICRO_F1.interval(multilabel.of_f1_micro_at(label_nc, said_nc), unit_n),
    }
    summary = json.loads((folder / Artifact.SUMMARY).read_text())
    best = Summary.BEST + Trials.VAL_MAP
    stale = (Summary.TEST_F1_MACRO, Summary.TEST_ACCURACY, Summary.BEST_VAL_F1_MACRO)
    summary |= {
        best: summary[Summary.BEST_VAL_F1_MACRO],
        best + Summary.CI95: summary[Summary.BEST_VAL_F1_MACRO_CI95],
        Summary.OBJECTIVE: MAP.name,
        Summary.TARGET: "labels",
        Summary.CLASSES: [],
        Summary.LABEL_NAMES: names,
        Summary.THRESHOLDS: threshold_c.tolist(),
        Summary.LEFT_OUT_LABELS: [name for name, judged in zip(names, judged_c, strict=True) if not judged],
        Summary.TEST_BASELINE_MAP: float(label_nc[:, judged_c].mean()),
        Summary.COUNTS: {part: int((split == part).sum()) for part in ("train", "val", "test")},
        Summary.HEADS: {head: {"trial": 0, "seed": 0} for head in HEADS},
        **{name: one.value for name, one in scores.items()},
        **{name + Summary.CI95: list(one[1:]) for name, one in scores.items()},
    }
    kept = {name: one for name, one in summary.items() if name.removesuffix(Summary.CI95) not in stale}
    (folder / Artifact.SUMMARY).write_text(json.dumps(kept))
