"""Turn labels into several per row to predict."""

from __future__ import annotations

from dataclasses import replace

from trainer.data.class_names import notes_on_classes
from trainer.data.label_sets import label_parts, labels_of, notes_on_labels
from trainer.data.manifest import Manifest
from trainer.data.split import drawn_again
from trainer.data.table_columns import LABELS_JOINED_BY
from trainer.stats.multilabel import strata_of_labels


def with_several_labels(manifest: Manifest, separator: str | None, *, seed: int) -> Manifest:
    """Return the manifest with the labels of each row as what is learned; their texts stay as they are. A row
    with an empty text has none of them.

    Drawn splits are drawn again, so that each has its share of every label. Call this before rows are
    dropped.

    Args:
        separator: between labels in a text; of lists and of one column per label it is `LABELS_JOINED_BY`.
    """
    given = separator
    separator = LABELS_JOINED_BY if manifest.joined or separator is None else separator
    names, label_nc = labels_of(manifest.classes, manifest.label_n, separator)
    of_classes = notes_on_classes(manifest.classes)
    drawn = drawn_again(manifest, strata_of_labels(label_nc), manifest.group, seed=seed)
    notes = [note for note in manifest.notes if note not in of_classes]
    if not manifest.joined and not any(len(label_parts(one, separator)) > 1 for one in manifest.classes):
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
