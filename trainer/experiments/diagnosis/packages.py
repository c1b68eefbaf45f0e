"""Check the versions of the installed packages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

from trainer.experiments.diagnosis.facts import SOURCES, Facts
from trainer.experiments.diagnosis.findings import Diagnosis, advice, broken, fine

if TYPE_CHECKING:
    from packaging.requirements import Requirement

NAMED = 4  # packages in a line
_LOCKED = re.compile(r"^([\w.-]+)==([^\s;\\]+)(?:\s*;\s*([^\\]+))?", re.MULTILINE)


def requirement(name: str) -> str:
    """Return what is required of a package, such as ``torch==2.13.0``; its name where that is unknown."""
    try:
        return next(line for line in _required() if re.match(rf"{name}\b", line))
    except (OSError, ValueError, StopIteration):
        return name


def check_packages(_: Facts) -> Diagnosis:
    """Say whether everything that Headroom and its torch require is installed, in a version that fits."""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in _required()]
    own = len(wanted)
    wanted += _of_torch()
    wrong = [told for one in wanted if (told := _problem(one))]
    if not wrong:
        return fine(f"Python {_python()}, all {own} requirements of Headroom.")
    return broken(f"{_some(wrong)}.", reinstall())


def check_lock(_: Facts) -> Diagnosis:
    """Say which packages have another version than the tests ran with."""
    from packaging.markers import Marker

    path = SOURCES / "requirements.lock"
    if not path.is_file():
        return fine("not part of an installed package.")
    others, same = [], 0
    for name, version, marker in _LOCKED.findall(path.read_text(encoding="utf-8")):
        has = _version(name)
        if has is None or (marker and not Marker(marker.strip()).evaluate()):
            continue
        same += has == version
        if has != version:
            others.append(f"{name} {has} (tested: {version})")
    if others:
        return advice(f"{_some(others)}.", "pip install --require-hashes -r requirements.lock")
    return fine(f"{same} installed packages have the tested versions.")


def _required() -> list[str]:
    """Return Headroom's requirements: of the checkout, or of the installed package."""
    project = SOURCES / "pyproject.toml"
    if project.is_file():
        return list(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"])
    return [line for line in metadata.requires("headroom") or [] if "extra ==" not in line]


def _of_torch() -> Iterator[Requirement]:
    """Yield what the installed torch requires: libraries of CUDA in exact versions, among others."""
    from packaging.requirements import Requirement

    if _version("torch") is None:
        return
    for line in metadata.requires("torch") or []:
        one = Requirement(line)
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            yield one


def _problem(wanted: Requirement) -> str:
    """Return what is wrong with an installed package; "" if nothing is."""
    has = _version(wanted.name)
    if has is None:
        return f"{wanted.name} is not installed"
    if wanted.specifier.contains(has, prereleases=True):
        return ""
    return f"{wanted.name} is {has}, and {wanted.specifier} is required"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _some(texts: list[str]) -> str:
    more = len(texts) - NAMED
    return "; ".join(texts[:NAMED]) + (f"; and {more} more" if more > 0 else "")


def reinstall() -> str:
    """Return the command that installs what is required."""
    path = SOURCES / "requirements.txt"
    return f"pip install -r {path.name}" if path.is_file() else "pip install --upgrade headroom"


def _python() -> str:
    import platform

    return platform.python_version()
