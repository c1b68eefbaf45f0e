"""Does filtering or augmenting the training set help?

    python -m trainer.ablate --data DATA --encoder ENCODER

Trains heads on the rows that each filter keeps, with and without augmented views, and compares them with
heads trained on all rows and on random subsets of the same size, on the same test rows. Effects have 95 %
intervals; p-values are corrected for the number of cells. The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.ablation.config import AblateConfig

__all__ = ["AblateConfig", "run"]


def run(config: AblateConfig) -> dict[str, Any]:
    """Run or resume an ablation. Returns its results (`schema.Ablated`).

    Raises:
        InputError: invalid flags or data; nothing was written to MLflow.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.experiments.ablation import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(AblateConfig, run, __doc__)
