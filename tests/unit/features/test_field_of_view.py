"""What an encoder sees of an image, computed from its size, is what preprocessing leaves of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.features.field_of_view import fields_of_view
from trainer.features.preprocessing import KINDS, Preparation, preparation
from trainer.stats.share_cut import shares_cut


def _how(kind: str, side: int, crop: int) -> Preparation:
    size: object = {"height": side, "width": side} if KINDS[kind].square else {"shortest_edge": side}
    settings = {"image_processor_type": f"{kind}ImageProcessor", "size": size, "resample": 0}
    return preparation(settings | ({"crop_size": crop} if KINDS[kind].crop else {}), kind=kind)


@given(
    kind=st.sampled_from(sorted(KINDS)),
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    side=st.integers(8, 48),
    crop=st.integers(8, 48),
)
def test_the_field_is_where_the_pixels_come_from(
    kind: str, width: int, height: int, side: int, crop: int
) -> None:
    """Each pixel of an image holds its own place, so the input says what was kept."""
    how = _how(kind, side, crop)
    across, down = np.meshgrid(np.linspace(1, 255, width), np.linspace(1, 255, height))
    pixels = how.pixels(np.stack([across, down, np.full_like(down, 255)], axis=2).astype(np.uint8))
    (field,) = fields_of_view(how, np.array([[width, height]]))
    assert field[4:].tolist() == list(how.shape[::-1])
    visible = pixels[2] > 0
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    for start, end, kept, length in (
        (field[0], field[2], columns, pixels.shape[2]),
        (field[1], field[3], rows, pixels.shape[1]),
    ):
        edges = start + (end - start) * np.arange(length + 1) / length
        inside = (edges[:-1] >= -1e-5) & (edges[1:] <= 1 + 1e-5)
        assert np.flatnonzero(inside).tolist() == kept.tolist()


def test_a_centre_crop_of_a_wide_image_cuts_its_sides() -> None:
    fields = fields_of_view(_how("CLIP", 224, 224), np.array([[448.0, 224.0], [224, 224], [np.nan, np.nan]]))
    assert fields[0].tolist() == [0.25, 0.0, 0.75, 1.0, 224.0, 224.0]
    assert shares_cut(fields)[:2].tolist() == [0.5, 0.0]
    assert np.isnan(fields[2]).all()
    assert np.isnan(shares_cut(fields)[2])


@pytest.mark.parametrize(("kind", "cut"), [("CLIP", 1 / 3), ("Siglip", 0.0), ("DeiT", 1 - (224 / 256) ** 2)])
def test_the_share_that_is_cut_is_that_of_the_processor(kind: str, cut: float) -> None:
    how = preparation({}, kind=kind)
    assert shares_cut(fields_of_view(how, np.array([[1200, 800]])))[0] == pytest.approx(cut, abs=0.005)


@given(width=st.integers(1, 10_000), height=st.integers(1, 10_000), kind=st.sampled_from(sorted(KINDS)))
def test_a_share_is_between_none_and_all(width: int, height: int, kind: str) -> None:
    fields = fields_of_view(preparation({}, kind=kind), np.array([[width, height]]))
    assert 0 <= shares_cut(fields)[0] < 1
