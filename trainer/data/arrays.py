"""Read precomputed features from ``.npz`` or ``.safetensors``: train_x, train_y, optionally val and test."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from trainer.core.errors import InputError, first_line
from trainer.core.untrusted_json import parse_json
from trainer.data.array_file import open_npz
from trainer.data.class_names import SEPARATORS
from trainer.data.manifest import SPLITS, Columns, Manifest, build_manifest
from trainer.data.split import SPELLINGS, complete_splits, numbered
from trainer.data.table_columns import LABELS_JOINED_BY, JoinedLabels, check_unique, listed
from trainer.data.vector_range import LARGEST

SUFFIXES = (".npz", ".safetensors")
# Names of arrays in public files, in lower case, beside a split before or behind them: X_train, val_labels.
FEATURES = (
    *("x", "features", "feature", "feats", "embeddings", "embedding"),
    *("vectors", "data", "images", "image"),
)
LABELS = ("y", "labels", "label", "targets", "target")
CLASSES = ("classes", "class_names", "classnames", "label_names", "target_names")
TOO_LARGE = f"values beyond ±{LARGEST:g}, which float32 cannot square,"
EXPECTED = "Expected train_x and train_y, and optionally val_x, val_y, test_x, test_y and classes"


def read(path: Path, *, name: str, seed: int) -> Manifest:
    """Read ``{train,val,test}_{x,y}`` and an optional ``classes``, also under their other usual names.

    ``x`` is numeric [N, D], ``y`` [N] class numbers or names, or [N, C] of 0 and 1 where a row may have
    several of C labels. ``classes`` names the class numbers, or the labels
    (in a safetensors file, which holds no text arrays: a JSON list under "classes" in the metadata).
    Train alone is split 70/15/15; train and test give 15 % of train to val.

    Raises:
        InputError: not such a file; an array is missing, there twice, has a wrong shape or non-finite values.
    """
    arrays, classes, unused = _load(path, name)
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
    label = [name_of for split in splits for name_of in _class_names(y[split], classes, name)]
    if all(one.dtype.kind != "f" and one.ndim == 1 for one in y.values()):  # else numbers, or several labels
        _check_seen_in_train(label, n_train=len(y["train"]), name=name)

    sample_id = [f"{split}/{i:06d}" for split in splits for i in range(len(y[split]))]
    given_n = np.concatenate([np.full(len(y[split]), split if len(splits) > 1 else "") for split in splits])
    split_n, made = complete_splits(given_n, numbered(label), ("",) * len(label), seed=seed, name=name)
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


Arrays = Mapping[str, np.ndarray]


def _load(path: Path, name: str) -> tuple[Arrays, list[str] | None, list[str]]:
    """Return the arrays by their usual names, the names of the classes, and those of the other arrays."""
    kind = path.suffix.lower()
    try:
        return _load_npz(path, name) if kind == ".npz" else _load_safetensors(path, name)
    except InputError:
        raise
    except Exception as error:  # both readers raise many types of exception
        raise InputError(
            f"{name} cannot be read as {kind}: {first_line(error)}. Write it with "
            + ("numpy.savez(path, train_x=…, train_y=…)" if kind == ".npz" else "safetensors.numpy.save_file")
            + ", features as numbers and labels as numbers or text, no Python objects."
        ) from error


def _load_npz(path: Path, name: str) -> tuple[Arrays, list[str] | None, list[str]]:
    with open_npz(path) as file:
        usual, unused = _usual_names(list(file), name)
        arrays = {key: file[own] for key, own in usual.items()}
    names = arrays.pop("classes", None)
    return arrays, None if names is None else _texts(names.ravel()), unused


def _load_safetensors(path: Path, name: str) -> tuple[Arrays, list[str] | None, list[str]]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:  # it checks every size against the file
        usual, unused = _usual_names(list(file.keys()), name)
        arrays = {key: file.get_tensor(own) for key, own in usual.items()}
        metadata = file.metadata() or {}
    names = arrays.pop("classes", None)
    told = None if names is None else _texts(names.ravel())
    if "classes" in metadata:
        told = parse_json(metadata["classes"])
        if not isinstance(told, list) or any(isinstance(one, list | dict) for one in told):
            raise ValueError("classes in its metadata is not a list of names")
    return arrays, told, unused


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


def _get(arrays: Arrays, key: str, name: str, unused: Sequence[str]) -> np.ndarray:
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
    highest_n, lowest_n = x.max(1).astype(np.float64), x.min(1).astype(np.float64)
    largest_n = np.maximum(highest_n, -lowest_n)  # NaN where there is one
    not_finite = ~np.isfinite(largest_n), "NaN or infinite values"
    for bad_n, what in (not_finite, (largest_n > LARGEST, TOO_LARGE)):
        if bad_n.any():
            raise InputError(
                f"{name}: {key} has {what} in {bad_n.sum()} of {len(x)} rows, the first is row "
                f"{bad_n.argmax()}. Remove these rows or compute them again."
                + (" If they are right, divide all arrays by the same number." if what == TOO_LARGE else "")
            )
    return x.astype(np.float32)


def _others(y: np.ndarray) -> str:
    """Return at most three values that are neither 0 nor 1, for a message; "" of text."""
    if y.dtype.kind not in "iuf":
        return ""
    others = np.unique(y[(y != 0) & (y != 1)])[:3]
    return f", one per label; there are others, such as {', '.join(f'{one:g}' for one in others)}"


def _labels(y: np.ndarray, key: str, name: str) -> np.ndarray:
    """Return labels as integers, text (bytes or not) or numbers with a fraction [N]; several per row as bool
    [N, C]."""
    if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "biuf" and np.isin(y, (0, 1)).all():
        return y.astype(bool)
    if y.ndim == 1 and y.dtype.kind == "f" and not np.isfinite(y).all():
        wrong = np.flatnonzero(~np.isfinite(y))
        shown = ", ".join(f"row {row} has {y[row]}" for row in wrong[:3])
        raise InputError(
            f"{name}: {key} has NaN or infinite values in {len(wrong)} of {len(y)} rows ({shown}). Remove "
            "these rows, or give them values."
        )
    if y.ndim == 1 and y.dtype.kind == "f" and (y == np.round(y)).all():
        y = y.astype(np.int64)  # as torch and pandas often store class numbers
    if y.ndim == 1 and y.dtype.kind == "b":
        y = y.astype(np.int64)
    if y.ndim != 1 or y.dtype.kind not in "fiuUS":
        several = y.ndim == 2 and y.shape[1] > 1
        raise InputError(
            f"{name}: {key} has shape {y.shape} and type {y.dtype}; expected one integer or one text "
            "per row: the class; or one number to predict."
            + (f" Several labels per row are columns of 0 and 1{_others(y)}." if several else "")
        )
    return y


def _texts(values: np.ndarray) -> list[str]:
    """Return the values of a vector as text. As an array, all would be as long as the longest."""
    return [
        one.decode("utf-8", "backslashreplace") if isinstance(one, bytes) else str(one)
        for one in values.tolist()
    ]


def _check_pair(x: np.ndarray, y: np.ndarray, split: str, name: str) -> None:
    if len(x) != len(y):
        raise InputError(
            f"{name}: {split}_x has {len(x)} rows and {split}_y has {len(y)}. Each row needs one label."
        )


def _class_names(y: np.ndarray, classes: Sequence[str] | None, name: str) -> list[str]:
    """Return the class name of each row, or its labels joined."""
    if y.ndim == 2:
        return _joined_labels(y, classes, name)
    if y.dtype.kind in "US" or classes is None:
        return _texts(y)
    names = [str(value) for value in classes]
    check_unique(names, where=f"{name}: classes")
    if len(y) and (y.min() < 0 or y.max() >= len(names)):
        raise InputError(
            f"{name}: classes holds {len(names)} names, but labels run from {y.min()} to {y.max()}. "
            f"Expected 0 to {len(names) - 1}."
        )
    return [names[value] for value in y.tolist()]


def _joined_labels(has_nc: np.ndarray, classes: Sequence[str] | None, name: str) -> list[str]:
    names = list(map(str, range(has_nc.shape[1]) if classes is None else classes))
    check_unique(names, where=f"{name}: classes")
    if len(names) != has_nc.shape[1] or any(LABELS_JOINED_BY in one for one in names):
        raise InputError(
            f"{name}: classes holds {len(names)} names, and the labels have {has_nc.shape[1]} columns. "
            f"Expected one name per column, none with {LABELS_JOINED_BY!r} in it."
        )
    return [
        JoinedLabels(LABELS_JOINED_BY.join(one for one, has in zip(names, row, strict=True) if has))
        for row in has_nc.tolist()
    ]


def _check_seen_in_train(label: list[str], *, n_train: int, name: str) -> None:
    unseen = sorted(set(label[n_train:]) - set(label[:n_train]))
    # several labels of a row, maybe: their combination need not be there
    unseen = [one for one in unseen if not any(mark in one for mark in SEPARATORS)]
    if unseen:
        raise InputError(
            f"{name}: no training row of {listed(unseen, most=5)}, which val or test have. "
            "Add training rows or remove these classes."
        )
