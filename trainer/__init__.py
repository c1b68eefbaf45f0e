"""Small heads on frozen vision-language features: trained, compared, recorded.

The Python API is `trainer.api`. Its names can be imported from here; libraries are loaded on first use.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from trainer.core.version import __version__

if TYPE_CHECKING:
    from trainer.api import (
        BestTrial,
        Dataset,
        FeatureTable,
        LoggedRun,
        RunComparison,
        ScoreComparison,
        SweepResult,
        compare,
        extract_features,
        load_dataset,
        open_run,
        run_sweep,
    )
    from trainer.core.errors import InputError, NoResultError, TooManyBadFiles
    from trainer.serving.predictor import Predictor

__all__ = [
    "BestTrial",
    "Dataset",
    "FeatureTable",
    "InputError",
    "LoggedRun",
    "NoResultError",
    "Predictor",
    "RunComparison",
    "ScoreComparison",
    "SweepResult",
    "TooManyBadFiles",
    "__version__",
    "compare",
    "extract_features",
    "load_dataset",
    "open_run",
    "run_sweep",
]
_ELSEWHERE = {  # names that are not in trainer.api
    "InputError": "trainer.core.errors",
    "NoResultError": "trainer.core.errors",
    "TooManyBadFiles": "trainer.core.errors",
    "Predictor": "trainer.serving.predictor",
}

# By default OpenMP threads spin while they wait, which slows down processes that share cores many times over.
# Must be set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# MKL rounds by where a matrix lies in memory (seen on an AMD processor): a head would depend on those
# beside it, and a resumed sweep could choose another one. Must be set before its first product.
os.environ.setdefault("MKL_CBWR", "AUTO")


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module(_ELSEWHERE.get(name, "trainer.api")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
