"""Runs against one another: which is better on the test rows, in which classes, and on which images."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import comparison as charts
from dashboard.frames import comparable_runs, comparison
from dashboard.frames import trials as trial_frames
from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.run_info import RunInfo, on_same_rows
from dashboard.ui import disagreement, head_comparison, layout, score_comparison, state
from dashboard.ui.compare_link import RUNS
from dashboard.ui.pages import COMPARE as PAGE
from trainer.core.errors import InputError
from trainer.tracking.compared_runs import (
    ComparedRuns,
    RunAnswers,
    compared,
    differing,
)
from trainer.tracking.schema import Artifact, Samples

BASE = "base"  # of the address: id of one of the runs
PICKED, PICKED_BASE = "runs-compared", "base-compared"  # of the session
NEW_LINE = "  \n"  # in Markdown
COMMAND = "python -m trainer.compare RUN RUN"


class Compared(NamedTuple):
    """The runs, how they are called on the page, and what came of it."""

    infos: list[RunInfo]
    names: list[str]
    found: ComparedRuns


def main() -> None:
    try:
        infos = comparable()
        if len(infos) < 2:
            layout.nothing_yet(
                PAGE,
                "Two runs with test results are needed to compare them. With the same data and --seed they "
                "have the same test rows. In the terminal:",
                COMMAND,
            )
            warn(left_out(infos))
            return
        st.header(PAGE.title)
        picked = pick(infos)
        if len(picked) < 2:
            warn(left_out(infos))
            layout.empty("Choose two runs or more.", PAGE.shortcode)
            return
        base = pick_base(picked)
        warn([*left_out(infos), *comparable_runs.on_other_data(picked, picked[base])])
        show(picked, base)
    except StoreProblem as problem:
        layout.trouble(problem)


def comparable() -> list[RunInfo]:
    """Runs that may have answered test rows, newest first. Raises `StoreProblem`."""
    found = [info for info in state.sweeps() if info.ours] + [
        info for kind in comparison.OF_METHODS for info in state.of_kind(kind)
    ]
    ended = [info for info in found if comparable_runs.is_comparable(info)]
    return sorted(ended, key=lambda info: info.started.timestamp() if info.started else 0, reverse=True)


def named() -> list[str]:
    """Ids of the runs that the address names."""
    return [one for one in st.query_params.get(RUNS, "").split(",") if one]


def left_out(infos: list[RunInfo]) -> list[str]:
    """A sentence for each run that the address names in vain, and for such a baseline. Raises
    `StoreProblem`."""
    taken = {info.run_id for info in infos}
    asked, base = named(), st.query_params.get(BASE)
    said: list[str] = []
    if len(asked) > comparable_runs.MOST or not taken.issuperset(asked):
        every = {info.run_id: info for info in (*state.every_run(), *infos)}
        archived = {info.run_id: info for info in state.every_run(archived=True)}
        said = comparable_runs.not_compared(asked, every, archived)
    if base and base not in taken.intersection(asked):
        said.append(
            f"The baseline {text.plain(base, longest=40)} of the address is not compared here. The first "
            "run takes its place."
        )
    return said


def warn(said: list[str]) -> None:
    """Say what is not as the address asks, or not alike in all runs."""
    if said:
        st.warning(NEW_LINE.join(said), icon=":material/link_off:")


def pick(infos: list[RunInfo]) -> list[RunInfo]:
    """Which runs are compared, kept in the address."""
    by_id = {info.run_id: info for info in infos}
    if RUNS in st.query_params:
        asked = [one for one in dict.fromkeys(named()) if one in by_id][: comparable_runs.MOST]
    else:
        first = by_id.get(st.session_state.get(state.RUN, ""), infos[0])
        alike = [*on_same_rows(infos, first), *(one for one in infos if one.data == first.data)]
        others = [info for info in alike if info is not first]  # with corrected labels it is other data
        chosen = {info.run_id for info in [first, *others][:2]}
        asked = [info.run_id for info in infos if info.run_id in chosen][::-1]  # the older is the baseline
        st.query_params[RUNS] = ",".join(asked)
    if st.session_state.get(PICKED) != asked:
        st.session_state[PICKED] = asked
    st.multiselect(
        "Runs",
        list(by_id),
        format_func=lambda run_id: layout.run_label(by_id[run_id]),
        key=PICKED,
        max_selections=comparable_runs.MOST,
        on_change=repicked,
    )
    return [by_id[one] for one in st.session_state[PICKED]]


def repicked() -> None:
    """Put other runs into the address; a baseline that is no longer among them leaves it."""
    ids = st.session_state[PICKED]
    st.query_params[RUNS] = ",".join(ids)
    if st.query_params.get(BASE) not in ids:
        st.query_params.pop(BASE, None)


def pick_base(picked: list[RunInfo]) -> int:
    """Which of them the others are compared with, kept in the address. Returns its place."""
    ids = [info.run_id for info in picked]
    asked = st.query_params.get(BASE)
    base = asked if asked in ids else ids[0]
    if st.session_state.get(PICKED_BASE) != base:
        st.session_state[PICKED_BASE] = base
    labels = {info.run_id: layout.run_label(info) for info in picked}
    st.selectbox(
        "Baseline",
        ids,
        format_func=lambda run_id: labels.get(run_id, run_id),
        key=PICKED_BASE,
        width=520,
        on_change=lambda: st.query_params.update({BASE: st.session_state[PICKED_BASE]}),
    )
    if not asked:
        st.query_params[BASE] = base
    return ids.index(st.session_state[PICKED_BASE])


def show(picked: list[RunInfo], base: int) -> None:
    if any(info.objective.numbers or info.objective.labels for info in picked):
        show_scores(picked, base)
        return
    versions = tuple((info.run_id, state.version(info, Artifact.PREDICTIONS)) for info in picked)
    try:
        seen = state.kept(("compared", versions, base), lambda: compare(picked, base))
    except InputError as error:
        layout.empty(text.plain(error, longest=800), PAGE.shortcode)
        settings(picked, comparison.run_names([info.name for info in picked], picked))
        return
    found = seen.found
    verdicts(found)
    for note in found.notes:
        layout.sentence(text.plain(note, longest=300))
    n = found.rows or None
    methods = comparison.runs_as_methods(seen.infos, found.scores)
    head_comparison.table(methods, n=n, groups=found.groups, of_runs=True)
    head_comparison.differences(found.pairs, n=n, groups=found.groups)
    if found.rows:
        st.subheader("Compare two")
        pair = head_comparison.choose_pair(found.pairs, label="Runs")
        head_comparison.by_class(found.classes, pair)
        samples = images_of(picked)
        disagreement.show(found.answers, samples, pair, key=versions)
        head_comparison.disagreement(found.answers, samples, pair, key=versions)
    searches(seen.infos, seen.names)
    settings(picked, seen.names)


def show_scores(picked: list[RunInfo], base: int) -> None:
    """Runs of numbers, or of several labels per image."""
    try:
        names = score_comparison.show(picked, base, images_of(picked))
    except InputError as error:
        layout.empty(text.plain(error, longest=800), PAGE.shortcode)
        settings(picked, comparison.run_names([info.name for info in picked], picked))
        return
    searches(picked, names)
    settings(picked, names)


def compare(picked: list[RunInfo], base: int) -> Compared:
    """Compare the runs. Raises InputError where that cannot be."""
    read = [answers(info) for info in picked]
    names = comparison.run_names([one.name for one in read], picked)
    # without their data, of which `comparable_runs.on_other_data` tells
    runs = [RunAnswers(name, one.table) for name, one in zip(names, read, strict=True)]
    return Compared(picked, names, compared(runs, base=base))


def answers(info: RunInfo) -> RunAnswers:
    predictions = state.table(info, Artifact.PREDICTIONS)
    return comparison.run_answers(info, predictions, lambda: state.table(info, Artifact.METHODS))


def verdicts(found: ComparedRuns) -> None:
    """The verdict on each run, the first in bold."""
    for place, said in enumerate(comparison.run_verdicts(found.pairs, text.plain)):
        (layout.verdict if place == 0 else layout.sentence)(said)


def images_of(picked: list[RunInfo]) -> pd.DataFrame | None:
    """SAMPLES of the runs, each row once."""
    tables = [table for info in picked if (table := state.table(info, Artifact.SAMPLES)) is not None]
    return pd.concat(tables).drop_duplicates(Samples.SAMPLE_ID) if tables else None


def searches(infos: list[RunInfo], names: list[str]) -> None:
    """How the trials of sweeps scored: the best so far, and the share of trials up to each score."""
    tables, objectives = {}, set()
    for info, name in zip(infos, names, strict=True):
        trials = state.table(info, Artifact.TRIALS)
        if trials is not None and info.objective.column in trials:
            tables[name] = trial_frames.best_so_far(trials, info.objective)
            objectives.add(info.objective.title)
    if len(tables) < 2 or len(objectives) > 1:
        return
    st.subheader("Search")
    frame = comparison.searches(tables)
    title, n = objectives.pop(), text.count(len(frame), "trial")
    runs = f"{len(tables)} runs"
    for column, drawn, name, described in zip(
        st.columns(2),
        (charts.best_so_far, charts.trial_scores),
        ("best-so-far", "trial-scores"),
        (
            f"Best validation score so far of {runs}, by trials done",
            f"Share of the trials of {runs} up to each validation score",
        ),
        strict=True,
    ):
        with column:
            layout.chart(drawn(frame, title=title), frame, name=name, alt_text=described, n=n)
    layout.sentence(
        "Share of trials: a curve further right found more good trials. Pruned trials have the score at "
        "which they stopped."
    )
    loss_curves(infos, names)


def loss_curves(infos: list[RunInfo], names: list[str]) -> None:
    """Training and validation loss of each run's best trial with epochs, over one another."""
    found = {}
    for info, name in zip(infos, names, strict=True):
        trials, curves = state.table(info, Artifact.TRIALS), state.table(info, Artifact.CURVES)
        if trials is not None and curves is not None and info.objective.column in trials:
            found[name] = comparison.losses(trials, curves, info.objective)
    found = {name: frame for name, frame in found.items() if len(frame)}
    if len(found) < 2:
        return
    st.subheader("Loss of the best trials")
    frame = pd.concat([rows.assign(run=name) for name, rows in found.items()], ignore_index=True)
    layout.chart(
        charts.losses(frame, extent=trial_frames.axis_range(frame["value"])),
        frame,
        name="losses",
        alt_text=f"Training and validation loss by epoch of the best trials of {len(found)} runs",
        n=text.count(len(found), "trial"),
    )
    told = "; ".join(f"{text.plain(name)}: {comparison.lowest(rows)}" for name, rows in found.items())
    layout.sentence(
        "Each run’s best trial with epochs, mean over seeds. Training losses of different kinds, or with "
        "other augmentation, differ in scale."
    )
    layout.sentence(f"Validation loss: {told}.")


def settings(picked: list[RunInfo], names: list[str]) -> None:
    """The flags that are not the same in all runs."""
    flags = differing([state.flags(info) for info in picked])
    differ = list(flags[0])
    st.subheader("Settings that differ")
    if not differ:
        layout.sentence("None on record.")
        return
    table: dict[str, Any] = {"flag": [f"--{name.replace('_', '-')}" for name in differ]}
    for name, one in zip(names, flags, strict=True):
        table[name] = ["–" if one[flag] is None else text.clean(one[flag], longest=80) for flag in differ]
    st.dataframe(
        pd.DataFrame(table), hide_index=True, alt=f"{text.count(len(differ), 'setting')} that differ"
    )


main()
