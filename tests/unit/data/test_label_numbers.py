"""Labels that are numbers: recognised, read, split, and refused with what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.image_files import encoded, noise
from trainer.core.errors import InputError
from trainer.data.label_numbers import are_numbers, quantity_hint
from trainer.data.load import load
from trainer.data.manifest import Manifest, check_trainable
from trainer.data.number_target import with_number_target


def table(folder: Path, labels: list[object], *, more: str = "") -> Manifest:
    """Read a CSV of images with these labels."""
    lines = [f"path,label{',group' if more else ''}"]
    for i, label in enumerate(labels):
        (folder / f"{i}.png").write_bytes(encoded(noise(i)))
        lines.append(f"{i}.png,{label}{f',{more}{i // 2}' if more else ''}")
    (folder / "table.csv").write_text("\n".join(lines))
    return load(str(folder / "table.csv"), seed=0)


def prices(count: int = 40) -> list[object]:
    return [round(float(one), 2) for one in np.random.default_rng(0).normal(20, 5, count)]


def learnable(folder: Path, labels: list[object]) -> Manifest:
    manifest = with_number_target(table(folder, labels), seed=0)
    check_trainable(manifest)
    return manifest


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([f"{i / 7:.3f}" for i in range(40)], True),
        ([f"{i / 7:.3f}" for i in range(40)] + ["n/a", "inf"], True),
        ([str(i) for i in range(40)], False),  # may be names of classes
        ([f"{i % 12 + 0.5}" for i in range(120)], False),  # many rows of each
        (["0.5", "1.5"] * 9, False),
        (["cat", "dog"] * 9, False),
        (["v1.5", "2024-01-01"] * 9, False),
        ([], False),
    ],
)
def test_numbers_are_recognised_where_they_are_evident(labels: list[str], expected: bool) -> None:
    classes = sorted(set(labels))
    label_n = np.array([classes.index(one) for one in labels], dtype=np.int64)
    assert are_numbers(classes, label_n) is expected


def test_drawn_splits_have_their_share_of_low_and_high_numbers(tmp_path: Path) -> None:
    manifest = learnable(tmp_path, prices(100))
    counts = {split: len(manifest.rows(split)) for split in ("train", "val", "test")}
    assert counts == {"train": 70, "val": 15, "test": 15}
    assert manifest.target_n is not None
    middle = np.median(manifest.target_n)
    for split in counts:
        assert 0.3 < (manifest.target_n[manifest.rows(split)] > middle).mean() < 0.7
    assert manifest.take([3, 1]).learned_n.tolist() == manifest.target_n[[3, 1]].tolist()
    assert not any("numbers from" in note for note in manifest.notes)


def test_groups_stay_together_and_the_digest_is_of_the_new_splits(tmp_path: Path) -> None:
    before = table(tmp_path, prices(), more="p")
    manifest = with_number_target(before, seed=0)
    split_of = dict(zip(manifest.group, manifest.split_n, strict=True))
    assert all(
        split_of[group] == split for group, split in zip(manifest.group, manifest.split_n, strict=True)
    )
    assert manifest.digest == with_number_target(before, seed=0).digest != before.digest


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([*prices(30), "", "", "", ""], ["has nothing", "4 of 34 rows", "Add the numbers"]),
        ([*prices(30), "nan"], ["has 'nan'", "1 of 31 rows", "Add the numbers"]),
        ([*prices(30), "inf", "-inf", "1e999"], ["'inf'", "'-inf'", "'1e999'", "Replace infinite"]),
        ([3.5] * 30, ["all have one number (3.5, 3.5, 3.5", "--label-column"]),
        (["2024-01-31", "2024-02-01", "31.12.2023", *prices(30)], ["dates", "'2024-01-31'", "days since"]),
        (["a cat", "a dog", "birds", *prices(30)], ["'a cat'", "'a dog'", "'birds'", "--target class"]),
        (["1,5 kg", *prices(30)], ["no finite number", "without units"]),
        (["1_10", "0x1f", "1/3", *prices(30)], ["has '1_10'", "'0x1f'", "'1/3'", "without units"]),
        ([1e300, *prices(30)], ["numbers up to 1e+300", "squares overflow", "logarithm"]),
        ([1.5, 2.25, 3.5, 4.75], ["4 numbers (1.5, 2.25, 3.5", "at least 20"]),
    ],
)
def test_what_is_no_number_is_refused_with_values_and_a_cure(
    tmp_path: Path, labels: list[object], told: list[str]
) -> None:
    labels = [f'"{one}"' if isinstance(one, str) else one for one in labels]
    with pytest.raises(InputError) as refused:
        learnable(tmp_path, labels)
    for words in told:
        assert words in str(refused.value)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([f"{i}.5 kg" for i in range(30)], "quantities: write them as numbers with a decimal point"),
        ([f"{i},25" for i in range(30)], "without units, and a sweep predicts them with --target number"),
        ([f"€ {i}.99" for i in range(30)], "quantities"),
        ([f"2024-01-{i:02d}" for i in range(1, 30)], "dates: write them as numbers, such as days since"),
        ([f"person {i}" for i in range(30)], ""),
        ([f"{i}-spot beetle" for i in range(30)], ""),
        (["cat", "dog", "3 mm"], ""),
        ([], ""),
    ],
)
def test_classes_that_look_like_quantities_or_dates_get_a_hint(labels: list[str], told: str) -> None:
    hint = quantity_hint(labels)
    assert (told in hint) if told else hint == ""


def test_a_hostile_label_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        learnable(tmp_path, [*prices(30), '"\x1b[2J<b>"'])
    assert "\x1b" not in str(refused.value)


def test_precomputed_features_have_numbers_too(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x_nd, y_n = random.normal(size=(50, 3)), random.normal(size=50)
    np.savez(tmp_path / "data.npz", train_x=x_nd, train_y=y_n)
    manifest = with_number_target(load(str(tmp_path / "data.npz"), seed=0), seed=0)
    assert manifest.target_n is not None
    assert sorted(manifest.target_n) == pytest.approx(sorted(y_n))
    y_n[[3, 5]] = np.nan, np.inf
    np.savez(tmp_path / "data.npz", train_x=x_nd, train_y=y_n)
    with pytest.raises(InputError, match="row 3 has nan, row 5 has inf"):
        load(str(tmp_path / "data.npz"), seed=0)
