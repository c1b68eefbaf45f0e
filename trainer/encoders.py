"""Compare encoders on the same images: accuracy of a linear probe, speed and memory.

    python -m trainer.encoders --data DATA --encoders ENCODER ENCODER …

Trains the same linear probe on every encoder's features: a logistic regression, its regularisation tuned on
the validation set, on the same random subsets of the training set. Encoders are compared row by row on the
test set. The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.encoder_comparison.config import EncodersConfig

__all__ = ["EncodersConfig", "run"]


def run(config: EncodersConfig) -> dict[str, Any]:
    """Run or resume a comparison. Returns its results (`schema.EncodersCompared`).

    Raises:
        InputError: invalid flags or data; nothing was written to MLflow.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.experiments.encoder_comparison import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(EncodersConfig, run, __doc__)
