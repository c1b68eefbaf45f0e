"""Whatever happens to a file of the store, the vectors stay the same: what is lost is encoded again."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from tests.support.image_files import class_folders
from trainer.core.errors import InputError
from trainer.data.load import load
from trainer.features import encoding_loop, store_admin
from trainer.features.extract import Features, extract
from trainer.features.image_measures import measures_store
from trainer.features.key import EncoderKey, digest_of
from trainer.features.settings import EncoderSettings
from trainer.features.shard import write_shard
from trainer.features.store import FeatureStore
from trainer.features.text_features import encode_texts

FIELDS = {"encoder": "toy"}
KEY = EncoderKey(FIELDS, digest_of(FIELDS))
CONTENT = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(9)]
VECTORS = np.arange(27, dtype=np.float32).reshape(9, 3) / 8
JUNK = (
    b"",
    b"\0" * 300,
    b"[]",
    b"null",
    b'{"sha256": 1, "n": Infinity, "d": -1}',
    b"[" * 100_000,
    b"\xff\xfe",
)


def toy_command(root: Path) -> np.ndarray:
    """What every command does: look up, encode what is missing, look up."""
    store = FeatureStore(root, KEY)
    if any(one not in store for one in CONTENT):
        with store.lock():
            missing = [row for row, one in enumerate(CONTENT) if one not in store]
            for rows in filter(None, (missing[:4], missing[4:])):
                names = [CONTENT[row] for row in rows]
                store.append(names, VECTORS[rows], sample_id=names)
    return store.lookup_all(CONTENT)


def verified(root: Path) -> list[store_admin.Damage]:
    return [damage for entry in store_admin.entries(root) for damage in store_admin.verify(entry)]


@dataclass(frozen=True)
class Chance:
    """What is drawn at random about a harm: places are shares of a file's length."""

    file: int
    other: int
    place: float
    bit: int
    junk: bytes


def _flip(file: Path, chance: Chance) -> None:
    content = bytearray(file.read_bytes())
    if content:
        content[int(chance.place * len(content))] ^= 1 << chance.bit
    file.write_bytes(content)


def _fifo(file: Path, chance: Chance) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path, chance: Chance) -> None:
    file.unlink()
    (file / "in it").mkdir(parents=True)


def _dangling(file: Path, chance: Chance) -> None:
    file.unlink()
    file.symlink_to("nowhere")


def _another(file: Path, chance: Chance) -> None:
    there = sorted(path for path in file.parent.iterdir() if path.is_file())
    file.write_bytes(there[chance.other % len(there)].read_bytes())


HARMS: dict[str, Callable[[Path, Chance], object]] = {
    "flip": _flip,
    "truncate": lambda file, chance: os.truncate(file, int(chance.place * file.stat().st_size)),
    "junk": lambda file, chance: file.write_bytes(chance.junk),
    "longer": lambda file, chance: file.write_bytes(file.read_bytes() + b"\0"),
    "huge": lambda file, chance: os.truncate(file, 1 << 40),  # sparse
    "gone": lambda file, chance: file.unlink(),
    "fifo": _fifo,
    "folder": _folder,
    "dangling": _dangling,
    "another": _another,
    "copy": lambda file, chance: shutil.copyfile(file, file.with_name(f"{'0' * 16}{file.suffix}")),
}
CHANCES = st.builds(
    Chance,
    *(st.integers(0, 99), st.integers(0, 99), st.floats(0, 1, exclude_max=True), st.integers(0, 7)),
    st.sampled_from(JUNK) | st.binary(max_size=200),
)


@pytest.mark.slow
@settings(max_examples=400)
@given(st.sampled_from(sorted(HARMS)), CHANCES)
def test_whatever_happens_to_one_file_the_vectors_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, harm: str, chance: Chance
) -> None:
    root = tmp_path_factory.mktemp("store")
    toy_command(root)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    file = files[chance.file % len(files)]
    HARMS[harm](file, chance)
    if (harm, file.name) == ("folder", "key.json"):
        with pytest.raises(InputError, match=f"{file.parent} cannot be written"):
            toy_command(root)
        return
    vectors_nd = toy_command(root)
    assert np.array_equal(vectors_nd, VECTORS)
    assert verified(root) == []
    assert np.array_equal(toy_command(root), VECTORS)


