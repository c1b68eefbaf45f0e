"""Out-of-fold probabilities of a linear head."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.heads.lbfgs import LogisticPath, Objectives
from trainer.heads.training_data import find_scale

L2 = (0.01, 0.03, 0.1, 0.3, 1.0)  # strengths to choose from, as `HeadSpec.l2`
MOST_ITERATIONS = 100


def out_of_fold(x_nd: Tensor, y_n: Tensor, fold_n: Tensor, *, classes: int) -> Tensor:
    """Return class probabilities [N, C] of every row, by logistic regressions that did not see its fold.

    The regressions of all folds and strengths are one program (a fold is a mask). The strength is the one
    with which the given labels are likeliest out of fold. Standardised on all rows, which looks at no label.

    Args:
        x_nd: features [N, D].
        y_n: int64 [N] in 0 … C-1.
        fold_n: int64 [N] in 0 … F-1, F at least 2. Copies of a row belong into one fold.

    Returns:
        float [N, C]; NaN in the rows of a class that no other fold has: nobody could have learnt it.
    """
    folds = int(fold_n.max()) + 1
    kept_fn = (fold_n[None, :] != torch.arange(folds, device=fold_n.device)[:, None]).to(x_nd)
    scaled_nd = find_scale(x_nd, "standardise").apply(x_nd)
    objectives = Objectives(
        l2_k=x_nd.new_tensor(L2).repeat_interleave(folds), kept_kn=kept_fn.repeat(len(L2), 1)
    )
    path = LogisticPath(scaled_nd, y_n, objectives, classes=classes)
    for _ in range(MOST_ITERATIONS):
        path.step()
        if bool(path.converged_k.all()):
            break
    z_nr = path.turned(scaled_nd)
    probability_lnc = x_nd.new_empty(len(L2), len(y_n), classes)
    for index, theta_cr in enumerate(path.theta_kcr):
        strength, fold = divmod(index, folds)
        rows = fold_n == fold
        probability_lnc[strength, rows] = (z_nr[rows] @ theta_cr.T).softmax(1)
    given_ln = probability_lnc.gather(2, y_n[None, :, None].expand(len(L2), -1, 1)).squeeze(2)
    counts_cf = torch.nn.functional.one_hot(y_n, classes).T.to(x_nd) @ kept_fn.T
    unseen_n = counts_cf[y_n, fold_n] == 0
    likely_ln = given_ln[:, ~unseen_n].clamp_min(torch.finfo(x_nd.dtype).tiny).log()
    best = int(likely_ln.mean(1).argmax()) if likely_ln.shape[1] else 0
    return probability_lnc[best].masked_fill(unseen_n[:, None], torch.nan)
