"""HEIC and DICOM: read where their package is installed, named where it is not."""

from __future__ import annotations

import io
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.image_files import class_folders
from trainer.data import formats
from trainer.data.dataset_summary import passed_over_files
from trainer.data.decode import DecodeError, decode
from trainer.data.load import load

# White above black, 32 × 64 pixels, and the mark by which a phone turns it. Only an encoder could write one.
TURNED_HEIC = b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAchtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ADRpbG9jAAAAAERAAAIAAQAAAAAB7AABAAAAAAAAAIAAAgAAAAACbAABAAAAAAAAACQAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAA"
    "AAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAABB2lwcnAAAADmaXBjbwAAAHZodmNDAQNwAAAA"
    "kAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq"
    "5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xh"
    "cAAAAEAAAAABAAAAIAAAAAEAAAAAAAAAAv///+AAAAACAAAAEHBpeGkAAAAAAwgICAAAAAlpcm90AwAAABlpcG1hAAAAAAAAAAEA"
    "AQaBAgMFhIYAAAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAKxtZGF0AAAAfCgBrxOA+FDQp9Q/dMzsBf/+PhNSKMJXXF26ux30"
    "LCIMqrGDpRnviS33ZMIoSCI8O3hNLgAW1LWzfbtPTJFsq0Ci0XNJePbpOevd+lq1/ZeEBFiHGMOj2fTO0lcltwFVaE7ifRkmhv3a"
    "NOe+PpHd81Qt7E64xSAclIyZ5GUAAAAGRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAA="
)


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where neither package is installed."""
    for extra in formats.EXTRAS:
        monkeypatch.setitem(vars(extra), "installed", False)
    formats.extensions.cache_clear()
    yield
    formats.extensions.cache_clear()


@pytest.mark.usefixtures("without_extras")
@pytest.mark.parametrize(
    ("extension", "cure"),
    [
        ("heic", "HEIC is read once pi-heif is installed (the extra 'heic')."),
        ("dcm", "DICOM is read once pydicom is installed (the extra 'dicom')."),
    ],
)
def test_without_the_package_files_are_counted_and_the_package_is_named(
    tmp_path: Path, extension: str, cure: str
) -> None:
    class_folders(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / f"IMG_1.{extension.upper()}").write_bytes(b"x")
    manifest = load(str(tmp_path), seed=0)
    assert len(manifest) == 4
    assert passed_over_files(manifest) == f"Passed over: 1 .{extension}. {cure}"


def test_a_turned_heic_is_read_like_a_jpeg(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "IMG_1.HEIC").write_bytes(TURNED_HEIC)
    manifest = load(str(tmp_path), seed=0)
    assert manifest.images is not None
    out = decode(manifest.images[manifest.sample_id.index("a/IMG_1.HEIC")])
    assert out.shape == (64, 32, 3)
    assert out[:24].min() > 200 > 50 > out[40:].max()


def dicom(values: np.ndarray, *, stored_bits: int = 12, **fields: Any) -> bytes:
    """A DICOM file of values [H, W] or [H, W, 3]."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 1 if values.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if values.ndim == 2 else "RGB"
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * values.dtype.itemsize
    dataset.BitsStored = min(stored_bits, dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
    for name, value in fields.items():
        setattr(dataset, name, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


RAMP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)


def test_12_bits_span_black_to_white() -> None:
    out = decode(dicom(RAMP))
    assert out.shape == (16, 16, 3)
    assert (out[0, 0, 0], out[-1, -1, 0]) == (0, 255)
    assert np.abs(out[..., 1].ravel().astype(int) - np.arange(256)).max() <= 1


def test_monochrome1_is_inverted() -> None:
    inverted = decode(dicom(RAMP, PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(inverted, 255 - decode(dicom(RAMP)))


def test_values_are_rescaled_before_the_window_is_applied() -> None:
    hounsfield = RAMP.astype(np.int16)
    fields = {
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "WindowCenter": [40, 300],
        "WindowWidth": [400, 9],
    }
    out = decode(dicom(hounsfield, stored_bits=16, **fields))[..., 0]
    values = hounsfield - 1024
    assert set(out[values < -161]) == {0}
    assert set(out[values > 241]) == {255}
    assert abs(int(out[values == 32][0]) - 123) <= 2


def test_colours_are_kept() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    assert np.array_equal(decode(dicom(image, stored_bits=8)), image)


def test_a_damaged_file_gives_a_reason() -> None:
    for data in (dicom(RAMP)[:-100], dicom(RAMP, Rows=0), bytes(128) + b"DICM"):
        with pytest.raises(DecodeError):
            decode(data)
