"""Which hyperparameters matter, and which of their values serve best."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import hyperparameters as charts
from dashboard.charts.chart_spec import Drawing, drawing, side_by_side
from dashboard.frames import hyperparameters as hyper
from dashboard.frames import importance
from dashboard.frames.hyperparameters import SCORE, STATE, TRIAL, Objective, Parameter
from dashboard.frames.trial_filter import brushed, written
from dashboard.frames.trials import interval_over
from dashboard.runs import foreign
from dashboard.runs.run_info import RunInfo
from dashboard.ui import kept_trials, layout, links, state
from trainer.tracking.schema import PARAM_PREFIX, Artifact, RunState, Trials, TrialState

Made = TypeVar("Made")
FEWEST = 2  # trials with a score that can be compared
FIRST_AXES = 7  # axes of the parallel coordinates as they come
FIRST_SLICES = 6
MOST_LISTED, MOST_IN_VERDICT = 8, 4  # names in a caption, and in a verdict
FEW_TRIALS = 300  # with which all sections are drawn at once; more are slow to draw
FIRST_SECTIONS = ["Best so far"]  # of more trials
IN_A_ROW = 3
HUES = {TrialState.COMPLETE: "blue", TrialState.PRUNED: "gray", TrialState.FAILED: "red"}  # Streamlit's names
OPENED_BY = "hyper-opened-by"  # session: name of the chart whose click opened the card
SHOWN = "hyper-shown"  # session: the trial whose card is open, which stays while a live page redraws itself
CLOSED = "hyper-closed-{}"  # session: how often a card that this chart opened was closed
DISMISSED = "hyper-dismissed"  # session: the trial whose card was closed last, as the address has it


class TrialsPage(NamedTuple):
    """What every section needs."""

    info: RunInfo
    frame: pd.DataFrame  # `hyper.tidy`
    objective: Objective
    parameters: list[Parameter]  # the most important first
    told: pd.DataFrame  # `importance.table`
    chosen: int | None  # the trial of the open card
    kept_trials: str  # what is asked of trials, as in the address
    version: Hashable  # changes with the trials on record, with what is asked of them, and with the objective

    @property
    def over(self) -> str:
        """What the intervals of the scores are over."""
        return interval_over(self.frame)

    def kept(self, name: str, make: Callable[[], Made], *choices: Hashable) -> Made:
        """A section's charts, made once for all readers; see `state.kept`."""
        return state.kept((name, self.version, self.chosen, *choices), make)


def show(info: RunInfo) -> None:
    trials = state.table(info, Artifact.TRIALS)
    if trials is None or trials.empty:
        live = info.state == RunState.LIVE
        layout.empty("No trial has ended yet." if live else "No trial ended in this run.")
        return
    objectives = hyper.objectives(trials, info.objective)
    if not objectives:
        layout.empty("This run logged no metric that its trials could be compared by.", ":material/block:")
        return
    objective = pick_objective(objectives, foreign_run=not info.ours)
    trials = kept_trials.apply(info, trials)
    if trials.empty:
        layout.empty("No trial matches: remove a filter above.", ":material/filter_alt_off:")
        return
    kept = written(kept_trials.asked(info))
    version = ("hyperparameters", info.run_id, state.version(info, Artifact.TRIALS), objective, kept)
    frame, ranked, told = state.kept(version, lambda: weighed(trials, objective))
    page = TrialsPage(info, frame, objective, ranked, told, chosen_trial(frame), kept, version)
    scored = int(frame[SCORE].notna().sum())
    if scored < FEWEST or not ranked:
        nothing_to_compare(page, scored)
    else:
        importances(page)
        parallel(page)
        asked = sections_asked_for(page)
        for name, section in SECTIONS.items():
            if name in asked:
                section(page)
    trial_table(page)
    if page.chosen is not None and st.session_state.get(SHOWN) != page.chosen:
        card(page)


