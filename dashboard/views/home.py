"""All sweeps; the chosen one's headline figures, progress and best configurations."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import intervals
from dashboard.charts import progress as progress_charts
from dashboard.frames import trials as trial_frames
from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.run_info import RunInfo
from dashboard.runs.store import NEWEST
from dashboard.ui import layout, leaderboard, state
from dashboard.ui.chart_spec import Drawing, drawing
from trainer.core.locations import default_tracking_uri
from trainer.stats.objective import ACCURACY, AUROC, F1, Objective
from trainer.stats.power import detectable_effect
from trainer.tracking.schema import (
    Ablated,
    Ablation,
    Artifact,
    FineTuned,
    Kind,
    RunState,
    Summary,
    Trials,
    Verdict,
)

BEST = 15  # rows of the leaderboard
ABLATIONS = 20  # listed: each costs a read
ROW_HEIGHT, MOST_HIGH, HEADLINE_HEIGHT = 35, 400, 190  # pixels, about
STATE_MARKS = {
    RunState.LIVE: "● live",
    RunState.DONE: "✓ done",
    RunState.INTERRUPTED: "‖ interrupted",
    RunState.FAILED: "✕ failed",
}


def main() -> None:
    try:
        infos, others = state.sweeps(), state.ablations()
    except StoreProblem as problem:
        st.header("Sweeps")
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
    st.header("Sweeps")
    sweeping = state.REFRESH_S if any(found.state == RunState.LIVE for found in infos) else None
    lists = layout.Place(lists_height(infos, others))
    layout.page(text.plain(info.name), results, named=False)
    with lists:
        st.fragment(sweep_table, run_every=sweeping)(info.run_id)
        if others:
            st.fragment(ablation_table, run_every=every)()


def lists_height(infos: list[RunInfo], others: list[RunInfo]) -> int:
    """Pixels that the tables above the chosen run will take, about."""
    runs = min(ROW_HEIGHT * (len(infos) + 1), MOST_HIGH)
    return runs + (ROW_HEIGHT * (min(len(others), ABLATIONS) + 4) if others else 0) + ROW_HEIGHT


def sweep_table(chosen: str) -> None:
    """One line per run; a click opens it below, and on every page."""
    infos = state.sweeps()
    ids = [info.run_id for info in infos]
    key = "sweeps-" + hashlib.blake2b("".join(ids).encode(), digest_size=6).hexdigest()
    rows = [ids.index(chosen)] if chosen in ids else []
    if key not in st.session_state or st.session_state[key]["selection"]["rows"] != rows:
        st.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}

    def opened() -> None:
        picked = st.session_state[key]["selection"]["rows"]
        if picked:
            state.choose(ids[picked[0]])

    st.dataframe(
        sweep_rows(infos),
        key=key,
        on_select=opened,
        selection_mode="single-row-required",
        hide_index=True,
        placeholder="–",
        column_config=SWEEP_COLUMNS,
    )
    if state.chosen(infos).run_id != chosen:
        st.rerun()  # the rest of the page, and the sidebar, are about another run now
    shown = f"the newest {NEWEST} runs" if len(infos) == NEWEST else text.count(len(infos), "run")
    layout.sentence(
        f"{shown.capitalize()} in {text.plain(default_tracking_uri(), longest=120)}. Click a row to open it."
    )


def ablation_table() -> None:
    """One line per ablation; a click opens its page."""
    st.header("Filter ablations")
    infos = state.ablations()
    shown = infos[:ABLATIONS]
    picked = st.dataframe(
        pd.DataFrame(ablation_row(info, state.summary(info)) for info in shown),
        key="ablations",
        on_select="rerun",
        selection_mode="single-row",
        hide_index=True,
        placeholder="–",
        column_config={"started": SWEEP_COLUMNS["started"]},
    ).selection.rows
    left = f" The newest {len(shown)} of {len(infos)} are listed." if len(infos) > len(shown) else ""
    layout.sentence(
        "What filters and augmentation did to test macro-F1, with 95 % intervals. Click a row to open its "
        f"page.{left}"
    )
    if picked:
        state.choose(shown[picked[0]].run_id, key=state.ABLATION)
        st.switch_page("views/ablation.py", query_params={state.ABLATION: shown[picked[0]].run_id})


def ablation_row(info: RunInfo, summary: dict[str, Any]) -> dict[str, Any]:
    """An ablation as the table tells it."""
    chosen = summary.get(Ablated.CHOSEN) or {}
    baseline = summary.get(Ablated.BASELINE)
    return {
        "state": STATE_MARKS[info.state],
        "ablation": text.clean(info.name, longest=60),
        "data": text.clean(info.data),
        "encoder": text.clean(info.encoder),
        "cells": summary.get(Ablated.CELLS),
        "help": len(summary.get(Ablated.HELPFUL, ())) if summary else None,
        "baseline macro-F1": text.interval(baseline, summary.get(Ablated.BASELINE_CI95) or None),
        "best on validation": text.clean(
            f"{chosen[Ablation.FILTER]}{' + augmentation' if chosen[Ablation.AUGMENT] else ''}", longest=50
        )
        if chosen
        else None,
        "its effect": text.figure(chosen, Ablation.EFFECT, text.signed),
        "started": info.started,
    }


SWEEP_COLUMNS: dict[str, Any] = {
    "trials": st.column_config.NumberColumn("trials", width="small", help="proposed so far"),
    "best so far": st.column_config.LineChartColumn(
        width="small", help="best validation score as trials completed, each line over its own range"
    ),
    "best val score": st.column_config.TextColumn(
        help="best trial by its sweep's objective, mean over seeds [95 % interval]"
    ),
    "best val macro-F1": st.column_config.TextColumn(help="best trial, mean over seeds [95 % interval]"),
    "test macro-F1": st.column_config.TextColumn(help="the chosen head on the test rows [95 % interval]"),
    "started": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
}


def sweep_rows(infos: list[RunInfo]) -> pd.DataFrame:
    """The table of runs as people read it; each score is named where not all of them are macro-F1."""
    mixed = any(info.objective is not F1 for info in infos)
    return pd.DataFrame(
        {
            "state": STATE_MARKS[info.state],
            "run": text.clean(info.name, longest=60),
            "data": text.clean(info.data or (info.experiment if not info.ours else "")),
            "encoder": text.clean(info.encoder) + (", fine-tuned" if info.kind == Kind.FINE_TUNING else ""),
            "trials": info.figures.trials,
            "complete": info.figures.complete,
            "pruned": info.figures.pruned,
            "failed": info.figures.failed,
            "best so far": list(info.figures.best_so_far) or None,
            "best val score" if mixed else "best val macro-F1": best_score(info, named=mixed),
            "test macro-F1": text.interval(info.figures.test, info.figures.test_ci95),
            "started": info.started,
            "took": text.duration(info.duration_s),
        }
        for info in infos
    ).astype(dict.fromkeys(("trials", "complete", "pruned", "failed"), "Int64"))


def best_score(info: RunInfo, *, named: bool) -> str:
    """The best trial's score, with what it is a score of."""
    score = text.interval(info.figures.best_val, info.figures.best_val_ci95)
    return f"{info.objective.title} {score}" if named and info.figures.best_val is not None else score


