"""The best head as MLflow serves it: the loader module of the models that sweeps log.

MLflow imports this module from the copy of our code that lies in the model, so a model answers as it did when
it was logged, wherever it is loaded. Nothing is unpickled: the weights are safetensors.

A row has an ``image`` (an image file's bytes, base64 in JSON) or a ``path``. A server reads no paths, which
its clients choose, unless HEADROOM_SERVE_FOLDER names the folder that they may lie in. HEADROOM_ENCODER says
where the encoder is, if this is not carried along and not where it was.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trainer.serving.predictor import Predictor

IMAGE, PATH = "image", "path"  # columns that come in
LABEL, CONFIDENCE, PROBABILITIES, TOP, ERROR = "label", "confidence", "probabilities", "top_k", "error"
TOP_K = 5
ENCODER, FOLDER = "HEADROOM_ENCODER", "HEADROOM_SERVE_FOLDER"
IN_A_SERVER = "__pyfunc_model_path__"  # MLflow's scoring server sets it (3.17, pyfunc/scoring_server)
NOTHING = "neither an image nor a path"


def load(path: str) -> Served:
    """The model in a data folder that MLflow names. InputError where the encoder is not to be had."""
    return Served(Predictor.of_folder(Path(path), encoder=os.environ.get(ENCODER) or None))


class Served:
    """What MLflow asks for predictions."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One answer per row: ``label, confidence, probabilities`` (in the order of the classes), ``top_k``
        (a list of label and probability, the likeliest first) and ``error``, "" where there is none.

        Args:
            rows: with a column ``image`` or ``path``, or both.
            params: ``top_k``.
        """
        top_k = int((params or {}).get("top_k", TOP_K))
        images, paths = (rows.get(name, pd.Series(index=rows.index, dtype=object)) for name in (IMAGE, PATH))
        wanted = [_wanted(image, path) for image, path in zip(images, paths, strict=True)]
        usable = [one for one in wanted if not isinstance(one, str)]
        answered = self._predictor.predict(usable)
        answers = iter(zip(answered.probabilities_nc, answered.reasons, strict=True))
        told = [(None, one) if isinstance(one, str) else next(answers) for one in wanted]
        # objects: None is null in JSON, and NaN is no JSON at all
        return pd.DataFrame([self._row(probs_c, reason, top_k) for probs_c, reason in told], dtype=object)

    def _row(self, probs_c: np.ndarray | None, reason: str, top_k: int) -> dict[str, Any]:
        if probs_c is None or reason:
            return {LABEL: None, CONFIDENCE: None, PROBABILITIES: None, TOP: None, ERROR: reason}
        classes = self._predictor.recorded.classes
        best = np.argsort(-probs_c, kind="stable")[: max(top_k, 1)]
        top = [{LABEL: classes[c], "probability": float(probs_c[c])} for c in best]
        return {
            LABEL: classes[best[0]],
            CONFIDENCE: float(probs_c[best[0]]),
            PROBABILITIES: [float(p) for p in probs_c],
            TOP: top,
            ERROR: "",
        }


def _wanted(image: Any, path: Any) -> bytes | Path | str:
    """The image of a row, or in a text why there is none."""
    if isinstance(image, bytes | bytearray) and image:
        return bytes(image)
    if not isinstance(path, str) or not path:
        return NOTHING
    allowed = os.environ.get(FOLDER)
    if not allowed:
        return f"a server reads no paths; send the {IMAGE}" if IN_A_SERVER in os.environ else Path(path)
    real = Path(path).resolve()
    return real if real.is_relative_to(Path(allowed).resolve()) else "outside of the folder that is served"
