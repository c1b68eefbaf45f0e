"""Prompts and zero-shot class vectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from trainer.core.errors import InputError, first_line
from trainer.stats.vectors import unit_rows

PLACEHOLDER = "{}"
_PLACEHOLDER = re.compile(r"\{(?:c|class|classname|class_name|label|name)\}")  # of other programs
_CODE = re.compile(r"\d|^\s*[A-Za-z]?\s*$")
NAME_ONLY = (PLACEHOLDER,)
# The first seven are the best for CLIP on ImageNet according to its authors (notebook in
# github.com/openai/CLIP); the others are more general.
TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
    "a photo of a {}.",
    "a drawing of a {}.",
    "{}",
)


def read_templates(path: Path | None) -> tuple[str, ...]:
    """Read templates: one per line, with {} (or {c}) for the class name; lines that begin with # are ignored.

    Raises:
        InputError: the file cannot be read, is empty, or a line has no {}.
    """
    if path is None:
        return TEMPLATES
    lines = [line.strip() for line in _text(path, "--templates").splitlines()]
    templates = tuple(_PLACEHOLDER.sub(PLACEHOLDER, one) for one in lines if one and not one.startswith("#"))
    if not templates:
        raise InputError(
            f"--templates {path}: the file is empty. Write one template per line: a photo of a {{}}."
        )
    for line in templates:
        if PLACEHOLDER not in line:
            raise InputError(f"--templates {path}: {line!r} has no {{}} for the class name.")
    return templates


def read_class_names(path: Path | None, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of every class.

    They are those of the file (YAML or JSON: class → name or list of names; or as many names as there are
    classes, in their order, one per line as CLIP_benchmark writes them), else the label with spaces for
    underscores.

    Raises:
        InputError: the file cannot be read, has an unknown class, or a class without a name.
    """
    given: Mapping[str, Any] = {}
    if path is not None:
        given = _given_names(path, classes)
        unknown = sorted(set(given) - set(classes))
        if unknown:
            raise InputError(
                f"--class-names {path}: {', '.join(map(repr, unknown[:5]))} is not a class. The classes are "
                f"{', '.join(classes[:20])}{' …' if len(classes) > 20 else ''}."
            )
    return {name: _names(name, given.get(name, name.replace("_", " ")), path) for name in classes}


def _given_names(path: Path, classes: Sequence[str]) -> dict[str, Any]:
    """Return the names in a file by class."""
    text = _text(path, "--class-names")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        given: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        if len(lines) != len(classes):
            raise InputError(
                f"--class-names {path} is not valid YAML or JSON: {first_line(error)}."
            ) from error
        given = lines
    if isinstance(given, Mapping):
        return {str(key): value for key, value in given.items()}
    in_order = given if isinstance(given, list) else lines
    if len(in_order) != len(classes):
        raise InputError(
            f"--class-names {path}: expected lines such as `{classes[0]}: [name, other name]`, or a name per "
            f"line for each of the {len(classes)} classes in their order; it has {len(in_order)}."
        )
    return dict(zip(classes, in_order, strict=True))


def codes(names: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names that look like codes (with digits, or of one letter), as WordNet ids and class numbers
    do; none where most names are words."""
    found = [of_class[0] for of_class in names.values() if _CODE.search(of_class[0])]
    return found if 2 * len(found) > len(names) else []


def _names(of_class: str, given: object, path: Path | None) -> tuple[str, ...]:
    names = given if isinstance(given, list) else [given]
    words = tuple(str(name).strip() for name in names if isinstance(name, str | int | float))
    if not words or len(words) < len(names) or not all(words):
        raise InputError(f"--class-names {path}: {of_class!r} needs a name, or a list of names.")
    return words


def class_vectors(
    names: Sequence[Sequence[str]],
    templates: Sequence[str],
    encode: Callable[[list[str]], np.ndarray],
) -> np.ndarray:
    """Return class vectors, float32 [C, E] of length 1: the mean of the normalised vectors of all prompts
    (Radford et al. 2021, section 3.1.4).

    Args:
        names: names of each class.
        encode: texts → float32 [N, E].
    """
    prompts = [[t.replace(PLACEHOLDER, name) for name in of_class for t in templates] for of_class in names]
    vectors = unit_rows(encode([prompt for of_class in prompts for prompt in of_class]))
    ends = np.cumsum([len(of_class) for of_class in prompts])[:-1]
    return unit_rows(np.stack([part.mean(0) for part in np.split(vectors, ends)]))


def _text(path: Path, flag: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{flag} {path} cannot be read: {first_line(error)}.") from error
