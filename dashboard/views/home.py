"""All sweeps; the chosen one's verdict, progress and best configurations."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import intervals
from dashboard.charts import progress as progress_charts
from dashboard.charts.chart_spec import Drawing, drawing
from dashboard.frames import trials as trial_frames
from dashboard.frames.run_list import STAR, STATE_MARKS
from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.run_info import RunInfo
from dashboard.runs.store import NEWEST
from dashboard.ui import compare_link, headline, layout, leaderboard, state
from dashboard.ui.pages import COMPARE, HOME, RUNS
from trainer.core.locations import default_tracking_uri, without_password
from trainer.stats.objective import F1, Objective
from trainer.tracking.schema import Ablated, Ablation, Artifact, Kind, RunState, Trials

OPENED = "run"  # column in which the opened run is framed
BEST = 15  # rows of the leaderboard
ABLATIONS = 20  # listed: each costs a read
SCORE = 140  # pixels of a column with an interval
CAPTION_HEIGHT, SUBHEADER_HEIGHT, LINKS_HEIGHT = 45, 45, 46  # pixels, with the room between


def main() -> None:
    try:
        infos, others = state.sweeps(), state.ablations()
    except StoreProblem as problem:
        st.header(HOME.title)
        layout.trouble(problem)
        return
    if not infos and not others:
        layout.first_visit()
        return
    every = state.REFRESH_S if any(found.state == RunState.LIVE for found in others) else None
    if not infos:
        st.fragment(ablation_table, run_every=every)()
        return
    info = state.chosen(infos)
    st.header(HOME.title)
    sweeping = state.REFRESH_S if any(found.state == RunState.LIVE for found in infos) else None
    lists = layout.Place("lists", lists_height(infos, others))
    layout.page(text.plain(info.name), results, named=False)
    with lists:
        st.fragment(sweep_table, run_every=sweeping)(info.run_id)
        if others:
            st.fragment(ablation_table, run_every=every)()


def lists_height(infos: list[RunInfo], others: list[RunInfo]) -> int:
    """Return how many pixels the tables above the chosen run will take, about."""
    height = layout.table_height(len(infos)) + CAPTION_HEIGHT + LINKS_HEIGHT
    if others:
        height += SUBHEADER_HEIGHT + layout.table_height(min(len(others), ABLATIONS)) + CAPTION_HEIGHT
    return height


def sweep_table(shown_below: str) -> None:
    """One line per run; a click opens it below, and on every page. Ticked ones can be compared."""
    infos = state.sweeps()
    # Not the run shown below: after a click that is the run before, and a table that is told to select it
    # would answer with another click.
    chosen = state.chosen(infos).run_id
    ids = [info.run_id for info in infos]
    key = layout.key_of_rows("sweeps", ids)
    before = st.session_state[key]["selection"] if key in st.session_state else {"rows": [], "cells": []}
    if [row for row, _ in before["cells"]] != [ids.index(chosen)]:
        cells = [(ids.index(chosen), OPENED)]
        st.session_state[key] = {"selection": {"rows": list(before["rows"]), "columns": [], "cells": cells}}

    def opened() -> None:
        clicked = st.session_state[key]["selection"]["cells"]
        if clicked:
            state.choose(ids[clicked[0][0]])

    picked = layout.room("room-of-sweeps", layout.table_height(len(infos))).dataframe(
        sweep_rows(infos),
        key=key,
        on_select=opened,
        selection_mode=["multi-row", "single-cell"],
        hide_index=True,
        placeholder="–",
        column_config=SWEEP_COLUMNS,
    )
    if chosen != shown_below:
        st.rerun()  # the rest of the page, and the sidebar, are about another run now
    shown = f"The newest {NEWEST} runs" if len(infos) == NEWEST else text.count(len(infos), "run")
    store = text.plain(without_password(default_tracking_uri()), longest=120)
    layout.sentence(f"{shown} in {store}. Click a row to open it; tick rows to compare them.")
    ticked = [infos[row] for row in sorted(picked["selection"]["rows"]) if row < len(infos)]
    with st.container(horizontal=True):
        if not compare_link.show(ticked) and len(infos) > 1:
            st.page_link(COMPARE.file, label="Compare it with another run", icon=COMPARE.shortcode)
        st.page_link(RUNS.file, label="All kinds of runs", icon=RUNS.shortcode)


def ablation_table() -> None:
    """One line per ablation; a click opens its page."""
    st.subheader("Filter ablations")
    infos = state.ablations()
    shown = infos[:ABLATIONS]
    picked = (
        layout.room("room-of-ablations", layout.table_height(len(shown)))
        .dataframe(
            pd.DataFrame(ablation_row(info, state.summary(info)) for info in shown),
            key="ablations",
            on_select="rerun",
            selection_mode="single-row",
            hide_index=True,
            placeholder="–",
            column_config={"started": SWEEP_COLUMNS["started"]},
        )
        .selection.rows
    )
    left = f" The newest {len(shown)} of {len(infos)}." if len(infos) > len(shown) else ""
    layout.sentence(f"Effects on test macro-F1 with 95 % intervals. Click a row to open its page.{left}")
    if picked:
        state.choose(shown[picked[0]].run_id, key=state.ABLATION)
        st.switch_page("views/ablation.py", query_params={state.ABLATION: shown[picked[0]].run_id})


def ablation_row(info: RunInfo, summary: dict[str, Any]) -> dict[str, Any]:
    """Return an ablation as a row of the table."""
    chosen = summary.get(Ablated.CHOSEN) or {}
    baseline = summary.get(Ablated.BASELINE)
    return {
        "state": STATE_MARKS[info.state],
        "ablation": text.clean(info.name, longest=60),
        "data": text.short_path(info.data),
        "encoder": text.short_encoder(info.encoder),
        "cells": summary.get(Ablated.CELLS),
        "filters that help": len(summary.get(Ablated.HELPFUL, ())) if summary else None,
        "baseline macro-F1": text.interval(baseline, summary.get(Ablated.BASELINE_CI95) or None),
        "best on validation": text.clean(
            f"{chosen[Ablation.FILTER]}{' + augmentation' if chosen[Ablation.AUGMENT] else ''}", longest=50
        )
        if chosen
        else None,
        "effect": text.figure(chosen, Ablation.EFFECT, text.signed),
        "started": info.started,
    }


SWEEP_COLUMNS: dict[str, Any] = {
    "trials": st.column_config.TextColumn("trials", help="without pruned and failed ones"),
    "best so far": st.column_config.LineChartColumn(
        width="small", help="best validation score as trials completed, each line over its own range"
    ),
    "best val score": st.column_config.TextColumn(
        help="best trial by its sweep's objective, mean over seeds [95 % interval]", width="small"
    ),
    "best val macro-F1": st.column_config.TextColumn(
        width=SCORE, help="best trial, mean over seeds [95 % interval]"
    ),
    "test score": st.column_config.TextColumn(
        width=SCORE,
        help="the final head on the test set: macro-F1, R² of a number or mAP of labels [95 % interval]",
    ),
    "test macro-F1": st.column_config.TextColumn(
        width=SCORE, help="the final head on the test set [95 % interval]"
    ),
    "started": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
}


def sweep_rows(infos: list[RunInfo]) -> pd.DataFrame:
    """Return the list of runs, what people compare first; each score is named where not all are macro-F1."""
    mixed = any(info.objective is not F1 for info in infos)
    several = any(info.objective.leading is not F1 for info in infos)
    return pd.DataFrame(
        {
            "state": STATE_MARKS[info.state],
            "run": (f"{STAR} " if info.starred else "") + text.clean(info.name, longest=60),
            "test score" if several else "test macro-F1": test_score(info, named=several),
            "best val score" if mixed else "best val macro-F1": best_score(info, named=mixed),
            "best so far": list(info.figures.best_so_far) or None,
            "data": text.short_path(info.data or (info.experiment if not info.ours else "")),
            "encoder": text.short_encoder(info.encoder)
            + (", fine-tuned" if info.kind == Kind.FINE_TUNING else ""),
            "trials": info.trials_done or None,
            "started": info.started,
            "took": text.duration(info.duration_s),
        }
        for info in infos
    )


def best_score(info: RunInfo, *, named: bool) -> str:
    """Format the best trial's score, with what it is a score of."""
    score = text.over_seeds(info.figures.best_val, info.figures.best_val_ci95)
    return f"{info.objective.title} {score}" if named and info.figures.best_val is not None else score


