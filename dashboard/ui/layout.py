"""What the pages share: the frame around a run, and the designed states where there is nothing to draw."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import altair as alt
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import text
from dashboard.charts.chart_spec import Drawing, drawing
from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.run_info import RunInfo
from dashboard.ui import run_controls, state
from dashboard.ui.pages import PAGES, Page
from trainer.charts.paper import COLUMNS_MM, FORMS, Caption
from trainer.charts.paper import figure as paper_figure
from trainer.core.locations import default_tracking_uri, without_password
from trainer.tracking.schema import SCHEMA_VERSION, SWEEP_KINDS, RunState, Stopped

Made = TypeVar("Made")
ROW_HEIGHT = 31  # pixels, of a table
RUN_SHOWN = "run-shown"  # session: name of the run that a page is about
LOOKS = {  # state → (icon, colour of the badge)
    RunState.LIVE: (":material/play_circle:", "blue"),
    RunState.DONE: (":material/check_circle:", "green"),
    RunState.INTERRUPTED: (":material/pause_circle:", "orange"),
    RunState.FAILED: (":material/error:", "red"),
}
STOPPED = {
    Stopped.INTERRUPTED: "Stopped by the user.",
    Stopped.LOST: "Its process stopped unexpectedly (no heartbeat for a minute).",
}


def page(
    title: str | Callable[[RunInfo | None], str],
    show: Callable[[RunInfo], None],
    *,
    named: bool = True,
    runs: Callable[[], list[RunInfo]] = state.sweeps,
    key: str = state.RUN,
    none: Callable[[], None] | None = None,
) -> None:
    """A page about the chosen run: title, banner, then ``show``, redrawn every few seconds while live.

    Args:
        title: of the page; or what it is called for a run, and without any.
        named: whether the run's name stands beside the title.
        runs: those to choose from, ``key`` being where the choice is kept.
        none: shows what there is to say without any; left out, that of the first visit.
    """
    try:
        infos = runs()
    except StoreProblem as problem:
        st.header(title if isinstance(title, str) else title(None))
        trouble(problem)
        return
    if not infos:
        (none or first_visit)()
        return
    info = state.chosen(infos, key=key)
    heading(title if isinstance(title, str) else title(info), info, named=named)
    moves = info.state == RunState.LIVE or run_controls.works_on(info)
    st.fragment(_body, run_every=state.REFRESH_S if moves else None)(info, show, runs)


def _body(info: RunInfo, show: Callable[[RunInfo], None], runs: Callable[[], list[RunInfo]]) -> None:
    try:
        now = next((found for found in runs() if found.run_id == info.run_id), info)
        if now.state != info.state:
            st.rerun()  # it ended, or came back to life: the frame around this fragment changes too
        banner(now)
        st.session_state[RUN_SHOWN] = now.name
        show(now)
    except StoreProblem as problem:
        trouble(problem)


def heading(title: str, info: RunInfo, *, named: bool) -> None:
    """Title of the page, and beside it which run it is about."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header(title, width="content")
        st.space("stretch")
        if named:
            st.text(text.clean(info.name, longest=60))
        badge(info)
    if info.understood:
        st.caption(text.plain(info.understood, longest=200))


def room(key: str, height: int) -> DeltaGenerator:
    """Return a container that is at least so many pixels high, from before its content is there.

    Args:
        key: unique on the page.
    """
    st.html(f"<style>.st-key-{key} {{min-height: {height}px}}</style>")
    return st.container(key=key)


def table_height(rows: int, *, most: int = 400) -> int:
    """Return how many pixels a table takes, up to ``most``; a browser draws it after all else."""
    return min(ROW_HEIGHT * (rows + 1) + 2, most)


def key_of_rows(name: str, ids: Sequence[str]) -> str:
    """Return the key of a table whose rows can be ticked: with other rows another one, so that ticks do not
    pass to what stands in their place."""
    return f"{name}-{hashlib.blake2b(''.join(ids).encode(), digest_size=6).hexdigest()}"


class Place:
    """Room above a page's first chart for what is drawn after it: ``with place: …``.

    Args:
        name: unique on the page.
        height: in pixels. As much is kept free, also while what is drawn there arrives piece by piece, so
            that the chart stays where it is.
    """

    def __init__(self, name: str, height: int) -> None:
        self.room = room(f"place-of-{name}", height)
        self.kept_free = self.room.empty()
        if state.waits_for_chart():
            self.kept_free.space(height)

    def __enter__(self) -> None:
        self.kept_free.empty()
        self.room.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.room.__exit__(*error)


def controlled(
    controls: Callable[[], Made],
    first: Made,
    draws: Callable[[Made], None],
    *,
    names: Sequence[str],
    height: int,
) -> None:
    """A row of controls, and below it what they control.

    A page that has just been opened sends its chart ahead of the controls, if nothing has been chosen: what
    they will say is known.

    Args:
        controls: shows them and returns what they say; ``first`` is what they say at first.
        draws: shows what they ask for.
        names: of the controls, in the address and in the session.
        height: of the row in pixels, about.
    """
    above = Place("controls", height)
    if state.opens_untouched(*names):
        draws(first)
        with above:
            controls()
    else:
        with above:
            asked = controls()
        draws(asked)


