"""What can be refused without encoding is refused before anything is encoded."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from tests.support import commands
from tests.support.image_files import class_folders
from tests.support.tiny_encoders import save_tiny


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes without captions."""
    return class_folders(tmp_path / "images", {"ann": 8, "bob": 8})


def _captioned(images: Path) -> None:
    rows = "".join(f"{file.relative_to(images)},a face\n" for file in sorted(images.glob("*/*.png")))
    (images / "metadata.csv").write_text("file_name,caption\n" + rows)


def _wordless(folder: Path) -> str:
    """A model whose tokenizer is missing."""
    model = save_tiny("siglip", folder / "wordless")
    for file in model.glob("tokenizer*"):
        file.unlink()
    return str(model)


@pytest.mark.parametrize(
    ("module", "flags", "captions", "words"),
    [
        ("extract", ["--encoder", "demo", "--captions"], False, "has no captions to encode"),
        ("extract", ["--encoder", "WORDLESS", "--captions"], True, "has no tokenizer"),
        ("fuse", ["--encoder", "WORDLESS"], True, "has no tokenizer"),
        ("zeroshot", ["--encoder", "WORDLESS"], False, "has no tokenizer"),
        ("ablate", ["--encoder", "WORDLESS"], True, "has no tokenizer"),
        ("ablate", ["--encoder", "demo", "--aesthetic", "PAGE"], False, "is an HTML page"),
        (
            "ablate",
            ["--encoder", "demo", "--aesthetic", "HEAD"],
            False,
            "expects image embeddings of length 3",
        ),
        ("verify", ["--encoder", "demo", "--pairs", "PAIRS"], False, "line 2: there is no 'Carl'"),
        ("sweep", ["--encoder", "demo", "--export-optuna", "here.db"], False, "database, such as sqlite"),
        (
            "sweep",
            ["--encoder", "demo", "--study", "old", "--export-optuna", "OLD"],
            False,
            "a study old already",
        ),
    ],
)
def test_it_is_refused_before_anything_is_encoded(
    images: Path, tmp_path: Path, tracking_uri: str, module: str, flags: list[str], captions: bool, words: str
) -> None:
    import torch

    if captions:
        _captioned(images)
    (tmp_path / "page.pth").write_text("<html>Sign in</html>")
    torch.save({"weight": torch.zeros(1, 3), "bias": torch.zeros(1)}, tmp_path / "head.pth")
    (tmp_path / "pairs.csv").write_text("name,imagenum1,imagenum2,\nCarl,1,2,\nann,1,bob,1\n")
    made = {
        "WORDLESS": lambda: _wordless(tmp_path),
        "PAGE": lambda: str(tmp_path / "page.pth"),
        "HEAD": lambda: str(tmp_path / "head.pth"),
        "PAIRS": lambda: str(tmp_path / "pairs.csv"),
        "OLD": lambda: f"sqlite:///{tmp_path}/old.db",
    }
    if "OLD" in flags:
        optuna.create_study(storage=made["OLD"](), study_name="old")
    given = [made[flag]() if flag in made else flag for flag in flags]
    cache = tmp_path / "cache"
    where = ["--tracking-uri", tracking_uri, "--cache-dir", cache]
    done = commands.run(f"trainer.{module}", "--data", images, *given, *where)
    assert done.returncode == 2, done.stderr
    assert words in " ".join(done.stderr.split())
    assert "Encoding" not in done.stderr
    assert not (cache / "features").exists()
