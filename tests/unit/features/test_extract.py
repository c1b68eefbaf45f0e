"""From rows to vectors: every row accounted for, every image encoded once."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.image_files import class_folders, encoded, noise
from tests.support.paths import REPO
from tests.support.tiny_clip import WIDTH, save_tiny_clip
from trainer.core.errors import InputError, TooManyBadFiles
from trainer.data.decode import decode
from trainer.data.load import load
from trainer.data.manifest import Manifest
from trainer.features import encoding_loop
from trainer.features.encoder import ImageEncoder
from trainer.features.extract import Features, extract
from trainer.features.hub import encoder_names, resolve
from trainer.features.settings import EncoderSettings


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("model"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "images", {"a": 10, "b": 10})


def _extract(data: Manifest | Path, model: Path, tmp_path: Path, **options: object) -> Features:
    manifest = data if isinstance(data, Manifest) else load(str(data), seed=0)
    options = {"batch_size": 4, "device": "cpu"} | options
    progress = options.pop("progress", None)
    settings = EncoderSettings(encoder=str(model), cache_dir=tmp_path / "cache", **options)
    features = extract(manifest, settings, progress=progress)
    report = features.report
    assert report.found == report.used + len(report.quarantined)
    assert report.used == report.reused + report.encoded == len(features.manifest) == len(features.vectors_nd)
    assert features.manifest.quarantined == report.quarantined
    return features


def test_each_row_gets_the_vector_of_its_own_image(pictures: Path, model: Path, tmp_path: Path) -> None:
    features = _extract(pictures, model, tmp_path)
    assert features.manifest.images is not None
    expected_nd = ImageEncoder(model, device="cpu").encode(
        [decode(path) for path in features.manifest.images]
    )
    assert features.vectors_nd.shape == (20, WIDTH)
    assert np.abs(features.vectors_nd - expected_nd).max() < 2e-3  # stored as float16
    assert (features.report.encoded, features.report.encoder_calls) == (20, 5)


def test_a_second_run_encodes_nothing_and_gives_the_same(pictures: Path, model: Path, tmp_path: Path) -> None:
    first = _extract(pictures, model, tmp_path)
    second = _extract(pictures, model, tmp_path)
    assert np.array_equal(first.vectors_nd, second.vectors_nd)
    assert (second.report.reused, second.report.encoded, second.report.encoder_calls) == (20, 0, 0)


def test_encoders_that_are_joined_share_their_caches_and_weigh_alike(
    pictures: Path, model: Path, tmp_path: Path
) -> None:
    other = save_tiny_clip(tmp_path / "b+c", seed=1)  # a + in a folder's name joins nothing
    alone = [_extract(pictures, one, tmp_path, views=1) for one in (model, other)]
    seen: list[tuple[int, int]] = []
    joined = Path(f"{model}+{other}")
    both = _extract(pictures, joined, tmp_path, views=1, progress=lambda *one: seen.append(one))
    assert both.report.encoder_calls == 0
    assert both.report.encoder == " + ".join(one.report.encoder for one in alone)
    assert both.widths == (WIDTH, WIDTH)
    for found, parts in (
        (both.vectors_nd, [one.vectors_nd for one in alone]),
        (both.views_vnd[0], [one.views_vnd[0] for one in alone]),  # type: ignore[index]
    ):
        expected = [part / np.sqrt((part**2).mean(1, keepdims=True)) for part in parts]
        np.testing.assert_allclose(found, np.concatenate(expected, axis=1), atol=1e-5)
    third = save_tiny_clip(tmp_path / "third", seed=2)
    report = _extract(
        pictures, Path(f"{model}+{third}"), tmp_path, progress=lambda *one: seen.append(one)
    ).report
    assert (report.encoded, report.encoder_calls, report.reused) == (20, 5, 0)
    assert seen[-1] == (40, 40)


def test_a_bad_image_leaves_the_rows_of_all_encoders_once(
    pictures: Path, model: Path, tmp_path: Path
) -> None:
    (pictures / "a" / "broken.png").write_bytes(b"no image")
    other = save_tiny_clip(tmp_path / "other", seed=1)
    features = _extract(pictures, Path(f"{model}+{other}"), tmp_path, max_bad=0.2)
    assert [one.path for one in features.report.quarantined] == ["a/broken.png"]
    assert features.vectors_nd.shape == (20, 2 * WIDTH)


@pytest.mark.parametrize("text", ["demo+", "+demo", "demo+demo", "demo++demo"])
def test_names_of_encoders_that_cannot_be_joined_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="must name each encoder once"):
        encoder_names(text)


def test_what_needs_a_single_encoder_says_so() -> None:
    with pytest.raises(InputError, match=r"names 2 encoders, where one is needed. Pass demo alone"):
        resolve("demo+other")


def test_a_second_run_imports_neither_torch_nor_transformers(
    pictures: Path, model: Path, tmp_path: Path
) -> None:
    (pictures / "a" / "broken.png").write_bytes(b"no image")  # looked at again, which needs no encoder
    _extract(pictures, model, tmp_path, max_bad=0.2)
    code = """
