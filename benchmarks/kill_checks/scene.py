"""The folders that a command which is killed reads and writes, and what lies in them."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml
from mlflow.entities import Run
from PIL import Image
from safetensors.numpy import load, load_file

from trainer.tracking import database
from trainer.tracking.client import connect, local_folder, runs, tag_filter
from trainer.tracking.schema import Tag

Items = dict[str, str]  # a piece of finished work → a digest of it


class Scene(NamedTuple):
    """A folder with everything that one command uses."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def out(self) -> Path:
        """Where it writes files for people."""
        return self.folder / "out"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'store' / 'mlflow.db'}"

    def make(self) -> None:
        for folder in (self.data, self.cache, self.out, self.temporary):
            folder.mkdir(parents=True)
        database.prepare(self.uri)


def digest(*parts: object) -> str:
    content = b"".join(
        part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode() for part in parts
    )
    return hashlib.sha256(content).hexdigest()[:16]


# --- the store --------------------------------------------------------------------------------


def check_database(scene: Scene) -> None:
    """Raises sqlite3.DatabaseError where it is damaged."""
    with closing(sqlite3.connect(database.sqlite_path(scene.uri) or "")) as connection:
        answer = connection.execute("PRAGMA integrity_check").fetchall()
    if answer != [("ok",)]:
        raise sqlite3.DatabaseError(f"integrity_check: {answer}")


def runs_of(scene: Scene, where: str = "") -> list[Run]:
    client = connect(scene.uri)
    experiments = client.search_experiments()
    return [run for one in experiments for run in runs(client, one.experiment_id, where=where)]


def studies(scene: Scene, study: str) -> list[Run]:
    """Parent runs of that study."""
    of_study = [run for run in runs_of(scene) if run.data.tags.get(Tag.STUDY) == study]
    return [run for run in of_study if Tag.PARENT not in run.data.tags]


def twice_below(scene: Scene, run: Run) -> int:
    """Whole child runs beyond the first of their number."""
    below = runs_of(scene, tag_filter(Tag.PARENT, run.info.run_id))
    whole = [one for one in below if one.info.status != "RUNNING" and Tag.STOPPED not in one.data.tags]
    return len(whole) - len({one.data.tags[Tag.TRIAL] for one in whole})


def artifacts(run: Run) -> Path:
    folder = local_folder(run.info.artifact_uri)
    assert folder is not None
    return folder


# --- files ------------------------------------------------------------------------------------


def read_whole(path: Path) -> None:
    """Raises whatever a damaged file makes its reader raise."""
    match path.suffix:
        case ".parquet":
            pd.read_parquet(path)
        case ".json":
            json.loads(path.read_text())
        case ".yaml":
            yaml.safe_load(path.read_text())
        case ".safetensors":
            load_file(path)
        case ".npz":
            with np.load(path) as arrays:
                [arrays[name] for name in arrays.files]
        case ".png":
            Image.open(path).load()
        case ".csv":
            rows = list(csv.reader(path.read_text().splitlines()))
            if len(rows) < 2 or len({len(row) for row in rows}) != 1:
                raise ValueError(f"{path}: {len(rows)} rows, of different lengths")


def files_below(folder: Path) -> Iterator[Path]:
    """Yield those that have no hidden name, nor lie in a folder that has one."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def strays(scene: Scene) -> list[Path]:
    """What no command that runs could still need: temporary files, and folders of keys without their key."""
    hidden = [path for path in scene.folder.rglob(".*") if path.name != ".lock"]
    inside = set(hidden)
    outermost = [path for path in hidden if not inside & set(path.parents)]
    keys = [path for path in (scene.cache / "features").glob("[!.]*") if not (path / "key.json").exists()]
    checkpoints = list((scene.cache / "finetuning").glob("*"))
    return [*outermost, *keys, *checkpoints, *scene.temporary.iterdir()]


# --- the cache --------------------------------------------------------------------------------


def cached(scene: Scene) -> tuple[Items, int]:
    """Every stored vector, and how many contents a key holds twice. Reads the files by itself.

    Raises:
        Exception: a note, or the shard that belongs to it, is damaged.
    """
    items: Items = {}
    twice = 0
    for folder in sorted(path.parent for path in (scene.cache / "features").glob("*/key.json")):
        json.loads((folder / "key.json").read_text())
        seen: Counter[str] = Counter()
        for note in sorted(folder.glob("*.json")):
            if note.name == "key.json":
                continue
            data = note.with_suffix(".safetensors").read_bytes()
            if hashlib.sha256(data).hexdigest() != json.loads(note.read_text())["sha256"]:
                raise ValueError(f"{note}: another SHA-256")
            tensors = load(data)
            content = [row.tobytes().hex() for row in tensors["content"]]
            seen.update(content)
            items |= {
                f"{folder.name}/{one}": digest(vector_d)
                for one, vector_d in zip(content, tensors["vectors"], strict=True)
            }
        twice += sum(seen.values()) - len(seen)
    return items, twice
