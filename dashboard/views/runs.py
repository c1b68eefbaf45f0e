"""All runs of all kinds: found, starred, tagged, renamed, annotated, compared, put away and brought back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard import text
from dashboard.frames import run_list
from dashboard.runs import run_editor
from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.run_info import RunInfo
from dashboard.ui import compare_link, layout, run_controls, state
from dashboard.ui.pages import (
    ABLATION,
    CURVES,
    DATA_QUALITY,
    ENCODERS,
    FUSION,
    VERIFICATION,
    ZERO_SHOT,
    Page,
)
from dashboard.ui.pages import RUNS as PAGE
from trainer.core.locations import default_tracking_uri
from trainer.tracking.schema import Kind

MOST_HIGH = 560  # pixels of the table
LONGEST_NOTE, LONGEST_NAME = 5000, 200  # characters
PAGES: dict[Kind | None, tuple[Page, str]] = {  # where a run is shown, and the parameter that names it
    Kind.ABLATION: (ABLATION, state.ABLATION),
    Kind.VERIFICATION: (VERIFICATION, state.VERIFICATION),
    Kind.ZERO_SHOT: (ZERO_SHOT, state.ZERO_SHOT),
    Kind.FUSION: (FUSION, state.FUSION),
    Kind.ENCODERS: (ENCODERS, state.ENCODERS),
    Kind.EXTRACTION: (DATA_QUALITY, state.REPORT),
}
OF_SWEEPS = (CURVES, state.RUN)
COLUMNS: dict[str, Any] = {
    "★": st.column_config.TextColumn(width=32),
    "run": st.column_config.TextColumn(width=240),
    "test score": st.column_config.TextColumn(
        help="the final head on the test set [95 % interval]", width=200
    ),
    "note": st.column_config.TextColumn(width=160),
    "started": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
}


def main() -> None:
    st.header(PAGE.title)
    try:
        show()
    except StoreProblem as problem:
        layout.trouble(problem)


def show() -> None:
    archived = bool(st.session_state.get("archived", st.query_params.get("archived") == "true"))
    infos = state.every_run(archived=archived)
    shown, by = choose(infos)
    if not shown:
        layout.empty("No archived run." if archived and not infos else "No run fits.", PAGE.shortcode)
        return
    picked = table(shown, by)
    counted = f"{len(shown):,} of {len(infos):,} runs"
    layout.sentence(f"{counted}. Tick rows at their left to open, compare, star, tag or archive them.")
    if picked:
        links(picked, archived=archived)
        if len(picked) == 1 and not archived:
            run_controls.of_run(picked[0])
        if not state.read_only():
            actions(picked, archived=archived)
    if said := st.session_state.pop("said-of-runs", ""):
        st.error(text.plain(said, longest=600), icon=":material/error:")


def choose(infos: list[RunInfo]) -> tuple[list[RunInfo], str | None]:
    """What is looked for, all in the address. Returns the runs that fit, and the column that groups them."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input("Find", key="find", bind="query-params", type="search", width=220)
        kinds = st.multiselect("Kinds", run_list.kinds_of(infos), key="kinds", bind="query-params", width=220)
        by = st.selectbox(
            "Group by", list(run_list.GROUPS), index=None, key="by", bind="query-params", width=140
        )
        starred = st.toggle("Starred", key="starred", bind="query-params")
        st.toggle("Archived", key="archived", bind="query-params")
    found = run_list.matching(infos, words=words or "", kinds=kinds, starred=starred)
    return run_list.grouped(found, by), by


def table(infos: list[RunInfo], by: str | None) -> list[RunInfo]:
    """The list. Returns the runs whose rows are ticked."""
    picked = st.dataframe(
        run_list.rows(infos, first=by),
        key=layout.key_of_rows("runs", [info.run_id for info in infos]),
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        placeholder="–",
        column_config=COLUMNS,
        height=layout.table_height(len(infos), most=MOST_HIGH),
    )
    return [infos[row] for row in picked["selection"]["rows"] if row < len(infos)]


