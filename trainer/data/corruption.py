"""Plant noise in training rows, to measure how well filters find it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from trainer.core.errors import InputError
from trainer.data.decode import DecodeError, decode, degrade_to_thumbnail
from trainer.data.manifest import Manifest

MISMATCHED = "mismatched"  # values of Manifest.corrupted
CAPTION_SWAPPED = "caption_swapped"
THUMBNAIL = 24  # pixels of the shorter side


def flip_labels(manifest: Manifest, share: float, *, seed: int) -> Manifest:
    """Replace label and caption of a share of the training rows by those of a row of the next class.

    This is pair flipping (at 45 % in Han et al. 2018). Noise that is uniform over classes would largely
    cancel out in a linear head. Rows with known corruption are not used.

    Raises:
        InputError: ``share`` is not between 0 and 1, or selects no row; there is only one class.
    """
    _check_share(share, "--mismatch")
    rng = np.random.default_rng([seed, 1])
    sound = np.flatnonzero(_clean_rows(manifest) & (manifest.label_n >= 0))
    sound = sound[np.argsort(manifest.label_n[sound], kind="stable")]
    label_s = manifest.label_n[sound]
    rows = rng.choice(sound, round(share * len(sound)), replace=False)
    if len(rows) == 0 or label_s[0] == label_s[-1]:
        raise InputError(
            f"--mismatch {share}: {manifest.name} has {len(sound)} clean training rows of "
            f"{len(set(label_s))} classes, of which {len(rows)} would be changed. Expected at least two "
            "classes and one row. Pass a larger share, or omit the option."
        )
    present, start_c, count_c = np.unique(label_s, return_index=True, return_counts=True)
    next_r = (np.searchsorted(present, manifest.label_n[rows]) + 1) % len(present)
    donors = sound[start_c[next_r] + rng.integers(count_c[next_r])]
    label_n = manifest.label_n.copy()
    label_n[rows] = manifest.label_n[donors]
    return _mark_corrupted(replace(manifest, label_n=label_n), rows, donors, MISMATCHED, f"{share}/{seed}")


def degrade_source(manifest: Manifest, share: float, *, seed: int) -> Manifest:
    """Simulate a bad source for a share of the training rows.

    Labels and captions are changed as in :func:`flip_labels`; images are reduced to `THUMBNAIL` pixels and
    enlarged again.

    Raises:
        InputError: as :func:`flip_labels`; or the data has no images.
    """
    if manifest.images is None:
        raise InputError(
            f"--bad-source {share}: {manifest.name} has precomputed features. Pass --mismatch instead."
        )
    planted = flip_labels(manifest, share, seed=seed)
    images, content = list(manifest.images), list(manifest.content)
    for row in np.flatnonzero(np.array(planted.corrupted) == MISMATCHED):
        try:
            image = degrade_to_thumbnail(decode(images[row]), THUMBNAIL)
        except DecodeError:  # reported when the row is read
            continue
        images[row], content[row] = image, hashlib.sha256(image).hexdigest()
    return replace(planted, images=tuple(images), content=tuple(content))


def shuffle_captions(manifest: Manifest, share: float, *, seed: int) -> Manifest:
    """Shuffle the captions of a share of the training rows that have one (of all rows if there are no
    labels).

    No row keeps its text unless one text makes up more than half; rows that keep theirs are not marked as
    corrupted.

    Raises:
        InputError: ``share`` is not between 0 and 1, or selects fewer than two different captions.
    """
    _check_share(share, "--shuffle-captions")
    rng = np.random.default_rng([seed, 2])
    sound = np.flatnonzero(
        _clean_rows(manifest) & np.array([text != "" for text in manifest.caption], dtype=bool)
    )
    rows = rng.choice(sound, round(share * len(sound)), replace=False)
    _, text_r, count_t = np.unique(
        np.array([manifest.caption[i] for i in rows], dtype=object), return_inverse=True, return_counts=True
    )
    if len(count_t) < 2:
        raise InputError(
            f"--shuffle-captions {share}: {manifest.name} has {len(sound)} clean rows with a caption, of "
            f"which {len(rows)} with {len(count_t)} different captions would be changed. Expected two or "
            f"more. "
            "Pass a larger share, or omit the option."
        )
    # Sort by text, in random order. Shifting by the count of the most frequent text then gives every row a
    # different text.
    order = np.argsort(rng.permutation(len(count_t))[text_r], kind="stable")
    rows, text_r = rows[order], text_r[order]
    changed_r = text_r != np.roll(text_r, count_t.max())
    donors = np.roll(rows, count_t.max())
    return _mark_corrupted(manifest, rows[changed_r], donors[changed_r], CAPTION_SWAPPED, f"{share}/{seed}")


def _check_share(share: float, flag: str) -> None:
    if not 0 < share < 1:
        raise InputError(f"{flag} is {share}; expected a share of the rows between 0 and 1, such as 0.1.")


def _clean_rows(manifest: Manifest) -> np.ndarray:
    """Return the rows that may be corrupted: clean training rows; any split if there are no labels. bool
    [N]."""
    part_n = (manifest.split_n == "train") | (manifest.label_n < 0).all()
    if manifest.corrupted is None:
        return part_n
    return part_n & np.array([how == "" for how in manifest.corrupted], dtype=bool)


def _mark_corrupted(
    manifest: Manifest, rows: np.ndarray, donors: np.ndarray, how: str, drawn: str
) -> Manifest:
    """Copy the captions of ``donors`` to ``rows``, mark these and change the digest.

    The digest depends on ``how`` and ``drawn``, so that runs on corrupted data are never mixed up with
    others."""
    caption, corrupted = list(manifest.caption), list(manifest.corrupted or ("",) * len(manifest))
    for row, donor in zip(rows, donors, strict=True):
        caption[row], corrupted[row] = manifest.caption[donor], how
    return replace(
        manifest,
        caption=tuple(caption),
        corrupted=tuple(corrupted),
        digest=hashlib.sha256(f"{manifest.digest}/{how}/{drawn}".encode()).hexdigest(),
    )
