"""Several heads that answer together: calibrated, averaged, and chosen greedily from a library."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainer.heads.head import Head

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

    def log_probabilities(self, x_nd: Tensor) -> Tensor:
        """Return log p [N, C] of raw features [N, D]."""
        mean_nc = mean_log_probability([head.logits(x_nd) for head in self.heads])
        return (mean_nc / self.temperature).log_softmax(1)


@dataclass(frozen=True)
class Ensemble:
    """The weighted mean of its members' probabilities, brought to a temperature.

    The heaviest member is first.
    """

    members: tuple[Member, ...]
    temperature: float = 1.0

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
        """Return log p [N, C], up to a constant of each row, of raw features [N, D]."""
        parts = [member.log_probabilities(x_nd) + math.log(member.weight) for member in self.members]
        return torch.logsumexp(torch.stack(parts), 0) / self.temperature

    @property
    def uncalibrated(self) -> Ensemble:
        """The same heads at temperature 1."""
        return Ensemble(tuple(dataclasses.replace(one, temperature=1.0) for one in self.members))

    @torch.inference_mode()
    def probabilities(self, x_nd: Tensor, *, batch_size: int = 8192) -> Tensor:
        """Return class probabilities [N, C] of raw features [N, D]."""
        return torch.cat([self.logits(x).softmax(-1) for x in x_nd.split(batch_size)])

    def embedding(self, x_nd: Tensor) -> Tensor:
        """Return where raw features [N, D] lie for the heaviest member, see `Head.embedding`."""
        return self.members[0].heads[0].embedding(x_nd)


def mean_log_probability(logits: Sequence[Tensor]) -> Tensor:
    """Return the log of the mean of the probabilities [N, C] that several logits [N, C] stand for."""
    if len(logits) == 1:
        return logits[0].log_softmax(1)
    return torch.logsumexp(torch.stack([one.log_softmax(1) for one in logits]), 0) - math.log(len(logits))


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
    of picks.

    Args:
        probability_mnc: of rows that the candidates did not learn from, [M, N, C].
        label_n: int64 [N].
    """
    candidates = len(probability_mnc)
    given_mn = probability_mnc[:, np.arange(len(label_n)), label_n].astype(np.float64)
    tiny = np.finfo(np.float64).tiny
    loss_m = -np.log(np.maximum(given_mn, tiny)).mean(1)
    best = int(loss_m.argmin())
    random = np.random.default_rng(seed)
    count_m = np.zeros(candidates)
    for _ in range(BAGS):
        bag = np.union1d(random.permutation(candidates)[: -(-candidates // 2)], [best])
        sum_n, picks, loss = np.zeros(len(label_n)), 0, np.inf
        while picks < PICKS:
            trial_bn = (sum_n + given_mn[bag]) / (picks + 1)
            loss_b = -np.log(np.maximum(trial_bn, tiny)).mean(1)
            if loss_b.min() >= loss:
                break
            loss, chosen = loss_b.min(), bag[int(loss_b.argmin())]
            sum_n, picks = sum_n + given_mn[chosen], picks + 1
            count_m[chosen] += 1
    return count_m / count_m.sum()


def mean_of(probability_mnc: np.ndarray, weight_m: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the weighted mean [N, C] of probabilities [M, N, C]."""
    return np.tensordot(np.asarray(weight_m), probability_mnc, axes=1)
