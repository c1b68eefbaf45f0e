"""The dependencies in pyproject.toml, the requirements files, the lock and the environment agree."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version

from scripts import requirements
from trainer import __version__
from trainer.serving.packaging import NEEDED

PROJECT = tomllib.loads((requirements.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def name_of(line: str) -> str:
    """The normalised name of a requirement."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", line)[0]).lower()


def test_the_requirements_files_are_generated() -> None:
    stale = [path.name for path, text in requirements.files().items() if path.read_text() != text]
    assert stale == [], "run: python scripts/requirements.py"


def test_a_logged_model_needs_nothing_that_is_no_dependency() -> None:
    assert {name_of(name) for name in NEEDED} <= {name_of(line) for line in PROJECT["dependencies"]}


def locks() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in requirements.LOCKS)


def test_the_locks_have_every_requirement_but_torch_with_hashes() -> None:
    text = locks()
    locked = re.findall(
        r"^([\w.-]+)==\S+(?: ; .*?)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE
    )
    assert len(locked) == len(re.findall(r"^\w", text, re.MULTILINE))
    required = {
        name_of(line)
        for path in requirements.files()
        for line in path.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    }
    assert required - {name_of(name) for name, _ in locked} == {"torch"}


def test_what_only_tests_need_is_in_a_lock_of_its_own() -> None:
    run, develop = (
        {name_of(line) for line in re.findall(r"^\w\S*", path.read_text(), re.MULTILINE)}
        for path in requirements.LOCKS
    )
    assert {"pytest", "mypy", "ruff", "playwright", "mkdocs"} <= develop - run
    assert {"streamlit", "mlflow", "pi-heif", "pydicom"} <= run - develop


def test_only_torch_with_its_own_libraries_and_pip_are_not_locked() -> None:
    locked = {name_of(line) for line in re.findall(r"^\w\S*", locks(), re.MULTILINE)}
    assert (
        locked & {"torch", "triton", "pip"} == set()
    )  # one version of torch, with other hashes for each device
    assert [name for name in locked if name.startswith(("nvidia-", "cuda-"))] == []


def test_setting_up_checks_the_hashes() -> None:
    rules = (requirements.ROOT / "Makefile").read_text(encoding="utf-8")
    assert "$(PIP) --require-hashes --no-deps -r $(1) " in rules
    assert re.findall(r"\(call install,(\S+),", rules) == [path.name for path in requirements.LOCKS]
    assert rules.count("$(PIP)") == 3  # the fallback takes what it finds within the bounds


def test_torch_is_what_the_requirements_say() -> None:
    (wanted,) = (line for line in PROJECT["dependencies"] if line.startswith("torch=="))
    assert version("torch").partition("+")[0] == wanted.removeprefix("torch==")


def test_the_version_is_that_of_the_changelog() -> None:
    changelog = (requirements.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE).group(1) == __version__  # type: ignore[union-attr]