def sections_asked_for(page: TrialsPage) -> list[str]:
    """Which of `SECTIONS` to draw; of a large sweep few at first, for it takes a browser seconds."""
    names = [name for name, section in SECTIONS.items() if page.info.ours or section is not rungs]
    renamed = {"Two at once": "Two settings", "Rungs": "Early stopping"}
    links.understand_earlier("sections", renamed, several=True)
    return st.pills(
        "Show",
        names,
        selection_mode="multi",
        default=names if len(page.frame) <= FEW_TRIALS else FIRST_SECTIONS,
        key="sections",
        bind="query-params",
    )


def pick_objective(objectives: dict[str, Objective], *, foreign_run: bool) -> Objective:
    """What makes a trial good; asked where another program's metrics leave it open."""
    if not foreign_run:
        return next(iter(objectives.values()))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        name = st.selectbox("Objective", list(objectives), key="objective", bind="query-params", width=280)
        guess = objectives[name]
        lower = st.toggle(
            "Lower is better", value=not guess.up, key=f"lower-{guess.column}", bind="query-params"
        )
    return guess._replace(up=not lower)


def weighed(trials: pd.DataFrame, objective: Objective) -> tuple[pd.DataFrame, list[Parameter], pd.DataFrame]:
    """`hyper.tidy`, the parameters, the most important first, and `importance.table`."""
    with st.spinner("Computing importance …"):
        frame = hyper.tidy(trials, objective)
        found = hyper.parameters(frame)
        told = importance.table(frame, found, up=objective.up)
        by_column = {parameter.column: parameter for parameter in found}
        return frame, [by_column[column] for column in told["column"]], told


def chosen_trial(frame: pd.DataFrame) -> int | None:
    """The trial that the address asks for.

    Not one whose card was just closed: a redrawing that the browser asked for before it heard of the closing
    still has the trial in its address.
    """
    wanted = st.query_params.get(TRIAL)
    if wanted is None:
        return None
    if wanted == st.session_state.get(DISMISSED):
        del st.query_params[TRIAL]
        return None
    if wanted.isdecimal() and (frame[TRIAL] == int(wanted)).any():
        return int(wanted)
    st.toast("The trial in the address is not in this run.", icon=":material/link_off:")
    del st.query_params[TRIAL]
    return None


def nothing_to_compare(page: TrialsPage, scored: int) -> None:
    if scored < FEWEST:
        layout.empty(
            f"{text.count(scored, 'trial')} with a score: too few to compare. All are listed below.",
            ":material/tune:",
        )
    else:
        layout.empty(
            f"All {text.count(len(page.frame), 'trial')} have the same hyperparameters on record: nothing to "
            "compare.",
            ":material/tune:",
        )


def importances(page: TrialsPage) -> None:
    """Which parameters make the difference between the best trials and the others."""
    st.subheader("Importance")
    told = page.told[page.told["told"].astype(bool)]
    few = page.told[~page.told["told"].astype(bool)]
    if told.empty:
        cure = " Remove a filter above." if kept_trials.asked(page.info) else ""
        layout.empty(
            f"Too few trials: importance needs {importance.FEWEST} with the same parameter and a score."
            + cure,
            ":material/hourglass_empty:",
        )
        return
    trials = int(page.frame[SCORE].notna().sum())
    names = told.loc[told["stands_out"], "title"].tolist()
    layout.verdict(importance_verdict([text.plain(name) for name in names], trials))
    layout.chart(
        page.kept("importance", lambda: drawing(charts.importance(told, dark=state.is_dark()))),
        page.told.drop(columns="column"),
        name="importance",
        alt_text=f"Importance of {text.count(len(told), 'hyperparameter')} with intervals. "
        + importance_verdict(names, trials),
        n=text.count(trials, "trial"),
    )
    layout.sentence(
        "Bars: how much a setting alone explains the top 10 % of trials. Whiskers: 95 % bootstrap. Tick: "
        "95 % chance level."
    )
    if len(few):
        rest = f" and {len(few) - MOST_LISTED} more" if len(few) > MOST_LISTED else ""
        listed = ", ".join(f"{text.plain(row.title)} ({row.n})" for row in few.head(MOST_LISTED).itertuples())
        layout.sentence(f"Used by fewer than {importance.FEWEST} trials: {listed}{rest}.")
    layout.how(
        "PED-ANOVA (Watanabe et al. 2023): the share of the variance of “is among the top 10 %” that one "
        f"setting explains, smoothed by a kernel. At least {importance.FEWEST_BEST} trials are the top.",
        "The chance level is that of permuted trials, after Holm’s correction for "
        f"{text.count(len(told), 'setting')}. A setting that only some trials have is compared among those.",
    )


