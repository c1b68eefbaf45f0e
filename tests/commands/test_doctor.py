"""The doctor: on a sound machine all is well, on a broken one every other check is still made."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import browser, commands
from trainer.experiments.diagnosis import gpu, hub_access, machine, packages, torch_probe
from trainer.experiments.diagnosis import run as experiment
from trainer.experiments.diagnosis.config import DoctorConfig
from trainer.experiments.diagnosis.facts import Facts
from trainer.experiments.diagnosis.findings import Diagnosis

MISMATCH = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.65"
AWAY = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
    "NVIDIA driver is installed and running."
)
SHIM = """
import os, sys
folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.remove(folder)
del sys.modules["torch"]
import torch
sys.path.insert(0, folder)
torch.version.cuda = "13.0"
"""
LIBCUDA = """
int cuInit(unsigned flags) { return %d; }
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
"""


def nvidia_smi(
    folder: Path, says: str, code: int = 0, *, driver: str = "535.183.01", cuda: str = "12.2"
) -> Path:
    """A folder with a program of that name, as it is where a driver is installed."""
    folder.mkdir(exist_ok=True)
    heading = says or f"| NVIDIA-SMI {driver}   Driver Version: {driver}   CUDA Version: {cuda}  |"
    program = folder / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        f'case "$1" in --query*) echo \'NVIDIA A10, {driver}, 23028 MiB\';; *) echo "{heading}";; esac\n'
        f"exit {code}\n"
    )
    program.chmod(0o755)
    return folder


def package(folder: Path, name: str, source: str) -> Path:
    """A folder that holds a package, to be found before the installed one."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(source)
    return folder


