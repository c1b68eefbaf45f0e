"""Principal axes of rows, also of so many features that their covariance would take gigabytes."""

from __future__ import annotations

import torch
from torch import Tensor

WIDEST = 4096  # features up to which the covariance is decomposed; 12,000 take 6 GB and minutes


def is_wide(rows: int, features: int) -> bool:
    """Return whether the axes are those that the rows span, and not all of them."""
    return features > WIDEST and 0 < rows < features


def principal_axes(centred_nd: Tensor) -> tuple[Tensor, Tensor]:
    """Return variances [K], ascending, and unit axes [D, K] of centred rows [N, D].

    K is D; of few and wide rows it is N: along all other axes they do not vary.
    """
    rows, features = centred_nd.shape
    if not is_wide(rows, features):
        return torch.linalg.eigh(centred_nd.T @ centred_nd / max(rows, 1))
    span_dk, inner_kn = torch.linalg.qr(centred_nd.T)  # first: a third of the time of decomposing all
    inner_kk, length_k, _ = torch.linalg.svd(inner_kn)
    return length_k.flip(0).square() / rows, span_dk @ inner_kk.flip(1)
