"""Does the pack in the repository keep what its card promises?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scripts.demo_pack import likeness, sources, spoil
from scripts.demo_pack.render import is_blank
from trainer.data.decode import decode
from trainer.data.demo import ENCODER, IMAGES, PACK

MEGABYTE = 1_000_000
FEATURE_COSINE = (
    0.995  # between features centred on the training rows; only with a like hash is it a duplicate
)


def check() -> int:
    """Print one line for each promise and, last, all figures as JSON. Returns 0 if all hold, else 1."""
    frame = pd.read_parquet(IMAGES)
    figures: dict[str, Any] = {}
    kept = True
    for promise in PROMISES:
        found, broken = promise(frame)
        figures |= found
        kept = kept and not broken
        print(f"{'ok    ' if not broken else 'BROKEN'} {(promise.__doc__ or '').splitlines()[0]}")
        for line in broken:
            print(f"       {line}")
    print(json.dumps({"ok": kept, **figures}))
    return 0 if kept else 1


Found = tuple[dict[str, Any], list[str]]


def counts(frame: pd.DataFrame) -> Found:
    """10 to 16 classes, 1,500 to 2,500 images, every class in every split, a caption on nearly all."""
    by_class = frame.groupby(["label", "split"]).size().unstack(fill_value=0)
    broken = []
    if not 10 <= len(by_class) <= 16:
        broken.append(f"{len(by_class)} classes")
    if not 1500 <= len(frame) <= 2500:
        broken.append(f"{len(frame)} images")
    if frame.sample_id.duplicated().any():
        broken.append("two rows share a sample_id")
    broken += [
        f"class {label} lacks rows in a split" for label in by_class.index[(by_class == 0).any(axis=1)]
    ]
    silent = float((frame.caption == "").mean())
    if silent > 0.02:
        broken.append(f"{silent:.1%} have no caption")
    blank = [
        row.sample_id for row in frame.itertuples() if row.spoiled_how == "" and is_blank(decode(row.image))
    ]
    broken += [f"{name} is blank" for name in blank]
    splits = {str(split): int(n) for split, n in frame.split.value_counts().items()}
    return {
        "images": len(frame),
        "classes": len(by_class),
        "splits": splits,
        "without_caption": silent,
    }, broken


def groups_apart(frame: pd.DataFrame) -> Found:
    """No series stands in two splits."""
    splits = frame.groupby("group").split.nunique()
    return {"series": len(splits)}, [
        f"series {group} stands in two splits" for group in splits.index[splits > 1]
    ]


def encoder_saw_none_of_it(frame: pd.DataFrame) -> Found:
    """The encoder was trained on no image and no series of the pack."""
    seen = pd.read_parquet(PACK / "trained_on.parquet")
    clip_art = seen[seen.source == "openclipart"]
    both = set(clip_art.name.str.removesuffix(".svg")) & set(frame.sample_id)
    series = set(clip_art.group) & set(frame.group)
    broken = [f"image {one} was seen" for one in sorted(both)] + [
        f"series {one} was seen" for one in sorted(series)
    ]
    return {"encoder_saw": {str(source): int(n) for source, n in seen.source.value_counts().items()}}, broken


def no_near_duplicates(frame: pd.DataFrame) -> Found:
    """No test image has a near-duplicate in train: by perceptual hash with colours, and with features."""
    from scripts.demo_pack.measure import encode
    from trainer.features.encoder import ImageEncoder

    train, test = frame[frame.split == "train"], frame[frame.split == "test"]
    some, others = ([decode(image) for image in part.image] for part in (train, test))
    like = likeness.near_duplicates(some, others)
    encoder = ImageEncoder(ENCODER, device="cpu")
    vectors = [encode(encoder, part) for part in (some, others)]
    centre = vectors[0].mean(0)
    unit = [(v - centre) / np.linalg.norm(v - centre, axis=1, keepdims=True) for v in vectors]
    cosine = unit[0] @ unit[1].T
    alike = like | (
        (cosine >= FEATURE_COSINE) & (likeness.hash_distance(some, others) <= 2 * likeness.MOST_BITS)
    )
    broken = [
        f"{train.sample_id.iloc[i]} and {test.sample_id.iloc[j]}: cosine {cosine[i, j]:.4f}"
        for i, j in np.argwhere(alike & ~_spoiled(train)[:, None])
    ]
    return {
        "largest_cosine_train_test": round(float(cosine.max()), 4),
        "near_duplicates_train_test": len(broken),
    }, broken


def spoiled_rows(frame: pd.DataFrame) -> Found:
    """Spoiled rows stand in train alone, each kind among them."""
    spoiled = frame[frame.spoiled_how != ""]
    broken = [
        f"{row.sample_id} is spoiled and in {row.split}"
        for row in spoiled.itertuples()
        if row.split != "train"
    ]
    by_kind = {str(kind): int(n) for kind, n in spoiled.spoiled_how.value_counts().items()}
    broken += [f"no row is spoiled by {kind}" for kind in spoil.SPOILED if kind not in by_kind]
    return {"spoiled": by_kind}, broken


def licences(frame: pd.DataFrame) -> Found:
    """Every source is named in the card with its licence, and everything that was used has a source."""
    card = (PACK / "CARD.md").read_text()
    broken = [
        f"{package.name} ({package.licence}) is not in CARD.md"
        for package in sources.PACKAGES
        if not re.search(rf"{re.escape(package.name)}\b.*{re.escape(package.licence)}", card)
    ]
    known = {package.name.split("/")[-1] for package in sources.PACKAGES} | {"openclipart", "photograph"}
    seen = set(pd.read_parquet(PACK / "trained_on.parquet").source)
    broken += [f"what is {one}?" for one in sorted(seen - known)]
    return {"sources": len(sources.PACKAGES)}, broken


def sizes(frame: pd.DataFrame) -> Found:
    """The pack is at most 25 MB, the encoder at most 6 M parameters and 12 MB."""
    from safetensors import safe_open

    total, encoder = _bytes(PACK), _bytes(ENCODER)
    with safe_open(ENCODER / "model.safetensors", "np") as weights:
        parameters = sum(int(np.prod(weights.get_slice(key).get_shape())) for key in weights.keys())  # noqa: SIM118
    broken = [f"the pack has {total / MEGABYTE:.1f} MB"] if total > 25 * MEGABYTE else []
    broken += [f"the encoder has {encoder / MEGABYTE:.1f} MB"] if encoder > 12 * MEGABYTE else []
    broken += [f"the encoder has {parameters} parameters"] if parameters > 6_000_000 else []
    size = {"pack_mb": round(total / MEGABYTE, 2), "encoder_mb": round(encoder / MEGABYTE, 2)}
    return size | {"parameters": parameters}, broken


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _spoiled(frame: pd.DataFrame) -> np.ndarray:
    """A blank corner looks like many things."""
    return (frame.spoiled_how.isin(["crop", "blur"])).to_numpy()


PROMISES: tuple[Callable[[pd.DataFrame], Found], ...] = (
    counts, groups_apart, encoder_saw_none_of_it, no_near_duplicates, spoiled_rows, licences, sizes
)  # fmt: skip
