"""Write a data set with several labels per image: 2 × 2 grids of CIFAR-10 images.

    python scripts/compose_cifar.py --out path/to/composed [--source ../shared/data/cifar10_small]
    python -m trainer.sweep --data path/to/composed --label-separator "|"

The source has a folder for each split and in it a folder for each class. A grid shows one to four classes,
more often of one kind (animals, vehicles) than of both. Source images come in groups, a few of each class,
and a grid is made of one group: no source image is in two splits that are drawn by group. ``metadata.csv``
has ``file_name``, ``label`` (names joined by "|") and ``group``.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SEPARATOR = "|"
VEHICLES = ("airplane", "automobile", "ship", "truck")
ALIKE = 3.0  # how much likelier a further class of the same kind is
SIDE = 2  # images across and down
MOST_CLASSES = SIDE * SIDE


class Grid(NamedTuple):
    """A composed image."""

    name: str  # below the folder of the data
    sources: tuple[Path, ...]  # by row
    label: str
    group: str


def composed(source: Path, *, per_class: int, per_group: int, seed: int) -> Iterator[Grid]:
    """Plan the grids of all splits.

    Args:
        source: ``SPLIT/CLASS/IMAGE``.
        per_class: source images of a class in a group.
        per_group: grids that are made of a group.
    """
    random = np.random.default_rng(seed)
    for split in sorted(path for path in source.iterdir() if path.is_dir()):
        images = {folder.name: sorted(folder.iterdir()) for folder in sorted(split.iterdir())}
        for files in images.values():
            random.shuffle(files)  # type: ignore[arg-type]  # a list of paths is one in place
        groups = min(map(len, images.values())) // per_class
        for group in range(groups):
            here = {name: files[group * per_class :][:per_class] for name, files in images.items()}
            for number in range(per_group):
                classes = _classes(list(images), random)
                chosen = _sources(here, classes, random)
                name = f"{split.name}/{group:04d}-{number:02d}.png"
                yield Grid(name, chosen, SEPARATOR.join(sorted(classes)), f"{split.name}-{group:04d}")


def _classes(names: list[str], random: np.random.Generator) -> list[str]:
    """One to four classes, the further ones more often of the kind of the first."""
    chosen = [str(random.choice(names))]
    for _ in range(int(random.integers(min(MOST_CLASSES, len(names))))):
        others = [name for name in names if name not in chosen]
        alike = [ALIKE if (one in VEHICLES) == (chosen[0] in VEHICLES) else 1.0 for one in others]
        chosen.append(str(random.choice(others, p=np.array(alike) / sum(alike))))
    return chosen


def _sources(
    images: dict[str, list[Path]], classes: list[str], random: np.random.Generator
) -> tuple[Path, ...]:
    """Four images in which each class is at least once."""
    of_class = [*classes, *random.choice(classes, MOST_CLASSES - len(classes))]
    random.shuffle(of_class)
    return tuple(images[str(name)][random.integers(len(images[str(name)]))] for name in of_class)


def drawn(grid: Grid) -> Image.Image:
    """Return the image of a grid."""
    parts = [Image.open(path).convert("RGB") for path in grid.sources]
    side = max(max(part.size) for part in parts)
    whole = Image.new("RGB", (SIDE * side, SIDE * side))
    for number, part in enumerate(parts):
        whole.paste(part, (side * (number % SIDE), side * (number // SIDE)))
    return whole


def write(grids: Iterator[Grid], out: Path) -> int:
    """Write images and ``metadata.csv`` into a new folder; return how many."""
    out.mkdir(parents=True)
    count = 0
    with (out / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["file_name", "label", "group"])
        for grid in grids:
            target = out / grid.name
            target.parent.mkdir(exist_ok=True)
            drawn(grid).save(target)
            rows.writerow([grid.name, grid.label, grid.group])
            count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", type=Path, default=ROOT.parent / "shared" / "data" / "cifar10_small")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--per-class", type=int, default=2, help="source images of a class in a group")
    parser.add_argument("--per-group", type=int, default=12, help="grids that are made of a group")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    grids = composed(
        arguments.source, per_class=arguments.per_class, per_group=arguments.per_group, seed=arguments.seed
    )
    print(f"{write(grids, arguments.out)} images in {arguments.out}")


if __name__ == "__main__":
    main()
