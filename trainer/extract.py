"""Encode images into the cache, measure them and report data quality.

    python -m trainer.extract --data DATA --encoder ENCODER

An interrupted extraction resumes where it stopped. The report is a run in MLflow, shown on the dashboard's
page "Data quality". The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.extraction.config import ExtractConfig

__all__ = ["ExtractConfig", "run"]


def run(config: ExtractConfig) -> dict[str, Any]:
    """Encode the images that are not cached. Returns the results (`schema.Extracted`).

    Raises:
        InputError: invalid flags or data; nothing was written to MLflow.
        TooManyBadFiles: more images than ``max_bad`` are unreadable. Encoded images stay cached.
    """
    from trainer.experiments.extraction import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(ExtractConfig, run, __doc__)
