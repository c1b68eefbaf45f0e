"""Apply corrections of labels to the rows of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from trainer.core.corrections import Action, Correction, contradictions, latest, overruled, read
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
        InputError: the file cannot be used; it contradicts itself; it names rows, labels or classes that the
            data does not have, or the image of a row is another one than when it was corrected.
    """
    written = read(path)
    wanted = latest(written)
    row_of = {name: row for row, name in enumerate(manifest.sample_id)}
    _check_agreement(path, written)
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


def _check_agreement(path: Path, written: Sequence[Correction]) -> None:
    """Raise InputError where rows disagree and nothing says which came later."""
    found = contradictions(written)
    if found:
        one, other = found[0]
        more = f" So do {len(found) - 1:,} more pairs of rows." if found[1:] else ""
        when = f"both at {cut(one.when, 40)}" if one.when else "neither says when"
        raise InputError(
            f"{path}: two rows disagree about {cut(one.sample_id, 80)!r}: {_as_said(one)}, and "
            f"{_as_said(other)}, {when}.{more} Delete the row that is wrong, or give each its time."
        )


def _check(manifest: Manifest, path: Path, wanted: Collection[Correction], row_of: dict[str, int]) -> None:
    unknown = [one for one in wanted if one.sample_id not in row_of]
    if unknown:
        raise InputError(
            f"{path} names {count(len(unknown), 'image')} that {manifest.name} does not have: "
            f"{_listed(unknown)}. {_moved(manifest, unknown) or 'Is it of other data?'}"
        )
    others = [one for one in wanted if one.content_hash not in ("", manifest.content[row_of[one.sample_id]])]
    if others:
        raise InputError(
            f"{path}: {count(len(others), 'row')} of {manifest.name} {'has' if len(others) == 1 else 'have'} "
            f"another image than when corrected: {_listed(others)}. {_moved(manifest, others)}Correct "
            "again, or delete the lines. If the images were only saved again, empty their content_hash."
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


def _listed(corrections: Collection[Correction]) -> str:
    return listed((one.sample_id for one in corrections), most=SHOWN)


def _moved(manifest: Manifest, corrections: Iterable[Correction]) -> str:
    """Return where the image of the first of these is now that can be found in the data; "" for none."""
    name_of = dict(zip(manifest.content, manifest.sample_id, strict=True))
    for one in corrections:
        if one.content_hash in name_of:
            now = cut(name_of[one.content_hash], 80)
            return f"The image of {cut(one.sample_id, 80)!r} is {now!r} now: write that as its sample_id. "
    return ""


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
