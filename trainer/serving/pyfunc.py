"""Serve the best head with MLflow: loader module of logged models.

MLflow imports this module from the copy of the code in the model, so predictions stay the same as when it was
logged. Nothing is unpickled: the weights are safetensors.

A row has an ``image`` (an image file's bytes; in JSON as base64, with or without ``data:image/…;base64,``) or
a ``path``; for a head on images and captions also a ``text``, which may be empty. A server reads paths only
in the folder HEADROOM_SERVE_FOLDER. HEADROOM_ENCODER is the location of the encoder if it is not included in
the model and has moved; of several, all of them joined by +.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trainer.serving.answer_columns import HIGH, IS_OOD, LABELS, LOW, NUMBER, SCORE, SET
from trainer.serving.fused import FUSED_CARD, FusionPredictor
from trainer.serving.predictor import BatchPrediction, Predictor, RecordedHead

IMAGE, PATH = "image", "path"  # input columns
TEXT = "text"  # another one, of a head on images and captions
LABEL, CONFIDENCE, PROBABILITIES, TOP, ERROR = "label", "confidence", "probabilities", "top_k", "error"
TOP_K = 5
ENCODER, FOLDER = "HEADROOM_ENCODER", "HEADROOM_SERVE_FOLDER"
IN_A_SERVER = "__pyfunc_model_path__"  # set by MLflow's scoring server (3.17, pyfunc/scoring_server)
NOTHING = "neither an image nor a path"
NO_COLUMN = (
    f"There is no row with {IMAGE!r} or {PATH!r}. Send rows such as "
    f'{{"dataframe_records": [{{"{IMAGE}": "<base64>"}}]}}; every row has the same names.'
)
NO_BASE64 = f"the {IMAGE} is text that is not base64; send the file's bytes as base64, or its {PATH}"
_DATA_URL = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_TF_BYTES = re.compile(r"\{'b64': '([^']*)'\}")  # TensorFlow Serving's {"b64": …} as MLflow 3.17 hands it on


def load(path: str) -> ServedModel:
    """Load the model in a data folder. Raises InputError if the encoder is not available."""
    folder, encoder = Path(path), os.environ.get(ENCODER) or None
    if (folder / FUSED_CARD).is_file():
        return ServedModel(FusionPredictor.from_folder(folder, encoder=encoder))
    return ServedModel(Predictor.from_folder(folder, encoder=encoder))


class ServedModel:
    """Model with the ``predict`` method that MLflow calls."""

    def __init__(self, predictor: Predictor | FusionPredictor) -> None:
        self._predictor = predictor

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return one prediction per row: ``label, confidence, probabilities`` (in the order of the
        classes), ``top_k`` (a list of label and probability, the most probable first) and ``error``, "" if
        there is none; of a head that has them also ``prediction_set`` (a list of classes), ``ood_score`` and
        ``is_ood`` (unlike the training images). Of a head of numbers: ``number``, ``number_low``,
        ``number_high`` (null where it has no intervals) and ``error``. Of a head of several labels:
        ``labels`` (those that are said, joined by its separator), ``probabilities`` (in the order of the
        labels), ``top_k`` and ``error``.

        Args:
            rows: with a column ``image`` or ``path``, or both; of a head on images and captions also
                ``text``.
            params: ``top_k``.

        Raises:
            MlflowException: there is neither column, which a server answers with status 400.
        """
        if not {IMAGE, PATH} & set(rows.columns):
            from mlflow.exceptions import MlflowException
            from mlflow.protos.databricks_pb2 import BAD_REQUEST

            raise MlflowException(NO_COLUMN, error_code=BAD_REQUEST)
        top_k = int((params or {}).get("top_k", TOP_K))
        images, paths = (rows.get(name, pd.Series(index=rows.index, dtype=object)) for name in (IMAGE, PATH))
        inputs = [_input(image, path) for image, path in zip(images, paths, strict=True)]
        texts = rows.get(TEXT, pd.Series(index=rows.index, dtype=object))
        usable = [(one, text) for one, text in zip(inputs, texts, strict=True) if not isinstance(one, str)]
        predicted = self._predicted([one for one, _ in usable], [text for _, text in usable])
        answers = iter(zip(predicted.probabilities_nc, predicted.reasons, predicted.vectors_nd, strict=True))
        none = np.empty(0)
        results = [(none, one, none) if isinstance(one, str) else next(answers) for one in inputs]
        table = [self._row(probs_c, reason, vector_d, top_k) for probs_c, reason, vector_d in results]
        # dtype object keeps None, which is null in JSON; NaN is not valid JSON
        return pd.DataFrame(table, dtype=object)

    def _predicted(self, images: list[bytes | Path], texts: list[Any]) -> BatchPrediction:
        if isinstance(self._predictor, FusionPredictor):
            captions = [text if isinstance(text, str) else "" for text in texts]  # null: none
            return self._predictor.predict(images, captions)
        return self._predictor.predict(images)

    def _row(self, probs_c: np.ndarray, reason: str, vector_d: np.ndarray, top_k: int) -> dict[str, Any]:
        recorded = self._predictor.recorded
        if recorded.numbers:
            return _number_row(recorded, None if reason else float(probs_c[0]), reason)
        more = ((SET,) if recorded.thresholds else ()) + ((SCORE, IS_OOD) if recorded.novelty else ())
        names = recorded.labels or recorded.classes
        if reason:
            said = (LABELS,) if recorded.labels else (LABEL, CONFIDENCE)
            nothing = dict.fromkeys((*said, PROBABILITIES, TOP, *more))
            return {**nothing, ERROR: reason}
        best = np.argsort(-probs_c, kind="stable")[: max(top_k, 1)]
        row: dict[str, Any] = {
            **_said(recorded, probs_c),
            PROBABILITIES: [float(p) for p in probs_c],
            TOP: [{LABEL: names[c], "probability": float(probs_c[c])} for c in best],
            ERROR: "",
        }
        sets = recorded.prediction_sets(probs_c[None])
        if sets is not None:
            row[SET] = sets[0]
        if recorded.novelty is not None:
            score_n = recorded.novelty.scores(vector_d[None])
            row |= {SCORE: float(score_n[0]), IS_OOD: bool(recorded.novelty.is_novel(score_n)[0])}
        return row


