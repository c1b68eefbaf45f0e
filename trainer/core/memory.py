"""Measure the memory of this process and machine, and share it out. Standard library only."""

from __future__ import annotations

import multiprocessing
import multiprocessing.dummy  # the same names for threads
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainer.core.errors import InputError

SHARE = 0.8  # of the free memory that training may take; the rest is for what no estimate knows
UNITS = {"": 0, "B": 0, "K": 10, "M": 20, "G": 30, "T": 40}
UNKNOWN = 4 << 30  # bytes that are taken for free where the system does not say
_KIB = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
_GROUPS = (  # limit and use of a container: version 2, version 1
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def parse_size(text: str, *, flag: str) -> int:
    """Return the bytes of a size such as ``2GB``, ``1.5 GiB`` or ``500M``; units are powers of 1,024.

    Raises:
        InputError: it is none, or 0; the message names ``flag``.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([KMGT]?)(?:I?B)?", text.strip().upper())
    size = int(float(found[1]) * (1 << UNITS[found[2]])) if found else 0
    if not size:
        raise InputError(f"{flag} is {text!r}; it must be a size, such as 2GB or 500MB.")
    return size


def free_bytes() -> int:
    """Return how many bytes the system, or the container that this runs in, can still give."""
    free = [UNKNOWN]
    with suppress(OSError, ValueError, IndexError):
        told = Path("/proc/meminfo").read_text()
        free = [int(told.split("MemAvailable:")[1].split()[0]) << 10]
    for limit, used in _GROUPS:
        with suppress(OSError, ValueError):  # "max" for none
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    return max(min(free), 0)


def available_bytes() -> int:
    """Return how many bytes of main memory training may take now."""
    return int(SHARE * free_bytes())


def gigabytes(number: float) -> str:
    """Return bytes for people, such as 3.2 GB."""
    return f"{number / 1e9:.1f} GB"


def peak_bytes() -> int:
    """Return the largest resident size that this process has had."""
    with suppress(OSError, ValueError, IndexError):  # on Linux a child's ru_maxrss starts at its parent's
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


class MemoryBudget:
    """Bytes that several threads, or processes, use at a time. What exceeds the budget goes ahead alone."""

    def __init__(self, limit: int, *, processes: bool = False) -> None:
        """Create a budget of ``limit`` bytes.

        Args:
            processes: it is passed to spawned processes, which share it.
        """
        self.limit = limit
        shared = multiprocessing.get_context("spawn") if processes else multiprocessing.dummy
        self._changed = shared.Condition()
        self._used = shared.Value("q", 0, lock=False)

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Wait until ``size`` bytes are free, and use them during the block. Blocks must not be nested."""
        with self._changed:
            while self._used.value and self._used.value + size > self.limit:
                self._changed.wait()
            self._used.value += size
        try:
            yield
        finally:
            with self._changed:
                self._used.value -= size
                self._changed.notify_all()
