"""Ask torch what it can do, in a process of its own: a broken build may end Python, or hang."""

from __future__ import annotations

import json
import warnings
from typing import Any


def ask() -> dict[str, Any]:
    """Return what torch says of itself, of the processor and of the GPUs."""
    import torch

    if not hasattr(torch, "__version__"):
        raise ImportError(f"{getattr(torch, '__path__', torch)} is imported in the place of torch")
    from trainer.features.backbone import pick_dtype

    found: dict[str, Any] = {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "hip": getattr(torch.version, "hip", None),
        "threads": torch.get_num_threads(),
        "instructions": [name for name, has in torch.cpu.get_capabilities().items() if has is True],
    }
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found["gpu"] = torch.cuda.is_available()
    found["warning"] = str(told[0].message) if told else ""
    try:
        found["cudnn"] = torch.backends.cudnn.version()
    except RuntimeError as error:  # another version of it was loaded
        found["cudnn_error"] = str(error)
    if found["gpu"]:
        found |= _try_gpu()
    found["dtype"] = pick_dtype("auto", "auto")
    return found


def _try_gpu() -> dict[str, Any]:
    """Return the GPU's name and memory, and why it does not compute, if it does not."""
    import torch

    try:
        free, total = torch.cuda.mem_get_info()
        found = {"name": torch.cuda.get_device_name(), "free": free, "total": total}
        product = torch.ones(8, 8, device="cuda") @ torch.ones(8, 8, device="cuda")
        torch.nn.functional.conv2d(product[None, None], product[None, None])  # by cuDNN
        torch.cuda.synchronize()
    except Exception as error:  # of the driver, of cuBLAS, of cuDNN
        return {"gpu_error": str(error)}
    return found


def main() -> None:
    """Print it as one line of JSON."""
    print(json.dumps(ask()))
