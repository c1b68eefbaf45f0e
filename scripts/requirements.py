"""Write the requirements files from the dependencies in pyproject.toml.

    python scripts/requirements.py           # write them
    python scripts/requirements.py --check   # exit code 1 if one is out of date
    .venv/bin/python scripts/requirements.py --lock    # also write requirements.lock; needs uv

requirements.txt has what Headroom needs, requirements-dev.txt what its tests and docs need besides,
every extra among it.
requirements.lock has both with hashes and exact versions, those of the environment that runs this script, in
which the tests pass. It lacks torch and what only torch needs, because builds for CPUs and for GPUs share a
version, but not a hash; and pip, which installs them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
HEADING = "# Generated from pyproject.toml: python scripts/requirements.py"
NOT_LOCKED = ("torch", "triton", "pip")  # and the packages of NVIDIA


def files() -> dict[Path, str]:
    """The requirements files: path and text as it should be."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    own = f"{project['name']}["
    dev = [line for name in extras for line in extras[name] if not line.startswith(own)]
    return {
        ROOT / "requirements.txt": _text(project["dependencies"]),
        ROOT / "requirements-dev.txt": _text(sorted(dev, key=str.lower)),
    }


def _text(lines: list[str]) -> str:
    return "\n".join([HEADING, *lines, ""])


def lock() -> None:
    """Write the versions that this environment has, with the hashes of all their files on PyPI."""
    installed = sorted((one.name, one.version.partition("+")[0]) for one in distributions())
    LOCK.write_text("".join(f"{name}=={version}\n" for name, version in installed), encoding="utf-8")
    command = ["uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--default-index", "https://pypi.org/simple", "--no-annotate", "--quiet"]
    command += ["--custom-compile-command", ".venv/bin/python scripts/requirements.py --lock"]
    command += ["--output-file", str(LOCK), *(path.name for path in files())]
    subprocess.run(command, check=True, cwd=ROOT)
    LOCK.write_text(_locked(LOCK.read_text(encoding="utf-8")), encoding="utf-8")


def _locked(text: str) -> str:
    kept, keep = [], True
    for line in text.splitlines(keepends=True):
        if not line.startswith(" "):
            name = line.partition("==")[0].strip()
            keep = name not in NOT_LOCKED and not name.startswith(("nvidia-", "cuda-"))
        if keep:
            kept.append(line)
    return "".join(kept)


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
