"""The baseline, and the start: the best logistic regression on the frozen encoder's vectors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trainer.heads.head import Head
from trainer.heads.head_config import HeadSpec
from trainer.heads.outcome import Outcome
from trainer.heads.population import Population
from trainer.heads.training_data import Split, TrainingData

STRENGTHS = [10.0 ** (exponent / 3) for exponent in range(-12, 4)]  # of L2: 1e-4 to 10, as in space.yaml
ITERATIONS = 300


class Frozen(NamedTuple):
    """The best of those that were tried, by validation macro-F1; the stronger penalty where several are."""

    head: Head
    outcome: Outcome
    spec: HeadSpec
    on_views: bool  # fitted on augmented views, too
    tried: int


def best_frozen(train: Split, val: Split, *, classes: int, views_vnd: Tensor | None) -> Frozen:
    """Fit logistic regressions of many strengths, on centred and on standardised vectors.

    Where there are views, also on rows and views together: frozen and fine-tuned see the same images.
    """
    specs = [
        HeadSpec(solver="lbfgs", scaling=scaling, l2=l2, epochs=ITERATIONS)
        for l2 in reversed(STRENGTHS)
        for scaling in ("centre", "standardise")
    ]
    datas = [TrainingData(train, val, classes=classes)]
    if views_vnd is not None:
        x_nd = torch.cat([train.x_nd, views_vnd.flatten(0, 1)])
        datas.append(TrainingData(Split(x_nd, train.y_n.repeat(1 + len(views_vnd))), val, classes=classes))
    best: Frozen | None = None
    for on_views, data in enumerate(datas):
        population = Population(specs, data, seeds=[0])
        population.train(ITERATIONS)
        for number, spec in enumerate(specs):
            outcome = population.outcome(number)
            if not outcome.failed and (best is None or outcome.score > best.outcome.score):
                head = population.head(number, seed_index=0)
                best = Frozen(head, outcome, spec, bool(on_views), len(datas) * len(specs))
    assert best is not None  # logistic regressions converge
    return best
