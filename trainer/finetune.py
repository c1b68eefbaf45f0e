"""Fine-tune the last blocks of an encoder, and see whether that beats a head on the frozen one.

    python -m trainer.finetune --data DATA --encoder ENCODER --unfreeze-last 2

What comes before these blocks never changes: it runs once over each image and its augmented views, and what
it gives is kept on disk. Training starts from the best logistic regression on the frozen encoder's vectors,
which is also the rival. Killed at any moment, `--study NAME` goes on from the last checkpoint.
The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.finetuning.config import FinetuneConfig

__all__ = ["FinetuneConfig", "run"]


def run(config: FinetuneConfig) -> dict[str, Any]:
    """Fine-tune, or go on with it. Returns its figures (`schema.Summary` and `schema.FineTuned`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
        NoResultError: every training diverged.
    """
    from trainer.experiments.finetuning import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(FinetuneConfig, run, __doc__)
