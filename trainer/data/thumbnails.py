"""Small images of rows, for the pages."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from trainer.data.decode import DecodeError, decode, thumbnail
from trainer.data.manifest import Manifest

SIDE = 64  # pixels


def thumbnails(manifest: Manifest, rows: Sequence[int], *, side: int = SIDE) -> list[bytes | None]:
    """WebP bytes for each of ``rows``; None where the data has no images or the file is gone by now."""
    images = manifest.images
    if images is None:
        return [None] * len(rows)

    def image(row: int) -> bytes | None:
        try:
            return thumbnail(decode(images[row], least=4 * side), side)
        except DecodeError:  # it was readable when it was encoded
            return None

    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter
        return list(pool.map(image, rows))
