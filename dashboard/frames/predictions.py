"""What heads answer, row by row: orders of classes, cells, two heads on the same rows, points of the map.

Pure frames: no files, no Streamlit.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from dashboard import text
from dashboard.frames import trials
from trainer.tracking.schema import Pictures, Predictions, Samples, Scores

ALPHA = 0.05
AS_LOGGED, BY_NAME, BY_SIMILARITY = "as logged", "name", "similarity"
MOST_GROUPS = 12  # identities that have a colour of their own
MOST_BOXES = 20  # in an address
LABEL_PROBABILITY = "probability of label"

Box = tuple[float, float, float, float]  # x from, to, y from, to


# --- Classes ----------------------------------------------------------------------------------


def shown_names(classes: list[str], *, longest: int = 40) -> dict[str, str]:
    """Class → the words that stand for it in a chart, no two alike, though they were cut."""
    shown: dict[str, str] = {}
    taken: set[str] = set()
    for name in classes:
        words = cut = text.clean(name, longest=longest) or "(no name)"
        number = 2
        while words in taken:
            words, number = f"{cut} ({number})", number + 1
        taken.add(words)
        shown[name] = words
    return shown


def class_order(rows: pd.DataFrame, logged: list[str], order: str) -> list[str]:
    """The classes that occur, in the order of the sweep, by name, or alike ones beside each other."""
    seen = set(rows[Predictions.LABEL]) | set(rows[Predictions.PRED])
    as_logged = [name for name in logged if name in seen]
    as_logged += by_name(seen - set(as_logged))
    if order == BY_NAME:
        return by_name(seen)
    return by_similarity(trials.confusion(rows), by_name(seen)) if order == BY_SIMILARITY else as_logged


def by_name(classes: set[str] | list[str]) -> list[str]:
    """Alphabetically, numbers by their value: class 9 before class 10."""

    def key(name: str) -> tuple[list[tuple[bool, int, str]], str]:
        pieces = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
        return [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in pieces], name

    return sorted(classes, key=key)


def by_similarity(cells: pd.DataFrame, classes: list[str]) -> list[str]:
    """Classes that are taken for each other stand beside each other: leaves of an average-linkage tree.

    Two classes are as near as the mean of the shares in which either is taken for the other. Without a
    mistake the order stays.

    Args:
        cells: `frames.confusion`.
    """
    if len(classes) < 3 or trials.mistakes(cells).empty:
        return classes
    at = {name: i for i, name in enumerate(classes)}
    share = np.zeros((len(classes), len(classes)))
    share[cells[Predictions.LABEL].map(at), cells[Predictions.PRED].map(at)] = cells["share"]
    alike = (share + share.T) / 2
    np.fill_diagonal(alike, 0)
    distance = 1 - alike / alike.max()
    np.fill_diagonal(distance, 0)
    tree = hierarchy.linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return [classes[i] for i in hierarchy.leaves_list(tree)]


def class_figures(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """`frames.per_class` with 95 % intervals: ``precision_low`` … ``f1_high``, null where there is no figure.

    Those of precision and recall are Wilson's. F1 = 2 J / (1 + J) rises with the share J of the right ones
    among all rows that have the label or were given it, so its ends are those of Wilson's interval of J.
    """
    figures = trials.per_class(rows, classes)
    right = rows.loc[rows[Predictions.LABEL] == rows[Predictions.PRED], Predictions.LABEL]
    hits, called = (
        column.value_counts().reindex(classes, fill_value=0).to_numpy()
        for column in (right, rows[Predictions.PRED])
    )
    support = figures["support"].to_numpy()
    for name, of in (("precision", called), ("recall", support), ("f1", support + called - hits)):
        ends = np.array([_wilson(int(h), int(n)) for h, n in zip(hits, of, strict=True)]).reshape(-1, 2)
        if name == "f1":
            ends = 2 * ends / (1 + ends)
        figures[f"{name}_low"], figures[f"{name}_high"] = ends[:, 0], ends[:, 1]
    return figures.assign(predicted=called)


def _wilson(hits: int, n: int) -> tuple[float, float]:
    low, high = trials.wilson(hits, n) or (np.nan, np.nan)
    return max(low, 0.0), min(high, 1.0)  # rounding must not lead beyond


def cell(rows: pd.DataFrame, label: str, pred: str) -> pd.DataFrame:
    """The rows of one cell, the most confident answer first."""
    found = rows[(rows[Predictions.LABEL] == label) & (rows[Predictions.PRED] == pred)]
    return found.sort_values(Predictions.CONFIDENCE, ascending=False, kind="stable")


# --- Two heads on the same rows ---------------------------------------------------------------


class Difference(NamedTuple):
    """Of the second head's accuracy to the first's, on the same rows."""

    n: int
    only_first: int  # rows that only the first has right
    only_second: int
    value: float
    low: float
    high: float
    p: float


def paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The rows that both heads answered: ``sample_id, split, label, first, second`` (what each said) and
    ``confidence_first``, ``confidence_second``."""
    keys = [Predictions.SAMPLE_ID, Predictions.SPLIT]
    mine = first[[*keys, Predictions.LABEL, Predictions.PRED, Predictions.CONFIDENCE]]
    theirs = second[[*keys, Predictions.PRED, Predictions.CONFIDENCE]]
    pairs = mine.merge(theirs, on=keys, suffixes=("_first", "_second"))
    return pairs.rename(columns={"pred_first": "first", "pred_second": "second"})


