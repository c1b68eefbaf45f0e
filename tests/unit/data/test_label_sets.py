"""Several labels per row: read from texts, lists and columns, split, described, and refused with the cure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from tests.support.image_files import encoded, noise
from trainer.core.config import DataConfig
from trainer.core.errors import InputError
from trainer.data.class_names import notes_on_classes
from trainer.data.dataset_summary import notices, summarise
from trainer.data.duplicates import describe_label_conflicts, label_conflicts
from trainer.data.label_target import with_several_labels
from trainer.data.load import load
from trainer.data.manifest import Manifest, check_trainable
from trainer.data.table_columns import ColumnChoice
from trainer.experiments.checking.config import CheckConfig
from trainer.experiments.extraction.config import ExtractConfig
from trainer.experiments.inputs import read_rows
from trainer.experiments.sweep.config import SweepConfig

SETS: list[list[str]] = [["cat"], ["cat", "dog"], ["bird"], [], ["dog"], ["dog", "bird"]] * 6


def images(folder: Path, count: int = len(SETS)) -> list[str]:
    for i in range(count):
        (folder / f"{i}.png").write_bytes(encoded(noise(i)))
    return [f"{i}.png" for i in range(count)]


def table(folder: Path, texts: Sequence[str], *, more: str = "") -> str:
    """Write a CSV of images with these labels."""
    lines = [f"path,label{',group' if more else ''}"]
    rows = enumerate(zip(images(folder, len(texts)), texts, strict=True))
    lines += [f"{name},{text}{f',{more}{i // 2}' if more else ''}" for i, (name, text) in rows]
    (folder / "table.csv").write_text("\n".join(lines))
    return str(folder / "table.csv")


def read(data: str, separator: str | None = None, labels: tuple[str, ...] = ()) -> Manifest:
    return with_several_labels(load(data, seed=0, columns=ColumnChoice(labels=labels)), separator, seed=0)


def sets_of(manifest: Manifest) -> list[set[str]]:
    """The labels of each row, in the order of the names of the images."""
    assert manifest.label_nc is not None
    order = sorted(range(len(manifest)), key=lambda i: int(Path(manifest.sample_id[i]).stem.split("/")[-1]))
    return [{manifest.labels[c] for c in np.flatnonzero(manifest.label_nc[i])} for i in order]


def joined(folder: Path) -> Manifest:
    return read(table(folder, ["; ".join(one) for one in SETS]), ";")


def lists_in_json(folder: Path) -> Manifest:
    rows = zip(images(folder), SETS, strict=True)
    text = "\n".join(json.dumps({"path": name, "labels": one}) for name, one in rows)
    (folder / "table.jsonl").write_text(text)
    return read(str(folder / "table.jsonl"))


def lists_in_parquet(folder: Path) -> Manifest:
    content = arrow.table({"path": images(folder), "labels": arrow.array(SETS, arrow.list_(arrow.string()))})
    parquet.write_table(content, folder / "table.parquet")
    return read(str(folder / "table.parquet"))


def one_column_per_label(folder: Path) -> Manifest:
    has = {name: [str(int(name in one)) for one in SETS] for name in ("cat", "dog", "bird")}
    lines = ["path,cat,dog,bird", *map(",".join, zip(images(folder), *has.values(), strict=True))]
    (folder / "table.csv").write_text("\n".join(lines))
    return read(str(folder / "table.csv"), labels=("cat", "dog", "Bird"))


def columns_in_parquet(folder: Path) -> Manifest:
    has = {name: [name in one for one in SETS] for name in ("cat", "dog", "bird")}
    parquet.write_table(arrow.table({"path": images(folder), **has}), folder / "table.parquet")
    return read(str(folder / "table.parquet"), labels=("cat", "dog", "bird"))


def columns_in_metadata(folder: Path) -> Manifest:
    lines = ["file_name,cat,dog,bird"]
    for name, one in zip(images(folder), SETS, strict=True):
        lines.append(f"{name}," + ",".join(str(float(label in one)) for label in ("cat", "dog", "bird")))
    (folder / "metadata.csv").write_text("\n".join(lines))
    return read(str(folder), labels=("cat", "dog", "bird"))


def hugging_face(folder: Path, **columns: tuple[Any, list]) -> str:
    stored = [{"bytes": encoded(noise(i)), "path": None} for i in range(len(SETS))]
    ids = (datasets.Value("string"), [str(i) for i in range(len(SETS))])
    every = {"image": (datasets.Image(), stored), "id": ids, **columns}
    kinds = datasets.Features({name: kind for name, (kind, _) in every.items()})
    data = datasets.Dataset.from_dict({name: values for name, (_, values) in every.items()}, features=kinds)
    data.save_to_disk(str(folder / "saved"))
    return str(folder / "saved")


def lists_of_numbers_with_names(folder: Path) -> Manifest:
    names = ["bird", "cat", "dog"]
    kind = datasets.Sequence(datasets.ClassLabel(names=names))
    return read(hugging_face(folder, labels=(kind, [[names.index(one) for one in row] for row in SETS])))


def columns_of_hugging_face(folder: Path) -> Manifest:
    has = {n: (datasets.Value("int64"), [int(n in one) for one in SETS]) for n in ("cat", "dog", "bird")}
    return read(hugging_face(folder, **has), labels=("cat", "dog", "bird"))


FORMS = [
    *(joined, lists_in_json, lists_in_parquet, one_column_per_label, columns_in_parquet),
    *(columns_in_metadata, lists_of_numbers_with_names, columns_of_hugging_face),
]


@pytest.mark.parametrize("form", FORMS, ids=[form.__name__ for form in FORMS])
def test_every_form_gives_the_same_labels(form: Any, tmp_path: Path) -> None:
    manifest = form(tmp_path)
    assert manifest.labels == ("bird", "cat", "dog")
    assert sets_of(manifest) == [set(one) for one in SETS]
    check_trainable(manifest)
    assert manifest.learned_n is manifest.label_nc
    some = manifest.take([3, 1])
    assert (some.label_nc == manifest.label_nc[[3, 1]]).all()


def test_labels_of_precomputed_features_are_columns(tmp_path: Path) -> None:
    x_nd = np.random.default_rng(0).normal(size=(40, 4))
    has_nc = np.random.default_rng(1).random((40, 3)) < 0.4
    np.savez(tmp_path / "x.npz", train_x=x_nd, train_y=has_nc.astype(float), classes=["a", "b", "c"])
    manifest = read(str(tmp_path / "x.npz"))
    assert manifest.labels == ("a", "b", "c")
    assert (manifest.label_nc == has_nc).all()
    np.savez(tmp_path / "x.npz", train_x=x_nd, train_y=has_nc.astype(float), classes=["a", "b"])
    with pytest.raises(InputError, match="holds 2 names, and the labels have 3 columns"):
        load(str(tmp_path / "x.npz"), seed=0)
    joined = {"train_y": ["a|b", "c", "b"] * 10, "test_y": ["a|c", "b"] * 5}
    np.savez(tmp_path / "x.npz", train_x=x_nd[:30], test_x=x_nd[30:], **joined)
    assert read(str(tmp_path / "x.npz"), "|").labels == ("a", "b", "c")
    np.savez(tmp_path / "x.npz", train_x=x_nd, train_y=has_nc * 2)
    with pytest.raises(InputError, match="columns of 0 and 1, one per label"):
        load(str(tmp_path / "x.npz"), seed=0)


def test_the_summary_says_how_many_labels_an_image_has(tmp_path: Path) -> None:
    assert "Labels (3): dog 18, bird 12, cat 12, none 6 · 1.2 per image · train" in summarise(
        joined(tmp_path)
    )


def test_every_label_is_in_every_split_rare_ones_too(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    share_c = np.array([0.03, 0.06, 0.1, 0.3, 0.6])
    has_nc = random.random((300, 5)) < share_c
    texts = ["|".join("abcde"[c] for c in np.flatnonzero(row)) for row in has_nc]
    np.savez(tmp_path / "x.npz", train_x=random.normal(size=(300, 3)), train_y=texts)
    manifest = read(str(tmp_path / "x.npz"))
    assert manifest.label_nc is not None
    for split, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        rows = manifest.rows(split)
        assert len(rows) == pytest.approx(300 * share, abs=3)
        counted_c = manifest.label_nc[rows].sum(0)
        assert (counted_c > 0).all()
        np.testing.assert_allclose(counted_c, manifest.label_nc.sum(0) * share, atol=8)
    assert not [note for note in notices(manifest) if "label" in note]
    assert (read(str(tmp_path / "x.npz")).split_n == manifest.split_n).all()


def test_groups_and_copies_are_never_divided(tmp_path: Path) -> None:
    data = table(tmp_path, ["|".join(one) for one in SETS], more="g")
    (tmp_path / "1.png").write_bytes((tmp_path / "4.png").read_bytes())
    manifest = read(data)
    for group in set(manifest.group):
        rows = [i for i, one in enumerate(manifest.group) if one == group]
        assert len(set(manifest.split_n[rows])) == 1
    assert manifest.split_n[1] == manifest.split_n[4]


def test_copies_with_other_sets_of_labels_conflict_and_those_with_the_same_do_not(tmp_path: Path) -> None:
    texts = ["|".join(one) for one in SETS]
    data = table(tmp_path, [*texts, "dog|cat", "cat|bird"])
    for copy in (len(texts), len(texts) + 1):
        (tmp_path / f"{copy}.png").write_bytes((tmp_path / "1.png").read_bytes())
    manifest = read(data)
    (rows,) = label_conflicts(manifest)
    assert [manifest.sample_id[row] for row in rows] == [
        "1.png",
        f"{len(texts)}.png",
        f"{len(texts) + 1}.png",
    ]
    assert "1 image occurs with different sets of labels: 1.png (cat|dog) and" in describe_label_conflicts(
        manifest, [rows]
    )
    same = manifest.take(np.setdiff1d(np.arange(len(manifest)), [len(texts) + 1]))
    assert not label_conflicts(same)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([""] * 30, "has no labels"),
        (["cat|dog"] * 30, "rows of train and val have the labels 'cat', 'dog', so nothing can be learned"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(tmp_path: Path, texts: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_trainable(read(table(tmp_path, texts)))


def test_rare_labels_are_named(tmp_path: Path) -> None:
    texts = ["|".join(one) for one in SETS]
    manifest = read(table(tmp_path, [*texts, "cat|zebra"]))
    check_trainable(manifest)
    assert "1 label has fewer than 2 rows, too few to learn and to judge: 'zebra'." in notices(manifest)


def test_a_split_without_rows_of_a_label_is_said(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = {f"{split}_x": random.normal(size=(20, 3)) for split in ("train", "val", "test")}
    has = {f"{split}_y": random.random((20, 3)) < 0.5 for split in ("train", "val", "test")}
    has["test_y"][:, 2] = False
    np.savez(tmp_path / "x.npz", **rows, **has)
    assert "1 label has no test rows: '2'." in notices(read(str(tmp_path / "x.npz")))


def test_a_separator_that_never_occurs_is_said(tmp_path: Path) -> None:
    manifest = read(table(tmp_path, ["cat", "dog"] * 10), ";")
    assert any(
        "No label has --label-separator ';': each image has one label at most" in n for n in notices(manifest)
    )


@pytest.mark.parametrize(
    ("classes", "proposed"),
    [
        (["cat;dog", "cat;bird", "dog;bird", "ant"], True),
        (["cat,dog", "cat,bird", "dog,bird"], True),
        (["Doe, Jane", "Roe, Richard"], False),
        (["a|b", "c|d"], False),
    ],
)
def test_a_separator_is_proposed_where_names_recombine_the_same_parts(
    classes: list[str], proposed: bool
) -> None:
    notes = notes_on_classes(classes)
    assert any("pass --label-separator" in note for note in notes) is proposed


def test_columns_of_labels_are_refused_with_what_is_wrong(tmp_path: Path) -> None:
    rows = [f"{name},{i % 2},{'maybe' if i == 2 else 1}" for i, name in enumerate(images(tmp_path, 6))]
    (tmp_path / "t.csv").write_text("\n".join(["path,cat,dog", *rows]))
    for labels, told in (
        (("cat", "fox"), "--label-columns names 'fox', and .* has no column of that name"),
        (("cat", "dog"), "row 3 has 'maybe' in the column 'dog' of --label-columns; expected 1"),
    ):
        with pytest.raises(InputError, match=told):
            load(str(tmp_path / "t.csv"), seed=0, columns=ColumnChoice(labels=labels))
    with pytest.raises(InputError, match="--label-column and --label-columns both"):
        load(str(tmp_path / "t.csv"), seed=0, columns=ColumnChoice(label="cat", labels=("dog",)))
    with pytest.raises(InputError, match="has no columns to choose from: --label-columns"):
        load("demo", seed=0, columns=ColumnChoice(labels=("dog",)))


def test_a_column_without_a_one_and_a_label_of_every_row_are_named(tmp_path: Path) -> None:
    rows = [f"{name},1,0,{i % 2}" for i, name in enumerate(images(tmp_path, 12))]
    (tmp_path / "t.csv").write_text("\n".join(["path,always,Never,some", *rows]))
    config = SweepConfig(data=str(tmp_path / "t.csv"), label_columns="always,Never,some", cache_dir=tmp_path)
    manifest = read_rows(config)
    assert manifest.labels == ("always", "some")
    told = notices(manifest)
    assert any("has a 1 in no row and cannot be learned: 'Never'" in note for note in told)
    assert any(
        "1 label is in every row, so there is nothing to tell apart: 'always'" in note for note in told
    )
    one = read_rows(dataclasses.replace(config, label_columns="some"))
    assert not any("separator" in note for note in notices(one))
    with pytest.raises(InputError, match="names no column"):
        read_rows(dataclasses.replace(config, label_columns=" , "))
    with pytest.raises(InputError, match="--label-separator is empty"):
        read_rows(SweepConfig(data=config.data, label_column="some", label_separator="", cache_dir=tmp_path))


def test_arrays_of_other_values_than_0_and_1_are_refused_with_three_of_them(tmp_path: Path) -> None:
    y = np.array([[0, 1], [2, -1], [0.5, 7], [1, 0]] * 8)
    np.savez(tmp_path / "x.npz", train_x=np.random.default_rng(0).normal(size=(32, 3)), train_y=y)
    with pytest.raises(InputError, match=r"0 and 1, one per label; there are others, such as -1, 0\.5, 2\."):
        load(str(tmp_path / "x.npz"), seed=0)


def test_a_label_of_a_list_must_not_have_the_separator_in_it(tmp_path: Path) -> None:
    rows = [json.dumps({"path": name, "labels": ["a|b", "c"]}) for name in images(tmp_path, 3)]
    (tmp_path / "t.jsonl").write_text("\n".join(rows))
    with pytest.raises(InputError, match=r"row 1 has the label 'a\|b' among several"):
        load(str(tmp_path / "t.jsonl"), seed=0)


@pytest.mark.parametrize("kind", [SweepConfig, CheckConfig, ExtractConfig])
def test_sweep_check_and_extract_take_several_labels(kind: type[DataConfig], tmp_path: Path) -> None:
    data = table(tmp_path, ["|".join(one) for one in SETS])
    assert read_rows(kind(data=data, label_separator="|", cache_dir=tmp_path)).target == "labels"
    lists_in_json(tmp_path)
    assert read_rows(kind(data=str(tmp_path / "table.jsonl"), cache_dir=tmp_path)).target == "labels"


def test_other_commands_and_another_target_refuse_them(tmp_path: Path) -> None:
    data = table(tmp_path, ["|".join(one) for one in SETS])
    lists_in_json(tmp_path)
    lists = str(tmp_path / "table.jsonl")
    for config, told in (
        (
            DataConfig(data=data, label_separator="|"),
            r"one label per image, and there are --label-separator \|",
        ),
        (DataConfig(data=data, label_columns="a,b"), "a"),
        (DataConfig(data=lists), "there are lists of several labels"),
        (SweepConfig(data=lists, target="class"), "sweep without another --target"),
        (SweepConfig(data=data, target="number", label_separator="|"), "this command takes one label"),
    ):
        with pytest.raises(InputError, match=told):
            read_rows(config)
