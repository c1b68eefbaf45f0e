"""Classes by their names alone, against trained heads: how many labelled images is a name worth?

    python -m trainer.zeroshot --data DATA --encoder ENCODER

Zero-shot takes the class whose prompts lie nearest to the image. Heads trained on one image per class, on
more, and on all answer the same test rows and are compared row by row. The last line on stdout is one JSON
object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.zero_shot.config import ZeroShotConfig

__all__ = ["ZeroShotConfig", "run"]


def run(config: ZeroShotConfig) -> dict[str, Any]:
    """Run a comparison, or the rest of one. Returns its figures (`schema.ZeroShot`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.experiments.zero_shot import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(ZeroShotConfig, run, __doc__)
