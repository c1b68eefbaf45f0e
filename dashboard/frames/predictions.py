"""What heads predict, row by row: orders of classes, cells of the confusion matrix, two heads compared.

Pure frames: no files, no Streamlit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from dashboard import text
from trainer.stats import paired_bootstrap, paired_comparison
from trainer.stats.further_scores import BALANCED_ACCURACY, F1_POSITIVE, F1_WEIGHTED, MCC, further_scores
from trainer.stats.intervals import Interval, ratio, wilson_of_groups
from trainer.tracking.schema import Predictions

ALPHA = 0.05
BEST = "best"  # the head that is handed over, and that the summary's figures are of


# --- What is drawn ----------------------------------------------------------------------------


def units(rows: pd.DataFrame) -> np.ndarray | None:
    """The unit of each row, see `trainer.stats.units`; ``None`` where every row is one by itself, and in runs
    that do not say."""
    if Predictions.UNIT not in rows or rows[Predictions.UNIT].is_unique:
        return None
    return rows[Predictions.UNIT].to_numpy()


def groups(rows: pd.DataFrame) -> int | None:
    """How many groups intervals draw; ``None`` where they draw rows."""
    unit_n = units(rows)
    return None if unit_n is None else len(np.unique(unit_n))


def accuracy(rows: pd.DataFrame) -> Interval:
    """The share of right answers, with its 95 % interval over rows or groups."""
    return wilson_of_groups((rows[Predictions.LABEL] == rows[Predictions.PRED]).to_numpy(), units(rows))


def scores(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """The scores of a head on rows with 95 % intervals over rows or groups: ``score, value, low, high``.

    Args:
        classes: as they were logged; the second of two is the positive one.
    """
    codes = {name: code for code, name in enumerate(classes)}
    label_n, pred_n = (
        rows[column].map(codes).to_numpy(np.int64) for column in (Predictions.LABEL, Predictions.PRED)
    )
    unit_n = units(rows)
    found = further_scores(
        label_n, pred_n, np.arange(len(rows)) if unit_n is None else unit_n, classes=len(classes)
    )
    named = {
        "accuracy (micro-F1)": accuracy(rows),
        "balanced accuracy": found[BALANCED_ACCURACY],
        "weighted F1": found[F1_WEIGHTED],
        "Matthews correlation (MCC)": found[MCC],
    }
    if F1_POSITIVE in found:
        named[f"F1 of {text.clean(classes[1], longest=40)}"] = found[F1_POSITIVE]
    return pd.DataFrame(
        [(name, *one) for name, one in named.items()], columns=["score", "value", "low", "high"]
    )


AS_LOGGED, BY_NAME, BY_SIMILARITY = "as logged", "name", "similarity"


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
    return by_similarity(confusion(rows), by_name(seen)) if order == BY_SIMILARITY else as_logged


def by_name(classes: Iterable[str]) -> list[str]:
    """Alphabetically, numbers by their value: class 9 before class 10."""
    return sorted(classes, key=lambda name: (text.natural_key(name.casefold()), name))


def by_similarity(cells: pd.DataFrame, classes: list[str]) -> list[str]:
    """Classes that are taken for each other stand beside each other: leaves of an average-linkage tree.

    Two classes are as near as the mean of the shares in which either is taken for the other. Without a
    mistake the order stays.

    Args:
        cells: `confusion`.
    """
    from scipy.cluster import hierarchy  # slow to import, and seldom wanted
    from scipy.spatial.distance import squareform

    if len(classes) < 3 or mistakes(cells).empty:
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


def confusion(rows: pd.DataFrame) -> pd.DataFrame:
    """Cells that occur: ``label, pred, n, support`` (rows with that label), ``share`` = n / support."""
    cells = rows.groupby([Predictions.LABEL, Predictions.PRED], as_index=False).size()
    cells = cells.rename(columns={"size": "n"})
    cells["support"] = cells.groupby(Predictions.LABEL)["n"].transform("sum")
    return cells.assign(share=cells["n"] / cells["support"])


def per_class(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Precision, recall, F1 and support of each class, as scikit-learn's with ``zero_division=0``.

    A class that occurs neither as label nor as prediction has no figures (null).
    """
    right = rows.loc[rows[Predictions.LABEL] == rows[Predictions.PRED], Predictions.LABEL]
    hits, support, called = (
        column.value_counts().reindex(classes, fill_value=0).to_numpy()
        for column in (right, rows[Predictions.LABEL], rows[Predictions.PRED])
    )
    seen = (support + called) > 0
    figures = {
        "precision": ratio(hits, called),
        "recall": ratio(hits, support),
        "f1": ratio(2 * hits, support + called),
    }
    columns = {name: np.where(seen, column, np.nan) for name, column in figures.items()}
    return pd.DataFrame({"class": classes, **columns, "support": support})


def mistakes(cells: pd.DataFrame) -> pd.DataFrame:
    """Off-diagonal cells, most frequent first."""
    wrong = cells[cells[Predictions.LABEL] != cells[Predictions.PRED]]
    return wrong.sort_values(["n", "share"], ascending=False, kind="stable").reset_index(drop=True)


