"""Decide on labels one image at a time, with a key for each answer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.frames import predictions as prediction_frames
from dashboard.ui import gallery, layout
from trainer.core import corrections
from trainer.core.corrections import Action, Correction
from trainer.core.errors import InputError
from trainer.tracking.schema import Predictions, Samples

# Streamlit has C and R for itself. It shows a key on its button, and ignores it while a field is typed in.
KEEP, RELABEL, DROP, SKIP, UNDO = "K", "L", "D", "N", "U"
WIDTH = 176  # pixels of the image
MINE = "labels-saved-here"  # saves of this visit, by `corrections.saved_as`: only these are undone by key


def correction(row: dict[Any, Any], action: Action, new: str = "") -> Correction:
    """Return what is saved of a row, of now: with the hash of its image, where the run has kept it."""
    content_hash = row.get(Samples.CONTENT_HASH)
    return Correction(
        row[Predictions.SAMPLE_ID],
        row[Predictions.LABEL],
        new,
        action,
        when=now(),
        content_hash=content_hash if isinstance(content_hash, str) else "",
    )


def now() -> str:
    """Return the time to the microsecond, which tells one save from the next."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def saved(path: Path, changed: list[Correction]) -> str:
    """Save corrections; returns what went wrong, in Markdown, or ""."""
    try:
        corrections.append(path, changed)
    except (InputError, OSError) as error:
        return text.plain(error, longest=400)
    st.session_state.setdefault(MINE, set()).update(map(corrections.saved_as, changed))
    return ""


def undone(path: Path, save: Correction, who: str) -> str:
    """Undo the save that a correction is of; returns as `saved`."""
    try:
        corrections.undo(path, save, who=who, when=now())
    except (InputError, OSError) as error:
        return text.plain(error, longest=400)
    return ""


def show(path: Path, rows: pd.DataFrame, written: list[Correction], classes: list[str], *, key: str) -> None:
    """Show the first row that nobody has decided on, with buttons that have keys.

    Args:
        rows: ``sample_id, label, pred`` and ``thumbnail``.
        written: what is on record.
        classes: names of the classes.
        key: unique on the page.
    """
    if problem := st.session_state.pop(f"{key}-problem", ""):
        st.error(problem, icon=":material/error:")
    decided = {one.sample_id for one in corrections.standing(written)}
    open_rows = rows[~rows[Predictions.SAMPLE_ID].isin(decided)]
    row = _next(open_rows, key)
    done = len(rows) - len(open_rows)
    if row is None:
        layout.sentence(f"All {text.count(len(rows), 'image')} decided.")
    else:
        layout.sentence(
            f"{done:,} of {text.count(len(rows), 'image')} decided. Keys rest while you type in a field."
        )
        chosen = _shown(row, classes, key)
    with st.container(horizontal=True, gap="small"):
        if row is not None:
            _answers(path, row, chosen, key)
        _undo(path, written, key)


def _next(open_rows: pd.DataFrame, key: str) -> dict[Any, Any] | None:
    """Return the first row without a decision; those that were skipped come last."""
    skipped = st.session_state.setdefault(f"{key}-skipped", [])
    ids = open_rows[Predictions.SAMPLE_ID]
    order = ids.map({name: place for place, name in enumerate(skipped)}).fillna(-1)
    first = open_rows.iloc[order.to_numpy().argsort(kind="stable")[:1]].to_dict("records")
    return first[0] if first else None


def _shown(row: dict[Any, Any], classes: list[str], key: str) -> str | None:
    """Show a row; returns the class that it would be given, by default the predicted one."""
    words = prediction_frames.shown_names(classes)
    label, pred = row[Predictions.LABEL], row[Predictions.PRED]
    others = [name for name in classes if name != label]
    name = text.clean(row[Predictions.SAMPLE_ID], longest=300)
    with st.container(horizontal=True, gap="medium"):
        gallery.image(row[Samples.THUMBNAIL], width=WIDTH, name=name)
        with st.container(width=260, gap="small"):
            st.markdown(f"Label: **{text.plain(label, longest=60)}**")
            st.caption(text.plain(name))
            return st.selectbox(
                f"Relabel as (predicted: {text.plain(pred, longest=40)})",
                others,
                index=others.index(pred) if pred in others else None,
                format_func=lambda one: words[one],
                placeholder="a class",
                key=f"{_of_row(key, row)}-new",
            )


def _answers(path: Path, row: dict[Any, Any], chosen: str | None, key: str) -> None:
    # The buttons are those of this row: a key that is pressed twice decides on no image that nobody has seen.
    of_row = _of_row(key, row)
    for label, shortcut, action in (
        ("Keep", KEEP, Action.KEEP),
        ("Relabel", RELABEL, Action.RELABEL),
        ("Drop", DROP, Action.DROP),
    ):
        relabels = action is Action.RELABEL
        new = chosen or "" if relabels else ""
        st.button(
            label,
            shortcut=shortcut,
            key=f"{of_row}-{action}",
            disabled=relabels and not chosen,
            on_click=_decide,
            args=(path, row, action, new, key),
        )
    st.button("Skip", shortcut=SKIP, key=f"{of_row}-skip", on_click=_skip, args=(row, key))


def _undo(path: Path, written: list[Correction], key: str) -> None:
    last = corrections.last_save(written, among=st.session_state.get(MINE, ()))
    if last:
        of_save = layout.key_of_rows(f"{key}-undo", last[0])
        st.button("Undo", shortcut=UNDO, key=of_save, on_click=_take_back, args=(path, last[0], key))


def _of_row(key: str, row: dict[Any, Any]) -> str:
    return layout.key_of_rows(key, [row[Predictions.SAMPLE_ID]])


def _decide(path: Path, row: dict[Any, Any], action: Action, new: str, key: str) -> None:
    field = st.session_state.get
    one = correction(row, action, new)._replace(who=field(f"{key}-who", ""), why=field(f"{key}-why", ""))
    st.session_state[f"{key}-problem"] = saved(path, [one])


def _skip(row: dict[Any, Any], key: str) -> None:
    skipped = st.session_state[f"{key}-skipped"]
    name = row[Predictions.SAMPLE_ID]
    st.session_state[f"{key}-skipped"] = [*(one for one in skipped if one != name), name]


def _take_back(path: Path, save: Correction, key: str) -> None:
    st.session_state[f"{key}-problem"] = undone(path, save, st.session_state.get(f"{key}-who", ""))
