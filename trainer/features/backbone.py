"""Load one part of a saved model, frozen, in float32. Imports torch on first use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.core.errors import InputError, first_line
from trainer.core.json_cache import read_json
from trainer.features.families import Backbone, family_of
from trainer.features.model_files import unread, weight_files
from trainer.features.model_schema import settings_of

if TYPE_CHECKING:
    import torch

SMALLEST_BYTES = 2  # that a weight takes: smaller ones are refused as quantised


class OutOfMemory(Exception):
    """The batch does not fit into the memory of the device."""


class LoadedBackbone:
    """A frozen model part that maps inputs to vectors.

    Attributes:
        device: its device.
        calls: number of forward passes so far.
        parameters: number of parameters.
    """

    def __init__(self, folder: Path, tower: Backbone, *, device: str, dtype: str) -> None:
        """Load ``tower`` from the model in ``folder``.

        Args:
            device: "auto", "cpu", "cuda" or "cuda:N".
            dtype: "float32", or "bfloat16" for autocast (weights stay float32).

        Raises:
            InputError: the weights are unreadable or incomplete; no such device.
        """
        import torch

        self.device = torch.device(pick_device(device))
        self.calls = 0
        self._folder = folder
        self._autocast = dtype == "bfloat16"
        self._vector = tower.output()
        self._model = _load(folder, tower).to(self.device)
        self.parameters = sum(weight.numel() for weight in self._model.parameters())

    def __call__(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Return the vectors of inputs on :attr:`device`: float32 [B, D] on the CPU.

        Raises:
            OutOfMemory: the batch is too large.
        """
        return self.forward_async(**inputs)()

    def forward_async(self, **inputs: torch.Tensor) -> Callable[[], torch.Tensor]:
        """Start the forward pass without waiting for the GPU; call the result to wait for the vectors."""
        import torch

        # TF32, the default for convolutions, has only 10 bits of mantissa.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        autocast = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast)
        with self._usable(), catch_out_of_memory(), torch.inference_mode(), exact, autocast:
            vectors = self._vector(self._model, inputs).float()
            if not self.calls and not vectors.isfinite().all(1).any():
                raise ValueError("all vectors hold NaN or infinite numbers")
        self.calls += 1
        if not vectors.is_cuda:
            return lambda: vectors
        # The copy is queued before the next batch, so waiting for it does not wait for that batch.
        there = torch.empty(vectors.shape, pin_memory=True)
        there.copy_(vectors, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()

        def wait() -> torch.Tensor:
            copied.synchronize()
            return there

        return wait

    def save(self, folder: Path, changed: Mapping[str, torch.Tensor]) -> None:
        """Save the part as a model of its own, with other values for some of its parameters.

        Args:
            folder: where; made if it does not exist.
            changed: values by the parameters' names in the part.
        """
        import torch

        model: Any = self._model
        parameters = dict(model.named_parameters())
        with torch.no_grad(), _quiet():
            for name, value in changed.items():
                parameters[name].copy_(value)
            model.save_pretrained(folder)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Raise InputError for what fails in the first forward pass: the model's files do not fit together.

        Later passes compute the same with other numbers, so their errors are ours.
        """
        try:
            yield
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
            if self.calls or isinstance(error, InputError):
                raise
            raise InputError(
                f"The model in {self._folder} cannot compute with its weights and settings: "
                f"{first_line(error)}. Fetch or save it again."
            ) from error


@contextmanager
def catch_out_of_memory() -> Iterator[None]:
    """Raise OutOfMemory if torch runs out of memory inside the block."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # torch's message for CPU memory
            raise
        raise OutOfMemory from error


def pick_dtype(name: str, device: str) -> str:
    """Resolve ``--dtype``: ``auto`` is bfloat16 if the device supports it natively, else float32.

    On a Xeon with AMX, bfloat16 is three times as fast as float32; on a GPU more. Only ``auto`` imports
    torch.

    Raises:
        InputError: ``auto`` for a device that does not exist.
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
    """Resolve ``--device``: ``auto`` is CUDA if available.

    Raises:
        InputError: unknown device, or CUDA is not available.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise InputError(f"There is no device {name!r}. Choose auto, cpu or cuda.")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            f"--device {name}: torch finds no CUDA device on this machine. Pass --device cpu, or omit it."
        )
    return name


