"""Tag images that a page has selected; kept in a CSV beside the store, for all runs of the same data."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.runs import row_tags
from dashboard.runs.run_info import RunInfo
from dashboard.ui import state
from dashboard.ui.label_corrections import beside_store
from trainer.core.errors import InputError
from trainer.tracking.schema import Samples

FOLDER = "row-tags"  # beside the store


def file_of(info: RunInfo) -> Path:
    """Where tags of a run's data are kept: one file for what --data said."""
    return beside_store(info, FOLDER)


def version(info: RunInfo) -> Hashable:
    """Return what changes whenever a tag may have changed; None without any."""
    try:
        status = file_of(info).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def tags(info: RunInfo) -> dict[str, str]:
    """Return the tag of each row that has one, by sample id; none where the file cannot be read, which
    `show` says."""

    def made() -> dict[str, str]:
        try:
            return row_tags.read(file_of(info))
        except InputError:
            return {}

    found = version(info)
    return state.kept(("row-tags", str(file_of(info)), found), made) if found else {}


def show(info: RunInfo, rows: pd.DataFrame, *, key: str) -> None:
    """Offer a tag for rows, and to take theirs away.

    Args:
        rows: ``sample_id``.
        key: unique on the page.
    """
    if state.read_only() or rows.empty:
        return
    ids = rows[Samples.SAMPLE_ID].tolist()
    known = tags(info)
    tagged = [one for one in ids if one in known]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        tag = st.selectbox(
            "Tag",
            sorted(set(known.values())),
            index=None,
            key=f"{key}-tag",
            accept_new_options=True,
            placeholder="a word for these images",
            format_func=lambda one: text.clean(one, longest=row_tags.LONGEST),
            width=220,
        )
        label = f"Tag {text.count(len(ids), 'image')}"
        if st.button(label, key=f"{key}-save", icon=":material/sell:", disabled=not tag):
            _save(info, ids, tag or "")
        if tagged and st.button(f"Remove {text.count(len(tagged), 'tag')}", key=f"{key}-remove"):
            _save(info, tagged, "")


def _save(info: RunInfo, ids: list[str], tag: str) -> None:
    try:
        row_tags.write(file_of(info), ids, tag, when=datetime.now(UTC).isoformat(timespec="seconds"))
    except (InputError, OSError) as error:
        st.error(text.plain(error, longest=400), icon=":material/error:")
        return
    st.toast(f"{text.count(len(ids), 'image')} {'tagged' if tag else 'untagged'}.", icon=":material/check:")
    st.rerun()
