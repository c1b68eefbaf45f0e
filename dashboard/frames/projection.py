"""Points of the map: which are drawn, lit and selected, and the numbers that colour them. Pure pandas."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from dashboard import text
from trainer.tracking.schema import (
    Images,
    Predictions,
    Samples,
    Scores,
)

MOST_GROUPS = 12  # identities that have a colour of their own
MOST_BOXES = 20  # in an address
LABEL_PROBABILITY = "probability of label"

Box = tuple[float, float, float, float]  # x from, to, y from, to


def numbers(samples: pd.DataFrame, images: pd.DataFrame | None, scores: pd.DataFrame | None) -> pd.DataFrame:
    """Every number that is on record of the rows and not the same for all, one column each, by sample.

    Args:
        samples: SAMPLES; other numeric columns than the schema's are taken along.
        images: IMAGES of an extraction of the same data, if there is one.
        scores: SCORES of an ablation of the same data, if there is one.
    """
    found = samples.drop_duplicates(Samples.SAMPLE_ID).set_index(Samples.SAMPLE_ID)
    numeric = found.select_dtypes("number")
    tables = []
    if images is not None:
        tables.append(images.set_index(Images.SAMPLE_ID)[list(Images.MEASURES)])
    if scores is not None:
        prefix = Scores.SCORE_PREFIX
        named = scores.set_index(Scores.SAMPLE_ID).filter(regex=f"^{re.escape(prefix)}")
        tables.append(named.rename(columns=lambda name: name.removeprefix(prefix)).select_dtypes("number"))
    for table in tables:
        table = table[~table.index.duplicated()].reindex(numeric.index)
        numeric = numeric.join(table[[name for name in table.columns if name not in numeric.columns]])
    return numeric.loc[:, numeric.nunique() > 1].astype(float)


def label_probability(rows: pd.DataFrame, classes: list[str]) -> pd.Series:
    """What probability a head gave each row's label, by sample; null where that is not known.

    Args:
        classes: in the order of PROBS.
    """
    at = {name: i for i, name in enumerate(classes)}
    found = {
        sample: float(probs[at[label]])
        for sample, label, probs in zip(
            rows[Predictions.SAMPLE_ID], rows[Predictions.LABEL], rows[Predictions.PROBS], strict=True
        )
        if label in at and len(probs) == len(classes)
    }
    return pd.Series(found, dtype=float)


def largest_groups(
    groups: pd.Series, *, others: str = "smaller groups", none: str = "no group"
) -> tuple[pd.Series, list[str]]:
    """Groups as few enough names for colours: the largest by name, all others as one, the first of the list.

    Args:
        others: what the others are called, after their number.
        none: what rows without a group are called, where there are no others.

    Returns:
        The name of each row's group, and the names in the order of the legend, the quiet one first.
    """
    known = groups.fillna("").map(lambda name: text.clean(name, longest=40))
    sizes = known[known != ""].value_counts()
    order = list(sizes.index[:MOST_GROUPS])
    rest = len(sizes) - len(order)
    quiet = f"{rest:,} {others}" if rest else none
    return known.where(known.isin(order), quiet), [quiet, *order]


def matches(points: pd.DataFrame, words: str) -> pd.Series:
    """Whether a row's label, id or caption contains the words, in capitals or not."""
    wanted = words.strip().casefold()
    columns = [points[name].astype(str).str.casefold() for name in ("label", "sample_id", "caption")]
    hit = pd.Series(False, index=points.index)
    for column in columns:
        hit |= column.str.contains(wanted, regex=False)
    return hit


def within(points: pd.DataFrame, boxes: list[Box]) -> pd.Series:
    """Whether a point ``x, y`` lies in any of the boxes, edges included."""
    inside = pd.Series(False, index=points.index)
    for left, right, bottom, top in boxes:
        inside |= points["x"].between(left, right) & points["y"].between(bottom, top)
    return inside


def nearest(points: pd.DataFrame, sample_id: str, count: int) -> pd.DataFrame:
    """The points nearest to one, by distance on the map: with ``distance``, nearest first, without itself."""
    here = points[points["sample_id"] == sample_id]
    if here.empty:
        return points.head(0).assign(distance=pd.Series(dtype=float))
    away = np.hypot(points["x"] - here["x"].iloc[0], points["y"] - here["y"].iloc[0])
    others = points.assign(distance=away)[points["sample_id"] != sample_id]
    return others.nsmallest(count, "distance")


def most_similar(points: pd.DataFrame, sample_id: str, count: int, likeness_n: pd.Series) -> pd.DataFrame:
    """The points most like one in feature space: with ``cosine``, the most alike first, without itself.

    Args:
        likeness_n: cosines to it by sample.
    """
    others = points[points["sample_id"] != sample_id]
    return others.assign(cosine=others["sample_id"].map(likeness_n)).nlargest(count, "cosine")


