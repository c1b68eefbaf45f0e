"""Loads one part of a saved model, frozen and in float32. torch is imported when one is loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.core.errors import InputError, first_line
from trainer.features.families import VECTORS, Backbone
from trainer.features.model_files import weight_files

if TYPE_CHECKING:
    import torch


class OutOfMemory(Exception):
    """The device has no memory for so many at once."""


class LoadedBackbone:
    """Inputs → vectors.

    Attributes:
        device: where it runs.
        calls: forward passes so far.
        parameters: numbers in its weights.
    """

    def __init__(self, folder: Path, tower: Backbone, *, device: str, dtype: str) -> None:
        """Load ``tower`` from the model in ``folder``.

        Args:
            device: "auto", "cpu", "cuda" or "cuda:N".
            dtype: "float32", or "bfloat16" for autocast (weights stay float32).

        Raises:
            InputError: the weights cannot be read or leave a layer without its numbers; no such device.
        """
        import torch

        self.device = torch.device(pick_device(device))
        self.calls = 0
        self._autocast = dtype == "bfloat16"
        self._vector = VECTORS[tower.vector]
        self._model = _load(folder, tower).to(self.device)
        self.parameters = sum(weight.numel() for weight in self._model.parameters())

    def __call__(self, **inputs: torch.Tensor) -> torch.Tensor:
        """What the model takes, on :attr:`device` → float32 [B, D], on the CPU.

        Raises:
            OutOfMemory: the device has no memory for so many.
        """
        return self.begin(**inputs)()

    def begin(self, **inputs: torch.Tensor) -> Callable[[], torch.Tensor]:
        """The same, without waiting for a GPU: call what comes back to wait."""
        import torch

        # TF32, on by default for convolutions, keeps 10 bits of mantissa: float32 shall mean float32.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        autocast = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast)
        with catch_out_of_memory(), torch.inference_mode(), exact, autocast:
            vectors = self._vector(self._model, inputs).float()
        self.calls += 1
        if not vectors.is_cuda:
            return lambda: vectors
        # The copy is queued behind this batch and before the next: to wait for it is not to wait for that.
        there = torch.empty(vectors.shape, pin_memory=True)
        there.copy_(vectors, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()

        def wait() -> torch.Tensor:
            copied.synchronize()
            return there

        return wait


@contextmanager
def catch_out_of_memory() -> Iterator[None]:
    """Raises OutOfMemory where torch has no memory for what happens inside."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # what torch says of a CPU's memory
            raise
        raise OutOfMemory from error


def pick_dtype(name: str, device: str) -> str:
    """What ``--dtype`` stands for on a ``--device``: ``auto`` is bfloat16 where it computes in it natively.

    On a Xeon with AMX that is three times as fast as float32, on a GPU more. Only auto needs torch.

    Raises:
        InputError: ``auto`` on a device that is not there.
    """
    if name != "auto":
        return name
    import torch

    device = pick_device(device)
    if device.startswith("cuda"):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has = torch.cpu.get_capabilities()
        native = bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return "bfloat16" if native else "float32"


def pick_device(name: str) -> str:
    """The torch device behind ``--device``: ``auto`` is CUDA where there is one.

    Raises:
        InputError: no such device, or torch can use none of the kind.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise InputError(f"There is no device {name!r}. Choose auto, cpu or cuda.")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            f"--device {name}: torch finds no CUDA device on this machine. Pass --device cpu, or leave it "
            "out."
        )
    return name


def _load(folder: Path, tower: Backbone) -> torch.nn.Module:
    """The part in evaluation mode, float32. What else a whole model has is left aside."""
    import torch
    import transformers

    weight_files(folder)  # says so if there are none, more kindly than transformers
    try:
        with _quiet():
            # A pair here; the library's type hints know only the model.
            loaded: Any = getattr(transformers, tower.part).from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                key_mapping={f"^{re.escape(tower.inside)}": ""} if tower.inside else None,
                **tower.options,
            )
            model, info = loaded
    except Exception as error:  # torn files, other shapes: the libraries raise many kinds
        raise InputError(
            f"The weights in {folder} cannot be loaded as a {tower.part}: {first_line(error)}. Fetch or save "
            "the model again."
        ) from error
    absent = sorted({*info["missing_keys"], *map(str, info["mismatched_keys"])})
    if absent:  # transformers would fill them with random numbers and go on
        raise InputError(
            f"The weights in {folder} do not fill the {tower.part} that its config.json describes: "
            f"{len(absent)} tensors are missing, such as {absent[0]}. Fetch or save the model again."
        )
    for module in tower.spare:
        delattr(model, module)
    return model.eval().requires_grad_(False)


@contextmanager
def _quiet() -> Iterator[None]:
    """No report on the unused text half, no bars: what matters is checked and raised."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
