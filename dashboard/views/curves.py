"""Training curves of all trials, grouped by a hyperparameter."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import curves as charts
from dashboard.charts.curves import HERE, LINE
from dashboard.charts.palette import colours
from dashboard.frames import trials as trial_frames
from dashboard.runs import foreign
from dashboard.runs.run_info import RunInfo
from dashboard.ui import layout, state
from dashboard.ui.chart_spec import Drawing, drawing, side_by_side
from trainer.stats.objective import Objective
from trainer.tracking.schema import PARAM_PREFIX, Artifact, Curves, RunState, Trials, TrialState

MOST_RAW = 100  # faint lines; more are slow to draw, and become fields that are darker where more of them run
NAMES = {  # our series, in the order in which people ask for them
    ("val", "f1_macro"): "validation macro-F1",
    ("val", "balanced_accuracy"): "validation balanced accuracy",
    ("val", "loss"): "validation loss",
    ("train", "loss"): "training loss",
    ("val", "accuracy"): "validation accuracy",
    ("train", "lr"): "learning rate",
}
ALL, SEED, STATE = "all trials", "seed", "state"
RATE = ("train", "lr")
TRIAL = "trial"  # query parameter: the trial that is drawn over all others
FIELD = "curves-field-{}-{}"  # session: the field of the shadow that was clicked, of a run and a metric
MOST_OFFERED = 24  # trials of a field
CONTROLS = ("metric", "group", "smooth", "log", "log_x", "hide_pruned", "raw")
EPOCHS = "epochs-{}-{}"  # key of that slider, for it is another one where the ends are others
CONTROLS_HEIGHT = 116  # pixels, about


class CurveChoices(NamedTuple):
    """What the controls say, and what they say at first."""

    series: str
    epochs: tuple[int, int]
    by: str = ALL
    log: bool = False
    log_x: bool = False
    smooth: float = 0.0
    hide_pruned: bool = False
    raw_too: bool = True


def show(info: RunInfo) -> None:
    trials, curves = state.table(info, Artifact.TRIALS), state.table(info, Artifact.CURVES)
    if trials is None or curves is None or curves.empty:
        if info.state == RunState.LIVE:
            layout.empty("No epoch has ended yet.")
        else:
            layout.missing(info, "curves")
        return
    versions = (state.version(info, table) for table in (Artifact.TRIALS, Artifact.CURVES))
    version = ("curves", info.run_id, *versions)
    names, ends = state.kept(version, lambda: known(curves))
    layout.controlled(
        lambda: controls(trials, ends, names),
        CurveChoices(next(iter(names)), ends),
        lambda asked: show_asked(info, trials, curves, names[asked.series], version, asked),
        names=[*CONTROLS, EPOCHS.format(*ends)],
        height=CONTROLS_HEIGHT,
    )


def show_asked(
    info: RunInfo,
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    series: tuple[str, str],
    version: Hashable,
    asked: CurveChoices,
) -> None:
    """The curves that the controls ask for, and what belongs to them."""
    left = (asked.series, asked.by, asked.epochs, asked.hide_pruned)
    drawn = state.kept((version, *left), lambda: prepared(trials, curves, series, asked))
    if drawn.lines.empty:
        layout.empty("No trial is left to draw: widen the filters above.", ":material/filter_alt_off:")
        return
    marked = marked_trial(drawn.lines)
    step = "epoch" if info.ours else "step"
    number = None if marked is None else int(marked[Curves.TRIAL].iloc[0])
    shown = state.kept((version, asked, number), lambda: figures_of(drawn, asked, marked, step=step))
    field = FIELD.format(info.run_id, asked.series)
    draw(shown, drawn, asked, key=f"curves-{info.run_id}-{number}", field=field)
    offer(drawn, field, info.objective)
    if marked is not None:
        card(info, drawn.trials, marked, field)
    tracks(shown)
    if not info.ours and len(trials) > foreign.MOST_CHILDREN:
        layout.sentence(f"Only the first {foreign.MOST_CHILDREN} of {len(trials)} runs are drawn.")


class Drawn(NamedTuple):
    """What the controls leave of a run."""

    trials: pd.DataFrame
    lines: pd.DataFrame  # of the chosen series
    rates: pd.DataFrame  # of the learning rate
    groups: trial_frames.Groups


class CurveFigures(NamedTuple):
    """What is shown of it."""

    bands: pd.DataFrame
    groups: int
    curves: Drawing
    left: Drawing | None  # how many trials are left at each epoch
    rates: Drawing | None
    says: str
    clickable: list[str]  # what of it can be selected


def known(curves: pd.DataFrame) -> tuple[dict[str, tuple[str, str]], tuple[int, int]]:
    """Series by name, first and last epoch."""
    return series_names(curves), (int(curves[Curves.EPOCH].min()), int(curves[Curves.EPOCH].max()))


def prepared(
    trials: pd.DataFrame, curves: pd.DataFrame, series: tuple[str, str], asked: CurveChoices
) -> Drawn:
    """The lines to draw."""
    if asked.hide_pruned:
        trials = trials[trials[Trials.STATE] != TrialState.PRUNED]
    among = curves[Curves.TRIAL].isin(trials[Trials.TRIAL]) & curves[Curves.EPOCH].between(*asked.epochs)
    curves = curves[among]
    groups = grouping(trials, curves, asked.by)
    of_trial = None if asked.by == SEED else groups
    lines, rates = (trial_frames.lines(curves, *pair, of_trial) for pair in (series, RATE))
    return Drawn(trials, lines, rates, groups)


def series_names(curves: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Name for people → (split, metric); ours first."""
    found = trial_frames.series(curves)
    ours = [pair for pair in NAMES if pair in found]
    rest = [pair for pair in found if pair not in NAMES]
    return {NAMES.get(pair) or text.plain(" ".join(pair).strip()): pair for pair in ours + rest}


