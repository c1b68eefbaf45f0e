"""From TRIALS to what the page "Hyperparameters" draws. Pure pandas: no files, no Streamlit."""

from __future__ import annotations

import json
import textwrap
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dashboard import text
from dashboard.frames.trials import mean_interval
from dashboard.runs import foreign
from trainer.stats import intervals
from trainer.stats import objective as searched
from trainer.tracking.schema import PARAM_PREFIX, Trials, TrialState

SCORE, LOW, HIGH, STATE, TRIAL = "score", "low", "high", "state", "trial"
MOST_CHOICES = 6  # different numbers, had by two trials each, up to which each is a category of its own
MOST_NAMED = 40  # different texts; a parameter of more is a name rather than a choice
ALWAYS = 50  # of the best trials are drawn, however many there are
MOST_LINES = 300
THINNED = f"the {ALWAYS} best, the others evenly by number"
BINS = 8  # of a number, along an axis of the map
FEWEST_RANKED = 5  # trials that a rank correlation needs
FEW = 20
NOT_USED, NO_SCORE = "not used", "no score"
BELOW = -0.14  # where along an axis, from 0 to 1, a trial without a value lies
WRAP = 18  # characters of a line
LOWER_IS_BETTER = ("loss", "error", "err", "perplexity", "mse", "rmse", "mae", "nll", "time", "latency")


class Objective(NamedTuple):
    """What makes a trial good."""

    column: str  # of TRIALS
    title: str
    up: bool  # higher is better
    most: float = np.inf  # upper end of what it can be
    least: float = 0.0  # and the lower one, of a sweep of ours


def ours(chosen_by: searched.Objective) -> Objective:
    """What makes a trial of a sweep of ours good."""
    ends = {"most": chosen_by.most, "least": chosen_by.least}
    return Objective(chosen_by.column, f"validation {chosen_by.title}", up=chosen_by.up, **ends)


OURS = ours(searched.F1)


class Parameter(NamedTuple):
    """A hyperparameter that differs between trials."""

    column: str
    title: str  # for people, on one line
    numeric: bool  # else `choices` are its values
    log: bool
    choices: list[str]  # in order

    def words(self, values: pd.Series) -> pd.Series:
        """Values as people read them; null stays null."""
        return values.map(text.value, na_action="ignore")


class Tick(NamedTuple):
    """A mark on an axis."""

    at: float  # from 0 to 1
    label: str


class Yardstick(NamedTuple):
    """The simplest head that was tried: what a search must beat."""

    name: str
    trial: int
    score: float
    ends: tuple[float, float] | None


class Correlation(NamedTuple):
    """Spearman's, with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


def objectives(trials: pd.DataFrame, chosen_by: searched.Objective = searched.F1) -> dict[str, Objective]:
    """What may be looked at; of another program's runs every metric that it logged."""
    if chosen_by.column in trials:
        known = ours(chosen_by)
        return {known.title: known}
    metrics = sorted(name for name in trials.columns if name.startswith(foreign.METRIC_PREFIX))
    found = [(name, name.removeprefix(foreign.METRIC_PREFIX)) for name in metrics]
    return {
        text.clean(title): Objective(name, text.clean(title), up=not _is_loss(title)) for name, title in found
    }


def _is_loss(metric: str) -> bool:
    words = "".join(c if c.isalnum() else " " for c in metric.lower()).split()
    return any(word.endswith(LOWER_IS_BETTER) for word in words)


