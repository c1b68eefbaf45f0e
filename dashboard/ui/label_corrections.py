"""Correct labels of images that a page shows; kept in a CSV beside the store, for --corrections."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from pathlib import Path

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.frames import predictions as prediction_frames
from dashboard.runs.run_info import RunInfo
from dashboard.runs.sweep_command import in_this_store
from dashboard.ui import label_review, layout, run_controls, state
from dashboard.ui.run_permission import why_not
from trainer.core import corrections
from trainer.core.corrections import Action, Correction
from trainer.core.errors import InputError
from trainer.core.locations import folder_beside_store
from trainer.tracking.schema import Predictions, Samples

FOLDER = "corrections"  # beside the store
TITLE = "Correct these labels"
BY_KEY = "One by one, with keys"
OPEN = "-labels-open"  # ends the name of what says whether the labels of a gallery are being corrected
DROP = "✕ drop the image"
KEEP = "✓ keep the label"
CHANGE = "correct label"
MOST = 200  # rows that are offered at a time
TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".parquet")  # of data that has its labels in a table
METADATA = ("metadata.csv", "metadata.jsonl")  # of folders
ABOUT_DATA = (  # flags of every command
    *("--data", "--label-column", "--image-column", "--caption-column", "--group-column", "--groups"),
    *("--encoder", "--seed"),
)


def file_of(info: RunInfo) -> Path:
    """Where corrections of a run's data are kept: one file for what --data said."""
    return beside_store(info, FOLDER)


