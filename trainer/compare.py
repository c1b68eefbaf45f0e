"""Compare runs on record: which one is better on the test rows, and where.

    python -m trainer.compare RUN RUN … --fail-if-worse

Runs that answered the same test rows are compared row by row, others unpaired, which is said. The last line
on stdout is one JSON object.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from trainer import cli
from trainer.experiments.run_comparison.config import CompareConfig

__all__ = ["CompareConfig", "run"]


def run(config: CompareConfig) -> dict[str, Any]:
    """Compare the runs.

    Raises:
        InputError: runs that cannot be compared, each named.
        NoResultError: ``fail_if_worse``, and a run is significantly worse than the base.
    """
    from trainer.experiments.run_comparison import run as experiment

    return experiment.run(config)


class _CommandAndFunction(ModuleType):
    """The API has a function of the same name: once this module is imported, ``trainer.compare`` is both."""

    def __call__(self, *runs: Any) -> Any:
        from trainer.api import compare

        return compare(*runs)


if __name__ == "__main__":
    cli.main(CompareConfig, run, __doc__)
else:
    sys.modules[__name__].__class__ = _CommandAndFunction