def tidy(trials: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """TRIALS with the same columns whoever wrote them: ``trial, state, score, low, high, rank`` and what else
    there is. ``rank`` counts complete trials alone, from 1.

    Ends of the interval are cut to where the score itself lies.
    """
    columns = {LOW: objective.column + Trials.LOW, HIGH: objective.column + Trials.HIGH}
    known = not objective.column.startswith(foreign.METRIC_PREFIX)
    ends = {
        end: trials[column].astype(float).clip(objective.least, objective.most) if known else np.nan
        for end, column in columns.items()
    }
    score = pd.to_numeric(trials[objective.column]).astype(float)
    score = score.where(np.isfinite(score) & (trials[STATE] != TrialState.RUNNING))
    complete = score.where(trials[STATE] == TrialState.COMPLETE)
    rank = complete.rank(ascending=not objective.up, method="min")
    return trials.assign(score=score, rank=rank, **ends)


def parameters(trials: pd.DataFrame) -> list[Parameter]:
    """The hyperparameters that differ between the trials that have them; not those of `names_alone`."""
    seen: dict[str, int] = {}
    found = []
    for column in _differing(trials):
        known = trials[column].dropna()
        if _is_name(known):
            continue
        title = text.clean(column.removeprefix(PARAM_PREFIX))
        seen[title] = seen.get(title, 0) + 1
        again = f" ({seen[title]})" if seen[title] > 1 else ""
        found.append(_describe(column, title + again, known))
    return found


def names_alone(trials: pd.DataFrame) -> list[str]:
    """Hyperparameters that have too many different texts to be compared, such as paths."""
    columns = [column for column in _differing(trials) if _is_name(trials[column].dropna())]
    return [text.clean(column.removeprefix(PARAM_PREFIX)) for column in columns]


def _differing(trials: pd.DataFrame) -> list[str]:
    columns = [name for name in trials.columns if name.startswith(PARAM_PREFIX)]
    return [name for name in columns if trials[name].dropna().astype(str).nunique() > 1]


def _is_number(known: pd.Series) -> bool:
    is_number = pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known)
    return is_number and bool(np.isfinite(known.astype(float)).all())


def _is_name(known: pd.Series) -> bool:
    return not _is_number(known) and known.nunique() > MOST_NAMED


def _describe(column: str, title: str, known: pd.Series) -> Parameter:
    is_number = _is_number(known)
    few = known.nunique() <= MOST_CHOICES and known.nunique() <= len(known) / 2
    if is_number and not few:
        return Parameter(column, title, numeric=True, log=spans_orders(known), choices=[])
    ordered = (
        sorted(known.unique())
        if is_number
        else sorted(known.unique(), key=lambda value: text.natural_key(str(value)))
    )
    return Parameter(
        column, title, numeric=False, log=False, choices=list(dict.fromkeys(map(text.value, ordered)))
    )


def spans_orders(values: pd.Series) -> bool:
    """Whether values are spread by factors rather than by differences.

    Of values that are even between 0 and a largest one, a tenth lies below its tenth; a search that looks at
    every order of magnitude has far more there.
    """
    numbers = values.to_numpy(float)
    if numbers.min() <= 0 or numbers.max() < 10 * numbers.min():
        return False
    low = (numbers < numbers.max() / 10).mean()
    return bool(low >= 0.3 or abs(_skewness(np.log(numbers))) < abs(_skewness(numbers)))


def _skewness(numbers: np.ndarray) -> float:
    """As `scipy.stats.skew`, which takes long to import."""
    apart = numbers - numbers.mean()
    return float((apart**3).mean() / (apart**2).mean() ** 1.5)


def best_first(frame: pd.DataFrame, *, up: bool) -> pd.DataFrame:
    """Complete trials before others, the best first, those without a score last; of equal scores the lower
    validation loss, where it is known."""
    other = frame[STATE] != TrialState.COMPLETE
    losses = frame[SCORE] * (-1 if up else 1)
    keys = pd.DataFrame({"other": other, "loss": losses, "tie": frame.get(Trials.VAL_LOSS, 0.0)})
    return frame.loc[keys.sort_values(["other", "loss", "tie"], kind="stable", na_position="last").index]


def thin(frame: pd.DataFrame, *, up: bool, most: int = MOST_LINES, always: int = ALWAYS) -> pd.DataFrame:
    """At most ``most`` trials: the ``always`` best, and of the others as many as fit, evenly by number."""
    if len(frame) <= most:
        return frame
    ranked = best_first(frame, up=up)
    best, rest = ranked.head(always), ranked.iloc[always:].sort_values(TRIAL, kind="stable")
    even = np.linspace(0, len(rest) - 1, most - len(best)).round().astype(int)
    return frame.loc[best.index.union(rest.index[np.unique(even)])]


def colour_range(scores: pd.Series, *, up: bool) -> tuple[float, float]:
    """Scores that the ends of the colours stand for: the worst quarter shares one, so that others differ."""
    known = scores.dropna()
    low, high = (known.quantile(0.25), known.max()) if up else (known.min(), known.quantile(0.75))
    return (float(low), float(high)) if low < high else (float(known.min()), float(known.max()))


