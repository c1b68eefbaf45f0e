"""Pictures → vectors with CLIP's vision tower. torch and transformers are imported when one is made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from trainer.errors import InputError
from trainer.features.key import preprocessing, read_json, weight_files

if TYPE_CHECKING:
    import torch

MODEL_TYPES = ("clip", "clip_vision_model")  # a whole CLIP, or its vision tower saved alone
HUB_TIMEOUT_S = 5  # without a network the answer should come in seconds
_CURES = (
    "Pass a local folder made with save_pretrained, set HF_ENDPOINT to a mirror, or put a copy into the "
    "Hugging Face cache (HF_HOME)"
)


def resolve(name: str) -> Path:
    """The folder of the model called ``name``: a local folder, else a Hugging Face id.

    An id is looked up in the local cache first and fetched only if it is not there.

    Raises:
        InputError: not to be had, or not a CLIP model.
    """
    local = Path(name).expanduser()
    if local.is_dir():
        folder = local
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not name.startswith("."):
        folder = _from_hub(name)
    else:
        raise InputError(f"There is no folder {name!r}, and it cannot be a Hugging Face id. {_CURES}.")
    if not (folder / "config.json").is_file():
        raise InputError(f"{name} holds no config.json, so it is not a saved model. {_CURES}.")
    model_type = read_json(folder / "config.json").get("model_type")
    if model_type not in MODEL_TYPES:
        raise InputError(
            f"{name} is a model of type {model_type!r}; the encoder must be a CLIP model (type 'clip'), such "
            "as openai/clip-vit-base-patch32."
        )
    return folder


class ClipEncoder:
    """A frozen CLIP vision tower.

    Attributes:
        calls: forward passes so far.
    """

    def __init__(self, folder: Path, *, device: str = "auto", dtype: str = "float32") -> None:
        """Load the vision tower of the model in ``folder``.

        Args:
            device: "auto", "cpu", "cuda" or "cuda:N".
            dtype: "float32", or "bfloat16" for autocast (weights stay float32).

        Raises:
            InputError: the weights cannot be read or leave a layer without its numbers; no such device.
        """
        import torch
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        self.calls = 0
        self._autocast = dtype == "bfloat16"
        self._device = torch.device(pick_device(device))
        self._processor = CLIPImageProcessorPil.from_dict(preprocessing(folder)[0])
        self._model = _vision_tower(folder).to(self._device)

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Encode a batch.

        Args:
            images: uint8 [H, W, 3] each, of any sizes.

        Returns:
            float32 [B, D]: ``vision_model(...).pooler_output``.
        """
        return self.forward(np.stack([self.preprocess(image) for image in images]))

    def preprocess(self, image_hwc: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] → float32 [3, side, side] by the model's own settings. Safe in threads."""
        # As a PIL image: of a bare array three rows high the processor would guess the axes wrong.
        batch = self._processor([Image.fromarray(image_hwc)], return_tensors="np")
        return np.asarray(batch["pixel_values"][0], dtype=np.float32)

    def forward(self, pixels_bchw: np.ndarray) -> np.ndarray:
        """float32 [B, 3, side, side] → float32 [B, D], one forward pass."""
        import torch

        # TF32, on by default for convolutions, keeps 10 bits of mantissa: float32 shall mean float32.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        autocast = torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._autocast)
        with torch.inference_mode(), exact, autocast:
            pixels = torch.from_numpy(pixels_bchw).to(self._device)
            vectors = self._model(pixel_values=pixels).pooler_output
        self.calls += 1
        return vectors.float().cpu().numpy()


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


def _vision_tower(folder: Path) -> torch.nn.Module:
    """The vision tower in evaluation mode, float32. Of a whole CLIP the text half is left aside."""
    import torch
    from transformers import CLIPVisionModel

    weight_files(folder)  # says so if there are none, more kindly than transformers
    try:
        with _quiet():
            # A pair here; the library's type hints know only the model.
            loaded: Any = CLIPVisionModel.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
            model, info = loaded
    except Exception as error:  # torn files, other shapes: the libraries raise many kinds
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"The weights in {folder} cannot be loaded as a CLIP vision tower: {first_line}. Fetch or save "
            "the model again."
        ) from error
    absent = sorted({*info["missing_keys"], *map(str, info["mismatched_keys"])})
    if absent:  # transformers would fill them with random numbers and go on
        raise InputError(
            f"The weights in {folder} do not fill the vision tower that its config.json describes: "
            f"{len(absent)} tensors are missing, such as {absent[0]}. Fetch or save the model again."
        )
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


def _from_hub(model_id: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    cached = _cached(model_id)
    if cached is not None:
        return cached
    try:
        info: Any = HfApi().model_info(model_id, timeout=HUB_TIMEOUT_S)
        files = _wanted([sibling.rfilename for sibling in info.siblings])
        return Path(
            snapshot_download(model_id, revision=info.sha, allow_patterns=files, etag_timeout=HUB_TIMEOUT_S)
        )
    except Exception as error:  # no network, no such model, no access: the hub's library raises many kinds
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"The encoder {model_id!r} is neither a local folder nor in the local cache, and the Hugging "
            f"Face hub could not be reached or has no such model ({first_line}). {_CURES}."
        ) from error


def _cached(model_id: str) -> Path | None:
    """The cached snapshot, if it is whole."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(model_id, local_files_only=True))
        weight_files(folder)
    except (OSError, ValueError):  # not there, half there, or no valid id: the hub will say
        return None
    return folder if (folder / "config.json").is_file() else None


def _wanted(names: Sequence[str]) -> list[str]:
    """Settings, and the weights once: safetensors, or .bin where a model has nothing else."""
    settings = [name for name in names if re.fullmatch(r"[^/]+\.(json|txt)", name)]
    safe = [name for name in names if re.fullmatch(r"model(-\d+-of-\d+)?\.safetensors", name)]
    return settings + (safe or [n for n in names if re.fullmatch(r"pytorch_model(-\d+-of-\d+)?\.bin", n)])
