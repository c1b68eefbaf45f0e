"""Damage planted into training rows: what a filter should find is then known."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from trainer.core.errors import InputError
from trainer.data.decode import DecodeError, decode, degrade_to_thumbnail
from trainer.data.manifest import Manifest

MISMATCHED = "mismatched"  # what Manifest.corrupted says of such rows
CAPTION_SWAPPED = "caption_swapped"
THUMBNAIL = 24  # pixels of the shorter side


def flip_labels(manifest: Manifest, share: float, *, seed: int) -> Manifest:
    """Give this share of the training rows label and caption of a training row of the next class, as if the
    images of two folders had been mixed up (pair flipping, at 45 % in Han et al. 2018). Mistakes that
    spread over all classes would cancel out in a linear head; these lead it astray.

    Rows that are known to be corrupted neither take nor give: what is planted twice has no known truth.

    Raises:
        InputError: ``share`` is not between 0 and 1, or takes no row; there is one class only.
    """
    _check_share(share, "--mismatch")
    rng = np.random.default_rng([seed, 1])
    sound = np.flatnonzero(_clean_rows(manifest) & (manifest.label_n >= 0))
    sound = sound[np.argsort(manifest.label_n[sound], kind="stable")]
    label_s = manifest.label_n[sound]
    rows = rng.choice(sound, round(share * len(sound)), replace=False)
    if len(rows) == 0 or label_s[0] == label_s[-1]:
        raise InputError(
            f"--mismatch {share}: {manifest.name} has {len(sound)} sound training rows of "
            f"{len(set(label_s))} classes, of which {len(rows)} would be taken. Expected two classes and one "
            "row or more. Give a larger share, or leave the option out."
        )
    present, start_c, count_c = np.unique(label_s, return_index=True, return_counts=True)
    next_r = (np.searchsorted(present, manifest.label_n[rows]) + 1) % len(present)
    donors = sound[start_c[next_r] + rng.integers(count_c[next_r])]
    label_n = manifest.label_n.copy()
    label_n[rows] = manifest.label_n[donors]
    return _mark_corrupted(replace(manifest, label_n=label_n), rows, donors, MISMATCHED, f"{share}/{seed}")


def degrade_source(manifest: Manifest, share: float, *, seed: int) -> Manifest:
    """As if this share of the training rows came from a bad source: labels and captions as of
    :func:`mismatched`, and images that were thumbnails of `THUMBNAIL` pixels and have been enlarged again.

    Raises:
        InputError: as :func:`mismatched`; the data has no images.
    """
    if manifest.images is None:
        raise InputError(
            f"--bad-source {share}: {manifest.name} brings ready features. Pass --mismatch instead."
        )
    planted = flip_labels(manifest, share, seed=seed)
    images, content = list(manifest.images), list(manifest.content)
    for row in np.flatnonzero(np.array(planted.corrupted) == MISMATCHED):
        try:
            image = degrade_to_thumbnail(decode(images[row]), THUMBNAIL)
        except DecodeError:  # whoever reads the row says so
            continue
        images[row], content[row] = image, hashlib.sha256(image).hexdigest()
    return replace(planted, images=tuple(images), content=tuple(content))


def shuffle_captions(manifest: Manifest, share: float, *, seed: int) -> Manifest:
    """Let this share of the training rows that have a caption exchange captions among themselves; of all such
    rows where the data has no labels.

    No row gets its own text again, unless one text makes up more than half; rows that keep theirs for this
    reason do not count as corrupted.

    Raises:
        InputError: ``share`` is not between 0 and 1, or takes fewer than two different captions.
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
            f"--shuffle-captions {share}: {manifest.name} has {len(sound)} sound rows with a caption, of "
            f"which {len(rows)} with {len(count_t)} different captions would be taken. Expected two or more. "
            "Give a larger share, or leave the option out."
        )
    # texts in random order, equal ones side by side: a step as long as the most frequent text leads out of
    # every text's own stretch
    order = np.argsort(rng.permutation(len(count_t))[text_r], kind="stable")
    rows, text_r = rows[order], text_r[order]
    changed_r = text_r != np.roll(text_r, count_t.max())
    donors = np.roll(rows, count_t.max())
    return _mark_corrupted(manifest, rows[changed_r], donors[changed_r], CAPTION_SWAPPED, f"{share}/{seed}")


def _check_share(share: float, flag: str) -> None:
    if not 0 < share < 1:
        raise InputError(f"{flag} is {share}; expected a share of the rows between 0 and 1, such as 0.1.")


def _clean_rows(manifest: Manifest) -> np.ndarray:
    """bool [N]: rows that may be damaged. Where there are no labels no head is trained or tested: any row."""
    part_n = (manifest.split_n == "train") | (manifest.label_n < 0).all()
    if manifest.corrupted is None:
        return part_n
    return part_n & np.array([how == "" for how in manifest.corrupted], dtype=bool)


def _mark_corrupted(
    manifest: Manifest, rows: np.ndarray, donors: np.ndarray, how: str, drawn: str
) -> Manifest:
    """Captions of ``donors`` in ``rows``, which are marked, and a digest that says ``how`` and what was
    ``drawn``: no run on planted data may be taken for a run on the data."""
    caption, corrupted = list(manifest.caption), list(manifest.corrupted or ("",) * len(manifest))
    for row, donor in zip(rows, donors, strict=True):
        caption[row], corrupted[row] = manifest.caption[donor], how
    return replace(
        manifest,
        caption=tuple(caption),
        corrupted=tuple(corrupted),
        digest=hashlib.sha256(f"{manifest.digest}/{how}/{drawn}".encode()).hexdigest(),
    )
