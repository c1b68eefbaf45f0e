"""Does cleaning the training data help? Filters and augmentation, compared honestly.

    python -m trainer.ablate --data DATA --encoder ENCODER

Trains heads on what each filter keeps, with and without augmented views, on all rows, and on as many rows
chosen at random, and holds them against each other on the same test rows. Effects come with intervals, and
p-values are corrected for the number of cells. The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.ablation.config import AblateConfig

__all__ = ["AblateConfig", "run"]


def run(config: AblateConfig) -> dict[str, Any]:
    """Run an ablation, or the rest of one. Returns its figures (`schema.Ablated`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.experiments.ablation import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(AblateConfig, run, __doc__)
