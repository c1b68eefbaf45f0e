"""What is made once in a run of the tests, however many workers take part in it."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

Made = TypeVar("Made")


class Once:
    """Makes things in a folder that all workers share, each thing by the first worker that asks for it.

    Nobody writes where such a thing lies; who wants to change it takes a copy.
    """

    def __init__(self, own_base: Path) -> None:
        """``own_base`` is the worker's own base folder for temporary files."""
        self._root = own_base.parent if "PYTEST_XDIST_WORKER" in os.environ else own_base

    def __call__(self, name: str, make: Callable[[Path], Made]) -> Made:
        """What ``make`` returns for a fresh, empty folder; the folder stays as long as the tests run."""
        folder, done = self._root / f"once-{name}", self._root / f"once-{name}.pickle"
        with FileLock(self._root / f"once-{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
                folder.mkdir()
                part = done.with_suffix(".part")
                part.write_bytes(pickle.dumps(make(folder)))
                part.replace(done)
        return pickle.loads(done.read_bytes())
