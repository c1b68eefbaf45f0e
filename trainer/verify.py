"""Verify faces (same person or not) by the protocol of Labeled Faces in the Wild.

    python -m trainer.verify --data FOLDER_OF_IDENTITIES --encoder ENCODER

The data has one folder per person. People are split into folds; for each fold an embedding is learned and
selected on the other people, then scores pairs of the fold's people. ROC, EER, accuracy and TAR have 95 %
intervals over people and are compared with the cosine of the raw features. The last line on stdout is one
JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.verification.config import VerifyConfig

__all__ = ["VerifyConfig", "run"]


def run(config: VerifyConfig) -> dict[str, Any]:
    """Run or resume a verification. Returns its results (`schema.Verified`).

    Raises:
        InputError: invalid flags or data; nothing was written to MLflow.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.experiments.verification import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(VerifyConfig, run, __doc__)
