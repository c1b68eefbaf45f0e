"""Training curves of all trials, grouped by a hyperparameter."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import curves as charts
from dashboard.charts.chart_spec import Drawing, drawing, side_by_side
from dashboard.charts.curves import HERE, LINE
from dashboard.charts.palette import GREY, colours
from dashboard.frames import trials as trial_frames
from dashboard.frames.hyperparameters import spans_orders
from dashboard.frames.trial_filter import written
from dashboard.runs import foreign
from dashboard.runs.run_info import RunInfo
from dashboard.ui import kept_trials, layout, state
from trainer.stats.objective import Objective
from trainer.tracking.schema import PARAM_PREFIX, Artifact, Curves, RunState, Trials, TrialState

MOST_RAW = 100  # faint lines; more are slow to draw, and become fields that are darker where more of them run
BOTH, TRAINING, VALIDATION = ("both", "loss"), ("train", "loss"), ("val", "loss")
NAMES = {  # our series, in the order in which people ask for them
    BOTH: "training and validation loss",
    ("val", "f1_macro"): "validation macro-F1",
    ("val", "map"): "validation mAP",
    ("val", "f1_macro_labels"): "validation macro-F1 at 0.5",
    ("val", "f1_micro_labels"): "validation micro-F1 at 0.5",
    ("val", "r2"): "validation R²",
    ("val", "mae"): "validation MAE",
    ("val", "rmse"): "validation RMSE",
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
    if trials is not None and curves is not None:
        trials = kept_trials.apply(info, trials)
        curves = curves[curves[Curves.TRIAL].isin(trials[Trials.TRIAL])]
    fitted = trial_frames.without_epochs(trials) if trials is not None and info.ours else pd.DataFrame()
    if curves is not None and len(fitted):
        curves = curves[~curves[Curves.TRIAL].isin(fitted[Trials.TRIAL])]
    versions = (state.version(info, table) for table in (Artifact.TRIALS, Artifact.CURVES))
    kept = kept_trials.asked(info)
    version = ("curves", info.run_id, *versions, written(kept))
    if kept and (curves is None or curves.empty) and not len(fitted):
        layout.empty("No trial matches: remove a filter above.", ":material/filter_alt_off:")
        return
    if trials is None or curves is None or curves.empty:
        if len(fitted):
            penalties(info, fitted, version)
        elif info.state == RunState.LIVE:
            layout.empty("No epoch has ended yet.")
        else:
            layout.missing(info, "curves")
        return
    names, ends = state.kept(version, lambda: known(curves))
    layout.controlled(
        lambda: controls(trials, ends, names),
        CurveChoices(next(iter(names)), ends),
        lambda asked: show_asked(info, trials, curves, names[asked.series], version, asked),
        names=[*CONTROLS, EPOCHS.format(*ends)],
        height=CONTROLS_HEIGHT,
    )
    if len(fitted):
        penalties(info, fitted, version)


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
    drawn = state.kept((version, *left), lambda: prepared(trials, curves, series, asked, info.objective))
    if drawn.lines.empty:
        layout.empty("No trial is left to draw: widen the filters above.", ":material/filter_alt_off:")
        return
    marked = marked_trial(drawn.lines)
    step = "epoch" if info.ours else "step"
    number = None if marked is None else int(marked[Curves.TRIAL].iloc[0])
    make = overlaid if series == BOTH else averaged
    shown = state.kept((version, asked, number), lambda: make(drawn, asked, marked, step=step))
    if shown.verdict:
        layout.verdict(shown.verdict)
    field = FIELD.format(info.run_id, asked.series)
    draw(shown, drawn, key=f"curves-{info.run_id}-{number}", field=field)
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
    training: pd.DataFrame  # the lines of the training loss, where it is drawn beside that of validation
    best: int | None  # of these trials, by the objective


class CurveFigures(NamedTuple):
    """What is shown of it."""

    table: pd.DataFrame  # what is drawn
    title: str
    curves: Drawing
    left: Drawing | None  # how many trials are left at each epoch
    rates: Drawing | None
    says: str
    clickable: list[str]  # what of it can be selected
    verdict: str = ""


def known(curves: pd.DataFrame) -> tuple[dict[str, tuple[str, str]], tuple[int, int]]:
    """Series by name, first and last epoch."""
    return series_names(curves), (int(curves[Curves.EPOCH].min()), int(curves[Curves.EPOCH].max()))


def prepared(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    series: tuple[str, str],
    asked: CurveChoices,
    objective: Objective,
) -> Drawn:
    """The lines to draw."""
    if asked.hide_pruned:
        trials = trials[trials[Trials.STATE] != TrialState.PRUNED]
    among = curves[Curves.TRIAL].isin(trials[Trials.TRIAL]) & curves[Curves.EPOCH].between(*asked.epochs)
    curves = curves[among]
    groups = grouping(trials, curves, asked.by)
    of_trial = None if asked.by == SEED else groups
    pairs = (VALIDATION if series == BOTH else series, RATE)
    lines, rates = (trial_frames.lines(curves, *pair, of_trial) for pair in pairs)
    training = trial_frames.lines(curves, *TRAINING, groups if of_trial else None)
    training = training if series == BOTH else training.head(0)
    best = best_of(trials[trials[Trials.TRIAL].isin(lines[Curves.TRIAL])], objective)
    return Drawn(trials, lines, rates, groups, training, best)


def best_of(trials: pd.DataFrame, objective: Objective) -> int | None:
    """The best trial, a complete one where there is one."""
    if trials.empty or objective.column not in trials:
        return None
    complete = trials[trials[Trials.STATE] == TrialState.COMPLETE]
    best = trial_frames.best_first(complete if len(complete) else trials, objective)
    return int(best[Trials.TRIAL].iloc[0])


def series_names(curves: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Name for people → (split, metric); ours first."""
    found = trial_frames.series(curves)
    if TRAINING in found and VALIDATION in found:
        found.append(BOTH)
    ours = [pair for pair in NAMES if pair in found]
    rest = [pair for pair in found if pair not in NAMES]
    return {NAMES.get(pair) or text.clean(" ".join(pair).strip()): pair for pair in ours + rest}


