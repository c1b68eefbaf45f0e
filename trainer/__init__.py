"""Small heads on frozen vision-language features: trained, compared, recorded.

The Python API is `trainer.api`; its names are importable from here and load the libraries on first use.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.api import (
        BestTrial,
        Dataset,
        FeatureTable,
        LoggedRun,
        RunComparison,
        SweepResult,
        compare,
        extract_features,
        load_dataset,
        open_run,
        run_sweep,
    )
    from trainer.core.errors import InputError, NoResultError, TooManyBadFiles
    from trainer.serving.predictor import Predictor

__version__ = "0.1.0"
__all__ = [
    "BestTrial",
    "Dataset",
    "FeatureTable",
    "InputError",
    "LoggedRun",
    "NoResultError",
    "Predictor",
    "RunComparison",
    "SweepResult",
    "TooManyBadFiles",
    "__version__",
    "compare",
    "extract_features",
    "load_dataset",
    "open_run",
    "run_sweep",
]
_ELSEWHERE = {  # what is not in trainer.api
    "InputError": "trainer.core.errors",
    "NoResultError": "trainer.core.errors",
    "TooManyBadFiles": "trainer.core.errors",
    "Predictor": "trainer.serving.predictor",
}

# Threads of a matrix product wait for each other by spinning, unless told not to. With another busy process
# on the same cores two programs of two threads each take many times as long. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module(_ELSEWHERE.get(name, "trainer.api")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
