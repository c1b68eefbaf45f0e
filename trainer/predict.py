"""Classify images with the best head of a sweep and write a CSV.

    python -m trainer.predict IMAGES… --out predictions.csv

Images are encoded as in the sweep. Cached images are not encoded again, so an interrupted prediction resumes
where it stopped. The CSV has a row for each file; corrupt files have a reason.
The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.serving.config import PredictConfig

__all__ = ["PredictConfig", "run"]


def run(config: PredictConfig) -> dict[str, Any]:
    """Classify the images and write the CSV. Returns the results (`schema.Predicted`).

    Raises:
        InputError: no such sweep, model, encoder or image; the CSV cannot be written.
        NoResultError: more files than ``max_bad`` are bad. The CSV of the others is written.
    """
    from trainer.serving import batch_predict

    return batch_predict.run(config)


if __name__ == "__main__":
    cli.main(PredictConfig, run, __doc__)