def controls(trials: pd.DataFrame, ends: tuple[int, int], names: dict[str, tuple[str, str]]) -> CurveChoices:
    """The row of controls; all are kept in the address."""
    columns = {text.plain(name.removeprefix(PARAM_PREFIX)): name for name in trial_frames.parameters(trials)}
    options = [ALL, *columns, STATE, SEED]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        series = st.selectbox("Metric", list(names), key="metric", bind="query-params", width=200)
        by = st.selectbox("Group by", options, key="group", bind="query-params", width=170)
        epochs = epoch_range(*ends)
        smooth = st.slider("Smoothing", 0.0, 0.95, 0.0, 0.05, key="smooth", bind="query-params", width=120)
        log = st.toggle("Log y", key="log", bind="query-params")
        log_x = st.toggle("Log x", key="log_x", bind="query-params")
        hide_pruned = st.toggle("Hide pruned", key="hide_pruned", bind="query-params")
        raw_too = st.toggle("Single trials", value=True, key="raw", bind="query-params")
    return CurveChoices(series, epochs, columns.get(by, by), log, log_x, smooth, hide_pruned, raw_too)


def epoch_range(first: int, last: int) -> tuple[int, int]:
    """Which epochs to draw: the first few often hide the differences between the later ones."""
    if first == last:
        return first, last
    return st.slider("Epochs", first, last, (first, last), key=EPOCHS.format(first, last), width=190)


def grouping(trials: pd.DataFrame, curves: pd.DataFrame, by: str) -> trial_frames.Groups:
    if by == ALL:
        return trial_frames.one_group(trials, ALL)
    if by == SEED:
        order = [f"seed {seed}" for seed in sorted(curves[Curves.SEED].unique())]
        return trial_frames.Groups(pd.Series(dtype=object), order, ordered=False)
    return trial_frames.group_by(trials, by)


