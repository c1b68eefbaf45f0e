"""The decode policy: what comes out of odd images, and what is refused."""

from __future__ import annotations

import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.image_files import encoded, noise
from trainer.data.decode import MAX_ASPECT, DecodeError, decode, thumbnail


def test_a_png_comes_out_as_it_went_in() -> None:
    image = noise(0)
    assert np.array_equal(decode(encoded(image)), image)


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    out = decode(encoded(Image.fromarray(ramp)))
    assert np.array_equal(out[..., 0].ravel(), np.arange(256))
    assert np.array_equal(out[..., 0], out[..., 2])


def test_a_16_bit_tiff_is_scaled_like_a_png() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    assert np.array_equal(decode(encoded(Image.fromarray(ramp), kind="TIFF"))[..., 0].ravel(), np.arange(256))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    from PIL import ImageOps

    stored = Image.fromarray(noise(1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, exif=exif)
    stored.getexif()[0x0112] = orientation
    assert np.array_equal(decode(data), np.asarray(ImageOps.exif_transpose(stored)))


def test_a_turned_tiff_is_not_turned_twice() -> None:
    image = noise(2, height=4, width=6)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert np.array_equal(decode(encoded(image, kind="TIFF", exif=exif)), np.rot90(image, -1))


def test_transparency_lies_on_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = [0, 128, 255]
    assert decode(encoded(Image.fromarray(rgba)))[0, :, 0].tolist() == [255, 127, 0]


def test_a_transparent_palette_colour_lies_on_white() -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode=None).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert decode(encoded(image, transparency=0)).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_grey_with_alpha_lies_on_white() -> None:
    image = Image.merge("LA", [Image.new("L", (1, 1), 100), Image.new("L", (1, 1), 0)])
    assert decode(encoded(image)).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000"])
def test_newer_formats_are_read(kind: str) -> None:
    image = np.full((32, 48, 3), (200, 30, 60), np.uint8)
    assert np.abs(decode(encoded(image, kind=kind)).astype(int) - image).max() < 8


def test_a_turned_avif_is_turned_once() -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    image[:, :24] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    out = decode(encoded(image, kind="AVIF", exif=exif))
    assert out.shape == (48, 32, 3)
    assert out[:20].min() > 200 > 50 > out[28:].max()


def test_cmyk_becomes_rgb() -> None:
    out = decode(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), kind="JPEG"))
    assert out.shape == (8, 8, 3)
    assert out[0, 0, 0] > 200
    assert out[0, 0, 2] < 60


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], kind="GIF", save_all=True, append_images=frames[1:])
    assert decode(data)[0, 0].tolist() == [255, 0, 0]


def test_a_half_truncated_jpeg_is_refused() -> None:
    data = encoded(noise(3, height=64, width=64), kind="JPEG")
    with pytest.raises(DecodeError, match="truncated"):
        decode(data[: len(data) // 2])


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 2, 0, 0, 0)  # 144 megapixels, and no pixel follows
    chunk = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    idat = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(DecodeError, match="too large: 12000 x 12000"):
        decode(png + idat)


def test_a_strip_that_would_explode_when_scaled_is_refused() -> None:
    assert decode(encoded(noise(4, height=1, width=MAX_ASPECT))).shape == (1, MAX_ASPECT, 3)
    with pytest.raises(DecodeError, match="too narrow"):
        decode(encoded(noise(4, height=1, width=MAX_ASPECT + 1)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html>", "an HTML page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypmp42", "a video"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"nothing known", "begins with b'nothing '"),
    ],
)
def test_what_is_no_image_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode(data)


def test_too_many_open_files_is_no_fault_of_an_image(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            decode(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert decode(path).shape == (4, 4, 3)


def test_floating_point_pixels_are_refused_for_want_of_a_range() -> None:
    with pytest.raises(DecodeError, match="floating-point"):
        decode(encoded(Image.new("F", (2, 2), 0.5), kind="TIFF"))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]), st.data())
def test_damage_gives_an_image_or_a_reason_and_nothing_else(kind: str, data: st.DataObject) -> None:
    good = bytearray(encoded(noise(5), kind=kind))
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    try:
        out = decode(bytes(good[:cut]))
    except DecodeError:
        return
    assert out.dtype == np.uint8
    assert out.ndim == 3
    assert out.shape[2] == 3


def test_a_thumbnail_is_a_small_webp_of_the_same_proportions() -> None:
    import io

    with Image.open(io.BytesIO(thumbnail(noise(6, height=100, width=200)))) as image:
        assert (image.format, image.size) == ("WEBP", (64, 32))
