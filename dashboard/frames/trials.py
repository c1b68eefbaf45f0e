"""From the tables of a run to the tables that charts draw. Pure pandas: no files, no Streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from dashboard import text
from trainer.tracking.schema import (
    PARAM_PREFIX,
    Curves,
    Duplicates,
    Pictures,
    Predictions,
    Quarantine,
    Samples,
    Trials,
    TrialState,
)

MOST_GROUPS = 8  # colours that the eye can still tell apart
MOST_BINS = 5
FEWEST_IN_BIN = 4  # values; an interval over fewer says next to nothing
NOT_USED = "not used"  # a hyperparameter that has no meaning in a trial (the width of a linear head)
OTHER = "other"


class Groups(NamedTuple):
    """Which trial belongs to which group."""

    of_trial: pd.Series  # trial → group
    order: list[str]
    ordered: bool  # from low to high, not just side by side


def parameters(trials: pd.DataFrame, *, varying: bool = True) -> list[str]:
    """Columns of hyperparameters; by default those that differ between trials."""
    columns = [name for name in trials.columns if name.startswith(PARAM_PREFIX)]
    return [name for name in columns if not varying or _differ(trials[name])]


def _differ(values: pd.Series) -> bool:
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_string_dtype(values.dtype):
        return values.nunique(dropna=False) > 1
    return values.astype(str).nunique() > 1  # other programs log lists, too


def top(trials: pd.DataFrame, count: int) -> pd.DataFrame:
    """The ``count`` best complete trials, best first; trials of any state while none is complete.

    Intervals are cut to [0, 1], where the score itself lies (those over two seeds go far beyond).
    """
    complete = trials[trials[Trials.STATE] == TrialState.COMPLETE]
    chosen = complete if len(complete) else trials
    best = chosen.sort_values(Trials.VAL_F1_MACRO, ascending=False, kind="stable").head(count)
    ends = [Trials.VAL_F1_MACRO_LOW, Trials.VAL_F1_MACRO_HIGH]
    return best.assign(**{end: best[end].astype(float).clip(0, 1) for end in ends})


def best_so_far(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials in the order in which they ended: ``done`` (from 1), ``score``, ``best``, trial and state.

    Trials without a score (failed, running) are left out.
    """
    ended = trials[trials[Trials.STATE] != TrialState.RUNNING].dropna(subset=[Trials.VAL_F1_MACRO])
    ended = ended.sort_values(Trials.FINISHED_S, kind="stable")
    complete = ended[Trials.VAL_F1_MACRO].where(ended[Trials.STATE] == TrialState.COMPLETE)
    return pd.DataFrame(
        {
            "done": np.arange(1, len(ended) + 1),
            "trial": ended[Trials.TRIAL].to_numpy(),
            "state": ended[Trials.STATE].to_numpy(),
            "score": ended[Trials.VAL_F1_MACRO].to_numpy(),
            "best": complete.cummax().ffill().to_numpy(),
        }
    )


def group_by(trials: pd.DataFrame, column: str) -> Groups:
    """Group trials by a column; a number with many values by quantiles, at most `MOST_BINS` of them.

    Of more than `MOST_GROUPS` names the rarest become one group.
    """
    values = trials.set_index(Trials.TRIAL)[column]
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    known = values.dropna()
    if numeric and known.nunique() > MOST_BINS:
        groups, order = _quantiles(known)
    elif numeric:
        groups, order = known.map(text.value), [text.value(v) for v in sorted(known.unique())]
    else:
        names = known.astype(str).map(text.clean)
        order = list(names.value_counts().index)
        kept = order if len(order) <= MOST_GROUPS else order[: MOST_GROUPS - 1]
        groups = names.where(names.isin(kept), OTHER)
        order = sorted(kept) + ([OTHER] if len(kept) < len(order) else [])
    filled = groups.astype(object).reindex(values.index, fill_value=NOT_USED)
    return Groups(filled, order + ([NOT_USED] if len(known) < len(values) else []), ordered=numeric)