def figures_of(drawn: Drawn, asked: CurveChoices, marked: pd.DataFrame | None, *, step: str) -> CurveFigures:
    trials, lines, rates, groups = drawn
    bands = trial_frames.smoothed(trial_frames.bands(lines), asked.smooth)
    order = [name for name in groups.order if name in set(bands["group"])]
    palette = colours(order, ordered=groups.ordered, quiet=(trial_frames.NOT_USED, trial_frames.OTHER))
    extent = trial_frames.axis_range(lines["value"])
    many = lines[["group", Curves.TRIAL]].drop_duplicates().shape[0] > MOST_RAW
    raw = lines if asked.raw_too and not many else lines.head(0)
    shadow = trial_frames.density(lines, extent, log=asked.log) if asked.raw_too and many else None
    best = best_epochs(trials, raw)
    options = charts.CurveOptions(
        order=order,
        palette=palette,
        title=asked.series,
        legend=text.clean(asked.by.removeprefix(PARAM_PREFIX)),
        extent=extent,
        log=asked.log,
        log_x=asked.log_x,
        step=step,
        dark=state.is_dark(),
    )
    stopped = trial_frames.stopped_early(raw, trials) if asked.raw_too else None
    chart = charts.curves(bands, raw, best, options, charts.CurveOverlays(shadow, stopped, marked))
    left = rate = None
    if bands["n"].max() > 1:
        left = drawing(charts.trials_left(bands, order=order, palette=palette))
    if asked.series != NAMES[RATE] and len(rates):
        by_epoch = trial_frames.bands(rates)
        rate = drawing(charts.rates(by_epoch, order=order, palette=palette, log_x=asked.log_x))
    says = explain(bands, lines, raw, best, label=asked.series, shadow=shadow is not None)
    clickable = [LINE] * bool(len(raw)) + [HERE] * (shadow is not None)
    return CurveFigures(bands, len(order), drawing(chart), left, rate, says, clickable)


def draw(shown: CurveFigures, drawn: Drawn, asked: CurveChoices, *, key: str, field: str) -> None:
    """The curves; ``key`` is of a chart in which nothing has been clicked yet."""
    says = f"{asked.series} by epoch, mean of {shown.groups} groups of trials with 95 % bands"
    layout.draw(
        shown.curves,
        key=key,
        on_select=(lambda: clicked(st.session_state[key], field)) if shown.clickable else "ignore",
        selection_mode=shown.clickable or None,
        alt_text=says,
    )
    parts = [part for part in (shown.curves, shown.left, shown.rates) if part is not None]
    n = text.count(drawn.lines[Curves.TRIAL].nunique(), "trial")
    layout.export(shown.bands, name="curves", figure=lambda: side_by_side(parts, columns=1), title=says, n=n)


def tracks(shown: CurveFigures) -> None:
    """What runs along below the curves, and what all of it says."""
    if shown.left is not None:
        layout.draw(shown.left, alt_text="Trials that are left at each epoch, by group")
    if shown.rates is not None:
        layout.draw(shown.rates, alt_text="Learning rate by epoch, mean of each group")
    layout.sentence(shown.says)


def clicked(event: Any, field: str) -> None:
    """Open the trial whose line was clicked; of a field, where many run, remember which it was."""
    for name, picked in event["selection"].items():
        place = picked[0] if picked else {}  # empty, too, where a mean was clicked
        if name == LINE and "trial" in place:
            st.query_params[TRIAL] = str(int(place["trial"]))
            st.session_state.pop(field, None)
        elif name == HERE and "low" in place:
            st.session_state[field] = place


def offer(drawn: Drawn, field: str, objective: Objective) -> None:
    """The trials of the clicked field, the best first, to choose one of."""
    place = st.session_state.get(field)
    if place is None:
        return
    here = drawn.lines[drawn.lines[Curves.EPOCH] == place["epoch"]]
    here = here[here[Curves.VALUE].between(place["low"], place["high"])]
    found = drawn.trials[drawn.trials[Trials.TRIAL].isin(here[Curves.TRIAL])]
    if objective.column in found:
        found = trial_frames.best_first(found, objective)
    numbers = found[Trials.TRIAL].astype(int).tolist()
    if not numbers:
        return
    values = f"{text.score(place['low'])} to {text.score(place['high'])}"
    which = f"{text.count(len(numbers), 'trial')} at {values}"
    more = f", the best {MOST_OFFERED} of them" if len(numbers) > MOST_OFFERED else ""
    key = f"here-{place['epoch']}-{place['low']}"
    st.pills(
        f"{which}, epoch {place['epoch']:g}{more}: open",
        numbers[:MOST_OFFERED],
        key=key,
        on_change=lambda: chosen(st.session_state[key]),
    )


