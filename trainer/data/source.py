"""One word on the command line → the rows it stands for."""

from __future__ import annotations

from pathlib import Path

import trainer.data.arrays as arrays
import trainer.data.demo as demo
import trainer.data.folder as folder
from trainer.data.manifest import Manifest
from trainer.errors import InputError


def load(data: str, *, seed: int) -> Manifest:
    """Read what ``--data`` names. Pictures are hashed, not decoded.

    Args:
        data: ``demo``; a folder of images; an ``.npz`` or ``.safetensors`` of ready features.
        seed: draws the splits that the data does not bring.

    Raises:
        InputError: there is no such thing, or it cannot be read as rows.
    """
    if data == "demo":
        return demo.read(seed=seed)
    path = Path(data).expanduser()
    if path.is_dir():
        return folder.read(path, name=data, seed=seed)
    takes = (
        "--data takes demo, a folder of images (one sub-folder per class, if wanted below train/ val/ "
        "test/), or an .npz or .safetensors file with train_x and train_y"
    )
    if not path.exists():
        raise InputError(f"There is no file or folder {data!r}. {takes}. Check the spelling and the path.")
    if path.is_file() and path.suffix.lower() in arrays.SUFFIXES:
        return arrays.read(path, name=data, seed=seed)
    raise InputError(f"{data!r} is not a kind of data that can be read. {takes}.")
