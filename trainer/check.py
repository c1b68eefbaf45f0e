"""Read a data set as every command would, train nothing, and say what looks wrong.

    python -m trainer.check --data DATA [--encoder ENCODER]

Reads and decodes every image, loads the encoder, and records nothing. Exit code 1 if a sweep would refuse the
data or the encoder. The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.checking.config import CheckConfig

__all__ = ["CheckConfig", "run"]


def run(config: CheckConfig) -> dict[str, Any]:
    """Check the data and the encoder. Returns the results.

    Raises:
        InputError: the data cannot be read.
        NoResultError: a sweep would refuse them; with the results.
    """
    from trainer.experiments.checking import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(CheckConfig, run, __doc__)
