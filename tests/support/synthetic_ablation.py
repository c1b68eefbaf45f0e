"""Made-up ablations in every state, quickly; those of the real command are in `trained_ablation`.

The training rows are handwritten digits; a filter keeps the share of rows that it names, and helps the more
the higher the share of spoiled rows is among those that it throws out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from sklearn.datasets import load_digits

from tests.support import synthetic_runs
from trainer.tracking.schema import (
    Ablated,
    Ablation,
    AblationClasses,
    Artifact,
    Curves,
    Kind,
    RunState,
    Scores,
    Tag,
    Verdict,
)

ROWS, SEEDS = 120, 3
NAN = float("nan")
GRID = {"quality": ("top80%", "top60%"), "clip": ("top90%", "top75%", "top60%")}


def ablation(
    uri: str,
    *,
    name: str = "digits",
    state: str = "done",
    scored: bool = True,
    images: bool = True,
    spoiled: bool = True,
    classes: int = 4,
    encoders: tuple[str, ...] = ("demo",),
    hostile: str = "",
    heartbeat_age_s: float = synthetic_runs.LIVELY_S,
) -> str:
    """Write one ablation in a given `RunState`; returns its run id.

    Args:
        scored: whether SCORES are there; only a run that is not done lacks them.
        hostile: stands in every word that comes from outside.
    """
    client = MlflowClient(uri)
    tags = {
        Tag.KIND: Kind.ABLATION,
        Tag.STUDY: name,
        Tag.DATA: hostile or "digits",
        Tag.ENCODER: ", ".join(encoders),
        Tag.COMMAND: f"python -m trainer.ablate --study {name} --data digits",
        **synthetic_runs.signs(state, heartbeat_age_s),
    }
    run = client.create_run(synthetic_runs.experiment(client, uri), run_name=hostile or name, tags=tags)
    folder = synthetic_runs.folder_of(run.info.artifact_uri)
    folder.mkdir(parents=True)
    scores = scores_of(images=images, spoiled=spoiled, classes=classes, hostile=hostile)
    cells = cells_of(scores, hostile=hostile)
    if scored:
        for number, (_, _, keep_n) in enumerate(cells):
            scores[f"{Scores.KEEP_PREFIX}{number}"] = keep_n
        scores.to_parquet(folder / Artifact.SCORES)
        curves(len(cells), seeds=SEEDS if state == RunState.DONE else 2).to_parquet(folder / Artifact.CURVES)
    if state == RunState.DONE:
        _conclude(folder, scores, cells, encoders, hostile)
    if state in synthetic_runs.STATUS:
        client.set_terminated(run.info.run_id, synthetic_runs.STATUS[state])
    return str(run.info.run_id)


def scores_of(*, images: bool, spoiled: bool, classes: int, hostile: str) -> pd.DataFrame:
    """SCORES without its ``keep.*``: the worst of every ten rows is spoiled, and has a low quality."""
    digits, random = load_digits(), np.random.default_rng(0)
    bad_n = np.arange(ROWS) % 5 == 0
    quality_n = random.normal(0, 1, ROWS) - 3 * bad_n
    quality_n[7] = NAN
    return pd.DataFrame(
        {
            Scores.SAMPLE_ID: [f"{hostile}row/{i:04d}.png" for i in range(ROWS)],
            Scores.LABEL: [f"{hostile}{i % classes}" for i in range(ROWS)],
            Scores.CAPTION: [f"{hostile}a drawing of {digits.target[i]}" for i in range(ROWS)],
            Scores.CORRUPTED: [(hostile or "blur") if bad else "" for bad in bad_n] if spoiled else None,
            Scores.GROUP: pd.array(np.arange(ROWS) // 2, dtype="Int64"),
            Scores.THUMBNAIL: [
                synthetic_runs.webp(image) if images else None for image in digits.images[:ROWS]
            ],
            f"{Scores.SCORE_PREFIX}{hostile}quality": quality_n,
            f"{Scores.SCORE_PREFIX}{hostile}clip": random.normal(0.2, 0.05, ROWS),
            f"{Scores.SCORE_PREFIX}agreement": random.uniform(0, 1, ROWS),
        }
    )


def cells_of(scores: pd.DataFrame, *, hostile: str) -> list[tuple[dict[str, str], bool, np.ndarray]]:
    """Bounds by score, augmentation, rows kept: a grid of two scores, two more filters, each twice."""
    quality, clip = ([None, *GRID[name]] for name in ("quality", "clip"))
    filters: list[dict[str, str]] = [
        {hostile + name: f">={bound}" for name, bound in (("quality", q), ("clip", c)) if bound}
        for q in quality
        for c in clip
        if (q, c) != ("top60%", "top60%")  # as if it kept the same rows as another
    ]
    filters += [{"agreement": ">=top80%"}, {"unique": "yes"}]
    return [(one, augment, _keep(scores, one)) for one in filters for augment in (False, True)]


def _keep(scores: pd.DataFrame, bounds: dict[str, str]) -> np.ndarray:
    keep_n = np.ones(len(scores), dtype=bool)
    for name, bound in bounds.items():
        if name == "unique":
            keep_n &= ~scores[Scores.GROUP].duplicated().to_numpy()
            continue
        value = scores[Scores.SCORE_PREFIX + name]
        count = round(float(bound.removeprefix(">=top").removesuffix("%")) / 100 * int(value.notna().sum()))
        keep_n &= (value.rank(ascending=False, method="first") <= count).to_numpy() | value.isna().to_numpy()
    return keep_n


def written(bounds: dict[str, str]) -> str:
    """The filter as text."""
    parts = ["unique" if name == "unique" else f"{name}{bound}" for name, bound in bounds.items()]
    return " & ".join(parts) or "none"


def curves(cells: int, *, seeds: int) -> pd.DataFrame:
    """CURVES of one epoch."""
    return pd.DataFrame(
        [
            {
                Curves.TRIAL: cell,
                Curves.SEED: seed,
                Curves.EPOCH: 1,
                Curves.SPLIT: "val",
                Curves.METRIC: "f1_macro",
                Curves.VALUE: 0.5,
            }
            for cell in range(cells)
            for seed in range(seeds)
        ]
    )


def _conclude(
    folder: Path,
    scores: pd.DataFrame,
    cells: list[tuple[dict[str, str], bool, np.ndarray]],
    encoders: tuple[str, ...],
    hostile: str,
) -> None:
    two = scores[Scores.LABEL].nunique() == 2
    bad_n = scores[Scores.CORRUPTED].fillna("").astype(bool).to_numpy()
    rows = [
        _row(number, cell, encoder, bad_n if bad_n.any() else None, two, shift)
        for shift, encoder in enumerate(encoders)
        for number, cell in enumerate(cells)
    ]
    table = pd.DataFrame(rows)
    table[Ablation.CHOSEN] = np.arange(len(table)) == int(table[Ablation.VAL_F1_MACRO].to_numpy().argmax())
    table.to_parquet(folder / Artifact.ABLATION)
    _of_classes(scores, cells, encoders).to_parquet(folder / Artifact.ABLATION_CLASSES)
    counts = {"train": ROWS, "val": 40, "test": 80}
    kind = hostile or "blur"
    figures: dict[str, Any] = {
        Ablated.SEEDS: SEEDS,
        Ablated.COUNTS: counts,
        Ablated.ADVICE: f"{hostile}Use quality>=top80%.",
        Ablated.SEPARATION: {f"{hostile}quality": {kind: [0.97, 0.92, 1.0]}} if bad_n.any() else {},
        Ablated.WORDING: {
            "rows": ROWS,
            "deletion": 0.1,
            "synonyms": 0.0,
            "change": [0.001, -0.001, 0.003],
            "auroc": [0.7, 0.66, 0.74],
            "auroc_reworded": [0.69, 0.65, 0.73],
            "breaks_the_match": False,
        },
    }
    (folder / Artifact.SUMMARY).write_text(json.dumps(figures))


def _row(
    number: int,
    cell: tuple[dict[str, str], bool, np.ndarray],
    encoder: str,
    bad_n: np.ndarray | None,
    two: bool,
    shift: int,
) -> dict[str, Any]:
    bounds, augment, keep_n = cell
    gone_n = ~keep_n
    effect = 0.01 * augment + (
        0.4 * (bad_n[gone_n].mean() - 0.3) if bad_n is not None and gone_n.any() else 0
    )
    verdict = Verdict.HELPS if effect > 0.06 else Verdict.HURTS if effect < -0.02 else Verdict.UNCLEAR
    base, sure = number == 0, verdict != Verdict.UNCLEAR
    over = effect + 0.01 if gone_n.any() else NAN
    row: dict[str, Any] = {
        Ablation.CELL: number,
        Ablation.ENCODER: encoder,
        Ablation.FILTER: written(bounds),
        Ablation.AUGMENT: augment,
        Ablation.KEPT: int(keep_n.sum()),
        Ablation.TRAIN: ROWS,
        Ablation.HEAD: "{}",
        Ablation.VAL_F1_MACRO: 0.5 + effect - shift,
        Ablation.EFFECT_P_HOLM: NAN if base else 0.001 if sure else 0.8,
        Ablation.OVER_RANDOM_P_HOLM: NAN if not gone_n.any() else 0.004 if sure else 0.9,
        Ablation.HELPFUL_P_HOLM: NAN if base else 0.0004 if sure else 0.9,
        Ablation.VERDICT: Verdict.BASELINE if base else verdict,
        **{f"{Ablation.PART_PREFIX}{name}": bound for name, bound in bounds.items()},
    }
    _interval(row, Ablation.F1_MACRO, 0.5 + effect - 0.1 * shift)
    _interval(row, Ablation.EFFECT, NAN if base else effect)
    _interval(row, Ablation.OVER_RANDOM, over)
    if two:
        for name, value in ((Ablation.AUROC, 0.9), (Ablation.SENSITIVITY, 0.8), (Ablation.SPECIFICITY, 0.7)):
            _interval(row, name, value)
    if bad_n is not None:
        row[Ablation.REMOVED], row[Ablation.CORRUPTED] = int(gone_n.sum()), int(bad_n.sum())
        row[Ablation.PRECISION] = float(bad_n[gone_n].mean()) if gone_n.any() else NAN
        row[Ablation.RECALL] = float((bad_n & gone_n).sum() / bad_n.sum())
    return row


def _interval(row: dict[str, Any], name: str, value: float) -> None:
    row |= {name: value, name + Ablation.LOW: value - 0.05, name + Ablation.HIGH: value + 0.05}


def _of_classes(
    scores: pd.DataFrame, cells: list[tuple[dict[str, str], bool, np.ndarray]], encoders: tuple[str, ...]
) -> pd.DataFrame:
    rows = []
    for encoder in encoders:
        for number, (_, _, keep_n) in enumerate(cells):
            for at, label in enumerate(sorted(scores[Scores.LABEL].unique())):
                of_class = (scores[Scores.LABEL] == label).to_numpy()
                row = {
                    AblationClasses.CELL: number,
                    AblationClasses.ENCODER: encoder,
                    AblationClasses.CLASS: label,
                    AblationClasses.KEPT: int(keep_n[of_class].sum()),
                    AblationClasses.TRAIN: int(of_class.sum()),
                    AblationClasses.TEST: 20,
                    AblationClasses.F1: 0.5,
                    AblationClasses.RECALL: 0.5,
                    AblationClasses.EFFECT_P_HOLM: 0.01 if at == 0 else 0.9,
                }
                _interval(row, AblationClasses.EFFECT, NAN if number == 0 else 0.1 - 0.1 * at)
                rows.append(row)
    return pd.DataFrame(rows)