def controls(trials: pd.DataFrame, ends: tuple[int, int], names: dict[str, tuple[str, str]]) -> CurveChoices:
    """The row of controls; all are kept in the address."""
    columns = {text.clean(name.removeprefix(PARAM_PREFIX)): name for name in trial_frames.parameters(trials)}
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


def averaged(drawn: Drawn, asked: CurveChoices, marked: pd.DataFrame | None, *, step: str) -> CurveFigures:
    """The mean of each group over the single trials."""
    trials, lines, rates, *_ = drawn
    bands = trial_frames.smoothed(trial_frames.bands(lines), asked.smooth)
    options = options_of(drawn, asked, lines["value"], step=step)
    raw, shadow = thinned(lines, asked, options)
    best = best_epochs(trials, raw)
    stopped = trial_frames.stopped_early(raw, trials) if asked.raw_too else None
    chart = charts.curves(bands, raw, best, options, charts.CurveOverlays(shadow, stopped, marked))
    order, palette = options.order, options.palette
    left = rate = None
    if bands["n"].max() > 1:
        left = drawing(charts.trials_left(bands, order=order, palette=palette))
    if asked.series != NAMES[RATE] and len(rates):
        by_epoch = trial_frames.bands(rates)
        rate = drawing(charts.rates(by_epoch, order=order, palette=palette, log_x=asked.log_x))
    says = explain(bands, lines, raw, best, label=text.plain(asked.series), shadow=shadow is not None)
    title = f"{asked.series} by epoch, mean of {text.count(len(order), 'group')} of trials"
    return CurveFigures(bands, title, drawing(chart), left, rate, says, clickable(raw, shadow))


