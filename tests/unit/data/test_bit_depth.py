"""16-bit images are scaled by the bits that the data uses, in training and in prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.image_files import encoded
from trainer.data.bit_depth import scaled, with_bits, with_used_bits
from trainer.data.decode import DecodeError, decode
from trainer.data.load import load
from trainer.data.manifest import Manifest
from trainer.features.image_loader import ImageRequest, prepare
from trainer.features.preprocessing import preparation

SHAPE = (6, 8)


def grey(seed: int, largest: int) -> np.ndarray:
    """uint16 [H, W], from 0 to the largest value."""
    pixels = np.random.default_rng(seed).integers(0, largest + 1, SHAPE).astype(np.uint16)
    pixels[0, :2] = 0, largest
    return pixels


def data(folder: Path, largest: int, *, kind: str = "png") -> Manifest:
    for i in range(12):
        path = folder / "ab"[i % 2] / f"{i}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = grey(i, largest)
        if kind == "pgm":
            path.write_bytes(b"P5 8 6 65535\n" + pixels.astype(">u2").tobytes())
        else:
            Image.fromarray(pixels).save(path)
    return with_used_bits(load(str(folder), seed=0), cache_file=folder / "cache.json")


@pytest.mark.parametrize("kind", ["png", "tiff", "pgm"])
@pytest.mark.parametrize(
    ("largest", "bits"), [(200, 8), (1000, 10), (4095, 12), (4096, 14), (16383, 14), (16384, 16), (65535, 16)]
)
def test_the_range_is_that_of_the_bits_in_use(tmp_path: Path, kind: str, largest: int, bits: int) -> None:
    manifest = data(tmp_path, largest, kind=kind)
    assert manifest.bits == bits
    assert manifest.images is not None
    for name, image in zip(manifest.sample_id, manifest.images, strict=True):
        wanted = np.round(grey(int(Path(name).stem), largest) * (255 / ((1 << bits) - 1)))
        assert np.abs(decode(image)[..., 0].astype(int) - wanted).max() <= 1
    assert (bits == 16) == (not manifest.notes)


def test_the_largest_value_of_all_images_decides(tmp_path: Path) -> None:
    Image.fromarray(grey(0, 900)).save(tmp_path / "dark.png")
    Image.fromarray(grey(1, 4000)).save(tmp_path / "bright.png")
    (tmp_path / "t.csv").write_text("path,label\ndark.png,a\nbright.png,b\n")
    manifest = with_used_bits(load(str(tmp_path / "t.csv"), seed=0), cache_file=tmp_path / "cache.json")
    assert manifest.images is not None
    assert [decode(image).max() for image in manifest.images] == [
        round(900 / 4095 * 255),
        round(4000 / 4095 * 255),
    ]
    assert "use 12 bits (largest value 4,000)" in manifest.notes[-1]


def test_the_content_address_says_the_scale_and_the_second_look_is_cached(tmp_path: Path) -> None:
    manifest = data(tmp_path, 4095)
    whole = load(str(tmp_path), seed=0)
    assert set(manifest.content).isdisjoint(whole.content)
    assert manifest.digest != whole.digest
    (tmp_path / "cache.json").write_text((tmp_path / "cache.json").read_text().replace("4095", "1000"))
    again = with_used_bits(whole, cache_file=tmp_path / "cache.json")
    assert again.bits == 10
    assert set(again.content).isdisjoint(manifest.content)


def test_eight_bit_images_stay_as_they_are(tmp_path: Path) -> None:
    manifest = data(tmp_path, 4095)
    pixels = np.full((*SHAPE, 3), 7, dtype=np.uint8)
    (tmp_path / "a" / "plain.png").write_bytes(encoded(pixels))
    mixed = with_used_bits(load(str(tmp_path), seed=0), cache_file=tmp_path / "cache.json")
    row = mixed.sample_id.index("a/plain.png")
    assert mixed.images is not None
    assert (decode(mixed.images[row]) == pixels).all()
    assert mixed.bits == manifest.bits == 12
    assert load("demo", seed=0).bits is None


def test_the_loader_reads_scaled_images_and_finds_changed_files(tmp_path: Path) -> None:
    manifest = data(tmp_path, 4095)
    how = preparation({"size": {"height": 4, "width": 4}, "resample": 2}, kind="ViT")
    assert manifest.images is not None
    request = ImageRequest((0,), (manifest.images[0],), manifest.content[0], (0,), True)
    got = prepare(request, how, None)
    assert got.bad == {}
    assert got.views[0].pixels.max() > 100
    (tmp_path / manifest.sample_id[0]).write_bytes(encoded(np.zeros((4, 4, 3), dtype=np.uint8)))
    assert prepare(request, how, None).bad == {0: "changed since the data was listed"}


def test_a_recorded_scale_is_used_and_an_image_beyond_it_is_refused(tmp_path: Path) -> None:
    data(tmp_path, 1000)
    manifest = with_bits(load(str(tmp_path), seed=0), 12)
    assert manifest.images is not None
    assert decode(manifest.images[0]).max() == round(1000 / 4095 * 255)
    image = encoded(Image.fromarray(grey(0, 5000)))
    with pytest.raises(DecodeError, match=r"the value 5,000.*12 bits \(0–4,095\)"):
        scaled(image, 12)
    assert decode(scaled(image, None)).max() == round(5000 / 16383 * 255)
    assert scaled(image, 16) == image


def test_dark_images_among_bright_ones_are_warned_of(tmp_path: Path) -> None:
    data(tmp_path, 4000)
    Image.fromarray(grey(99, 60000)).save(tmp_path / "a" / "99.png")
    manifest = with_used_bits(load(str(tmp_path), seed=0), cache_file=tmp_path / "cache.json")
    assert manifest.bits == 16
    assert "92% of the 16-bit images stay below 4,096" in manifest.notes[-1]


def test_a_damaged_image_is_left_to_be_quarantined(tmp_path: Path) -> None:
    data(tmp_path, 4095)
    path = tmp_path / "a" / "0.png"
    path.write_bytes(path.read_bytes()[:60])
    manifest = with_used_bits(load(str(tmp_path), seed=0), cache_file=tmp_path / "cache.json")
    assert manifest.bits == 12
    assert manifest.images is not None
    with pytest.raises(DecodeError, match="cannot be decoded"):
        decode(manifest.images[manifest.sample_id.index("a/0.png")])
