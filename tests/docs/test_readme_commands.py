"""Every command in the README, run as a person types it, in a fresh checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.docs.test_docs import FENCE, README, SPAN
from tests.support.browser import free_port
from tests.support.image_files import class_folders
from tests.support.paths import REPO, TWO_CORES

pytestmark = pytest.mark.slow

HUB = "openai/clip-vit-base-patch32"
ENDS = {
    "make demo",
    f"python -m trainer.check --data path/to/images --encoder {HUB}",
    f"python -m trainer.sweep --data path/to/images --encoder {HUB} --trials 64 --seeds 3",
}
SERVES = {"make dashboard", "make ui", "streamlit run dashboard/Home.py"}
ELSEWHERE = {
    "make test": "these tests",
    "source .venv/bin/activate": "before each of the commands below",
    "pip install .": "tests/commands/test_package.py",
    "headroom sweep …": "tests/commands/test_package.py",
    "python -m trainer.sweep …": "the whole one, below",
}
WITHIN_S = 120  # until a server answers


def commands() -> set[str]:
    text = README.read_text(encoding="utf-8")
    lines = [
        line for language, block in FENCE.findall(text) if language == "sh" for line in block.splitlines()
    ]
    spans = SPAN.findall(FENCE.sub("", text))
    typed = re.compile(r"(make|pip|python|headroom|streamlit|mlflow) \S")
    return {re.sub(r"\s+#.*", "", line) for line in lines if line} | {
        one for one in spans if typed.match(one)
    }


def test_no_command_of_the_readme_goes_untried() -> None:
    assert commands() == ENDS | SERVES | set(ELSEWHERE)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, saved_clip: Path) -> Path:
    """A copy of what git keeps, with images, an encoder, and the environment of these tests."""
    folder = tmp_path_factory.mktemp("readme") / "headroom"
    files = subprocess.run(["git", "ls-files"], cwd=REPO, check=True, capture_output=True, text=True).stdout
    for name in files.splitlines():
        if (REPO / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, folder / name)
    (folder / ".venv").symlink_to(REPO / ".venv")
    for requirements in folder.glob("requirements*"):
        os.utime(requirements, (0, 0))  # that environment is set up
    class_folders(folder / "path" / "to" / "images", {"cat": 20, "dog": 20})
    shutil.copytree(saved_clip, folder / "clip")
    return folder


def own(text: str) -> str:
    """With an encoder that needs no model hub."""
    return text.replace(HUB, "clip")


def shell(command: str) -> list[str]:
    """As in a shell of its own: what `make test-all` hands down to another make is not there."""
    return ["bash", "-ec", f"unset MAKEFLAGS MAKELEVEL\nsource .venv/bin/activate\nexec {own(command)}"]


@pytest.mark.parametrize("command", sorted(ENDS))
def test_a_command_ends_with_its_figures(checkout: Path, command: str) -> None:
    done = subprocess.run(
        shell(command), cwd=checkout, env=os.environ | TWO_CORES, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    if "check" in command:
        assert figures["classes"] == {"cat": 20, "dog": 20}
        return
    assert figures["trials"] == (32 if command == "make demo" else 64)
    assert (checkout / "mlruns" / "mlflow.db").exists()


@pytest.mark.parametrize("command", sorted(SERVES))
def test_a_command_serves_a_page(checkout: Path, command: str) -> None:
    port = free_port()
    ports = {"STREAMLIT_SERVER_PORT": str(port), "UI_PORT": str(port)}
    quiet = {"STREAMLIT_SERVER_HEADLESS": "true"}
    server = subprocess.Popen(
        shell(command),
        cwd=checkout,
        env=os.environ | ports | quiet,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        assert "<html" in answer(f"http://127.0.0.1:{port}", server)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def answer(address: str, server: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return urllib.request.urlopen(address, timeout=10).read().decode()
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"no answer within {WITHIN_S} s; exit code {server.poll()}")


def test_the_python_example_runs(checkout: Path) -> None:
    (example,) = (block for language, block in FENCE.findall(README.read_text()) if language == "python")
    script = f"{own(example)}\nassert 0 <= result.best.test_accuracy.value <= 1\n"
    done = subprocess.run(
        [".venv/bin/python", "-c", script],
        cwd=checkout,
        env=os.environ | TWO_CORES,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
