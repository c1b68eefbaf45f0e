"""What can be measured of one image without knowing what it shows: bad images lie at the ends of it."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import laplace

SIDE = 256  # pixels: sharpness, entropy and noise depend on the scale, so all are measured at one
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
    """All of :data:`MEASURE_NAMES` of one image. Always finite.

    Width, height and hash are the image's own; the rest is measured after its longer side has been brought
    down to :data:`SIDE` (smaller images stay as they are).

    Args:
        image_hwc: uint8 [H, W, 3], at least one pixel.
        size: width and height as stored, where the image was read at a fraction; None: those it has.

    Returns:
        float64 [M].
    """
    width, height = size or image_hwc.shape[1::-1]
    image = Image.fromarray(image_hwc)
    # Of Pillow's filters the one with which sharpness depends least on the size a photo was stored at.
    image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    grey = image.convert("L")
    luma = np.asarray(grey, dtype=np.float32)
    looks = luma.mean() / 255, luma.std() / 255, laplace(luma).var(), abs(grey.entropy()), _colours(image)
    return np.array([width, height, *looks, *np.packbits(perceptual_hash(image_hwc))], dtype=np.float64)


def perceptual_hash(image_hwc: np.ndarray) -> np.ndarray:
    """bool [64]: the signs of the 8 × 8 lowest frequencies of the grey image against their median
    (pHash, Zauner 2010). ``image_hwc`` is uint8 [H, W, 3]."""
    grey = Image.fromarray(image_hwc).convert("L").resize((32, 32), Image.Resampling.BOX)
    low = dctn(np.asarray(grey, dtype=np.float32), norm="ortho")[:8, :8].ravel()
    return low > np.median(low[1:])


def hashes_of_measures(measures_nm: np.ndarray) -> np.ndarray:
    """uint8 [N, 8]: the perceptual hashes of N images from their measures [N, M]."""
    return measures_nm[:, -HASH_BYTES:].astype(np.uint8)


def _colours(image: Image.Image) -> float:
    """Spread and distance from grey along red–green and yellow–blue.

    Not the mean saturation of HSV: that takes the noise in dark pixels for full colour.
    """
    red, green, blue = np.moveaxis(np.asarray(image, dtype=np.float32), -1, 0)
    opponent = np.stack([red - green, (red + green) / 2 - blue])
    spread, away = opponent.std((1, 2)), opponent.mean((1, 2))
    return float(np.hypot(*spread) + 0.3 * np.hypot(*away))
