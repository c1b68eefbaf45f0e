"""Folders, shards and files as they are found in the world, each with the verdict that is expected of it.

A function per case writes the input; its docstring says where such input comes from.
"""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from tests.support.image_files import encoded, noise
from tests.support.odd_case import Case, Read, Refused


def put(root: Path, *folders: str, count: int = 3, kind: str = "png") -> None:
    """Write different images into each folder: ``root/folder/i.kind``."""
    for folder in folders:
        where = root / folder
        where.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            name = f"{folder}/{i}"
            (where / f"{i}.{kind}").write_bytes(image(name))


def image(name: str) -> bytes:
    """A small image that no other name has."""
    return encoded(noise(zlib.crc32(name.encode()), height=4, width=5))


def tar(path: Path, members: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def keyed(*keys: str, kind: str = "png") -> dict[str, bytes]:
    """Members of a shard: an image and a .cls for each key; labels alternate."""
    members = {}
    for i, key in enumerate(keys):
        members[f"{key}.{kind}"] = image(key)
        members[f"{key}.cls"] = "ab"[i % 2].encode()
    return members


# --- D: which folder is the class ----------------------------------------------------------------


def intel(root: Path) -> str:
    """Intel Image Classification: each split folder inside one of its name, and images to predict."""
    put(
        root,
        *(f"seg_{split}/seg_{split}/{name}" for split in ("train", "test") for name in ("sea", "street")),
    )
    put(root, "seg_pred/seg_pred", count=4)
    return str(root)


def cats_and_dogs(root: Path) -> str:
    put(
        root,
        *(f"dataset/{split}/{name}" for split in ("training_set", "test_set") for name in ("cats", "dogs")),
    )
    put(root, "dataset/single_prediction", count=2)
    return str(root)


def camel_case(root: Path) -> str:
    put(root, *(f"{split}/{name}" for split in ("TrainSet", "valData", "test2017") for name in "ab"))
    return str(root)


def capitals(root: Path) -> str:
    """Kaggle's brain tumour data."""
    put(root, *(f"{split}/{name}" for split in ("Training", "Testing") for name in ("glioma", "no_tumor")))
    return str(root)


def classes_called_like_splits(root: Path) -> str:
    put(root, "train", "plane")
    return str(root)


def classes_called_like_splits_within_splits(root: Path) -> str:
    put(root, *(f"{split}/{name}" for split in ("train", "val", "test") for name in ("train", "plane")))
    return str(root)


def classes_with_a_split_in_their_name(root: Path) -> str:
    put(root, "blood_test", "bullet_train", "test_tube")
    return str(root)


def one_class_in_a_small_split(root: Path) -> str:
    """The only class of val has sub-folders, as in train."""
    put(
        root,
        "train/cat/old",
        "train/cat/new",
        "train/dog/new",
        "val/cat/old",
        "val/cat/new",
        "test/cat",
        "test/dog",
    )
    return str(root)


def one_folder(root: Path) -> str:
    """A single folder of images is no class."""
    put(root, "images", count=4)
    return str(root)


def one_folder_in_splits(root: Path) -> str:
    put(root, "train/images", "test/images", count=4)
    return str(root)


def side_by_side(root: Path) -> str:
    put(root, ".", count=4)
    (root / "labels.csv").write_text("id,breed\n")
    return str(root)


def wrapper(root: Path) -> str:
    put(root, "chest_xray/chest_xray/normal", "chest_xray/chest_xray/pneumonia")
    return str(root)


def wrapped_splits(root: Path) -> str:
    """fer2013, with a test folder."""
    put(
        root,
        *(f"images/{split}/{name}" for split in ("train", "validation", "test") for name in ("happy", "sad")),
    )
    (root / "README.md").write_text("x")
    return str(root)


def wrapper_in_each_split(root: Path) -> str:
    put(root, *(f"{split}/images/{name}" for split in ("train", "val", "test") for name in "ab"))
    return str(root)


def splits_in_each_class(root: Path) -> str:
    put(root, *(f"{name}/{split}" for name in ("cats", "dogs") for split in ("train", "val", "test")))
    return str(root)


def copy_inside(root: Path) -> str:
    """Kaggle's brain MRI data: the same folders once more in a sub-folder."""
    put(root, "yes", "no")
    for name in ("yes", "no"):
        (root / "brain_tumor_dataset" / name).mkdir(parents=True)
        for file in (root / name).iterdir():
            (root / "brain_tumor_dataset" / name / file.name).write_bytes(file.read_bytes())
    return str(root)


def copy_of_splits_inside(root: Path) -> str:
    """A zip of chest X-rays, with resource forks of macOS."""
    for inner in ("", "chest_xray/", "chest_xray/chest_xray/"):
        put(root, *(f"{inner}{split}/{name}" for split in ("train", "test") for name in "ab"))
    for file in list(root.rglob("*.png")):
        file.write_bytes(image("/".join(file.parts[-3:])))
    put(root, "__MACOSX/train/a")
    (root / "train" / "a" / "._0.png").write_bytes(b"\0\5\26\7")
    (root / ".DS_Store").write_bytes(b"x")
    return str(root)


def other_data_inside(root: Path) -> str:
    put(root, "yes", "no")
    put(root, "brain_tumor_dataset/yes", "brain_tumor_dataset/no", count=5)
    return str(root)


def img2dataset_files(root: Path) -> str:
    """img2dataset with output_format files."""
    for shard in ("00000", "00001"):
        put(root, shard, count=4)
        for i in range(4):
            (root / shard / f"{i}.txt").write_text(f"caption {i}")
            (root / shard / f"{i}.json").write_text(json.dumps({"key": str(i), "status": "success"}))
        (root / f"{shard}_stats.json").write_text("{}")
    return str(root)


def img2dataset_files_with_labels(root: Path) -> str:
    img2dataset_files(root)
    for shard in ("00000", "00001"):
        for i in range(4):
            (root / shard / f"{i}.json").write_text(json.dumps({"label": "cat" if i % 2 else "dog"}))
    return str(root)


def one_folder_of_img2dataset(root: Path) -> str:
    img2dataset_files(root)
    return str(root / "00000")


def numbers_as_classes(root: Path) -> str:
    """GTSRB: classes called 00000 …, with a table in each."""
    put(root, "00000", "00001", "00002", kind="ppm.png")
    for name in ("00000", "00001", "00002"):
        (root / name / f"GT-{name}.csv").write_text("Filename;ClassId\n")
    return str(root)


def fiftyone(root: Path) -> str:
    put(root, "cat", "dog", "_unlabeled")
    return str(root)


def unlabelled_class(root: Path) -> str:
    """STL-10."""
    put(root, "cat", "dog", "unlabeled")
    return str(root)


def thumbnails_of_a_nas(root: Path) -> str:
    put(root, "cat", "dog", "cat/@eaDir/0.png", "dog/.ipynb_checkpoints")
    (root / "cat" / "Thumbs.db").write_bytes(b"x")
    return str(root)


def tiny_imagenet(root: Path) -> str:
    put(root, "train/n01/images", "train/n02/images", "val/images", "test/images", kind="JPEG")
    (root / "val" / "val_annotations.txt").write_text("0.JPEG\tn01\n")
    return str(root)


def tiny_imagenet_train(root: Path) -> str:
    tiny_imagenet(root)
    return str(root / "train")


def flat_test(root: Path) -> str:
    """A Kaggle competition: the test images have no labels."""
    put(root, "train/a", "train/b", "test")
    return str(root)


def flat_splits(root: Path) -> str:
    put(root, "train_images", "test_images")
    return str(root)


def flat_splits_with_labels(root: Path) -> str:
    """The same is fine where metadata gives the labels."""
    flat_splits(root)
    for folder in ("train_images", "test_images"):
        lines = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(3))
        (root / folder / "metadata.csv").write_text(f"file_name,label\n{lines}")
    return str(root)


