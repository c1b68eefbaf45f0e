"""The shape of the code: rooms with one job, names that are used once, functions that fit a screen."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import REPO

MOST_LINES = 60  # of a function; ruff counts its parameters (PLR0913, at most 6)
PACKAGES = ("trainer", "dashboard")
# Experiments share the names of their parts: each has a config, a run, perhaps a report.
ROLES = "trainer/experiments/"
FLAGS = "config.py"  # stands beside what it configures
# A frame, its chart and its page have one name; so do the tables of an experiment and the experiment.
SIDE_BY_SIDE = ("dashboard/", "trainer/tracking/schema/")


def modules(package: str) -> Iterator[Path]:
    return (REPO / package).rglob("*.py")


def within(path: Path) -> str:
    return path.relative_to(REPO).as_posix()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_says_its_job_in_one_line(package: str) -> None:
    for room in (REPO / package).rglob("__init__.py"):
        job = ast.get_docstring(ast.parse(room.read_text()))
        assert job, f"{within(room)} does not say what the room is for"


def test_no_two_rooms_have_a_module_of_the_same_name() -> None:
    places = defaultdict(list)
    for path in modules("trainer"):
        name = within(path)
        if path.name in ("__init__.py", FLAGS) or name.startswith(SIDE_BY_SIDE):
            continue
        if path.parent == REPO / "trainer":  # a command, or the API
            continue
        if name.startswith(ROLES) and path.parent != REPO / ROLES:
            continue
        places[path.name].append(name)
    assert [where for where in places.values() if len(where) > 1] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_class_has_the_name_of_another_one(package: str) -> None:
    places = defaultdict(set)
    for path in modules(package):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(within(path))
    repeated = {name for name, where in places.items() if len(where) > 1}
    assert repeated == set()


def test_functions_fit_a_screen() -> None:
    long = set()
    for package in PACKAGES:
        for path in modules(package):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    lines = (node.end_lineno or 0) - node.lineno + 1
                    if lines > MOST_LINES:
                        long.add(f"{within(path)}: {node.name}")
    assert long == set()


def test_every_pool_of_processes_ends_with_a_parent_that_is_killed() -> None:
    pools = [
        ast.unparse(node)
        for path in (REPO / "trainer").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ProcessPoolExecutor")
    ]
    assert len(pools) >= 2
    assert all("initializer=" in pool for pool in pools), pools
