"""Heads on a few rows of each class: logistic regressions and closed forms, of every strength.

A population holds one draw's largest choice of rows; its heads see parts of them through masks. That is
cheaper than masks over all training rows, most of which no head would see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainer.heads.closed_form import CHOICES, ClosedForm, ClosedHead, fit
from trainer.heads.head import Head
from trainer.heads.head_config import HeadSpec
from trainer.heads.metrics import f1_macro
from trainer.heads.population import Population
from trainer.heads.training_data import Linear, Split, TrainingData

STRENGTHS = tuple(10 ** (exponent / 2) for exponent in range(-8, 5))  # λ from 1e-4 to 100
ITERATIONS = 200


@dataclass(frozen=True)
class FewShotTask:
    """One kind of head: on which features, from where."""

    name: str
    train: Split
    val: Split
    test_x_nd: Tensor
    classes: int
    start: Linear | None = None  # where its heads start and are pulled to; None: zero
    closed_form: ClosedForm | None = None  # None: logistic regression

    @property
    def strengths(self) -> tuple[float, ...]:
        """What is tried on validation rows."""
        return STRENGTHS if self.closed_form is None else CHOICES[self.closed_form]


def _population(subject: FewShotTask, kept_ln: np.ndarray, l2_ls: Sequence[Sequence[float]]) -> Population:
    """Return one head for each choice of rows [L, N] and each of its strengths, in this order."""
    rows = np.flatnonzero(kept_ln.any(0))
    seen = torch.from_numpy(rows).to(subject.train.y_n.device)
    data = TrainingData(
        Split(subject.train.x_nd[seen], subject.train.y_n[seen]),
        subject.val,
        classes=subject.classes,
        start=subject.start,
    )
    how = {"solver": "lbfgs", "epochs": ITERATIONS, "weights": "last"}
    how["start"] = "own" if subject.start is None else "given"
    specs = [HeadSpec(l2=l2, **how) for l2_s in l2_ls for l2 in l2_s]  # type: ignore[arg-type]
    kept_kn = np.repeat(kept_ln[:, rows], [len(l2_s) for l2_s in l2_ls], axis=0)
    population = Population(specs, data, seeds=[0], kept_kn=torch.from_numpy(kept_kn).float())
    population.train(ITERATIONS)
    return population


def _fitted(subject: FewShotTask, kept_n: np.ndarray, choices: Sequence[float]) -> list[ClosedHead]:
    assert subject.closed_form is not None
    rows = torch.from_numpy(np.flatnonzero(kept_n)).to(subject.train.y_n.device)
    x_nd, y_n = subject.train
    return fit(subject.closed_form, x_nd[rows], y_n[rows], choices, subject.classes)


def scores(subject: FewShotTask, kept_ln: np.ndarray) -> np.ndarray:
    """Return the validation macro-F1 of every choice of rows and strength: float64 [L, S]; NaN where a
    loss was none."""
    strengths = subject.strengths
    if subject.closed_form is not None:
        x_nd, y_n = subject.val
        return np.array(
            [
                [
                    float(f1_macro(head.logits(x_nd).argmax(1)[None], y_n, classes=subject.classes))
                    for head in _fitted(subject, kept_n, strengths)
                ]
                for kept_n in kept_ln
            ]
        )
    population = _population(subject, kept_ln, [strengths] * len(kept_ln))
    found = [population.outcome(head).score for head in range(len(population.specs))]
    return np.array(found).reshape(len(kept_ln), len(strengths))


def heads(subject: FewShotTask, kept_ln: np.ndarray, l2_l: Sequence[float]) -> Sequence[Head | ClosedHead]:
    """Return the head of each choice of rows with the strength chosen for it."""
    if subject.closed_form is not None:
        return [_fitted(subject, kept_n, [one])[0] for kept_n, one in zip(kept_ln, l2_l, strict=True)]
    population = _population(subject, kept_ln, [[l2] for l2 in l2_l])
    return [population.head(index, seed_index=0) for index in range(len(l2_l))]
