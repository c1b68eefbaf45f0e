"""Search the images of a data set by words or by an image.

    python -m trainer.search_images "a dog on grass" --data DATA --encoder ENCODER
    python -m trainer.search_images --image FILE --data DATA --encoder ENCODER

Every image is compared, and encoded only once: see the feature cache. Records nothing in MLflow. The last
line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.image_search.config import SearchImagesConfig

__all__ = ["SearchImagesConfig", "run"]


def run(config: SearchImagesConfig) -> dict[str, Any]:
    """Search for images. Returns the results.

    Raises:
        InputError: there is nothing to search for, or it cannot be encoded; data or encoder cannot be used.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.experiments.image_search import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(SearchImagesConfig, run, __doc__)
