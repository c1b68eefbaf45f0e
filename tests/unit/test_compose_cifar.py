"""The data set of several labels per image that is made of CIFAR-10."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts import compose_cifar
from tests.support.image_files import encoded, noise

CLASSES = ("airplane", "cat", "dog", "ship", "truck")
FLAGS = {"per_class": 2, "per_group": 6, "seed": 1}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Five classes with four images each in two splits."""
    for number, (split, name) in enumerate((s, n) for s in ("train", "test") for n in CLASSES):
        folder = tmp_path / "source" / split / name
        folder.mkdir(parents=True)
        for i in range(4):
            (folder / f"{i}.png").write_bytes(encoded(noise(10 * number + i, height=32, width=32)))
    return tmp_path / "source"


def test_a_grid_shows_its_labels_and_no_source_image_is_in_two_groups(source: Path) -> None:
    grids = list(compose_cifar.composed(source, **FLAGS))
    assert len(grids) == 2 * 2 * 6
    group_of: dict[Path, str] = {}
    for grid in grids:
        assert set(grid.label.split("|")) == {path.parent.name for path in grid.sources}
        assert len(grid.sources) == 4
        for path in grid.sources:
            assert group_of.setdefault(path, grid.group) == grid.group
            assert path.parent.parent.name == grid.name.partition("/")[0]
    assert {len(grid.label.split("|")) for grid in grids} == {1, 2, 3, 4}


def test_the_same_seed_makes_the_same_grids(source: Path) -> None:
    first, again = (list(compose_cifar.composed(source, **FLAGS)) for _ in range(2))
    assert first == again
    assert first != list(compose_cifar.composed(source, **FLAGS | {"seed": 2}))


def test_images_and_metadata_are_written(source: Path, tmp_path: Path) -> None:
    grids = list(compose_cifar.composed(source, **FLAGS))
    assert compose_cifar.write(iter(grids), tmp_path / "out") == len(grids)
    with (tmp_path / "out" / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [tuple(row.values()) for row in rows] == [(g.name, g.label, g.group) for g in grids]
    whole = np.asarray(Image.open(tmp_path / "out" / grids[0].name))
    assert whole.shape == (64, 64, 3)
    assert (whole[:32, :32] == np.asarray(Image.open(grids[0].sources[0]))).all()