def accuracy_difference(pairs: pd.DataFrame) -> Difference | None:
    """Exact McNemar test, and the interval of Bonett and Price (2012, doi:10.3102/1076998611411915).

    ``None`` without a row.
    """
    n = len(pairs)
    if n == 0:
        return None
    right = [pairs[head] == pairs[Predictions.LABEL] for head in ("first", "second")]
    only_first, only_second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    lost, won = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    middle, half = won - lost, 1.959964 * float(np.sqrt((won + lost - (won - lost) ** 2) / (n + 2)))
    p = float(sign_test(np.array([only_first]), np.array([only_second]))[0])
    value = (only_second - only_first) / n
    return Difference(n, only_first, only_second, value, max(middle - half, -1), min(middle + half, 1), p)


def compare_cells(pairs: pd.DataFrame) -> pd.DataFrame:
    """How two heads fill the cells that occur with either, on the same rows.

    ``label, pred, first, second`` (rows in the cell), ``difference`` = second - first, ``only_first``,
    ``only_second`` (rows that one head alone puts there), ``p`` of the exact sign test on these, ``p_holm``
    (Holm's, for all cells that occur), ``significant``, and ``better``: more on the diagonal, or less
    beside it, with the second head. The surest differences first.
    """
    parts = []
    for head, other in (("first", "second"), ("second", "first")):
        one = pairs.assign(pred=pairs[head], alone=pairs[head] != pairs[other])
        counted = one.groupby([Predictions.LABEL, "pred"])["alone"].agg(["size", "sum"])
        parts.append(counted.rename(columns={"size": head, "sum": f"only_{head}"}))
    cells = pd.concat(parts, axis=1).fillna(0).astype(int).reset_index()
    cells["difference"] = cells["second"] - cells["first"]
    cells["p"] = sign_test(cells["only_first"].to_numpy(), cells["only_second"].to_numpy())
    cells["p_holm"] = holm(cells["p"].to_numpy())
    cells["significant"] = cells["p_holm"] < ALPHA
    cells["better"] = (cells["difference"] > 0) == (cells[Predictions.LABEL] == cells["pred"])
    return cells.sort_values("p", kind="stable").reset_index(drop=True)


def sign_test(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Exact two-sided p of pairs of counts, if a row were as likely to count for either; 1 without any."""
    return np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(one, other), one + other, 0.5))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjusted p-values."""
    if len(p) == 0:
        return p
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


# --- Points of the map ------------------------------------------------------------------------


def numbers(
    samples: pd.DataFrame, pictures: pd.DataFrame | None, scores: pd.DataFrame | None
) -> pd.DataFrame:
    """Every number that is on record of the rows and not the same for all, one column each, by sample.

    Args:
        samples: SAMPLES; other numeric columns than the schema's are taken along.
        pictures: PICTURES of an extraction of the same data, if there is one.
        scores: SCORES of an ablation of the same data, if there is one.
    """
    found = samples.drop_duplicates(Samples.SAMPLE_ID).set_index(Samples.SAMPLE_ID)
    numeric = found.select_dtypes("number")
    tables = []
    if pictures is not None:
        tables.append(pictures.set_index(Pictures.SAMPLE_ID)[list(Pictures.MEASURES)])
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


def largest_groups(groups: pd.Series) -> tuple[pd.Series, list[str]]:
    """Groups as few enough names for colours: the largest by name, all others as one, the first of the list.

    Returns:
        The name of each row's group, and the names in the order of the legend, the quiet one first.
    """
    known = groups.fillna("").map(lambda name: text.clean(name, longest=40))
    sizes = known[known != ""].value_counts()
    order = list(sizes.index[:MOST_GROUPS])
    rest = len(sizes) - len(order)
    quiet = f"{rest:,} smaller groups" if rest else "no group"
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


def alike(points: pd.DataFrame, sample_id: str, count: int, likeness_n: pd.Series) -> pd.DataFrame:
    """The points most like one in feature space: with ``cosine``, the most alike first, without itself.

    Args:
        likeness_n: cosines to it by sample.
    """
    others = points[points["sample_id"] != sample_id]
    return others.assign(cosine=others["sample_id"].map(likeness_n)).nlargest(count, "cosine")


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