def plant(root: Path, content: Sequence[str], vectors_nd: np.ndarray, *, imported: str = "") -> str:
    """Write a shard as another program may have done. Returns its name."""
    return write_shard(root / KEY.digest[:16], content, vectors_nd, imported=imported).note.name


@pytest.mark.parametrize("imported", ["", "other.npz"])
def test_vectors_of_another_width_make_way_for_the_encoders(tmp_path: Path, imported: str) -> None:
    plant(tmp_path, CONTENT[:8], np.ones((8, 5), np.float16), imported=imported)
    store = FeatureStore(tmp_path, KEY)
    with store.lock():
        store.append(CONTENT[8:], VECTORS[8:], sample_id=CONTENT[8:])
    assert len(store) == 1, "the encoder knows its width"
    assert "have 5 numbers, and those of this key have 3" in store.warnings[0]
    assert ("imported from other.npz: import it again" in store.warnings[0]) == bool(imported)
    assert np.array_equal(toy_command(tmp_path), VECTORS)
    assert verified(tmp_path) == []


def test_of_two_widths_on_disk_that_of_the_encoder_stays(tmp_path: Path) -> None:
    FeatureStore(tmp_path, KEY)
    plant(tmp_path, CONTENT[:8], np.ones((8, 5), np.float16), imported="other.npz")
    plant(tmp_path, CONTENT[8:], VECTORS[8:].astype(np.float16))
    assert [damage.reason for damage in verified(tmp_path)] == [
        "its vectors have 5 numbers, and those of this key have 3"
    ]
    assert FeatureStore(tmp_path, KEY).contents() == CONTENT[8:]
    assert np.array_equal(toy_command(tmp_path), VECTORS)


@pytest.mark.parametrize(
    ("vectors", "content", "reason"),
    [
        (np.full((2, 3), np.nan, np.float16), CONTENT[:2], "holds NaN or infinite"),
        (np.full((2, 3), -np.inf, np.float16), CONTENT[:2], "holds NaN or infinite"),
        (np.ones((2, 3), np.float32), CONTENT[:2], "holds float32, where float16 is expected"),
        (np.ones((2, 3), np.complex64), CONTENT[:2], "complex64"),
        (np.ones((2, 3), np.int64), CONTENT[:2], "int64"),
        (np.ones((2, 3), np.float16), CONTENT[:1] * 2, "holds an image twice"),
        (np.ones((2, 3, 1), np.float16), CONTENT[:2], "of the shape"),
        (np.ones(2, np.float16), CONTENT[:2], "of the shape"),
        (np.ones((3, 3), np.float16), CONTENT[:2], "does not name an image for each"),
    ],
)
def test_a_shard_with_a_right_sha_and_wrong_numbers_is_found_and_made_again(
    tmp_path: Path, vectors: np.ndarray, content: list[str], reason: str
) -> None:
    FeatureStore(tmp_path, KEY)
    ids = np.frombuffer(bytes.fromhex("".join(content)), np.uint8).reshape(-1, 32)
    data = save({"vectors": vectors, "content": ids})
    sha256 = hashlib.sha256(data).hexdigest()
    shard = tmp_path / KEY.digest[:16] / f"{sha256[:16]}.safetensors"
    shard.write_bytes(data)
    n, d = (*vectors.shape, 1)[:2]
    shard.with_suffix(".json").write_text(f'{{"sha256": "{sha256}", "n": {n}, "d": {d}}}')
    (damage,) = verified(tmp_path)
    assert damage.path == shard
    assert reason in damage.reason or "shape" in damage.reason
    assert np.array_equal(toy_command(tmp_path), VECTORS)
    assert (shard.parent / "bad" / shard.name).is_file()


def test_two_shards_that_disagree_about_an_image_are_found(tmp_path: Path) -> None:
    toy_command(tmp_path)
    plant(tmp_path, CONTENT[3:6], VECTORS[3:6].astype(np.float16))
    assert verified(tmp_path) == [], "the same vectors twice do no harm"
    other = plant(tmp_path, CONTENT[:2], VECTORS[1:3].astype(np.float16), imported="other.npz")
    (damage,) = verified(tmp_path)
    assert damage.path.stem == other
    assert np.array_equal(toy_command(tmp_path), VECTORS)
    assert verified(tmp_path) == []


