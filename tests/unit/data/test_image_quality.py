"""What is measured of an image lies in its bounds and says what its name says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from tests.support.image_files import noise
from trainer.data.image_quality import MEASURE_NAMES, hashes_of_measures, measure_image, perceptual_hash

SIDES = st.one_of(st.integers(1, 40), st.integers(250, 270), st.just(600))


def _measured(image_hwc: np.ndarray) -> dict[str, float]:
    return dict(zip(MEASURE_NAMES, measure_image(image_hwc).tolist(), strict=True))


def _plain(*colour: int, height: int = 30, width: int = 40) -> np.ndarray:
    return np.full((height, width, 3), colour, dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(height=SIDES, width=SIDES, seed=st.integers(0, 99), step=st.integers(1, 255))
def test_measures_lie_in_their_bounds_and_are_the_same_twice(
    height: int, width: int, seed: int, step: int
) -> None:
    image = noise(seed, height=height, width=width) // step * step
    before = image.copy()
    m = _measured(image)
    assert (m["width"], m["height"]) == (width, height)
    assert 0 <= m["brightness"] <= 1
    assert 0 <= m["contrast"] <= 0.5 + 1e-6
    assert 0 <= m["sharpness"] <= 1020**2
    assert 0 <= m["entropy"] <= 8
    assert 0 <= m["colourfulness"] <= 400
    np.testing.assert_array_equal(
        hashes_of_measures(measure_image(image)[None])[0], np.packbits(perceptual_hash(image))
    )
    np.testing.assert_array_equal(measure_image(image), measure_image(image))
    np.testing.assert_array_equal(image, before)


@settings(max_examples=40, deadline=None)
@given(height=SIDES, width=SIDES, seed=st.integers(0, 99))
def test_inversion_turns_brightness_round_and_keeps_the_rest(height: int, width: int, seed: int) -> None:
    image = noise(seed, height=height, width=width)
    light, dark = _measured(image), _measured(255 - image)
    assert dark["brightness"] == pytest.approx(1 - light["brightness"], abs=2 / 255)
    assert dark["contrast"] == pytest.approx(light["contrast"], abs=2 / 255)
    assert dark["colourfulness"] == pytest.approx(light["colourfulness"], abs=2)


@settings(max_examples=40, deadline=None)
@given(height=SIDES, width=SIDES, seed=st.integers(0, 99), radius=st.integers(1, 4))
def test_blur_lowers_sharpness(height: int, width: int, seed: int, radius: int) -> None:
    image = noise(seed, height=height, width=max(width, 2))
    blurred = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))
    assert _measured(blurred)["sharpness"] < _measured(image)["sharpness"]


@settings(max_examples=20, deadline=None)
@given(height=SIDES, width=SIDES, seed=st.integers(0, 99))
def test_grey_has_no_colour(height: int, width: int, seed: int) -> None:
    image = noise(seed, height=height, width=width)
    image[:] = image[..., :1]
    assert _measured(image)["colourfulness"] == 0


@pytest.mark.parametrize("side", [1, 2, 300])
@pytest.mark.parametrize(("level", "brightness"), [(0, 0), (255, 1)])
def test_a_plain_image_has_nothing_but_brightness(side: int, level: int, brightness: float) -> None:
    m = _measured(_plain(level, level, level, height=side, width=side))
    assert m["brightness"] == brightness
    assert [m[name] for name in ("contrast", "sharpness", "entropy", "colourfulness")] == [0, 0, 0, 0]


def test_known_images_have_known_measures() -> None:
    halves = _plain(0, 0, 0)
    halves[:, 20:] = 255
    m = _measured(halves)
    assert (m["brightness"], m["contrast"], m["entropy"]) == (0.5, 0.5, 1)
    assert m["sharpness"] == 255**2 * 2 / 40  # two of forty columns lie at the edge
    # R - G = 150, (R + G) / 2 - B = 95.
    assert _measured(_plain(200, 50, 30))["colourfulness"] == pytest.approx(0.3 * np.hypot(150, 95))
    assert _measured(_plain(255, 0, 0))["brightness"] == pytest.approx(0.299, abs=1 / 255)


def test_noise_in_the_dark_is_not_colour() -> None:
    assert _measured(noise(0, height=100, width=100) // 64)["colourfulness"] < 3


def test_sharpness_does_not_depend_on_the_size_that_was_stored() -> None:
    small = Image.fromarray(noise(3, height=12, width=16)).resize((256, 192), Image.Resampling.BICUBIC)
    large = small.resize((1024, 768), Image.Resampling.BICUBIC)
    a, b = (_measured(np.asarray(image))["sharpness"] for image in (small, large))
    assert b == pytest.approx(a, rel=0.2)


def test_the_hash_of_an_image_outlives_another_size_and_other_light() -> None:
    image = Image.fromarray(noise(1, height=6, width=8)).resize((320, 240), Image.Resampling.BICUBIC)
    first = perceptual_hash(np.asarray(image))
    smaller = perceptual_hash(np.asarray(image.resize((160, 120))))
    darker = perceptual_hash((np.asarray(image) * 0.9).astype(np.uint8))
    other = perceptual_hash(noise(2, height=240, width=320))
    assert (first != smaller).sum() <= 4
    assert (first != darker).sum() <= 4
    assert (first != other).sum() > 16


def test_the_bits_of_a_hash_never_change() -> None:
    """Stored hashes are held against new ones."""
    image = noise(0, height=50, width=70)
    assert np.packbits(perceptual_hash(image)).tobytes().hex() == "cc19e558f20d7c6a"
