"""The recipe of the demo pack."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from scripts.demo_pack import likeness, pictures, sources, spoil, words


def test_a_class_is_its_folders_less_the_exceptions() -> None:
    assert pictures.label_of("animals/birds/penguin/tux.svg", []) == "bird"
    assert pictures.label_of("animals/birdsong.svg", []) == ""
    assert pictures.label_of("people/smilies/smile.svg", []) == "smiley"
    assert pictures.label_of("people/clothing/hats/hat.svg", []) == ""
    assert pictures.label_of("transportation/car.svg", ["car"]) == "vehicle"
    assert pictures.label_of("transportation/stop.svg", ["roadsign"]) == ""


def _drawings(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["name", "title", "author"])


def test_a_series_is_what_one_author_drew_under_one_name_or_title() -> None:
    frame = _drawings(
        ("homes/home1.svg", "Homes Clipart", "Jose"),
        ("homes/home13.svg", "Homes Clipart", "Jose"),
        ("homes/pinkhome2.svg", "Homes Clipart", "Jose"),  # by its title
        ("homes/home7.svg", "My house", "Ann"),  # by another hand
        ("homes/castle.svg", "castle", "Jose"),
        ("cards/white_h_3.svg", "card", "Nicu"),
        ("cards/simple_d_5.svg", "card", "Nicu"),  # a generic title ties nothing together
        ("x/a_1.svg", "one", ""),
        ("x/a_2.svg", "two", ""),  # nobody's drawings are no series
    )
    group = pictures.series(frame)
    assert group[0] == group[1] == group[2]
    assert len(set(group)) == 7


def _drawing(colour: str, *, shift: int = 0) -> np.ndarray:
    image = Image.new("RGB", (128, 128), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse([20 + shift, 10, 90 + shift, 70], fill=colour)
    draw.rectangle([50, 60, 70, 120], fill="black")
    return np.asarray(image)


def test_near_duplicates_are_like_in_form_and_in_colour() -> None:
    red, again, green = _drawing("red"), _drawing("red", shift=1), _drawing("green")
    other = np.asarray(Image.fromarray(red).rotate(90))
    assert likeness.near_duplicates([red], [again, green, other]).tolist() == [[True, False, False]]


def test_spoiling_touches_training_rows_alone_and_says_what_it_did() -> None:
    rng = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(n)],
            "label": rng.choice(sorted(pictures.CLASSES), n),
            "caption": [f"caption {i}" for i in range(n)],
            "split": np.where(np.arange(n) % 4 == 0, "test", "train"),
        }
    )
    images = [Image.fromarray(_drawing("blue", shift=i % 20)) for i in range(n)]
    spoiled, after = spoil.spoil(frame, images, seed=0)
    assert len(spoiled) == len(after) == n + round(0.03 * 150)
    assert set(spoiled.spoiled_how) == {"", *spoil.SPOILED}
    assert set(spoiled.split[spoiled.spoiled_how != ""]) == {"train"}
    for i, row in enumerate(spoiled.head(n).itertuples()):
        before = frame.loc[i]
        assert (row.caption != before.caption) == (row.spoiled_how == "caption_swapped")
        assert (row.label != before.label) == (row.spoiled_how == "label_wrong")
        changed = not np.array_equal(np.asarray(after[i]), np.asarray(images[i]))
        assert changed == (row.spoiled_how in ("blur", "crop"))
    copies = spoiled.tail(len(spoiled) - n)
    assert all(copies.spoiled_how == "near_duplicate")
    again, _ = spoil.spoil(frame, images, seed=0)
    assert again.equals(spoiled)


def test_captions_for_training_say_nothing_that_nobody_wrote() -> None:
    rng = np.random.default_rng(0)
    said = {words.speak("red fish", ["sea", "animal"], rng) for _ in range(200)}
    allowed = {"red", "fish", "sea", "animal"} | {
        w for t in words.TEMPLATES for w in t.replace("{}", "").split()
    }
    assert {word.strip(",") for text in said for word in text.split()} <= allowed
    assert len(said) > 10


@pytest.mark.parametrize(
    ("licence", "used"),
    [
        ("CC-BY-SA-4.0", True),
        ("public-domain", True),
        ("CC0-1.0", True),
        ("GPL-3+", False),
        ("GFDL-NIV-1.2", False),
    ],
)
def test_only_photographs_under_an_open_licence_are_used(licence: str, used: bool) -> None:
    paragraphs = f"Format: x\n\nFiles: src/a/cat.jpg\n src/a/dog.webp\nCopyright: none\nLicense: {licence}\n"
    assert sources.open_patterns(paragraphs) == (["src/a/cat", "src/a/dog"] if used else [])


def test_pinned_packages_have_a_version_a_hash_and_a_licence() -> None:
    for package in sources.PACKAGES:
        assert len(package.sha256) == 64
        assert package.version
        assert package.licence