def results(info: RunInfo) -> None:
    trials = state.table(info, Artifact.TRIALS)
    if trials is None or trials.empty:
        layout.empty(
            "No trial has ended yet." if info.state == RunState.LIVE else "No trial ended in this run."
        )
    elif info.ours:
        summary = state.summary(info)
        above = layout.Place(HEADLINE_HEIGHT)
        version = ("progress", info.run_id, state.version(info, Artifact.TRIALS))
        progress(trials, version, info.objective)
        with above:
            headline(info, summary)
            if summary.get(FineTuned.EFFECT):
                against_frozen(summary)
            if Summary.TEST_LESS_EXPECTED in summary:
                if warning := below(summary):
                    st.warning(warning, icon=":material/warning:")
                layout.sentence(outlook(summary, info.objective))
            if Summary.MEMBERS in summary:
                layout.sentence(final_head(summary, info.objective))
            if summary.get(Summary.FRESH + info.objective.column) is not None:
                layout.sentence(how_it_held(summary, info.objective))
        leaderboard.show(trials, BEST, info.objective)
    else:
        leaderboard.show_foreign(trials)


def headline(info: RunInfo, summary: dict[str, Any]) -> None:
    """The figures that the command printed last, or those so far."""
    counts = summary.get(Summary.COUNTS, {})
    objective = info.objective
    cells = [
        expected(summary)
        or (
            f"Best val {objective.title}",
            text.score(info.figures.best_val),
            text.ends(info.figures.best_val_ci95),
        ),
        ("Test macro-F1", text.score(info.figures.test), text.ends(info.figures.test_ci95)),
        (
            "Test accuracy",
            text.score(summary.get(Summary.TEST_ACCURACY)),
            text.ends(summary.get(Summary.TEST_ACCURACY_CI95)),
        ),
        (
            "Trials",
            text.count(info.figures.trials),
            f"{info.figures.pruned} pruned, {info.figures.failed} failed",
        ),
        (
            "Rows",
            text.count(sum(counts.values())) if counts else "–",
            ", ".join(f"{split} {n:,}" for split, n in counts.items() if split != "train"),
        ),
        ("Took", text.duration(info.duration_s, short=True), _speed(summary.get(Summary.TRIALS_PER_S))),
    ]
    also = {Summary.TEST_AUROC: AUROC.title}
    if objective not in (F1, ACCURACY):
        also[Summary.TEST + objective.metric] = objective.title
    for name, title in also.items():
        if summary.get(name) is not None:
            ends = text.ends(summary.get(name + Summary.CI95))
            cells.insert(3, (f"Test {title}", text.score(summary[name]), ends))
    layout.metric_row(cells)
    if Summary.TEST_F1_MACRO in summary and counts:
        layout.sentence(basis(summary))