def run_label(info: RunInfo) -> str:
    """What tells a run from others of the same name: when it began, and how its id begins. Not Markdown."""
    started = f"{info.started:%d %b %H:%M}" if info.started else ""
    return f"{text.clean(info.name, longest=40)} · {started} · {info.run_id[:6]}"


def pick(
    info: RunInfo,
    infos: Sequence[RunInfo],
    *,
    label: str,
    key: str,
    named: Callable[[RunInfo], str] = run_label,
) -> None:
    """Which run the page is about, where there are several; ``key`` is where the choice is kept."""
    if len(infos) < 2:
        return
    names = {found.run_id: named(found) for found in infos}
    picked = st.selectbox(
        label,
        list(names),
        index=list(names).index(info.run_id) if info.run_id in names else 0,
        format_func=names.__getitem__,
        key=f"{key}-of-{info.run_id}",  # a new widget whenever the run was chosen elsewhere
        width=520,
    )
    if picked is not None and picked != info.run_id:
        state.choose(picked, key=key)
        st.rerun()


def badge(info: RunInfo) -> None:
    icon, colour = LOOKS[info.state]
    st.badge(str(info.state), icon=icon, color=colour)  # type: ignore[arg-type]


def banner(info: RunInfo) -> None:
    """What a person should know before looking at the figures."""
    if info.ours and info.schema > SCHEMA_VERSION:
        st.warning(
            f"Written by a newer Headroom (schema {info.schema}, this one reads {SCHEMA_VERSION}): parts may "
            "be missing or wrong. Upgrade Headroom.",
            icon=":material/update:",
        )
    if not info.ours:
        st.info(
            "Logged by another program; showing what it recorded.",
            icon=":material/extension:",
        )
    elif info.state == RunState.LIVE:
        so_far = "".join(f" · {part}" for part in (info.trials_done, time_left(info)) if part)
        sentence(f":material/autorenew: Live, updates every {state.REFRESH_S} s{so_far}")
    elif info.state == RunState.FAILED:
        st.error("This run failed:", icon=":material/error:")
        st.code(info.error or "(no message was recorded)", language=None, wrap_lines=True)
    elif info.state == RunState.INTERRUPTED:
        why = f" {STOPPED[Stopped(info.stopped)]}" if info.stopped in STOPPED else ""
        what = "Finished trials are" if info.kind in SWEEP_KINDS else "What it finished is"
        st.warning(f"Interrupted.{why} {what} shown. Resume with:", icon=":material/pause_circle:")
        st.code(state.command(info), language=None, wrap_lines=True)
    run_controls.of_run(info)


def time_left(info: RunInfo) -> str:
    """Format the pace of a live sweep and what is left, as the terminal does: ``6/min, 2:05 left``."""
    pace, left_s = info.figures.per_s, info.figures.left_s
    if info.state != RunState.LIVE or not pace or not left_s:
        return ""
    return f"{text.rate(pace)}, {text.left(left_s)}"


def empty(message: str, icon: str = ":material/hourglass_empty:") -> None:
    """A designed nothing: what is missing and when it will be there."""
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        st.markdown(f"## {icon}", width="content")
        st.markdown(message, width="content", text_alignment="center")
        st.space("small")


def nothing_yet(page: Page, message: str, command: str, note: str = "") -> None:
    """There is no run of the kind that a page is about: the command that makes one."""
    st.header(page.title)
    empty(message, page.shortcode)
    st.code(command, language=None, wrap_lines=True)
    if note:
        st.caption(note)


def command_to_repeat(info: RunInfo) -> None:
    """Show the command that repeats a run, or resumes it."""
    st.subheader("Reproduce")
    st.code(state.command(info), language=None, wrap_lines=True)


def missing(info: RunInfo, what: str) -> None:
    """Say why a finished sweep's table is not there; ``what`` is a noun in the singular or plural."""
    if not info.ours:
        empty(f"Logged by another program, without {what}. See Loss curves for what it recorded.")
    elif info.state == RunState.LIVE:
        empty(f"Recorded when the sweep ends: {what}. Until then, see Loss curves.")
    else:
        empty(f"Not recorded: {what}. The sweep stopped before that.")


def trouble(problem: StoreProblem) -> None:
    """Show a problem of the store, and how to mend it."""
    st.error(text.plain(problem, longest=1500), icon=":material/database_off:")
    if problem.mend:
        st.text("Point the store at the files beside it with:")
        st.code(problem.mend, language=None, wrap_lines=True)


