"""Decode every image of a data set, to see which cannot be used and how large they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from trainer.data.decode import DecodeError, decode_sized
from trainer.data.image_memory import reserved
from trainer.data.manifest import Manifest, first_reasons, rows_by_value
from trainer.experiments.checking.findings import Finding
from trainer.features.image_loader import THREADS

NAMED = 3  # bad files that are named


class Decoding(NamedTuple):
    """What decoding showed."""

    size_m2: np.ndarray  # int64 [M, 2], width and height of each distinct usable image, pixels
    bad: dict[str, str]  # name → reason, of files that cannot be read and of images that cannot be decoded
    elapsed_s: float


def decode_all(manifest: Manifest, *, progress: Callable[[int, int], None]) -> Decoding:
    """Decode each distinct image in full.

    Args:
        progress: called with (distinct images done, distinct images).
    """
    assert manifest.images is not None
    images = manifest.images
    rows = [rows[0] for rows in rows_by_value(manifest.content).values()]
    sizes, bad, began = [], dict(manifest.quarantined), time.perf_counter()

    def size_of(row: int) -> tuple[int, int] | str:
        try:
            with reserved(images[row]) as stored:
                decoded = decode_sized(stored)
                return decoded.width, decoded.height
        except DecodeError as error:
            return error.reason

    with ThreadPoolExecutor(THREADS) as pool:
        for done, (row, found) in enumerate(zip(rows, pool.map(size_of, rows), strict=True), start=1):
            if isinstance(found, str):
                bad[manifest.sample_id[row]] = found
            else:
                sizes.append(found)
            progress(done, len(rows))
    size_m2 = np.array(sizes, dtype=np.int64).reshape(-1, 2)
    return Decoding(size_m2, bad, time.perf_counter() - began)


def describe(decoding: Decoding) -> str:
    """Say how many images there are and of which sizes."""
    if not len(decoding.size_m2):
        return "Images: none can be decoded."
    by_area = decoding.size_m2[np.argsort(decoding.size_m2.prod(1), kind="stable")]
    small, middle, large = (" × ".join(map(str, by_area[at])) for at in (0, len(by_area) // 2, -1))
    sizes = f"all {small} pixels" if small == large else f"{small} to {large} pixels (median {middle})"
    return (
        f"Images: {len(by_area):,} distinct, {sizes}, decoded at {len(by_area) / decoding.elapsed_s:.0f} per "
        "second."
    )


def of_images(decoding: Decoding, *, side: int | None, max_bad: float) -> Iterator[Finding]:
    """Yield what looks wrong in the images.

    Args:
        side: pixels of an image that the encoder sees; None if there is no encoder.
        max_bad: share of bad images up to which they are passed over.
    """
    total = len(decoding.size_m2) + len(decoding.bad)
    if decoding.bad:
        named = first_reasons(decoding.bad.items(), most=NAMED)
        text = f"{len(decoding.bad):,} of {total:,} images cannot be used ({named})."
        if len(decoding.bad) > max_bad * total:
            yield Finding("error", f"{text} Repair or remove them, or raise --max-bad.")
        else:
            yield Finding("warning", f"{text} They are left out.")
    if side is not None and len(decoding.size_m2):
        small = int((decoding.size_m2.min(1) < side / 2).sum())
        if small:
            yield Finding(
                "warning",
                f"{small:,} of {total:,} images have less than half the {side} pixels per side that the "
                "encoder sees, and will be enlarged.",
            )
