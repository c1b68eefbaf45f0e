"""The commands that are killed, on small data: each takes some seconds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from benchmarks.kill_checks.ordeal import Case
from benchmarks.kill_checks.scene import Items, Scene, digest
from tests.support import commands, trained_comparison
from tests.support.tiny_encoders import LAYERS, save_tiny
from trainer.experiments.encoder_comparison.run import COSTS
from trainer.experiments.fusion.run import FORMS
from trainer.features.key import EncoderKey, encoder_key
from trainer.features.store import FeatureStore
from trainer.tracking.schema import (
    Artifact,
    CellPredictions,
    FacePairs,
    FewShotScores,
    Summary,
    Trials,
    TrialState,
)

WIDTH = LAYERS["hidden_size"]  # of the small model's vectors
SMALL_SHARDS = {"trainer.features.encoding_loop.COMMIT_EVERY": 8}
ENCODING = ("--dtype", "float32", "--batch-size", 8, "--workers", 0)


# --- what is finished work ---------------------------------------------------------------------


def table(folder: Path, artifact: str) -> pd.DataFrame:
    path = folder / artifact
    return pd.read_parquet(path) if path.exists() else pd.DataFrame()


def trials(folder: Path) -> Items:
    frame = table(folder, Artifact.TRIALS)
    rows = [row for row in frame.to_dict("records") if row[Trials.STATE] != TrialState.RUNNING]
    assert len({row[Trials.TRIAL] for row in rows}) == len(rows), "a trial stands twice in the table"
    return {f"trial {row[Trials.TRIAL]}": digest(row[Trials.VAL_F1_MACRO]) for row in rows}


def keyed(folder: Path, artifact: str, keys: list[str], values: list[str]) -> Items:
    """One item per row of a table."""
    rows = table(folder, artifact).to_dict("records")
    items = {" ".join(str(row[key]) for key in keys): digest(*(row[name] for name in values)) for row in rows}
    assert len(items) == len(rows), f"{artifact} has a row twice"
    return items


def cells(folder: Path) -> Items:
    c = CellPredictions
    return keyed(folder, Artifact.ANSWERS, [c.ENCODER, c.SEED, c.CELL, c.RANDOM], [c.PRED_VAL, c.PRED_TEST])


def draws(folder: Path) -> Items:
    s = FewShotScores
    return keyed(folder, Artifact.FEW_SHOT_SCORES, [s.DRAW, s.KIND, s.SHOTS, s.L2], [s.VAL_F1_MACRO])


def splits(folder: Path) -> Items:
    frame = table(folder, Artifact.PAIRS)
    scores = frame.filter(like=FacePairs.SCORE_PREFIX)
    if not scores.shape[1]:
        return {}
    return {
        f"split {split}": digest(scores.loc[rows.index].to_numpy())
        for split, rows in frame.groupby(FacePairs.SPLIT)
        if scores.loc[rows.index].notna().all(axis=None)
    }


def forms(folder: Path) -> Items:
    return {path.name: digest(path.read_bytes()) for path in (folder / FORMS).glob("*.npz")}


def costs(folder: Path) -> Items:
    """That an encoder was measured; how fast it was is another figure each time."""
    path = folder / COSTS
    return {f"cost {name}": "" for name in json.loads(path.read_text())} if path.exists() else {}


# --- data -------------------------------------------------------------------------------------


def once(path: Path, make: object) -> Path:
    """The path, made by the function where it is missing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)  # type: ignore[operator]
    return path


def images(scene: Scene) -> Path:
    """Three kinds of noise with captions, 90 images."""
    return once(scene.data / "images", trained_comparison.images)


def features(scene: Scene) -> Path:
    """Overlapping clouds of three classes."""

    def make(path: Path) -> None:
        random = np.random.default_rng(0)
        centre_cd = random.normal(size=(3, 16))
        arrays: dict[str, np.ndarray] = {}
        for split, rows in (("train", 200), ("val", 60), ("test", 60)):
            y = np.arange(rows) % 3
            x = centre_cd[y] + random.normal(scale=2, size=(rows, 16))
            arrays |= {f"{split}_x": x.astype(np.float32), f"{split}_y": y}
        np.savez(path, **arrays)

    return once(scene.data / "features.npz", make)


def people(scene: Scene) -> Path:
    def make(path: Path) -> None:
        random = np.random.default_rng(0)
        y_n = np.repeat(np.arange(18), 5)
        x_nd = random.normal(size=(18, 16))[y_n] + 0.8 * random.normal(size=(len(y_n), 16))
        part = np.arange(len(y_n)) % 3
        names = ("train", "val", "test")
        x = {f"{name}_x": x_nd[part == i].astype(np.float32) for i, name in enumerate(names)}
        np.savez(path, **x, **{f"{name}_y": y_n[part == i] for i, name in enumerate(names)})

    return once(scene.data / "people.npz", make)


def model(scene: Scene) -> Path:
    return once(scene.data / "vit", lambda path: save_tiny("vit", path))


def space(scene: Scene) -> Path:
    lines = {"width": {"choice": [8, 16]}, "epochs": 27, "patience": 27}
    return once(scene.data / "space.yaml", lambda path: path.write_text(yaml.safe_dump(lines)))


def key(scene: Scene) -> EncoderKey:
    return encoder_key(model(scene), dtype="float32", cache_dir=scene.data)


