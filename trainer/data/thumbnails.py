"""Make thumbnails of rows."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from trainer.data.decode import DecodeError, decode, thumbnail
from trainer.data.image_memory import reserved
from trainer.data.manifest import Manifest

SIDE = 64  # pixels


def thumbnails(manifest: Manifest, rows: Sequence[int], *, side: int = SIDE) -> list[bytes | None]:
    """Return a WebP for each of ``rows``; None if the data has no images or the file is missing."""
    images = manifest.images
    if images is None:
        return [None] * len(rows)

    def image(row: int) -> bytes | None:
        try:
            with reserved(images[row], min_side=4 * side) as stored:
                return thumbnail(decode(stored, min_side=4 * side), side)
        except DecodeError:  # the file has changed since it was encoded
            return None

    with ThreadPoolExecutor() as pool:  # decoding releases the GIL
        return list(pool.map(image, rows))
