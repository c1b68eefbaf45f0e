"""Check torch, NVIDIA's driver, CUDA, cuDNN and bfloat16. Standard library only."""

from __future__ import annotations

import os
import re
from pathlib import Path

from trainer.core.memory import gigabytes
from trainer.experiments.diagnosis.facts import Driver, Facts
from trainer.experiments.diagnosis.findings import Diagnosis, advice, broken, fine
from trainer.experiments.diagnosis.packages import requirement

DEVICES = Path("/sys/bus/pci/devices")
NVIDIA, DISPLAY = "0x10de", "0x03"  # a vendor; the first digits of the class of what draws or computes
LIBRARIES = ("libcudart*", "libcublas*", "libcudnn*", "libnccl*", "libcusparse*", "libnvrtc*")
OLD_BUILDS = "https://pytorch.org/get-started/locally"
NO_TORCH = advice("not known, because torch does not load.", "Mend torch first.")
PROBLEMS = {  # what the driver says → what to do
    "library version mismatch": "Reboot: the driver was updated, and its old kernel module is still loaded.",
    "communicate with the NVIDIA driver": "Load its kernel module (sudo modprobe nvidia). If that fails, "
    "reinstall the driver for this kernel; with Secure Boot, sign the module.",
    "No devices were found": "Check that the GPU has power and is seated (lspci), and reboot.",
    "Insufficient Permissions": "Add yourself to the group that owns /dev/nvidia0 (video or render).",
}


def check_torch(facts: Facts) -> Diagnosis:
    """Say whether torch loads, and which build it is."""
    found = facts.torch
    reinstall = f"pip install --force-reinstall '{requirement('torch')}'"
    if "error" not in found:
        build = f"for CUDA {found['cuda']}" if found["cuda"] else "for the CPU"
        build = f"for ROCm {found['hip']}" if found["hip"] else build
        return fine(f"{found['version']}, a build {build}.")
    why = found["error"]
    if "No module named 'torch'" in why:
        return broken("not installed.", f"pip install '{requirement('torch')}'")
    if re.search(r"lib\w+\.so|undefined symbol", why):
        return broken(f"does not load: {why}", f"unset LD_LIBRARY_PATH; if that is not it: {reinstall}")
    if "SIGILL" in why:
        return broken(
            "ends Python with SIGILL: this processor lacks instructions that the build uses.",
            f"Use another machine, or a build for this processor ({OLD_BUILDS}).",
        )
    return broken(f"does not load: {why}", reinstall)


def check_driver(facts: Facts) -> Diagnosis:
    """Say which driver and GPUs there are."""
    driver = facts.driver
    if driver.problem:
        fix = next((fix for told, fix in PROBLEMS.items() if told.lower() in driver.problem.lower()), "")
        return broken(f"{driver.problem.rstrip('.')}.", fix or "Reinstall the NVIDIA driver, and reboot.")
    if driver.gpus:
        cuda = f", serves CUDA up to {_dotted(driver.cuda)}" if driver.cuda else ""
        return fine(f"{driver.version or 'installed'}{cuda}; {', '.join(driver.gpus)}.")
    if _has_card():
        return advice(
            "an NVIDIA GPU is in this machine, and no driver for it.",
            "Install the NVIDIA driver. Start a container with --gpus all (NVIDIA Container Toolkit).",
        )
    return fine("no NVIDIA GPU in this machine.")


def check_cuda(facts: Facts) -> Diagnosis:
    """Say whether torch can use the GPU."""
    found, driver = facts.torch, facts.driver
    if "error" in found:
        return NO_TORCH
    if found["gpu"]:
        if "gpu_error" in found:
            return broken(
                f"the GPU is found and does not compute: {_first(found['gpu_error'])}",
                f"Pass --device cpu, or install a torch build for this GPU ({OLD_BUILDS}).",
            )
        free = f"{gigabytes(found['free'])} of {gigabytes(found['total'])} free"
        return fine(f"torch computes on {found['name']}, {free}.")
    if found["hip"]:
        return fine("a build for ROCm without a GPU: everything runs on the CPU.")
    if not found["cuda"]:
        if not driver.gpus:
            return fine("no GPU and a build for the CPU: everything runs on the CPU.")
        return broken(
            "torch is a build for the CPU, so the GPU is not used.",
            f"pip install --force-reinstall '{requirement('torch')}' (from pypi.org, whose build has CUDA).",
        )
    return _unusable(found["cuda"], found["warning"], driver)


