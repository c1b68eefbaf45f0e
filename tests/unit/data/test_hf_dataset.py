"""Data sets of Hugging Face: written by save_to_disk, or called by name. Nothing here asks the network."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest

from tests.support.image_files import class_folders, encoded, noise
from trainer.core.errors import InputError
from trainer.data import table_columns
from trainer.data.decode import decode
from trainer.data.hf_dataset import ArrowCell
from trainer.data.load import load
from trainer.data.manifest import Manifest, check_trainable

CAT_OR_DOG = datasets.ClassLabel(names=["cat", "dog"])
NUMBER_OF = {noise(i).tobytes(): i for i in range(24)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test. Variables are read when the library is imported: too late."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def rows(numbers: Sequence[int], **more: tuple[Any, list]) -> Any:
    """A Dataset whose image ``i`` is ``noise(i)``: a cat if ``i`` is even. More columns: (type, values)."""
    ours = {
        "image": (datasets.Image(), [{"bytes": encoded(noise(i)), "path": f"{i}.png"} for i in numbers]),
        "label": (CAT_OR_DOG, [i % 2 for i in numbers]),
    } | more
    return datasets.Dataset.from_dict(
        {name: values for name, (_, values) in ours.items()},
        features=datasets.Features({name: kind for name, (kind, _) in ours.items()}),
    )


def saved(data: Any, path: Path, **options: Any) -> str:
    data.save_to_disk(str(path), **options)
    return str(path)


def numbers_of(manifest: Manifest) -> list[int]:
    """Which image each row holds, read as another process would: after a pickle, which must be small."""
    assert manifest.images is not None
    sent = [pickle.dumps(image) for image in manifest.images]
    assert max(map(len, sent)) < 1000
    return [NUMBER_OF[decode(pickle.loads(one)).tobytes()] for one in sent]


# --- what save_to_disk wrote --------------------------------------------------------------------


def test_a_dataset_gives_rows_with_class_names_captions_and_groups(tmp_path: Path) -> None:
    data = rows(
        range(12),
        captions=(datasets.List(datasets.Value("string")), [["a pet", f"number {i}"] for i in range(12)]),
        group=(datasets.Value("int64"), [i // 2 for i in range(12)]),
    )
    manifest = load(saved(data, tmp_path / "pets"), seed=0)
    check_trainable(manifest)
    assert manifest.classes == ("cat", "dog")
    assert [manifest.classes[i] for i in manifest.label_n] == ["cat", "dog"] * 6
    assert (manifest.caption[3], manifest.group[3]) == ("a pet | number 3", "1")
    assert manifest.sample_id[3] == "row/00000003"
    assert manifest.drawn_splits == ("train", "val", "test")
    assert numbers_of(manifest) == list(range(12))


def test_the_parts_of_a_dataset_dict_are_splits_in_any_of_their_spellings(tmp_path: Path) -> None:
    data = datasets.DatasetDict(
        train=rows(range(12)), validation=rows(range(12, 18)), test=rows(range(18, 24))
    )
    manifest = load(saved(data, tmp_path / "pets"), seed=0)
    assert [len(manifest.rows(split)) for split in ("train", "val", "test")] == [12, 6, 6]
    assert (manifest.sample_id[13], manifest.drawn_splits) == ("validation/00000001", ())
    assert numbers_of(manifest) == list(range(24))
    of_test = load(str(tmp_path / "pets" / "test"), seed=0)  # a part is a Dataset of its own
    assert (numbers_of(of_test), of_test.drawn_splits) == (list(range(18, 24)), ("train", "val", "test"))


def test_val_is_drawn_from_train_and_all_three_from_a_single_part_or_as_a_column_says(tmp_path: Path) -> None:
    two = datasets.DatasetDict(train=rows(range(20)), test=rows(range(20, 24)))
    assert load(saved(two, tmp_path / "two"), seed=0).drawn_splits == ("val",)
    one = datasets.DatasetDict(all=rows(range(20)))
    assert load(saved(one, tmp_path / "one"), seed=0).drawn_splits == ("train", "val", "test")
    split = (datasets.Value("string"), ["train"] * 12 + ["dev"] * 4 + ["test"] * 4)
    told = load(saved(rows(range(20), split=split), tmp_path / "told"), seed=0)
    assert [len(told.rows(split)) for split in ("train", "val", "test")] == [12, 4, 4]


def test_chosen_and_shuffled_rows_in_several_files_are_the_right_ones(tmp_path: Path) -> None:
    data = rows(range(24)).shuffle(seed=1).select(range(3, 20))
    folder = saved(data, tmp_path / "pets", num_shards=3)
    assert len(list(Path(folder).glob("*.arrow"))) == 3
    manifest = load(folder, seed=0)
    wanted = [
        NUMBER_OF[decode(one["bytes"]).tobytes()]
        for one in data.cast_column("image", datasets.Image(decode=False))["image"]
    ]
    assert numbers_of(manifest) == wanted
    assert [manifest.classes[i] for i in manifest.label_n] == [["cat", "dog"][i % 2] for i in wanted]


def test_rows_without_an_image_are_quarantined_and_minus_one_is_no_label(tmp_path: Path) -> None:
    image = [{"bytes": encoded(noise(i)), "path": None} for i in range(10)]
    image += [None, {"bytes": b"", "path": None}]  # type: ignore[list-item]
    data = rows(range(12), image=(datasets.Image(), image), label=(CAT_OR_DOG, [-1, 1] * 6))
    manifest = load(saved(data, tmp_path / "pets"), seed=0)
    assert len(manifest) + len(manifest.quarantined) == 12
    assert dict(manifest.quarantined) == {
        "row/00000010": "neither bytes nor a path in image",
        "row/00000011": "neither bytes nor a path in image",
    }
    assert (manifest.classes, manifest.label_n[:4].tolist()) == (("dog",), [-1, 0, -1, 0])


def test_rows_are_called_by_an_id_that_tells_them_apart(tmp_path: Path) -> None:
    def part(first: int, ids: list[str]) -> Any:
        return rows(range(first, first + 8), image_id=(datasets.Value("string"), ids))

    own = [f"p{i}" for i in range(8)]
    data = datasets.DatasetDict(train=part(0, own), val=part(8, own), test=part(16, ["same"] * 8))
    names = load(saved(data, tmp_path / "pets"), seed=0).sample_id
    assert (names[1], names[9], names[17]) == ("train/p1", "val/p1", "test/00000001")


def test_images_and_labels_are_known_by_their_type_whatever_they_are_called(tmp_path: Path) -> None:
    data = rows(range(12)).rename_columns({"image": "Bild", "label": "Klasse"})
    manifest = load(saved(data, tmp_path / "types"), seed=0)
    assert (manifest.classes, numbers_of(manifest)) == (("cat", "dog"), list(range(12)))
    bare = rows(range(12), image=(datasets.Value("binary"), [encoded(noise(i)) for i in range(12)]))
    assert numbers_of(load(saved(bare, tmp_path / "bare"), seed=0)) == list(range(12))
    masked = rows(range(12)).rename_column("label", "kind")
    masked = masked.add_column("label", [{"bytes": b"a mask", "path": None}] * 12)
    assert load(saved(masked, tmp_path / "masked"), seed=0).classes == ("cat", "dog")


def test_a_worker_reads_an_image_without_the_library(tmp_path: Path) -> None:
    manifest = load(saved(rows(range(4)), tmp_path / "pets"), seed=0)
    assert manifest.images is not None
    program = (
        "import pickle, sys, trainer.data.load; image = pickle.load(sys.stdin.buffer).read_bytes();"
        "assert not {'datasets', 'torch'} & set(sys.modules); sys.stdout.buffer.write(image)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(manifest.images[2]),
        capture_output=True,
        check=True,
    )
    assert ran.stdout == encoded(noise(2))


def test_an_image_whose_file_is_gone_or_another_is_an_error_of_the_disk(tmp_path: Path) -> None:
    folder = Path(saved(rows(range(4)), tmp_path / "pets"))
    file = next(folder.glob("*.arrow"))
    for wrong in (
        ArrowCell(file, "image", 4),
        ArrowCell(file, "picture", 0),
        ArrowCell(folder / "gone.arrow", "image", 0),
    ):
        with pytest.raises(OSError, match=r"arrow") as caught:
            wrong.read_bytes()
        assert caught.value.strerror
    (folder / "other.arrow").write_bytes(b"not Arrow at all")
    with pytest.raises(OSError, match=r"other\.arrow"):
        ArrowCell(folder / "other.arrow", "image", 0).read_bytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            lambda: rows(range(4)).remove_columns("image"),
            r"columns 'label', and none is of the type Image.*cast",
        ),
        (
            lambda: (
                rows(range(4))
                .rename_column("label", "fine")
                .add_column("coarse", [0] * 4)
                .cast_column("coarse", CAT_OR_DOG)
            ),
            r"several labels: 'fine', 'coarse'.*--label-column",
        ),
        (
            lambda: datasets.DatasetDict(train=rows(range(4)), test=rows(range(4)), extra=rows(range(4))),
            r"splits 'train', 'test', 'extra'.*.extra. is unknown.*save_to_disk",
        ),
        (
            lambda: datasets.DatasetDict(train=rows(range(4)), validation=rows(range(4))),
            "train and val but no test",
        ),
        (
            lambda: rows(range(4), image=(datasets.Image(), [None] * 4)),
            r"no row with.*row/00000000 and 3 more: neither",
        ),
        (
            lambda: rows(range(4), split=(datasets.Value("string"), ["holdout"] * 4)),
            "row/00000000 is in the split 'holdout'",
        ),
    ],
)
def test_a_data_set_that_cannot_be_used_is_refused(tmp_path: Path, data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(saved(data(), tmp_path / "pets"), seed=0)


def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    folder = saved(datasets.DatasetDict(train=rows(range(4)), test=rows(range(4, 8))), tmp_path / "pets")
    file = next(Path(folder, "test").glob("*.arrow"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=r"written by save_to_disk and cannot be read \(.*Write it again"):
        load(folder, seed=0)


# --- by name ------------------------------------------------------------------------------------


def test_a_folder_of_parquet_is_read_by_name_with_its_splits(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "pets").mkdir()
    for split, numbers in (("train", range(12)), ("validation", range(12, 18)), ("test", range(18, 24))):
        rows(numbers).to_parquet(tmp_path / "pets" / f"{split}-0.parquet")
    manifest = load(f"hf:{tmp_path / 'pets'}", seed=0)
    assert [len(manifest.rows(split)) for split in ("train", "val", "test")] == [12, 6, 6]
    assert (manifest.classes, numbers_of(manifest)) == (("cat", "dog"), list(range(24)))
    assert manifest.images is not None
    assert all(isinstance(one, ArrowCell) and cache in one.path.parents for one in manifest.images)


def test_cells_that_hold_only_a_path_are_read_there(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "pets", {"cat": 6, "dog": 6})
    name = f"hf:{root}"
    assert numbers_of(load(name, seed=0)) == list(range(12))
    (root / "dog" / "2.png").write_bytes(b"")
    manifest = load(name, seed=0)
    assert len(manifest) == 11
    assert dict(manifest.quarantined) == {"train/00000008": f"{root / 'dog' / '2.png'}: empty file"}


def test_a_configuration_is_named_after_a_colon(tmp_path: Path) -> None:
    for one, numbers in (("large", range(16)), ("small", range(16, 24))):
        (tmp_path / "pets" / one).mkdir(parents=True)
        rows(numbers).to_parquet(tmp_path / "pets" / one / "train.parquet")
    configs = "".join(f"- config_name: {one}\n  data_files: {one}/*.parquet\n" for one in ("large", "small"))
    (tmp_path / "pets" / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    assert numbers_of(load(f"hf:{tmp_path / 'pets'}:small", seed=0)) == list(range(16, 24))
    with pytest.raises(InputError, match=r"cannot be loaded \(Config name is missing.*'large', 'small'"):
        load(f"hf:{tmp_path / 'pets'}", seed=0)
    with pytest.raises(InputError, match=r"'middle' not found. Available: \['large', 'small'\]"):
        load(f"hf:{tmp_path / 'pets'}:middle", seed=0)


def test_what_was_loaded_before_is_used_where_the_hub_does_not_answer(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "pets").mkdir()
    rows(range(12)).to_parquet(tmp_path / "pets" / "train.parquet")
    load(f"hf:{tmp_path / 'pets'}", seed=0)
    (cache / "pets").rename(cache / "owner___pets")  # as if it had come from the hub
    assert numbers_of(load("hf:owner/pets", seed=0)) == list(range(12))


def test_what_cannot_be_loaded_is_refused_in_one_line(tmp_path: Path) -> None:
    for folder in ("empty", "script", "broken"):
        (tmp_path / folder).mkdir()
    (tmp_path / "script" / "script.py").write_text("raise SystemExit('this must not run')")
    whole = rows(range(4))
    whole.to_parquet(tmp_path / "broken" / "train.parquet")
    data = (tmp_path / "broken" / "train.parquet").read_bytes()
    (tmp_path / "broken" / "train.parquet").write_bytes(data[:4] + bytes(200) + data[204:])
    for name, message in (
        (
            "nobody/none",
            r"'nobody/none' cannot be loaded \(Couldn't reach.*spelling.*hf auth login.*Without a network",
        ),
        ("nobody", "cannot be loaded"),
        ("not a/name", "Repo id|reach"),
        ("../no/folder", "any data file"),
        (f"{tmp_path}/empty", "any data files"),
        (f"{tmp_path}/script", "scripts are no longer supported"),
        (f"{tmp_path}/broken", r"cannot be loaded \((?!An error occurred)"),
        ("", "names no dataset"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            load(f"hf:{name}", seed=0)
        assert "\n" not in str(caught.value)


def test_a_path_that_is_not_there_asks_nobody_but_says_how_to(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file or folder 'owner/name'.*hf:owner/name\.$"):
        load("owner/name", seed=0)
    for path in (f"{tmp_path}/name", "./owner/name", "name", "a/b/c"):
        with pytest.raises(InputError, match=r"Check the spelling and the path\.$"):
            load(path, seed=0)


def test_numbers_become_class_names_and_minus_one_becomes_none() -> None:
    assert table_columns.class_names(["1", "-1", "", "7"], ["cat", "dog"]) == ["dog", "", "", "7"]
    assert table_columns.class_names(["1", "-1"], None) == ["1", "-1"]
