"""Measure image quality: size, brightness, contrast, sharpness, entropy, colourfulness, perceptual hash."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import laplace

SIDE = 256  # pixels; one scale for all images, because sharpness, entropy and noise depend on it
HASH_BYTES = 8
MEASURE_NAMES = (
    "width",  # pixels, as stored
    "height",
    "brightness",  # mean luma (ITU-R BT.601), 0…1
    "contrast",  # standard deviation of luma (RMS contrast, Peli 1990), 0…0.5
    "sharpness",  # variance of the Laplacian of luma in 8-bit steps (Pech-Pacheco et al. 2000), from 0
    "entropy",  # of luma's 256-bin histogram (Shannon 1948), 0…8 bits
    "colourfulness",  # M3 of Hasler & Süsstrunk 2003: 0 grey, 15 slight, 45 average, 82 high
    *(f"hash{i}" for i in range(HASH_BYTES)),  # the perceptual hash, one byte in each
)


def measure_image(image_hwc: np.ndarray, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Measure :data:`MEASURE_NAMES` of one image. Always finite.

    Width, height and hash are of the original; the rest is measured after the longer side was reduced to
    :data:`SIDE`.

    Args:
        image_hwc: uint8 [H, W, 3], at least one pixel.
        size: stored width and height if the image was decoded at a fraction; None: those of the array.

    Returns:
        float64 [M].
    """
    width, height = size or image_hwc.shape[1::-1]
    image = Image.fromarray(image_hwc)
    # The filter for which sharpness depends least on the stored size.
    image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    grey = image.convert("L")
    luma = np.asarray(grey, dtype=np.float32)
    looks = luma.mean() / 255, luma.std() / 255, laplace(luma).var(), abs(grey.entropy()), _colours(image)
    return np.array([width, height, *looks, *np.packbits(perceptual_hash(image_hwc))], dtype=np.float64)


def perceptual_hash(image_hwc: np.ndarray) -> np.ndarray:
    """Return the perceptual hash (pHash, Zauner 2010) of an image uint8 [H, W, 3]: bool [64].

    It has one bit for each of the 8 × 8 lowest frequencies of the grey image: whether it is above their
    median.
    """
    grey = Image.fromarray(image_hwc).convert("L").resize((32, 32), Image.Resampling.BOX)
    low = dctn(np.asarray(grey, dtype=np.float32), norm="ortho")[:8, :8].ravel()
    return low > np.median(low[1:])


def hashes_of_measures(measures_nm: np.ndarray) -> np.ndarray:
    """Return the perceptual hashes, uint8 [N, 8], from measures [N, M]."""
    return measures_nm[:, -HASH_BYTES:].astype(np.uint8)


def _colours(image: Image.Image) -> float:
    """Return M3 of Hasler & Süsstrunk: spread and mean along the red–green and yellow–blue axes.

    Not the mean HSV saturation, which is high for noise in dark pixels.
    """
    red, green, blue = np.moveaxis(np.asarray(image, dtype=np.float32), -1, 0)
    opponent = np.stack([red - green, (red + green) / 2 - blue])
    spread, away = opponent.std((1, 2)), opponent.mean((1, 2))
    return float(np.hypot(*spread) + 0.3 * np.hypot(*away))