def test_score(info: RunInfo, *, named: bool) -> str:
    """Format the final head's score, with what it is a score of."""
    score = text.interval(info.figures.test, info.figures.test_ci95)
    return f"{info.objective.leading.title} {score}" if named and info.figures.test is not None else score


def results(info: RunInfo) -> None:
    trials = state.table(info, Artifact.TRIALS)
    if trials is None or trials.empty:
        layout.empty(
            "No trial has finished yet." if info.state == RunState.LIVE else "No trial finished in this run."
        )
    elif info.ours:
        summary = state.summary(info)
        above = layout.Place("headline", headline.height(summary, info.objective))
        version = ("progress", info.run_id, state.version(info, Artifact.TRIALS))
        progress(trials, version, info.objective)
        with above:
            headline.show(info, summary)
        leaderboard.show(trials, BEST, info.objective)
    else:
        leaderboard.show_foreign(trials)


def progress(trials: pd.DataFrame, version: Hashable, objective: Objective) -> None:
    title = objective.title

    def figures() -> tuple[pd.DataFrame, pd.DataFrame, Drawing, Drawing]:
        frame = trial_frames.best_so_far(trials, objective)
        best = trial_frames.top(trials, BEST, objective)
        race = progress_charts.best_so_far(frame, title=title)
        top = intervals.best_trials(best, title=title, most=objective.most, least=objective.least)
        return frame, best, drawing(race), drawing(top)

    frame, best, race, top = state.kept(version, figures)
    if frame.empty:
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.subheader("Best so far")
        said = f"Best {title} so far against {len(frame)} trials"
        layout.chart(race, frame, name="best-so-far", alt_text=said, n=text.count(len(frame), "trial"))
    with right:
        st.subheader("Best trials")
        said = f"Validation {title} of the {len(best)} best trials with 95 % intervals"
        layout.chart(top, best, name="best-trials", alt_text=said, n=text.count(len(trials), "trial"))
    left_out = len(trials) - len(frame)
    without = f" ({left_out} without a score left out)" if left_out else ""
    fewest, most = int(trials[Trials.SEEDS].min()), int(trials[Trials.SEEDS].max())
    seeds = text.count(most, "seed") if fewest == most else f"{fewest} to {most} seeds"
    layout.sentence(
        f"Dots: {text.count(len(frame), 'trial')} as they finished, means over "
        f"{seeds}{without}. Line: best complete one so far. "
        f"Right: top {len(best)}, 95 % intervals over {trial_frames.interval_over(trials)}."
    )


main()
