"""Predict with a logged head: in process, from files, and as an MLflow model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.serving.pyfunc import ServedModel


def _load_pyfunc(path: str) -> ServedModel:
    """Load a model; called by MLflow. Logged models name this package as their loader."""
    from trainer.serving import pyfunc

    return pyfunc.load(path)