def chosen(trial: int | None) -> None:
    if trial is None:
        st.query_params.pop(TRIAL, None)
    else:
        st.query_params[TRIAL] = str(trial)


def marked_trial(lines: pd.DataFrame) -> pd.DataFrame | None:
    """The line of the trial that the address names; None where it names none of these."""
    wanted = st.query_params.get(TRIAL, "")
    found = lines[lines[Curves.TRIAL] == int(wanted)] if wanted.isdigit() else lines.head(0)
    if found.empty:
        return None
    return found.groupby([Curves.TRIAL, Curves.EPOCH])[Curves.VALUE].mean().reset_index()


def card(info: RunInfo, trials: pd.DataFrame, marked: pd.DataFrame, field: str) -> None:
    """What the trial that is drawn over all others was."""
    number = int(marked[Curves.TRIAL].iloc[0])
    row = trials[trials[Trials.TRIAL] == number].iloc[0]
    told = ", ".join(
        f"{name.removeprefix(PARAM_PREFIX)} {text.value(row[name])}"
        for name in trial_frames.parameters(trials)
        if pd.notna(row[name])
    )
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.text(
            f"Trial {number} ({row[Trials.STATE]}) is drawn over the others: {text.clean(told, longest=600)}"
        )
        if info.ours or len(trials) > 1:
            st.page_link(
                "views/hyperparameters.py",
                label="All about it",
                icon=":material/tune:",
                query_params={state.RUN: info.run_id, TRIAL: str(number)},
            )
        if st.button("Clear", type="tertiary"):
            st.query_params.pop(TRIAL, None)
            st.session_state.pop(field, None)
            st.rerun()


def best_epochs(trials: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
    """The point of each drawn line at its trial's best epoch (mean over seeds, rounded)."""
    if Trials.BEST_EPOCH not in trials or raw.empty:
        return raw.head(0)
    best = trials.set_index(Trials.TRIAL)[Trials.BEST_EPOCH].round()
    return raw[raw[Curves.EPOCH] == raw[Curves.TRIAL].map(best)]


def explain(
    bands: pd.DataFrame,
    lines: pd.DataFrame,
    raw: pd.DataFrame,
    best: pd.DataFrame,
    *,
    label: str,
    shadow: bool,
) -> str:
    """What the chart shows, on how many trials, and what it leaves out."""
    sizes = lines.groupby("group")[Curves.TRIAL].nunique()
    drawn = raw[["group", Curves.TRIAL]].drop_duplicates().shape[0]
    total = int(sizes.sum())
    if sizes.max() == 1:
        return f"{label} of {text.count(total, 'run')} (n = 1 per line), so there is no interval to draw."
    counts = f"n = {total}"
    if len(sizes) > 1:
        counts += f" in {len(sizes)} groups of {sizes.min()}"
        counts += f" to {sizes.max()}" if sizes.max() > sizes.min() else ""
    words = [
        f"Mean {label} of the trials ({counts}) and its 95 % t-interval; seeds of a trial are averaged first."
    ]
    start, end = bands.groupby(Curves.EPOCH)["n"].sum().iloc[[0, -1]]
    if end < start:
        words.append(f"n falls from {start} to {end} as trials stop early: a late mean is one of survivors.")
    if len(best):
        words.append("Diamonds mark each trial's best epoch.")
    if len(raw):
        words.append("Click a faint line to open its trial.")
    low, high = trial_frames.axis_range(lines["value"])
    beyond = lines.loc[~lines["value"].between(low, high), Curves.TRIAL].nunique()
    if beyond:
        words.append(f"{text.count(beyond, 'trial')} went beyond the axis, which a log axis would show.")
    if shadow:
        words.append(f"Grey: where all {total} lines run, the darker the more; click a field for its trials.")
    if 0 < drawn < total:
        words.append(f"Of the single trials {drawn} of {total} are drawn.")
    return " ".join(words)


layout.page("Loss curves", show)