def importance_verdict(names: list[str], trials: int) -> str:
    """Which settings matter beyond chance, in at most 20 words."""
    of = f"({text.count(trials, 'trial')})"
    if not names:
        return f"No setting matters more than chance yet {of}."
    shown = ", ".join(names[:MOST_IN_VERDICT])
    rest = f" and {len(names) - MOST_IN_VERDICT} more" if len(names) > MOST_IN_VERDICT else ""
    return f"More than chance {of}: {shown}{rest}."


def by_title(parameters: list[Parameter]) -> dict[str, Parameter]:
    """Parameters by the words that widgets show."""
    return {parameter.title: parameter for parameter in parameters}


def parallel(page: TrialsPage) -> None:
    """Every trial as a line across the parameters' axes."""
    st.subheader("Parallel coordinates")
    names = by_title(page.parameters)
    picked = st.pills(
        "Axes",
        list(names),
        selection_mode="multi",
        default=list(names)[:FIRST_AXES],
        format_func=text.plain,
        key="axes",
        bind="query-params",
    )
    shown = [names[name] for name in picked]
    if not shown:
        layout.empty("Choose at least one axis above.", ":material/tune:")
        return
    colours = hyper.colour_range(page.frame[SCORE], up=page.objective.up)
    made = page.kept("parallel", lambda: parallel_chart(page, shown, colours), *picked)
    drawn, lines, figure, height = made
    said = f"{len(drawn)} trials as lines across {len(shown)} hyperparameters and the score."
    with st.container(height=height + 20, border=False):  # scrolls sideways on a small screen
        event = layout.draw(
            figure,
            width="content",
            key=key_of(page, "parallel") + page.kept_trials,  # a brush goes once it has become a filter
            on_select="rerun",
            alt_text=said,
        )
    if not filtered(page, event, lines, shown):
        open_clicked(event, "parallel")
    table = drawn[[TRIAL, STATE, SCORE, *(parameter.column for parameter in shown)]]
    total = len(page.frame)
    layout.export(
        table, name="parallel", figure=lambda: figure, title=said, n=text.count(len(drawn), "trial")
    )
    which = f"{len(drawn):,} of {total:,} trials" if len(drawn) < total else text.count(total, "trial")
    thinned = f" ({hyper.THINNED})" if len(drawn) < total else ""
    layout.sentence(
        f"{which}{thinned}, coloured by {text.plain(page.objective.title)}{ends(page, colours)}; pruned and "
        "failed ones faint; unused settings sit below the axis. Click a line to open its trial; drag over an "
        "axis to keep its trials."
    )


def filtered(page: TrialsPage, event: Any, lines: pd.DataFrame, shown: list[Parameter]) -> bool:
    """Whether axes were brushed; what was is added to the filter of all pages about the run's trials."""
    box = (event or {}).get("selection", {}).get(charts.BRUSH)
    if not box or not {"axis", "at"} <= set(box):
        return False
    titles = list(dict.fromkeys(lines["axis"]))
    columns = [*((one.column, one.numeric) for one in shown), (page.objective.column, True)]
    kept = brushed(page.frame, lines, dict(zip(titles, columns, strict=True)), box)
    if not kept:
        return False
    kept_trials.ask(page.info, {**kept_trials.asked(page.info), **kept})
    st.rerun(scope="fragment")
    return True


