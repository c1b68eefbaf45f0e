"""Compare zero-shot classification with heads trained on few images.

    python -m trainer.zeroshot --data DATA --encoder ENCODER

Zero-shot classification takes the class whose prompts are nearest to the image. It is compared row by row, on
the same test rows, with heads trained on one image per class, on more, and on all. The last line on stdout is
one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.zero_shot.config import ZeroShotConfig

__all__ = ["ZeroShotConfig", "run"]


def run(config: ZeroShotConfig) -> dict[str, Any]:
    """Run or resume a comparison. Returns its results (`schema.ZeroShot`).

    Raises:
        InputError: invalid flags or data; nothing was written to MLflow.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.experiments.zero_shot import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(ZeroShotConfig, run, __doc__)