def overlaid(drawn: Drawn, asked: CurveChoices, marked: pd.DataFrame | None, *, step: str) -> CurveFigures:
    """Training and validation loss of one trial, the marked one or the best, over the others."""
    number = int(marked[Curves.TRIAL].iloc[0]) if marked is not None else drawn.best
    focus = focused(drawn, number, asked.smooth)
    values = pd.concat([drawn.lines["value"], focus["value"]])
    options = options_of(drawn, asked, values, step=step)
    if options.order == [ALL]:
        options = replace(options, palette=[GREY])
    others = drawn.lines[drawn.lines[Curves.TRIAL] != number]
    raw, shadow = thinned(others, asked, options)
    chart = charts.train_and_validation(focus, raw, options, shadow)
    rate = None
    of_trial = drawn.rates[drawn.rates[Curves.TRIAL] == number]
    if len(of_trial):
        by_epoch = trial_frames.bands(of_trial.assign(group=ALL))
        ends = drawn.lines[Curves.EPOCH]
        track = charts.rates(
            by_epoch, order=[ALL], palette=[GREY], log_x=asked.log_x, ends=(ends.min(), ends.max())
        )
        rate = drawing(track)
    best = number == drawn.best
    says = explain_focus(drawn, focus, raw, best=best, shadow=shadow is not None)
    title = f"Training and validation loss by epoch, {'best trial' if best else 'trial'} ({number})"
    verdict = verdict_of(focus, f"Best trial with epochs ({number})" if best else f"Trial {number}")
    return CurveFigures(
        focus, title, drawing(chart), None, rate, says, clickable(raw, shadow), verdict=verdict
    )


def focused(drawn: Drawn, number: int | None, smooth: float) -> pd.DataFrame:
    """Both losses of a trial: ``series, trial, epoch, value``, and ``best`` at its best epoch."""
    best = drawn.trials.set_index(Trials.TRIAL).get(Trials.BEST_EPOCH, pd.Series(dtype=float)).get(number)
    parts = []
    for name, lines in (("training", drawn.training), ("validation", drawn.lines)):
        of_trial = lines[lines[Curves.TRIAL] == number].groupby(Curves.EPOCH)[Curves.VALUE].mean()
        rows = of_trial.reset_index().assign(series=name, trial=number)
        if smooth > 0:
            rows["value"] = rows["value"].ewm(alpha=1 - smooth, adjust=True).mean()
        at_best = (rows[Curves.EPOCH] == round(best)) if best is not None and pd.notna(best) else False
        parts.append(rows.assign(best=at_best & (name == "validation")))
    return pd.concat(parts, ignore_index=True)[["series", "trial", "epoch", "value", "best"]]


def options_of(drawn: Drawn, asked: CurveChoices, values: pd.Series, *, step: str) -> charts.CurveOptions:
    present, groups = set(drawn.lines["group"]), drawn.groups
    order = [name for name in groups.order if name in present]
    quiet = (trial_frames.NOT_USED, trial_frames.OTHER)
    return charts.CurveOptions(
        order=order,
        palette=colours(order, ordered=groups.ordered, quiet=quiet),
        title="loss" if asked.series == NAMES[BOTH] else asked.series,
        legend=text.clean(asked.by.removeprefix(PARAM_PREFIX)),
        extent=trial_frames.axis_range(values),
        log=asked.log,
        log_x=asked.log_x,
        step=step,
        dark=state.is_dark(),
    )