def parallel_chart(
    page: TrialsPage, shown: list[Parameter], colours: tuple[float, float]
) -> tuple[pd.DataFrame, pd.DataFrame, Drawing, int]:
    """The trials that are drawn, their lines, their chart and its height in pixels."""
    kept = hyper.thin(page.frame, up=page.objective.up)
    if page.chosen is not None:
        kept = page.frame.loc[kept.index.union(page.frame.index[page.frame[TRIAL] == page.chosen])]
    drawn = hyper.best_first(kept, up=page.objective.up).iloc[::-1]  # the best on top
    lines, ticks = hyper.polylines(drawn, shown, page.objective)
    figure = charts.parallel(lines, ticks, style_of(page), colours=colours)
    return drawn, lines, drawing(figure), charts.parallel_height(ticks)


def style_of(page: TrialsPage) -> charts.TrialStyle:
    return charts.TrialStyle(page.objective, page.chosen, state.is_dark())


def ends(page: TrialsPage, colours: tuple[float, float]) -> str:
    """What the ends of the colours leave out."""
    scores = page.frame[SCORE].dropna()
    beyond = int((scores < colours[0]).sum() + (scores > colours[1]).sum())
    return f" (the {beyond} worst share a colour)" if beyond > 1 else ""


def slices(page: TrialsPage) -> None:
    """One parameter each against the score."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.subheader("Slices", width="content")
        st.space("stretch")
        everything = st.toggle("All parameters", key="slices", bind="query-params")
        better = st.toggle(
            "Better half only", key="better", bind="query-params", help="stretches the axis of the score"
        )
    shown = page.parameters if everything else page.parameters[:FIRST_SLICES]
    extent = score_extent(page, better=better)
    legend_of_states(page.frame)
    sliced = page.kept("slices", lambda: slice_charts(page, shown, extent), everything, better)
    if not sliced:
        return
    columns: list[Any] = []
    for number, (parameter, rows, figure) in enumerate(sliced):
        if number % IN_A_ROW == 0:
            columns = st.columns(IN_A_ROW, gap="medium")
        with columns[number % IN_A_ROW]:
            event = layout.draw(
                figure,
                key=key_of(page, f"slice-{parameter.column}"),
                on_select="rerun",
                alt_text=f"{parameter.title} against {page.objective.title}, {len(rows)} trials.",
            )
            open_clicked(event, f"slice-{parameter.column}")
    scores = page.frame[SCORE].dropna()
    layout.export(
        pd.concat([rows.assign(parameter=parameter.title) for parameter, rows, _ in sliced]),
        name="slices",
        figure=lambda: side_by_side([figure for _, _, figure in sliced], columns=IN_A_ROW),
        title=f"{text.count(len(sliced), 'parameter')} against {page.objective.title}",
        n=text.count(len(scores), "trial"),
    )
    which = text.count(len(page.parameters), "parameter")
    layout.sentence(
        f"{len(sliced)} of {which}, most important first. Dots: {text.count(len(scores), 'trial')}; bars: "
        f"mean of complete ones, 95 % t-interval.{left_out(page.frame[SCORE], extent)} Click a dot to open "
        "its trial."
    )


def slice_charts(
    page: TrialsPage, shown: list[Parameter], extent: tuple[float, float]
) -> list[tuple[Parameter, pd.DataFrame, Drawing]]:
    """The parameters that any scored trial has, those trials, and their charts."""
    sliced = []
    for number, parameter in enumerate(shown):
        rows = hyper.slice_of(page.frame, parameter)
        if rows.empty:
            continue
        figure = charts.slices(
            rows,
            None if parameter.numeric else hyper.means(rows, parameter),
            parameter,
            style_of(page),
            extent=extent,
            pick=f"{charts.PICK}_{number}",
        )
        sliced.append((parameter, rows.drop(columns="here"), drawing(figure)))
    return sliced


def score_extent(page: TrialsPage, *, better: bool) -> tuple[float, float]:
    scores = page.frame[SCORE].dropna()
    middle = float(scores.median())
    low, high = float(scores.min()), float(scores.max())
    if not better:
        return low, high
    return (middle, high) if page.objective.up else (low, middle)


def legend_of_states(frame: pd.DataFrame) -> None:
    """One legend for all slices."""
    present = set(frame.loc[frame[SCORE].notna(), STATE])
    st.caption(" · ".join(f":{hue}[●] {name}" for name, hue in HUES.items() if name in present))


def contour(page: TrialsPage) -> None:
    """Two parameters at once: where are the good trials, and where has nobody looked?"""
    st.subheader("Two settings")
    names = by_title(page.parameters)
    if len(names) < 2:
        layout.empty("Only one hyperparameter differs between the trials.", ":material/grid_on:")
        return
    with st.container(horizontal=True, gap="medium"):
        across = st.selectbox("x", list(names), key="across", bind="query-params", width=240)
        upwards = st.selectbox("y", list(names), index=1, key="up", bind="query-params", width=240)
    if across == upwards:
        layout.empty("Choose two different parameters.", ":material/grid_on:")
        return
    first, second = names[across], names[upwards]
    cells, dots, figure = page.kept("contour", lambda: contour_chart(page, first, second), across, upwards)
    if figure is None:
        layout.empty(
            f"No trial has both {text.plain(first.title)} and {text.plain(second.title)}.",
            ":material/grid_on:",
        )
        return
    table = page.frame.loc[dots.index, [TRIAL, STATE, SCORE, first.column, second.column]]
    clickable(
        page,
        figure,
        table,
        name="two-at-once",
        alt_text=f"Mean score of {len(dots)} trials by {first.title} and {second.title}.",
    )
    scored = int(page.frame[SCORE].notna().sum())
    layout.sentence(
        f"Mean {text.plain(page.objective.title)} per cell ({int(cells['n'].min())}–{int(cells['n'].max())} "
        f"trials each); dots: the {len(dots)} of {scored} scored trials with both settings. Empty cells were "
        "not tried."
    )


def contour_chart(
    page: TrialsPage, first: Parameter, second: Parameter
) -> tuple[pd.DataFrame, pd.DataFrame, Drawing | None]:
    """Cells, the trials in them, and their chart; no chart where no trial has both parameters."""
    cells, dots = hyper.cells(page.frame, first, second)
    if dots.empty:
        return cells, dots, None
    figure = charts.contour(
        cells,
        dots,
        first,
        second,
        style_of(page),
        colours=hyper.colour_range(page.frame[SCORE], up=page.objective.up),
    )
    return cells, dots, drawing(figure)


def best_so_far(page: TrialsPage) -> None:
    """What more trials, and more time, brought."""
    st.subheader("Best so far")
    frame = hyper.best_so_far(page.frame, up=page.objective.up)
    if frame[SCORE].isna().all():
        layout.empty("No trial has ended yet.")
        return
    measure = hyper.yardstick(page.frame, up=page.objective.up) if page.info.ours else None
    extent = hyper.race_extent(frame, measure, up=page.objective.up)
    timed = bool(frame["seconds"].notna().any())
    columns = st.columns(2, gap="medium") if timed else [st.container()]
    for column, against in zip(columns, ("done", "seconds"), strict=False):

        def race(against: str = against) -> Drawing:
            return drawing(charts.best_so_far(frame, measure, style_of(page), against=against, extent=extent))

        with column:
            clickable(
                page,
                page.kept("best so far", race, against),
                frame,
                name=f"best-so-far-{against}",
                alt_text=f"Best score so far against {against}, {len(frame)} trials.",
            )
    if measure is not None:
        layout.verdict(against_yardstick(frame, page, measure))
    dashed = "" if measure is None else f" Dashed: {text.interval(measure.score, measure.ends)}, 95 %."
    layout.sentence(
        f"Dots: {text.count(len(frame), 'trial')} as they finished. Line: best complete one so far.{dashed}"
        f"{left_out(frame[SCORE], extent)}"
    )


def left_out(scores: pd.Series, extent: tuple[float, float]) -> str:
    """What a chart with this axis does not show."""
    without, beyond = int(scores.isna().sum()), int((~scores.dropna().between(*extent)).sum())
    words = f" Off the chart: {text.count(beyond, 'worse trial')}." if beyond else ""
    return words + (f" Without a score: {text.count(without, 'trial')}." if without else "")


def against_yardstick(frame: pd.DataFrame, page: TrialsPage, measure: hyper.Yardstick) -> str:
    """Whether, and when, the search has beaten the simplest head."""
    up = page.objective.up
    better = frame[SCORE] > measure.score if up else frame[SCORE] < measure.score
    beaten = better & (frame[STATE] == TrialState.COMPLETE)
    who = f"the best {measure.name} (trial {measure.trial})"
    if not beaten.any():
        return f"No other head has beaten {who}."
    first = frame[beaten].iloc[0]
    took = "" if pd.isna(first["seconds"]) else f", {text.duration(float(first['seconds']))}"
    return (
        f"{who[0].upper()}{who[1:]} was first beaten after {text.count(int(first['done']), 'trial')}{took}."
    )


def rungs(page: TrialsPage) -> None:
    """Which trials were pruned, and whether their early scores predict the final ones."""
    st.subheader("Early stopping")
    reached = hyper.rungs(page.frame)
    if reached.empty:
        layout.empty("No trial of this sweep could be pruned.", ":material/stairs:")
        return
    survivors, raced = hyper.survival(reached), reached[TRIAL].nunique()
    pruned = int((page.frame[STATE] == TrialState.PRUNED).sum())
    layout.verdict(f"{text.count(raced, 'trial')} could be pruned, {pruned} were.")
    left, right = st.columns(2, gap="medium")
    with left:
        layout.chart(
            page.kept("survival", lambda: drawing(charts.survival(survivors))),
            survivors,
            name="rungs",
            alt_text=f"Trials at each of {reached['rung'].nunique()} rungs, and those pruned there.",
            n=text.count(raced, "trial"),
        )
        counts = survivors.groupby("rung")["reached"].first()
        listed = ", ".join(f"{n} reached epoch {rung}" for rung, n in counts.items())
        layout.sentence(f"{listed}. Heads without epochs, such as logistic regressions, are never pruned.")
    with right:
        early_score(page, reached)


def early_score(page: TrialsPage, reached: pd.DataFrame) -> None:
    pairs = hyper.early_and_late(reached)
    options = sorted(int(rung) for rung in pairs["rung"].unique())
    if not options:
        layout.empty("No trial with a rung is complete yet.", ":material/stairs:")
        return
    rung = st.segmented_control(
        "Rung (epoch)", options, default=options[0], required=True, key="rung", bind="query-params"
    )
    chosen = pairs[pairs["rung"] == rung]
    clickable(
        page,
        page.kept(
            "early score",
            lambda: drawing(
                charts.early_and_late(chosen, rung=int(rung or options[0]), title=page.info.objective.title)
            ),
            rung,
        ),
        chosen.drop(columns="last"),
        name="early-score",
        alt_text=f"Score at epoch {rung} against the final score, {len(chosen)} complete trials.",
    )
    told = []
    for one in options:
        at = pairs[pairs["rung"] == one]
        found = hyper.spearman(at["at_rung"], at["final"])
        told.append(
            f"epoch {one}: {found.value:+z.2f} [{found.low:+z.2f}, {found.high:+z.2f}]"
            if found
            else f"epoch {one}: too few trials"
        )
    layout.sentence(
        f"Do early scores predict the final rank? Spearman’s correlation [95 %]: {'; '.join(told)}. Finished "
        f"trials only (n = {len(chosen)})."
    )


SECTIONS: dict[str, Callable[[TrialsPage], None]] = {  # below the first two, in their order
    "Slices": slices,
    "Two settings": contour,
    "Best so far": best_so_far,
    "Early stopping": rungs,
}


def trial_table(page: TrialsPage) -> None:
    """All trials; a click on a row opens its card, for those who prefer a keyboard, too."""
    st.subheader("Trials")
    frame = hyper.best_first(page.frame, up=page.objective.up).reset_index(drop=True)
    shown = frame[[TRIAL, "rank", STATE, SCORE, *(p.column for p in page.parameters)]].copy()
    if page.info.ours:
        shown.insert(
            4,
            "ci95",
            [text.span(ends) or "–" for ends in zip(frame[hyper.LOW], frame[hyper.HIGH], strict=True)],
        )
    if foreign.NAME in frame:
        shown.insert(1, foreign.NAME, [text.clean(name) for name in frame[foreign.NAME]])
    for parameter in page.parameters:
        if not pd.api.types.is_numeric_dtype(shown[parameter.column]):
            shown[parameter.column] = parameter.words(shown[parameter.column])
    config: dict[str, Any] = {
        "rank": st.column_config.NumberColumn(
            "rank", format="%d", width="small", help="among complete trials"
        ),
        SCORE: st.column_config.NumberColumn(text.clean(page.objective.title), format="%.3f"),
        TRIAL: st.column_config.NumberColumn("trial", width="small"),
        "ci95": st.column_config.TextColumn("95 % interval", help=f"over {page.over}"),
    }
    for parameter in page.parameters:
        if pd.api.types.is_numeric_dtype(shown[parameter.column]):
            config[parameter.column] = st.column_config.NumberColumn(parameter.title, format="%.3g")
        else:
            config[parameter.column] = st.column_config.TextColumn(parameter.title)
    event = st.dataframe(
        shown,
        key=key_of(page, "table"),
        on_select="rerun",
        selection_mode="single-row",
        hide_index=True,
        placeholder="–",
        height="content" if len(shown) <= 10 else 320,
        column_config=config,
    )
    rows = event["selection"]["rows"]
    if rows and rows[0] < len(frame):
        open_trial(int(frame[TRIAL].iloc[rows[0]]), "table")
    layout.export(page.frame, name="trials")
    layout.sentence(
        f"{text.count(len(frame), 'trial')}, best complete ones first; only the "
        f"{text.count(len(page.parameters), 'hyperparameter')} that differ. Click a row to open its trial."
    )
    names = hyper.names_alone(page.frame)
    if names:
        rest = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
        listed = ", ".join(text.plain(name) for name in names[:MOST_LISTED])
        layout.sentence(f"Too many different values to compare; see each trial’s card: {listed}{rest}.")


def clickable(page: TrialsPage, figure: Drawing, frame: pd.DataFrame, *, name: str, alt_text: str) -> None:
    """A chart in which a click on a trial opens its card."""
    key = key_of(page, name)
    n = text.count(len(frame), "trial")
    event = layout.chart(figure, frame, name=name, alt_text=alt_text, n=n, key=key, on_select="rerun")
    open_clicked(event, name)


def key_of(page: TrialsPage, name: str) -> str:
    """A new widget, with nothing selected, for another run and once the card that it opened was closed."""
    return f"{name}-{page.info.run_id}-{st.session_state.get(CLOSED.format(name), 0)}"


def open_clicked(event: Any, name: str) -> None:
    for picked in (event or {}).get("selection", {}).values():
        if picked:
            open_trial(int(picked[0][TRIAL]), name)


def open_trial(trial: int, opened_by: str) -> None:
    """Put the trial into the address, from where the card is opened."""
    st.session_state[OPENED_BY] = opened_by
    st.session_state.pop(DISMISSED, None)
    if st.query_params.get(TRIAL) != str(trial):
        st.query_params[TRIAL] = str(trial)
        st.rerun(scope="fragment")


def close() -> None:
    """The card is gone: out of the address, and nothing stays selected that would open it again."""
    st.session_state[DISMISSED] = st.query_params.pop(TRIAL, None)
    st.session_state.pop(SHOWN, None)
    opened_by = st.session_state.pop(OPENED_BY, None)
    if opened_by:
        counter = CLOSED.format(opened_by)
        st.session_state[counter] = st.session_state.get(counter, 0) + 1


def card(page: TrialsPage) -> None:
    """Everything about the chosen trial, at the side of the page."""
    trial = page.frame[page.frame[TRIAL] == page.chosen].iloc[0]
    drawer = st.dialog(f"Trial {page.chosen}", position="right", on_dismiss=close)
    drawer(trial_card)(page, trial)
    st.session_state[SHOWN] = page.chosen


def trial_card(page: TrialsPage, trial: pd.Series) -> None:
    if foreign.NAME in trial:
        st.text(text.clean(trial[foreign.NAME]))
    facts = facts_of(page, trial)
    st.dataframe(
        pd.DataFrame(facts, columns=["what", "value"]),
        hide_index=True,
        height="content",
        column_config={"what": st.column_config.TextColumn("figure", width="small")},
    )
    if trial.get(Trials.MESSAGE):
        st.text(text.clean(trial[Trials.MESSAGE], longest=300))
    st.page_link(
        "views/curves.py",
        label="Learning curves",
        icon=":material/show_chart:",
        query_params={state.RUN: page.info.run_id, TRIAL: str(page.chosen)},
    )
    columns = [name for name in page.frame.columns if name.startswith(PARAM_PREFIX)]
    known = trial[columns].dropna()
    st.markdown("**Hyperparameters**")
    st.dataframe(
        pd.DataFrame(
            {
                "name": [text.clean(name.removeprefix(PARAM_PREFIX)) for name in known.index],
                "value": [text.value(value) for value in known],
            }
        ),
        hide_index=True,
        height="content",
    )
    unused = len(columns) - len(known)
    layout.sentence(
        f"{text.count(len(known), 'hyperparameter')}" + (f"; {unused} more do not apply." if unused else ".")
    )


def facts_of(page: TrialsPage, trial: pd.Series) -> list[tuple[str, str]]:
    """Lines of the card, of what is on record."""
    complete = int((page.frame[STATE] == TrialState.COMPLETE).sum())
    ends = (trial[hyper.LOW], trial[hyper.HIGH])
    score = text.interval(trial[SCORE], ends)
    facts = [("state", str(trial[STATE])), (text.clean(page.objective.title), score)]
    if page.info.ours:
        facts.append(("interval", f"95 %, over {page.over}" if text.span(ends) else "none"))
    if pd.notna(trial["rank"]):
        facts.append(("rank", f"{int(trial['rank'])} of {complete} complete"))
    for column, name, form in (
        (Trials.SEEDS, "seeds", "{:.0f}"),
        (Trials.EPOCHS, "epochs", "{:.0f}"),
        (Trials.BEST_EPOCH, "best epoch", "{:.1f}"),
        (Trials.VAL_ACCURACY, "accuracy", "{:.3f}"),
        (Trials.VAL_MAE, "MAE", "{:.4g}"),
        (Trials.VAL_RMSE, "RMSE", "{:.4g}"),
        (Trials.VAL_LOSS, "loss", "{:.3f}"),
        (Trials.PARAMETERS, "weights", "{:,.0f}"),
    ):
        if column in trial and pd.notna(trial[column]):
            facts.append((name, form.format(trial[column])))
    if pd.notna(trial.get(Trials.FINISHED_S)):
        facts.append(("ended", f"{text.duration(float(trial[Trials.FINISHED_S]))} after the sweep began"))
    reached = hyper.rungs(trial.to_frame().T)
    if len(reached):
        rungs = ", ".join(f"{row.at_rung:.3f} at {row.rung}" for row in reached.itertuples())
        facts.append(("rungs (epoch)", rungs))
    for column in page.frame.columns:
        if column.startswith(foreign.METRIC_PREFIX) and pd.notna(trial[column]):
            facts.append((text.clean(column.removeprefix(foreign.METRIC_PREFIX)), text.value(trial[column])))
    return facts


def reopen_card() -> None:
    """The whole page is drawn again, with the card that its address asks for."""
    for kept in (SHOWN, DISMISSED):
        st.session_state.pop(kept, None)


reopen_card()
layout.page("Hyperparameters", show)
