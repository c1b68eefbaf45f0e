"""Headroom installed as a package: built, installed and used where no checkout is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.support.image_files import class_folders
from tests.support.paths import REPO
from tests.support.trained_sweep import DemoSweep
from trainer import __version__
from trainer.__main__ import COMMANDS

pytestmark = pytest.mark.slow

EXAMPLE = """
import trainer as hr

data = hr.load_dataset("demo")
features = hr.extract_features(data)
result = hr.run_sweep(features, trials=4, seeds=1, fresh_seeds=0)
print(result.best.trial, result.best.test_accuracy)
logged = hr.run_sweep(features, trials=4, seeds=1, tracking_uri="sqlite:///mlruns/mlflow.db")
run = hr.open_run(logged.run_id)
assert run.confusion("test").to_numpy().sum() == data.counts["test"]
assert not hr.compare(result, run).significant
assert hr.Predictor.from_run(run.run_id).classes == data.classes
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=REPO, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment with the wheel, and with this environment's libraries."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty working directory."""
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="module")
def encoded(demo_sweep: DemoSweep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which the images of the demo are encoded."""
    folder = tmp_path_factory.mktemp("encoded")
    shutil.copytree(demo_sweep.cache, folder / ".cache" / "headroom")
    return folder


def run(command: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command as a person in ``folder`` runs it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_wheel_has_code_data_and_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = message_from_bytes(archive.read(f"headroom-{__version__}.dist-info/METADATA"))
    ours = {
        path.relative_to(REPO).as_posix()
        for package in ("trainer", "dashboard")
        for path in (REPO / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {name for name in names if ".dist-info" not in name} == {*ours, "dashboard/.streamlit/config.toml"}
    assert metadata["Version"] == __version__
    assert metadata.get_all("License-File") == ["LICENSE", "NOTICE"]
    assert "torch==2.13.0" in metadata.get_all("Requires-Dist", [])


def test_the_example_runs(installed: Path, encoded: Path) -> None:
    done = run([installed / "python", "-c", EXAMPLE], encoded)
    assert done.returncode == 0, done.stderr
    assert (encoded / "mlruns" / "mlflow.db").is_file()
    assert {path.name for path in encoded.iterdir()} == {"mlruns", ".cache"}


def test_images_are_encoded_into_the_working_directory(installed: Path, workplace: Path) -> None:
    class_folders(workplace / "images", {"a": 3, "b": 3})
    done = run([installed / "headroom", "extract", "--data", "images", "--encoder", "demo"], workplace)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["encoded"] == 6
    assert list((workplace / ".cache" / "headroom" / "features").glob("*/*.safetensors"))
    assert {path.name for path in workplace.iterdir()} == {"images", "mlruns", ".cache"}


def test_the_command_runs(installed: Path, encoded: Path) -> None:
    done = run([installed / "headroom", "sweep", "--data", "demo", "--trials", "4", "--seeds", "1"], encoded)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["trials"] == 4
    assert (encoded / "mlruns" / "artifacts").is_dir()


def test_the_command_says_what_it_can_do(installed: Path, workplace: Path) -> None:
    shown = run([installed / "headroom", "--help"], workplace)
    assert [line.split()[0] for line in shown.stdout.splitlines() if re.match(r"  \w", line)] == list(
        COMMANDS
    )
    assert run([installed / "headroom", "--version"], workplace).stdout == f"headroom {__version__}\n"
    assert run([installed / "headroom", "cache", "list"], workplace).returncode == 0
    usage = run([installed / "headroom", "sweep", "--help"], workplace).stdout.splitlines()[0]
    assert usage == "usage: headroom sweep [-h] [OPTIONS]"
    refused = run([installed / "headroom", "swep"], workplace)
    assert (refused.returncode, refused.stdout) == (2, "")


def test_the_dashboard_has_its_settings(installed: Path, workplace: Path) -> None:
    """Streamlit reads the theme and the address beside Home.py."""
    done = run([installed / "headroom", "dashboard", "--help"], workplace)
    assert done.returncode == 0, done.stderr
    assert "--server.port" in done.stdout
    code = (
        "import dashboard; from pathlib import Path; from streamlit import config as c;"
        "c._main_script_path = str(Path(dashboard.__path__[0]) / 'Home.py');"
        "print(c.get_option('server.address'), c.get_option('theme.baseFontSize'))"
    )
    assert run([installed / "python", "-c", code], workplace).stdout == "127.0.0.1 14\n"


@pytest.mark.parametrize("notebook", sorted((REPO / "examples").glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_notebooks_run(notebook: Path, installed: Path, encoded: Path) -> None:
    """All code cells, one after the other; what a cell shows is not looked at."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in content["cells"]]
    assert len(set(ids)) == len(ids)
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    done = run([installed / "python", "-c", "\n".join("".join(cell["source"]) for cell in code)], encoded)
    assert done.returncode == 0, done.stderr