def beside_store(info: RunInfo, folder: str) -> Path:
    """Return the file of a run's data, by what --data said, in a folder beside the store."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(info.data).stem)[:40]
    return folder_beside_store() / folder / f"{stem}-{hashlib.sha256(info.data.encode()).hexdigest()[:8]}.csv"


def show(info: RunInfo, rows: pd.DataFrame, classes: list[str], *, key: str) -> None:
    """Offer another label for each row or for all, or to drop them: in a table, or one by one with keys.

    Nothing is sent before it is opened, and opening it closes the others of the page: a key is of one.

    Args:
        rows: ``sample_id, label, pred`` and ``thumbnail``.
        classes: names of the classes.
        key: unique on the page.
    """
    path = file_of(info)
    if state.read_only() or (rows.empty and not path.exists()):
        return
    name = f"{key}{OPEN}"
    with st.expander(
        TITLE, icon=":material/edit:", key=name, on_change=_close_others, args=(name,)
    ) as opened:
        if opened.open:
            _opened(info, path, rows, classes, key)


def _close_others(name: str) -> None:
    for other in [*st.session_state]:
        if str(other).endswith(OPEN) and other != name:
            st.session_state[other] = False


@st.fragment
def _opened(info: RunInfo, path: Path, rows: pd.DataFrame, classes: list[str], key: str) -> None:
    try:
        written = corrections.read(path) if path.exists() else []
    except InputError as error:
        layout.sentence(text.plain(error, longest=600))
        return
    by_key = False
    if not rows.empty:
        by_key = _switched(key)
        if by_key:
            label_review.show(path, rows, written, classes, key=key)
            with st.container(horizontal=True):
                _signed(key)
        else:
            _offered(path, rows, corrections.latest(written), classes, key)
    _on_record(info, path, written, key, undo=not by_key)


def _switched(key: str) -> bool:
    """Offer to go on one by one, or back to the table; returns whether it is one by one. A button, as keys
    rest while a switch has the focus."""
    name = f"{key}-by-key"
    by_key = bool(st.session_state.get(name))
    label, icon = ("Table", ":material/table:") if by_key else (BY_KEY, ":material/keyboard:")

    def switch() -> None:
        st.session_state[name] = not by_key

    st.button(label, icon=icon, key=f"{name}-{by_key}", on_click=switch)
    return by_key


def _signed(key: str) -> tuple[str, str]:
    """Ask for a name and a reason."""
    who = st.text_input("Your name", key=f"{key}-who", width=180)
    return who, st.text_input("Why", key=f"{key}-why", width=260)


def _offered(
    path: Path, rows: pd.DataFrame, known: dict[str, Correction], classes: list[str], key: str
) -> None:
    """Show the rows, and a button that saves what has been changed."""
    saved = st.session_state.get(f"{key}-saved", 0)
    of_rows = layout.key_of_rows(f"{key}-{saved}", rows[Predictions.SAMPLE_ID].tolist())
    words = prediction_frames.shown_names(classes)
    for_all = st.selectbox(
        f"All {text.count(len(rows), 'image')}",
        [*words.values(), DROP],
        index=None,
        key=f"{of_rows}-all",
        placeholder="correct label",
        width=260,
    )
    changed = _edited(rows, known, words, of_rows, for_all)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        who, why = _signed(key)
        label = f"Save {text.count(len(changed), 'correction')}"
        if st.button(label, key=f"{key}-save", disabled=not changed, type="primary"):
            _save(path, [one._replace(who=who, why=why) for one in changed], key)
    if len(rows) > MOST:
        layout.sentence(f"The first {MOST} of {len(rows):,} rows; what is chosen above is for all of them.")


def _edited(
    every: pd.DataFrame, known: dict[str, Correction], words: dict[str, str], key: str, for_all: str | None
) -> list[Correction]:
    """Show the first rows as a table, and return what has been changed in it, and for all others.

    Args:
        words: what the classes are called, by name.
        for_all: what every row is given that is not changed in the table.
    """
    shown = {shown_as: name for name, shown_as in words.items()}
    rows = every.head(MOST)
    before = [_as_chosen(known.get(one), words) for one in every[Predictions.SAMPLE_ID]]
    table = pd.DataFrame(
        {
            "image": [_address(one) for one in rows[Samples.THUMBNAIL]],
            "label": [words.get(one, one) for one in rows[Predictions.LABEL]],
            "predicted": [words.get(one, one) for one in rows[Predictions.PRED]],
            CHANGE: [for_all or one for one in before[: len(rows)]],
            "name": [text.clean(one, longest=80) for one in rows[Predictions.SAMPLE_ID]],
        }
    )
    edited = st.data_editor(
        table,
        key=f"{key}-{for_all}",
        hide_index=True,
        disabled=["image", "label", "predicted", "name"],
        column_config={
            "image": st.column_config.ImageColumn("image", width="small"),
            CHANGE: st.column_config.SelectboxColumn(CHANGE, options=[*shown, DROP, KEEP], width="medium"),
        },
    )
    when = label_review.now()
    found = []
    chosen = [*edited[CHANGE], *([for_all] * (len(every) - len(rows)))]
    for row, old, after in zip(every.to_dict("records"), before, chosen, strict=True):
        own = words.get(row[Predictions.LABEL])
        if isinstance(after, str) and after not in (old, None if old else own):
            action = {DROP: Action.DROP, KEEP: Action.KEEP, own: Action.KEEP}.get(after, Action.RELABEL)
            new = shown[after] if action is Action.RELABEL else ""
            found.append(label_review.correction(row, action, new)._replace(when=when))
    return found


def _as_chosen(known: Correction | None, words: dict[str, str]) -> str | None:
    if known is None:
        return None
    return DROP if known.action is Action.DROP else words.get(known.new)


def _address(thumbnail: object) -> str | None:
    """Return an image as an address that holds it."""
    if not isinstance(thumbnail, bytes):
        return None
    return f"data:image/webp;base64,{base64.b64encode(thumbnail).decode()}"


def _save(path: Path, changed: list[Correction], key: str) -> None:
    if problem := label_review.saved(path, changed):
        st.error(problem, icon=":material/error:")
        return
    st.session_state[f"{key}-saved"] = st.session_state.get(f"{key}-saved", 0) + 1
    st.toast(f"{text.count(len(changed), 'correction')} saved.", icon=":material/check:")
    st.rerun()


def _on_record(info: RunInfo, path: Path, written: list[Correction], key: str, *, undo: bool) -> None:
    """Say what is on record, offer to take the last save back, and show the command that trains with it."""
    known = corrections.latest(written)
    if not written:
        return
    dropped = sum(one.action is Action.DROP for one in known.values())
    layout.sentence(
        f"On record: {len(known) - dropped:,} relabelled, {dropped:,} dropped, in "
        f"{text.plain(path, longest=200)}. Test rows keep their labels unless you add --correct-test."
    )
    if undo:
        _undo(path, corrections.last_save(written), key)
    if known:
        words, study = retraining(info, path)
        st.code(shlex.join(words), language=None, wrap_lines=True)
        if not why_not():
            baseline = info.run_id
            run_controls.start_button("Train with them", words, study=study, key=key, baseline=baseline)
            run_controls.link_to_running()
        if exported := export(info, path):
            layout.sentence("For a corrected copy of the data's own table:")
            st.code(exported, language=None, wrap_lines=True)


def _undo(path: Path, last: list[Correction], key: str) -> None:
    """Offer to undo the last save, whoever made it: the button is of this save alone."""
    if not last:
        return
    by = f" by {text.plain(last[0].who, longest=40)}" if last[0].who else ""
    label = f"Undo the last save ({text.count(len(last), 'correction')}{by})"
    if st.button(label, key=layout.key_of_rows(f"{key}-undo", last[0])):
        if problem := label_review.undone(path, last[0], st.session_state.get(f"{key}-who", "")):
            st.error(problem, icon=":material/error:")
            return
        st.session_state[f"{key}-saved"] = st.session_state.get(f"{key}-saved", 0) + 1
        st.rerun()


def retraining(info: RunInfo, path: Path) -> tuple[list[str], str]:
    """The command of a run as a new study with corrected labels, as words, and the name of the study: another
    one for other corrections. Raises `StoreProblem`."""
    words = shlex.split(state.command(info))
    for flag in ("--study", "--corrections"):
        if flag in words:
            place = words.index(flag)
            del words[place : place + 2]
    study = f"{info.study}-corrected-{hashlib.sha256(path.read_bytes()).hexdigest()[:4]}"
    return in_this_store([*words, "--corrections", str(path), "--study", study]), study


def export(info: RunInfo, path: Path) -> str:
    """The command that writes the data's own table with corrected labels, to the working directory; "" where
    it has no such table on this machine. Raises `StoreProblem`."""
    data = Path(info.data).expanduser()
    found = [one for one in (data, *(data / name for name in METADATA)) if one.is_file()]
    if not found or found[0].suffix.lower() not in TABLES:
        return ""
    words = shlex.split(state.command(info))
    kept = [word for flag in ABOUT_DATA if flag in words for word in words[words.index(flag) :][:2]]
    target = f"{found[0].stem}-corrected{found[0].suffix}"
    flags = ("--corrections", str(path), "--corrected-table", target)
    return shlex.join(["python", "-m", "trainer.check", *kept, *flags])
