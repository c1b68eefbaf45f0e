"""The page "Search", run in process: all images of the run's data are ranked by words, image or row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from tests.support import synthetic_runs
from tests.support.pages import Showing, active, open_page, words
from tests.support.trained_sweep import CLASSES, PER_CLASS, Answering
from trainer.core.errors import InputError
from trainer.data.demo import ENCODER
from trainer.data.load import load
from trainer.features.extract import extract
from trainer.features.settings import EncoderSettings
from trainer.features.text_encoder import TextEncoder
from trainer.serving.image_index import ImageIndex
from trainer.stats.vectors import unit_rows
from trainer.tracking.schema import Artifact

PAGE = "views/search.py"
IMAGES = len(CLASSES) * PER_CLASS


@pytest.fixture
def searched(searchable: Answering, monkeypatch: pytest.MonkeyPatch) -> Answering:
    """The app looks at a sweep whose images can be searched by words."""
    monkeypatch.setenv("HEADROOM_TRACKING_URI", searchable.uri)
    return searchable


def tiles(app: AppTest) -> list[str]:
    """What stands below each image."""
    return [node.value for node in app.caption if "search?run=" in node.value]


def by_product(made: Answering, query_d: np.ndarray, *, space: str) -> list[str]:
    """Names of all images, those of the highest cosine first."""
    settings = EncoderSettings(encoder="demo", cache_dir=made.cache, device="cpu", space=space)  # type: ignore[arg-type]
    features = extract(load(str(made.images), seed=0), settings)
    order = np.argsort(-(unit_rows(features.vectors_nd) @ query_d))
    return [features.manifest.sample_id[row] for row in order]


def test_before_anything_is_asked_the_page_says_what_can_be(searched: Answering) -> None:
    told = words(open_page(PAGE))
    assert "Say what the images should show" in told
    assert f"All {IMAGES} images are ranked" in told


def test_words_in_the_address_rank_all_images(searched: Answering) -> None:
    app = open_page(PAGE)
    app.text_input(key="words").set_value("a red bird").run()
    assert f"“a red bird”: top {IMAGES} of {IMAGES} images" in words(app)
    expected = by_product(
        searched, TextEncoder(ENCODER, device="cpu").encode(["a red bird"])[0], space="shared"
    )
    shown = tiles(app)
    assert len(shown) == 24  # of the first page
    assert [expected[at].rpartition("/")[2] in shown[at] for at in (0, 1)] == [True, True]
    assert not app.exception


def test_an_image_finds_itself_and_a_bad_one_is_named(searched: Answering) -> None:
    app = open_page(PAGE, by="your image")
    assert "Upload an image" in words(app)
    data = (searched.images / "red" / "3.png").read_bytes()
    app.file_uploader[0].set_value([("mine.png", data, "image/png")]).run()
    first = tiles(app)[0]
    assert "1.00" in first
    assert "red" in first
    assert "3.png" in first
    app.file_uploader[0].set_value([(f"{synthetic_runs.HOSTILE}.png", b"<html>", "image/png")]).run()
    assert "cannot be used: not an image" in app.warning[0].value
    assert not app.exception


def test_more_like_a_row_are_found_from_a_link_and_forgotten_again(searched: Answering) -> None:
    app = open_page(PAGE, like="dark_ones/5.png")
    assert f"top {IMAGES} of {IMAGES} images" in words(app)
    assert "5.png" in tiles(app)[0]
    app.button[0].click().run()
    assert "like" not in app.query_params
    assert "Say what the images should show" in words(app)


def test_label_split_and_prediction_leave_out_the_others(searched: Answering) -> None:
    app = open_page(PAGE, like="red/0.png", of_label="red")
    assert f"top {PER_CLASS} of {PER_CLASS} images" in words(app)
    app = open_page(PAGE, like="red/0.png", of_label="red", of_split="test")
    table = pd.read_parquet(searched.folder / Artifact.PREDICTIONS)
    table = table[table["head"] == "best"]
    tests = int(((table["split"] == "test") & (table["label"] == "red")).sum())
    assert f"top {tests} of {tests} image" in words(app)
    answer = table["pred"].iloc[0]
    app = open_page(PAGE, like="red/0.png", of_pred=answer)
    count = int((table["pred"] == answer).sum())
    assert f"top {count} of {count} image" in words(app)


def test_images_that_are_not_encoded_for_words_are_named_with_the_command(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", answering.uri)
    app = open_page(PAGE)
    app.text_input(key="words").set_value("it's red").run()
    assert "not encoded in the space of images and texts yet" in words(app)
    (code,) = app.code
    assert code.value.startswith("python -m trainer.search_images 'it'\"'\"'s red' --data")
    assert f"--data {answering.images} --encoder " in code.value
    assert "--cache-dir" in code.value
    assert not tiles(app)


@pytest.mark.parametrize("name", ["gone.png", synthetic_runs.HOSTILE, "[a](http://evil.example)"])
def test_a_row_that_is_not_there_is_said_and_springs_nothing(searched: Answering, name: str) -> None:
    told = words(open_page(PAGE, like=name))
    assert "is not among the encoded images" in told
    assert "](http" not in active(told)


def test_a_run_whose_encoder_has_changed_says_so(showing: Showing) -> None:
    showing(synthetic_runs.sweep)
    assert "demo is not the encoder of this head" in words(open_page(PAGE))
    showing(synthetic_runs.sweep, name=synthetic_runs.HOSTILE, classes=[synthetic_runs.HOSTILE, "b", "c"])
    app = open_page(PAGE)
    rendered = [str(node.value) for node in [*app.markdown, *app.caption, *app.error, *app.warning]]
    assert "](http" not in active("\n".join(rendered))


def test_galleries_of_other_pages_lead_to_more_like_each_image(searched: Answering) -> None:
    app = open_page("views/tryit.py")
    data = (searched.images / "red" / "3.png").read_bytes()
    app.file_uploader[0].set_value([("mine.png", data, "image/png")]).run()
    assert len(tiles(app)) == 12
    assert f"search?run={searched.run_id}&like=" in tiles(app)[0]


# --- what is behind it ------------------------------------------------------------------------


def flags(made: Answering, **changed: object) -> dict[str, object]:
    return {"data": str(made.images), "cache_dir": str(made.cache), "seed": 0} | changed


def test_data_that_are_gone_and_an_encoder_that_changed_are_refused(
    searchable: Answering, tmp_path: Path
) -> None:
    key = "0" * 16
    with pytest.raises(InputError, match="is not the encoder"):
        ImageIndex(flags(searchable), f"demo (float32, key {key})")
    with pytest.raises(InputError, match="precomputed"):
        ImageIndex(flags(searchable), "ready features")
    encoder = recorded_encoder(searchable)
    with pytest.raises(InputError, match="not on this machine"):
        ImageIndex(flags(searchable, data=str(tmp_path / "gone")), encoder)


def test_rows_that_are_encoded_later_are_found_without_a_restart(
    searchable: Answering, tmp_path: Path
) -> None:
    index = ImageIndex(flags(searchable, cache_dir=str(tmp_path / "cache")), recorded_encoder(searchable))
    assert not len(index.cached(shared=True).row_m)
    assert not (tmp_path / "cache" / "features").exists()
    settings = EncoderSettings(encoder="demo", cache_dir=tmp_path / "cache", device="cpu", space="shared")
    manifest = load(str(searchable.images), seed=0)
    extract(manifest.take(range(5)), settings)
    assert index.cached(shared=True).row_m.tolist() == [0, 1, 2, 3, 4]
    found = index.find(index.words("red"), 3, among_n=np.arange(IMAGES) % 2 == 0)
    assert set(found.row_k) == {0, 2, 4}
    extract(manifest, settings)
    assert index.cached(shared=True).cached_n.all()


def test_images_in_a_folder_without_labels_are_found_too(searchable: Answering) -> None:
    first, *others = sorted(CLASSES)
    index = ImageIndex(flags(searchable, unlabelled=first), recorded_encoder(searchable))
    assert index.manifest.classes == tuple(others)
    without_n = index.manifest.label_n < 0
    assert without_n.sum() == PER_CLASS
    found = index.find(index.words("red"), 3, among_n=without_n)
    assert without_n[found.row_k].all()


def test_an_image_of_ones_own_has_the_vector_that_extraction_gives_it(searchable: Answering) -> None:
    index = ImageIndex(flags(searchable), recorded_encoder(searchable))
    row = index.row("red/3.png")
    assert row is not None
    own = index.image((searchable.images / "red" / "3.png").read_bytes())
    assert own.vector_d == pytest.approx(row.vector_d, rel=1e-3, abs=1e-3)
    with pytest.raises(InputError, match="too narrow"):
        index.image(long_and_narrow())


def recorded_encoder(made: Answering) -> str:
    from mlflow import MlflowClient

    from trainer.tracking.schema import Tag

    return str(MlflowClient(made.uri).get_run(made.run_id).data.tags[Tag.ENCODER])


def long_and_narrow() -> bytes:
    from tests.support.image_files import encoded

    return encoded(np.zeros((1, 300, 3), dtype=np.uint8))
