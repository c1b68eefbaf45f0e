"""Ready features from .npz and .safetensors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from trainer.core.errors import InputError
from trainer.data.load import load
from trainer.data.manifest import Manifest, check_trainable


def _xy(n: int, *, seed: int = 0, d: int = 4, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return x, np.arange(n) % classes


def _load(tmp_path: Path, **arrays: object) -> Manifest:
    path = tmp_path / "features.npz"
    np.savez(path, **arrays)
    return load(str(path), seed=0)


def test_given_splits_are_kept_row_by_row(tmp_path: Path) -> None:
    train_x, train_y = _xy(6)
    val_x, val_y = _xy(4, seed=1)
    test_x, test_y = _xy(2, seed=2)
    manifest = _load(
        tmp_path, train_x=train_x, train_y=train_y, val_x=val_x, val_y=val_y, test_x=test_x, test_y=test_y
    )
    assert manifest.sample_id[0] == "train/000000"
    assert manifest.sample_id[-1] == "test/000001"
    assert manifest.split_n.tolist() == ["train"] * 6 + ["val"] * 4 + ["test"] * 2
    assert manifest.features_nd is not None
    assert np.array_equal(manifest.features_nd[manifest.rows("val")], val_x)
    assert manifest.drawn_splits == ()
    check_trainable(manifest)


def test_train_alone_is_split(tmp_path: Path) -> None:
    x, y = _xy(40)
    manifest = _load(tmp_path, train_x=x, train_y=y)
    assert [len(manifest.rows(split)) for split in ("train", "val", "test")] == [28, 6, 6]
    check_trainable(manifest)


def test_val_is_taken_from_train_where_only_test_is_given(tmp_path: Path) -> None:
    x, y = _xy(40)
    manifest = _load(tmp_path, train_x=x, train_y=y, test_x=x[:4], test_y=y[:4])
    assert manifest.drawn_splits == ("val",)
    assert set(manifest.rows("test")) == {40, 41, 42, 43}


def test_numeric_class_names_stand_in_natural_order(tmp_path: Path) -> None:
    x, y = _xy(60, classes=12)
    manifest = _load(tmp_path, train_x=x, train_y=y)
    assert manifest.classes == tuple(str(i) for i in range(12))
    assert manifest.label_n.tolist() == y.tolist()


def test_classes_name_the_numbers(tmp_path: Path) -> None:
    x, y = _xy(10)
    manifest = _load(tmp_path, train_x=x, train_y=y, classes=np.array(["zebra", "ant"]))
    assert manifest.classes == ("ant", "zebra")
    assert [manifest.classes[i] for i in manifest.label_n[:2]] == ["zebra", "ant"]


def test_text_labels_are_class_names(tmp_path: Path) -> None:
    x, _ = _xy(10)
    assert _load(tmp_path, train_x=x, train_y=np.array(["cat", "dog"] * 5)).classes == ("cat", "dog")


def test_safetensors_holds_the_same_keys_and_class_names_in_its_metadata(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    x, y = _xy(10)
    path = tmp_path / "features.safetensors"
    save_file({"train_x": x, "train_y": y}, path, metadata={"classes": json.dumps(["a", "b"])})
    manifest = load(str(path), seed=0)
    assert manifest.classes == ("a", "b")
    assert np.array_equal(manifest.features_nd, x)


def test_the_digest_names_the_data(tmp_path: Path) -> None:
    x, y = _xy(10)
    first = _load(tmp_path, train_x=x, train_y=y).digest
    assert _load(tmp_path, train_x=x, train_y=y).digest == first
    changed = x.copy()
    changed[3, 1] += 1e-3
    assert _load(tmp_path, train_x=changed, train_y=y).digest != first
    assert _load(tmp_path, train_x=x, train_y=1 - y).digest != first


def test_nan_is_located(tmp_path: Path) -> None:
    x, y = _xy(10)
    x[[4, 7], 2] = np.nan
    with pytest.raises(
        InputError, match=r"train_x has NaN or infinite values in 2 of 10 rows, the first is row 4"
    ):
        _load(tmp_path, train_x=x, train_y=y)


def test_values_beyond_float32_are_located(tmp_path: Path) -> None:
    x, y = _xy(10)
    wide = x.astype(np.float64)
    wide[5, 0] = 1e300
    with pytest.raises(InputError, match="1 of 10 rows, the first is row 5"):
        _load(tmp_path, train_x=wide, train_y=y)


X, Y = _xy(10)
FLAWS = {
    r"lacks train_y; found: train_x": {"train_x": X},
    r"lacks val_y": {"train_x": X, "train_y": Y, "val_x": X},
    r"train_x has 10 rows and train_y has 9": {"train_x": X, "train_y": Y[:9]},
    r"train_x has shape \(10, 2, 2\)": {"train_x": X.reshape(10, 2, 2), "train_y": Y},
    r"train_y has shape \(10, 1\)": {"train_x": X, "train_y": Y[:, None]},
    r"train_y has NaN or infinite values in 10 of 10 rows \(row 0 has nan": {
        "train_x": X,
        "train_y": Y * np.nan,
    },
    r"test_x has 3": {"train_x": X, "train_y": Y, "test_x": X[:, :3], "test_y": Y},
    r"no training row of '7'": {"train_x": X, "train_y": Y, "test_x": X, "test_y": Y + 7},
    r"classes holds 1 names, but labels run from 0 to 1": {"train_x": X, "train_y": Y, "classes": ["a"]},
    r"has train and val but no test": {"train_x": X, "train_y": Y, "val_x": X, "val_y": Y},
    r"cannot be read as \.npz": {"train_x": X, "train_y": np.array([{}] * 10)},
}


@pytest.mark.parametrize("message", FLAWS)
def test_a_flaw_is_named(tmp_path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _load(tmp_path, **FLAWS[message])


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"not at all")
    with pytest.raises(InputError, match="cannot be read as"):
        load(str(path), seed=0)


def test_a_truncated_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, train_x=X, train_y=Y)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="truncated"):
        load(str(path), seed=0)
