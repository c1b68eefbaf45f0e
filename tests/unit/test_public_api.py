"""`import trainer` is light, and what it offers is complete and documented."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import trainer
from trainer import api
from trainer.__main__ import COMMANDS

HEAVY = ("numpy", "pandas", "torch", "mlflow", "transformers", "altair", "rich", "tyro")
PUBLIC = [name for name in trainer.__all__ if name != "__version__"]


def modules_after(code: str) -> set[str]:
    """Names of all modules that a fresh interpreter has loaded after ``code``."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_import_loads_no_library() -> None:
    assert modules_after("import trainer").isdisjoint(HEAVY)


def test_the_help_and_the_version_load_no_library() -> None:
    loaded = modules_after("from trainer.__main__ import main; main(['--help']); main(['--version'])")
    assert loaded.isdisjoint(HEAVY)


def test_every_name_of_the_api_is_public() -> None:
    assert set(api.__all__) <= set(trainer.__all__)
    assert list(trainer.__all__) == sorted(trainer.__all__)


def test_no_name_hides_a_command_but_the_one_whose_module_can_be_called() -> None:
    modules = {path.stem for path in Path(trainer.__path__[0]).iterdir()}
    assert modules & set(trainer.__all__) == {"compare"}
    assert callable(importlib.import_module("trainer.compare"))


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name: str) -> None:
    public = getattr(trainer, name)
    assert inspect.getdoc(public)
    assert name in dir(trainer)
    if inspect.isfunction(public):
        assert "Raises:" in public.__doc__
        assert "Example:" in public.__doc__
    if inspect.isclass(public) and public.__module__ == "trainer.api":
        for attribute, value in vars(public).items():
            if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{attribute}"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = trainer.nonsense


def test_the_entry_point_names_every_command() -> None:
    from scripts.docs import CONFIGS

    assert list(COMMANDS) == [*CONFIGS, "dashboard"]


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    from trainer.__main__ import main

    with pytest.raises(SystemExit) as stopped:
        main(["swep"])
    assert stopped.value.code == 2
    assert "'swep' is not a command. Commands: check, sweep, extract" in capsys.readouterr().err