def class_figures(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """`per_class` with 95 % intervals: ``precision_low`` … ``f1_high``, null where there is no figure.

    Those of precision and recall are Wilson's, for as many rows as their groups are worth. F1 =
    2 J / (1 + J) rises with the share J of the right ones among all rows that have the label or were given
    it, so its ends are those of Wilson's interval of J.
    """
    figures = per_class(rows, classes)
    label_n, pred_n = (rows[name].to_numpy() for name in (Predictions.LABEL, Predictions.PRED))
    right_n, unit_n = label_n == pred_n, units(rows)
    # not every row for every class: there may be a thousand
    has_by, given_by = (rows.groupby(name).indices for name in (Predictions.LABEL, Predictions.PRED))
    none = np.zeros(0, dtype=np.intp)
    called, ends = [], []
    for name in classes:
        has, given = has_by.get(name, none), given_by.get(name, none)
        called.append(len(given))
        ends.append(
            [
                wilson_of_groups(right_n[of], None if unit_n is None else unit_n[of])[1:]
                for of in (given, has, np.union1d(has, given))
            ]
        )
    ends_c32 = np.array(ends).reshape(-1, 3, 2)
    ends_c32[:, 2] = 2 * ends_c32[:, 2] / (1 + ends_c32[:, 2])
    for at, name in enumerate(("precision", "recall", "f1")):
        figures[f"{name}_low"], figures[f"{name}_high"] = ends_c32[:, at].T
    return figures.assign(predicted=called)


def cell(rows: pd.DataFrame, label: str, pred: str) -> pd.DataFrame:
    """The rows of one cell, the most confident answer first."""
    found = rows[(rows[Predictions.LABEL] == label) & (rows[Predictions.PRED] == pred)]
    return found.sort_values(Predictions.CONFIDENCE, ascending=False, kind="stable")


# --- Two heads on the same rows ---------------------------------------------------------------


class Difference(NamedTuple):
    """Of the second head's accuracy to the first's, on the same rows, with its 95 % interval."""

    n: int
    only_first: int  # rows that only the first has right
    only_second: int
    accuracy: Interval
    p: float  # of McNemar's exact test
    groups: int | None  # that the interval and the test are over; None: rows


def paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The rows that both heads answered: ``sample_id, split, label, first, second`` (what each said),
    ``confidence_first``, ``confidence_second``, and ``unit`` where the run knows it."""
    keys = [Predictions.SAMPLE_ID, Predictions.SPLIT]
    mine = first.filter(
        [*keys, Predictions.LABEL, Predictions.PRED, Predictions.CONFIDENCE, Predictions.UNIT]
    )
    theirs = second[[*keys, Predictions.PRED, Predictions.CONFIDENCE]]
    pairs = mine.merge(theirs, on=keys, suffixes=("_first", "_second"))
    return pairs.rename(columns={"pred_first": "first", "pred_second": "second"})


def accuracy_difference(pairs: pd.DataFrame) -> Difference | None:
    """How much better the second head is; ``None`` without a row."""
    n = len(pairs)
    if n == 0:
        return None
    right = [(pairs[head] == pairs[Predictions.LABEL]).to_numpy() for head in ("first", "second")]
    unit_n = units(pairs)
    only_first, only_second, p = paired_comparison.mcnemar(right[0], right[1], unit_n)
    accuracy = paired_comparison.accuracy_difference(right[1], right[0], unit_n)
    return Difference(n, int(only_first), int(only_second), accuracy, p, groups(pairs))


def compare_cells(pairs: pd.DataFrame) -> pd.DataFrame:
    """How two heads fill the cells that occur with either, on the same rows.

    ``label, pred, first, second`` (rows in the cell), ``difference`` = second - first, ``only_first``,
    ``only_second`` (rows that one head alone puts there), ``p`` of the exact sign test on these, rows of a
    group changing sides together, ``p_holm``
    (Holm's, for all cells that occur), ``significant``, and ``better``: more on the diagonal, or less
    beside it, with the second head. The most significant differences first.
    """
    parts = []
    for head, other in (("first", "second"), ("second", "first")):
        one = pairs.assign(pred=pairs[head], alone=pairs[head] != pairs[other])
        counted = one.groupby([Predictions.LABEL, "pred"])["alone"].agg(["size", "sum"])
        parts.append(counted.rename(columns={"size": head, "sum": f"only_{head}"}))
    cells = pd.concat(parts, axis=1).fillna(0).astype(int).reset_index()
    cells["difference"] = cells["second"] - cells["first"]
    cells["p"] = _sign_tests(pairs, cells)
    cells["p_holm"] = paired_bootstrap.holm(cells["p"].to_numpy())
    cells["significant"] = cells["p_holm"] < ALPHA
    cells["better"] = (cells["difference"] > 0) == (cells[Predictions.LABEL] == cells["pred"])
    return cells.sort_values("p", kind="stable").reset_index(drop=True)


def _sign_tests(pairs: pd.DataFrame, cells: pd.DataFrame) -> np.ndarray:
    """The exact p of each cell: as many rows come to it with the second head as leave it."""
    unit_n = units(pairs)
    if unit_n is None:
        return paired_comparison.sign_test(cells["only_first"].to_numpy(), cells["only_second"].to_numpy())
    differ = pairs[pairs["first"] != pairs["second"]]
    moves = pd.concat(
        [
            differ[[Predictions.LABEL, Predictions.UNIT]].assign(pred=differ[head], lead=sign)
            for head, sign in (("first", -1), ("second", 1))
        ]
    )
    cell = [Predictions.LABEL, "pred"]
    leads = moves.groupby([*cell, Predictions.UNIT])["lead"].sum()
    leads = leads[leads != 0]
    sizes = leads.abs().groupby(level=cell).agg(["min", "max"])
    fewer, more = (one.groupby(level=cell).sum().to_numpy() for one in (leads < 0, leads > 0))
    # where all leads have one size it is the sign test, which takes all cells at once
    tested = pd.Series(paired_comparison.sign_test(more, fewer), index=sizes.index, name="p")
    for place in sizes.index[sizes["min"] < sizes["max"]]:
        tested[place] = paired_comparison.sign_flip_test(leads[place].to_numpy())
    return cells.merge(tested, how="left", left_on=cell, right_index=True)["p"].fillna(1.0).to_numpy()