def _said(recorded: RecordedHead, probs_c: np.ndarray) -> dict[str, Any]:
    """Return the class and its probability, or the labels."""
    if recorded.said is not None:
        return {LABELS: recorded.said.joined(probs_c[None])[0]}
    best = int(probs_c.argmax())
    return {LABEL: recorded.classes[best], CONFIDENCE: float(probs_c[best])}


def _number_row(recorded: RecordedHead, number: float | None, reason: str) -> dict[str, Any]:
    width = recorded.half_width()
    known = number is not None and width is not None
    return {
        NUMBER: number,
        LOW: number - width if known else None,  # type: ignore[operator]
        HIGH: number + width if known else None,  # type: ignore[operator]
        ERROR: reason,
    }


def _input(image: Any, path: Any) -> bytes | Path | str:
    """Return the image of a row, or an error message as text."""
    if isinstance(image, bytes | bytearray) and image:
        return bytes(image)
    if isinstance(image, str) and image:
        return _decoded(image)
    if not isinstance(path, str) or not path:
        return NOTHING
    allowed = os.environ.get(FOLDER)
    if not allowed:
        return f"a server reads no paths; send the {IMAGE}" if IN_A_SERVER in os.environ else Path(path)
    try:
        real = Path(path).resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a zero byte
        return "not a file name"
    return real if real.is_relative_to(Path(allowed).resolve()) else "outside of the folder that is served"


def _decoded(image: str) -> bytes | str:
    """Return the bytes that base64 stands for, plain, URL-safe or as a data URL; or an error message."""
    quoted = _TF_BYTES.fullmatch(image)
    text = _DATA_URL.sub("", "".join((quoted[1] if quoted else image).split()), count=1)
    plain = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True) or NOTHING
    except (binascii.Error, ValueError):
        return NO_BASE64