def _load(folder: Path, tower: Backbone) -> torch.nn.Module:
    """Load the part in evaluation mode, float32, ignoring the rest of the model."""
    import torch
    import transformers

    weights = weight_files(folder)  # clearer error than that of transformers
    try:
        with _quiet():
            config = configuration(folder, getattr(transformers, tower.part))
            _check_room(folder, _parameters(tower, config), weights)
            # returns a pair here, unlike its type hints
            loaded: Any = getattr(transformers, tower.part).from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                key_mapping={f"^{re.escape(tower.inside)}": ""} if tower.inside else None,
                **tower.options,
            )
            model, info = loaded
    except InputError:
        raise
    except Exception as error:  # damaged files, other shapes: the libraries raise many types
        raise InputError(
            f"The weights in {folder} cannot be loaded as a {tower.part}: {unread(error)}. Download or "
            "save the model again."
        ) from error
    absent = sorted({*info["missing_keys"], *map(str, info["mismatched_keys"])})
    if any(name.startswith(f"{tower.vector}.") for name in absent):
        raise InputError(
            f"{folder} has no {tower.vector}, the layer into the space that images and texts share: "
            "the model was trained for something else, such as captions, or saved without it. Pass one for "
            "retrieval, such as openai/clip-vit-base-patch32 or Salesforce/blip-itm-base-coco."
        )
    if absent:  # transformers would initialise them randomly
        raise InputError(
            f"The weights in {folder} do not fill the {tower.part} that its config.json describes: "
            f"{len(absent)} tensors are missing, such as {absent[0]}. Download or save the model again."
        )
    spare = _further_layers(model, info["unexpected_keys"])
    if spare:
        raise InputError(
            f"The weights in {folder} have more layers than its config.json describes: {len(spare)} tensors "
            f"are left over, such as {spare[0]}. Download or save the model again."
        )
    for module in tower.spare:
        delattr(model, module)
    return model.eval().requires_grad_(False)


def configuration(folder: Path, part: Any = None) -> Any:
    """Return transformers' configuration of a model, or of the ``part`` (a class) that is loaded.

    It holds what `model_schema` knows; nothing else that a file says reaches transformers.

    Raises:
        InputError: as `families.family_of`; the settings do not go together.
    """
    from transformers import CONFIG_MAPPING

    family_of(folder)  # checks the file
    told = read_json(folder / "config.json")
    try:
        whole = CONFIG_MAPPING[told["model_type"]](**settings_of(told))
    except Exception as error:  # settings that do not go together
        raise InputError(
            f"{folder / 'config.json'} describes no model: {unread(error)}. Fetch or save the model again."
        ) from error
    if part is None or isinstance(whole, part.config_class):
        return whole
    return getattr(whole, part.config_class.base_config_key)


def _parameters(tower: Backbone, config: Any) -> int:
    """Return how many numbers the part has, without memory for them."""
    import torch
    import transformers

    with torch.device("meta"):
        described = getattr(transformers, tower.part)(config, **tower.options)
    return sum(weight.numel() for weight in described.parameters())


def _check_room(folder: Path, parameters: int, weights: Sequence[Path]) -> None:
    """Raise InputError for more numbers than the files can hold, before memory is taken for them."""
    held = sum(file.stat().st_size for file in weights)
    if SMALLEST_BYTES * parameters > held:
        raise InputError(
            f"{folder / 'config.json'} describes {parameters:,} weights, which take at least "
            f"{SMALLEST_BYTES * parameters:,} bytes, but the weights in the folder have {held:,}. They "
            "belong to different models: fetch both again from one place."
        )


def _further_layers(model: Any, unused: Iterable[str]) -> list[str]:
    """Return those of the unused tensors that belong to layers beyond those of the model."""

    def numbered(name: str) -> str:
        return re.sub(r"(?<=\.)\d+(?=\.)", "N", name.removeprefix(f"{model.base_model_prefix}."))

    own = {numbered(name) for name in model.state_dict()}
    return sorted(name for name in unused if "N" in (plain := numbered(name)).split(".") and plain in own)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence reports on unused weights and progress bars; missing weights are checked by the caller."""
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
