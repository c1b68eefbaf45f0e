"""Every command with too little room in one place: ``python benchmarks/disk_full.py [--commands sweep …]``.

Each command runs once undisturbed, which tells how many bytes it puts into each place at most: the feature
cache, the MLflow database, the artifacts, the temporary folder, the output. Then that place is a file system
that ends at a share of them (nothing left, half, most, or no entry left for another file), the command
runs, is given room, and runs again. As root the places are tmpfs mounts. Without it, no file may grow beyond
a share of the largest one (RLIMIT_FSIZE), wherever it lies; the JSON line says which was used. Counted:

- runs: commands with too little room; full: those that had to stop, ended with exit code 2 and a sentence;
- enough: those that ended with exit code 0, and the undisturbed figures;
- tracebacks, wrong_exit, wrong_figures: what must not be;
- resumed: stopped commands that, run again with room, gave the figures of the undisturbed command.

Prints a table to stderr and one JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support import commands
from tests.support.tiny_encoders import save_tiny
from tests.support.trained_comparison import images
from trainer.core.console import say
from trainer.tracking import database

PLACES = ("cache", "store", "artifacts", "temp", "output")
MOMENTS = (0.0, 0.5, 0.9)  # share of the bytes needed that there is room for
INODES = "inodes"  # room for bytes, but for no more files
PAGE = 4096
ROOM = 2**30
VARYING = {  # figures that differ between two undisturbed runs, or tell what was left to do
    *("mlflow_run_id", "study", "elapsed_s", "trials_per_s", "images_per_s", "peak_memory_bytes"),
    *("peak_bytes", "encoder_calls", "encoded", "encoded_s"),
    *("reused", "share_of_time", "processes", "batch_size", "test_looks", "epoch_s", "model_uri", "imported"),
    *("recommendation", "advice"),  # they weigh the measured speed of encoders
    *("costs", "seconds", "trained", "file", "out", "ms_per_image", "captions_encoded"),
}
SPACE = {"width": {"choice": [8]}, "epochs": 4, "patience": 4}


class Ground(NamedTuple):
    """Where one worker runs its commands: the places, and what is read only."""

    folder: Path

    def place(self, name: str) -> Path:
        """The folder of a place; the artifacts lie below the store, as always."""
        return self.folder / ("store/artifacts" if name == "artifacts" else name)

    @property
    def given(self) -> Path:
        return self.folder / "given"

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.place('store') / 'mlflow.db'}"


def flags_of(command: str, ground: Ground) -> list[object]:
    """The module and its flags, small in everything."""
    given, out = ground.given, ground.place("output")
    cache = ("--cache-dir", ground.place("cache"))
    where = ("--tracking-uri", ground.uri, *cache, "--device", "cpu")
    demo = ("--data", given / "images", "--encoder", "demo", "--workers", 0, "--batch-size", 16)
    study = (*demo, "--study", "small", *where)
    return {
        "extract": ["extract", *demo, *where],
        "sweep": ["sweep", *study, "--trials", 6, "--at-once", 3, "--seeds", 2, "--space",
                  given / "space.yaml", "--export-optuna", f"sqlite:///{out / 'optuna.db'}"],
        "ablate": ["ablate", *study, "--seeds", 6, "--filters", "sharpness>=top80%", "--report",
                   out / "report.md"],
        "verify": ["verify", "--data", given / "people", "--encoder", "demo", "--workers", 0,
                   "--batch-size", 16, "--study", "small", *where, "--folds", 3, "--seeds", 1,
                   "--pairs-per-fold", 40],
        "zeroshot": ["zeroshot", *study, "--shots", 1, 2, "--draws", 3],
        "fuse": ["fuse", *study, "--seeds", 1],
        "encoders": ["encoders", *study[:2], *study[4:], "--encoders", given / "vit", given / "resnet",
                     "--seeds", 3],
        "finetune": ["finetune", "--data", given / "images", "--encoder", given / "vit", *study[4:],
                     "--unfreeze-last", 1, "--epochs", 3, "--views", 1, "--seeds", 1, "--lrs", 1e-4,
                     "--checkpoint-s", 0],
        "predict": ["predict", given / "images" / "test", "--out", out / "said.csv", *where],
        "cache import": ["cache", "import", "--file", given / "vectors.npz", *cache],
        "cache export": ["cache", "export", "--key", vectors_key(ground), "--file", out / "vectors.npz",
                         *cache],
    }[command]  # fmt: skip


COMMANDS = ("finetune", "sweep", "ablate", "encoders", "verify", "fuse", "zeroshot", "predict", "extract",
            "cache import", "cache export")  # fmt: skip  # the longest first


# --- running ----------------------------------------------------------------------------------


class Ended(NamedTuple):
    code: int
    figures: dict[str, Any]  # that do not vary
    said: str

    @property
    def traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.said or "Exception in thread" in self.said

    @property
    def sentence(self) -> str:
        lines = [line for line in self.said.splitlines() if line.startswith("Error: ")]
        return lines[-1] if lines else ""


def run(command: str, ground: Ground, *, largest_file: int | None = None) -> Ended:
    """Run it with its temporary folder in its place."""
    module, *flags = flags_of(command, ground)
    done = commands.run(
        f"trainer.{module}",
        *flags,
        largest_file=largest_file,
        environment={"TMPDIR": str(ground.place("temp"))},
    )
    lines = done.stdout.strip().splitlines()
    figures = json.loads(lines[-1]) if done.returncode == 0 and lines else {}
    return Ended(done.returncode, steady(figures), done.stderr)


def steady(figures: Any) -> Any:
    """Return figures without `VARYING`, at any depth."""
    if isinstance(figures, dict):
        return {name: steady(value) for name, value in figures.items() if name not in VARYING}
    return [steady(one) for one in figures] if isinstance(figures, list) else figures


def prepare(folder: Path) -> Ground:
    """Write what the commands read, and what is in the places before."""
    ground = Ground(folder)
    images(ground.given / "images")
    for family in ("vit", "resnet"):
        save_tiny(family, ground.given / family)
    save_people(ground.given / "people")
    (ground.given / "space.yaml").write_text(yaml.safe_dump(SPACE))
    (folder / "before" / "store").mkdir(parents=True)
    database.prepare(f"sqlite:///{folder / 'before' / 'store' / 'mlflow.db'}")
    for name in PLACES:
        ground.place(name).mkdir(parents=True, exist_ok=True)
    fill(ground, "sweep")
    done = run("sweep", ground)
    if done.code:
        raise RuntimeError(f"a sweep failed by itself: {done.said}")
    to_file = ("--key", vectors_key(ground), "--file", ground.given / "vectors.npz")
    commands.run("trainer.cache", "export", *to_file, "--cache-dir", ground.place("cache"))
    shutil.copytree(ground.place("store"), folder / "before" / "swept")
    shutil.copytree(ground.place("cache"), folder / "before" / "cache")
    return ground


def vectors_key(ground: Ground) -> str:
    """The key of the encoder in the cache; the other one is that of the measures."""
    keys = (ground.place("cache") / "features").glob("*/key.json")
    return next((one.parent.name for one in keys if "measures" not in json.loads(one.read_text())), "none")


def save_people(folder: Path) -> None:
    """Four images of each of nine, of a colour of their own."""
    from PIL import Image

    random = np.random.default_rng(0)
    for person in range(9):
        tint = random.uniform(60, 180, 3)
        for number in range(4):
            pixels = np.clip(tint + random.normal(0, 30, (48, 48, 3)), 0, 255).astype(np.uint8)
            path = folder / f"person{person}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def fill(ground: Ground, command: str) -> None:
    """Put into the places what is there before the command: an empty store; for some, a sweep or vectors."""
    swept = command == "predict"
    for name in PLACES:
        if name != "artifacts":
            clear(ground.place(name))
    ground.place("artifacts").mkdir(exist_ok=True)
    before = ground.folder / "before"
    shutil.copytree(before / ("swept" if swept else "store"), ground.place("store"), dirs_exist_ok=True)
    if command == "cache export":
        shutil.copytree(before / "cache", ground.place("cache"), dirs_exist_ok=True)


def clear(folder: Path) -> None:
    """Empty a folder, of which parts may be mounts."""
    for path in sorted(folder.rglob("*"), reverse=True):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


# --- file systems -----------------------------------------------------------------------------


def can_mount() -> bool:
    """Whether this process may mount a tmpfs."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
    return mounted.returncode == 0


