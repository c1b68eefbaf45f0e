"""The search command: it ranks all images as a plain product of vectors does, and measures recall."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.support import commands
from tests.support.image_files import class_folders, encoded, noise
from tests.support.tiny_encoders import save_tiny
from trainer.core.errors import InputError
from trainer.data.demo import ENCODER
from trainer.data.load import load
from trainer.experiments.image_search.config import SearchImagesConfig
from trainer.experiments.image_search.run import chosen_rows
from trainer.experiments.inputs import read_rows
from trainer.features.extract import extract
from trainer.features.settings import EncoderSettings
from trainer.features.text_encoder import TextEncoder
from trainer.stats.vectors import unit_rows


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images of two classes; each has two captions, and two images share one of theirs."""
    root = class_folders(tmp_path_factory.mktemp("search") / "images", {"cat": 4, "dog": 4})
    names = sorted(str(file.relative_to(root)) for file in root.glob("*/*.png"))
    lines = [
        json.dumps({"file_name": name, "captions": [f"drawing {min(i, 6)}", f"a {name[:3]} number {i}"]})
        for i, name in enumerate(names)
    ]
    (root / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search-cache")


def search(data: Path, cache: Path, *arguments: object, encoder: object = "demo") -> tuple[int, dict, str]:
    flags = ("--data", data, "--encoder", encoder, "--cache-dir", cache, "--device", "cpu")
    done = commands.run("trainer.search_images", *arguments, *flags)
    line = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "{}"
    return done.returncode, json.loads(line), done.stderr


def vectors(data: Path, cache: Path, *, space: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the images, and their vectors of length 1, in the same order."""
    settings = EncoderSettings(encoder="demo", cache_dir=cache, device="cpu", space=space)  # type: ignore[arg-type]
    features = extract(load(str(data), seed=0), settings)
    return features.manifest.sample_id, unit_rows(features.vectors_nd)


def test_words_rank_the_images_as_a_plain_product_does_and_a_csv_is_written(
    images: Path, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "found.csv"
    code, figures, said = search(images, cache, "a red bird", "--top", 5, "--out", out)
    assert code == 0, said
    names, unit_nd = vectors(images, cache, space="shared")
    text_d = unit_rows(TextEncoder(ENCODER, device="cpu").encode(["a red bird"]))[0]
    order = np.argsort(-(unit_nd @ text_d))[:5]
    assert [one["sample_id"] for one in figures["results"]] == [names[row] for row in order]
    assert [one["score"] for one in figures["results"]] == pytest.approx(
        (unit_nd @ text_d)[order].tolist(), abs=2e-3
    )
    assert figures["words"] == "a red bird"
    assert (figures["rows"], figures["searched"]) == (8, 8)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["sample_id"] for row in rows] == [one["sample_id"] for one in figures["results"]]
    assert rows[0]["label"] in ("cat", "dog")
    assert "drawing" in rows[0]["caption"]
    assert "“a red bird”: 5 of 8 images" in said
    again = search(images, cache, "a", "red", "bird", "--top", 5)[1]
    assert again["results"] == figures["results"]
    assert again["encoded"] == 0


def test_an_image_finds_itself_first_and_filters_leave_the_others_out(images: Path, cache: Path) -> None:
    query = images / "cat" / "2.png"
    code, figures, said = search(images, cache, "--image", query)
    assert code == 0, said
    assert figures["results"][0]["sample_id"] == "cat/2.png"
    assert figures["results"][0]["score"] == pytest.approx(1, abs=1e-3)
    assert len(figures["results"]) == 8
    figures = search(images, cache, "--image", query, "--label", "dog", "--split", "train")[1]
    found = figures["results"]
    assert 0 < len(found) == figures["searched"] < 8
    assert {(one["label"], one["split"]) for one in found} == {("dog", "train")}


def test_an_image_needs_no_text_tower(images: Path, tmp_path: Path) -> None:
    resnet = save_tiny("resnet", tmp_path / "resnet")
    (tmp_path / "mine.png").write_bytes(encoded(noise(99)))
    flags = ("--image", tmp_path / "mine.png", "--top", 3)
    code, figures, said = search(images, tmp_path / "cache", *flags, encoder=resnet)
    assert code == 0, said
    assert len(figures["results"]) == 3
    code, _, said = search(images, tmp_path / "cache", "a cat", encoder=resnet)
    assert code == 2
    assert "A ResNet has no text tower" in said


def test_recall_counts_every_image_that_has_the_caption_and_every_caption_of_an_image(
    images: Path, cache: Path
) -> None:
    code, figures, said = search(images, cache, "--recall")
    assert code == 0, said
    names, unit_nd = vectors(images, cache, space="shared")
    manifest = load(str(images), seed=0)
    captions = dict(zip(manifest.sample_id, (one.split(" | ") for one in manifest.caption), strict=True))
    words = sorted({one for some in captions.values() for one in some})
    assert len(words) == 15
    text_ce = unit_rows(TextEncoder(ENCODER, device="cpu").encode(words).astype(np.float16).astype(float))
    cosine_ci = text_ce @ unit_nd.T
    hits: dict[str, list[bool]] = {"text_to_image": [], "image_to_text": []}
    for i, name in enumerate(names):
        own = np.isin(words, captions[name])
        hits["image_to_text"].append(bool(own[np.argsort(-cosine_ci[:, i])[:5]].any()))
        for caption in captions[name]:
            right = np.array([caption in captions[other] for other in names])
            nearest = np.argsort(-cosine_ci[words.index(caption)])[:5]
            hits["text_to_image"].append(bool(right[nearest].any()))
    for way, hit in hits.items():
        told = figures["recall"][way]
        assert told["recall_at_5"] == pytest.approx(np.mean(hit))
        assert told["recall_at_5_ci95"][0] <= told["recall_at_5"] <= told["recall_at_5_ci95"][1]
        assert told["queries"] == len(hit)
        assert told["units"] == 8
    assert figures["recall"]["text_to_image"]["recall_at_10"] == 1  # there are only 8 images
    assert figures["recall"]["text_to_image"]["recall_at_1_chance"] == pytest.approx((14 + 2 * 2) / 16 / 8)
    assert figures["recall"]["image_to_text"]["recall_at_1_chance"] == pytest.approx(2 / 15)
    assert "Intervals are 95 % (bootstrap over 8 images)" in said
    assert "results" not in figures


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "There is nothing to search for"),
        (["  "], "An argument is empty"),
        (["a cat", "--image", "IMAGE"], "not for both at once"),
        (["a cat", "--top", 0], "--top is 0"),
        (["a cat", "--label", "cow"], "has no label 'cow'. Its labels: 'cat', 'dog'"),
        (["--image", "BROKEN"], "broken.png cannot be used: not an image"),
        (["--image", "MISSING"], "There is no file or folder"),
        (["--image", "FOLDER"], "is a folder. Pass one image file"),
        (["--recall", "--out", "out.csv"], "--recall alone finds none"),
        (["a cat", "--encoder", "demo+other"], "names 2 encoders"),
        (["a cat", "--features", "cls4"], "no other --features"),
        (["a cat", "--out", "FOLDER"], "is a folder; pass the name of a file"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_before_anything_is_encoded(
    images: Path, tmp_path: Path, arguments: list[object], words: str
) -> None:
    (tmp_path / "broken.png").write_text("<html>")
    paths = {
        "IMAGE": images / "cat" / "0.png",
        "BROKEN": tmp_path / "broken.png",
        "MISSING": tmp_path / "missing.png",
        "FOLDER": tmp_path,
    }
    given = [paths.get(one, one) if isinstance(one, str) else one for one in arguments]
    flags = () if "--encoder" in given else ("--encoder", "demo")
    done = commands.run(
        "trainer.search_images", *given, "--data", images, *flags, "--cache-dir", tmp_path / "cache"
    )
    assert done.returncode == 2, done.stderr
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "8 encoded now" not in done.stderr


def test_recall_without_captions_and_features_without_images_are_refused(tmp_path: Path) -> None:
    plain = class_folders(tmp_path / "plain", {"cat": 3, "dog": 3})
    code, _, said = search(plain, tmp_path / "cache", "--recall")
    assert code == 2
    assert "has no captions, so recall cannot be measured" in said
    random = np.random.default_rng(0)
    arrays = {
        f"{split}_{name}": array
        for split in ("train", "val", "test")
        for name, array in (("x", random.normal(size=(9, 4))), ("y", np.arange(9) % 3))
    }
    np.savez(tmp_path / "f.npz", **arrays)
    code, _, said = search(tmp_path / "f.npz", tmp_path / "cache", "a cat")
    assert code == 2
    assert "holds precomputed features, no images" in said


def test_of_several_labels_an_image_needs_one_of_those_that_are_asked_for(tmp_path: Path) -> None:
    has = {"a": "red|round", "b": "round", "c": "", "d": "blue|red"}
    for number, name in enumerate(has):
        (tmp_path / f"{name}.png").write_bytes(encoded(noise(number)))
    lines = [f"{name}.png,{labels}" for name, labels in has.items()]
    (tmp_path / "table.csv").write_text("\n".join(["path,label", *lines]))
    for asked, expected in ((("red",), "ad"), (("blue", "round"), "abd"), ((), "abcd")):
        config = SearchImagesConfig(data=str(tmp_path / "table.csv"), label_separator="|", label=asked)
        manifest = read_rows(config)
        found = np.array(manifest.sample_id)[chosen_rows(config, manifest)]
        assert sorted(found) == [f"{name}.png" for name in expected]
    with pytest.raises(InputError, match=r"has no label 'red\|round'\. Its labels: 'blue', 'red', 'round'"):
        chosen_rows(dataclasses.replace(config, label=("red|round",)), manifest)


def test_images_in_train_and_test_and_rows_without_labels_are_searched_all_the_same(
    tmp_path: Path, cache: Path
) -> None:
    for split in ("train", "test"):
        (tmp_path / "data" / split / "cat").mkdir(parents=True)
        for i in range(3):
            (tmp_path / "data" / split / "cat" / f"{i}.png").write_bytes(encoded(noise(i)))
    code, figures, said = search(tmp_path / "data", cache, "--image", tmp_path / "data/test/cat/1.png")
    assert code == 0, said
    assert {one["sample_id"] for one in figures["results"][:2]} == {"train/cat/1.png", "test/cat/1.png"}
    (tmp_path / "pairs").mkdir()
    rows = ["path,caption"]
    for i in range(6):
        (tmp_path / "pairs" / f"{i}.png").write_bytes(encoded(noise(10 + i)))
        rows.append(f"{i}.png,drawing {i}")
    (tmp_path / "pairs" / "pairs.csv").write_text("\n".join(rows) + "\n")
    code, figures, said = search(tmp_path / "pairs" / "pairs.csv", cache, "a bird", "--recall")
    assert code == 0, said
    assert {one["label"] for one in figures["results"]} == {""}
    assert figures["recall"]["text_to_image"]["queries"] == 6
