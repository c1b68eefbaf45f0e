"""LAION's linear aesthetic predictors: files of one weight and one bias on CLIP's image embeddings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainer.core.errors import InputError, first_line

EXPECTED = (
    "Expected a linear layer of one output on the embeddings of CLIP B/32, B/16 (512 numbers) or L/14 (768), "
    "such as LAION's sa_0_4_vit_b_32_linear.pth, as a .pth or .safetensors file"
)


def load_aesthetic(where: str) -> AestheticHead:
    """Read a predictor from a local file, or from ``owner/name/file`` of the Hugging Face hub.

    A .pth file is a pickle, which can run any code when it is opened: it is read by torch's loader for
    weights alone, which takes tensors and nothing else.

    Raises:
        InputError: there is no such file, it holds something else, or it would run code.
    """
    path = Path(os.path.expanduser(where))  # which, unlike Path's own, lets an unknown ~user be
    if not path.is_file():
        path = _from_hub(where)
    try:
        tensors = _tensors(path)
    except Exception as error:  # both readers raise many kinds on a file that is not theirs
        raise InputError(f"{where} cannot be read as weights: {first_line(error)}. {EXPECTED}.") from error
    weights = [name for name in tensors if name.rpartition(".")[2] == "weight"]
    bias = tensors.get(weights[0].removesuffix("weight") + "bias") if len(weights) == 1 else None
    if (
        len(weights) != 1
        or tensors[weights[0]].ndim != 2
        or len(tensors[weights[0]]) != 1
        or (bias is not None and bias.size != 1)
    ):
        shapes = ", ".join(f"{name} {list(one.shape)}" for name, one in tensors.items()) or "nothing"
        raise InputError(f"{where} is no linear predictor; it holds {shapes}. {EXPECTED}.")
    weight_e = tensors[weights[0]][0].astype(np.float64)
    head = AestheticHead(weight_e, 0.0 if bias is None else float(bias.reshape(-1)[0]))
    if not (np.isfinite(weight_e).all() and np.isfinite(head.bias)):
        raise InputError(f"{where} has weights that are no finite numbers. Fetch it again.")
    return head


def check_fits(head: AestheticHead, image_ne: np.ndarray, *, where: str, encoder: str) -> None:
    """Refuse a predictor that was made for another encoder.

    Raises:
        InputError: it wants embeddings of another length.
    """
    wanted, given = len(head.weight_e), image_ne.shape[1]
    if wanted != given:
        raise InputError(
            f"{where} wants image embeddings of {wanted} numbers, and those of {encoder} have {given}. It "
            "goes with one CLIP alone: pass that one as --score-encoder, or leave --aesthetic out."
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
            f"There is no file {where!r} here, and it cannot be fetched from the Hugging Face hub: "
            f"{first_line(error)}."
        ) from error


class AestheticHead(NamedTuple):
    """A linear predictor of how much people like an image, on image embeddings of length 1."""

    weight_e: np.ndarray  # float [E]
    bias: float
