"""A file of corrections that does not fit the data is refused by name, and nothing is written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import commands
from tests.support.image_files import class_folders, encoded, noise
from trainer.core.corrections import Action, Correction, append
from trainer.core.errors import InputError
from trainer.data.bit_depth import stored_hashes
from trainer.experiments.checking.config import CheckConfig
from trainer.experiments.inputs import understand_rows

RIGHT = Correction("ann/0.png", "ann", "bob", Action.RELABEL)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes, with the table of their labels."""
    folder = class_folders(tmp_path / "images", {"ann": 8, "bob": 8})
    names = sorted(str(file.relative_to(folder)) for file in folder.glob("*/*.png"))
    rows = "".join(f"{name},{name.partition('/')[0]}\n" for name in names)
    (folder / "metadata.csv").write_text("file_name,label\n" + rows)
    return folder


@pytest.mark.parametrize("command", ["check", "sweep"])
@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([RIGHT._replace(sample_id="ann/80.png")], "that IMAGES does not have: 'ann/80.png'"),
        ([RIGHT, RIGHT._replace(new="", action=Action.DROP)], "two rows disagree about 'ann/0.png'"),
        ([RIGHT._replace(new="carl")], "'carl', which is no class of IMAGES. Its classes: 'ann', 'bob'."),
        ([RIGHT._replace(content_hash="0" * 64)], "another image than when corrected: 'ann/0.png'"),
    ],
    ids=["unknown id", "conflict", "unknown class", "another image"],
)
def test_what_does_not_fit_is_named_and_nothing_is_written(
    images: Path, tmp_path: Path, tracking_uri: str, command: str, rows: list[Correction], told: str
) -> None:
    path, out, cache = tmp_path / "c.csv", tmp_path / "out.csv", tmp_path / "cache"
    append(path, rows)
    before = path.read_bytes()
    given = ["--corrected-table", out] if command == "check" else ["--tracking-uri", tracking_uri]
    done = commands.run(
        f"trainer.{command}", "--data", images, "--corrections", path, "--cache-dir", cache, *given
    )
    assert done.returncode == 2, done.stderr
    assert told.replace("IMAGES", str(images)) in " ".join(done.stderr.split())
    assert path.read_bytes() == before
    assert not out.exists()
    assert not (cache / "features").exists()
    assert "Study" not in done.stderr


def test_an_image_replaced_under_its_name_is_no_longer_corrected(images: Path, tmp_path: Path) -> None:
    file, path = images / "ann" / "0.png", tmp_path / "c.csv"
    append(path, [RIGHT._replace(content_hash=hashlib.sha256(file.read_bytes()).hexdigest())])
    config = CheckConfig(data=str(images), corrections=path, cache_dir=tmp_path / "cache")
    found = understand_rows(config)
    assert found.classes[found.label_n[found.sample_id.index("ann/0.png")]] == "bob"
    file.write_bytes(encoded(noise(999)))
    with pytest.raises(InputError, match=r"another image than when corrected: 'ann/0\.png'"):
        understand_rows(config)


def test_the_hash_of_a_16_bit_image_is_that_of_its_file_by_whatever_bits_it_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for i in range(8):
        (folder / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 4096, (6, 8)).astype(np.uint16)
        Image.fromarray(pixels).save(folder / "ab"[i % 2] / f"{i}.png")
    config = CheckConfig(data=str(folder), cache_dir=tmp_path / "cache")
    found = understand_rows(config)
    hashes = stored_hashes(found, range(len(found)))
    assert hashes == [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in found.sample_id]
    assert set(hashes).isdisjoint(found.content)
    rows = [
        Correction("a/0.png", "a", "b", Action.RELABEL, content_hash=hashes[found.sample_id.index("a/0.png")])
    ]
    append(tmp_path / "c.csv", rows)
    again = understand_rows(CheckConfig(**{**vars(config), "corrections": tmp_path / "c.csv"}))
    assert again.classes[again.label_n[again.sample_id.index("a/0.png")]] == "b"
