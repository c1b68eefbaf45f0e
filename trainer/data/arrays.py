"""Read precomputed features from ``.npz`` or ``.safetensors``: train_x, train_y, optionally val and test."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainer.core.errors import InputError
from trainer.data.manifest import SPLITS, Columns, Manifest, build_manifest
from trainer.data.split import SPELLINGS, complete_splits
from trainer.data.table_columns import check_unique, listed

SUFFIXES = (".npz", ".safetensors")
# Names of arrays in public files, in lower case, beside a split before or behind them: X_train, val_labels.
FEATURES = (
    *("x", "features", "feature", "feats", "embeddings", "embedding"),
    *("vectors", "data", "images", "image"),
)
LABELS = ("y", "labels", "label", "targets", "target")
CLASSES = ("classes", "class_names", "classnames", "label_names", "target_names")
EXPECTED = "Expected train_x and train_y, and optionally val_x, val_y, test_x, test_y and classes"


def read(path: Path, *, name: str, seed: int) -> Manifest:
    """Read ``{train,val,test}_{x,y}`` and an optional ``classes``, also under their other usual names.

    ``x`` is numeric [N, D], ``y`` [N] class numbers or names. ``classes`` names the class numbers
    (in a safetensors file, which holds no text arrays: a JSON list under "classes" in the metadata).
    Train alone is split 70/15/15; train and test give 15 % of train to val.

    Raises:
        InputError: not such a file; an array is missing, there twice, has a wrong shape or non-finite values.
    """
    arrays, unused = _load(path, name)
    splits = [
        split for split in SPLITS if f"{split}_x" in arrays or f"{split}_y" in arrays or split == "train"
    ]
    x = {split: _features(_get(arrays, f"{split}_x", name, unused), f"{split}_x", name) for split in splits}
    y = {split: _labels(_get(arrays, f"{split}_y", name, unused), f"{split}_y", name) for split in splits}
    for split in splits:
        _check_pair(x[split], y[split], split, name)
        if x[split].shape[1] != x["train"].shape[1]:
            raise InputError(
                f"{name}: train_x has {x['train'].shape[1]} features per row, {split}_x has "
                f"{x[split].shape[1]}. All splits must come from the same encoder."
            )
    label = [name_of for split in splits for name_of in _class_names(y[split], arrays.get("classes"), name)]
    _check_seen_in_train(label, n_train=len(y["train"]), name=name)

    sample_id = [f"{split}/{i:06d}" for split in splits for i in range(len(y[split]))]
    given_n = np.concatenate([np.full(len(y[split]), split if len(splits) > 1 else "") for split in splits])
    split_n, made = complete_splits(given_n, np.array(label), ("",) * len(label), seed=seed, name=name)
    features_nd = np.ascontiguousarray(np.concatenate([x[split] for split in splits]))
    return build_manifest(
        name,
        Columns(
            sample_id=sample_id,
            label=label,
            split=split_n,
            content=[hashlib.sha256(row.tobytes()).hexdigest() for row in features_nd],
            features_nd=features_nd,
            notes=[f"Arrays that are not read: {listed(unused)}."] if unused else [],
            unused=unused,
        ),
        drawn_splits=made,
    )


def _load(path: Path, name: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the arrays by their usual names, and the names of the others."""
    try:
        if path.suffix.lower() == ".npz":
            return _load_npz(path, name)
        return _load_safetensors(path, name)
    except InputError:
        raise
    except Exception as error:  # both readers raise many types of exception
        kind = path.suffix.lower()
        raise InputError(
            f"{name} cannot be read as {kind}: {error}. Write it with "
            + ("numpy.savez(path, train_x=…, train_y=…)" if kind == ".npz" else "safetensors.numpy.save_file")
            + ", features as numbers and labels as numbers or text, no Python objects."
        ) from error


def _load_npz(path: Path, name: str) -> tuple[dict[str, np.ndarray], list[str]]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not an npz archive, or it is truncated")
    with np.load(path, allow_pickle=False) as archive:
        usual, unused = _usual_names(archive.files, name)
        return {key: np.asarray(archive[own]) for key, own in usual.items()}, unused


def _load_safetensors(path: Path, name: str) -> tuple[dict[str, np.ndarray], list[str]]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        usual, unused = _usual_names(list(file.keys()), name)
        arrays = {key: file.get_tensor(own) for key, own in usual.items()}
        metadata = file.metadata() or {}
    if "classes" in metadata:
        arrays["classes"] = np.array(json.loads(metadata["classes"]), dtype=str)
    return arrays, unused


