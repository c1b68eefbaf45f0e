"""Rows with their images, for a report."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from trainer.tracking.schema import Predictions, Samples


def with_images(rows: pd.DataFrame, samples: pd.DataFrame | None) -> list[tuple[bytes, dict[Hashable, Any]]]:
    """The rows that have a thumbnail, with it."""
    if samples is None or Samples.THUMBNAIL not in samples:
        return []
    image_of = samples.drop_duplicates(Samples.SAMPLE_ID).set_index(Samples.SAMPLE_ID)[Samples.THUMBNAIL]
    return [
        (image, row)
        for row in rows.to_dict("records")
        if isinstance(image := image_of.get(row[Predictions.SAMPLE_ID]), bytes)
    ]
