"""Apply corrections of labels to the rows of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from trainer.core.corrections import Action, Correction, latest, overruled, read
from trainer.core.errors import InputError
from trainer.core.text import count, cut
from trainer.data.manifest import Manifest
from trainer.data.table_columns import listed

SHOWN = 3


def corrected(manifest: Manifest, path: Path, *, test_too: bool) -> tuple[Manifest, list[str]]:
    """Return the rows with their corrected labels, and what to say of that.

    Splits stay as they are, so that the test rows are the same as without. What was corrected is part of the
    digest.

    Args:
        test_too: whether test rows are corrected; else they keep label and place, and are counted.

    Raises:
        InputError: the file cannot be used; it names rows, labels or classes that the data does not have.
    """
    written = read(path)
    wanted = latest(written)
    row_of = {name: row for row, name in enumerate(manifest.sample_id)}
    _check(manifest, path, wanted.values(), row_of)
    is_test = {name: manifest.split_n[row_of[name]] == "test" for name in wanted}
    done = {name: one for name, one in wanted.items() if test_too or not is_test[name]}
    label_n = manifest.label_n.copy()
    for name, one in done.items():
        if one.action is Action.RELABEL:
            label_n[row_of[name]] = manifest.classes.index(one.new)
    dropped = {row_of[name] for name, one in done.items() if one.action is Action.DROP}
    kept = np.array([row for row in range(len(manifest)) if row not in dropped], dtype=np.int64)
    digest = hashlib.sha256(manifest.digest.encode())
    for name in sorted(done):
        digest.update(f"{name}\0{done[name].action}\0{done[name].new}\n".encode())
    result = replace(manifest, label_n=label_n, digest=digest.hexdigest() if done else manifest.digest)
    return result.take(kept), _told(path, written, wanted, done, is_test, test_too)


def _check(manifest: Manifest, path: Path, wanted: Iterable[Correction], row_of: dict[str, int]) -> None:
    unknown = [one.sample_id for one in wanted if one.sample_id not in row_of]
    if unknown:
        raise InputError(
            f"{path} names {count(len(unknown), 'image')} that {manifest.name} does not have, such as "
            f"{cut(unknown[0], 80)!r}. Is it of other data?"
        )
    for one in wanted:
        name, label = cut(one.sample_id, 80), int(manifest.label_n[row_of[one.sample_id]])
        has = manifest.classes[label] if label >= 0 else ""
        if one.action is Action.RELABEL and one.new not in manifest.classes:
            near = get_close_matches(one.new, manifest.classes, n=1)
            cure = f"Is {near[0]!r} meant?" if near else f"Its classes: {listed(manifest.classes)}."
            raise InputError(
                f"{path}: {name!r} gets the label {cut(one.new, 40)!r}, which is no class of {manifest.name}."
                f" {cure}"
            )
        if has not in (one.old, one.new):
            raise InputError(
                f"{path}: {name!r} had the label {cut(one.old, 40)!r} when it was corrected, and has "
                f"{cut(has, 40)!r} now. Correct it again, or delete the line."
            )


def _told(
    path: Path,
    written: Sequence[Correction],
    wanted: dict[str, Correction],
    done: dict[str, Correction],
    is_test: dict[str, bool],
    test_too: bool,
) -> list[str]:
    relabelled = sum(one.action is Action.RELABEL for one in done.values())
    of_test = sum(is_test.values())
    said = [f"Corrections of {path}: {relabelled:,} relabelled, {len(done) - relabelled:,} dropped."]
    if of_test and test_too:
        said.append(f"{count(of_test, 'test row')} among them: scores are not comparable with those before.")
    elif of_test:
        said.append(f"{count(of_test, 'test row')} as in the data: only --correct-test corrects them.")
    disputed = overruled(written)
    for one, final in disputed[:SHOWN]:
        said.append(f"{cut(one.sample_id, 60)!r}: {_as_said(one)} was overruled, {_as_said(final)} counts.")
    if len(disputed) > SHOWN:
        said.append(f"{len(disputed) - SHOWN:,} more were overruled by somebody else.")
    return said


def _as_said(one: Correction) -> str:
    what = f"{one.action} {cut(one.new, 40)!r}" if one.new else str(one.action)
    return f"{what} by {cut(one.who, 40) or 'nobody named'}"
