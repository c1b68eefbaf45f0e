"""How much memory training takes, estimated before any of it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trainer.core import memory
from trainer.core.errors import InputError
from trainer.core.memory import gigabytes
from trainer.heads.closed_form_cohort import CELLS as TABLE_CELLS
from trainer.heads.head_config import CLOSED_FORMS, HeadSpec
from trainer.heads.lbfgs import CELLS, HISTORY
from trainer.heads.principal_axes import is_wide
from trainer.heads.training_data import TrainingData

COPIES = 5  # of the weights of heads that descend: themselves, the best, two moments, gradients
TEMPORARIES = 10  # of a batch's logits and hidden units: forth, back, and what the loss makes of them
CURVES = 6


def available_bytes(device: torch.device) -> int:
    """Return how much of a device's memory may be taken now."""
    if device.type == "cuda":
        return int(memory.SHARE * torch.cuda.mem_get_info(device)[0])
    return memory.available_bytes()


def head_bytes(spec: HeadSpec, data: TrainingData, *, seeds: int) -> int:
    """Return what one more head takes beside others, of all its seeds."""
    item, (rows, features) = data.train.x_nd.element_size(), data.train.x_nd.shape
    records = spec.epochs * seeds * (CURVES * 8 + (12 * data.classes if data.pooled else 0))
    if spec.solver == "descent":
        weights = spec.parameters(features=features, classes=data.classes)
        return COPIES * weights * seeds * item + records
    if spec.solver == "lbfgs":
        theta = data.classes * (min(rows, features) + 1)
        return (2 * HISTORY + 8) * theta * item + 6 * rows * item + records
    return 3 * data.classes * features * 8 + records


def shared_bytes(specs: Sequence[HeadSpec], data: TrainingData, *, seeds: int, together: int) -> int:
    """Return what heads take beside `head_bytes`: rows under each scaling, axes, the logits of a batch.

    Args:
        together: of those that descend, how many are trained in one step.
    """
    item, (rows, features) = data.train.x_nd.element_size(), data.train.x_nd.shape
    judged = len(data.val.y_n)
    scalings = len({spec.scaling for spec in specs})
    views = 0 if data.views_vnd is None else data.views_vnd.shape[0]
    taken = scalings * features * item * (rows * (1 + views) + judged) + 2 * rows * features * 8
    # the search for axes holds the covariance, its eigenvectors and a workspace, or as much of the rows
    axes = 4 * 8 * (rows * features if is_wide(rows, features) else features**2)
    if any(spec.solver != "descent" or spec.scaling == "whiten" for spec in specs):
        taken += axes
    regressions = len({spec.scaling for spec in specs if spec.solver == "lbfgs"})
    if regressions:
        rank = min(rows, features)
        heads = sum(spec.solver == "lbfgs" for spec in specs)
        taken += regressions * (features * rank * 8 + (rows + judged) * rank * item)
        taken += 6 * item * max(CELLS, heads * data.classes)
    if any(spec.solver in CLOSED_FORMS for spec in specs):
        taken += 3 * 8 * min(TABLE_CELLS, rows * data.classes)
    descends = [spec for spec in specs if spec.solver == "descent"]
    if descends:
        units = max(sum(spec.hidden) + data.classes for spec in descends)
        batch = min(max(spec.batch_size for spec in descends), rows)
        taken += TEMPORARIES * item * seeds * together * units * batch
    return taken


def trained_together(
    specs: Sequence[HeadSpec], data: TrainingData, *, seeds: int, slab_bytes: float | None
) -> int:
    """Return how many heads take a step at the same time: all, or those of a slab on each core."""
    if slab_bytes is None or not specs:
        return len(specs)
    least = min(one.parameters(features=data.features, classes=data.classes) for one in specs)
    slab = max(1, int(slab_bytes / (least * seeds * data.train.x_nd.element_size())))
    return min(len(specs), slab * torch.get_num_threads())


def population_bytes(
    specs: Sequence[HeadSpec], data: TrainingData, *, seeds: int, slab_bytes: float | None = None
) -> int:
    """Return about how much memory a `Population` takes while it is trained, beside the data as it came."""
    together = trained_together(specs, data, seeds=seeds, slab_bytes=slab_bytes)
    each = sum(head_bytes(spec, data, seeds=seeds) for spec in specs)
    return each + shared_bytes(specs, data, seeds=seeds, together=together)


def require_room(needed: int, data: TrainingData, *, heads: int) -> None:
    """Raise InputError where training needs more memory than may be taken.

    Args:
        needed: bytes, see `population_bytes`.
    """
    free = available_bytes(data.train.x_nd.device)
    if needed > free:
        raise InputError(
            f"Training {heads} heads on {data.rows:,} rows of {data.features:,} features in "
            f"{data.classes:,} classes needs about {gigabytes(needed)} of memory; {gigabytes(free)} may be "
            "taken. Use fewer classes, a narrower encoder or narrower heads."
        )


def groups_that_fit(
    specs: Sequence[HeadSpec], parts: Sequence[TrainingData], *, seeds: int
) -> list[list[int]]:
    """Return the places of specs in groups that can be trained at a time; one group where all can."""
    free = available_bytes(parts[0].train.x_nd.device)
    groups: list[list[int]] = []
    for place in range(len(specs)):
        grown = [*groups[-1], place] if groups else [place]
        chosen = [specs[at] for at in grown]
        needed = sum(population_bytes(chosen, part, seeds=seeds) for part in parts)
        if groups and needed <= free:
            groups[-1] = grown
        else:
            groups.append([place])
    return groups