def colour_and_grey(root: Path) -> str:
    """PlantVillage: the same classes in several renderings."""
    put(
        root,
        *(f"{kind}/{name}" for kind in ("color", "grayscale", "segmented") for name in ("apple", "grape")),
    )
    return str(root)


def domains_with_a_wrapper(root: Path) -> str:
    """Office-31."""
    put(root, *(f"{site}/images/{name}" for site in ("amazon", "webcam") for name in ("bike", "mug")))
    return str(root)


def images_and_masks(root: Path) -> str:
    put(root, "images", "masks")
    return str(root)


def classes_times_splits(root: Path) -> str:
    put(root, "cat_train", "cat_test", "dog_train", "dog_test")
    return str(root)


def other_people_in_test(root: Path) -> str:
    """VGGFace2."""
    put(root, "train/ann", "train/bob", "test/cyd", "test/dee")
    return str(root)


def competition(root: Path) -> str:
    """Kaggle's cassava leaves: flat folders, labels in a table."""
    flat_splits(root)
    (root / "train.csv").write_text("image_id,label\n")
    return str(root)


def parquet_alone(root: Path) -> str:
    for i in range(2):
        (root / f"train-{i}.parquet").write_bytes(b"PAR1")
    return str(root)


# --- B: keys of shards ---------------------------------------------------------------------------