def cosine_to_mean(unit_nd: np.ndarray, members: np.ndarray) -> np.ndarray:
    """The cosine [n] of every row of unit vectors [n, D] to the mean of some of them, as booleans [n]."""
    mean_d = unit_nd[members].mean(axis=0)
    return unit_nd @ (mean_d / (float(np.linalg.norm(mean_d)) or 1.0))


def same_box(one: Box, other: Box) -> bool:
    """Whether two boxes differ by rounding alone."""
    reach = max(one[1] - one[0], one[3] - one[2])
    return bool(np.allclose(one, other, rtol=0, atol=2e-3 * reach))


def boxes_from(words: str) -> list[Box]:
    """Boxes of an address, ``x0,x1,y0,y1;…``; what is none is left out."""
    boxes = []
    for part in words.split(";")[:MOST_BOXES]:
        try:
            ends = [float(number) for number in part.split(",")]
        except ValueError:
            continue
        if len(ends) == 4 and np.isfinite(ends).all():
            left, right = sorted(ends[:2])
            bottom, top = sorted(ends[2:])
            boxes.append((left, right, bottom, top))
    return boxes


def boxes_to(boxes: list[Box]) -> str:
    """`boxes_from` backwards, of the last `MOST_BOXES`."""
    return ";".join(",".join(f"{end:.5g}" for end in box) for box in boxes[-MOST_BOXES:])


def sample_evenly(points: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most ``most`` rows, each label keeping its share; the same rows every time."""
    if len(points) <= most:
        return points
    shares = points.groupby(Samples.LABEL, group_keys=False)
    return shares.sample(frac=most / len(points), random_state=0).sort_index()


def landmarks(points: pd.DataFrame, *, columns: int = 16, rows: int = 16, fewest: int = 3) -> pd.DataFrame:
    """Points spread over the map, the middle ones of the cells of a square grid, most crowded cells first.

    No two are nearer than a cell in both directions, so that images of a cell's size do not cover each
    other. Cells with less than ``fewest`` points have none: an outlier is no landmark.

    Args:
        points: with ``x`` and ``y``.
        columns, rows: of cells at most, where the map is shown as large as fits with one scale for both axes.
    """
    if points.empty:
        return points
    place_n2 = points[["x", "y"]].to_numpy(float)
    place_n2 = place_n2 - place_n2.min(axis=0)
    place_n2 /= (place_n2.max(axis=0) / [columns, rows]).max() or 1.0  # in cells
    cells_n2 = (place_n2 * (1 - 1e-9)).astype(int)
    _, cell_n, crowd_c = np.unique(cells_n2, axis=0, return_inverse=True, return_counts=True)
    means_c2 = np.stack([np.bincount(cell_n, axis_n) for axis_n in place_n2.T], axis=1) / crowd_c[:, None]
    away_n = ((place_n2 - means_c2[cell_n]) ** 2).sum(axis=1)
    nearest_first = np.lexsort((away_n, cell_n))
    middle_c = nearest_first[np.r_[0, np.cumsum(crowd_c)[:-1]]]
    kept: list[int] = []
    for cell in np.argsort(-crowd_c, kind="stable"):
        one = int(middle_c[cell])
        clear = np.abs(place_n2[kept] - place_n2[one]).max(axis=1) >= 1
        if crowd_c[cell] >= min(fewest, len(points)) and clear.all():
            kept.append(one)
    return points.iloc[kept]


def class_names(points: pd.DataFrame, column: str, *, size: tuple[float, float]) -> pd.DataFrame:
    """``x, y, name``: where the name of each class is written, the largest class first.

    A name stands at the point of its class that is nearest to the class's median. One that would overlap a
    name of a larger class is left out.

    Args:
        column: of ``points``, with the classes.
        size: of a character of a name: width and height, as shares of the map's longer side.
    """
    found: list[tuple[float, float, str]] = []
    place_n2 = points[["x", "y"]].to_numpy(float)
    reach = float(np.ptp(place_n2, axis=0).max()) if len(points) else 0.0
    codes_n, classes = pd.factorize(points[column])
    for code in np.argsort(-np.bincount(codes_n, minlength=len(classes)), kind="stable"):
        name, of_class_n2 = str(classes[code]), place_n2[codes_n == code]
        away_n = ((of_class_n2 - np.median(of_class_n2, axis=0)) ** 2).sum(axis=1)
        x, y = (float(value) for value in of_class_n2[away_n.argmin()])
        overlaps = (
            abs(x - left) < reach * size[0] * (len(name) + len(other)) / 2 and abs(y - low) < reach * size[1]
            for left, low, other in found
        )
        if name and not any(overlaps):
            found.append((x, y, name))
    return pd.DataFrame(found, columns=["x", "y", "name"])
