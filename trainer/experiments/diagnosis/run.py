"""Run every check, each by itself: what fails or hangs is one line, and the others are still made."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from trainer.core.errors import InputError, NoResultError, first_line
from trainer.core.locations import hide_password
from trainer.experiments.diagnosis import gpu, hub_access, machine, packages, store
from trainer.experiments.diagnosis.config import DoctorConfig
from trainer.experiments.diagnosis.facts import Facts
from trainer.experiments.diagnosis.findings import Diagnosis, broken, within

WITHIN_S = 150.0  # longer than what waits for torch
CHECKS: dict[str, Callable[[Facts], Diagnosis]] = {
    "Packages": packages.check_packages,
    "Lock": packages.check_lock,
    "torch": gpu.check_torch,
    "NVIDIA driver": gpu.check_driver,
    "CUDA": gpu.check_cuda,
    "cuDNN": gpu.check_cudnn,
    "bfloat16": gpu.check_bfloat16,
    "Threads": machine.check_threads,
    "Memory": machine.check_memory,
    "Disk": machine.check_disk,
    "MLflow store": store.check_store,
    "Hub cache": hub_access.check_hub_cache,
    "Hub": hub_access.check_hub,
    "Chromium": machine.check_browser,
}


def run(config: DoctorConfig, tell: Callable[[str], None]) -> dict[str, Any]:
    """Make every check and tell what it found. Returns the figures.

    Args:
        tell: prints a line.

    Raises:
        NoResultError: something is broken; with the figures.
    """
    began, facts, found = time.monotonic(), Facts(config), {}
    width = max(map(len, CHECKS)) + 1
    for name, check in CHECKS.items():
        found[name] = one = _examine(check, facts)
        fix = f" Fix: {one.fix}" if one.fix else ""
        tell(f"{one.status:<6}  {name + ':':<{width}} {' '.join(one.found.split())}{fix}")
    counts = {status: sum(one.status == status for one in found.values()) for status in ("broken", "advice")}
    figures = {
        "checks": [{"name": name, **one._asdict()} for name, one in found.items()],
        **counts,
        "elapsed_s": round(time.monotonic() - began, 3),
    }
    if counts["broken"]:
        names = ", ".join(name for name, one in found.items() if one.status == "broken")
        raise NoResultError(f"Broken: {names}. Each line above says what to do.", figures)
    return figures


def _examine(check: Callable[[Facts], Diagnosis], facts: Facts) -> Diagnosis:
    """Return what a check finds; that it failed or hung is found, too."""
    try:
        return within(WITHIN_S, lambda: check(facts))
    except InputError as error:  # which says what to do
        return broken(hide_password(str(error)), "")
    except ImportError as error:
        return broken(f"cannot be checked: {first_line(error)}.", packages.reinstall())
    except Exception as error:
        what = f"{type(error).__name__}: {first_line(error)}"
        return broken(f"cannot be checked: {hide_password(what)}.", "Reinstall what it names, or report it.")
