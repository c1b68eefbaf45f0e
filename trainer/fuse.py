"""Images and captions together: does the text help, and in which way is it best joined?

    python -m trainer.fuse --data DATA --encoder ENCODER

Heads on the image, on the caption, on both side by side, with a learned gate between them, and late fusion
of their probabilities are tuned alike on validation rows and answer the same test rows. The last line on
stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.fusion.config import FuseConfig

__all__ = ["FuseConfig", "run"]


def run(config: FuseConfig) -> dict[str, Any]:
    """Run a comparison, or the rest of one. Returns its figures (`schema.Fused`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.experiments.fusion import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(FuseConfig, run, __doc__)
