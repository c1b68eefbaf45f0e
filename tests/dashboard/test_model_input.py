"""What an encoder sees of an image, beside it: drawn from what is on record, if that can be."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dashboard.frames.model_input import model_input, share_cut
from dashboard.ui import gallery
from tests.support import synthetic_runs
from tests.support.pages import charts, gallery_alone, open_page, words
from trainer.features.field_of_view import fields_of_view
from trainer.features.preprocessing import preparation
from trainer.tracking.schema import Artifact, Images

CENTRE = [0.25, 0.0, 0.75, 1.0, 224.0, 224.0]


def halves(width: int = 80, height: int = 40) -> bytes:
    """An image that is red on the left and blue on the right, and green at either end."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0], pixels[:, width // 2 :, 2] = 255, 255
    pixels[:, : width // 8] = pixels[:, -width // 8 :] = (0, 255, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def pixels(data: bytes | None) -> np.ndarray:
    assert data is not None
    return np.asarray(Image.open(io.BytesIO(data)))


def test_the_part_that_is_cut_away_is_not_in_it() -> None:
    seen = pixels(model_input(halves(), CENTRE))
    assert seen.shape == (40, 40, 3)
    assert not seen[:, :, 1].any()
    assert share_cut(CENTRE) == 0.5


def test_it_is_what_the_preprocessing_leaves() -> None:
    how = preparation({"size": {"shortest_edge": 20}, "crop_size": 20}, kind="CLIP")
    with Image.open(io.BytesIO(halves())) as image:
        theirs = how.pixels(np.asarray(image)).transpose(1, 2, 0)
    (field,) = fields_of_view(how, np.array([[80, 40]]))
    ours = pixels(model_input(halves(), field))
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).mean() < 8  # cut before it is made smaller, not after


def test_what_is_added_is_black() -> None:
    seen = pixels(model_input(halves(), [-0.5, -0.5, 1.5, 1.5, 64, 64]))
    assert not seen[:8].any()
    assert seen.any()
    assert share_cut([-0.5, -0.5, 1.5, 1.5, 64, 64]) == 0


@pytest.mark.parametrize(
    "field",
    [None, math.nan, "text", [], [0, 0, 1, 1], [0, 0, 1, 1, math.inf, 1], [1, 0, 0, 1, 8, 8],
     [0, 0, 1, 1, 1e9, 1e9], [-4e3, 0, 4e3, 1, 8, 8], [{}] * 6],
)  # fmt: skip
def test_a_field_that_cannot_be_is_no_image(field: object) -> None:
    assert model_input(halves(), field) is None


@settings(max_examples=60)
@given(st.lists(st.floats(width=32), max_size=7), st.binary(max_size=40))
def test_nothing_on_record_raises(field: list[float], noise: bytes) -> None:
    for data in (noise, halves(), None):
        seen = model_input(data, field)
        assert seen is None or max(pixels(seen).shape) <= 80
    assert (cut := share_cut(field)) is None or 0 <= cut <= 1


def test_a_gallery_shows_both_when_asked_and_says_how_much_is_cut() -> None:
    samples = pd.DataFrame(
        {
            "sample_id": ["a", "b"],
            "caption": "",
            "thumbnail": [halves()] * 2,
            "field_of_view": pd.Series([CENTRE, None], dtype=object),
        }
    )
    rows = gallery.with_images(samples[["sample_id"]].assign(**{gallery.SAYS: "cat"}), samples)
    app = gallery_alone(rows)
    assert len(app.get("image")) == 2
    app.toggle(key="page_input").set_value(True).run()
    assert len(app.get("image")) == 3
    assert "50% cut · cat" in words(app)
    assert len(gallery_alone(rows, page_input="true").get("image")) == 3
    older = gallery.with_images(rows.drop(columns="field_of_view"), samples.drop(columns="field_of_view"))
    assert not gallery_alone(older).toggle


def cut(folder: Path, shares: list[float]) -> None:
    """Let an extraction have recorded what the encoder sees of its first images."""
    (path,) = (folder / "artifacts").rglob(Artifact.IMAGES)
    table = pd.read_parquet(path)
    given_n = shares + [0.0] * (len(table) - len(shares))
    fields = [[one / 2, 0, 1 - one / 2, 1, 224, 224] for one in given_n]
    table.assign(**{Images.CUT: given_n, Images.FIELD: fields}).to_parquet(path)


def test_data_quality_shows_the_worst_first_and_of_older_runs_nothing(uri: str, tmp_path: Path) -> None:
    synthetic_runs.extraction(uri)
    before = open_page("views/quality.py")
    assert "What the encoder sees" not in words(before)
    cut(tmp_path, [0.1, 0.5, 0.3])
    app = open_page("views/quality.py")
    assert not app.exception
    said = words(app)
    assert "**1% of an image is cut away on average, at most 50%; 2 images lose more than 25%**" in said
    assert said.index("50% cut · train · digit-0001") < said.index("30% cut") < said.index("10% cut")
    assert len(charts(app)) == len(charts(before)) + 1
    assert len(app.get("image")) == len(before.get("image")) + 2 * 3
    cut(tmp_path, [])
    assert "The encoder sees every image whole" in words(open_page("views/quality.py"))
