"""Write the requirements files from the dependencies in pyproject.toml.

    python scripts/requirements.py           # write them
    python scripts/requirements.py --check   # exit code 1 if one is out of date
    .venv/bin/python scripts/requirements.py --lock    # also write the lock files; needs uv

requirements.txt has what Headroom needs, with the extras for more kinds of images; requirements-dev.txt what
its tests and docs need besides, every other extra among it.
requirements.lock and requirements-dev.lock have them, and what they need, with hashes and exact versions,
those of the environment that runs this script, in which the tests pass. They lack torch and what only torch
needs, because builds for CPUs and for GPUs share a version, but not a hash; and pip, which installs them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUN, DEVELOP = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"
LOCKS = (ROOT / "requirements.lock", ROOT / "requirements-dev.lock")
IMAGE_FORMATS = ("heic", "dicom")  # extras of the package that a checkout has
HEADING = "# Generated from pyproject.toml: python scripts/requirements.py"
LOCK_HEADING = "# Generated: .venv/bin/python scripts/requirements.py --lock\n"
NOT_LOCKED = ("torch", "triton", "pip")  # and the packages of NVIDIA


def files() -> dict[Path, str]:
    """The requirements files: path and text as it should be."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    own = f"{project['name']}["
    formats = [line for name in IMAGE_FORMATS for line in extras[name]]
    dev = {line for name in extras for line in extras[name] if not line.startswith(own)} - {*formats}
    return {
        RUN: _text([*project["dependencies"], *formats]),
        DEVELOP: _text(sorted(dev, key=str.lower)),
    }


def _text(lines: list[str]) -> str:
    return "\n".join([HEADING, *lines, ""])


def lock() -> None:
    """Write the versions that this environment has, with the hashes of all their files on PyPI."""
    installed = sorted((one.name, one.version.partition("+")[0]) for one in distributions())
    preferred = "".join(f"{name}=={version}\n" for name, version in installed)
    run = _compiled([RUN], preferred)
    develop = _compiled([RUN, DEVELOP], preferred)
    more = {name: entry for name, entry in develop.items() if run.get(name) != entry}  # or on more systems
    for path, kept in zip(LOCKS, (run, more), strict=True):
        path.write_text("".join([LOCK_HEADING, *(kept[name] for name in sorted(kept))]), encoding="utf-8")


def _compiled(wanted: list[Path], preferred: str) -> dict[str, str]:
    """Return the lines of each library that the files need, by name, in the preferred versions."""
    command = ["uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--default-index", "https://pypi.org/simple", "--no-annotate", "--no-header", "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "lock.txt")
        output.write_text(preferred, encoding="utf-8")
        command += ["--output-file", str(output), *map(str, wanted)]
        subprocess.run(command, check=True, cwd=ROOT)
        entries = re.split(r"^(?=\w)", output.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    by_name = {re.split(r"[=@ ]", entry, maxsplit=1)[0]: entry for entry in entries}
    return {
        name: entry
        for name, entry in by_name.items()
        if name not in NOT_LOCKED and not name.startswith(("nvidia-", "cuda-"))
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--lock", action="store_true")
    arguments = parser.parse_args()
    stale = [path for path, text in files().items() if path.read_text(encoding="utf-8") != text]
    if arguments.check:
        sys.exit(f"Out of date: {', '.join(path.name for path in stale)}" if stale else 0)
    for path in stale:
        path.write_text(files()[path], encoding="utf-8")
    if arguments.lock:
        lock()


if __name__ == "__main__":
    main()