def same_names_in_train_and_test(root: Path) -> str:
    """CLIP_benchmark: 0.tar and keys from 0 in each split."""
    for split, count in (("train", 12), ("test", 4)):
        members = keyed(*(f"s{i:07d}" for i in range(count)))
        tar(
            root / split / "0.tar",
            {k: v if k.endswith("cls") else image(split + k) for k, v in members.items()},
        )
    return str(root)


def splits_in_the_names_of_shards(root: Path) -> str:
    for split, count in (("train", 12), ("val", 4), ("test", 4)):
        tar(root / f"imagenet-{split}-000000.tar", keyed(*(f"{split}{i}" for i in range(count))))
    return str(root)


def latin_1_names(root: Path) -> str:
    tar(root / "0.tar", keyed(*(f"caf\xe9{i}" for i in range(6))))
    return str(root)


def hidden_members(root: Path) -> str:
    """tar of macOS: a resource fork before every file; names begin with ./"""
    members = {}
    for name, data in keyed(*(f"./{i}" for i in range(6))).items():
        members |= {f"./._{name[2:]}": b"\0\5\26\7", name: data}
    tar(root / "0.tar", members)
    return str(root)


def input_jpg(root: Path) -> str:
    tar(root / "0.tar", keyed(*map(str, range(6)), kind="input.png"))
    return str(root)


def input_and_mask(root: Path) -> str:
    """The plain image counts; the other one is passed over."""
    masks = {f"{i}.mask.png": image(f"mask{i}") for i in range(6)}
    tar(root / "0.tar", masks | keyed(*map(str, range(6))))
    return str(root)


def names_with_dots(root: Path) -> str:
    tar(root / "0.tar", keyed(*(f"v1.{i:04d}" for i in range(6))))
    return str(root)


def members_apart(root: Path) -> str:
    """All images first, then all labels."""
    members = keyed(*map(str, range(6)))
    tar(root / "0.tar", dict(sorted(members.items(), key=lambda item: item[0].endswith("cls"))))
    return str(root)


def labels_alone(root: Path) -> str:
    tar(root / "0.tar", keyed(*map(str, range(6))) | {"7.cls": b"a", "7.heif2": b"x"})
    return str(root)


def class_folders_in_a_tar(root: Path) -> str:
    tar(
        root / "pets.tar",
        {f"pets/{name}/{i}.png": image(f"{name}{i}") for name in ("cat", "dog") for i in range(4)},
    )
    return str(root / "pets.tar")


def split_folders_in_a_tar(root: Path) -> str:
    names = [f"{s}/{c}/{i}.png" for s in ("train", "val", "test") for c in ("cat", "dog") for i in range(2)]
    tar(root / "pets.tar", {name: image(name) for name in names})
    return str(root)


def compressed_shards(root: Path) -> str:
    (root / "0.tar.gz").write_bytes(b"\x1f\x8b\x08\0")
    return str(root)


def a_compressed_shard(root: Path) -> str:
    return compressed_shards(root) + "/0.tar.gz"


def gzip_called_tar(root: Path) -> str:
    (root / "0.tar").write_bytes(b"\x1f\x8b\x08\0" * 200)
    return str(root)


