"""Search for the best head on frozen features and log everything to MLflow.

    python -m trainer.sweep --data DATA --encoder ENCODER --trials 64 --seeds 3

Data → features (cached) → heads, many at once → MLflow. The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.sweep.config import SweepConfig

__all__ = ["SweepConfig", "run"]


def run(config: SweepConfig) -> dict[str, Any]:
    """Run or resume a sweep. Returns its results (`schema.Summary`).

    Raises:
        InputError: invalid flags or data; nothing was written to MLflow.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
        NoResultError: every trial diverged, or a retrained trial differs from its record.
    """
    from trainer.experiments.sweep import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(SweepConfig, run, __doc__)
