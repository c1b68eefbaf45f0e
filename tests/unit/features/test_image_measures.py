"""Images are measured once, while they are encoded, and whichever encoder it is for."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.image_files import class_folders, encoded, noise
from tests.support.tiny_clip import save_tiny_clip
from trainer import cache
from trainer.data.decode import decode, decode_sized
from trainer.data.image_quality import MEASURE_NAMES, measure_image
from trainer.data.load import load
from trainer.features import encoding_loop, image_loader
from trainer.features.extract import Features, extract
from trainer.features.image_measures import measures_store
from trainer.features.settings import EncoderSettings
from trainer.features.store import FeatureStore

EXIF_ORIENTATION = 0x0112


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Ten small images and a large JPEG, which is read at a fraction."""
    folder = class_folders(tmp_path / "images", {"a": 5, "b": 5})
    smooth = np.kron(noise(3, height=8, width=12), np.ones((280, 280, 1), np.uint8))
    (folder / "a" / "large.jpg").write_bytes(encoded(smooth, kind="JPEG"))
    return folder


def _extract(pictures: Path, model: Path, tmp_path: Path, **options: object) -> Features:
    options = {"batch_size": 4, "device": "cpu"} | options
    manifest = load(str(pictures), seed=0)
    return extract(manifest, EncoderSettings(encoder=str(model), cache_dir=tmp_path / "cache", **options))


@pytest.fixture(scope="module")
def wider(tmp_path_factory: pytest.TempPathFactory, saved_clip: Path) -> Path:
    """The same model behind settings that ask for more than 512 pixels: it reads JPEGs larger."""
    folder = save_tiny_clip(tmp_path_factory.mktemp("wider"), seed=1)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings |= {"size": {"shortest_edge": 640}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def test_each_row_has_the_measures_of_its_own_image(pictures: Path, saved_clip: Path, tmp_path: Path) -> None:
    features = _extract(pictures, saved_clip, tmp_path)
    assert features.measures_nm is not None
    assert features.manifest.images is not None
    for row, image in enumerate(features.manifest.images):
        whole = decode(image)
        expected = measure_image(decode(image, min_side=512), size=whole.shape[1::-1])
        np.testing.assert_array_equal(features.measures_nm[row], expected.astype(np.float32))


def test_measures_do_not_depend_on_the_encoder_nor_on_who_decodes(
    pictures: Path, saved_clip: Path, wider: Path, tmp_path: Path
) -> None:
    ways = {"threads": (saved_clip, 0), "processes": (saved_clip, 1), "wider": (wider, 0)}
    found = {
        name: _extract(pictures, model, tmp_path / name, workers=workers).measures_nm
        for name, (model, workers) in ways.items()
    }
    assert np.isfinite(found["threads"]).all()
    np.testing.assert_array_equal(found["threads"], found["processes"])
    np.testing.assert_array_equal(found["threads"], found["wider"])


def test_a_second_encoder_measures_nothing_again(
    pictures: Path, saved_clip: Path, wider: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _extract(pictures, saved_clip, tmp_path)

    def fail(*_: object, **__: object) -> np.ndarray:
        raise AssertionError("measured again")

    monkeypatch.setattr(image_loader, "measure_stored_image", fail)
    second = _extract(pictures, wider, tmp_path)
    assert second.report.encoded == 11
    np.testing.assert_array_equal(first.measures_nm, second.measures_nm)


def test_rows_without_measures_are_measured_once_that_is_asked(
    pictures: Path, saved_clip: Path, tmp_path: Path
) -> None:
    without = _extract(pictures, saved_clip, tmp_path, measure=False)
    assert without.measures_nm is not None
    assert np.isnan(without.measures_nm).all()
    (pictures / "a" / "new.png").write_bytes(encoded(noise(900)))
    later = _extract(pictures, saved_clip, tmp_path)
    assert np.isfinite(later.measures_nm).all()
    assert later.report.encoded == 1


def test_a_kill_between_the_two_stores_leaves_measures_without_vectors_never_the_reverse(
    pictures: Path, saved_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding_loop, "COMMIT_EVERY", 4)
    append, written = FeatureStore.append, []

    def dies_at_the_fourth(store: FeatureStore, *arguments: object, **named: object) -> None:
        written.append(store.dtype.name)
        if len(written) == 4:
            raise KeyboardInterrupt
        append(store, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(FeatureStore, "append", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        _extract(pictures, saved_clip, tmp_path)
    assert written == ["float32", "float16"] * 2
    monkeypatch.setattr(FeatureStore, "append", append)
    assert len(measures_store(tmp_path / "cache" / "features")) == 8
    again = _extract(pictures, saved_clip, tmp_path)
    assert (again.report.reused, again.report.encoded) == (4, 7)
    assert np.isfinite(again.measures_nm).all()


def test_an_image_that_another_process_measured_meanwhile_is_not_stored_twice(
    pictures: Path, saved_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = image_loader.prepare

    def measured_meanwhile(*arguments: object) -> image_loader.Prepared:
        prepared = prepare(*arguments)  # type: ignore[arg-type]
        other = measures_store(tmp_path / "cache" / "features")
        with other.lock():
            if len(other) == 0:
                other.append([arguments[0].content], prepared.measures[None], sample_id=["x"])  # type: ignore
        return prepared

    monkeypatch.setattr(image_loader, "prepare", measured_meanwhile)
    _extract(pictures, saved_clip, tmp_path)
    store = measures_store(tmp_path / "cache" / "features")
    shards = [json.loads(note.read_text()) for note in store.folder.glob("*.json") if note.name != "key.json"]
    assert sum(shard["n"] for shard in shards) == len(store) == 11


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_measures_are_listed_and_travel_without_loss(
    pictures: Path, saved_clip: Path, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _extract(pictures, saved_clip, tmp_path)
    cache.List(cache_dir=tmp_path / "cache").run()
    assert "11 vectors of 15 numbers" in capsys.readouterr().err
    store = measures_store(tmp_path / "cache" / "features")
    file = tmp_path / f"measures{ending}"
    cache.Export(cache_dir=tmp_path / "cache", key=store.folder.name, file=file).run()
    cache.Import(cache_dir=tmp_path / "other", file=file).run()
    there = measures_store(tmp_path / "other" / "features")
    assert there.contents() == store.contents()
    np.testing.assert_array_equal(there.lookup(there.contents())[1], store.lookup(store.contents())[1])
    assert cache.Verify(cache_dir=tmp_path / "other").run()["damaged"] == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("min_side", [None, 64])
def test_the_size_is_that_of_the_stored_image_turned_as_it_says(
    kind: str, orientation: int, min_side: int | None
) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    data = encoded(noise(1, height=150, width=211), kind=kind, exif=exif)
    decoded = decode_sized(data, min_side=min_side)
    turned = decode(data)
    assert (decoded.width, decoded.height) == turned.shape[1::-1]
    assert sorted(turned.shape[:2]) == [150, 211]
    if min_side is None or kind != "JPEG":
        np.testing.assert_array_equal(decoded.image_hwc, turned)
    else:
        assert sorted(decoded.image_hwc.shape[:2]) == [75, 106]
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.getexif().get(EXIF_ORIENTATION) == orientation


def test_measures_have_a_column_for_each_name(pictures: Path, saved_clip: Path, tmp_path: Path) -> None:
    features = _extract(pictures, saved_clip, tmp_path)
    assert features.measures_nm is not None
    assert features.measures_nm.shape == (11, len(MEASURE_NAMES))
