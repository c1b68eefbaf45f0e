"""Compute what an encoder sees of images from their sizes alone: no image is decoded."""

from __future__ import annotations

import numpy as np

from trainer.features.preprocessing import Preparation


def fields_of_view(preparation: Preparation, size_n2: np.ndarray) -> np.ndarray:
    """Return the part of each image that becomes the encoder's input, as `Preparation.pixels` cuts it.

    Args:
        size_n2: width and height of the images in pixels; NaN where they are not known.

    Returns:
        float32 [N, 6]: left, top, right and bottom as shares of the image's width and height, outside 0…1
        where black is added; width and height of the input in pixels. NaN without a size.
    """
    scaled_n2 = _scaled(preparation, size_n2.astype(np.float64))
    crop = preparation.crop
    if crop is None:
        start_n2, end_n2 = np.zeros_like(scaled_n2), scaled_n2
    else:
        wanted_2 = np.array(crop[::-1], dtype=np.float64)
        start_n2 = np.floor((scaled_n2 - wanted_2) / 2)
        end_n2 = start_n2 + wanted_2
    input_n2 = np.where(np.isfinite(size_n2), np.array(preparation.shape[::-1]), np.nan)
    return np.hstack([start_n2 / scaled_n2, end_n2 / scaled_n2, input_n2]).astype(np.float32)


def _scaled(preparation: Preparation, size_n2: np.ndarray) -> np.ndarray:
    """Return width and height after resizing, rounded as there."""
    if preparation.exact:
        return np.where(np.isfinite(size_n2), np.array(preparation.exact[::-1], dtype=np.float64), np.nan)
    if preparation.shorter is None:
        return size_n2
    least_n, most_n = size_n2.min(axis=1), size_n2.max(axis=1)
    longer_n = np.floor(preparation.shorter * most_n / least_n)
    wide_n = size_n2[:, 0] > size_n2[:, 1]
    known_n = np.isfinite(least_n)
    shorter_n = np.where(known_n, float(preparation.shorter), np.nan)
    return np.stack([np.where(wide_n, longer_n, shorter_n), np.where(wide_n, shorter_n, longer_n)], axis=1)