def first_visit() -> None:
    """What this is, and the one command to begin with."""
    st.title("Headroom")
    st.markdown(
        "Train many small heads on frozen vision-language features, and see what the results mean. "
        "No sweep here yet."
    )
    with st.container(border=True):
        st.markdown("**Start with the demo**: no download, no GPU.")
        st.code("make demo", language=None)
        st.markdown("Then reload this page. For your own images:")
        st.code("python -m trainer.sweep --data path/to/images --trials 64 --seeds 3", language=None)
    for one in PAGES:
        st.markdown(f"{one.shortcode} **{one.title}**: {one.purpose}")
    st.caption(f"Store: {text.plain(without_password(default_tracking_uri()), longest=200)}")


def chart(
    figure: alt.TopLevelMixin | Drawing,
    frame: pd.DataFrame,
    *,
    name: str,
    alt_text: str,
    n: str,
    **options: Any,
) -> Any:
    """Draw a chart, with a way to take along what is behind it. Returns what is selected in it.

    Args:
        frame: the data behind the chart, as people would want it in a spreadsheet.
        name: of the files that are taken along, without suffix, and unique on the page.
        alt_text: what a person who cannot see the chart should know; the title of its files, too.
        n: what the chart stands on, such as "323 test rows"; for its files.
        options: of `draw`.
    """
    figure = written(figure)
    event = draw(figure, alt_text=alt_text, **options)
    export(frame, name=name, figure=lambda: figure, title=alt_text, n=n)
    return event


def draw(
    figure: alt.TopLevelMixin | Drawing,
    *,
    alt_text: str,
    width: Literal["stretch", "content"] = "stretch",
    key: str | None = None,
    on_select: Literal["rerun", "ignore"] | Callable[[], None] = "ignore",
    selection_mode: str | list[str] | None = None,
) -> Any:
    """`chart` without its menu."""
    event = st.vega_lite_chart(
        spec=written(figure).spec,
        width=width,
        alt=text.clean(alt_text, longest=300),
        key=key,
        on_select=on_select,
        selection_mode=selection_mode,
    )
    state.let_chart_go_ahead()
    return event


def written(figure: alt.TopLevelMixin | Drawing) -> Drawing:
    return figure if isinstance(figure, Drawing) else drawing(figure)


def export(
    frame: pd.DataFrame,
    *,
    name: str,
    figure: Callable[[], Drawing] | None = None,
    title: str = "",
    n: str = "",
) -> None:
    """A small menu below a chart or table: its data as CSV, its drawing as Vega-Lite and as a figure for a
    paper, with its title, the run and n. Each file is made when it is asked for."""
    with st.popover("Export", icon=":material/download:", type="tertiary"):
        st.download_button(
            "Data (CSV)",
            lambda: frame.to_csv(index=False).encode(),
            file_name=f"{name}.csv",
            mime="text/csv",
            key=f"csv-{name}",
            on_click="ignore",
            type="tertiary",
        )
        if figure is not None:
            st.download_button(
                "Chart (Vega-Lite)",
                lambda: figure().standalone(),
                file_name=f"{name}.vl.json",
                mime="application/json",
                key=f"vega-{name}",
                on_click="ignore",
                type="tertiary",
            )
            run = st.session_state.get(RUN_SHOWN, "")
            _export_figure(figure, name, Caption(title.partition(". ")[0].removesuffix("."), run, n))


def _figure_file(drawn: Callable[[], Drawing], caption: Caption, *, columns: int, form: str) -> bytes:
    return paper_figure(drawn().whole(), caption, columns=columns, form=form)


def _export_figure(drawn: Callable[[], Drawing], name: str, caption: Caption) -> None:
    """The chart as a figure for a paper, of a width that is chosen."""
    columns = st.segmented_control(
        "Figure for a paper",
        list(COLUMNS_MM),
        default=1,
        required=True,
        format_func=lambda count: f"{text.count(count, 'column')}, {COLUMNS_MM[count]} mm",
        key=f"columns-{name}",
    )
    with st.container(horizontal=True, gap="small"):
        for form, mime in FORMS.items():
            st.download_button(
                form.upper(),
                partial(_figure_file, drawn, caption, columns=columns or 1, form=form),
                file_name=f"{name}.{form}",
                mime=mime,
                key=f"{form}-{name}",
                on_click="ignore",
                type="tertiary",
            )


def metric_row(cells: Iterable[tuple[str, str, str]]) -> None:
    """Figures side by side: the label, the value, and what stands below it ("" for nothing)."""
    cells = list(cells)
    for column, (label, value, below) in zip(st.columns(len(cells)), cells, strict=True):
        column.metric(
            label, value, below or None, delta_color="off", delta_arrow="off", border=True, height="stretch"
        )


def sentence(words: str) -> None:
    """Write below a chart what it shows, in at most 40 words. Foreign words in it must be `plain`."""
    st.caption(words)


def verdict(words: str) -> None:
    """Write what a page or a chart comes to, in at most 20 words, in bold. Foreign words must be `plain`."""
    st.markdown(f"**{words}**")


def how(*paragraphs: str) -> None:
    """Write how a result was computed, for who asks: paragraphs of at most 60 words each, folded away."""
    with st.expander("How is this computed?"):
        st.markdown("\n\n".join(paragraphs))
