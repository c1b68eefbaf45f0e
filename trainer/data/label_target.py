"""Turn labels into several per row to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trainer.core.errors import InputError
from trainer.core.text import count
from trainer.data.class_names import notes_on_classes
from trainer.data.label_sets import label_parts, labels_of, notes_on_labels
from trainer.data.manifest import Manifest
from trainer.data.split import drawn_again
from trainer.data.table_columns import LABELS_JOINED_BY, listed, plain
from trainer.stats.multilabel import strata_of_labels


def with_several_labels(
    manifest: Manifest, separator: str | None, *, seed: int, columns: Sequence[str] = ()
) -> Manifest:
    """Return the manifest with the labels of each row as what is learned; their texts stay as they are. A row
    with an empty text has none of them.

    Drawn splits are drawn again, so that each has its share of every label. Call this before rows are
    dropped.

    Args:
        separator: between labels in a text; of lists and of one column per label it is `LABELS_JOINED_BY`.
        columns: names of columns, one per label, as they were given; () where there are none.

    Raises:
        InputError: the separator is empty.
    """
    if separator == "":
        raise InputError("--label-separator is empty. Pass what is between labels, such as '|' in cat|dog.")
    given = separator
    separator = LABELS_JOINED_BY if manifest.joined or separator is None else separator
    names, label_nc = labels_of(manifest.classes, manifest.label_n, separator)
    of_classes = notes_on_classes(manifest.classes)
    drawn = drawn_again(manifest, strata_of_labels(label_nc), manifest.group, seed=seed)
    notes = [note for note in manifest.notes if note not in of_classes]
    known = {plain(one) for one in names}
    lacking = [one for one in dict.fromkeys(columns) if plain(one) not in known]
    if lacking:
        verb = "has" if len(lacking) == 1 else "have"
        notes.append(
            f"{count(len(lacking), 'column')} of --label-columns {verb} a 1 in no row and cannot be learned: "
            f"{listed(lacking, most=5)}. Left out."
        )
    joined = manifest.joined or any(len(label_parts(one, separator)) > 1 for one in manifest.classes)
    if not joined and not columns:
        flag = f"--label-separator {separator!r}" if given else f"the separator {separator!r}"
        notes.append(f"No label has {flag}: each image has one label at most. Is another one meant?")
    notes += notes_on_labels(names, label_nc, drawn.split_n)
    return replace(
        drawn,
        labels=tuple(names),
        label_nc=label_nc,
        label_separator=separator,
        notes=tuple(notes),
    )
