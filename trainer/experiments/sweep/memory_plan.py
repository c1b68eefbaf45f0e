"""How many trials of a sweep fit into memory at once, decided before any of them is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.memory import gigabytes
from trainer.experiments.sweep.config import SweepConfig

if TYPE_CHECKING:
    from trainer.heads.head_config import HeadSpec
    from trainer.heads.resampling import Folds
    from trainer.search.space import Space

WAITING = 2  # trials that hold weights for each that is trained: survivors wait for a full batch
CONFUSION = 16  # bytes of a cell of the confusion matrix: counts, and shares to draw


def trials_that_fit(config: SweepConfig, space: Space, folds: Folds, *, rows: int) -> int:
    """Return how many trials to train together: ``config.at_once``, or as many as fit; said where it is less.

    Args:
        rows: all rows, also those of test.

    Raises:
        InputError: what the sweep holds at once does not fit, however few trials are trained together.
    """
    from trainer.heads.memory_estimate import available_bytes

    free = available_bytes(folds.learning.train.x_nd.device)
    evaluation = {
        "choose the final head": choosing_bytes(folds),
        f"evaluate {rows:,} rows": evaluation_bytes(config, space, folds, rows=rows),
    }
    at_once = config.at_once
    while at_once > 1 and search_bytes(config, space, folds, at_once=at_once) > free:
        at_once -= 1
    needs = {"train one trial": search_bytes(config, space, folds, at_once=at_once), **evaluation}
    what = max(needs, key=lambda name: needs[name])
    if needs[what] > free:
        data = folds.learning
        raise InputError(
            f"{config.data}: with {data.classes:,} classes and {data.features:,} features, to {what} needs "
            f"about {gigabytes(needs[what])} of memory; {gigabytes(free)} may be taken. Use fewer classes, "
            "fewer rows or a narrower encoder, or a --space with narrower heads."
        )
    if at_once < config.at_once:
        say(
            f"Memory: {at_once} trials are trained together instead of {config.at_once}, to stay within "
            f"{gigabytes(free)}."
        )
    return at_once


def largest_specs(space: Space) -> list[HeadSpec]:
    """Return the largest head of each kind and scaling that a space allows."""
    from trainer.heads.head_config import LOSSES, HeadSpec

    depths, width = space.values("depth"), max(space.values("width"))
    common: dict[str, Any] = {"epochs": space.max_epochs, "batch_size": max(space.values("batch_size"))}
    common["target"] = space.target
    if space.target in LOSSES:
        common["loss"] = LOSSES[space.target][0]
    found = []
    for scaling in space.values("scaling"):
        if 0 in depths:
            found += [HeadSpec(solver=one, scaling=scaling, **common) for one in space.values("solver")]
        if max(depths) > 0:
            hidden = (width,) * max(depths)
            found.append(HeadSpec(hidden=hidden, scaling=scaling, layer_norm=True, **common))
    return found


def search_bytes(config: SweepConfig, space: Space, folds: Folds, *, at_once: int) -> int:
    """Return what training so many trials together takes, with what is kept of the others."""
    from trainer.heads.memory_estimate import head_bytes, shared_bytes, trained_together
    from trainer.heads.slab_autotune import CANDIDATES

    kinds, seeds = largest_specs(space), config.seeds
    slab = max(CANDIDATES) if folds.learning.train.x_nd.device.type == "cpu" else None
    waiting = 1 if config.pruner == "none" else WAITING
    cells = _cells(folds)
    taken = 2 * cells * (at_once + _kept(folds)) + 12 * cells
    for part in folds.parts:
        each = max(head_bytes(spec, part, seeds=seeds) for spec in kinds)
        together = trained_together(kinds[:1] * at_once, part, seeds=seeds, slab_bytes=slab)
        taken += waiting * at_once * each + shared_bytes(kinds, part, seeds=seeds, together=together)
    return taken


def choosing_bytes(folds: Folds) -> int:
    """Return what the best trials' probabilities of the judged rows take while the final head is chosen: each
    as recorded, calibrated and not, and stacked; and in float64 the one whose temperature is fitted."""
    return _cells(folds) * (16 * _kept(folds) + 40)


def evaluation_bytes(config: SweepConfig, space: Space, folds: Folds, *, rows: int) -> int:
    """Return what the finalists take, their probabilities of all rows, and the confusion matrix."""
    data, finalists = folds.learning, 1 + len(space.values("depth"))
    item = data.train.x_nd.element_size()
    weights = max(
        one.parameters(features=data.features, classes=data.classes) for one in largest_specs(space)
    )
    members = min(_kept(folds), config.trials) * config.seeds * weights * item
    return (
        members
        + (finalists + 1) * rows * data.classes * 4
        + finalists * _cells(folds) * 16
        + CONFUSION * data.classes**2
    )


def _cells(folds: Folds) -> int:
    return len(folds.judged_rows) * folds.learning.classes


def _kept(folds: Folds) -> int:
    """Return of how many trials at most the probabilities are kept."""
    from trainer.search.trial_log import most_candidates

    return most_candidates(_cells(folds)) + 2  # the best of every depth may be others
