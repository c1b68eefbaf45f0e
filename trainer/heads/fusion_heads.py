"""Heads on images, on texts, and on both; their probabilities joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainer.heads.few_shot_training import ITERATIONS, STRENGTHS
from trainer.heads.head_config import HeadSpec
from trainer.heads.metrics import f1_macro
from trainer.heads.population import Population

WEIGHTS = tuple(step / 20 for step in range(21))  # of the text, in late fusion
LEAST_P = 1e-12


class ImageTextRows(NamedTuple):
    """Rows with an image and, most of them, a text."""

    image_nd: Tensor
    text_ne: Tensor  # zeros where there is none
    has_text_n: Tensor  # bool
    y_n: Tensor

    @property
    def joined_nf(self) -> Tensor:
        """[image; text; whether there is a text]: [N, D + E + 1]."""
        return torch.cat([self.image_nd, self.text_ne, self.has_text_n[:, None].to(self.image_nd)], dim=1)


@dataclass(frozen=True)
class HeadOutput:
    """The best configuration of one form, by mean validation macro-F1, and its probabilities."""

    name: str
    how: str
    val_f1_macro: float
    val_snc: Tensor  # probabilities of the validation rows [S, Nv, C]
    test_snc: Tensor


def balanced(train: ImageTextRows, others: Sequence[ImageTextRows]) -> list[ImageTextRows]:
    """Return all rows with either block scaled to a mean variance of 1 on the training rows that have it,
    so that neither counts more because its numbers are larger. A missing text becomes the mean text:
    zeros."""
    image_mean = train.image_nd.mean(0)
    with_text = train.text_ne[train.has_text_n]
    if not len(with_text):
        with_text = torch.zeros_like(train.text_ne[:1])
    text_mean = with_text.mean(0)

    def spread(x_nd: Tensor) -> Tensor:
        return (x_nd - x_nd.mean(0)).square().mean().sqrt().clamp_min(1e-12)

    image_spread, text_spread = spread(train.image_nd), spread(with_text)
    return [
        one._replace(
            image_nd=(one.image_nd - image_mean) / image_spread,
            text_ne=(one.text_ne - text_mean) / text_spread * one.has_text_n[:, None],
        )
        for one in (train, *others)
    ]


def candidates(*, gate_at: int = 0) -> list[HeadSpec]:
    """Return what is tried on every block alike: logistic regressions of all strengths, and MLPs. With a
    gate: MLPs alone, whose first layer is gated."""
    mlps = [
        HeadSpec(hidden=(width,), dropout=dropout, lr=lr, gate_at=gate_at, weight_decay=0.1, epochs=40)
        for width in (64, 256)
        for dropout in (0.2, 0.5)
        for lr in (1e-3, 3e-3)
    ]
    if gate_at:
        return mlps
    paths = [HeadSpec(solver="lbfgs", l2=l2, epochs=ITERATIONS, weights="last") for l2 in STRENGTHS]
    return [*paths, *mlps]


def best_of(name: str, population: Population, test_x_nd: Tensor, *, seeds: int) -> HeadOutput:
    """Train a population and return the output of its best configuration (the first of equals).

    Args:
        name: of the output.
        population: untrained heads; the best has the highest validation macro-F1, a mean over seeds.
        seeds: how many the population has.
    """
    specs = population.specs
    population.train(max(spec.epochs for spec in specs))
    scores = [population.outcome(head).score for head in range(len(specs))]
    best = int(np.nanargmax(scores))
    kept = [population.head(best, seed_index=index) for index in range(seeds)]
    val_snc, test_snc = (
        torch.stack([head.probabilities(x_nd) for head in kept])
        for x_nd in (population.data.val.x_nd, test_x_nd)
    )
    return HeadOutput(name, describe_head(specs[best]), scores[best], val_snc, test_snc)


def describe_head(spec: HeadSpec) -> str:
    """Return a configuration in words."""
    if spec.solver == "lbfgs":
        return f"logistic regression, l2 {spec.l2:.2g}"
    gate = ", gated" if spec.gate_at else ""
    return f"MLP of {spec.hidden[0]} units{gate}, dropout {spec.dropout:g}, lr {spec.lr:g}"


def late_fusion(
    image: HeadOutput, text: HeadOutput, val: ImageTextRows, test: ImageTextRows, *, classes: int
) -> tuple[HeadOutput, float]:
    """Return log-probabilities of both, weighted; the weight of the text is chosen on validation rows (the
    one nearest to one half of equals). A row without a text is the image head's alone.

    Returns:
        The output, and the weight.
    """

    def joined(of_image: Tensor, of_text: Tensor, has_text_n: Tensor, weight: float) -> Tensor:
        share_n1 = (weight * has_text_n.to(of_image))[:, None]
        logs = [one.clamp_min(LEAST_P).log() for one in (of_image, of_text)]
        return ((1 - share_n1) * logs[0] + share_n1 * logs[1]).softmax(-1)

    def score(weight: float) -> float:
        pred_sn = joined(image.val_snc, text.val_snc, val.has_text_n, weight).argmax(2)
        return float(f1_macro(pred_sn, val.y_n, classes=classes).mean())

    found = {weight: score(weight) for weight in WEIGHTS}
    weight = max(WEIGHTS, key=lambda one: (found[one], -abs(one - 0.5)))
    output = HeadOutput(
        "late",
        f"log-probabilities, {1 - weight:.0%} image and {weight:.0%} text",
        found[weight],
        joined(image.val_snc, text.val_snc, val.has_text_n, weight),
        joined(image.test_snc, text.test_snc, test.has_text_n, weight),
    )
    return output, weight


def with_image_fallback(
    output: HeadOutput, image: HeadOutput, val: ImageTextRows, test: ImageTextRows, *, classes: int
) -> HeadOutput:
    """Return rows without a text answered by the image head: a head that always saw a text knows nothing
    better."""
    val_snc, test_snc = (
        torch.where(both.has_text_n[:, None], mine, theirs)
        for both, mine, theirs in (
            (val, output.val_snc, image.val_snc),
            (test, output.test_snc, image.test_snc),
        )
    )
    score = float(f1_macro(val_snc.argmax(2), val.y_n, classes=classes).mean())
    return HeadOutput(output.name, output.how, score, val_snc, test_snc)
