"""Losses of many heads at once: cross-entropy, smoothed, focal, class-weighted, of mixed rows; of numbers; of
several labels per row."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class LossSettings(NamedTuple):
    """The kind of cross-entropy of each of K heads."""

    smoothing_k: Tensor  # [K], 0 for none
    class_weight_kc: Tensor  # [K, C], ones for none
    focal_gamma_k: Tensor | None = None  # [K], 0 for none


def cross_entropy(
    logits_skcb: Tensor,
    target_sb: Tensor,
    settings: LossSettings,
    *,
    sample_weight_skb: Tensor | None = None,
    share_skb: Tensor | None = None,
) -> Tensor:
    """Return each head's weighted, label-smoothed, focal cross-entropy, optionally of mixed rows: [S, K].

    Without focus and mixing, the formula of ``torch.nn.functional.cross_entropy`` with ``weight``,
    ``label_smoothing`` and ``reduction="mean"``: both terms are divided by the weight of the batch's targets.
    Focus multiplies each row's own term with (1 - p)^γ, p being the probability of its label (Lin et al.
    2017, eq. 4). A mixed row counts as ``share`` of a row with its own label and 1 - share of one with the
    label of its mirror image in the batch, row B-1-b (mixup, Zhang et al. 2018).

    Args:
        logits_skcb: [S, K, C, B]: seeds, heads, classes, rows.
        target_sb: int64 [S, B].
        sample_weight_skb: [S, K, B]; 0 leaves a row out for a head (a filter, a fold). A batch in which
            a head has no row at all counts as zero loss and moves nothing.
        share_skb: [S, K, B], between 0 and 1; None where nothing is mixed.
    """
    log_p = logits_skcb.log_softmax(dim=2)
    if share_skb is None:
        total_sk, weight_sk = _sums(log_p, target_sb, settings, sample_weight_skb)
    else:
        kept = 1.0 if sample_weight_skb is None else sample_weight_skb
        own_sk, own_weight_sk = _sums(log_p, target_sb, settings, kept * share_skb)
        partner_sk, partner_weight_sk = _sums(log_p, target_sb.flip(1), settings, kept * (1 - share_skb))
        total_sk, weight_sk = own_sk + partner_sk, own_weight_sk + partner_weight_sk
    return total_sk / weight_sk.clamp_min(torch.finfo(total_sk.dtype).tiny)


def _sums(
    log_p: Tensor, target_sb: Tensor, settings: LossSettings, sample_weight_skb: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the sum of the rows' losses and the sum of their weights, each [S, K]."""
    smoothing_k, class_weight_kc, focal_gamma_k = settings
    heads, classes = log_p.shape[1:3]
    index = target_sb[:, None, None, :].expand(-1, heads, 1, -1)
    weight_skb = class_weight_kc.T[target_sb].permute(0, 2, 1)  # [C, K][S, B] → [S, B, K] → [S, K, B]
    log_p_target = log_p.gather(2, index).squeeze(2)
    term_skb = -log_p_target * weight_skb
    if focal_gamma_k is not None and bool(focal_gamma_k.any()):
        # 1 - p by expm1, and never quite 0: the slope of a power below 1 is infinite there
        rest = (-torch.expm1(log_p_target)).clamp_min(torch.finfo(log_p.dtype).eps)
        term_skb = term_skb * rest ** focal_gamma_k[:, None]
    if sample_weight_skb is not None:
        term_skb = term_skb * sample_weight_skb
        weight_skb = weight_skb * sample_weight_skb
    total_sk, weight_sk = term_skb.sum(-1), weight_skb.sum(-1)
    if not bool(smoothing_k.any()):
        return total_sk, weight_sk
    spread_skb = -(log_p * class_weight_kc[:, :, None]).sum(2)
    if sample_weight_skb is not None:
        spread_skb = spread_skb * sample_weight_skb
    return (1 - smoothing_k) * total_sk + smoothing_k / classes * spread_skb.sum(-1), weight_sk


