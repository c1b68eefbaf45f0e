"""Cross-entropy of many heads at once."""

from __future__ import annotations

import torch
from torch import Tensor


def cross_entropy(
    logits_skcb: Tensor,
    target_sb: Tensor,
    *,
    smoothing_k: Tensor,
    class_weight_kc: Tensor,
    sample_weight_skb: Tensor | None = None,
) -> Tensor:
    """Weighted, label-smoothed cross-entropy of each head: [S, K].

    The same formula as ``torch.nn.functional.cross_entropy`` with ``weight``, ``label_smoothing``
    and ``reduction="mean"``: both terms are divided by the weight of the batch's targets.

    Args:
        logits_skcb: [S, K, C, B]: seeds, heads, classes, rows.
        target_sb: int64 [S, B].
        smoothing_k: [K], 0 for none.
        class_weight_kc: [K, C], ones for none.
        sample_weight_skb: [S, K, B]; 0 leaves a row out for a head (a filter, a fold). A batch in which
            a head has no row at all counts as zero loss and moves nothing.
    """
    classes = logits_skcb.shape[2]
    log_p = logits_skcb.log_softmax(dim=2)
    index = target_sb[:, None, None, :].expand(-1, logits_skcb.shape[1], 1, -1)
    weight_skb = class_weight_kc.T[target_sb].permute(0, 2, 1)  # [C, K][S, B] → [S, B, K] → [S, K, B]
    target_term = -log_p.gather(2, index).squeeze(2) * weight_skb
    if sample_weight_skb is not None:
        target_term = target_term * sample_weight_skb
        weight_skb = weight_skb * sample_weight_skb
    total_sk = weight_skb.sum(-1).clamp_min(torch.finfo(logits_skcb.dtype).tiny)
    loss_sk = target_term.sum(-1) / total_sk
    if not bool(smoothing_k.any()):
        return loss_sk
    spread_skb = -(log_p * class_weight_kc[:, :, None]).sum(2)
    if sample_weight_skb is not None:
        spread_skb = spread_skb * sample_weight_skb
    return (1 - smoothing_k) * loss_sk + smoothing_k / classes * spread_skb.sum(-1) / total_sk


def balanced_class_weights(label_n: Tensor, *, classes: int, kept_kn: Tensor) -> Tensor:
    """Weights n / (C · n_c) over each head's own rows: [K, C] (scikit-learn's ``balanced``).

    A class of which a head keeps no row gets weight 0: it cannot occur as a target.
    """
    one_hot_nc = torch.nn.functional.one_hot(label_n, classes).to(kept_kn.dtype)
    count_kc = kept_kn @ one_hot_nc
    weight_kc = kept_kn.sum(1, keepdim=True) / (classes * count_kc.clamp_min(1))
    return torch.where(count_kc > 0, weight_kc, 0)
