"""Do captions help, and how should they be combined with images?

    python -m trainer.fuse --data DATA --encoder ENCODER

Compares heads on images, on captions, on both concatenated and with a learned gate, and late fusion of
probabilities. All are tuned on the validation set in the same way and compared on the same test rows. The
last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.fusion.config import FuseConfig

__all__ = ["FuseConfig", "run"]


def run(config: FuseConfig) -> dict[str, Any]:
    """Run or resume a comparison. Returns its results (`schema.Fused`).

    Raises:
        InputError: invalid flags or data; nothing was written to MLflow.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.experiments.fusion import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(FuseConfig, run, __doc__)
