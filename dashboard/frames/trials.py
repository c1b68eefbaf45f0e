"""From the tables of a run to the tables that charts draw. Pure pandas: no files, no Streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dashboard import text
from trainer.stats.intervals import student_reach
from trainer.stats.objective import F1, Objective
from trainer.tracking.schema import (
    PARAM_PREFIX,
    Curves,
    Trials,
    TrialState,
)

MOST_GROUPS = 8  # colours that the eye can still tell apart
MOST_BINS = 5
FEWEST_IN_BIN = 4  # values; an interval over fewer says next to nothing
FEWEST_IN_BAND = 5  # trials; a t-interval over fewer is wider than what it is about
SOLVER, DESCENT = PARAM_PREFIX + "solver", "descent"
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


def top(trials: pd.DataFrame, count: int, objective: Objective = F1) -> pd.DataFrame:
    """Return the ``count`` best complete trials, best first, with ``score, low, high`` by the objective;
    trials of any state while none is complete.

    Intervals are cut to where the score itself lies (those over two seeds go far beyond). Where nothing
    varied there is none, and ``deterministic`` is true.
    """
    complete = trials[trials[Trials.STATE] == TrialState.COMPLETE]
    best = best_first(complete if len(complete) else trials, objective).head(count)
    column = objective.column
    low, high = (best[column + end].astype(float) for end in (Trials.LOW, Trials.HIGH))
    fixed = (high - low) < text.NO_WIDTH
    ends = {
        name: end.clip(objective.least, objective.most).mask(fixed)
        for name, end in (("low", low), ("high", high))
    }
    return best.assign(score=best[column], deterministic=fixed, **ends)


def best_first(trials: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Trials by score; of equal ones the lower validation loss is first, then the earlier trial."""
    ascending = [not objective.up, True]
    return trials.sort_values([objective.column, Trials.VAL_LOSS], ascending=ascending, kind="stable")


def interval_over(trials: pd.DataFrame) -> str:
    """What the intervals of the scores are over; studies of earlier versions know seeds alone."""
    errors = trials[[name for name in trials.columns if name.endswith(Trials.UNIT_SE)]]
    return "seeds" if errors.isna().all(axis=None) else "judged rows (groups) and seeds"


def best_so_far(trials: pd.DataFrame, objective: Objective = F1) -> pd.DataFrame:
    """Trials in the order in which they ended: ``done`` (from 1), ``score``, ``best``, trial and state.

    Trials without a score (failed, running) are left out.
    """
    ended = trials[trials[Trials.STATE] != TrialState.RUNNING].dropna(subset=[objective.column])
    ended = ended.sort_values(Trials.FINISHED_S, kind="stable")
    complete = ended[objective.column].where(ended[Trials.STATE] == TrialState.COMPLETE)
    best = complete.cummax() if objective.up else complete.cummin()
    return pd.DataFrame(
        {
            "done": np.arange(1, len(ended) + 1),
            "trial": ended[Trials.TRIAL].to_numpy(),
            "state": ended[Trials.STATE].to_numpy(),
            "score": ended[objective.column].to_numpy(),
            "best": best.ffill().to_numpy(),
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


def without_epochs(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials whose heads are fitted to their optimum or in closed form: logistic regressions, whose steps are
    iterations, ridge regressions, Gaussian discriminants."""
    if SOLVER not in trials:
        return trials.head(0)
    return trials[trials[SOLVER].notna() & (trials[SOLVER] != DESCENT)]


SOLVERS = {"lbfgs": "logistic regression", "ridge": "ridge regression", "gda": "Gaussian discriminant"}
PENALTIES = {"l2": "L2 penalty", "shrinkage": "shrinkage"}
SETTINGS = ("scaling", "class_weight", "start")  # of these heads, besides


def penalty_paths(trials: pd.DataFrame, objective: Objective) -> dict[str, pd.DataFrame]:
    """Return, for each of `PENALTIES` that these heads have, ``trial, head, settings, penalty, score, low,
    high, loss``; a line is one head with the same settings.

    Args:
        trials: of `without_epochs`.
    """
    found = {}
    for name in PENALTIES:
        column = PARAM_PREFIX + name
        if column not in trials:
            continue
        known = trials[trials[column].notna() & trials[objective.column].notna()]
        settings = [known[PARAM_PREFIX + one].astype(str) for one in SETTINGS if PARAM_PREFIX + one in known]
        rows = pd.DataFrame(
            {
                "trial": known[Trials.TRIAL],
                "head": known[SOLVER].astype(str).map(lambda solver: SOLVERS.get(solver, text.clean(solver))),
                "settings": [", ".join(map(text.clean, row)) for row in zip(*settings, strict=True)]
                if settings
                else "",
                "penalty": known[column].astype(float),
                "score": known[objective.column],
                "low": known[objective.column + Trials.LOW].astype(float),
                "high": known[objective.column + Trials.HIGH].astype(float),
                "loss": known[Trials.VAL_LOSS],
            }
        )
        if len(rows):
            found[name] = rows.sort_values("penalty", kind="stable").reset_index(drop=True)
    return found


def bands(lines: pd.DataFrame) -> pd.DataFrame:
    """Mean over trials with its 95 % t-interval: ``group, epoch, mean, low, high, n``.

    Seeds of a trial share its configuration and are no independent draws: they were averaged first, and
    n counts trials. ``low`` and ``high`` are null where n is below `FEWEST_IN_BAND`.
    """
    of = lines.groupby(["group", Curves.EPOCH])[Curves.VALUE]
    found = mean_interval(of).reset_index()
    ends = ["low", "high"]
    return found.assign(**{end: found[end].where(found["n"] >= FEWEST_IN_BAND) for end in ends})


def mean_interval(groups: Any) -> pd.DataFrame:
    """``mean, n, low, high`` of grouped values, with the 95 % t-interval (null for one value)."""
    frame = groups.agg(mean="mean", n="size", error="sem")
    reach = student_reach(frame["error"], frame["n"])
    return frame.assign(low=frame["mean"] - reach, high=frame["mean"] + reach).drop(columns="error")


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