def exported(scene: Scene) -> Path:
    """A file of 20,000 vectors."""

    def make(path: Path) -> None:
        random = np.random.default_rng(0)
        content = [random.bytes(32).hex() for _ in range(20_000)]
        x_nd = random.normal(size=(len(content), WIDTH)).astype(np.float16)
        text = json.dumps(key(scene).fields)
        np.savez(path, content=np.array(content), vectors=x_nd, headroom_key=np.array(text))

    return once(scene.data / "vectors.npz", make)


def key_of_many(scene: Scene) -> Path:
    """A folder with a key that has 400 shards."""

    def make(path: Path) -> None:
        store = FeatureStore(path, key(scene))
        random = np.random.default_rng(0)
        with store.lock():
            for _ in range(400):
                names = [random.bytes(32).hex()]
                store.append(names, random.normal(size=(1, WIDTH)).astype(np.float32), sample_id=names)

    return once(scene.data / "many", make)


def sweep_to_predict_with(scene: Scene) -> str:
    """The id of a finished sweep on the images."""

    def make(path: Path) -> None:
        done = commands.run(
            *("trainer.sweep", "--data", images(scene), "--encoder", model(scene), *ENCODING),
            *("--trials", 3, "--seeds", 1, "--fresh-seeds", 0, "--space", space(scene), "--device", "cpu"),
            *("--tracking-uri", scene.uri, "--cache-dir", scene.folder / "first-cache"),
        )
        assert done.returncode == 0, done.stderr
        path.write_text(json.loads(done.stdout)[Summary.RUN_ID])

    return once(scene.data / "run.txt", make).read_text()


# --- states -----------------------------------------------------------------------------------


def empty_cache(scene: Scene) -> None:
    shutil.rmtree(scene.cache)
    scene.cache.mkdir()


def full_cache(scene: Scene) -> None:
    empty_cache(scene)
    shutil.copytree(key_of_many(scene), scene.cache / "features")


def no_output(scene: Scene) -> None:
    empty_cache(scene)
    for path in scene.out.iterdir():
        path.unlink()


# --- the commands -----------------------------------------------------------------------------

CASES = (
    Case(
        "extract",
        "trainer.extract",
        lambda scene: ["--data", images(scene), "--encoder", "demo", "--captions", *ENCODING[:-1], 1],
        before=empty_cache,
        constants=SMALL_SHARDS,
    ),
    Case(
        "sweep",
        "trainer.sweep",
        lambda scene: [
            *("--data", features(scene), "--space", space(scene)),
            *("--trials", 40, "--seeds", 2, "--at-once", 4, "--validate", "holdout"),
        ],
        record=trials,
        same_in_the_end=False,  # which trials follow on the first ones depends on when the others ended
    ),
    Case(
        "ablate",
        "trainer.ablate",
        lambda scene: [
            *("--data", images(scene), "--encoder", model(scene), *ENCODING),
            *("--report", scene.out / "report.md"),
            *("--filters", "quality>=top80%", "agreement>=top80%", "--views", 1, "--bad-source", 0.2),
        ],
        record=cells,
        before=no_output,
        constants=SMALL_SHARDS,
    ),
    Case(
        "verify",
        "trainer.verify",
        lambda scene: ["--data", people(scene), "--folds", 3, "--seeds", 1],
        record=splits,
    ),
    Case(
        "zeroshot",
        "trainer.zeroshot",
        lambda scene: [
            *("--data", images(scene), "--encoder", "demo", *ENCODING),
            *("--shots", 1, 2, "--draws", 6),
        ],
        record=draws,
        before=empty_cache,
        constants=SMALL_SHARDS,
    ),
    Case(
        "fuse",
        "trainer.fuse",
        lambda scene: ["--data", images(scene), "--encoder", "demo", *ENCODING, "--seeds", 1],
        record=forms,
        before=empty_cache,
        constants=SMALL_SHARDS,
    ),
    Case(
        "encoders",
        "trainer.encoders",
        lambda scene: ["--data", images(scene), *ENCODING, "--encoders", "demo", model(scene), "--seeds", 3],
        record=costs,
        before=empty_cache,
        constants=SMALL_SHARDS | {"trainer.features.encoder_cost.LEAST_S": 0.1},
    ),
    Case(
        "finetune",
        "trainer.finetune",
        lambda scene: [
            *("--data", images(scene), "--encoder", model(scene), *ENCODING, "--unfreeze-last", 1),
            *("--epochs", 3, "--views", 1, "--checkpoint-s", 0.2),
        ],
        record=trials,
        before=empty_cache,
        constants=SMALL_SHARDS,
    ),
    Case(
        "predict",
        "trainer.predict",
        lambda scene: [
            *(images(scene), "--run", sweep_to_predict_with(scene), "--out", scene.out / "predictions.csv"),
            *("--batch-size", 8, "--workers", 0),
        ],
        before=no_output,
        constants=SMALL_SHARDS,
    ),
    Case(
        "import",
        "trainer.cache",
        lambda scene: ["import", "--file", exported(scene)],
        before=empty_cache,
        stored=False,
    ),
    Case(
        "prune",
        "trainer.cache",
        lambda scene: ["prune", "--key", key(scene).digest[:16]],
        before=full_cache,
        stored=False,
        keeps_cache=False,
        right=(0, 2),  # 2: the one before was killed when all was done, so there is no such key
    ),
)
