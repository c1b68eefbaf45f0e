"""Several heads that answer together: calibrated, averaged, and chosen greedily from a library."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from trainer.heads.head import Head
from trainer.heads.platt import LabelScale
from trainer.stats.multilabel import LEAST_PROBABILITY

COLDEST, HOTTEST = 0.02, 50.0  # range of temperatures
HALVINGS = 50
BAGS, PICKS = 5, 5  # of a greedy ensemble: 25 picks at most


@dataclass(frozen=True)
class Member:
    """A trial: the mean of its heads' probabilities, one head per seed, brought to a temperature."""

    trial: int
    weight: float  # the weights of an ensemble sum to 1
    temperature: float
    heads: tuple[Head, ...]

    def numbers(self, x_nd: Tensor) -> Tensor:
        """Return the numbers [N, 1] of raw features [N, D]."""
        return mean_number([head.logits(x_nd) for head in self.heads])

    def log_odds(self, x_nd: Tensor) -> Tensor:
        """Return the log-odds [N, C] of several labels, of raw features [N, D]."""
        return mean_log_odds([head.logits(x_nd) for head in self.heads])

    def log_probabilities(self, x_nd: Tensor) -> Tensor:
        """Return log p [N, C] of raw features [N, D]."""
        mean_nc = mean_log_probability([head.logits(x_nd) for head in self.heads])
        return (mean_nc / self.temperature).log_softmax(1)


@dataclass(frozen=True)
class Ensemble:
    """The weighted mean of its members' probabilities, brought to a temperature; or of their numbers.

    The heaviest member is first.
    """

    members: tuple[Member, ...]
    temperature: float = 1.0
    label_scale: LabelScale | None = None  # of several labels, in the place of a temperature

    @classmethod
    def of(cls, head: Head, *, trial: int) -> Ensemble:
        """Return a head that answers alone."""
        return cls((Member(trial, 1.0, 1.0, (head,)),))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.members[0].heads[0].device

    @property
    def shares(self) -> dict[int, float]:
        """The weight of each trial, the heaviest first."""
        return {member.trial: member.weight for member in self.members}

    def logits(self, x_nd: Tensor) -> Tensor:
        """Return log p [N, C], up to a constant of each row, of raw features [N, D]; of several labels the
        log-odds; or numbers [N, 1]."""
        if self.numbers:
            return torch.stack([member.weight * member.numbers(x_nd) for member in self.members]).sum(0)
        if self.labels:
            weights = [member.weight for member in self.members]
            mean_nc = mean_log_odds([member.log_odds(x_nd) for member in self.members], weights)
            return mean_nc if self.label_scale is None else self.label_scale.applied(mean_nc)
        parts = [member.log_probabilities(x_nd) + math.log(member.weight) for member in self.members]
        return torch.logsumexp(torch.stack(parts), 0) / self.temperature

    @property
    def numbers(self) -> bool:
        """Whether it says numbers, and not classes."""
        return self.members[0].heads[0].numbers

    @property
    def labels(self) -> bool:
        """Whether it says several labels per row, and not one class."""
        return self.members[0].heads[0].labels

    @torch.inference_mode()
    def answers(self, x_nd: Tensor) -> Tensor:
        """Return probabilities [N, C] of classes or of labels, of raw (unscaled) features [N, D], or numbers
        [N, 1]."""
        if not (self.numbers or self.labels):
            return self.probabilities(x_nd)
        said = torch.cat([self.logits(x) for x in x_nd.split(self.members[0].heads[0].rows_at_once)])
        return said.sigmoid() if self.labels else said

    @property
    def uncalibrated(self) -> Ensemble:
        """The same heads at temperature 1, without a scale of labels."""
        return Ensemble(tuple(dataclasses.replace(one, temperature=1.0) for one in self.members))

    @torch.inference_mode()
    def probabilities(self, x_nd: Tensor) -> Tensor:
        """Return class probabilities [N, C] of raw (unscaled) features [N, D]."""
        at_once = self.members[0].heads[0].rows_at_once
        return torch.cat([self.logits(x).softmax(-1) for x in x_nd.split(at_once)])

    def embedding(self, x_nd: Tensor) -> Tensor:
        """Return where raw features [N, D] lie for the heaviest member, see `Head.embedding`."""
        return self.members[0].heads[0].embedding(x_nd)


def mean_log_probability(logits: Sequence[Tensor]) -> Tensor:
    """Return the log of the mean of the probabilities [N, C] that several logits [N, C] stand for."""
    if len(logits) == 1:
        return logits[0].log_softmax(1)
    return torch.logsumexp(torch.stack([one.log_softmax(1) for one in logits]), 0) - math.log(len(logits))