def number_loss(
    output_skb: Tensor, target_sb: Tensor, delta_k: Tensor, *, sample_weight_skb: Tensor | None = None
) -> Tensor:
    """Return each head's mean squared error, or Huber loss: [S, K].

    As ``torch.nn.functional.mse_loss`` and ``huber_loss`` with ``reduction="mean"``.

    Args:
        output_skb: [S, K, B]: seeds, heads, rows.
        target_sb: [S, B].
        delta_k: [K], of Huber's loss; infinite: the squared error.
        sample_weight_skb: [S, K, B]; 0 leaves a row out for a head.
    """
    error_skb = (output_skb - target_sb[:, None, :]).abs()
    is_squared_k1 = delta_k.isinf()[:, None]
    delta_k1 = delta_k[:, None].masked_fill(is_squared_k1, 1.0)  # an infinite slope is no number, even unused
    linear_skb = delta_k1 * (error_skb - delta_k1 / 2)
    huber_skb = torch.where(error_skb <= delta_k1, error_skb.square() / 2, linear_skb)
    loss_skb = torch.where(is_squared_k1, error_skb.square(), huber_skb)
    if sample_weight_skb is None:
        return loss_skb.mean(-1)
    kept_sk = sample_weight_skb.sum(-1)
    return (loss_skb * sample_weight_skb).sum(-1) / kept_sk.clamp_min(torch.finfo(loss_skb.dtype).tiny)


class LabelLossSettings(NamedTuple):
    """The asymmetric loss of each of K heads; all zero: binary cross-entropy."""

    gamma_pos_k: Tensor  # [K], at least 0
    gamma_neg_k: Tensor  # [K], at least 0; both alike and no margin: the focal loss
    margin_k: Tensor  # [K], at least 0 and below 1


def asymmetric_loss(
    logits_skcb: Tensor,
    target_scb: Tensor,
    settings: LabelLossSettings,
    *,
    sample_weight_skb: Tensor | None = None,
) -> Tensor:
    """Return each head's asymmetric loss, summed over labels, as a mean over rows: [S, K].

    (1 - p)^γ+ · -log p of a label that a row has, p_m^γ- · -log(1 - p_m) of one that it has not, where
    p_m = max(p - margin, 0) (Ridnik et al. 2021, "Asymmetric loss for multi-label classification", eq. 7).
    Without margin and with one power it is the focal loss (Lin et al. 2017), without power the binary
    cross-entropy.

    Args:
        logits_skcb: [S, K, C, B]: seeds, heads, labels, rows.
        target_scb: bool [S, C, B].
        sample_weight_skb: [S, K, B]; 0 leaves a row out for a head.
    """
    gamma_pos, gamma_neg, margin = (one[:, None, None] for one in settings)
    epsilon = torch.finfo(logits_skcb.dtype).eps  # the slope of a power below 1 is infinite at 0
    log_p, log_rest = logsigmoid(logits_skcb), logsigmoid(-logits_skcb)
    shifted = (log_p.exp() - margin).clamp_min(0)
    log_none = torch.where(margin > 0, torch.log1p(-shifted.clamp_max(1 - epsilon)), log_rest)
    positive = log_p * log_rest.exp().clamp_min(epsilon) ** gamma_pos
    negative = log_none * shifted.clamp_min(epsilon) ** gamma_neg
    loss_skb = -torch.where(target_scb[:, None], positive, negative).sum(2)
    if sample_weight_skb is None:
        return loss_skb.mean(-1)
    kept_sk = sample_weight_skb.sum(-1)
    return (loss_skb * sample_weight_skb).sum(-1) / kept_sk.clamp_min(torch.finfo(loss_skb.dtype).tiny)


def balanced_class_weights(label_n: Tensor, *, classes: int, kept_kn: Tensor) -> Tensor:
    """Return weights n / (C · n_c) over each head's own rows: [K, C] (scikit-learn's ``balanced``).

    A class of which a head keeps no row gets weight 0: it cannot occur as a target.
    """
    count_kc = _counts(label_n, classes, kept_kn)
    weight_kc = kept_kn.sum(1, keepdim=True) / (classes * count_kc.clamp_min(1))
    return torch.where(count_kc > 0, weight_kc, 0)


def effective_class_weights(label_n: Tensor, *, classes: int, kept_kn: Tensor, beta_k: Tensor) -> Tensor:
    """Return weights (1 - β) / (1 - β^n_c) over each head's own rows: [K, C], of mean 1 over the classes
    that occur.

    The class-balanced loss of Cui et al. 2019 (eq. 4): β = 0 weighs all classes alike, β → 1 by 1 / n_c.
    """
    count_kc = _counts(label_n, classes, kept_kn)
    beta = beta_k[:, None]
    raw_kc = torch.where(count_kc > 0, (1 - beta) / (1 - beta**count_kc), 0)
    return raw_kc * (count_kc > 0).sum(1, keepdim=True) / raw_kc.sum(1, keepdim=True)


def _counts(label_n: Tensor, classes: int, kept_kn: Tensor) -> Tensor:
    return kept_kn.new_zeros(len(kept_kn), classes).index_add_(1, label_n, kept_kn)
