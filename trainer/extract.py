"""Encode images once, into the cache, measure them, and say what was found: here and on a page.

    python -m trainer.extract --data DATA --encoder ENCODER

Killed at any moment it goes on where it stopped. What was found is a run in MLflow, which the dashboard shows
on the page "Data quality". The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.extraction.config import ExtractConfig

__all__ = ["ExtractConfig", "run"]


def run(config: ExtractConfig) -> dict[str, Any]:
    """Extract, or find that everything is there already. Returns the figures (`schema.Extracted`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable. What was encoded stays stored.
    """
    from trainer.experiments.extraction import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(ExtractConfig, run, __doc__)
