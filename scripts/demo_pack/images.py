"""The pack's images: which, in which split, with which words; and what is left for the encoder."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image

from scripts.demo_pack import words
from scripts.demo_pack.likeness import near_duplicates
from scripts.demo_pack.render import is_blank, on_white
from scripts.demo_pack.spoil import spoil
from trainer.data.duplicates import UnionFind
from trainer.data.split import grouped_stratified_split

SIDE = 128  # pixels
FRACTIONS = (0.65, 0.15, 0.2)
MOST = 220  # rows of one class
SERIES_MOST = 60  # of one series in the encoder's training: 1,375 stars are too many

# Class → folders of Open Clip Art below svg/; "!" leaves a folder out, "-" whatever has that
# keyword, "+" whatever lacks it. Classes that many people drew, each in many ways: what one author drew in
# one go stands in one split.
CLASSES = {
    "animal": ("animals",),
    "arrow": ("shapes/arrows",),
    "building": ("buildings", "!buildings/furniture"),
    "flag": ("signs_and_symbols/flags", "!signs_and_symbols/flags/semaphore"),
    "food": ("food", "!food/beverages"),
    "map": ("geography", "!geography/astronomy", "+map"),
    "pattern": ("special/patterns",),
    "person": ("people", "!people/smilies", "!people/stickmen", "!people/clothing", "!people/bodypart"),
    "plant": ("plants",),
    "playing card": ("recreation/games/cards",),
    "road sign": ("transportation/roadsigns",),
    "vehicle": ("transportation", "!transportation/roadsigns", "-roadsign"),
}


def choose(drawings: pd.DataFrame, pixels: np.ndarray, *, seed: int) -> pd.DataFrame:
    """Rows of the pack before spoiling.

    Args:
        drawings: as :func:`render.render_all` leaves them.
        pixels: uint8 [n, S, S, 4], the same rows.

    Returns:
        a frame with row (into ``drawings``), sample_id, label, caption, author, group, split.
    """
    frame = drawings[drawings.source == "openclipart"].copy()
    frame["row"] = frame.index
    frame["label"] = [label_of(name, said) for name, said in zip(frame.name, frame.keywords, strict=True)]
    frame["group"] = series(frame)
    frame = frame[frame.label != ""]
    frame = frame.loc[_first_of_each(frame, pixels)]
    frame = pd.concat(
        [rows.sample(min(len(rows), MOST), random_state=seed) for _, rows in frame.groupby("label")]
    )
    frame = frame.sort_values("name").reset_index(drop=True)
    frame["sample_id"] = [name.removesuffix(".svg") for name in frame.name]
    frame["caption"] = [words.as_written(t, k) for t, k in zip(frame.title, frame.keywords, strict=True)]
    labels = frame.label.to_numpy(dtype=str)
    frame["split"] = grouped_stratified_split(labels, list(frame.group), seed=seed, fractions=FRACTIONS)
    return frame[["row", "sample_id", "label", "caption", "author", "group", "split"]]


def label_of(name: str, keywords: Sequence[str]) -> str:
    """The class of a drawing by its folder, or ""."""
    folder = str(PurePosixPath(name).parent)

    def meets(rule: str) -> bool:
        if rule[0] in "-+":
            return (rule[1:] in keywords) == (rule[0] == "-")
        root = rule.removeprefix("!")
        return folder == root or folder.startswith(root + "/")

    for label, rules in CLASSES.items():
        met = [rule for rule in rules if meets(rule)]
        if met and all(rule[0] not in "!-+" for rule in met):
            return label
    return ""


def series(frame: pd.DataFrame) -> list[str]:
    """One name for what one author drew in one go: the same first word of the file name, or the same title
    apart from numbers. Generic one-word titles ("card") do not tie anything together."""
    joined = UnionFind()
    firsts = []
    for name, title, author in zip(frame.name, frame.title, frame.author, strict=True):
        path = PurePosixPath(name)
        stem = re.split(r"[\d_]", path.stem)[0] or path.stem
        first = f"{author}/{path.parent}/{stem}" if author else name
        name_words = re.sub(r"[\d_\W]+", " ", re.sub(r"^clipart by [^-]*-", "", title.lower())).split()
        if author and len(name_words) > 1:
            joined.union(first, to=f"{author}/title/{' '.join(name_words)}")
        firsts.append(first)
    return [joined.find(first) for first in firsts]


def _first_of_each(frame: pd.DataFrame, pixels: np.ndarray) -> pd.Index:
    """Without drawings that are near-duplicates of one that comes before them."""
    images = [on_white(pixels[row]) for row in frame.row]
    like = near_duplicates(images, images)
    kept: list[int] = []
    for i in range(len(frame)):
        if not like[i, kept].any():
            kept.append(i)
    return frame.index[kept]


def rest(drawings: pd.DataFrame, pixels: np.ndarray, chosen: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """What the encoder may learn from: no row of the pack, nothing of a series of which a row is in the pack,
    nothing that looks like a row of the pack; of any one series at most SERIES_MOST.

    Returns:
        rows of ``drawings``, index kept, with the column group ("" outside Open Clip Art).
    """
    clip_art = drawings[drawings.source == "openclipart"]
    group = pd.Series("", index=drawings.index, dtype=object)
    group[clip_art.index] = series(clip_art)
    taken = set(group[chosen.row])
    free = np.flatnonzero([name not in taken for name in group])
    shuffled = pd.Series(group[free]).sample(frac=1, random_state=seed)
    nth = shuffled.groupby(shuffled).cumcount()
    free = np.sort(shuffled.index[(nth < SERIES_MOST) | (shuffled == "")].to_numpy())
    pack = [on_white(pixels[row]) for row in chosen.row]
    like = np.concatenate(
        [
            near_duplicates([on_white(pixels[row]) for row in rows], pack).any(1)
            for rows in np.array_split(free, 50)
        ]
    )
    return drawings.loc[free[~like]].assign(group=group[free[~like]])


# --- The file --------------------------------------------------------------------------------------------


def table(frame: pd.DataFrame, pixels: np.ndarray, *, seed: int) -> pd.DataFrame:
    """The pack's table from the rows that :func:`choose` gave; images as WebP bytes in ``image``."""
    images = [
        Image.fromarray(on_white(pixels[row])).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        for row in frame.row
    ]
    frame, images = spoil(frame, images, seed=seed)
    assert not any(
        is_blank(np.asarray(p)) for p, how in zip(images, frame.spoiled_how, strict=True) if how == ""
    )
    frame["image"] = [webp(image) for image in images]
    frame["group"] = [short(group) for group in frame.group]
    frame["author"] = [
        re.sub(r"\S*@\S*|https?://\S+|[-\[\](]+\s*$", "", name).strip(" -([") for name in frame.author
    ]
    return frame.drop(columns="row").sort_values("sample_id").reset_index(drop=True)


def short(group: str) -> str:
    """Series have long names, and some authors gave theirs with an address."""
    return hashlib.sha256(group.encode()).hexdigest()[:12] if group else ""


def webp(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=90, method=6)
    return buffer.getvalue()
