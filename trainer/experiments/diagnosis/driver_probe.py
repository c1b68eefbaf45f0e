"""Ask NVIDIA's driver itself, in a process of its own. Standard library only."""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def ask() -> dict[str, Any]:
    """Return the driver's answers: empty where it is not installed."""
    try:
        driver = ctypes.CDLL(LIBRARY)
    except OSError:
        return {}
    version, devices = ctypes.c_int(), ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    code = driver.cuInit(0)
    if code == 0:
        driver.cuDeviceGetCount(ctypes.byref(devices))
    return {"error": code, "cuda": divmod(version.value, 1000), "devices": devices.value}


def main() -> None:
    """Print them as one line of JSON."""
    print(json.dumps(ask()))