def an_archive_beside_what_came_out_of_it(root: Path) -> str:
    put(root, "cat", "dog")
    tar(root / "pets.tar", keyed("0", "1"))
    return str(root)


def labels_in_other_keys(root: Path) -> str:
    """Shards whose .json files say ``y`` and ``TEXT``, as converters of other projects write them."""
    members = {}
    for i in range(8):
        members[f"{i}.png"] = image(str(i))
        members[f"{i}.json"] = json.dumps({"y": "ab"[i % 2], "TEXT": f"word {i}"}).encode()
    tar(root / "0.tar", members)
    return str(root)


def labels_in_an_unknown_key(root: Path) -> str:
    """The last image's .json lacks the key."""
    members = {}
    for i in range(9):
        members[f"{i}.png"] = image(str(i))
        members[f"{i}.json"] = json.dumps({"beast": "ab"[i % 2]} if i < 8 else {}).encode()
    tar(root / "0.tar", members)
    return str(root)


def labels_in_an_unknown_key_of_files(root: Path) -> str:
    img2dataset_files(root)
    for file in root.glob("*/?.json"):
        file.write_text(json.dumps({"beast": "ab"[int(file.stem) % 2]}))
    return str(root)


def several_labels_in_json(root: Path) -> str:
    tar(root / "0.tar", {**keyed("0", "1"), "2.png": image("2"), "2.json": b'{"label": ["a", "b"]}'})
    return str(root)


def deeply_nested_json(root: Path) -> str:
    tar(root / "0.tar", {**keyed("0", "1"), "0.json": b"[" * 100_000})
    return str(root)


# --- E: one image, two labels --------------------------------------------------------------------


def two_labels(root: Path) -> str:
    put(root, "cat", "dog", count=4)
    (root / "dog" / "again.png").write_bytes((root / "cat" / "0.png").read_bytes())
    return str(root)


def two_labels_in_shards(root: Path) -> str:
    """The same photograph under other keys of other shards, once in each class."""
    members = keyed("0", "1", "2", "3")
    tar(root / "0.tar", members)
    tar(root / "1.tar", {"9.png": members["0.png"], "9.cls": b"b", "8.png": image("8"), "8.cls": b"a"})
    return str(root)


# --- G: other kinds of files ---------------------------------------------------------------------


def phone_photos(root: Path) -> str:
    put(root, "cat", "dog")
    for i in range(4):
        (root / "cat" / f"IMG_{i}.HEIX").write_bytes(b"x")
    (root / "dog" / "IM000001").write_bytes(b"x")
    (root / "dog" / "notes.md").write_text("x")
    return str(root)


def modern_formats(root: Path) -> str:
    put(root, "cat", "dog")
    for i, (kind, suffix) in enumerate((("AVIF", "avif"), ("JPEG2000", "jp2"), ("AVIF", "AVIF"))):
        (root / "cat" / f"new{i}.{suffix}").write_bytes(encoded(noise(i, height=32, width=32), kind=kind))
    return str(root)


def only_other_files(root: Path) -> str:
    (root / "a").mkdir()
    (root / "a" / "1.raw").write_bytes(b"x")
    (root / "images.zip").write_bytes(b"PK\3\4")
    return str(root)