def wrap(words: str, width: int = WRAP) -> str:
    """Broken into lines; nothing is cut."""
    return "\n".join(textwrap.wrap(words, width, break_on_hyphens=False)) or words


def number_ticks(low: float, high: float, *, log: bool) -> list[float]:
    """A few round numbers from ``low`` to ``high``."""
    if log:
        first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
        factors, every = ((1, 3) if last - first < 4 else (1,)), max(1, (last - first + 1) // 5)
        ticks = [factor * 10.0**power for power in range(first, last + 1, every) for factor in factors]
        return [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    if low == high:
        return [low]
    rough = (high - low) / 4
    size = 10.0 ** np.floor(np.log10(rough))
    step = min((size * factor for factor in (1, 2, 5, 10)), key=lambda s: abs(np.log(s / rough)))
    return [
        float(tick) for tick in np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    ]


def along(values: pd.Series, parameter: Parameter) -> tuple[pd.Series, list[Tick]]:
    """Where along an axis from 0 to 1 the values lie, nulls at `BELOW`; and the axis's ticks."""
    if parameter.numeric:
        place, ticks = _along_numbers(values.astype(float), log=parameter.log)
    else:
        last = max(len(parameter.choices) - 1, 1)
        at = {choice: number / last for number, choice in enumerate(parameter.choices)}
        place = parameter.words(values).map(at)
        ticks = [Tick(where, wrap(choice)) for choice, where in at.items()]
    if values.isna().any():
        ticks = [Tick(BELOW, NOT_USED), *ticks]
    return place.astype(float).fillna(BELOW), ticks


def _along_numbers(values: pd.Series, *, log: bool) -> tuple[pd.Series, list[Tick]]:
    low, high = float(values.min()), float(values.max())

    def turn(numbers: Any) -> Any:
        return np.log(numbers) if log else numbers

    start, length = float(turn(low)), float(turn(high) - turn(low)) or 1.0
    ticks = [
        Tick((float(turn(at)) - start) / length, text.value(at)) for at in number_ticks(low, high, log=log)
    ]
    return (turn(values) - start) / length, ticks


def polylines(
    frame: pd.DataFrame, shown: list[Parameter], objective: Objective
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials as lines across the axes of parameters and, last, the score.

    Returns:
        lines: ``trial, state, score, axis, at, here``, a row per trial and axis; ``here`` is what it has.
        ticks: ``axis, at, label``; ``axis`` is the title as it is drawn.
    """
    lines, ticks = [], []
    for parameter in shown:
        at, marks = along(frame[parameter.column], parameter)
        here = parameter.words(frame[parameter.column]).fillna(NOT_USED)
        title = wrap(parameter.title)
        lines.append(
            _line(frame, title, at, here.map(lambda value, name=parameter.title: f"{name} = {value}"))
        )
        ticks += [(title, *tick) for tick in marks]
    at, marks = _along_numbers(frame[SCORE], log=False)
    if frame[SCORE].isna().any():
        marks = [Tick(BELOW, NO_SCORE), *marks]
    title = wrap(objective.title)
    taken = {wrap(parameter.title) for parameter in shown}
    title += "\n(score)" if title in taken else ""
    here = frame[SCORE].map(lambda value: f"{objective.title} = {text.score(value)}")
    lines.append(_line(frame, title, at.fillna(BELOW), here))
    ticks += [(title, *tick) for tick in marks]
    return pd.concat(lines, ignore_index=True), pd.DataFrame(ticks, columns=["axis", "at", "label"])


def segments(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines of `polylines` in pieces from one axis to the next: ``trial, state, score, axis, at, next,
    next_at, here``, which is what the trial has at both ends.

    A browser draws thousands of pieces of one mark faster than hundreds of lines, each a mark of its own.
    """
    following = lines.groupby(TRIAL, sort=False)[["axis", "at", "here"]].shift(-1)
    pieces = lines.assign(next=following["axis"], next_at=following["at"], then=following["here"])
    pieces = pieces.dropna(subset=["next"])
    return pieces.assign(here=pieces["here"] + ", " + pieces["then"]).drop(columns="then")


def _line(frame: pd.DataFrame, axis: str, at: pd.Series, here: pd.Series) -> pd.DataFrame:
    return frame[[TRIAL, STATE, SCORE]].assign(axis=axis, at=at, here=here)


def slice_of(frame: pd.DataFrame, parameter: Parameter) -> pd.DataFrame:
    """Trials that have the parameter and a score: ``trial, state, score, x, here``, and ``choice``.

    ``x`` is a number, or a choice's place in the order with the dots of one choice moved apart, the same way
    every time.
    """
    known = frame[frame[SCORE].notna() & frame[parameter.column].notna()]
    words = parameter.words(known[parameter.column])
    here = [f"{parameter.title} = {word}" for word in words]
    rows = known[[TRIAL, STATE, SCORE]].assign(here=here)
    if parameter.numeric:
        return rows.assign(x=known[parameter.column].astype(float))
    return rows.assign(
        x=words.map(_places(parameter)).astype(float) + _aside(known[TRIAL], 0.618034), choice=words
    )


def _places(parameter: Parameter) -> dict[str, int]:
    return {choice: place for place, choice in enumerate(parameter.choices)}


def _aside(trials: pd.Series, step: float) -> pd.Series:
    """From -0.3 to 0.3; multiples of an irrational step fill a length evenly, however many there are."""
    return (trials * step) % 1 * 0.6 - 0.3


def means(rows: pd.DataFrame, parameter: Parameter) -> pd.DataFrame:
    """Mean of the complete trials of each choice and its 95 % t-interval (null for one): ``choice, x, mean,
    low, high, n``, and how many of ``tried`` trials they are.

    Args:
        rows: `slice_of` a parameter that is no number.
    """
    complete = rows[rows[STATE] == TrialState.COMPLETE].groupby("choice")[SCORE]
    result = mean_interval(complete).assign(tried=rows["choice"].value_counts())
    return result.reset_index().assign(x=lambda f: f["choice"].map(_places(parameter)))


def cells(frame: pd.DataFrame, across: Parameter, up: Parameter) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A map of two parameters: the mean score of the trials in each cell, where there are any.

    Returns:
        cells: ``x, x_end, y, y_end, mean, n``.
        dots: the trials that have both and a score: ``trial, state, score, x, y, here``.
    """
    known = frame[frame[[SCORE, across.column, up.column]].notna().all(axis=1)]
    if known.empty:
        return pd.DataFrame(columns=["x", "x_end", "y", "y_end", "mean", "n"]), known[[TRIAL, STATE, SCORE]]
    first, second = slice_of(known, across), slice_of(known, up)
    y = second["x"] if up.numeric else second["choice"].map(_places(up)) + _aside(known[TRIAL], 0.754878)
    dots = first.assign(y=y.astype(float), here=first["here"] + ", " + second["here"])
    ends = {name: edges(dots[name], parameter) for name, parameter in (("x", across), ("y", up))}
    bins = {name: np.searchsorted(inner[1:-1], dots[name], side="right") for name, inner in ends.items()}
    by_cell = dots.assign(x_bin=bins["x"], y_bin=bins["y"]).groupby(["x_bin", "y_bin"])[SCORE]
    found = by_cell.agg(mean="mean", n="size").reset_index()
    for name, places in ends.items():
        at = found[f"{name}_bin"].to_numpy()
        found = found.assign(**{name: places[at], f"{name}_end": places[at + 1]})
    return found[["x", "x_end", "y", "y_end", "mean", "n"]], dots


def edges(places: pd.Series, parameter: Parameter, bins: int = BINS) -> np.ndarray:
    """Ends of bins: even ones of a number, in its logarithm where it has one; around each choice."""
    if not parameter.numeric:
        return np.arange(len(parameter.choices) + 1) - 0.5
    low, high = float(places.min()), float(places.max())
    if low == high:
        return np.array([low, high])
    ends = np.geomspace(low, high, bins + 1) if parameter.log else np.linspace(low, high, bins + 1)
    ends[0], ends[-1] = low, high  # rounding must not lose the extremes
    return ends


def best_so_far(frame: pd.DataFrame, *, up: bool) -> pd.DataFrame:
    """Trials in the order in which they ended: ``done`` (from 1), ``seconds`` (null where not known),
    ``trial, state, score, best`` (of the complete ones so far)."""
    ended = frame[frame[STATE] != TrialState.RUNNING]
    seconds = ended[Trials.FINISHED_S] if Trials.FINISHED_S in ended else pd.Series(np.nan, ended.index)
    ended = ended.assign(seconds=seconds.astype(float)).sort_values(["seconds", TRIAL], kind="stable")
    complete = ended[SCORE].where(ended[STATE] == TrialState.COMPLETE)
    best = (complete.cummax() if up else complete.cummin()).ffill()
    ended = ended.assign(done=np.arange(1, len(ended) + 1), best=best)
    return ended[["done", "seconds", TRIAL, STATE, SCORE, "best"]].reset_index(drop=True)


def yardstick(frame: pd.DataFrame, *, up: bool = True) -> Yardstick | None:
    """The best logistic regression, else the best linear head, of the complete trials of a sweep of ours."""
    complete = frame[(frame[STATE] == TrialState.COMPLETE) & frame[SCORE].notna()]
    for name, column, simple in (
        ("logistic regression", PARAM_PREFIX + "solver", "lbfgs"),
        ("linear head", PARAM_PREFIX + "depth", 0),
    ):
        if column in complete and len(found := complete[complete[column] == simple]):
            best = best_first(found, up=up).iloc[0]
            ends = None if pd.isna(best[LOW]) else (float(best[LOW]), float(best[HIGH]))
            return Yardstick(name, int(best[TRIAL]), float(best[SCORE]), ends)
    return None


def race_extent(frame: pd.DataFrame, measure: Yardstick | None, *, up: bool) -> tuple[float, float]:
    """The axis of `best_so_far`: the line, the yardstick and the better three quarters of the trials."""
    scores = frame[SCORE].dropna()
    share = 0.25 if len(scores) > FEW else 0.0  # of few trials none is left out
    worst = scores.quantile(share if up else 1 - share)
    seen = pd.Series([worst, *frame["best"].dropna(), *([measure.score] if measure else [])])
    seen = pd.concat([seen, scores[scores >= worst] if up else scores[scores <= worst]])
    return float(seen.min()), float(seen.max())


def rungs(frame: pd.DataFrame) -> pd.DataFrame:
    """Every rung that every trial reached: ``trial, state, rung, at_rung, final, last`` (its last one)."""
    rows = []
    for trial in frame.to_dict("records"):
        reached = _read_rungs(trial.get(Trials.RUNGS))
        rows += [
            (trial[TRIAL], trial[STATE], rung, score, trial[SCORE], rung == max(reached))
            for rung, score in sorted(reached.items())
        ]
    return pd.DataFrame(rows, columns=[TRIAL, STATE, "rung", "at_rung", "final", "last"])


def _read_rungs(words: object) -> dict[int, float]:
    try:
        return {int(epoch): float(score) for epoch, score in json.loads(str(words)).items()}
    except (ValueError, TypeError, AttributeError):
        return {}


STAYED, PRUNED, FAILED, RUNNING = "continued", "pruned here", "failed later", "still running"


def survival(reached: pd.DataFrame) -> pd.DataFrame:
    """What became of the trials at each rung: ``rung, fate, n, reached``.

    Args:
        reached: `rungs`.
    """
    fates = {TrialState.PRUNED: PRUNED, TrialState.FAILED: FAILED, TrialState.RUNNING: RUNNING}
    fate = reached[STATE].map(fates).where(reached["last"]).fillna(STAYED)
    counts = (
        reached.assign(fate=fate)
        .groupby(["rung", "fate"], as_index=False)
        .size()
        .rename(columns={"size": "n"})
    )
    return counts.assign(reached=counts.groupby("rung")["n"].transform("sum"))


def early_and_late(reached: pd.DataFrame) -> pd.DataFrame:
    """Complete trials at the rungs before their last: does the early score tell the final one?"""
    complete = reached[(reached[STATE] == TrialState.COMPLETE) & reached["final"].notna()]
    return complete[complete["rung"] < complete["rung"].max()]


def spearman(x: pd.Series, y: pd.Series) -> Correlation | None:
    """``None`` for too few, or where one of the two is the same for all."""
    n = len(x)
    if n < FEWEST_RANKED or x.nunique() < 2 or y.nunique() < 2:
        return None
    value, low, high = intervals.spearman(x.to_numpy(float), y.to_numpy(float))
    return Correlation(value, low, high, n)
