"""Decode DICOM to 8 bits, as a viewer shows it. Needs the optional package pydicom."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE = 128  # bytes before the letters DICM


def is_dicom(data: bytes) -> bool:
    """Return whether bytes are a DICOM file (PS3.10)."""
    return data[PREAMBLE : PREAMBLE + 4] == b"DICM"


def size_of(file: BinaryIO) -> tuple[int, int]:
    """Return width and height by the header, 0 where there is no image. Raises what pydicom raises."""
    from pydicom import dcmread

    dataset = dcmread(file, stop_before_pixels=True)
    return dataset.get("Columns") or 0, dataset.get("Rows") or 0


def decode_dicom(data: bytes, *, max_pixels: int) -> np.ndarray:
    """Return the first frame: uint8 [H, W] or [H, W, 3].

    Stored values are rescaled (modality LUT), then mapped by the file's first window or VOI LUT; without
    one, from the least to the greatest value. MONOCHROME1 is inverted, so that high values are bright.

    Raises:
        ValueError: no image, or more than ``max_pixels``.
        Exception: what pydicom raises on damaged files and compressions that it cannot read.
    """
    from pydicom import dcmread
    from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

    dataset = dcmread(io.BytesIO(data))
    height, width = dataset.get("Rows"), dataset.get("Columns")
    if not height or not width:
        raise ValueError("a DICOM file without an image")
    if height * width > max_pixels:
        raise ValueError(f"too large: {width} x {height} pixels, the limit is {max_pixels:,} in total")
    pixels = pixel_array(io.BytesIO(data), index=0)  # colours as RGB
    kind = dataset.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
    if pixels.ndim == 3:
        return _to_8_bits(pixels, 0, np.iinfo(pixels.dtype).max)
    grey_hw = _to_8_bits(*_windowed(apply_modality_lut(pixels, dataset), dataset))
    return 255 - grey_hw if kind == "MONOCHROME1" else grey_hw


def _windowed(values_hw: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, float, float]:
    """Return the values to show, and which of them are black and white."""
    from pydicom.pixels import apply_voi, apply_windowing

    if dataset.get("VOILUTSequence"):
        bits = dataset.VOILUTSequence[0].LUTDescriptor[2]
        return apply_voi(values_hw, dataset), 0, 2**bits - 1
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        low, high = apply_windowing(np.array([-1e12, 1e12]), dataset)  # the ends of the range it maps to
        return apply_windowing(values_hw, dataset), low, high
    return values_hw, values_hw.min(), values_hw.max()


def _to_8_bits(values: np.ndarray, low: float, high: float) -> np.ndarray:
    if high <= low:
        return np.zeros(values.shape, dtype=np.uint8)
    share = values.astype(np.float64)
    share -= low  # in place: these are the largest arrays of all
    share /= float(high) - low
    np.clip(share, 0, 1, out=share)
    share *= 255
    return np.round(share, out=share).astype(np.uint8)