CASES = [
    Case(
        "intel",
        "D",
        intel,
        Read(
            {"sea": 6, "street": 6},
            {"train": 4, "val": 2, "test": 6},
            says=("Passed over: seg_pred (4 images without a label)",),
        ),
    ),
    Case("cats_and_dogs", "D", cats_and_dogs, Read({"cats": 6, "dogs": 6}, says=("single_prediction (2",))),
    Case("camel_case", "D", camel_case, Read({"a": 9, "b": 9}, {"train": 6, "val": 6, "test": 6})),
    Case("capitals", "D", capitals, Read({"glioma": 6, "no_tumor": 6})),
    Case("classes_called_like_splits", "D", classes_called_like_splits, Read({"plane": 3, "train": 3})),
    Case(
        "classes_called_like_splits_within_splits",
        "D",
        classes_called_like_splits_within_splits,
        Read({"plane": 9, "train": 9}, {"train": 6, "val": 6, "test": 6}),
    ),
    Case(
        "classes_with_a_split_in_their_name",
        "D",
        classes_with_a_split_in_their_name,
        Read({"blood_test": 3, "bullet_train": 3, "test_tube": 3}),
    ),
    Case("one_class_in_a_small_split", "D", one_class_in_a_small_split, Read({"cat": 15, "dog": 6})),
    Case(
        "one_folder", "D", one_folder, Read({}, says=("No classes: all images are in one folder, 'images'",))
    ),
    Case("one_folder_in_splits", "D", one_folder_in_splits, Refused("has no labels")),
    Case(
        "side_by_side",
        "D",
        side_by_side,
        Read({}, says=("side by side. Does 'labels.csv' have",), passed_over={".csv": 1}),
    ),
    Case("wrapper", "D", wrapper, Read({"normal": 3, "pneumonia": 3})),
    Case(
        "wrapped_splits",
        "D",
        wrapped_splits,
        Read({"happy": 9, "sad": 9}, {"train": 6, "val": 6, "test": 6}, passed_over={".md": 1}),
    ),
    Case("wrapper_in_each_split", "D", wrapper_in_each_split, Read({"a": 9, "b": 9})),
    Case(
        "splits_in_each_class",
        "D",
        splits_in_each_class,
        Read({"cats": 9, "dogs": 9}, {"train": 6, "val": 6, "test": 6}),
    ),
    Case(
        "copy_inside",
        "D",
        copy_inside,
        Read(
            {"no": 3, "yes": 3},
            says=("Passed over: brain_tumor_dataset (6 images, copies of those beside it)",),
        ),
    ),
    Case("copy_of_splits_inside", "D", copy_of_splits_inside, Read({"a": 6, "b": 6})),
    Case(
        "other_data_inside",
        "D",
        other_data_inside,
        Refused("'brain_tumor_dataset'", "with other images", "Pass one"),
    ),
    Case("img2dataset_files", "D", img2dataset_files, Read({}, captions=8, passed_over={".json": 2})),
    Case(
        "img2dataset_files_with_labels",
        "D",
        img2dataset_files_with_labels,
        Read({"cat": 4, "dog": 4}, captions=8, passed_over={".json": 2}),
    ),
    Case("one_folder_of_img2dataset", "D", one_folder_of_img2dataset, Read({}, captions=4)),
    Case(
        "numbers_as_classes",
        "D",
        numbers_as_classes,
        Read({"00000": 3, "00001": 3, "00002": 3}, passed_over={".csv": 3}),
    ),
    Case("fiftyone", "D", fiftyone, Read({"cat": 3, "dog": 3}, says=("Passed over: _unlabeled (3",))),
    Case(
        "unlabelled_class", "D", unlabelled_class, Refused("'unlabeled'", "its 3 images have none", "predict")
    ),
    Case("thumbnails_of_a_nas", "D", thumbnails_of_a_nas, Read({"cat": 3, "dog": 3})),
    Case("tiny_imagenet", "D", tiny_imagenet, Refused("'images'", "none of the classes", "/train alone")),
    Case("tiny_imagenet_train", "D", tiny_imagenet_train, Read({"n01": 3, "n02": 3})),
    Case("flat_test", "D", flat_test, Refused("'test' holds 3 images in no folders", "/train alone")),
    Case("flat_splits", "D", flat_splits, Refused("look like splits", "rename the folders")),
    Case("classes_times_splits", "D", classes_times_splits, Refused("a class and a split", "train/cat")),
    Case("other_people_in_test", "D", other_people_in_test, Read({"ann": 3, "bob": 3, "cyd": 3, "dee": 3})),
    Case("competition", "D", competition, Refused("look like splits", "pass it", "/train.csv")),
    Case("parquet_alone", "D", parquet_alone, Refused("2 .parquet", "/train-0.parquet (several", "hf:")),
    Case("flat_splits_with_labels", "D", flat_splits_with_labels, Read({"a": 4, "b": 2})),
    Case("colour_and_grey", "D", colour_and_grey, Refused("'apple', 'grape'", "/color)", "metadata.csv")),
    Case(
        "domains_with_a_wrapper", "D", domains_with_a_wrapper, Refused("hold the same folders, 'bike', 'mug'")
    ),
    Case("images_and_masks", "D", images_and_masks, Refused("'images', 'masks'", "not like classes")),
    Case(
        "same_names_in_train_and_test",
        "B",
        same_names_in_train_and_test,
        Read({"a": 8, "b": 8}, {"train": 10, "val": 2, "test": 4}),
    ),
    Case(
        "splits_in_the_names_of_shards",
        "B",
        splits_in_the_names_of_shards,
        Read({"a": 10, "b": 10}, {"train": 12, "val": 4, "test": 4}),
    ),
    Case("latin_1_names", "B", latin_1_names, Read({"a": 3, "b": 3})),
    Case("hidden_members", "B", hidden_members, Read({"a": 3, "b": 3})),
    Case("input_jpg", "B", input_jpg, Read({"a": 3, "b": 3})),
    Case("input_and_mask", "B", input_and_mask, Read({"a": 3, "b": 3}, passed_over={".png": 6})),
    Case(
        "names_with_dots",
        "B",
        names_with_dots,
        Refused("one of 6 images of one key", "only the extension follows"),
    ),
    Case("members_apart", "B", members_apart, Read({"a": 3, "b": 3})),
    Case("labels_alone", "B", labels_alone, Read({"a": 3, "b": 3}, quarantined=1)),
    Case("class_folders_in_a_tar", "B", class_folders_in_a_tar, Read({"cat": 4, "dog": 4})),
    Case(
        "split_folders_in_a_tar",
        "B",
        split_folders_in_a_tar,
        Read({"cat": 6, "dog": 6}, {"train": 4, "val": 4, "test": 4}),
    ),
    Case("compressed_shards", "B", compressed_shards, Refused("1 .gz", "unpack", "gunzip")),
    Case("a_compressed_shard", "B", a_compressed_shard, Refused("is an archive", "gunzip")),
    Case("gzip_called_tar", "B", gzip_called_tar, Refused("no tar (gzip")),
    Case(
        "an_archive_beside_what_came_out_of_it",
        "B",
        an_archive_beside_what_came_out_of_it,
        Read({"cat": 3, "dog": 3}, passed_over={".tar": 1}),
    ),
    Case("labels_in_other_keys", "F", labels_in_other_keys, Read({"a": 4, "b": 4}, captions=8)),
    Case(
        "labels_in_an_unknown_key",
        "F",
        labels_in_an_unknown_key,
        Read({"a": 4, "b": 4}),
        flags={"label": "beast"},
    ),
    Case(
        "a_key_that_is_not_there",
        "F",
        labels_in_other_keys,
        Refused("--label-column is 'beast'", "'y', 'TEXT'"),
        flags={"label": "beast"},
    ),
    Case(
        "labels_in_an_unknown_key_of_files",
        "F",
        labels_in_an_unknown_key_of_files,
        Read({"a": 4, "b": 4}, captions=8, passed_over={".json": 2}),
        flags={"label": "beast"},
    ),
    Case(
        "images_in_a_column_of_shards",
        "F",
        labels_in_other_keys,
        Refused("--image-column is for tables"),
        flags={"image": "jpg"},
    ),
    Case("several_labels_in_json", "I", several_labels_in_json, Read()),
    Case(
        "deeply_nested_json",
        "K",
        deeply_nested_json,
        Read({"a": 1, "b": 1}, says=("1 .json file not read, such as that of '0/0'",)),
    ),
    Case("two_labels", "E", two_labels, Read({"cat": 4, "dog": 5}, conflicts=1)),
    Case("two_labels_in_shards", "E", two_labels_in_shards, Read({"a": 3, "b": 3}, conflicts=1)),
    Case(
        "phone_photos",
        "G",
        phone_photos,
        Read(
            {"cat": 3, "dog": 3},
            passed_over={".heix": 4, "": 1, ".md": 1},
            says=("Passed over: 4 .heix, 1 without an extension, 1 .md.",),
        ),
    ),
    Case("modern_formats", "G", modern_formats, Read({"cat": 6, "dog": 3})),
    Case("only_other_files", "G", only_other_files, Refused("1 .raw, 1 .zip", "unpack")),
]
