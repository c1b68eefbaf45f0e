"""How the files of this folder were made: a store, a model, and names that must never change.

Made with the code before the layout of packages changed, and never to be made anew with later code: what
these files are worth is that they are old. The script is kept to show how they came about; it imports modules
by the names that they had then (commit 914b0d1), so it does not run any more. It ran as

    HEADROOM_TRACKING_URI= python tests/golden/make.py

`store.tar.gz` holds `mlflow.db` with `artifacts/` beside it, and what the sweeps in it were made of:
`pictures/`, `two_classes.npz`, `encoder/` (`captioned/`, a folder with captions, is there for its digest).
Commands ran in that folder and named these by relative paths. Wherever MLflow stores an absolute path, it
begins with `/yesterday`; who unpacks the store puts the real place there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent
REPO = GOLDEN.parents[1]
sys.path[:0] = [str(REPO), str(REPO / "tests")]
os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "HF_HUB_OFFLINE": "1"}

import ablation_stores  # noqa: E402
import answering  # noqa: E402
import method_stores  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import tyro  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from test_verification import people  # noqa: E402
from tiny_clip import save_tiny_clip  # noqa: E402
from trainer.data.source import load  # noqa: E402
from trainer.features.views import Augmentation, Straying  # noqa: E402
from trainer.verification import embedding  # noqa: E402

from trainer import ablate, cli, encoders, extract, finetune, fuse, sweep, verify, zeroshot  # noqa: E402
from trainer.features.hub import resolve  # noqa: E402
from trainer.features.key import encoder_key, text_encoder_key  # noqa: E402
from trainer.features.store import FeatureStore  # noqa: E402
from trainer.tracking import database  # noqa: E402
from trainer.tracking.schema import Artifact, Tag  # noqa: E402

PLACE = "/yesterday"  # stands for the folder of the store
CONFIGS = {
    "sweep": sweep.SweepConfig,
    "ablate": ablate.AblateConfig,
    "verify": verify.VerifyConfig,
    "zeroshot": zeroshot.ZeroShotConfig,
    "fuse": fuse.FuseConfig,
    "encoders": encoders.EncodersConfig,
    "finetune": finetune.FinetuneConfig,
    "extract": extract.ExtractConfig,
}
SOME_FLAGS = {  # command → flags of which many are not the usual ones
    "sweep": "--data a/b --encoder openai/clip-vit-base-patch32 --trials 128 --seeds 5 --views 2 "
    "--space my/space.yaml --objective f1+size --pruner halving --target 0.9 --no-measure --batch-size 64 "
    "--seed 7 --max-bad 0.2 --groups x(\\d+)_",
    "ablate": "--data table.csv --filters clip>=0.22 quality>=top90%&unique "
    "--grid quality>=top95%,quality>=top85% clip>=top90%,clip>=top75% --seeds 12 --head mlp "
    "--class-weight balanced --wording.deletion 0.3 --mismatch 0.1 --captions-count mean "
    "--encoders facebook/dinov2-small demo --drop-duplicates",
    "verify": "--data faces --folds 5 --pairs-per-fold 100 --seeds 3 --no-identify --encoder demo "
    "--device cpu",
    "zeroshot": "--templates prompts.txt --class-names names.yaml --head 0123456789abcdef --shots 1 4 "
    "--draws 10 --dtype float32",
    "fuse": "--data captioned --seeds 4 --hide-class-names --class-names names.yaml --precision bfloat16",
    "encoders": "--data pictures --encoders demo google/vit-base-patch16-224 --seeds 4 --workers 2",
    "finetune": "--data pictures --unfreeze-last 3 --lrs 1e-5 0.0002 --layer-decay 0.5 --views 2 "
    "--augment.flip 0 --augment.least-area 0.8 --kept bfloat16 --epochs 4 --allow-leaks",
    "extract": "--space shared --captions --views 3 --augment.hue 0.1 --augment.brightness 0.4",
}
HELP = [
    *(["sweep"], ["extract"], ["ablate"], ["encoders"], ["zeroshot"], ["fuse"], ["verify"], ["finetune"]),
    *(["predict"], ["cache"], *(["cache", name] for name in ("list", "verify", "prune", "export", "import"))),
]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve() / "store"
        folder.mkdir()
        os.chdir(folder)
        os.environ["HEADROOM_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
        database.prepare(os.environ["HEADROOM_TRACKING_URI"])
        make_data(folder)
        runs = make_runs(folder)
        make_model(folder, runs["pictures"])
        values = {"runs": runs} | make_values(folder, runs)
        (GOLDEN / "values.json").write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")
        database_of_it = {"mlflow.db": forget_the_place(folder)}
        kept = ["artifacts", "pictures", "captioned", "two_classes.npz", "encoder"]
        pack(GOLDEN / "store.tar.gz", database_of_it | {name: folder / name for name in kept})


# --- what is learned from -----------------------------------------------------------------------


def make_data(folder: Path) -> None:
    save_tiny_clip(folder / "encoder")
    for c, (name, least) in enumerate(answering.CLASSES.items()):
        (folder / "pictures" / name).mkdir(parents=True)
        for i in range(answering.PER_CLASS):
            picture = answering.picture(100 * c + i, least, red=name == "red")
            (folder / "pictures" / name / f"{i}.png").write_bytes(picture)
    method_stores.pictures(folder / "captioned", each=4)
    ablation_stores.pictures(folder / "tinted", each=8)
    random = np.random.default_rng(0)
    parts = {}
    for name, count in (("train", 60), ("val", 30), ("test", 30)):
        y_n = np.arange(count) % 2
        parts[f"{name}_x"] = (random.normal(0, 1, (count, 8)) + 0.8 * y_n[:, None]).astype(np.float32)
        parts[f"{name}_y"] = y_n
    np.savez(folder / "two_classes.npz", **parts)
    x_nd, y_n = people(12, each=4)
    part = np.arange(len(y_n)) % 3
    of_people = {f"{name}_x": x_nd[part == i] for i, name in enumerate(("train", "val", "test"))}
    of_people |= {f"{name}_y": y_n[part == i] for i, name in enumerate(("train", "val", "test"))}
    np.savez(folder / "people.npz", **of_people)


# --- the store ----------------------------------------------------------------------------------


def make_runs(folder: Path) -> dict[str, str]:
    """One run of each kind, with the usual commands. Returns study → run id."""
    every: dict[str, Any] = {"cache_dir": Path("cache"), "device": "cpu", "precision": "float32"}
    read = every | {"dtype": "float32", "workers": 0, "batch_size": 32}
    few = [one for one in embedding.candidates() if one.name in ("cosine of the features", "16 components")]
    embedding.candidates = lambda: few
    space = Path("space.yaml")
    space.write_text("width: {choice: [8]}\nepochs: 4\n")
    done = [
        sweep.run(
            sweep.SweepConfig(
                **read, data="pictures", encoder="encoder", study="pictures", space=space,
                trials=6, seeds=2, fresh_seeds=2,
            )
        ),
        sweep.run(
            sweep.SweepConfig(
                **every, data="two_classes.npz", study="two classes", trials=6, seeds=2, fresh_seeds=0
            )
        ),
        ablate.run(
            ablate.AblateConfig(
                **read, data="tinted", encoder="demo", study="ablation", seeds=6,
                grid=ablation_stores.GRID[:1], filters=("agreement>=top80%",), bad_source=0.3, views=0,
            )
        ),
        verify.run(verify.VerifyConfig(**every, data="people.npz", study="verification", folds=3, seeds=1)),
        zeroshot.run(
            zeroshot.ZeroShotConfig(
                **read, data="captioned", encoder="demo", study="zero-shot", shots=(1, 2), draws=3
            )
        ),
        fuse.run(fuse.FuseConfig(**read, data="captioned", encoder="demo", study="fusion", seeds=2)),
        encoders.run(
            encoders.EncodersConfig(**read, data="pictures", encoders=("demo", "encoder"), study="encoders")
        ),
        finetune.run(
            finetune.FinetuneConfig(
                **read, data="tinted", encoder="encoder", study="fine-tuning", unfreeze_last=1, epochs=3,
                views=0, lrs=(1e-4,), augment=Augmentation(flip=0.25),
            )
        ),
        extract.run(
            extract.ExtractConfig(
                **{k: v for k, v in read.items() if k != "precision"},
                data="captioned", encoder="demo", captions=True, space="shared",
            )
        ),
    ]  # fmt: skip
    ids = [figures["mlflow_run_id"] for figures in done]
    return {figures.get("study", "extraction"): run_id for figures, run_id in zip(done, ids, strict=True)}


def artifacts_of(run_id: str) -> Path:
    run = MlflowClient(os.environ["HEADROOM_TRACKING_URI"]).get_run(run_id)
    return Path(run.info.artifact_uri.removeprefix("file://"))


def forget_the_place(folder: Path) -> Path:
    """A small copy of the database. Absolute paths in it begin with `PLACE`, in every table."""
    copy = folder / "copy.db"
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute("VACUUM INTO ?", [str(copy)])
    with closing(sqlite3.connect(copy)) as connection, connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
                if "CHAR" in kind.upper() or "TEXT" in kind.upper():
                    connection.execute(
                        f"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE instr({column}, ?)",
                        [str(folder), PLACE, str(folder)],
                    )
    return copy


# --- the model ----------------------------------------------------------------------------------


def make_model(folder: Path, run_id: str) -> None:
    """The model that the sweep on pictures logged, a picture, and what the sweep said of it."""
    run = artifacts_of(run_id)
    picture = folder / "pictures" / "red" / "3.png"
    shutil.copyfile(picture, GOLDEN / "picture.png")
    table = pd.read_parquet(run / Artifact.PREDICTIONS)
    row = table[(table["head"] == "best") & (table["sample_id"] == "red/3.png")].iloc[0]
    answer = {
        "picture": "picture.png",
        "classes": sorted(answering.CLASSES),
        "label": row["pred"],
        "probabilities": [float(p) for p in row["probs"]],
    }
    (GOLDEN / "model_answers.json").write_text(json.dumps(answer, indent=1) + "\n")
    pack(GOLDEN / "model.tar.gz", {"model": run / "model"})


def pack(archive: Path, members: dict[str, Path]) -> None:
    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if "__pycache__" in member.name:
            return None
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(archive, "w:gz", compresslevel=9) as tar:
        for name, path in members.items():
            tar.add(path, arcname=name, filter=plain)


# --- names --------------------------------------------------------------------------------------


def make_values(folder: Path, runs: dict[str, str]) -> dict[str, Any]:
    client = MlflowClient(os.environ["HEADROOM_TRACKING_URI"])
    tags = {study: client.get_run(run_id).data.tags for study, run_id in runs.items()}
    two = json.loads(tags["two classes"][Tag.IDENTITY])
    return {
        "keys": keys(folder),
        "identity": two,
        "digests": {
            name: load(name, seed=0).digest for name in ("demo", "pictures", "captioned", "two_classes.npz")
        },
        "recorded": {study: of_run[Tag.COMMAND] for study, of_run in tags.items()},
        "commands": {
            name: {
                "flags": flags.split(),
                "command": cli.command_line(
                    f"trainer.{name}", tyro.cli(CONFIGS[name], args=flags.split()), **study_of(name)
                ),
            }
            for name, flags in SOME_FLAGS.items()
        },
        "flags": {" ".join(words): flags_of(words) for words in HELP},
    }


def study_of(command: str) -> dict[str, str]:
    return {} if command == "extract" else {"study": "a study: it's mine"}


def keys(folder: Path) -> dict[str, dict[str, str]]:
    """The digest and the folder of what the built-in encoder's vectors depend on."""
    encoder, made = resolve("demo"), {}
    for dtype in ("float32", "bfloat16"):
        how: dict[str, Any] = {"dtype": dtype, "cache_dir": folder / "cache"}
        straying = Straying(Augmentation(), seed=0)
        made |= {
            f"{space}, {dtype}, view {view}": encoder_key(
                encoder, space=space, view=view, straying=straying, **how
            )
            for space in ("pooled", "shared")
            for view in (0, 1)
        }
        made[f"text, {dtype}"] = text_encoder_key(encoder, **how)
    return {
        name: {"digest": key.digest, "folder": FeatureStore(folder / "keys", key).folder.name}
        for name, key in made.items()
    }


def flags_of(words: list[str]) -> list[str]:
    """What `--help` names, one line a flag: names, kind or choices, default. Sorted."""
    module, *rest = words
    told = subprocess.run(
        [sys.executable, "-m", f"trainer.{module}", *rest, "--help"],
        cwd=REPO,
        env={k: v for k, v in os.environ.items() if k != "HEADROOM_TRACKING_URI"} | {"COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return flags_in(told)


def flags_in(told: str) -> list[str]:
    flags: list[str] = []
    for line in told.splitlines():
        inside = re.fullmatch(r"│ (.*?)\s*│", line)
        if inside is None:
            continue
        if re.match(r"-|\[\[", inside[1]):
            flags.append(inside[1])
        elif inside[1].startswith("  ") and flags:
            flags[-1] += "  " + inside[1].strip()
    found = []
    for flag in flags:
        name, _, about = flag.partition("  ")
        default = re.findall(r"\(default: ([^()]*)\)|\((required)\)", about)
        found.append(f"{name} = {default[-1][0] or default[-1][1]}" if default else name)
    return sorted(one.replace(str(REPO), "CHECKOUT") for one in found)


if __name__ == "__main__":
    main()