def basis(summary: dict[str, Any]) -> str:
    """What the intervals of the test figures are over, and what makes them rough."""
    groups = summary.get(Summary.TEST_GROUPS)
    drawn = text.rows_drawn(summary[Summary.COUNTS]["test"], groups)
    rough = text.cautions(groups, summary.get(Summary.TEST_ROWS_PER_CLASS))
    return " ".join([f"Test intervals: 95 %, over {drawn}.", *(f":material/warning: {one}" for one in rough)])


def expected(summary: dict[str, Any]) -> tuple[str, str, str] | None:
    """The macro-F1 to expect on new data; None where it is not on record."""
    if summary.get(Summary.EXPECTED_F1_MACRO) is None:
        return None
    ends = text.ends(summary[Summary.EXPECTED_F1_MACRO_CI95])
    return "Expected macro-F1", text.score(summary[Summary.EXPECTED_F1_MACRO]), ends


def outlook(summary: dict[str, Any], objective: Objective = F1) -> str:
    """What to expect on new data, and how the test rows compare with that."""
    accuracy = text.interval(summary[Summary.EXPECTED_ACCURACY], summary[Summary.EXPECTED_ACCURACY_CI95])
    f1 = text.interval(summary[Summary.EXPECTED_F1_MACRO], summary[Summary.EXPECTED_F1_MACRO_CI95])
    less, *ends = summary[Summary.TEST_LESS_EXPECTED]
    apart = text.interval(less, ends, text.signed)
    looks = summary.get(Summary.TEST_LOOKS, 1)
    seen = f" Runs in this store had answered them {looks} times by then." if looks > 1 else ""
    name, other = Summary.EXPECTED + objective.metric, ""
    if objective not in (F1, ACCURACY) and summary.get(name) is not None:
        other = f", {objective.title} {text.interval(summary[name], summary[name + Summary.CI95])}"
    return (
        f"Expected on new data: macro-F1 {f1}, accuracy {accuracy}{other}, 95 % over "
        f"{summary[Summary.EXPECTED_OVER]}. On the test rows macro-F1 differs by {apart}.{seen}"
    )


def below(summary: dict[str, Any]) -> str | None:
    """What to look at where the test rows are answered worse than expected by more than chance."""
    said = text.below_expected(*summary[Summary.TEST_LESS_EXPECTED])
    return None if said is None else f"{said} See Data quality."


