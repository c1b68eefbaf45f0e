"""Metrics of many heads at once."""

from __future__ import annotations

import torch
from torch import Tensor


def class_counts(pred_an: Tensor, target_n: Tensor, *, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return of each head and class the hits, the predictions and the targets: int64 [A, C] each."""
    base = torch.arange(pred_an.shape[0], device=pred_an.device)[:, None] * classes
    size = pred_an.shape[0] * classes

    def per_class(values: Tensor) -> Tensor:
        return torch.bincount(values.flatten(), minlength=size).view(-1, classes)

    hit_an = pred_an == target_n
    return per_class((base + pred_an)[hit_an]), per_class(base + pred_an), per_class(base + target_n)


def f1_from_counts(hits: Tensor, predicted: Tensor, actual: Tensor) -> Tensor:
    """Return the macro-F1, float64 [...], from counts [..., C] of the classes.

    As scikit-learn's ``f1_score(average="macro", zero_division=0)``: the mean of 2·TP / (2·TP + FP + FN)
    over the classes that occur among the targets or the predictions.
    """
    doubled = (predicted + actual).double()  # 2·TP + FP + FN
    f1 = torch.where(doubled > 0, 2 * hits.double() / doubled.clamp_min(1), 0)
    return f1.sum(-1) / (doubled > 0).sum(-1)


def micro_f1_from_counts(hits: Tensor, predicted: Tensor, actual: Tensor) -> Tensor:
    """Return the F1 of all labels counted together, float64 [...], from counts [..., C]; NaN where none
    occurs."""
    return 2 * hits.sum(-1).double() / (predicted + actual).sum(-1)


def balanced_accuracy_from_counts(hits: Tensor, predicted: Tensor, actual: Tensor) -> Tensor:
    """Return the balanced accuracy, float64 [...], from counts [..., C]: the mean recall of the classes that
    occur among the targets, as scikit-learn's ``balanced_accuracy_score``."""
    recall = hits.double() / actual.double().clamp_min(1)
    return recall.sum(-1) / (actual > 0).sum(-1)


def number_scores(squared: Tensor, absolute: Tensor, target_n: Tensor) -> dict[str, Tensor]:
    """Return R², mean absolute error and root of the mean squared error, float64 [...], by their names in
    curves; R² is NaN where all targets are equal.

    Args:
        squared, absolute: sums [...] of the errors of all rows.
        target_n: float64 [N].
    """
    rows, total = len(target_n), (target_n - target_n.mean()).square().sum()
    return {
        "val_r2": 1 - squared / torch.where(total > 0, total, torch.nan),
        "val_mae": absolute / rows,
        "val_rmse": (squared / rows).sqrt(),
    }


def f1_macro(pred_an: Tensor, target_n: Tensor, *, classes: int) -> Tensor:
    """Return the macro-F1 of each head: float64 [A]."""
    return f1_from_counts(*class_counts(pred_an, target_n, classes=classes))
