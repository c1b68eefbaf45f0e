"""Metrics of many heads at once."""

from __future__ import annotations

import torch
from torch import Tensor


def f1_macro(pred_an: Tensor, target_n: Tensor, *, classes: int) -> Tensor:
    """Return the macro-F1 of each head: float64 [A].

    As scikit-learn's ``f1_score(average="macro", zero_division=0)``: the mean of 2·TP / (2·TP + FP + FN)
    over the classes that occur among the targets or the predictions.
    """
    base = torch.arange(pred_an.shape[0], device=pred_an.device)[:, None] * classes
    size = pred_an.shape[0] * classes

    def per_class(values: Tensor) -> Tensor:
        return torch.bincount(values.flatten(), minlength=size).view(-1, classes).double()

    hit_an = pred_an == target_n
    true_positive = per_class((base + pred_an)[hit_an])
    predicted = per_class(base + pred_an)
    actual = per_class(base + target_n)
    doubled = predicted + actual  # 2·TP + FP + FN
    f1 = torch.where(doubled > 0, 2 * true_positive / doubled.clamp_min(1), 0)
    return f1.sum(1) / (doubled > 0).sum(1)