@contextlib.contextmanager
def mounted(ground: Ground) -> Iterator[None]:
    """Each place a file system of its own, with room."""
    made = []
    try:
        for name in PLACES:  # the artifacts after the store, below which they lie
            place = ground.place(name)
            place.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", place], check=True)
            made.append(place)
        yield
    finally:
        for place in reversed(made):
            subprocess.run(["umount", "-l", place], check=True)


def resize(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)


def used(place: Path) -> tuple[int, int]:
    """Bytes and entries of a file system."""
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree


class Watch(threading.Thread):
    """Looks every few milliseconds at how full each place is."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(daemon=True)
        self.most = {name: used(ground.place(name)) for name in PLACES}
        self._ground = ground
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.005):
            for name in PLACES:
                now = used(self._ground.place(name))
                self.most[name] = tuple(map(max, self.most[name], now))  # type: ignore[assignment]

    def stop(self) -> dict[str, tuple[int, int]]:
        self._ended.set()
        self.join()
        return self.most


# --- the matrix -------------------------------------------------------------------------------


class Job(NamedTuple):
    command: str
    places: Sequence[str]
    root: Path
    mounts: bool


class Cell(NamedTuple):
    command: str
    place: str
    outcomes: list[str]  # of each moment: full, enough, or what went wrong
    sentences: list[str]


def cells_of(command: str, ground: Ground, places: Sequence[str]) -> list[Cell]:
    """Run a command in every place that it writes to, too small."""
    with mounted(ground):
        fill(ground, command)
        before = {name: used(ground.place(name)) for name in PLACES}
        watch = Watch(ground)
        watch.start()
        calm = run(command, ground)
        most = watch.stop()
    if calm.code:
        raise RuntimeError(f"{command} failed by itself: {calm.said}")
    cells = []
    for place in places:
        grown = most[place][0] - before[place][0]
        cell = Cell(command, place, [], [])
        cells.append(cell)
        for moment in (*MOMENTS, INODES) if grown > 0 else ():
            outcome, sentence = outcome_of(command, ground, place, moment, grown, calm)
            cell.outcomes.append(outcome)
            cell.sentences.append(sentence)
        tell(cell)
    return cells


def outcome_of(
    command: str, ground: Ground, place: str, moment: float | str, grown: int, calm: Ended
) -> tuple[str, str]:
    """Run a command with too little room and again with enough; returns how it went, and what it said."""
    with mounted(ground):
        fill(ground, command)
        where = ground.place(place)
        there, entries = used(where)
        if moment == INODES:
            resize(where, f"nr_inodes={entries + 1}")
        else:
            share = float(moment)
            resize(where, f"size={max(PAGE, there + int(share * grown) // PAGE * PAGE)}")
            if share == 0:
                leave_nothing(where)
        first = run(command, ground)
        if first.code == 0 and not first.traceback:
            return (
                ("enough", "")
                if first.figures == calm.figures
                else ("other figures", difference(first, calm))
            )
        if problem := wrong(first):
            return problem, first.said
        (where / "filler").unlink(missing_ok=True)
        resize(where, f"nr_inodes={10**6}" if moment == INODES else f"size={ROOM}")
        return judged(run(command, ground), calm, first)


def wrong(ended: Ended) -> str:
    if ended.traceback:
        return "traceback"
    return "" if ended.code == 2 and ended.sentence else f"exit {ended.code}"


def judged(again: Ended, calm: Ended, first: Ended) -> tuple[str, str]:
    """How a command went that stopped first and was run again."""
    if again.code or again.traceback:
        return "not resumed", again.said
    if again.figures != calm.figures:
        return "other figures", difference(again, calm)
    return "full", first.sentence


def difference(one: Ended, calm: Ended) -> str:
    names = [name for name in one.figures | calm.figures if one.figures.get(name) != calm.figures.get(name)]
    return "; ".join(f"{name}: {calm.figures.get(name)} → {one.figures.get(name)}" for name in names)


def leave_nothing(place: Path) -> None:
    """Fill a file system up."""
    with (place / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(PAGE))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def cells_by_limit(command: str, ground: Ground) -> list[Cell]:
    """Where nothing can be mounted: no file may grow beyond a share of the largest one."""
    fill(ground, command)
    calm = run(command, ground)
    if calm.code:
        raise RuntimeError(f"{command} failed by itself: {calm.said}")
    written = [path for name in PLACES for path in ground.place(name).rglob("*") if path.is_file()]
    largest = max(path.stat().st_size for path in written)
    cell = Cell(command, "any file", [], [])
    for share in (0.002, 0.02, *MOMENTS[1:]):
        fill(ground, command)
        first = run(command, ground, largest_file=int(share * largest))
        if first.code == 0 and not first.traceback:
            outcome, sentence = ("enough", "") if first.figures == calm.figures else ("other figures", "")
        elif problem := wrong(first):
            outcome, sentence = problem, first.said
        else:
            outcome, sentence = judged(run(command, ground), calm, first)
        cell.outcomes.append(outcome)
        cell.sentences.append(sentence)
    tell(cell)
    return [cell]


def tell(cell: Cell) -> None:
    """Say how a cell went, and all that a command said which did what it must not."""
    say(f"{cell.command} · {cell.place}: {', '.join(cell.outcomes) or 'not written'}")
    for outcome, sentence in zip(cell.outcomes, cell.sentences, strict=True):
        if sentence and outcome not in ("full", "enough"):
            say(f"--- {outcome}: {sentence}")
        elif sentence:
            say(f"    {sentence}")


# --- workers ----------------------------------------------------------------------------------


def work(job: Job) -> list[Cell]:
    """Run one command's cells in the worker's own ground, which it prepares for its first one."""
    folder = job.root / str(os.getpid())
    ground = Ground(folder) if folder.exists() else prepare(folder)
    return cells_of(job.command, ground, job.places) if job.mounts else cells_by_limit(job.command, ground)


def table(cells: Sequence[Cell]) -> str:
    """A line per command, a column per place: how many commands stopped, and what went wrong."""
    places = list(dict.fromkeys(cell.place for cell in cells))
    lines = ["".join([f"{'':<14}", *(f"{place:<26}" for place in places)])]
    for command in dict.fromkeys(cell.command for cell in cells):
        row = {cell.place: cell for cell in cells if cell.command == command}
        shown = [
            ", ".join(f"{n} {what}" for what, n in Counter(row[place].outcomes).items()) or "–"
            for place in places
        ]
        lines.append("".join([f"{command:<14}", *(f"{one:<26}" for one in shown)]))
    return "\n".join(lines)


def counted(cells: Sequence[Cell]) -> dict[str, int]:
    outcomes = Counter(outcome for cell in cells for outcome in cell.outcomes)
    return {
        "cells": sum(bool(cell.outcomes) for cell in cells),
        "runs": outcomes.total(),
        "full": outcomes["full"],
        "resumed": outcomes["full"],
        "enough": outcomes["enough"],
        "tracebacks": outcomes["traceback"],
        "wrong_exit": sum(n for what, n in outcomes.items() if what.startswith("exit")),
        "not_resumed": outcomes["not resumed"],
        "wrong_figures": outcomes["other figures"],
    }


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    flags.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    flags.add_argument("--processes", type=int, default=2)
    flags.add_argument("--no-mount", action="store_true", help="use RLIMIT_FSIZE, as without root")
    flags.add_argument("--places", nargs="+", choices=PLACES, default=PLACES)
    args = flags.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", HF_HUB_OFFLINE="1")
    began, mounts = time.perf_counter(), not args.no_mount and can_mount()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root:
        jobs = [Job(command, args.places, Path(root), mounts) for command in args.commands]
        with multiprocessing.get_context("spawn").Pool(min(args.processes, len(jobs))) as pool:
            cells = [cell for found in pool.imap_unordered(work, jobs, chunksize=1) for cell in found]
    cells.sort(key=lambda cell: COMMANDS.index(cell.command))
    say(table(cells))
    means = "tmpfs" if mounts else "RLIMIT_FSIZE"
    print(
        json.dumps(
            {"means": means, **counted(cells), "minutes": round((time.perf_counter() - began) / 60, 1)}
        )
    )


if __name__ == "__main__":
    main()