def doctor(*arguments: object, **environment: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """The exit code, what each check found, and what was said."""
    done = commands.run_afresh("trainer.doctor", *arguments, **environment)
    figures = json.loads(done.stdout.splitlines()[-1])
    checks = {one["name"]: one for one in figures["checks"]}
    assert list(checks) == list(experiment.CHECKS)
    assert figures["broken"] == sum(one["status"] == "broken" for one in checks.values())
    return done.returncode, checks, done.stderr


def facts(**known: Any) -> Facts:
    made = Facts(DoctorConfig())
    vars(made).update(known)
    return made


@pytest.fixture
def built_for_cuda(monkeypatch: pytest.MonkeyPatch) -> Facts:
    """A torch for CUDA 13.0 that finds no GPU, as far as it can be had on a machine without one."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU that computes")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return facts(torch=torch_probe.ask())


# --- the command ------------------------------------------------------------------------------


def test_a_sound_machine_is_fine_and_nothing_is_written(tracking_uri: str, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    where = ["--tracking-uri", tracking_uri, "--cache-dir", tmp_path / "cache"]
    code, checks, said = doctor(*where)
    assert code == 0, said
    assert {"torch", "Packages", "MLflow store", "Hub cache", "Hub"} <= {
        name for name, one in checks.items() if one["status"] == "fine"
    }
    assert "HF_HUB_OFFLINE" in checks["Hub"]["found"]
    assert "0 runs in 1 experiment" in checks["MLflow store"]["found"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    lines = said.splitlines()
    assert [line.split()[0] for line in lines] == [one["status"] for one in checks.values()]
    assert all(" Fix: " in line for line in lines if not line.startswith("fine"))


def test_a_driver_too_old_for_torch_is_broken_with_both_versions(tmp_path: Path) -> None:
    path = nvidia_smi(tmp_path / "bin", "")
    code, checks, said = doctor(
        PATH=f"{path}:{os.environ['PATH']}", PYTHONPATH=str(package(tmp_path / "shim", "torch", SHIM))
    )
    assert code == 1
    assert checks["torch"]["status"] == "fine"
    assert checks["NVIDIA driver"]["found"].startswith("535.183.01, serves CUDA up to 12.2; NVIDIA A10")
    assert checks["CUDA"]["status"] == "broken"
    assert "535.183.01 serves CUDA up to 12.2, and torch is built for CUDA 13.0" in checks["CUDA"]["found"]
    assert "Update the driver" in checks["CUDA"]["fix"]
    assert "Error: Broken: CUDA" in said


@pytest.mark.parametrize(
    ("source", "fix"),
    [
        ("raise OSError('libcudart.so.13: cannot open shared object file')", "unset LD_LIBRARY_PATH"),
        ("raise ModuleNotFoundError(\"No module named 'torch'\")", "pip install 'torch=="),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "another machine"),
        ("", "pip install --force-reinstall"),  # an empty folder of that name
    ],
)
def test_a_torch_that_does_not_load_leaves_the_other_checks(source: str, fix: str, tmp_path: Path) -> None:
    code, checks, _ = doctor(PYTHONPATH=str(package(tmp_path, "torch", source)))
    assert code == 1
    assert checks["torch"]["status"] == "broken"
    assert fix in checks["torch"]["fix"]
    assert "Mend torch first" in checks["CUDA"]["fix"]
    assert checks["Memory"]["status"] == "fine"


@pytest.mark.slow
def test_missing_libraries_of_the_console_leave_the_checks(tmp_path: Path) -> None:
    missing = "raise ModuleNotFoundError(\"No module named 'tyro'\")"
    environment = {"PYTHONPATH": str(package(tmp_path, "tyro", missing))}
    for module, *arguments in (["trainer.doctor"], ["trainer", "doctor"]):
        done = commands.run_afresh(module, *arguments, **environment)
        assert done.stderr.startswith("Flags are not read: No module named 'tyro'.")
        assert "Traceback" not in done.stderr
        figures = json.loads(done.stdout.splitlines()[-1])
        assert [one["name"] for one in figures["checks"]] == list(experiment.CHECKS)


def test_a_check_that_fails_or_hangs_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: Facts) -> Diagnosis:
        raise RuntimeError("two\nlines")

    def hangs(_: Facts) -> Diagnosis:
        import threading

        threading.Event().wait()
        raise AssertionError

    monkeypatch.setattr(experiment, "CHECKS", {"A": fails, "B": hangs, "C": machine.check_memory})
    monkeypatch.setattr(experiment, "WITHIN_S", 1)
    told: list[str] = []
    with pytest.raises(experiment.NoResultError) as ended:
        experiment.run(DoctorConfig(), told.append)
    assert [line.split()[1] for line in told] == ["A:", "B:", "C:"]
    assert "RuntimeError: two." in told[0]
    assert "no answer within 1 s" in told[1]
    assert ended.value.figures is not None
    assert ended.value.figures["broken"] == 2


# --- the driver, CUDA and cuDNN ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "code", "fix"),
    [
        (MISMATCH, 18, "Reboot"),
        (AWAY, 9, "modprobe nvidia"),
        ("No devices were found", 6, "seated"),
        ("something new", 1, "Reinstall"),
    ],
)
def test_what_nvidia_smi_says_has_its_fix(
    says: str, code: int, fix: str, built_for_cuda: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{nvidia_smi(tmp_path, says, code)}:{os.environ['PATH']}")
    driver = gpu.check_driver(built_for_cuda)
    assert driver.status == "broken"
    assert driver.found.startswith(says.splitlines()[0].rstrip("."))
    assert fix in driver.fix
    assert gpu.check_cuda(built_for_cuda).fix == "Mend the driver first."


@pytest.mark.parametrize(("code", "status"), [(0, "fine"), (100, "fine"), (803, "broken"), (999, "broken")])
def test_without_nvidia_smi_the_driver_itself_is_asked(
    code: int, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "cuda.c").write_text(LIBCUDA % code)
    library = tmp_path / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "cuda.c"], check=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu, "DEVICES", tmp_path)
    asked = facts()
    assert asked.driver.cuda == (12, 4)
    assert asked.driver.gpus == (("GPU 0",) if code == 0 else ())
    found = gpu.check_driver(asked)
    assert found.status == status
    if code == 803:
        assert "Reboot" in found.fix


def test_a_gpu_and_a_torch_for_the_cpu_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.version.cuda:
        pytest.skip("this torch is built for CUDA")
    monkeypatch.setenv("PATH", f"{nvidia_smi(tmp_path, '')}:{os.environ['PATH']}")
    found = gpu.check_cuda(facts(torch=torch_probe.ask()))
    assert found.status == "broken"
    assert found.fix.startswith("pip install --force-reinstall 'torch==")


def test_no_gpu_is_fine_and_one_without_a_driver_is_advised(
    built_for_cuda: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu, "DEVICES", tmp_path / "devices")
    assert gpu.check_driver(built_for_cuda).status == "fine"
    assert "without a GPU" in gpu.check_cuda(built_for_cuda).found
    card = tmp_path / "devices" / "0000:01:00.0"
    card.mkdir(parents=True)
    (card / "vendor").write_text("0x10de\n")
    (card / "class").write_text("0x030200\n")
    assert "--gpus all" in gpu.check_driver(built_for_cuda).fix


def test_a_hidden_gpu_is_fine_and_an_unexplained_one_is_broken(
    built_for_cuda: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = nvidia_smi(tmp_path, "", driver="580.65.06", cuda="13.0")
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
    assert gpu.check_cuda(built_for_cuda).status == "broken"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu.check_cuda(built_for_cuda).status == "fine"


def test_another_cuda_in_the_library_path_is_named(
    built_for_cuda: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "libcudnn.so.8").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{tmp_path}:/nowhere")
    found = gpu.check_cudnn(built_for_cuda)
    assert found.status == "advice"
    assert str(tmp_path) in found.found


# --- packages, hub, machine -------------------------------------------------------------------


def test_packages_that_are_missing_or_do_not_fit_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dependencies = ["numpy<1", "nowhere-to-be-found>=2", "torch"]
    (tmp_path / "pyproject.toml").write_text(f"[project]\ndependencies = {json.dumps(dependencies)}\n")
    (tmp_path / "requirements.lock").write_text(
        "numpy==1.0 \\\n    --hash=sha256:00\nnowhere-to-be-found==2.0 \\\n    --hash=sha256:00\n"
        "pandas==0.1 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    monkeypatch.setattr(packages, "SOURCES", tmp_path)
    found = packages.check_packages(facts())
    assert found.status == "broken"
    assert "and <1 is required; nowhere-to-be-found is not installed." in found.found
    locked = packages.check_lock(facts())
    assert locked.status == "advice"
    assert "(tested: 1.0)" in locked.found
    assert "pandas" not in locked.found


@pytest.fixture
def mute() -> Iterator[str]:
    """A server that lets everybody connect, and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_hub_that_never_answers_is_given_up(mute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", mute)
    monkeypatch.setattr(hub_access, "WITHIN_S", 1.0)
    found = hub_access.check_hub(facts())
    assert found.status == "advice"
    assert found.found.startswith(mute)
    assert "not asked" in hub_access.check_hub(Facts(DoctorConfig(hub=False))).found


def test_threads_are_measured_by_what_the_container_allows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "cpu.max")
    found = machine.check_threads(facts(torch={"threads": 8}))
    assert (found.status, found.fix) == ("advice", "export OMP_NUM_THREADS=1")
    assert machine.check_threads(facts(torch={"threads": 1})).status == "fine"


def test_a_place_that_cannot_be_written_is_broken(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        place = Path("/proc/self")  # where nobody may create a file
    else:
        place = tmp_path / "closed"
        place.mkdir(mode=0o500)
    found = machine.check_disk(Facts(DoctorConfig(cache_dir=place / "cache")))
    assert found.status == "broken"


def test_the_doctor_looks_for_the_browsers_of_the_tests() -> None:
    assert machine.BROWSERS == browser.BROWSERS
