"""Resolve ``--encoder`` to the folders of saved models, without transformers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.core.errors import InputError, first_line
from trainer.data import demo
from trainer.features.families import family_of
from trainer.features.model_files import find_weights

JOIN = "+"  # between the names of encoders whose features are concatenated
HUB_TIMEOUT_S = 5  # fail within seconds without a network
_CURES = (
    "Pass a local folder made with save_pretrained, set HF_ENDPOINT to a mirror, put a copy into the Hugging "
    "Face cache (HF_HOME), or try --encoder demo, the small CLIP that comes with Headroom"
)


def default_encoder(data: str) -> str:
    """Return the default encoder: ``demo`` for the data ``demo``, else CLIP B/32."""
    return demo.NAME if data == demo.NAME else "openai/clip-vit-base-patch32"


def encoder_names(text: str) -> tuple[str, ...]:
    """Return the encoders that ``--encoder`` names: ``A+B`` are two, unless that is the name of a folder.

    Raises:
        InputError: a name is missing or repeated.
    """
    pieces, names, at = text.split(JOIN), [], 0
    while at < len(pieces):  # the longest name of a folder first, because a folder's name may contain a +
        ends = range(len(pieces), at + 1, -1)
        end = next((e for e in ends if Path(JOIN.join(pieces[at:e])).expanduser().is_dir()), at + 1)
        names.append(JOIN.join(pieces[at:end]).strip())
        at = end
    if len(names) > 1 and ("" in names or len(set(names)) < len(names)):
        raise InputError(
            f"--encoder {text} must name each encoder once, with one + between two, such as "
            "demo+path/to/model."
        )
    return tuple(names)


def resolve(name: str) -> Path:
    """Return the folder of a single model: ``demo``, a local folder or a Hugging Face id.

    An id is downloaded only if it is not in the local cache.

    Raises:
        InputError: it cannot be found or downloaded, or is not supported; several are named.
    """
    if len(names := encoder_names(name)) > 1:
        raise InputError(f"{name} names {len(names)} encoders, where one is needed. Pass {names[0]} alone.")
    local = Path(name).expanduser()
    if name == demo.NAME:
        folder = demo.ENCODER
    elif local.is_file():
        raise InputError(
            f"{name} is a file. --encoder takes a folder that save_pretrained made, with config.json beside "
            "the weights: weights alone do not say which model they belong to. The models of OpenAI's and "
            "LAION's .pt files are on the Hugging Face hub, such as openai/clip-vit-base-patch32."
        )
    elif local.is_dir():
        folder = local
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not name.startswith("."):
        folder = _from_hub(name)
    else:
        raise InputError(f"There is no folder {name!r}, and it cannot be a Hugging Face id. {_CURES}.")
    if not (folder / "config.json").is_file():
        raise InputError(f"{name} has no config.json, so it is not a saved model. {_instead(folder)}.")
    family_of(folder)
    return folder


def _instead(folder: Path) -> str:
    """Return what to pass instead of a folder without config.json."""
    if any(folder.glob("open_clip_*")):
        return (
            "It is one of open_clip, which is read only after conversion. Many have a version for "
            "transformers, such as laion/CLIP-ViT-B-32-laion2B-s34B-b79K: pass that"
        )
    if (folder / "adapter_config.json").is_file():
        return "It is an adapter (PEFT). Merge it into its model, save that, and pass its folder"
    inside = [*folder.glob("*/config.json"), *folder.glob("snapshots/*/config.json")]
    if inside:  # checkpoints of a training, a cache of the hub, a pipeline of several models
        inside.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        named = ", ".join(str(file.parent) for file in inside[:3])
        return f"There is one in {named}{' and others' if len(inside) > 3 else ''}: pass that folder"
    return _CURES


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
    except Exception as error:  # no network, model or access: the library raises many types
        raise InputError(
            f"The encoder {model_id!r} is neither a local folder nor in the local cache, and the Hugging "
            f"Face hub could not be reached or has no such model ({first_line(error)}). {_CURES}."
        ) from error


def _cached(model_id: str) -> Path | None:
    """Return the cached snapshot if it is complete."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(model_id, local_files_only=True))
        find_weights(folder)
    except (OSError, ValueError):  # missing, incomplete or invalid id: reported by the download
        return None
    return folder if (folder / "config.json").is_file() else None


def _wanted(names: Sequence[str]) -> list[str]:
    """Return the files to download: settings and one format of weights, preferring safetensors."""
    settings = [name for name in names if re.fullmatch(r"[^/]+\.(json|txt)", name)]
    safe = [name for name in names if re.fullmatch(r"model(-\d+-of-\d+)?\.safetensors", name)]
    return settings + (safe or [n for n in names if re.fullmatch(r"pytorch_model(-\d+-of-\d+)?\.bin", n)])
