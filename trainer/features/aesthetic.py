"""Load LAION's linear aesthetic predictors on CLIP image embeddings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainer.core.errors import InputError, first_line
from trainer.core.stand_ins import refuse_stand_in
from trainer.features.model_files import unread

EXPECTED = (
    "Expected a linear layer of one output on the embeddings of CLIP B/32, B/16 (512 numbers) or L/14 (768), "
    "such as LAION's sa_0_4_vit_b_32_linear.pth, as a .pth or .safetensors file"
)


def load_aesthetic(where: str) -> AestheticHead:
    """Read a predictor from a local file, or from ``owner/name/file`` of the Hugging Face hub.

    A .pth file is a pickle, which could run code; it is read with torch's ``weights_only`` loader.

    Raises:
        InputError: there is no such file, or it is not a linear predictor.
    """
    path = Path(os.path.expanduser(where))  # unlike Path.expanduser, accepts an unknown ~user
    if not path.is_file():
        path = _from_hub(where)
    refuse_stand_in(path)
    try:
        tensors = _tensors(path)
    except Exception as error:  # both readers raise many types of exception
        raise InputError(f"{where} cannot be read as weights: {unread(error)}. {EXPECTED}.") from error
    weights = [name for name in tensors if name.rpartition(".")[2] == "weight"]
    bias = tensors.get(weights[0].removesuffix("weight") + "bias") if len(weights) == 1 else None
    if (
        len(weights) != 1
        or tensors[weights[0]].ndim != 2
        or len(tensors[weights[0]]) != 1
        or (bias is not None and bias.size != 1)
    ):
        shapes = ", ".join(f"{name} {list(one.shape)}" for name, one in tensors.items()) or "nothing"
        raise InputError(f"{where} is not a linear predictor; it holds {shapes}. {EXPECTED}.")
    weight_e = tensors[weights[0]][0].astype(np.float64)
    head = AestheticHead(weight_e, 0.0 if bias is None else float(bias.reshape(-1)[0]))
    if not (np.isfinite(weight_e).all() and np.isfinite(head.bias)):
        raise InputError(f"{where} has weights that are not finite. Download it again.")
    return head


def check_predictor(where: str, folder: Path, *, encoder: str) -> None:
    """Check that a predictor can be read and fits the encoder in ``folder``, before anything is encoded.

    Raises:
        InputError: it cannot be used, or expects embeddings of another length than a CLIP gives.
    """
    from transformers import AutoConfig

    head = load_aesthetic(where)
    given = getattr(AutoConfig.from_pretrained(folder), "projection_dim", None)
    if isinstance(given, int):
        check_fits(head, given, where=where, encoder=encoder)


def check_fits(head: AestheticHead, given: int, *, where: str, encoder: str) -> None:
    """Raise InputError if a predictor expects embeddings of another length than is ``given``."""
    expected = len(head.weight_e)
    if expected != given:
        raise InputError(
            f"{where} expects image embeddings of length {expected}; those of {encoder} have length {given}. "
            "Pass its CLIP as --score-encoder, or omit --aesthetic."
        )


def _tensors(path: Path) -> dict[str, np.ndarray]:
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        loaded = load_file(path)
    else:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(loaded, dict):
        raise ValueError(f"it holds a {type(loaded).__name__}, not named tensors")
    return {str(name): one.float().numpy() for name, one in loaded.items() if hasattr(one, "numpy")}


def _from_hub(where: str) -> Path:
    owner, _, rest = where.partition("/")
    name, _, file = rest.partition("/")
    if not (owner and name and file) or where.startswith((".", "/", "~")):
        raise InputError(
            f"There is no file {where!r}. --aesthetic takes a local .pth or .safetensors file, or "
            "owner/name/file of the Hugging Face hub. Check the spelling."
        )
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(f"{owner}/{name}", file))
    except Exception as error:  # offline, no such repository, no such file, …
        raise InputError(
            f"There is no file {where!r} here, and it cannot be downloaded from the Hugging Face hub: "
            f"{first_line(error)}."
        ) from error


class AestheticHead(NamedTuple):
    """A linear predictor of aesthetic scores, on image embeddings of length 1."""

    weight_e: np.ndarray  # float [E]
    bias: float
