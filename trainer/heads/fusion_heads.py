"""Heads on images, on texts, and on both; their probabilities joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainer.heads.few_shot_training import ITERATIONS, STRENGTHS
from trainer.heads.fused_head import FusedHead, late_probability, on_raw_features
from trainer.heads.head import Head
from trainer.heads.head_config import HeadSpec
from trainer.heads.metrics import f1_macro
from trainer.heads.population import Population
from trainer.heads.training_data import Split, TrainingData

WEIGHTS = tuple(step / 20 for step in range(21))  # of the text, in late fusion


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
    head: Head | None = None  # of the first seed, on balanced features; None: of late fusion


class Balance(NamedTuple):
    """Mean and spread of either block on the training rows that have it."""

    image_mean_d: Tensor
    image_spread: Tensor
    text_mean_e: Tensor
    text_spread: Tensor

    @classmethod
    def of(cls, train: ImageTextRows) -> Balance:
        """Return that of the training rows."""
        with_text = train.text_ne[train.has_text_n]
        if not len(with_text):
            with_text = torch.zeros_like(train.text_ne[:1])

        def spread(x_nd: Tensor) -> Tensor:
            return (x_nd - x_nd.mean(0)).square().mean().sqrt().clamp_min(1e-12)

        return cls(train.image_nd.mean(0), spread(train.image_nd), with_text.mean(0), spread(with_text))

    def apply(self, rows: ImageTextRows) -> ImageTextRows:
        """Return rows with a mean variance of 1 in either block; a missing text becomes zeros."""
        return rows._replace(
            image_nd=(rows.image_nd - self.image_mean_d) / self.image_spread,
            text_ne=(rows.text_ne - self.text_mean_e) / self.text_spread * rows.has_text_n[:, None],
        )


def balanced(train: ImageTextRows, others: Sequence[ImageTextRows]) -> list[ImageTextRows]:
    """Return all rows with either block scaled to a mean variance of 1 on the training rows that have it,
    so that neither counts more because its numbers are larger. A missing text becomes the mean text:
    zeros."""
    balance = Balance.of(train)
    return [balance.apply(one) for one in (train, *others)]


@dataclass(frozen=True)
class LearningRows:
    """What the heads of every form learn from and are scored on, balanced."""

    train: ImageTextRows
    val: ImageTextRows
    views: tuple[ImageTextRows, ...]  # the training rows, augmented; () for none
    classes: int

    def data(self, block: Callable[[ImageTextRows], Tensor]) -> TrainingData:
        """Return what a form sees of the rows, with the views beside them."""
        views_vnd = torch.stack([block(one) for one in self.views]) if self.views else None
        return TrainingData(
            Split(block(self.train), self.train.y_n),
            Split(block(self.val), self.val.y_n),
            classes=self.classes,
            views_vnd=views_vnd,
        )

    def populations(
        self, block: Callable[[ImageTextRows], Tensor], specs: Sequence[HeadSpec], **how: Any
    ) -> list[Population]:
        """Return untrained heads of a form.

        Where there are views, an MLP sees one view of each row in each epoch; a logistic regression, fitted
        on all rows at once, sees rows and views together.

        Args:
            how: as :class:`Population` takes it.
        """
        data = self.data(block)
        if not self.views:
            return [Population(specs, data, **how)]
        x_nd = torch.cat([data.train.x_nd, *(block(one) for one in self.views)])
        every = Split(x_nd, self.train.y_n.repeat(1 + len(self.views)))
        everything = TrainingData(every, data.val, classes=self.classes)
        linear = [spec for spec in specs if spec.solver == "lbfgs"]
        mlps = [replace(spec, augment=True) for spec in specs if spec.solver != "lbfgs"]
        return [Population(some, rows, **how) for some, rows in ((linear, everything), (mlps, data)) if some]


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
    return HeadOutput(name, describe_head(specs[best]), scores[best], val_snc, test_snc, kept[0])


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

    def score(weight: float) -> float:
        pred_sn = late_probability(image.val_snc, text.val_snc, val.has_text_n, weight).argmax(2)
        return float(f1_macro(pred_sn, val.y_n, classes=classes).mean())

    found = {weight: score(weight) for weight in WEIGHTS}
    weight = max(WEIGHTS, key=lambda one: (found[one], -abs(one - 0.5)))
    output = HeadOutput(
        "late",
        f"log-probabilities, {1 - weight:.0%} image and {weight:.0%} text",
        found[weight],
        late_probability(image.val_snc, text.val_snc, val.has_text_n, weight),
        late_probability(image.test_snc, text.test_snc, test.has_text_n, weight),
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
    return replace(output, val_f1_macro=score, val_snc=val_snc, test_snc=test_snc)


def fused_head(forms: Sequence[HeadOutput], place: int, balance: Balance, *, weight: float) -> FusedHead:
    """Return one of the forms, with its first seed, as a head on raw features.

    Args:
        forms: image, text, concatenated, gated, late.
        place: of the form among them.
        weight: of the text in late fusion.
    """
    image, text, *_ = forms
    image_spread_d = balance.image_spread.expand_as(balance.image_mean_d)
    text_spread_e = balance.text_spread.expand_as(balance.text_mean_e)
    one = torch.ones_like(balance.text_spread)[None]
    centre_f = torch.cat([balance.image_mean_d, balance.text_mean_e, 0 * one])
    spread_f = torch.cat([image_spread_d, text_spread_e, one])
    assert image.head is not None
    assert text.head is not None
    joined = forms[place].head if place in (2, 3) else None
    return FusedHead(
        image=on_raw_features(image.head, balance.image_mean_d, image_spread_d),
        form=("image", "text", "joined", "joined", "late")[place],
        text_mean_e=balance.text_mean_e.cpu(),
        weight=weight,
        text=on_raw_features(text.head, balance.text_mean_e, text_spread_e) if place in (1, 4) else None,
        joined=None if joined is None else on_raw_features(joined, centre_f, spread_f),
    )