def _quantiles(values: pd.Series) -> tuple[pd.Series, list[str]]:
    bins = min(MOST_BINS, max(2, values.nunique() // FEWEST_IN_BIN))
    codes = pd.qcut(values, bins, labels=False, duplicates="drop")
    ends = values.groupby(codes).agg(["min", "max"])
    names = [
        text.value(low) if low == high else f"{text.value(low)} – {text.value(high)}"
        for low, high in ends.itertuples(index=False)
    ]
    return codes.map(dict(zip(ends.index, names, strict=True))), names


def one_group(trials: pd.DataFrame, name: str) -> Groups:
    """All trials in one group."""
    return Groups(pd.Series(name, index=trials[Trials.TRIAL].to_numpy(), dtype=object), [name], ordered=False)


def series(curves: pd.DataFrame) -> list[tuple[str, str]]:
    """(split, metric) pairs that the curves hold."""
    pairs = curves[[Curves.SPLIT, Curves.METRIC]].drop_duplicates()
    return sorted((split, metric) for split, metric in pairs.itertuples(index=False))


def lines(curves: pd.DataFrame, split: str, metric: str, groups: Groups | None) -> pd.DataFrame:
    """One line per trial, the mean over its seeds: ``group, trial, epoch, value``.

    ``groups=None`` groups by seed instead, so that a line is one seed of one trial.
    """
    chosen = curves[(curves[Curves.SPLIT] == split) & (curves[Curves.METRIC] == metric)]
    chosen = chosen[np.isfinite(chosen[Curves.VALUE])]
    if groups is None:
        chosen = chosen.assign(group=chosen[Curves.SEED].map(lambda seed: f"seed {seed}"))
    else:
        chosen = chosen.assign(group=chosen[Curves.TRIAL].map(groups.of_trial))
    keys = ["group", Curves.TRIAL, Curves.EPOCH]
    return chosen.dropna(subset=["group"]).groupby(keys, as_index=False)[Curves.VALUE].mean()


def bands(lines: pd.DataFrame) -> pd.DataFrame:
    """Mean over trials with its 95 % t-interval: ``group, epoch, mean, low, high, n``.

    Seeds of a trial share its configuration and are no independent draws: they were averaged first, and
    n counts trials. ``low`` and ``high`` are null where n = 1.
    """
    of = lines.groupby(["group", Curves.EPOCH])[Curves.VALUE]
    frame = of.agg(mean="mean", spread="std", n="size").reset_index()
    half = stats.t.ppf(0.975, np.maximum(frame["n"] - 1, 1)) * frame["spread"] / np.sqrt(frame["n"])
    return frame.assign(low=frame["mean"] - half, high=frame["mean"] + half).drop(columns="spread")


def density(lines: pd.DataFrame, extent: tuple[float, float], *, log: bool, bins: int = 56) -> pd.DataFrame:
    """Where all lines run, for more of them than can be drawn: ``epoch, low, high, n, share``, one row for
    each field of a grid that a line passes; ``share`` of the lines that have that epoch.

    Args:
        extent: of the values; what lies beyond counts in the outermost fields.
        log: fields even in the logarithm.
    """
    values = lines[lines[Curves.VALUE] > 0] if log else lines
    if values.empty:
        return pd.DataFrame(columns=[Curves.EPOCH, "low", "high", "n", "share"])
    low, high = extent if extent[1] > extent[0] else (extent[0] - 0.5, extent[0] + 0.5)
    if log:
        low = max(low, float(values[Curves.VALUE].min()))
        edges = np.geomspace(low, max(high, low * 1.01), bins + 1)
    else:
        edges = np.linspace(low, high, bins + 1)
    field = np.clip(np.searchsorted(edges, values[Curves.VALUE].to_numpy(), side="right") - 1, 0, bins - 1)
    counts = values.assign(field=field).groupby([Curves.EPOCH, "field"]).size().rename("n").reset_index()
    counts["share"] = counts["n"] / counts.groupby(Curves.EPOCH)["n"].transform("sum")
    return counts.assign(low=edges[counts["field"]], high=edges[counts["field"] + 1]).drop(columns="field")


def spread(scores: Mapping[str, pd.Series], edges: np.ndarray, *, by: str) -> pd.DataFrame:
    """Histogram of the scores of each kind: ``by`` (its name and n), ``low, high, n, share`` of the kind."""
    parts = []
    for name, score in scores.items():
        n, _ = np.histogram(score, edges)
        share = n / max(len(score), 1)
        called = f"{name} (n = {len(score):,})"
        parts.append(pd.DataFrame({by: called, "low": edges[:-1], "high": edges[1:], "n": n, "share": share}))
    return pd.concat(parts, ignore_index=True)


def smoothed(bands: pd.DataFrame, strength: float) -> pd.DataFrame:
    """Means as exponential moving averages, unbiased at the start; intervals and single lines stay as they
    are, so that spikes show."""
    if strength <= 0:
        return bands
    means = bands.sort_values(["group", Curves.EPOCH]).groupby("group")["mean"]
    return bands.assign(mean=means.transform(lambda one: one.ewm(alpha=1 - strength, adjust=True).mean()))


def stopped_early(lines: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """The last point of every line whose trial was given up."""
    pruned = trials.loc[trials[Trials.STATE] == TrialState.PRUNED, Trials.TRIAL]
    of_pruned = lines[lines[Curves.TRIAL].isin(pruned)]
    last = of_pruned.groupby(["group", Curves.TRIAL])[Curves.EPOCH].idxmax()
    return of_pruned.loc[last]


def axis_range(values: pd.Series) -> tuple[float, float]:
    """From the smallest to the largest value; values far outside the middle 98 % (a loss that exploded)
    do not stretch it."""
    low, high = values.quantile([0.01, 0.99])
    reach = 3 * (high - low)
    if reach == 0:
        return float(values.min()), float(values.max())
    return float(max(values.min(), low - reach)), float(min(values.max(), high + reach))


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
        column.value_counts().reindex(classes, fill_value=0)
        for column in (right, rows[Predictions.LABEL], rows[Predictions.PRED])
    )
    seen = (support + called) > 0
    figures = {
        "precision": hits / called.clip(lower=1),
        "recall": hits / support.clip(lower=1),
        "f1": 2 * hits / (support + called).clip(lower=1),
    }
    columns = {name: column.where(seen) for name, column in figures.items()}
    return pd.DataFrame({"class": classes, **columns, "support": support}).reset_index(drop=True)


def mistakes(cells: pd.DataFrame) -> pd.DataFrame:
    """Off-diagonal cells, most frequent first."""
    wrong = cells[cells[Predictions.LABEL] != cells[Predictions.PRED]]
    return wrong.sort_values(["n", "share"], ascending=False, kind="stable").reset_index(drop=True)


def wilson(hits: int, n: int) -> tuple[float, float] | None:
    """95 % interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    if n == 0:
        return None
    z, share = 1.959964, hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return centre - half, centre + half


def sample_evenly(points: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most ``most`` rows, each label keeping its share; the same rows every time."""
    if len(points) <= most:
        return points
    shares = points.groupby(Samples.LABEL, group_keys=False)
    return shares.sample(frac=most / len(points), random_state=0).sort_index()


def landmarks(points: pd.DataFrame, *, columns: int = 22, rows: int = 15, fewest: int = 3) -> pd.DataFrame:
    """Points spread over the map, each the middle one of a cell of a grid, the most crowded cells first.

    No two are nearer than a cell in both directions, so that pictures of a cell's size do not cover each
    other. Cells with less than ``fewest`` points have none: an outlier is no landmark.

    Args:
        points: with ``x`` and ``y``.
    """
    if points.empty:
        return points
    place = points[["x", "y"]] - points[["x", "y"]].min()
    place *= [columns, rows] / place.max().replace(0, 1)  # in cells
    cell = place.clip(upper=[columns - 0.5, rows - 0.5], axis=1).astype(int).apply(tuple, axis=1)
    distance = (place - place.groupby(cell).transform("mean")).pow(2).sum(axis=1)
    crowd = cell.groupby(cell).size().sort_values(ascending=False, kind="stable")
    middle = distance.groupby(cell).idxmin()
    kept: list = []
    for one in crowd.index[crowd >= min(fewest, len(points))]:
        gap = (place.loc[kept] - place.loc[middle[one]]).abs().max(axis=1)
        if not (gap < 1).any():
            kept.append(middle[one])
    return points.loc[kept]


def reasons(quarantine: pd.DataFrame) -> pd.DataFrame:
    """How many files were quarantined for what: ``reason, n``, the most frequent first.

    A reason is told up to its particulars: "not an image (begins with …)" is "not an image".
    """
    kinds = quarantine[Quarantine.REASON].str.split(r": | \(", n=1, regex=True).str[0]
    return kinds.value_counts().rename_axis("reason").reset_index(name="n")


def with_size(pictures: pd.DataFrame) -> pd.DataFrame:
    """PICTURES with the shorter side as one more measure."""
    return pictures.assign(**{Pictures.SIZE: pictures[[Pictures.WIDTH, Pictures.HEIGHT]].min(axis=1)})


def histogram(pictures: pd.DataFrame, measure: str, *, wide: bool, bins: int = 40) -> pd.DataFrame:
    """Where a measure's values lie, split by split: ``split, low, high, n, share, total``, a row per bin.

    Every split has every bin, so that lines come down to zero. ``share`` is n / total, ``total`` the split's
    pictures that have the measure: splits of any size can be compared.

    Args:
        wide: bins even in log(1 + value), for measures over orders of magnitude.
    """
    known = pictures[[Pictures.SPLIT, measure]].dropna()
    if known.empty:
        return pd.DataFrame(columns=["split", "low", "high", "n", "share", "total"])
    low, high = float(known[measure].min()), float(known[measure].max())
    if low == high:  # all alike: one bin around them
        edges = np.array([low - 0.5, low + 0.5])
    elif wide:
        edges = np.expm1(np.linspace(np.log1p(low), np.log1p(high), bins + 1))
        edges[0], edges[-1] = low, high  # rounding must not lose the extremes
    else:
        edges = np.linspace(low, high, bins + 1)
    parts = []
    for split, values in known.groupby(Pictures.SPLIT)[measure]:
        n = np.histogram(values, edges)[0]
        part = {"split": split, "low": edges[:-1], "high": edges[1:], "n": n, "share": n / len(values)}
        parts.append(pd.DataFrame(part).assign(total=len(values)))
    return pd.concat(parts, ignore_index=True)


def extremes(pictures: pd.DataFrame, measure: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The pictures with the lowest values, lowest first, and those with the highest, highest first.

    None is in both. Of equal values those that have a thumbnail come first.
    """
    known = pictures.dropna(subset=measure)
    unseen = known[Pictures.THUMBNAIL].isna()
    most = min(Pictures.EXTREMES, len(known) // 2)
    low, high = (
        known.assign(unseen=unseen)
        .sort_values([measure, "unseen"], ascending=[up, True], kind="stable")
        .head(most)
        for up in (True, False)
    )
    return low, high


def duplicate_counts(pairs: pd.DataFrame, near: dict[str, int]) -> pd.DataFrame:
    """``between, same bytes, near``: pairs within and across splits, leaks first; only where there are some.

    Args:
        pairs: DUPLICATES, of which the copies are counted.
        near: how many near-duplicates there are; the table holds the closest alone.
    """
    same = pairs[pairs[Duplicates.KIND] == Duplicates.SAME]
    copies = (same[Duplicates.SPLIT_A] + "/" + same[Duplicates.SPLIT_B]).value_counts()
    rows = [(b, int(copies.get(b, 0)), int(near.get(b, 0))) for b in Duplicates.BETWEEN]
    frame = pd.DataFrame(rows, columns=["between", Duplicates.SAME, Duplicates.NEAR])
    return frame[frame[[Duplicates.SAME, Duplicates.NEAR]].sum(axis=1) > 0].reset_index(drop=True)
