"""Views: drawn from the image's content, within what was asked for, and the same for ever."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.image_files import class_folders, noise
from trainer.core.errors import InputError
from trainer.data.decode import decode
from trainer.data.load import load
from trainer.features.encoder import ImageEncoder, preparation_of
from trainer.features.extract import Features, extract
from trainer.features.image_augmentation import Augmentation, AugmentationSpec, crop, draw, jitter_and_flip
from trainer.features.settings import EncoderSettings

STILL = Augmentation(least_area=1, stretch=1, flip=0, brightness=0, contrast=0, saturation=0, hue=0)
CONTENT = hashlib.sha256(b"an image").hexdigest()
CONTENTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
STRAYING = st.builds(
    Augmentation,
    least_area=st.floats(0.01, 1),
    stretch=st.floats(1, 10),
    flip=st.floats(0, 1),
    brightness=st.floats(0, 1),
    contrast=st.floats(0, 1),
    saturation=st.floats(0, 1),
    hue=st.floats(0, 0.5),
)


@settings(deadline=None)
@given(STRAYING, CONTENTS, st.integers(1, 1000), st.integers(0, 2**31))
def test_a_view_stays_within_what_was_asked_for_and_comes_out_the_same(
    how: Augmentation, content: str, view: int, seed: int
) -> None:
    drawn = draw(how, content, view, seed=seed)
    left, top, right, bottom = drawn.box
    assert 0 <= left < right <= 1 + 1e-9
    assert 0 <= top < bottom <= 1 + 1e-9
    assert how.least_area - 1e-6 <= (right - left) * (bottom - top) <= 1 + 1e-6
    for factor, reach in zip(drawn.colours, (how.brightness, how.contrast, how.saturation), strict=False):
        assert abs(factor - 1) <= reach + 1e-6
    assert abs(drawn.colours[3]) <= 2 * np.pi * how.hue + 1e-6
    again = draw(how, content, view, seed=seed)
    assert again.box == drawn.box
    assert np.array_equal(again.colours, drawn.colours)


def test_images_views_and_seeds_differ() -> None:
    other = hashlib.sha256(b"another image").hexdigest()
    drawn = [
        draw(Augmentation(), content, view, seed=seed).box
        for content in (CONTENT, other)
        for view in (1, 2)
        for seed in (0, 1)
    ]
    assert len(set(drawn)) == 8


def test_half_of_the_views_are_mirrored() -> None:
    mirrored = [draw(Augmentation(), CONTENT, view, seed=0).colours[4] for view in range(1, 401)]
    assert 0.4 < np.mean(mirrored) < 0.6


def test_without_any_straying_the_image_comes_back() -> None:
    import torch

    image = noise(0, height=20, width=30)
    drawn = draw(STILL, CONTENT, 1, seed=0)
    pixels = crop(image, drawn, shape=(20, 30), resample=3)
    assert np.array_equal(pixels, image.transpose(2, 0, 1))
    same = jitter_and_flip(torch.from_numpy(pixels)[None].float(), torch.from_numpy(drawn.colours)[None])
    assert np.abs(same.numpy()[0] - pixels).max() < 0.01


def test_colours_are_changed_image_by_image() -> None:
    import torch

    pixels = torch.from_numpy(noise(1).transpose(2, 0, 1)[None]).float().repeat(3, 1, 1, 1)
    still = [1, 1, 1, 0, 0]
    darker_mirrored_grey = [[0.5, 1, 1, 0, 0], [1, 1, 1, 0, 1], [1, 1, 0, 0, 0]]
    darker, mirrored, grey = jitter_and_flip(pixels, torch.tensor(darker_mirrored_grey, dtype=torch.float32))
    assert torch.allclose(darker, pixels[0] / 2, atol=0.01)
    assert torch.allclose(mirrored, pixels[0].flip(-1), atol=0.01)
    assert torch.allclose(grey[0], grey[2], atol=0.01)
    assert torch.allclose(jitter_and_flip(pixels[:1], torch.tensor([still]).float())[0], pixels[0], atol=0.01)


@pytest.mark.parametrize("wrong", [{"least_area": 0.0}, {"stretch": 0.5}, {"hue": 0.6}, {"flip": 2.0}])
def test_strengths_that_make_no_sense_are_named(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(InputError, match=f"--augment.{name.replace('_', '-')} is"):
        Augmentation(**wrong).check()
    Augmentation().check()


# --- views on their way through the extraction ------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "images", {"a": 15, "b": 15})


def _extract(pictures: Path, model: Path, cache: Path, views: int, **options: object) -> Features:
    options = {"batch_size": 8, "device": "cpu", "views": views} | options
    settings = EncoderSettings(encoder=str(model), cache_dir=cache, **options)
    return extract(load(str(pictures), seed=0), settings)


def test_each_view_is_encoded_and_the_image_itself_stays_as_it_was(
    pictures: Path, saved_clip: Path, tmp_path: Path
) -> None:
    augmentation = AugmentationSpec(Augmentation(), seed=5)
    plain = _extract(pictures, saved_clip, tmp_path / "plain", 0)
    features = _extract(pictures, saved_clip, tmp_path / "views", 3, augmentation=augmentation)
    manifest = features.manifest
    assert np.array_equal(features.vectors_nd, plain.vectors_nd)
    train = manifest.rows("train")
    assert features.views_vnd is not None
    assert features.views_vnd.shape == (3, len(train), plain.vectors_nd.shape[1])
    encoder, preparation = ImageEncoder(saved_clip, device="cpu"), preparation_of(saved_clip)
    assert manifest.images is not None
    for view in (1, 2, 3):
        drawn = [draw(augmentation.how, manifest.content[row], view, seed=5) for row in train]
        cut = [
            crop(decode(manifest.images[row]), one, shape=preparation.shape, resample=preparation.resample)
            for row, one in zip(train, drawn, strict=True)
        ]
        expected_nd = encoder.forward_async(
            encoder.to_device(np.stack(cut)), np.stack([one.colours for one in drawn])
        )()
        assert np.allclose(features.views_vnd[view - 1], expected_nd, atol=2e-3)


def test_views_are_stored_one_by_one(pictures: Path, saved_clip: Path, tmp_path: Path) -> None:
    one = _extract(pictures, saved_clip, tmp_path, 1)
    three = _extract(pictures, saved_clip, tmp_path, 3)
    assert one.views_vnd is not None
    assert three.views_vnd is not None
    assert np.array_equal(three.views_vnd[0], one.views_vnd[0])
    assert not np.array_equal(three.views_vnd[1], three.views_vnd[2])
    assert three.report.encoded == len(one.manifest.rows("train"))  # only they have views
    again = _extract(pictures, saved_clip, tmp_path, 3)
    assert again.report.encoder_calls == 0
    assert np.array_equal(again.views_vnd, three.views_vnd)
    other = _extract(pictures, saved_clip, tmp_path, 1, augmentation=AugmentationSpec(Augmentation(), seed=1))
    assert not np.array_equal(other.views_vnd, one.views_vnd)


def test_a_negative_number_of_views_is_refused(pictures: Path, saved_clip: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="number of views is -1"):
        _extract(pictures, saved_clip, tmp_path, -1)