def test_a_shard_whose_process_was_killed_before_its_note_is_not_lost(tmp_path: Path) -> None:
    toy_command(tmp_path)
    for note in (tmp_path / KEY.digest[:16]).glob("*.json"):
        if note.name != "key.json":
            note.unlink()
    store = FeatureStore(tmp_path, KEY)
    assert len(store) == 9
    assert store.warnings == []


def test_a_folder_in_the_place_of_the_lock_is_refused(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, KEY)
    (store.folder / ".lock").unlink(missing_ok=True)
    (store.folder / ".lock").mkdir()
    with pytest.raises(InputError, match=r"cannot be written: .*\.lock: Is a directory"):
        toy_command(tmp_path)


def test_a_cache_that_may_only_be_read_still_gives_what_is_intact(tmp_path: Path) -> None:
    toy_command(tmp_path)
    shard = sorted(tmp_path.rglob("*.safetensors"))[0]
    shard.write_bytes(b"junk")
    (shard.parent / "bad").write_bytes(b"a file where damaged shards would go")
    store = FeatureStore(tmp_path, KEY)
    assert 0 < len(store) < 9
    assert "could not be moved" in store.warnings[0]
    assert np.array_equal(toy_command(tmp_path), VECTORS)


# --- the real command -------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "images", {"a": 5, "b": 5})


def _extract(pictures: Path, model: Path, cache_dir: Path) -> Features:
    how = EncoderSettings(encoder=str(model), cache_dir=cache_dir, device="cpu", batch_size=1)
    return extract(load(str(pictures), seed=0), how)


def test_every_shard_of_an_extraction_is_made_again_its_measures_too(
    pictures: Path, saved_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding_loop, "COMMIT_EVERY", 4)
    first = _extract(pictures, saved_clip, tmp_path)
    shards = sorted((tmp_path / "features").rglob("*.safetensors"))
    assert len(shards) == 6
    rng = np.random.default_rng(0)
    for shard in shards:
        data = bytearray(shard.read_bytes())
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        shard.write_bytes(data)
        again = _extract(pictures, saved_clip, tmp_path)
        np.testing.assert_array_equal(again.vectors_nd, first.vectors_nd)
        np.testing.assert_array_equal(again.measures_nm, first.measures_nm)
        assert any(shard.name in warning for warning in again.report.warnings)
    assert verified(tmp_path / "features") == []


def test_an_extraction_replaces_imported_vectors_of_another_width(
    pictures: Path, saved_clip: Path, tmp_path: Path
) -> None:
    first = _extract(pictures, saved_clip, tmp_path)
    how = EncoderSettings(encoder=str(saved_clip), cache_dir=tmp_path / "other", device="cpu", batch_size=1)
    folder = tmp_path / "other" / "features" / how.key().digest[:16]
    half = sorted(first.manifest.content)[:5]
    write_shard(folder, half, np.ones((5, 7), np.float16), imported="other.npz")
    again = _extract(pictures, saved_clip, tmp_path / "other")
    np.testing.assert_array_equal(again.vectors_nd, first.vectors_nd)
    assert again.report.encoded == 10
    assert "imported from other.npz" in again.report.warnings[0]


def test_texts_replace_imported_vectors_of_another_width(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f"a photo of {number}" for number in range(5)]
    how = EncoderSettings(encoder="demo", cache_dir=tmp_path / "cache", device="cpu")
    first = encode_texts(texts, how)
    (entry,) = store_admin.entries(tmp_path / "cache" / "features")
    other = EncoderSettings(encoder="demo", cache_dir=tmp_path / "other", device="cpu")
    names = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    folder = tmp_path / "other" / "features" / entry.folder.name
    write_shard(folder, names[:3], np.ones((3, 7), np.float16), imported="other.npz")
    np.testing.assert_allclose(encode_texts(texts, other).vectors_ne, first.vectors_ne, atol=1e-3)
    assert "imported from other.npz" in capsys.readouterr().err


def test_images_that_were_encoded_without_measuring_are_measured_when_that_is_asked(
    pictures: Path, saved_clip: Path, tmp_path: Path
) -> None:
    how = EncoderSettings(
        encoder=str(saved_clip), cache_dir=tmp_path, device="cpu", batch_size=1, measure=False
    )
    extract(load(str(pictures), seed=0), how)
    features = _extract(pictures, saved_clip, tmp_path)
    assert features.report.encoded == 0
    assert np.isfinite(features.measures_nm).all()
    assert len(measures_store(tmp_path / "features")) == 10
