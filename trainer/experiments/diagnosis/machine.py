"""Check threads, memory, disks and the browser of the tests. Standard library only."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from trainer.core.browsers import BROWSERS as BROWSERS
from trainer.core.browsers import find_browser
from trainer.core.locations import sqlite_file
from trainer.core.memory import free_bytes, gigabytes
from trainer.experiments.diagnosis.facts import Facts
from trainer.experiments.diagnosis.findings import Diagnosis, advice, broken, fine
from trainer.experiments.diagnosis.gpu import NO_TORCH

LITTLE_MEMORY = 2 << 30  # bytes that loading a CLIP B/32 and a batch take, with some room
LITTLE_DISK, NO_DISK = 5 << 30, 100 << 20  # bytes
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def check_threads(facts: Facts) -> Diagnosis:
    """Say whether torch uses as many threads as this process may have cores."""
    if "error" in facts.torch:
        return NO_TORCH
    threads, cores, asked = facts.torch["threads"], _cores(), os.environ.get("OMP_NUM_THREADS")
    told = f"torch uses {threads} of {cores} cores"
    if threads > cores:
        return advice(f"torch uses {threads} threads on {cores} cores.", f"export OMP_NUM_THREADS={cores}")
    if threads < cores and asked:
        return advice(f"{told}, because OMP_NUM_THREADS is {asked}.", "unset OMP_NUM_THREADS")
    return fine(f"{told}.")


def check_memory(_: Facts) -> Diagnosis:
    """Say how much memory is free."""
    free = free_bytes()
    if free < LITTLE_MEMORY:
        return advice(
            f"{gigabytes(free)} free.", "End other programs, or decode less at once: --max-memory 500MB"
        )
    return fine(f"{gigabytes(free)} free.")


def check_disk(facts: Facts) -> Diagnosis:
    """Say how much room there is where commands write."""
    store = sqlite_file(facts.config.tracking_uri)
    places = {"--cache-dir": facts.config.cache_folder, "TMPDIR": Path(tempfile.gettempdir())}
    if store:
        places["--tracking-uri"] = Path(store).absolute().parent
    least = math.inf
    for flag, folder in places.items():
        there = existing(folder)
        if not os.access(there, os.W_OK | os.X_OK):
            return broken(f"{there} cannot be written.", f"Set {flag} to a folder that you may write to.")
        free = shutil.disk_usage(there).free
        if free < NO_DISK:
            return broken(
                f"{there} has {gigabytes(free)} free.", f"Delete files, or set {flag} to another disk."
            )
        if free < LITTLE_DISK and free < least:
            short = there
        least = min(least, free)
    if least < LITTLE_DISK:
        return advice(
            f"{short} has {gigabytes(least)} free.", "Remove what is not needed: python -m trainer.cache list"
        )
    return fine(f"{gigabytes(least)} free or more for features, runs and temporary files.")


def check_browser(_: Facts) -> Diagnosis:
    """Say whether the browser tests and the images of the pages find a Chromium."""
    found = find_browser()
    if found:
        return fine(f"{found}.")
    return advice(
        "none found; only tests, images of the pages and PDF reports need it.", "sudo apt install chromium"
    )


def _cores() -> int:
    """Return how many cores this process may use, by its affinity and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # "max" for none
        quota, period = QUOTA.read_text().split()
        cores = min(cores, max(math.ceil(int(quota) / int(period)), 1))
    return cores


def existing(folder: Path) -> Path:
    """Return a folder, or the nearest above it that exists."""
    folder = folder.absolute()
    return next(one for one in (folder, *folder.parents) if one.is_dir())
