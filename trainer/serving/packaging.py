"""Package the best head as an MLflow model: weights, metadata, code and small encoders."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from trainer.serving.answer_columns import HIGH, IS_OOD, LABELS, LOW, NUMBER, SCORE, SET
from trainer.serving.fused import FUSED_CARD
from trainer.serving.predictor import carried_folder
from trainer.serving.pyfunc import (
    CONFIDENCE,
    ERROR,
    IMAGE,
    LABEL,
    PATH,
    PROBABILITIES,
    TEXT,
    TOP,
    TOP_K,
)

DATA = "head"  # folder below the model's data/
MAX_ENCODER_BYTES = 64_000_000  # larger encoders are not included but resolved by name
PACKAGE = Path(__file__).parents[1]
ROOMS = ("core", "data", "features", "heads", "stats", "storing")  # packages needed for prediction
MODULES = (
    "__init__",
    *(f"serving/{name}" for name in ("__init__", "answer_columns", "fused", "predictor", "pyfunc")),
)
NEEDED = (
    *("mlflow", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pandas", "pillow", "pyarrow"),
    *("scikit-learn", "scipy", "filelock", "huggingface_hub"),
)


def pack(
    folder: Path,
    head_files: Mapping[str, bytes],
    encoders: Sequence[Path],
    *,
    most_bytes: int | None = MAX_ENCODER_BYTES,
    numbers: bool = False,
    labels: Sequence[str] = (),
) -> Path:
    """Create the model in the new ``folder`` and return its path.

    Args:
        head_files: ``head.json`` and ``head.safetensors``, or those of a fusion.
        encoders: folders of the head's encoders.
        most_bytes: a larger encoder is not included; None: each is.
        numbers: whether it is a head of numbers.
        labels: of a head of several labels per image; else ().
    """
    import mlflow.pyfunc

    data = folder / DATA
    data.mkdir(parents=True)
    for name, content in head_files.items():
        (data / name).write_bytes(content)
    for number, encoder in enumerate(encoders):
        files = [file for file in encoder.iterdir() if file.is_file()]
        if most_bytes is None or sum(file.stat().st_size for file in files) <= most_bytes:
            carried = carried_folder(data, number)
            carried.mkdir()
            for file in files:
                shutil.copyfile(file, carried / file.name)
    model = folder / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about a missing input example
        mlflow.pyfunc.save_model(
            str(model),
            loader_module="trainer.serving",
            data_path=str(data),
            code_paths=[str(_code(folder / "code"))],
            signature=_signature(_columns(numbers=numbers, labels=labels), texts=FUSED_CARD in head_files),
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in NEEDED],
        )
    return model


def registered_name(study: str) -> str:
    """Return the name of a study's model in MLflow's registry, which allows no slashes or colons."""
    return "headroom-" + (re.sub(r"[^A-Za-z0-9_.-]+", "-", study)[:200].strip("-") or "study")


def _code(target: Path) -> Path:
    """Copy the part of this package that prediction needs."""
    package = target / PACKAGE.name
    for module in MODULES:
        (package / module).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PACKAGE / f"{module}.py", package / f"{module}.py")
    for room in ROOMS:
        (package / room).mkdir()
        for file in (PACKAGE / room).glob("*.py"):
            shutil.copyfile(file, package / room / file.name)
    return package


def _columns(*, numbers: bool, labels: Sequence[str]):  # type: ignore[no-untyped-def]  # MLflow types
    if labels:
        return _label_columns()
    return _number_columns() if numbers else _class_columns()


def _label_columns():  # type: ignore[no-untyped-def]  # MLflow types, imported late
    from mlflow.types import ColSpec, DataType

    return [
        ColSpec(DataType.string, LABELS, required=False),
        *_probability_columns(),
        ColSpec(DataType.string, ERROR),
    ]


def _probability_columns():  # type: ignore[no-untyped-def]  # MLflow types, imported late
    from mlflow.types import ColSpec, DataType
    from mlflow.types.schema import Array, Object, Property

    one = Object([Property(LABEL, DataType.string), Property("probability", DataType.double)])
    return [
        ColSpec(Array(DataType.double), PROBABILITIES, required=False),
        ColSpec(Array(one), TOP, required=False),
    ]


def _class_columns():  # type: ignore[no-untyped-def]  # MLflow types, imported late
    from mlflow.types import ColSpec, DataType
    from mlflow.types.schema import Array

    return [
        ColSpec(DataType.string, LABEL, required=False),
        ColSpec(DataType.double, CONFIDENCE, required=False),
        *_probability_columns(),
        ColSpec(Array(DataType.string), SET, required=False),
        ColSpec(DataType.double, SCORE, required=False),
        ColSpec(DataType.boolean, IS_OOD, required=False),
        ColSpec(DataType.string, ERROR),
    ]


def _number_columns():  # type: ignore[no-untyped-def]  # MLflow types, imported late
    from mlflow.types import ColSpec, DataType

    found = [ColSpec(DataType.double, name, required=False) for name in (NUMBER, LOW, HIGH)]
    return [*found, ColSpec(DataType.string, ERROR)]


def _signature(outputs, *, texts: bool):  # type: ignore[no-untyped-def]  # MLflow types, imported late
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        inputs=Schema([
            # not binary: MLflow 3.17 would decode base64 in some payloads only, and no data URL
            ColSpec(DataType.string, IMAGE, required=False),
            ColSpec(DataType.string, PATH, required=False),
            *([ColSpec(DataType.string, TEXT, required=False)] if texts else []),
        ]),
        outputs=Schema(outputs),
        params=ParamSchema([ParamSpec("top_k", DataType.long, TOP_K)]),
    )  # fmt: skip
