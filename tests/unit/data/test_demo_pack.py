"""The demo pack keeps its promises, and the recipe's checks can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw
from sklearn.metrics import roc_auc_score

from scripts.demo_pack import check, images, likeness, measure, sources, spoil, words
from trainer.data.decode import decode
from trainer.data.demo import ENCODER, IMAGES
from trainer.features.encoder import ImageEncoder


@pytest.fixture(scope="module")
def pack() -> pd.DataFrame:
    return pd.read_parquet(IMAGES)


@pytest.fixture(scope="module")
def _every_image_is_looked_at_once() -> Iterator[None]:
    """Checks of the pack, and of the pack with one image changed, share what they found of each image."""
    vectors: dict[bytes, np.ndarray] = {}

    def encode(encoder: ImageEncoder, images: list[np.ndarray]) -> np.ndarray:
        keys = [image.tobytes() for image in images]
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in vectors}
        if new:
            vectors.update(zip(new, measure_encode(encoder, list(new.values())), strict=True))
        return np.stack([vectors[key] for key in keys])

    measure_encode = measure.encode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "encode", encode)
        for name in ("perceptual_hash", "thumb_vector"):
            patch.setattr(likeness, name, _by_content(getattr(likeness, name)))
        yield


def _by_content(look: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    found: dict[bytes, np.ndarray] = {}

    def once(image: np.ndarray) -> np.ndarray:
        key = image.tobytes()
        if key not in found:
            found[key] = look(image)
        return found[key]

    return once


# --- the pack -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_every_image_is_looked_at_once")
@pytest.mark.parametrize(
    "promise",
    [
        pytest.param(one, marks=pytest.mark.slow) if one is check.no_near_duplicates else one
        for one in check.PROMISES
    ],
    ids=lambda promise: promise.__name__,
)
def test_the_pack_keeps_its_promise(pack: pd.DataFrame, promise: Callable) -> None:
    _, broken = promise(pack)
    assert broken == []


def _one_series_in_two_splits(frame: pd.DataFrame) -> None:
    frame.loc[frame[frame.split == "test"].index[0], "group"] = frame[frame.split == "train"].group.iloc[0]


def _a_test_image_in_train(frame: pd.DataFrame) -> None:
    whole = frame[(frame.split == "train") & (frame.spoiled_how == "")]
    frame.at[whole.index[5], "image"] = frame[frame.split == "test"].image.iloc[7]


def _a_spoiled_test_row(frame: pd.DataFrame) -> None:
    frame.loc[frame[frame.split == "test"].index[0], "spoiled_how"] = "blur"


def _a_class_without_val(frame: pd.DataFrame) -> None:
    frame.loc[(frame.label == "building") & (frame.split == "val"), "split"] = "train"


def _a_blank_image(frame: pd.DataFrame) -> None:
    row = frame[frame.spoiled_how == ""].index[3]
    frame.at[row, "image"] = images.webp(Image.new("RGB", (128, 128), "white"))


@pytest.mark.usefixtures("_every_image_is_looked_at_once")
@pytest.mark.parametrize(
    ("harm", "promise"),
    [
        (_one_series_in_two_splits, check.groups_apart),
        pytest.param(_a_test_image_in_train, check.no_near_duplicates, marks=pytest.mark.slow),
        (_a_spoiled_test_row, check.spoiled_rows),
        (_a_class_without_val, check.counts),
        (_a_blank_image, check.counts),
    ],
    ids=lambda one: one.__name__,
)
def test_the_check_sees_a_harmed_pack(pack: pd.DataFrame, harm: Callable, promise: Callable) -> None:
    harmed = pack.copy()
    harm(harmed)
    assert promise(harmed)[1] != []


def test_the_encoder_loads_as_any_clip_does_and_puts_words_beside_images(pack: pd.DataFrame) -> None:
    """Through transformers alone, as a stranger would load it; CARD.md has the figures on all rows."""
    import torch
    from transformers import CLIPModel, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    clip = CLIPModel.from_pretrained(ENCODER, dtype=torch.float32).eval()
    tokens = CLIPTokenizer.from_pretrained(ENCODER)(
        ["a drawing of a flag", "a drawing of an animal", "a drawing of a playing card"],
        padding=True,
        return_tensors="pt",
    )
    rows = pack[pack.split == "test"]
    shown = [
        decode(rows[rows.label == name].image.iloc[i])
        for name in ("flag", "animal", "playing card")
        for i in range(5)
    ]
    seen = CLIPImageProcessorPil.from_pretrained(ENCODER)(list(shown), return_tensors="pt")
    with torch.inference_mode():
        logits_per_image = clip(**tokens, **seen).logits_per_image
    right = (logits_per_image.argmax(1).numpy() == np.repeat([0, 1, 2], 5)).sum()
    assert right >= 9  # by chance 5


# --- the recipe ---------------------------------------------------------------------------------------------


def test_a_class_is_its_folders_less_the_exceptions() -> None:
    assert images.label_of("animals/birds/penguin/tux.svg", []) == "animal"
    assert images.label_of("animalsong/bird.svg", []) == ""
    assert images.label_of("people/smilies/smile.svg", []) == ""
    assert images.label_of("people/clothing/hats/hat.svg", []) == ""
    assert images.label_of("transportation/car.svg", ["car"]) == "vehicle"
    assert images.label_of("transportation/stop.svg", ["roadsign"]) == ""
    assert images.label_of("geography/italy.svg", ["italy", "map"]) == "map"
    assert images.label_of("geography/moon.svg", ["moon"]) == ""


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
    group = images.series(frame)
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
            "label": rng.choice(sorted(images.CLASSES), n),
            "caption": [f"caption {i}" for i in range(n)],
            "split": np.where(np.arange(n) % 4 == 0, "test", "train"),
        }
    )
    drawn = [Image.fromarray(_drawing("blue", shift=i % 20)) for i in range(n)]
    spoiled, after = spoil.spoil(frame, drawn, seed=0)
    assert len(spoiled) == len(after) == n + round(0.03 * 150)
    assert set(spoiled.spoiled_how) == {"", *spoil.SPOILED}
    assert set(spoiled.split[spoiled.spoiled_how != ""]) == {"train"}
    for i, row in enumerate(spoiled.head(n).itertuples()):
        before = frame.loc[i]
        assert (row.caption != before.caption) == (row.spoiled_how == "caption_swapped")
        assert (row.label != before.label) == (row.spoiled_how == "label_wrong")
        changed = not np.array_equal(np.asarray(after[i]), np.asarray(drawn[i]))
        assert changed == (row.spoiled_how in ("blur", "crop"))
    copies = spoiled.tail(len(spoiled) - n)
    assert all(copies.spoiled_how == "near_duplicate")
    again, _ = spoil.spoil(frame, drawn, seed=0)
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


def test_auroc_equals_scikit_learns_and_lies_in_its_interval() -> None:
    random = np.random.default_rng(2)
    positive = random.random(200) < 0.3
    score = random.normal(size=200) + positive
    area = measure.bootstrap_auroc(positive, score, seed=0, draws=200)
    assert area.value == pytest.approx(roc_auc_score(positive, score))
    assert area.low < area.value < area.high
