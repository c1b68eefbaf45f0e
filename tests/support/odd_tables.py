"""Tables, arrays and labels as people have them: one function per input, and what reading it must come to.

Every table has 30 images, ``images/0.png`` to ``images/29.png``, cats where the number is even.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet

from tests.support.image_files import encoded, noise
from tests.support.odd_case import Case, Read, Refused

N = 30
LABEL = ["cat" if i % 2 == 0 else "dog" for i in range(N)]
BOTH = {"cat": 15, "dog": 15}
CASES: list[Case] = []


def case(
    kind: str, verdict: Read | Refused, **flags: str
) -> Callable[[Callable[[Path], str]], Callable[[Path], str]]:
    """Register a function that writes an input."""

    def register(build: Callable[[Path], str]) -> Callable[[Path], str]:
        CASES.append(Case(build.__name__, kind, build, verdict, flags))
        return build

    return register


@cache
def image(i: int) -> bytes:
    """A small PNG."""
    return encoded(noise(i))


def images(folder: Path, form: str = "images/{}.png") -> list[str]:
    """Write the images, and return their paths below the folder."""
    names = [form.format(i) for i in range(N)]
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(image(i))
    return names


def lines(path: Path, rows: Sequence[str], *, encoding: str = "utf-8", end: str = "\n") -> str:
    path.write_bytes("".join(row + end for row in rows).encode(encoding))
    return str(path)


def csv(folder: Path, header: str, values: Sequence[Sequence[object]], *, name: str = "t.csv") -> str:
    """Write a table without quotes; the separator is that of the header."""
    between = next((one for one in "\t;|," if one in header), ",")
    return lines(folder / name, [header, *(between.join(map(str, row)) for row in values)])


def json_lines(folder: Path, rows: Sequence[dict[str, object]]) -> str:
    return lines(folder / "t.jsonl", [json.dumps(row) for row in rows])


def table(folder: Path, **columns: object) -> str:
    """Write a Parquet file."""
    parquet.write_table(arrow.table(columns), folder / "t.parquet")
    return str(folder / "t.parquet")


def npz(folder: Path, **arrays: object) -> str:
    np.savez(folder / "f.npz", **arrays)  # type: ignore[arg-type]
    return str(folder / "f.npz")


def vectors(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)


# --- C: quotes ------------------------------------------------------------------------------------


@case("C", Read(classes={}, splits={"train": 21, "val": 5, "test": 4}))
def captions_without_a_header_that_begin_with_a_quote(folder: Path) -> str:
    return lines(
        folder / "cc.tsv",
        [f"{chr(34) if i % 7 == 3 else ''}a photo of {i}\t{name}" for i, name in enumerate(images(folder))],
    )


@case("C", Read(classes={}, says=("path and caption",)))
def flickr_tokens_with_caption_numbers(folder: Path) -> str:
    return lines(
        folder / "Flickr8k.token.txt",
        [f"{name}#{k}\tcaption {k} of {i}" for i, name in enumerate(images(folder)) for k in range(5)],
    )


@case("C", Read(classes=BOTH, says=("Quotes are part",)))
def a_tsv_with_a_header_and_quotes_that_are_not_closed(folder: Path) -> str:
    rows = [(name, LABEL[i], f'"a {i}' if i in (4, 9) else f"a {i}") for i, name in enumerate(images(folder))]
    return csv(folder, "path\tlabel\tcaption", rows, name="t.tsv")


@case("C", Refused("a quote is not closed"))
def a_csv_with_quotes_that_are_not_closed_beside_quoted_commas(folder: Path) -> str:
    captions = [f'"one, {i}"' if i < 4 else f'"two {i}' if i in (4, 9) else "three" for i in range(N)]
    return csv(folder, "path,label,caption", list(zip(images(folder), LABEL, captions, strict=True)))


@case("C", Read(classes=BOTH))
def captions_of_several_lines_in_quotes(folder: Path) -> str:
    rows = [(name, f'"one, {i}\ntwo"', LABEL[i]) for i, name in enumerate(images(folder))]
    return csv(folder, "path,caption,label", rows)


@case("C", Refused("line 8 has 1 columns"))
def a_headless_tsv_with_a_broken_line(folder: Path) -> str:
    rows = [f"a photo of {i}\t{name}" for i, name in enumerate(images(folder))]
    return lines(folder / "cc.tsv", [*rows[:7], "a caption alone", *rows[7:]])


# --- F: names of columns, paths and arrays --------------------------------------------------------


def _labels_in(column: str) -> Callable[[Path], str]:
    def build(folder: Path) -> str:
        return csv(folder, f"path,{column}", list(zip(images(folder), LABEL, strict=True)))

    build.__name__ = f"labels_in_a_column_{column.replace(' ', '_')}"
    return build


for _column in ("labels", "target", "breed", "dx", "diagnosis", "y", "Class", "Finding Labels", "class_id"):
    case("F", Read(classes=BOTH))(_labels_in(_column))


@case("F", Refused("'animal'", "--label-column"))
def labels_in_an_unknown_column(folder: Path) -> str:
    return csv(folder, "path,animal", list(zip(images(folder), LABEL, strict=True)))


@case("F", Read(classes=BOTH), label="animal")
def labels_in_a_named_column(folder: Path) -> str:
    return csv(folder, "path,animal", list(zip(images(folder), LABEL, strict=True)))


@case("F", Refused("--label-column is 'beast'", "'animal'"), label="beast")
def a_named_column_that_is_not_there(folder: Path) -> str:
    return labels_in_an_unknown_column(folder)


@case("F", Refused("'diagnosis'", "'dx'", "--label-column"))
def two_columns_that_may_be_the_label(folder: Path) -> str:
    return csv(folder, "path,dx,diagnosis", [(p, LABEL[i], "x") for i, p in enumerate(images(folder))])


@case("F", Read(classes=BOTH, says=("30 paths completed",)))
def kaggle_ids_of_files_in_another_folder(folder: Path) -> str:
    names = images(folder, "train/{:04d}.png")
    return csv(folder, "id,breed", [(Path(p).stem, LABEL[i]) for i, p in enumerate(names)])


@case("F", Read(classes=BOTH, says=("30 paths completed",)))
def nih_image_index_of_files_in_several_folders(folder: Path) -> str:
    names = [f"images_{i % 3:03d}/images/{i:08d}.png" for i in range(N)]
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(image(i))
    rows = [(Path(name).name, LABEL[i], i) for i, name in enumerate(names)]
    return csv(folder, "Image Index,Finding Labels,Patient ID", rows)


@case("F", Refused("2 files below the table have this name"))
def ids_that_stand_for_files_of_two_folders(folder: Path) -> str:
    images(folder, "train/{}.png")
    images(folder, "test/{}.png")
    return csv(folder, "id,breed", [(i, LABEL[i]) for i in range(N)])


@case("F", Refused("is not in", ".jpg", "images/0.png"))
def ids_of_files_that_are_not_there(folder: Path) -> str:
    images(folder)
    return csv(folder, "id,breed", [(f"x{i}", LABEL[i]) for i in range(N)])


@case("F", Read(classes=BOTH, says=("30 paths completed",)))
def absolute_paths_of_another_machine(folder: Path) -> str:
    rows = [(f"/home/someone/project/{name}", LABEL[i]) for i, name in enumerate(images(folder))]
    return csv(folder, "path,label", rows)


@case("F", Refused("web addresses in the column 'URL'", "img2dataset"))
def laion_web_addresses(folder: Path) -> str:
    return table(folder, SAMPLE_ID=[1, 2], URL=["https://a.org/1.jpg"] * 2, TEXT=["a", "b"])


@case("F", Refused("The first line seems to be a row"))
def a_csv_without_a_header(folder: Path) -> str:
    return csv(folder, "images/0.png,cat", list(zip(images(folder), LABEL, strict=True))[1:])


@case("F", Read(classes=BOTH))
def parquet_of_the_webdataset_builder(folder: Path) -> str:
    cells = [{"bytes": image(i), "path": f"{i}.png"} for i in range(N)]
    return table(folder, __key__=[f"k{i}" for i in range(N)], __url__=["u"] * N, png=cells, cls=LABEL)


@case("F", Refused("'first'", "'second'", "--image-column"))
def parquet_with_two_columns_of_images(folder: Path) -> str:
    import datasets

    kinds = {"first": datasets.Image(), "second": datasets.Image(), "label": datasets.Value("string")}
    cells = [{"bytes": image(i), "path": None} for i in range(N)]
    data = datasets.Dataset.from_dict(
        {"first": cells, "second": cells, "label": LABEL}, datasets.Features(kinds)
    )
    data.save_to_disk(folder / "saved")
    return str(folder / "saved")


@case("F", Read(classes=BOTH))
def a_mask_that_stands_before_the_image(folder: Path) -> str:
    import datasets

    kinds = {"mask": datasets.Image(), "image": datasets.Image(), "label": datasets.Value("string")}
    black = encoded(np.zeros((4, 4, 3), dtype=np.uint8))
    data = datasets.Dataset.from_dict(
        {
            "mask": [{"bytes": black, "path": None}] * N,
            "image": [{"bytes": image(i), "path": None} for i in range(N)],
            "label": LABEL,
        },
        datasets.Features(kinds),
    )
    data.save_to_disk(folder / "saved")
    return str(folder / "saved")


@case("F", Refused("'fine_label', 'coarse_label'", "--label-column"))
def cifar_100_with_two_kinds_of_labels(folder: Path) -> str:
    return table(folder, img=[image(i) for i in range(N)], coarse_label=[0] * N, fine_label=LABEL)


@case("F", Read(classes=BOTH))
def metadata_with_its_own_names_beside_one_folder(folder: Path) -> str:
    names = images(folder)
    lines(
        folder / "metadata.jsonl",
        [json.dumps({"file_name": p, "target": LABEL[i], "text": f"a {i}"}) for i, p in enumerate(names)],
    )
    return str(folder)


@case("F", Read(splits={"train": 60, "val": 20, "test": 20}))
def npz_with_validation_x(folder: Path) -> str:
    y = np.arange(60) % 2
    return npz(
        folder,
        **{"train_x": vectors(60), "train_y": y, "validation_x": vectors(20, 1), "validation_y": y[:20]},
        **{"test_x": vectors(20, 2), "test_y": y[:20]},
    )


@case("F", Read(splits={"train": 52, "val": 8, "test": 20}, says=("'weights'",)))
def npz_with_names_of_scikit_learn(folder: Path) -> str:
    y = np.arange(60) % 2
    arrays = {"X_train": vectors(60), "y_train": y, "X_test": vectors(20, 1), "y_test": y[:20]}
    return npz(folder, **arrays, weights=np.ones(60))


@case("F", Read(splits={"train": 42, "val": 10, "test": 8}))
def npz_of_embeddings_and_labels(folder: Path) -> str:
    return npz(folder, embeddings=vectors(60), labels=(np.arange(60) % 2).astype(np.float64))


@case("F", Refused("train_x has shape (60, 8, 8)", "Images are read from files"))
def npz_of_images(folder: Path) -> str:
    return npz(folder, x_train=np.zeros((60, 8, 8), dtype=np.uint8), y_train=np.arange(60) % 2)


@case("F", Refused("'X_train'", "'train_x'"))
def npz_with_the_same_twice(folder: Path) -> str:
    return npz(folder, train_x=vectors(60), X_train=vectors(60), train_y=np.arange(60) % 2)


# --- I: what a label is ---------------------------------------------------------------------------


@case("I", Refused("two classes 'sunglasses'", "1 and 3"))
def a_name_twice_in_classes(folder: Path) -> str:
    names = np.array(["missile", "sunglasses", "hen", "sunglasses"])
    return npz(folder, train_x=vectors(60), train_y=np.arange(60) % 4, classes=names)


@case("I", Read(classes={"chat": 30, "chien é": 30}))
def names_of_classes_as_bytes(folder: Path) -> str:
    names = np.array([b"chat", "chien é".encode()])
    return npz(folder, train_x=vectors(60), train_y=np.arange(60) % 2, classes=names)


@case("I", Read())
def lists_of_labels(folder: Path) -> str:
    names = images(folder)
    return json_lines(
        folder,
        [{"path": p, "label": [LABEL[i], "pet"] if i == 3 else [LABEL[i]]} for i, p in enumerate(names)],
    )


@case("I", Read(classes=BOTH))
def lists_of_one_label(folder: Path) -> str:
    return json_lines(folder, [{"path": p, "label": [LABEL[i]]} for i, p in enumerate(images(folder))])


@case("I", Refused("'cat|dog'", "For several labels per image pass --label-separator '|'"))
def labels_joined_by_a_bar(folder: Path) -> str:
    label = [*LABEL[:-3], "cat|dog", "cat|dog", "cat|dog"]
    return csv(folder, "Image Index,Finding Labels", list(zip(images(folder), label, strict=True)))


@case("I", Refused("'cat;dog'", "For several labels per image pass --label-separator ';'"))
def labels_joined_by_a_semicolon(folder: Path) -> str:
    label = [*LABEL[:-3], "cat;dog", "cat;dog", "cat;dog"]
    return csv(folder, "path,label", list(zip(images(folder), label, strict=True)))


@case("I", Read(classes={"a|b": 15, "c|d": 15}, says=("'|' in the name of 'a|b' and 1 more classes",)))
def names_with_a_bar_whose_parts_are_no_classes(folder: Path) -> str:
    return csv(folder, "path,label", [(p, "a|b" if i % 2 else "c|d") for i, p in enumerate(images(folder))])


@case("I", Read(classes={"CAT": 10, "Cat": 10, "cat": 10}, says=("differ only in case",)))
def classes_that_differ_in_case(folder: Path) -> str:
    return csv(
        folder, "path,label", [(p, ("cat", "Cat", "CAT")[i % 3]) for i, p in enumerate(images(folder))]
    )


@case("I", Read(classes={"2020-01-01": 15, "2021-01-01": 15}))
def dates_as_classes_in_json(folder: Path) -> str:
    return json_lines(
        folder,
        [{"path": p, "label": f"202{i % 2}-01-01"} for i, p in enumerate(images(folder))],
    )


@case("I", Refused("30 different numbers", "quantity"))
def scores_to_predict(folder: Path) -> str:
    return csv(folder, "path,target", [(p, 0.37 * i) for i, p in enumerate(images(folder))])


@case("I", Read(says=("numbers from 20 to 34", "order")))
def ages_to_predict(folder: Path) -> str:
    names = images(folder) + [f"images/{i}.png" for i in range(N, 2 * N)]
    for i in range(N, 2 * N):
        (folder / names[i]).write_bytes(image(i))
    return csv(folder, "path,label", [(p, 20 + i % 15) for i, p in enumerate(names)])


@case("I", Read(classes={"1": 15, "cat": 15}))
def numbers_and_text_mixed_in_json(folder: Path) -> str:
    return json_lines(
        folder, [{"path": p, "label": 1 if i % 2 else "cat"} for i, p in enumerate(images(folder))]
    )


@case("I", Read(classes={"0.0": 14, "1.0": 14}, says=("without a label 2",)))
def labels_that_pandas_wrote_as_nan(folder: Path) -> str:
    return table(folder, path=images(folder), label=[float(i % 2) for i in range(N - 2)] + [float("nan")] * 2)


# --- K, L: headers, cells, encodings --------------------------------------------------------------


@case("K", Refused("the column 'label' twice"))
def a_header_twice(folder: Path) -> str:
    return csv(folder, "path,label,label", [(p, LABEL[i], "x") for i, p in enumerate(images(folder))])


@case("K", Read(classes=BOTH))
def an_unimportant_header_twice(folder: Path) -> str:
    return csv(folder, "path,label,x,x", [(p, LABEL[i], 1, 2) for i, p in enumerate(images(folder))])


@case("K", Refused("'Label', 'label'"))
def a_header_twice_in_another_case(folder: Path) -> str:
    return csv(folder, "path,Label,label", [(p, LABEL[i], "x") for i, p in enumerate(images(folder))])


@case("L", Refused("3 rows without a split", "row 10"))
def blank_cells_of_the_split(folder: Path) -> str:
    split = ["train"] * 9 + [""] * 3 + ["val"] * 9 + ["test"] * 9
    return csv(folder, "path,label,split", list(zip(images(folder), LABEL, split, strict=True)))


@case("L", Read(classes=BOTH))
def a_json_line_of_two_megabytes(folder: Path) -> str:
    return json_lines(
        folder,
        [
            {"path": p, "label": LABEL[i], "caption": "word " * (400_000 if i == 5 else 1)}
            for i, p in enumerate(images(folder))
        ],
    )


@case("L", Read(classes=BOTH))
def a_csv_row_of_two_megabytes(folder: Path) -> str:
    rows = [(p, LABEL[i], "word " * (400_000 if i == 5 else 1)) for i, p in enumerate(images(folder))]
    return csv(folder, "path,label,caption", rows)


@case("L", Read(classes=BOTH))
def backslashes_in_a_table(folder: Path) -> str:
    return csv(folder, "path,label", [(p.replace("/", "\\"), LABEL[i]) for i, p in enumerate(images(folder))])


@case("L", Read(classes=BOTH))
def backslashes_in_metadata(folder: Path) -> str:
    rows = [(p.replace("/", "\\"), LABEL[i]) for i, p in enumerate(images(folder))]
    csv(folder, "file_name,label", rows, name="metadata.csv")
    return str(folder)


@case("L", Read(classes=BOTH, says=("30 paths completed",)))
def a_drive_of_windows(folder: Path) -> str:
    rows = [("C:\\data\\set\\" + p.replace("/", "\\"), LABEL[i]) for i, p in enumerate(images(folder))]
    return csv(folder, "path,label", rows)


@case("L", Read(classes=BOTH, says=("a semicolon",)))
def semicolons_with_a_mark(folder: Path) -> str:
    rows = ["path;label", *(f"{p};{LABEL[i]}" for i, p in enumerate(images(folder)))]
    return lines(folder / "t.csv", rows, encoding="utf-8-sig", end="\r\n")


@case("L", Read(classes=BOTH))
def the_separator_in_the_first_line(folder: Path) -> str:
    rows = ["sep=;", "path;label", *(f"{p};{LABEL[i]}" for i, p in enumerate(images(folder)))]
    return lines(folder / "t.csv", rows, end="\r\n")


@case("L", Read(classes={"café": 15, "dog": 15}))
def utf_16_as_excel_writes_it(folder: Path) -> str:
    label = ["café" if one == "cat" else one for one in LABEL]
    rows = ["path\tlabel", *(f"{p}\t{label[i]}" for i, p in enumerate(images(folder)))]
    return lines(folder / "t.csv", rows, encoding="utf-16")


@case("L", Refused("UTF-8", "iconv"))
def latin_1(folder: Path) -> str:
    rows = ["path,label", *(f"{p},{'café' if i % 2 else 'dog'}" for i, p in enumerate(images(folder)))]
    return lines(folder / "t.csv", rows, encoding="latin-1")


@case("L", Refused("zero bytes"))
def utf_16_without_a_mark(folder: Path) -> str:
    return lines(folder / "t.csv", ["path,label", "images/0.png,cat"], encoding="utf-16-le")


@case("L", Read(classes={}, says=("a vertical bar",)))
def flickr_30k_results(folder: Path) -> str:
    rows = [f"{p}| {k}| caption {k}, of {i} ." for i, p in enumerate(images(folder)) for k in range(5)]
    return lines(folder / "results.csv", ["image_name| comment_number| comment", *rows])


@case("L", Read(classes={}, says=("30 paths completed",)))
def flickr_8k_captions(folder: Path) -> str:
    names = images(folder, "Images/{}.png")
    rows = [f'{Path(p).name},"caption {k}, of {i}"' for i, p in enumerate(names) for k in range(5)]
    return lines(folder / "captions.txt", ["image,caption", *rows])


@case("L", Refused("line 2 is not JSON"))
def a_json_line_that_is_cut(folder: Path) -> str:
    return lines(folder / "t.jsonl", ['{"path": "a.png", "label": "x"}', '{"path": "b'])


@case("L", Refused("the name 'label' twice"))
def a_json_object_with_a_name_twice(folder: Path) -> str:
    return lines(folder / "t.jsonl", ['{"path": "a.png", "label": "x", "label": "y"}'])


@case("L", Refused("no JSON object"))
def a_json_array_instead_of_lines(folder: Path) -> str:
    return lines(folder / "t.jsonl", [json.dumps([{"path": "a.png", "label": "x"}])])


@case("L", Refused("none of its 1 rows has a usable image"))
def half_a_surrogate_pair_in_a_path(folder: Path) -> str:
    return lines(folder / "t.jsonl", ['{"path": "a\\ud800.png", "label": "x\\udc00"}'])