def _unusable(built: str, warning: str, driver: Driver) -> Diagnosis:
    """Say why a torch that was built for CUDA ``built`` finds no GPU."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    major = int(built.partition(".")[0])
    if driver.cuda and driver.cuda[0] < major:
        name = f"the driver {driver.version}".rstrip()
        return broken(
            f"{name} serves CUDA up to {_dotted(driver.cuda)}, and torch is built for CUDA {built}.",
            f"Update the driver (nvidia.com/drivers), or install torch for CUDA {driver.cuda[0]} "
            f"({OLD_BUILDS}).",
        )
    if driver.problem:
        return broken(f"torch, built for CUDA {built}, finds no GPU.", "Mend the driver first.")
    if not driver.gpus:
        return fine(f"a build for CUDA {built} without a GPU: everything runs on the CPU.")
    if hidden is not None and hidden.strip() in ("", "-1", "none", "NoDevFiles"):
        return fine("CUDA_VISIBLE_DEVICES hides the GPU: everything runs on the CPU.")
    why = f": {_first(warning)}" if warning else "."
    return broken(
        f"torch, built for CUDA {built}, finds no GPU, and the driver has {len(driver.gpus)}{why}",
        "Check CUDA_VISIBLE_DEVICES, unset LD_LIBRARY_PATH, and reboot.",
    )


def check_cudnn(facts: Facts) -> Diagnosis:
    """Say whether CUDA's libraries are those that torch was built with."""
    found = facts.torch
    if "error" in found:
        return NO_TORCH
    if not found["cuda"]:
        return fine("not used by this build.")
    reinstall = f"pip install --force-reinstall '{requirement('torch')}'"
    if "cudnn_error" in found:
        return broken(_first(found["cudnn_error"]), f"unset LD_LIBRARY_PATH; if that is not it: {reinstall}")
    if others := _foreign_libraries():
        return advice(
            f"LD_LIBRARY_PATH has libraries of another CUDA, which are loaded before torch's own: {others}.",
            "unset LD_LIBRARY_PATH (and remove it from ~/.bashrc): torch brings its own.",
        )
    if not found["cudnn"]:
        return broken("missing in this build for CUDA.", reinstall)
    return fine(f"version {found['cudnn']}.")


def check_bfloat16(facts: Facts) -> Diagnosis:
    """Say what encoders compute with."""
    found = facts.torch
    if "error" in found:
        return NO_TORCH
    if found["dtype"] != "bfloat16":
        return fine("not native here: encoders compute in float32.")
    names = [name for name in ("amx_bf16", "avx512_bf16") if name in found["instructions"]]
    return fine("native on the GPU." if found["gpu"] else f"native ({', '.join(names)}).")


def _foreign_libraries() -> str:
    """Return folders of LD_LIBRARY_PATH that hold libraries of CUDA."""
    folders = [Path(one) for one in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if one]
    holding = [one for one in folders if any(any(one.glob(pattern)) for pattern in LIBRARIES)]
    return ", ".join(map(str, dict.fromkeys(holding)))


def _has_card() -> bool:
    """Return whether the bus has an NVIDIA GPU, whatever drivers there are."""
    for device in DEVICES.glob("*"):
        try:
            kind = (device / "class").read_text()
            if (device / "vendor").read_text().strip() == NVIDIA and kind.startswith(DISPLAY):
                return True
        except OSError:
            continue
    return False


def _dotted(version: tuple[int, int] | None) -> str:
    return ".".join(map(str, version or ()))


def _first(text: str) -> str:
    return (text.strip().splitlines() or [""])[0]
