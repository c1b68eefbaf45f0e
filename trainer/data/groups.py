"""Groups read from the rows' names (the patient, the video …), and groups that stand in several splits."""

from __future__ import annotations

import re

import numpy as np

from trainer.core.errors import InputError
from trainer.data.duplicates import SPLIT_PRIORITY, indivisible_units
from trainer.data.manifest import SPLITS, Columns, Manifest, build_manifest, rows_by_value
from trainer.data.split import complete_splits


def with_groups(manifest: Manifest, pattern: str, *, seed: int) -> Manifest:
    """Name each row's group by a regular expression that is searched in its ``sample_id``.

    The group is what the expression's first pair of brackets took, without brackets the whole match. Rows in
    which nothing is found keep the group that they had. Splits that were drawn are drawn anew, so that no
    group is divided; splits that the data brought stay. Meant for data as it was read, before rows are
    dropped: the digest is worked out again, from the rows that are here.

    Raises:
        InputError: ``pattern`` is no regular expression, or is found in no row.
    """
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise InputError(
            f"--groups {pattern!r} is no regular expression: {error}. Expected one that finds the group in a "
            r"row's name, such as '(person\d+)_'."
        ) from None
    # brackets that took no part, or nothing, name no group
    found = [
        match[min(expression.groups, 1)] if (match := expression.search(one)) else ""
        for one in manifest.sample_id
    ]
    if len(manifest) and not any(found):
        raise InputError(
            f"--groups {pattern!r} finds a group in none of the {len(manifest)} rows of {manifest.name}. It "
            f"is searched in names such as {manifest.sample_id[0]!r}: write it to match these."
        )
    group = [new or old for new, old in zip(found, manifest.group, strict=True)]
    label = [manifest.classes[i] if i >= 0 else "" for i in manifest.label_n]
    split_n = manifest.split_n.copy()
    if manifest.drawn_splits:
        split_n[np.isin(split_n, manifest.drawn_splits)] = "" if manifest.drawn_splits == SPLITS else "train"
        split_n, _ = complete_splits(
            split_n,
            np.array(label),
            indivisible_units(manifest.content, group),
            seed=seed,
            name=manifest.name,
        )
    return build_manifest(
        manifest.name,
        Columns(
            sample_id=manifest.sample_id,
            label=label,
            split=split_n,
            content=manifest.content,
            caption=manifest.caption,
            group=group,
            images=manifest.images,
            features_nd=manifest.features_nd,
            corrupted=manifest.corrupted,
        ),
        quarantined=manifest.quarantined,
        drawn_splits=manifest.drawn_splits,
    )


def groups_across_splits(manifest: Manifest) -> dict[str, np.ndarray]:
    """Each group with rows in more than one split → its rows; in order of first appearance."""
    return {
        name: np.array(rows)
        for name, rows in rows_by_value(manifest.group).items()
        if name and len(set(manifest.split_n[rows])) > 1
    }


def refuse_group_leaks(manifest: Manifest) -> None:
    """Refuse data in which a group stands in more than one split.

    Raises:
        InputError: naming groups, their splits, and what can be done.
    """
    shared = groups_across_splits(manifest)
    if not shared:
        return
    named = "; ".join(
        f"{name} in {' and '.join(split for split in SPLITS if split in manifest.split_n[rows])}"
        for name, rows in list(shared.items())[:5]
    )
    raise InputError(
        f"{manifest.name}: {len(shared)} groups stand in more than one split ({named}"
        f"{'; …' if len(shared) > 5 else ''}). A head would be judged on what it has seen in training or was "
        "chosen by. Pass --drop-shared-groups (a group's rows stay in test, or else in val, and leave the "
        "other splits), or --allow-leaks if this is meant."
    )


def drop_shared_groups(manifest: Manifest) -> Manifest:
    """Of each group that stands in more than one split only the rows of test, or else of val."""
    keep_n = np.ones(len(manifest), dtype=bool)
    for rows in groups_across_splits(manifest).values():
        split_r = manifest.split_n[rows]
        keep_n[rows] = split_r == next(split for split in SPLIT_PRIORITY if split in split_r)
    return manifest.take(np.flatnonzero(keep_n))
