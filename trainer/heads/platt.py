"""Platt scaling of several labels per row: a slope and an offset for the log-odds of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

FLATTEST, STEEPEST = 0.02, 50.0  # range of slopes: above 0, so that rows keep their order
STEPS, HALVINGS = 100, 30
ENOUGH = 1e-12  # decrease of the loss that ends the search


class LabelScale(NamedTuple):
    """Log-odds z of label c become slope_c · z + offset_c."""

    slope_c: Tensor  # float32 [C], above 0
    offset_c: Tensor  # float32 [C]

    def applied(self, log_odds_nc: Tensor) -> Tensor:
        """Return calibrated log-odds [N, C]."""
        slope_c, offset_c = (one.to(log_odds_nc) for one in self)
        return log_odds_nc * slope_c + offset_c


def fit_label_scale(log_odds_nc: np.ndarray, label_nc: np.ndarray) -> LabelScale:
    """Return the scale with which the labels are likeliest, each label by itself.

    Platt 1999, "Probabilistic outputs for support vector machines": with P positive and M other rows the
    targets are (P + 1) / (P + 2) and 1 / (M + 2), so that no head is certain because all rows are right.
    The loss is convex; Newton steps are halved until it falls (Lin, Lin & Weng 2007). A slope that would turn
    the order of the rows round is `FLATTEST`, and the offset fitted to it. Labels without rows of both kinds
    stay as they are.

    Args:
        log_odds_nc: float [N, C], of rows that the head did not learn from, finite.
        label_nc: bool [N, C].
    """
    pairs = zip(log_odds_nc.astype(np.float64).T, label_nc.T, strict=True)
    found_c2 = np.array([_fit(z_n, has_n) for z_n, has_n in pairs]).reshape(-1, 2)
    return LabelScale(*torch.from_numpy(found_c2.astype(np.float32)).T.contiguous())


def _fit(z_n: np.ndarray, has_n: np.ndarray) -> np.ndarray:
    positives = int(has_n.sum())
    others = len(has_n) - positives
    if not positives or not others:
        return np.array([1.0, 0.0])
    target_n = np.where(has_n, (positives + 1) / (positives + 2), 1 / (others + 2))
    prior = np.array([0.0, np.log((positives + 1) / (others + 1))])
    scale_2 = _newton(np.stack([z_n, np.ones_like(z_n)], axis=1), target_n, np.zeros(len(z_n)), prior)
    slope = float(np.clip(scale_2[0], FLATTEST, STEEPEST))
    if slope != scale_2[0]:
        return np.append(slope, _newton(np.ones((len(z_n), 1)), target_n, slope * z_n, prior[1:]))
    return scale_2


def _newton(x_nk: np.ndarray, target_n: np.ndarray, base_n: np.ndarray, start_k: np.ndarray) -> np.ndarray:
    """Return the weights [K] of the least mean log-loss of targets from 0 to 1, given base + x @ weights."""

    def loss(weight_k: np.ndarray) -> float:
        z_n = base_n + x_nk @ weight_k
        return float((np.logaddexp(0, z_n) - target_n * z_n).mean())

    weight_k, least = start_k, loss(start_k)
    for _ in range(STEPS):
        p_n = expit(base_n + x_nk @ weight_k)
        slope_k = x_nk.T @ (p_n - target_n) / len(p_n)
        curved_kk = (x_nk.T * (p_n * (1 - p_n))) @ x_nk / len(p_n)
        step_k = np.linalg.solve(curved_kk + 1e-12 * np.eye(len(weight_k)), slope_k)
        for _ in range(HALVINGS):
            found = loss(weight_k - step_k)
            if found < least:
                break
            step_k = step_k / 2
        else:
            return weight_k
        weight_k, fell, least = weight_k - step_k, least - found, found
        if fell < ENOUGH:
            return weight_k
    return weight_k
