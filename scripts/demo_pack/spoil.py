"""Training rows that are spoiled on purpose, in known ways, so that filters can be judged."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter

# kind → share of the training rows (drawn apart, so that a row is spoiled in one way only)
SPOILED = {"caption_swapped": 0.05, "label_wrong": 0.04, "blur": 0.03, "crop": 0.02, "near_duplicate": 0.03}


def spoil(
    frame: pd.DataFrame, images: list[Image.Image], *, seed: int
) -> tuple[pd.DataFrame, list[Image.Image]]:
    """Spoil a share of the training rows, and say in ``spoiled_how`` which and how ("" for the others)."""
    rng = np.random.default_rng(seed)
    frame, images = frame.copy(), list(images)
    frame["spoiled_how"] = ""
    train = rng.permutation(np.flatnonzero(frame.split == "train"))
    drawn: dict[str, np.ndarray] = {}
    for kind, share in SPOILED.items():
        count = round(share * (frame.split == "train").sum())
        drawn[kind], train = train[:count], train[count:]
        if kind != "near_duplicate":
            frame.loc[drawn[kind], "spoiled_how"] = kind

    swapped = drawn["caption_swapped"]
    frame.loc[swapped, "caption"] = _captions_of_others(frame, swapped, rng)
    classes = sorted(set(frame.label))
    for row in drawn["label_wrong"]:
        frame.loc[row, "label"] = str(rng.choice([c for c in classes if c != frame.label[row]]))
    for kind in ("blur", "crop"):
        for row in drawn[kind]:
            images[row] = DAMAGE[kind](images[row], rng)
    copies = frame.loc[drawn["near_duplicate"]].copy()
    copies["sample_id"] += "-copy"
    copies["spoiled_how"] = "near_duplicate"
    images += [_almost_the_same(images[row], rng) for row in drawn["near_duplicate"]]
    return pd.concat([frame, copies], ignore_index=True), images


def _captions_of_others(frame: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> list[str]:
    """For each row the caption of a training row of another class."""
    train = np.flatnonzero(frame.split == "train")
    captions = []
    for row in rows:
        others = train[
            (frame.label[train] != frame.label[row]) & (frame.caption[train] != frame.caption[row])
        ]
        captions.append(frame.caption[int(rng.choice(others))])
    return captions


def _blur(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(7, 11))))


def _crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A corner of it, sometimes with nothing in it."""
    edge, side = int(rng.integers(22, 34)), image.width
    left, top = (int(rng.choice([0, side - edge, rng.integers(0, side - edge)])) for _ in range(2))
    return image.resize(image.size, Image.Resampling.BICUBIC, box=(left, top, left + edge, top + edge))


DAMAGE: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {"blur": _blur, "crop": _crop}


def _almost_the_same(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The image again, as copies on the web are: a little trimmed and badly compressed."""
    trim, side = int(rng.integers(1, 4)), image.width
    small = image.resize(image.size, Image.Resampling.BICUBIC, box=(trim, trim, side - trim, side - trim))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=int(rng.integers(35, 60)))
    return Image.open(buffer).convert("RGB")