def links(picked: list[RunInfo], *, archived: bool) -> None:
    """Where ticked runs are shown: on their page, against one another, in MLflow."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(picked) == 1 and not archived:
            (info,) = picked
            page, parameter = PAGES.get(info.kind, OF_SWEEPS)
            asked = {parameter: info.run_id}
            st.page_link(page.file, label="Open it", icon=page.shortcode, query_params=asked)
        if not archived:
            compare_link.show(picked)
        if len(picked) == 1 and default_tracking_uri().startswith("http"):
            (info,) = picked
            address = f"{default_tracking_uri()}/#/experiments/{info.experiment_id}/runs/{info.run_id}"
            st.link_button("In MLflow", address, icon=":material/open_in_new:")


def actions(picked: list[RunInfo], *, archived: bool) -> None:
    """Buttons that write to the store."""
    ids = [info.run_id for info in picked]
    with st.container(horizontal=True, vertical_alignment="center"):
        if archived:
            button("Restore", ":material/unarchive:", run_editor.restore, ids)
            return
        starred = all(info.starred for info in picked)
        button(
            "Remove star" if starred else "Star",
            ":material/star:",
            lambda store, ids: run_editor.star(store, ids, starred=not starred),
            ids,
        )
        with st.popover("Tag", icon=":material/label:"):
            tags(picked)
        if len(picked) == 1:
            with st.popover("Rename", icon=":material/edit:"):
                name(picked[0])
            with st.popover("Note", icon=":material/notes:"):
                note(picked[0])
        may = run_list.may_archive(picked)
        help_text = None if may else "A live run cannot be archived."
        button(
            "Archive", ":material/archive:", run_editor.archive, ids, disabled=not may, help_text=help_text
        )


def button(
    label: str,
    icon: str,
    edit: Callable[..., None],
    ids: list[str],
    *,
    disabled: bool = False,
    help_text: str | None = None,
) -> None:
    st.button(label, icon=icon, disabled=disabled, help=help_text, on_click=edited, args=(edit, ids))


def tags(picked: list[RunInfo]) -> None:
    """Give the runs a tag, or take one away."""
    ids = [info.run_id for info in picked]
    new = st.text_input(
        "New tag", placeholder="word, or word=value", key=f"tag-{'-'.join(ids)}", max_chars=250
    )
    st.button("Add", key="add-tag", disabled=not new, on_click=edited, args=(run_editor.tag, ids, new))
    for label in sorted({label for info in picked for label in info.labels}):
        st.button(
            f"Remove {text.plain(label, longest=60)}",
            key=f"untag-{label}",
            icon=":material/close:",
            type="tertiary",
            on_click=edited,
            args=(run_editor.untag, ids, label),
        )


def name(info: RunInfo) -> None:
    """Give a run another name."""
    new = st.text_input("Name", info.name, key=f"name-{info.run_id}", max_chars=LONGEST_NAME)
    changed = bool(new) and new != info.name
    st.button(
        "Save name",
        disabled=not changed,
        on_click=edited,
        args=(run_editor.rename, info.run_id, new),
    )


def note(info: RunInfo) -> None:
    """Write what is to be remembered of a run."""
    new = st.text_area("Note", info.note, key=f"note-{info.run_id}", max_chars=LONGEST_NOTE)
    st.button(
        "Save note",
        disabled=(new or "") == info.note,
        on_click=edited,
        args=(run_editor.write_note, info.run_id, new or ""),
    )


def edited(edit: Callable[..., None], *what: Any) -> None:
    """Change runs, and read the lists anew; what went wrong is said below the list."""
    try:
        edit(state.store(), *what)
    except StoreProblem as problem:
        st.session_state["said-of-runs"] = str(problem)
    state.forget_lists()


main()
