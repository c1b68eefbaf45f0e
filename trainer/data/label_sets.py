"""Read labels as sets: several per row, joined by a separator, in a list, or as one 0/1 column each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from trainer.core.errors import InputError
from trainer.core.text import count, cut, natural_key
from trainer.data.table_columns import LABELS_JOINED_BY, JoinedLabels, as_text, listed, plain

PRESENT, ABSENT = ("1", "1.0", "true"), ("0", "0.0", "false")  # in a column of one label, in lower case
FEWEST = 2  # rows of a label: one to learn from, one to be judged by
SHOWN = 5  # labels in a message


def labels_of(classes: Sequence[str], label_n: np.ndarray, separator: str) -> tuple[list[str], np.ndarray]:
    """Return the names of all labels, in natural order, and which of them each row has: bool [N, C].

    Args:
        classes: texts such as "cat|dog".
        label_n: int [N], index into ``classes``; -1 for a row without any label.
    """
    parts = [label_parts(one, separator) for one in classes]
    names = sorted({name for several in parts for name in several}, key=natural_key)
    at = {name: number for number, name in enumerate(names)}
    has_kc = np.zeros((len(classes) + 1, len(names)), dtype=bool)  # the last, at -1, has none
    for row, several in enumerate(parts):
        has_kc[row, [at[name] for name in several]] = True
    return names, has_kc[label_n]


def label_parts(text: str, separator: str) -> list[str]:
    """Return the labels in a text, without blanks around them."""
    return [part.strip() for part in text.split(separator) if part.strip()]


def joined_columns(
    columns: Sequence[str], present: Sequence[str], values: Callable[[str], Sequence[object]], name: str
) -> list[str]:
    """Return the names of the columns with a 1 in each row, joined.

    Args:
        columns: one per label.
        present: all columns of the table.
        values: of a column.
        name: of the data, for messages.

    Raises:
        InputError: a column is absent or there twice, or holds something other than 0 and 1.
    """
    names = [_column(one, present, name) for one in columns]
    has = [_flags(values(column), column, name) for column in names]
    return [
        JoinedLabels(LABELS_JOINED_BY.join(one for one, flag in zip(names, row, strict=True) if flag))
        for row in zip(*has, strict=True)
    ]


def check_labels(name: str, labels: Sequence[str], label_nc: np.ndarray, split_n: np.ndarray) -> None:
    """Raise InputError where no label can be learned or judged: there are none, or all rows of a split to
    learn from or to judge by have the same ones."""
    if not len(labels):
        raise InputError(
            f"{name} has no labels, and none can be learned. Name the column of the labels with "
            "--label-column, or one 0/1 column per label with --label-columns."
        )
    learned = label_nc[split_n != "test"]
    if len(learned) and (learned == learned[0]).all():
        own = [label for label, has in zip(labels, learned[0], strict=True) if has]
        which = f"the labels {listed(own, most=SHOWN)}" if own else "no label"
        raise InputError(
            f"{name}: all {len(learned):,} rows of train and val have {which}, so nothing can be learned. "
            "Add rows with other labels, or name another column with --label-column."
        )


def notes_on_labels(labels: Sequence[str], label_nc: np.ndarray, split_n: np.ndarray) -> list[str]:
    """Return what is odd about labels, a sentence each: too rare to be judged, or absent from a split."""
    rows_c = label_nc.sum(0)
    rare = np.flatnonzero(rows_c < FEWEST).tolist()
    notes = []
    if rare:
        named = listed([labels[i] for i in rare], most=SHOWN)
        verb = "has" if len(rare) == 1 else "have"
        notes.append(
            f"{count(len(rare), 'label')} {verb} fewer than {FEWEST} rows, too few to learn and to judge: "
            f"{named}."
        )
    always = np.flatnonzero(rows_c == len(label_nc)).tolist() if len(label_nc) else []
    if always:
        verb = "is" if len(always) == 1 else "are"
        notes.append(
            f"{count(len(always), 'label')} {verb} in every row, so there is nothing to tell apart: "
            f"{listed([labels[i] for i in always], most=SHOWN)}. Left out of mAP."
        )
    for split in ("train", "val", "test"):
        own_nc = label_nc[split_n == split]
        lacking = np.flatnonzero((own_nc.sum(0) == 0) & (rows_c >= FEWEST)).tolist()
        if len(own_nc) and lacking:
            verb = "has" if len(lacking) == 1 else "have"
            notes.append(
                f"{count(len(lacking), 'label')} {verb} no {split} rows: "
                f"{listed([labels[i] for i in lacking], most=SHOWN)}."
            )
    return notes


def _column(wanted: str, present: Sequence[str], name: str) -> str:
    alike = [one for one in present if one == wanted]
    alike = alike or [one for one in present if plain(one) == plain(wanted)]
    if len(alike) != 1:
        what = "several columns" if alike else "no column"
        raise InputError(
            f"--label-columns names {wanted!r}, and {name} has {what} of that name. Its columns: "
            f"{listed(present)}."
        )
    if LABELS_JOINED_BY in alike[0]:
        raise InputError(
            f"{name}: the column {alike[0]!r} has {LABELS_JOINED_BY!r} in its name, which separates labels. "
            "Rename it."
        )
    return alike[0]


def _flags(values: Sequence[object], column: str, name: str) -> list[bool]:
    found = []
    for row, value in enumerate(values, start=1):
        text = as_text(value).lower()
        if text not in (*PRESENT, *ABSENT):
            shown = cut(repr(as_text(value)), 40) if text else "nothing"
            raise InputError(
                f"{name}: row {row} has {shown} in the column {column!r} of --label-columns; expected 1 "
                "where an image has the label and 0 where not."
            )
        found.append(text in PRESENT)
    return found