import json, sys
from pathlib import Path
from trainer.data.load import load
from trainer.features.extract import extract
from trainer.features.settings import EncoderSettings
data, model, cache = sys.argv[1:]
settings = EncoderSettings(encoder=model, cache_dir=Path(cache), max_bad=0.2)
report = extract(load(data, seed=0), settings).report
heavy = [name for name in ("torch", "transformers", "huggingface_hub", "sklearn") if name in sys.modules]
print(json.dumps([report.used, report.encoder_calls, heavy]))
"""
    arguments = [str(pictures), str(model), str(tmp_path / "cache")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [20, 0, []]
    assert done.stderr == ""


def test_only_new_images_are_encoded_also_after_a_move(pictures: Path, model: Path, tmp_path: Path) -> None:
    _extract(pictures, model, tmp_path)
    moved = pictures.rename(tmp_path / "elsewhere")
    (moved / "b" / "new.png").write_bytes(encoded(noise(500)))
    report = _extract(moved, model, tmp_path).report
    assert (report.reused, report.encoded, report.encoder_calls) == (20, 1, 1)


def test_the_same_image_in_many_rows_is_encoded_once(pictures: Path, model: Path, tmp_path: Path) -> None:
    for i in range(5):
        shutil.copy(pictures / "a" / "0.png", pictures / "b" / f"copy{i}.png")
    features = _extract(pictures, model, tmp_path)
    assert (features.report.encoded, features.report.reused) == (20, 5)
    ids = features.manifest.sample_id
    assert np.array_equal(
        features.vectors_nd[ids.index("a/0.png")], features.vectors_nd[ids.index("b/copy3.png")]
    )


def test_undecodable_images_leave_the_rows_with_a_reason(pictures: Path, model: Path, tmp_path: Path) -> None:
    jpeg = encoded(noise(1, height=64, width=64), kind="JPEG")
    (pictures / "a" / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (pictures / "b" / "empty.jpg").touch()
    features = _extract(pictures, model, tmp_path, max_bad=0.5)
    reasons = dict(features.report.quarantined)
    assert reasons.keys() == {"a/half.jpg", "b/empty.jpg"}
    assert "truncated" in reasons["a/half.jpg"]
    assert "a/half.jpg" not in features.manifest.sample_id
    assert (features.report.found, features.report.used) == (22, 20)


def test_too_many_bad_files_stop_the_run_and_keep_what_was_encoded(
    pictures: Path, model: Path, tmp_path: Path
) -> None:
    for i in range(3):
        (pictures / "a" / f"bad{i}.jpg").write_bytes(b"<html>" + bytes([i]))
    with pytest.raises(
        TooManyBadFiles, match=r"3 of 23 files \(13\.0%\).*a/bad0\.jpg and 2 more: not an image"
    ):
        _extract(pictures, model, tmp_path)
    assert _extract(pictures, model, tmp_path, max_bad=0.2).report.reused == 20


def test_too_many_files_that_cannot_be_opened_stop_before_the_encoder_is_looked_for(tmp_path: Path) -> None:
    pictures = class_folders(tmp_path / "images", {"a": 1, "b": 1})
    (pictures / "a" / "empty.jpg").touch()
    with pytest.raises(TooManyBadFiles, match="1 of 3 files"):
        extract(load(str(pictures), seed=0), EncoderSettings(encoder="./none", cache_dir=tmp_path))


def test_an_image_that_vanished_or_changed_since_it_was_listed_is_quarantined(
    pictures: Path, model: Path, tmp_path: Path
) -> None:
    manifest = load(str(pictures), seed=0)
    (pictures / "a" / "0.png").unlink()
    (pictures / "a" / "1.png").write_bytes(encoded(noise(900)))
    reasons = dict(_extract(manifest, model, tmp_path, max_bad=0.5).report.quarantined)
    assert reasons.keys() == {"a/0.png", "a/1.png"}
    assert "No such file" in reasons["a/0.png"]
    assert "changed since" in reasons["a/1.png"]


def test_a_vanished_copy_does_not_take_the_others_with_it(
    pictures: Path, model: Path, tmp_path: Path
) -> None:
    shutil.copy(pictures / "a" / "0.png", pictures / "a" / "copy.png")
    manifest = load(str(pictures), seed=0)
    (pictures / "a" / "0.png").unlink()
    features = _extract(manifest, model, tmp_path)
    assert [path for path, _ in features.report.quarantined] == ["a/0.png"]
    assert "a/copy.png" in features.manifest.sample_id


def test_a_run_that_died_is_taken_up_where_it_stored_last(
    pictures: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding_loop, "COMMIT_EVERY", 8)

    def die_late(done: int, total: int) -> None:
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _extract(pictures, model, tmp_path, progress=die_late)
    report = _extract(pictures, model, tmp_path).report
    assert (report.reused, report.encoded) == (8, 12)


def test_progress_counts_distinct_images_up_to_all(pictures: Path, model: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    _extract(pictures, model, tmp_path, batch_size=8, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 20), (8, 20), (16, 20), (20, 20)]


def test_a_damaged_shard_is_reported_and_made_again(pictures: Path, model: Path, tmp_path: Path) -> None:
    first = _extract(pictures, model, tmp_path)
    key = re.search(r"key (\w+)", first.report.encoder)
    assert key is not None
    (shard,) = (tmp_path / "cache" / "features" / key[1]).glob("*.safetensors")
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    again = _extract(pictures, model, tmp_path)
    assert again.report.encoded == 20
    assert shard.name in again.report.warnings[0]
    assert np.array_equal(first.vectors_nd, again.vectors_nd)


def test_a_model_without_image_settings_is_used_and_said(pictures: Path, model: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(model, tmp_path / "bare"))
    (bare / "preprocessor_config.json").unlink()
    assert "preprocessor_config.json" in _extract(pictures, bare, tmp_path).report.warnings[0]


def test_ready_features_pass_through_without_an_encoder(tmp_path: Path) -> None:
    x = np.arange(24, dtype=np.float32).reshape(12, 2)
    np.savez(tmp_path / "ready.npz", train_x=x, train_y=np.arange(12) % 2)
    manifest = load(str(tmp_path / "ready.npz"), seed=0)
    features = _extract(manifest, Path("/no/encoder/needed"), tmp_path)
    assert features.vectors_nd is manifest.features_nd
    assert (features.report.encoder_calls, features.report.used) == (0, 12)
    assert not (tmp_path / "cache").exists()


def test_the_word_demo_stands_for_the_encoder_that_comes_with_the_code(tmp_path: Path) -> None:
    manifest = load("demo", seed=0).take(range(8))
    features = _extract(manifest, Path("demo"), tmp_path)
    assert features.report.encoder.startswith("demo (")
    unit_nd = features.vectors_nd / np.linalg.norm(features.vectors_nd, axis=1, keepdims=True)
    assert np.all(
        (unit_nd @ unit_nd.T)[~np.eye(8, dtype=bool)] < 0.999
    )  # different images, different vectors


def test_when_nothing_is_usable_no_vectors_come_out(tmp_path: Path, model: Path) -> None:
    for i, name in enumerate("ab"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "x.png").write_bytes(b"no image" + bytes([i]))
    features = _extract(tmp_path / "images", model, tmp_path, max_bad=1.0)
    assert (len(features.manifest), features.report.encoder_calls) == (0, 0)


def test_a_batch_of_no_images_is_refused(pictures: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="batch size is 0"):
        _extract(pictures, model, tmp_path, batch_size=0)
