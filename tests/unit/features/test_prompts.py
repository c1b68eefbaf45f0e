"""Prompt templates, names of classes, and the vectors made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainer.core.errors import InputError
from trainer.features.prompts import TEMPLATES, class_vectors, codes, read_class_names, read_templates
from trainer.stats.vectors import unit_rows

CLASSES = ("cat", "road_sign")


def test_templates_come_from_a_file_or_from_the_ensemble(tmp_path: Path) -> None:
    assert read_templates(None) == TEMPLATES
    path = tmp_path / "templates.txt"
    path.write_text("# mine\n\na photo of a {}\n {} \n")
    assert read_templates(path) == ("a photo of a {}", "{}")


@pytest.mark.parametrize(
    ("content", "message"),
    [("# nothing\n", "the file is empty"), ("a photo\n", "has no {}"), (None, "cannot be read")],
)
def test_templates_that_cannot_be_used_are_refused_by_name(
    tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "templates.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=f"--templates .*{message}"):
        read_templates(path)


def test_classes_have_the_names_of_the_file_or_their_own(tmp_path: Path) -> None:
    assert read_class_names(None, CLASSES) == {"cat": ("cat",), "road_sign": ("road sign",)}
    path = tmp_path / "names.yaml"
    path.write_text("cat: [cat, kitten]\n")
    assert read_class_names(path, CLASSES)["cat"] == ("cat", "kitten")
    path.write_text('{"road_sign": "traffic sign"}')
    assert read_class_names(path, CLASSES)["road_sign"] == ("traffic sign",)
    path.write_text("7: seven\n")
    assert read_class_names(path, ("7",)) == {"7": ("seven",)}


def test_templates_of_other_programs_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "templates.txt"
    path.write_text("a photo of a {c}.\nart of {classname}\n")
    assert read_templates(path) == ("a photo of a {}.", "art of {}")


@pytest.mark.parametrize(
    "content", ["tabby cat\nsign: stop\n", "- tabby cat\n- 'sign: stop'\n", "tabby cat\n\n[x\n"]
)
def test_a_name_per_line_is_in_the_order_of_the_classes(tmp_path: Path, content: str) -> None:
    path = tmp_path / "classnames.txt"
    path.write_text(content)
    names = read_class_names(path, CLASSES)
    assert names["cat"] == ("tabby cat",)
    assert names["road_sign"] in {("sign: stop",), ("[x",)}


def test_names_that_are_codes_are_found_where_most_are() -> None:
    def found(*names: str) -> list[str]:
        return codes({name: (name,) for name in names})

    assert found("n01440764", "n01443537") == ["n01440764", "n01443537"]
    assert found("0", "1", "2") == ["0", "1", "2"]
    assert found("001.Black footed Albatross", "002.Laysan Albatross") != []
    assert found("a", "b", "c") == ["a", "b", "c"]
    assert found("boeing 747", "cat", "dog") == []
    assert found("犬", "猫") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cat\n", "for each of the 2 classes in their order; it has 1"),
        ("dog: hound\n", "'dog' is not a class"),
        ("cat: []\n", "'cat' needs a name"),
        ("cat: ['', kitten]\n", "'cat' needs a name"),
        ("cat: {a: b}\n", "'cat' needs a name"),
        ("- cat\n", "expected lines"),
        ("cat: [\n", "not valid YAML"),
    ],
)
def test_names_that_cannot_be_used_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "names.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_class_names(path, CLASSES)


def test_a_class_is_the_mean_of_its_prompts_each_of_length_one() -> None:
    known = {"a": [2.0, 0.0], "b": [0.0, 9.0], "x a": [0.0, 1.0], "x b": [0.0, 1.0], "c": [3.0, 4.0]}
    known["x c"] = [3.0, 4.0]
    seen: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return np.array([known[text] for text in texts])

    found = class_vectors([("a", "b"), ("c",)], ["{}", "x {}"], encode)
    assert seen == ["a", "x a", "b", "x b", "c", "x c"]
    np.testing.assert_allclose(found[0], np.array([1, 3]) / np.sqrt(10), rtol=1e-6)
    np.testing.assert_allclose(found[1], [0.6, 0.8], rtol=1e-6)


def test_a_vector_of_zeros_stays_one() -> None:
    np.testing.assert_allclose(unit_rows(np.array([[0.0, 0.0], [3.0, 4.0]])), [[0, 0], [0.6, 0.8]], rtol=1e-6)
