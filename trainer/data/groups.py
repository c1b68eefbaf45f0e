"""Extract groups (patient, video …) from row names; find groups that are in several splits."""

from __future__ import annotations

import re

import numpy as np

from trainer.core.errors import InputError
from trainer.core.text import count
from trainer.data.duplicates import SPLIT_PRIORITY
from trainer.data.manifest import SPLITS, Manifest, rows_by_value
from trainer.data.split import drawn_again, numbered


def with_groups(manifest: Manifest, pattern: str, *, seed: int) -> Manifest:
    """Set each row's group by a regular expression that is searched in its ``sample_id``.

    The group is the first capturing group of the match, or the whole match. Rows without a match keep their
    group. Drawn splits are drawn again, so that every group stays in one split; splits of the data are kept.
    Call this before rows are dropped: the digest is recomputed from the present rows.

    Raises:
        InputError: ``pattern`` is not a regular expression, or matches no row.
    """
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise InputError(
            f"--groups {pattern!r} is not a regular expression: {error}. Expected one that matches the "
            f"group in a "
            r"row's name, such as '(person\d+)_'."
        ) from None
    # a capturing group that did not match gives no group
    found = [
        match[min(expression.groups, 1)] if (match := expression.search(one)) else ""
        for one in manifest.sample_id
    ]
    if len(manifest) and not any(found):
        raise InputError(
            f"--groups {pattern!r} matches none of the {len(manifest)} rows of {manifest.name}. It must "
            f"match names such as {manifest.sample_id[0]!r}."
        )
    group = [new or old for new, old in zip(found, manifest.group, strict=True)]
    label = [manifest.classes[i] if i >= 0 else "" for i in manifest.label_n]
    return drawn_again(manifest, numbered(label), group, seed=seed)


def groups_across_splits(manifest: Manifest) -> dict[str, np.ndarray]:
    """Map each group that is in several splits to its rows, in order of first appearance."""
    return {
        name: np.array(rows)
        for name, rows in rows_by_value(manifest.group).items()
        if name and len(set(manifest.split_n[rows])) > 1
    }


def check_group_leaks(manifest: Manifest) -> None:
    """Check that every group is in one split.

    Raises:
        InputError: a group is in several splits.
    """
    shared = groups_across_splits(manifest)
    if not shared:
        return
    named = "; ".join(
        f"{name} in {' and '.join(split for split in SPLITS if split in manifest.split_n[rows])}"
        for name, rows in list(shared.items())[:5]
    )
    raise InputError(
        f"{manifest.name}: {count(len(shared), 'group')} in more than one split ({named}"
        f"{'; …' if len(shared) > 5 else ''}), so scores would be too high. Pass --drop-shared-groups "
        "(keeps a group's test rows, or else its val rows), or --allow-leaks to accept them."
    )


def drop_shared_groups(manifest: Manifest) -> Manifest:
    """For each group in several splits, keep only the test rows, or else the val rows."""
    keep_n = np.ones(len(manifest), dtype=bool)
    for rows in groups_across_splits(manifest).values():
        split_r = manifest.split_n[rows]
        keep_n[rows] = split_r == next(split for split in SPLIT_PRIORITY if split in split_r)
    return manifest.take(np.flatnonzero(keep_n))
