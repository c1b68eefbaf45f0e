"""Made-up zero-shot and fusion runs in every state, quickly; real ones are in `trained_comparison`.

The test rows are handwritten digits; of two methods one is right more often.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from sklearn.datasets import load_digits

from tests.support import synthetic_runs
from trainer.tracking.schema import (
    Artifact,
    EncoderCosts,
    EncodersCompared,
    FewShot,
    FewShotScores,
    Fused,
    Kind,
    MethodClasses,
    MethodPairs,
    Methods,
    Predictions,
    RunState,
    Samples,
    Stopped,
    Tag,
    ZeroShot,
)

ROWS, CLASSES = 90, 4
OF_ZERO_SHOT = {"zero-shot": 0.5, "trained head": 0.9, "head started from text": 0.85}
OF_FUSION = {"image only": 0.6, "text only": 0.5, "gated": 0.85}
OF_ENCODERS = {"demo": 0.9, "vit": 0.88, "resnet": 0.5}
OF = {Kind.ZERO_SHOT: OF_ZERO_SHOT, Kind.FUSION: OF_FUSION, Kind.ENCODERS: OF_ENCODERS}
SHOTS = (1, 4, 16)
ADVICE = {  # the verdict, then a line each
    Kind.ZERO_SHOT: "From 4 images per class on a trained head matches zero-shot (less than 0.01 below).\n"
    "With all training rows: trained head is better than zero-shot: macro-F1 +0.400 [+0.360, +0.440], p = "
    "0.002.",
    Kind.FUSION: "Use gated: macro-F1 +0.250 [+0.210, +0.290] over image only, p = 0.002.\n"
    "gated was chosen on validation rows (l2 0.1).",
    Kind.ENCODERS: "Use vit: 10.0 times as fast as demo, macro-F1 less than 0.1 below it "
    "(-0.020 [-0.060, +0.020]).\nBest on validation: demo.",
}
MODULE = {Kind.ZERO_SHOT: "zeroshot", Kind.FUSION: "fuse", Kind.ENCODERS: "encoders"}


def run(
    uri: str,
    kind: Kind,
    *,
    name: str = "digits",
    state: str = "done",
    images: bool = True,
    hidden: bool = False,
    crosses: bool = True,
    hostile: str = "",
) -> str:
    """Write one run in a given `RunState`; returns its run id.

    Args:
        hidden: the names of the classes were taken out of the captions.
        crosses: whether heads overtake zero-shot.
        hostile: stands in every word that comes from outside.
    """
    client = MlflowClient(uri)
    tags = {
        Tag.KIND: kind,
        Tag.STUDY: name,
        Tag.DATA: hostile or "digits",
        Tag.ENCODER: f"demo{hostile}",
        Tag.COMMAND: f"python -m trainer.{MODULE[kind]} --data digits --study {name}",
        Tag.HEARTBEAT: str(time.time()),
    }
    if state == RunState.INTERRUPTED:
        tags[Tag.STOPPED] = Stopped.INTERRUPTED
    if state == RunState.FAILED:
        tags |= {Tag.STOPPED: Stopped.ERROR, Tag.ERROR: f"The disk is full.{hostile}"}
    created = client.create_run(
        synthetic_runs.experiment(client, uri),
        run_name=f"{name}{hostile}",
        tags=tags,
        start_time=int((time.time() - 100) * 1000),
    )
    run_id, folder = created.info.run_id, synthetic_runs.folder_of(created.info.artifact_uri)
    folder.mkdir(parents=True)
    if kind == Kind.ZERO_SHOT:
        _scores().to_parquet(folder / Artifact.FEW_SHOT_SCORES)
    if state == RunState.DONE:
        tables = _tables(OF[kind], images, hostile)
        if kind == Kind.ZERO_SHOT:
            tables[Artifact.FEW_SHOT] = _curve()
        if kind == Kind.ENCODERS:
            tables[Artifact.ENCODERS] = _costs(hostile)
        for artifact, frame in tables.items():
            frame.to_parquet(folder / artifact)
        of_kind = {
            Kind.ZERO_SHOT: lambda: _of_zero_shot(crosses, hostile),
            Kind.FUSION: lambda: _of_fusion(hidden),
            Kind.ENCODERS: lambda: {EncodersCompared.RECOMMENDED: "vit", EncodersCompared.CHOSEN: "demo"},
        }[kind]()
        common = {"mlflow_run_id": run_id, "counts": {"train": 40, "val": 20, "test": ROWS}}
        advice = {"advice": f"{ADVICE[kind]}{hostile}"}
        (folder / Artifact.SUMMARY).write_text(json.dumps(common | advice | of_kind))
    if state in synthetic_runs.STATUS:
        client.set_terminated(run_id, synthetic_runs.STATUS[state])
    return run_id


def _ends(name: str, value: float, reach: float = 0.04) -> dict[str, float]:
    return {name: value, f"{name}_low": value - reach, f"{name}_high": value + reach}


def _tables(shares: dict[str, float], images: bool, hostile: str) -> dict[str, pd.DataFrame]:
    digits, random = load_digits(), np.random.default_rng(0)
    label = digits.target[:ROWS] % CLASSES
    ids = [f"{hostile}digit-{i:03d}" for i in range(ROWS)]
    names = np.array([f"{hostile}{index}" for index in range(CLASSES)], dtype=object)
    answers = []
    for name, share in shares.items():
        pred = np.where(random.random(ROWS) < share, label, (label + 1) % CLASSES)
        answers.append(
            pd.DataFrame(
                {
                    Predictions.HEAD: name,
                    Predictions.SAMPLE_ID: ids,
                    Predictions.SPLIT: "test",
                    Predictions.LABEL: names[label],
                    Predictions.PRED: names[pred],
                    Predictions.CONFIDENCE: 0.9,
                }
            )
        )
    first, *others = shares
    pairs = [(other, first) for other in others]
    return {
        Artifact.PREDICTIONS: pd.concat(answers, ignore_index=True),
        Artifact.SAMPLES: pd.DataFrame(
            {
                Samples.SAMPLE_ID: ids,
                Samples.LABEL: names[label],
                Samples.CAPTION: [f"a drawn {one}{hostile}" for one in label],
                Samples.THUMBNAIL: [
                    synthetic_runs.webp(image) if images else None for image in digits.images[:ROWS]
                ],
            }
        ),
        Artifact.METHODS: pd.DataFrame(
            [
                {
                    Methods.METHOD: name,
                    Methods.HOW: f"l2 0.1{hostile}",
                    Methods.HEADS: 3,
                    Methods.CHOSEN: name in ("gated", "demo"),
                    Methods.VAL_F1_MACRO: share,
                    **_ends(Methods.F1_MACRO, share),
                    **_ends(Methods.ACCURACY, share),
                }
                for name, share in shares.items()
            ]
        ),
        Artifact.METHOD_PAIRS: pd.DataFrame(
            [
                {
                    MethodPairs.METHOD: one,
                    MethodPairs.AGAINST: other,
                    **_ends(MethodPairs.EFFECT, shares[one] - shares[other]),
                    MethodPairs.EFFECT_P: 0.001,
                    MethodPairs.EFFECT_P_HOLM: 0.002,
                    **_ends(MethodPairs.ACCURACY, shares[one] - shares[other]),
                    MethodPairs.ONLY_METHOD: 40,
                    MethodPairs.ONLY_AGAINST: 5,
                    MethodPairs.MCNEMAR_P: 0.001,
                    MethodPairs.MCNEMAR_P_HOLM: 0.002,
                }
                for one, other in pairs
            ]
        ),
        Artifact.METHOD_CLASSES: pd.DataFrame(
            [
                {
                    MethodClasses.METHOD: one,
                    MethodClasses.AGAINST: other,
                    MethodClasses.CLASS: names[index],
                    MethodClasses.TEST: int((label == index).sum()),
                    MethodClasses.F1: 0.7,
                    MethodClasses.F1_AGAINST: 0.7 - effect,
                    **_ends(MethodClasses.EFFECT, effect),
                    MethodClasses.EFFECT_P: 0.01,
                    MethodClasses.EFFECT_P_HOLM: 0.04,
                }
                for one, other in pairs
                for index, effect in enumerate((0.3, 0.2, 0.01, -0.1))
            ]
        ),
    }


def _costs(hostile: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                EncoderCosts.ENCODER: name,
                EncoderCosts.KEY: f"{name} (float32, key 0123456789abcdef){hostile}",
                EncoderCosts.DEVICE: f"cpu{hostile}",
                EncoderCosts.DIMENSION: 256,
                EncoderCosts.PARAMETERS: 10**6 * (number + 1),
                EncoderCosts.SIDE: 128,
                EncoderCosts.BATCH_SIZE: 16,
                EncoderCosts.IMAGES_PER_S: 10.0**number * 20,
                EncoderCosts.PEAK_BYTES: 2**28,
                EncoderCosts.ENCODED_S: 1.5,
                EncoderCosts.ENCODED: 60,
            }
            for number, name in enumerate(OF_ENCODERS)
        ]
    )


def _curve() -> pd.DataFrame:
    kinds = [name for name in OF_ZERO_SHOT if name != "zero-shot"]
    return pd.DataFrame(
        [
            {
                FewShot.KIND: kind,
                FewShot.SHOTS: shots,
                FewShot.ALL: shots == 30,
                FewShot.ROWS: shots * CLASSES,
                FewShot.DRAWS: 1 if shots == 30 else 5,
                FewShot.L2: 0.1,
                FewShot.VAL_F1_MACRO: score,
                **_ends(FewShot.F1_MACRO, score),
                **_ends(FewShot.EFFECT, score - 0.5),
                FewShot.EFFECT_P: 0.01,
                FewShot.EFFECT_P_HOLM: 0.03,
            }
            for number, kind in enumerate(kinds)
            for shots, score in zip((*SHOTS, 30), (0.3, 0.6, 0.8, 0.9 - number * 0.05), strict=True)
        ]
    )


def _scores() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                FewShotScores.DRAW: draw,
                FewShotScores.KIND: "trained head",
                FewShotScores.SHOTS: 0 if draw < 0 else 1,
                FewShotScores.L2: 0.1,
                FewShotScores.VAL_F1_MACRO: 0.5,
            }
            for draw in (-1, 0, 1)
        ]
    )


def _of_zero_shot(crosses: bool, hostile: str) -> dict[str, Any]:
    found = {"shots": 2.6, "ci95": [1.7, 4.2], "within": 1.0}
    if not crosses:
        found = {"shots": None, "ci95": [12.0, None], "within": 0.2}
    return {
        ZeroShot.TEMPLATES: ["a photo of a {}", f"{hostile}{{}}"],
        ZeroShot.CLASS_NAMES: {f"{hostile}{index}": [f"digit {index}{hostile}"] for index in range(CLASSES)},
        ZeroShot.DRAWS: 5,
        ZeroShot.CROSSING: {"trained head": found},
    }


def _of_fusion(hidden: bool) -> dict[str, Any]:
    return {
        Fused.WITHOUT_CAPTION: {"train": 4, "val": 2, "test": 9},
        Fused.NAMED: {"train": 0.6, "val": 0.5, "test": 0.55},
        Fused.HIDDEN: hidden,
        Fused.CUT: 3,
        Fused.CHOSEN: "gated",
        Fused.WEIGHT: 0.4,
    }
