"""Which encoder serves these images best: the same probe on each, and what each costs.

    python -m trainer.encoders --data DATA --encoders ENCODER ENCODER …

Every encoder's vectors of the same rows get the same linear probe, a logistic regression whose strength is
tuned on validation rows, on the same random choices of training rows. The test rows are answered once, the
encoders compared row by row. The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.encoder_comparison.config import EncodersConfig

__all__ = ["EncodersConfig", "run"]


def run(config: EncodersConfig) -> dict[str, Any]:
    """Run a comparison, or the rest of one. Returns its figures (`schema.EncodersCompared`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.experiments.encoder_comparison import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(EncodersConfig, run, __doc__)