def _usual_names(present: Sequence[str], name: str) -> tuple[dict[str, str], list[str]]:
    """Map train_x, train_y, …, classes to the names of a file's arrays. Also returns the other names.

    Features and labels without a split are train.

    Raises:
        InputError: two arrays have the same meaning.
    """
    usual: dict[str, str] = {}
    unused = []
    for own in present:
        key = _usual_name(own)
        if key is None:
            unused.append(own)
        elif key in usual:
            raise InputError(
                f"{name} has {usual[key]!r} and {own!r}, and both may be {key}. Keep one of them. {EXPECTED}."
            )
        else:
            usual[key] = own
    return usual, unused


def _usual_name(own: str) -> str | None:
    plain = re.sub(r"[\s.\-/]+", "_", own.strip().lower())
    if plain in CLASSES:
        return "classes"
    split, role = "|".join(SPELLINGS), "|".join(FEATURES + LABELS)
    found = re.fullmatch(rf"(?:({split})_?)?({role})(?:_?({split}))?", plain)
    if found is None or (found[1] and found[3]):
        return None
    return f"{SPELLINGS[found[1] or found[3] or 'train']}_{'x' if found[2] in FEATURES else 'y'}"


def _get(arrays: dict[str, np.ndarray], key: str, name: str, unused: Sequence[str]) -> np.ndarray:
    if key not in arrays:
        found = ", ".join(sorted([*arrays, *unused])) or "nothing"
        raise InputError(f"{name} lacks {key}; found: {found}. {EXPECTED}.")
    return arrays[key]


def _features(x: np.ndarray, key: str, name: str) -> np.ndarray:
    """Return an array as float32 [N, D], finite."""
    if x.ndim != 2 or x.dtype.kind not in "fiu" or x.shape[1] == 0:
        raise InputError(
            f"{name}: {key} has shape {x.shape} and type {x.dtype}; expected numbers of shape [rows, "
            "features], one vector per row."
            + (" Images are read from files, not from arrays." if x.ndim in (3, 4) else "")
        )
    with np.errstate(over="ignore"):  # values that overflow float32 are reported below
        x = x.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(bad):
        raise InputError(
            f"{name}: {key} has NaN or infinite values in {len(bad)} of {len(x)} rows, the first is row "
            f"{bad[0]}. Remove these rows or compute them again."
        )
    return x


def _labels(y: np.ndarray, key: str, name: str) -> np.ndarray:
    """Return labels as integers or text [N]."""
    if y.ndim == 1 and y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.round(y)).all():
        y = y.astype(np.int64)  # as torch and pandas often store class numbers
    if y.ndim == 1 and y.dtype.kind == "b":
        y = y.astype(np.int64)
    if y.ndim != 1 or y.dtype.kind not in "iuUS":
        several = y.ndim == 2 and y.shape[1] > 1
        raise InputError(
            f"{name}: {key} has shape {y.shape} and type {y.dtype}; expected one integer or one text "
            "per row: the class."
            + (" Several labels per row, or one column per class, are not supported." if several else "")
        )
    return _decoded(y)


def _decoded(text: np.ndarray) -> np.ndarray:
    """Return bytes as text; other arrays as they are."""
    if text.dtype.kind != "S":
        return text
    return np.array([one.decode("utf-8", "backslashreplace") for one in text.ravel().tolist()], dtype=str)


def _check_pair(x: np.ndarray, y: np.ndarray, split: str, name: str) -> None:
    if len(x) != len(y):
        raise InputError(
            f"{name}: {split}_x has {len(x)} rows and {split}_y has {len(y)}. Each row needs one label."
        )


def _class_names(y: np.ndarray, classes: np.ndarray | None, name: str) -> list[str]:
    """Return the class name of each row."""
    if y.dtype.kind == "U" or classes is None:
        return [str(value) for value in y.tolist()]
    names = [str(value) for value in _decoded(np.asarray(classes)).ravel().tolist()]
    check_unique(names, where=f"{name}: classes")
    if len(y) and (y.min() < 0 or y.max() >= len(names)):
        raise InputError(
            f"{name}: classes holds {len(names)} names, but labels run from {y.min()} to {y.max()}. "
            f"Expected 0 to {len(names) - 1}."
        )
    return [names[value] for value in y.tolist()]


def _check_seen_in_train(label: list[str], *, n_train: int, name: str) -> None:
    unseen = sorted(set(label[n_train:]) - set(label[:n_train]))
    if unseen:
        raise InputError(
            f"{name}: no training row of {listed(unseen, most=5)}, which val or test have. "
            "Add training rows or remove these classes."
        )
