"""Turn labels into numbers to predict."""

from __future__ import annotations

from dataclasses import replace

from trainer.data.class_names import notes_on_classes
from trainer.data.label_numbers import numbers_of
from trainer.data.manifest import Manifest
from trainer.data.split import drawn_again
from trainer.stats.regression import strata


def with_number_target(manifest: Manifest, *, seed: int) -> Manifest:
    """Return the manifest with the number of each row as what is learned; its labels stay as they are.

    Drawn splits are drawn again, so that each has its share of low and high numbers. Call this before rows
    are dropped.

    Raises:
        InputError: a row has no finite number.
    """
    target_n = numbers_of(manifest.name, manifest.classes, manifest.label_n, manifest.sample_id)
    of_classes = notes_on_classes(manifest.classes)
    drawn = drawn_again(manifest, strata(target_n), manifest.group, seed=seed)
    notes = tuple(note for note in manifest.notes if note not in of_classes)
    return replace(drawn, target_n=target_n, notes=notes)
