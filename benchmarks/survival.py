"""Extraction killed at random moments: ``python benchmarks/survival.py [--kills 100]``.

Every child encodes the same images into one store, and is killed (SIGKILL) at a moment drawn between its
birth and half the time that an undisturbed one takes; the next goes on where it stopped. After each kill all
shards are read; when a store is full, its vectors are compared with the undisturbed ones bit by bit, and an
empty store is begun. Prints one JSON line: shards that were torn, lost or held an image twice, images with
a vector but no measures, and whether the vectors were the same.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Imported before any child is born, so that children spend their lives on extraction. Nothing of torch is
# called here: its threads would not survive the fork.
import torch  # noqa: F401
from transformers import CLIPVisionModel  # noqa: F401

from trainer.data.load import load
from trainer.data.manifest import Manifest
from trainer.features import encoding_loop, store_admin
from trainer.features.extract import extract
from trainer.features.settings import EncoderSettings
from trainer.features.shard import notes_in, read_shard

PER_SHARD = 8  # images: there shall be many moments at which a shard is being written


class Shard(NamedTuple):
    """Of vectors, or of measures."""

    measures: bool
    name: str


def extract_in_child(manifest: Manifest, encoder: str, cache: Path, *, kill_after_s: float | None) -> bool:
    """Extract in a process of its own; returns whether it was killed before it had ended."""
    child = os.fork()
    if child == 0:
        encoding_loop.COMMIT_EVERY = PER_SHARD
        settings = EncoderSettings(encoder=encoder, cache_dir=cache, device="cpu", batch_size=PER_SHARD)
        vectors_nd = extract(manifest, settings).vectors_nd
        np.save(cache / "vectors.npy", vectors_nd)
        os._exit(0)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if status not in (0, signal.SIGKILL):
        raise SystemExit(f"a child failed by itself (status {status})")
    return status == signal.SIGKILL


def shards_in(cache: Path) -> tuple[dict[Shard, list[str]], int]:
    """The images of each whole shard; and how many shards are torn."""
    whole: dict[Shard, list[str]] = {}
    torn = 0
    for entry in store_admin.entries(cache / "features"):
        torn += len(store_admin.verify(entry))
        measures = entry.key is not None and "measures" in entry.key.fields
        for note in notes_in(entry.folder):
            whole[Shard(measures, note.stem)] = read_shard(note).content
    return whole, torn


def ordeal(manifest: Manifest, encoder: str, folder: Path, *, kills: int, seed: int) -> dict[str, object]:
    """Kill so many extractions; returns the figures."""
    (folder / "calm").mkdir(parents=True)
    began = time.perf_counter()
    extract_in_child(manifest, encoder, folder / "calm", kill_after_s=None)
    longest_s = time.perf_counter() - began
    expected_nd = np.load(folder / "calm" / "vectors.npy")
    rng = np.random.default_rng(seed)
    counted = ("kills", "with_shards_half_done", "stores", "torn", "lost", "doubled", "unmeasured")
    figures = dict.fromkeys(counted, 0)
    identical = True
    while figures["kills"] < kills:
        cache = folder / f"store{figures['stores']}"
        cache.mkdir()
        figures["stores"] += 1
        before: dict[Shard, list[str]] = {}
        while figures["kills"] < kills and len(before) * PER_SHARD < 2 * len(manifest):
            delay_s = float(rng.uniform(0, longest_s / 2))
            figures["kills"] += extract_in_child(manifest, encoder, cache, kill_after_s=delay_s)
            after, torn = shards_in(cache)
            vectors, measures = (
                [one for shard, content in after.items() if shard.measures == kind for one in content]
                for kind in (False, True)
            )
            figures["torn"] += torn
            figures["lost"] += len(before.keys() - after.keys())
            figures["doubled"] += sum(len(kind) - len(set(kind)) for kind in (vectors, measures))
            figures["unmeasured"] += len(set(vectors) - set(measures))
            figures["with_shards_half_done"] += bool(list(cache.glob("features/*/.*.tmp")))
            before = after
        extract_in_child(manifest, encoder, cache, kill_after_s=None)
        identical &= bool(np.array_equal(np.load(cache / "vectors.npy"), expected_nd))
        shutil.rmtree(cache)
    return figures | {"images": len(manifest), "identical": identical}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--data", default="demo")
    parser.add_argument("--encoder", default="demo")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    manifest = load(asked.data, seed=0)
    manifest = manifest.take(range(min(len(manifest), 400)))
    with tempfile.TemporaryDirectory() as folder:
        figures = ordeal(manifest, asked.encoder, Path(folder), kills=asked.kills, seed=asked.seed)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
