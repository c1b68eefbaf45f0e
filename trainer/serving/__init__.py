"""Answer images with a recorded head: in process, from files, and as a model that MLflow serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.serving.pyfunc import Served


def _load_pyfunc(path: str) -> Served:
    """What MLflow calls: logged models, old ones too, name this package as their loader."""
    from trainer.serving import pyfunc

    return pyfunc.load(path)
