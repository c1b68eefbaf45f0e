"""Fine-tune the last blocks of an encoder and compare with a head on the frozen encoder.

    python -m trainer.finetune --data DATA --encoder ENCODER --unfreeze-last 2

The blocks before them stay frozen: they run once over each image and its augmented views, and their output
is cached. Training starts from the best logistic regression on the frozen encoder's features, which is also
the baseline. `--study NAME` resumes an interrupted run from its last checkpoint.
The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.finetuning.config import FinetuneConfig

__all__ = ["FinetuneConfig", "run"]


def run(config: FinetuneConfig) -> dict[str, Any]:
    """Run or resume a fine-tuning. Returns its results (`schema.Summary` and `schema.FineTuned`).

    Raises:
        InputError: invalid flags or data; nothing was written to MLflow.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
        NoResultError: every training diverged.
    """
    from trainer.experiments.finetuning import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(FinetuneConfig, run, __doc__)