def against_frozen(summary: dict[str, Any]) -> None:
    """Whether fine-tuning was worth it, for a run that did."""
    value, low, high = summary[FineTuned.EFFECT]
    effect = text.interval(value, (low, high), text.change)
    blocks = text.count(summary[FineTuned.UNFROZEN], "block")
    groups = summary.get(Summary.TEST_GROUPS)
    by = "row" if groups is None else f"group, over {text.count(groups, 'group')}"
    says, show = {
        Verdict.HELPS: ("helps", st.success),
        Verdict.HURTS: ("hurts: keep the frozen encoder", st.warning),
    }.get(summary[FineTuned.VERDICT], ("makes no difference that these rows could show", st.info))
    unsure = show is st.info and text.known((low, high))
    could = text.detectable(detectable_effect(low, high)) if unsure else ""
    frozen = text.interval(
        summary[FineTuned.FROZEN_TEST_F1_MACRO], summary[FineTuned.FROZEN_TEST_F1_MACRO_CI95]
    )
    show(
        f"Fine-tuning the last {blocks} of {summary[FineTuned.BLOCKS]} {says}. Test macro-F1 less that of "
        f"the best head on the frozen encoder, which has {frozen}: {effect}, "
        f"paired by {by} (n = {summary[Summary.COUNTS]['test']:,}), mean over "
        f"{text.count(summary[FineTuned.SEEDS], 'seed')}, p = {summary[FineTuned.EFFECT_P]:.2g}{could}. "
        "Trial 0 is the frozen one; both heads are on the page “Confusion matrix”. "
        f"{text.plain(summary.get(FineTuned.WHY, ''), longest=500)}".strip(),
        icon=":material/tune:",
    )


def final_head(summary: dict[str, Any], objective: Objective = F1) -> str:
    """What the sweep hands over: its trials, what judged them, and what it learned from."""
    shares = [(int(number), share) for number, share in summary[Summary.MEMBERS].items()]
    shares.sort(key=lambda pair: -pair[1])
    members = ", ".join(f"{number} ({share:.0%})" for number, share in shares)
    who = f"trial {shares[0][0]}" if len(shares) == 1 else f"an ensemble of the trials {members}"
    rows = "train and val" if summary[Summary.REFIT] else "train"
    score = text.score(summary.get(Summary.HELD_OUT + objective.metric))
    return (
        f"Final head: {who}. It learned from {rows}; {objective.title} on rows that its heads had not "
        f"learned from: {score} ({summary[Summary.VALIDATION]})."
    )


def how_it_held(summary: dict[str, Any], objective: Objective) -> str:
    """What is left of the best score with other random numbers: luck of seeds, and nothing else."""
    name = Summary.FRESH + objective.column
    ends = summary[name + Summary.CI95]
    fresh = text.interval(summary[name], ends)
    if ends[0] is not None and ends[1] - ends[0] < 1e-9:
        fresh += " (no seed changed anything, so this says nothing about luck in choosing)"
    leads = [
        f"{text.interval(lead, ends, text.signed)} to the {name} trial"
        for name, (lead, *ends) in summary.get(Summary.FRESH_LEAD, {}).items()
    ]
    selected = text.score(summary.get(Summary.BEST + objective.column))
    return (
        f"Luck of seeds: selected with {objective.title} {selected}, the best trial has {fresh} with "
        f"{text.count(summary[Summary.FRESH_SEEDS], 'fresh seed')}"
        + (f"; difference {'; '.join(leads)} (seed by seed)." if leads else ".")
    )


def _speed(per_s: float | None) -> str:
    return "" if per_s is None else f"{text.value(per_s)} trials per s"


def progress(trials: pd.DataFrame, version: Hashable, objective: Objective) -> None:
    title = objective.title

    def figures() -> tuple[pd.DataFrame, pd.DataFrame, Drawing, Drawing]:
        frame = trial_frames.best_so_far(trials, objective)
        best = trial_frames.top(trials, BEST, objective)
        race = progress_charts.best_so_far(frame, title=title)
        top = intervals.best_trials(best, title=title, most=objective.most)
        return frame, best, drawing(race), drawing(top)

    frame, best, race, top = state.kept(version, figures)
    if frame.empty:
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.subheader("Best so far")
        layout.draw(race, alt_text=f"Best {title} so far against {len(frame)} trials")
    with right:
        st.subheader("Best trials")
        layout.draw(top, alt_text=f"Validation {title} of the {len(best)} best trials with 95 % intervals")
    left_out = len(trials) - len(frame)
    without = f"; {text.count(left_out, 'trial')} without a score not drawn" if left_out else ""
    layout.sentence(
        f"Each dot is a trial in the order in which they ended (n = {len(frame)}, means over "
        f"{text.count(int(trials[Trials.SEEDS].max()), 'seed')}); the line is the best complete one so far"
        f"{without}. Right: the {len(best)} best with 95 % intervals over "
        f"{trial_frames.interval_over(trials)}, cut at the edge."
    )


main()
