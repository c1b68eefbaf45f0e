"""Is this the same person? Faces by the protocol of Labeled Faces in the Wild.

    python -m trainer.verify --data FOLDER_OF_IDENTITIES --encoder ENCODER

One folder per person. People are cut into folds; in each fold's turn an embedding is learned from the other
people, chosen on some of these, and scores pairs of people whom it has never seen. Every person is a test
person once. ROC, EER, accuracy and TAR come with intervals over people, and in pairs against the plain cosine
of the features. The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.verification.config import VerifyConfig

__all__ = ["VerifyConfig", "run"]


def run(config: VerifyConfig) -> dict[str, Any]:
    """Verify, or go on. Returns the figures (`schema.Verified`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.experiments.verification import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(VerifyConfig, run, __doc__)