def mean_log_odds(log_odds: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    """Return the log-odds of the mean of the probabilities [N, C] that several log-odds [N, C] stand for.

    Args:
        weights: which sum to 1; None: all alike.
    """
    if len(log_odds) == 1:
        return log_odds[0]
    shares = weights or [1 / len(log_odds)] * len(log_odds)
    stacked = torch.stack(list(log_odds))
    log_share = torch.tensor(shares, dtype=stacked.dtype, device=stacked.device).log()[:, None, None]
    log_p, log_rest = (torch.logsumexp(logsigmoid(one) + log_share, 0) for one in (stacked, -stacked))
    return log_p - log_rest


def mean_number(outputs: Sequence[Tensor]) -> Tensor:
    """Return the mean of the numbers [N, 1] that several heads say."""
    return outputs[0] if len(outputs) == 1 else torch.stack(list(outputs)).mean(0)


def fit_temperature(logits_nc: Tensor, y_n: Tensor) -> float:
    """Return the temperature with which the labels are likeliest (Guo et al. 2017).

    The mean log-loss is convex in 1 / T; its slope, the mean of E_p[z] - z_y, is brought to zero by
    bisection, between `COLDEST` and `HOTTEST`. The labels count as smoothed by 1 / (N + 1), as if another row
    could have any label (after Platt 1999): where all N rows are right, that does not make a head certain.

    Args:
        logits_nc: of rows that the head did not learn from, [N, C], finite.
        y_n: int64 [N].
    """
    z_nc = logits_nc.double()
    smoothing = 1 / (len(y_n) + 1)
    own_n = z_nc.gather(1, y_n[:, None]).squeeze(1) * (1 - smoothing) + z_nc.mean(1) * smoothing
    low, high = -np.log(HOTTEST), -np.log(COLDEST)  # of log(1 / T)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        p_nc = (z_nc * float(np.exp(middle))).softmax(1)
        rising = float(((p_nc * z_nc).sum(1) - own_n).mean()) > 0
        low, high = (low, middle) if rising else (middle, high)
    return float(np.exp(-(low + high) / 2))


def greedy_weights(probability_mnc: np.ndarray, label_n: np.ndarray, *, seed: int) -> np.ndarray:
    """Return the weight of each of M candidates in an ensemble: float64 [M], which sum to 1.

    Ensemble selection (Caruana et al. 2004), bagged: each of `BAGS` bags is a random half of the candidates,
    to which the best always belongs. It begins with its best one and adds, with replacement, whichever
    lowers the log-loss of the mean most, `PICKS` in all or until none lowers it. The weights are the shares
    of picks. Of numbers it is the squared error, of several labels the mean log-loss of all labels.

    Args:
        probability_mnc: of rows that the candidates did not learn from, [M, N, C]; numbers [M, N, 1].
        label_n: int64 [N]; of numbers float, of several labels bool [N, C].
    """
    candidates = len(probability_mnc)
    numbers = label_n.dtype.kind == "f"
    if label_n.ndim == 2:
        own_mnc = np.where(label_n, probability_mnc, 1 - probability_mnc.astype(np.float64))
        given_mn = np.maximum(own_mnc, LEAST_PROBABILITY).reshape(candidates, -1)
    else:
        own_n = 0 if numbers else label_n
        given_mn = probability_mnc[:, np.arange(len(label_n)), own_n].astype(np.float64)

    def loss(mean_bn: np.ndarray) -> np.ndarray:
        if numbers:
            return ((mean_bn - label_n) ** 2).mean(1)
        return -np.log(np.maximum(mean_bn, np.finfo(np.float64).tiny)).mean(1)

    loss_m = loss(given_mn)
    best = int(loss_m.argmin())
    random = np.random.default_rng(seed)
    count_m = np.zeros(candidates)
    for _ in range(BAGS):
        bag = np.union1d(random.permutation(candidates)[: -(-candidates // 2)], [best])
        sum_n, picks, least = np.zeros(given_mn.shape[1]), 0, np.inf
        while picks < PICKS:
            trial_bn = (sum_n + given_mn[bag]) / (picks + 1)
            loss_b = loss(trial_bn)
            if loss_b.min() >= least:
                break
            least, chosen = loss_b.min(), bag[int(loss_b.argmin())]
            sum_n, picks = sum_n + given_mn[chosen], picks + 1
            count_m[chosen] += 1
    return count_m / count_m.sum()


def mean_of(probability_mnc: np.ndarray, weight_m: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the weighted mean [N, C] of probabilities [M, N, C]."""
    return np.tensordot(np.asarray(weight_m), probability_mnc, axes=1)