def thinned(
    lines: pd.DataFrame, asked: CurveChoices, options: charts.CurveOptions
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The single trials, or where they run if they are too many to be drawn."""
    many = lines[["group", Curves.TRIAL]].drop_duplicates().shape[0] > MOST_RAW
    if not asked.raw_too or not many:
        return (lines if asked.raw_too else lines.head(0)), None
    return lines.head(0), trial_frames.density(lines, options.extent, log=asked.log)


def clickable(raw: pd.DataFrame, shadow: pd.DataFrame | None) -> list[str]:
    return [LINE] * bool(len(raw)) + [HERE] * (shadow is not None)


def draw(shown: CurveFigures, drawn: Drawn, *, key: str, field: str) -> None:
    """The curves; ``key`` is of a chart in which nothing has been clicked yet."""
    layout.draw(
        shown.curves,
        key=key,
        on_select=(lambda: clicked(st.session_state[key], field)) if shown.clickable else "ignore",
        selection_mode=shown.clickable or None,
        alt_text=shown.title,
    )
    parts = [part for part in (shown.curves, shown.left, shown.rates) if part is not None]
    n = text.count(drawn.lines[Curves.TRIAL].nunique(), "trial")
    layout.export(
        shown.table, name="curves", figure=lambda: side_by_side(parts, columns=1), title=shown.title, n=n
    )


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
        st.text(f"Trial {number} ({row[Trials.STATE]}): {text.clean(told, longest=600)}")
        if info.ours or len(trials) > 1:
            st.page_link(
                "views/hyperparameters.py",
                label="Open trial",
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
        return f"{label}, {text.count(total, 'run')} (one per line: no interval)."
    counts = text.count(total, "trial")
    if len(sizes) > 1:
        counts += f" in {len(sizes)} groups of {text.spread(sizes.tolist())}"
    least = trial_frames.FEWEST_IN_BAND
    band = "95 % t-interval over trials" if sizes.max() >= least else f"no interval under {least} trials"
    words = [f"Mean of {counts}; {band}."]
    start, end = bands.groupby(Curves.EPOCH)["n"].sum().iloc[[0, -1]]
    if end < start:
        words.append(f"Only {end} of {start} trials reach the end, so late means cover survivors.")
    marks = (["diamonds: best epochs"] if len(best) else []) + (["click a line to open it"] if drawn else [])
    words += [f"{'; '.join(marks).capitalize()}."] if marks else []
    words += beyond_axis(lines["value"], lines)
    if shadow:
        words.append(f"Shading: density of all {total} curves; click to list trials.")
    return " ".join(words)


def explain_focus(drawn: Drawn, focus: pd.DataFrame, raw: pd.DataFrame, *, best: bool, shadow: bool) -> str:
    """What stands below training and validation loss."""
    others = drawn.lines[Curves.TRIAL].nunique() - 1
    words = ["Mean over seeds" + ("; diamond: epoch of the best score." if focus["best"].any() else ".")]
    if len(raw):
        words.append(f"Faint: validation loss of {text.count(others, 'other trial')}; click one to open it.")
    if shadow:
        words.append(f"Shading: validation loss of {others} other trials; click to list trials.")
    return " ".join(words + beyond_axis(pd.concat([drawn.lines["value"], focus["value"]]), drawn.lines))


def beyond_axis(values: pd.Series, lines: pd.DataFrame) -> list[str]:
    """How many trials leave the axis of these values."""
    low, high = trial_frames.axis_range(values)
    beyond = lines.loc[~lines["value"].between(low, high), Curves.TRIAL].nunique()
    return [f"{text.count(beyond, 'trial')} off the chart; use Log y."] if beyond else []


def verdict_of(focus: pd.DataFrame, who: str) -> str:
    """Where a trial's validation loss was lowest, and what came after."""
    loss = focus[focus["series"] == "validation"].set_index("epoch")["value"]
    if len(loss) < 2:
        return ""
    epochs = loss.index.to_numpy(int)
    best, last = int(epochs[loss.argmin()]), int(epochs[-1])
    if best == last:
        return f"{who}: validation loss still falls at its last epoch, {last}."
    rise = float(loss.iloc[-1] / loss.min() - 1) if loss.min() > 0 else 0.0
    after = f"then rises {rise:.0%}" if rise >= 0.005 else "then stays level"
    return f"{who}: validation loss is lowest at epoch {best} of {last}, {after}."


def penalties(info: RunInfo, fitted: pd.DataFrame, version: Hashable) -> None:
    """Heads that are fitted without epochs, over the strength of their penalty."""
    title = info.objective.title
    paths = state.kept((version, "penalties"), lambda: trial_frames.penalty_paths(fitted, info.objective))
    if not paths:
        return
    st.subheader("Heads without epochs")
    best = trial_frames.best_first(fitted.dropna(subset=[info.objective.column]), info.objective).iloc[0]
    score = text.score(best[info.objective.column])
    layout.verdict(
        f"Best of {text.count(len(fitted), 'trial')}: {title} {score} (trial {best[Trials.TRIAL]})."
    )
    for column, (name, rows) in zip(st.columns(len(paths), gap="medium"), paths.items(), strict=True):
        called = trial_frames.PENALTIES[name]

        def figure(rows: pd.DataFrame = rows, called: str = called) -> Drawing:
            log = spans_orders(rows["penalty"])
            return drawing(charts.penalty_path(rows, title=title, penalty=called, log=log))

        with column:
            layout.chart(
                state.kept((version, "penalty", name), figure),
                rows,
                name=f"penalty-{name}",
                alt_text=f"Validation {title} over the {called}",
                n=text.count(len(rows), "trial"),
            )
    layout.sentence(
        "Heads fitted without epochs: logistic regression, ridge, Gaussian discriminant. Lines join trials "
        f"with the same settings. Bars: 95 % over {trial_frames.interval_over(fitted)}."
    )


layout.page("Loss curves", show)
