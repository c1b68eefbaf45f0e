"""Logistic regressions of many strengths on the same rows, full batch, by L-BFGS (Liu & Nocedal 1989).

Three things make it quick where the penalty is weak and plain L-BFGS needs hundreds of iterations:

- All heads share the rows, so the logits of all are one matrix product, the gradients another.
- In the eigenbasis of the features' covariance the Hessian of class c is nearly diagonal: s_c·λ + l2,
  with s_c the mean of p_c·(1 − p_c). Its inverse starts the recursion.
- Every head begins with a strong penalty that is halved in each iteration until it reaches its own.
  A full step at a weak penalty from zero interpolates the rows, from where the way back is long.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.heads.principal_axes import principal_axes

HISTORY = 10  # past steps that describe the curvature
FIRST_L2 = 0.1  # penalty of the first iteration, in units of the features' mean variance
SUFFICIENT = 1e-4  # share of the decrease that the slope promises which a step must reach (Armijo 1966)
TRIALS = 20  # step lengths to try; one shorter than the last of them is lost in rounding
LEAST_SPREAD = 0.01  # of the curvature of a class, in units of the mean of all classes
CELLS = 1_000_000  # logits held at once: little memory, and most of it stays in the cache


class Point(NamedTuple):
    """Weights of A heads in eigen-coordinates, the bias last, and the loss there, without penalty."""

    theta_acr: Tensor
    square_a: Tensor  # float64: ‖W‖², without the bias
    loss_a: Tensor  # float64
    gradient_acr: Tensor  # of the loss
    spread_ac: Tensor  # mean of p·(1 − p), which scales the Hessian of each class

    def at(self, index: Tensor) -> Point:
        """Return some of these heads, copied."""
        return Point(*(value[index] for value in self))

    def objective(self, l2_a: Tensor) -> Tensor:
        """Return the loss and penalty: float64 [A]."""
        return self.loss_a + l2_a.double() / 2 * self.square_a

    def slope(self, l2_a: Tensor) -> Tensor:
        """Return the gradient of `objective`: [A, C, R]."""
        return _add_penalised(self.gradient_acr.clone(), self.theta_acr, l2_a)


class Objectives(NamedTuple):
    """What each of K heads minimises: ``losses.cross_entropy`` + l2/2 · ‖W‖²."""

    l2_k: Tensor  # [K], above zero
    smoothing_k: Tensor | None = None  # [K] label smoothing; none by default
    class_weight_kc: Tensor | None = None  # [K, C]; ones by default
    kept_kn: Tensor | None = None  # [K, N] of 0 and 1: which rows each head may see; all by default


class LogisticPath:
    """K L2-regularised logistic regressions on the same rows.

    Each head minimises its objective, its bias free (scikit-learn's C is 1 / (n · l2)), starting from zero.
    A head's numbers do not depend on its neighbours. A head whose objective is no finite number at the start
    never moves and counts as converged.

    Args:
        x_nd: features [N, D], float32 or float64.
        y_n: int64 [N].
        objectives: of the K heads.
        classes: C.
        offset_cn: [C, N], logits that every head begins with; its weights, which start from zero and bear
            the penalty, are what is added to them. None by default.
        tolerance: a head has converged when the next step promises to lower its objective by less than
            this share of it.

    Raises:
        ValueError: a strength that is not above zero.
    """

    SHIFTS = True  # a shift of all logits of a row changes nothing

    def __init__(
        self,
        x_nd: Tensor,
        y_n: Tensor,
        objectives: Objectives,
        *,
        classes: int,
        offset_cn: Tensor | None = None,
        tolerance: float = 1e-5,
    ) -> None:
        l2_k, smoothing_k, class_weight_kc, kept_kn = objectives
        if bool((l2_k <= 0).any()):
            raise ValueError(f"l2_k is {l2_k.tolist()}; expected l2 > 0")
        heads = len(l2_k)
        self.y_n, self.classes, self.tolerance = y_n, classes, tolerance
        self._rotate(x_nd)
        self.l2_k = l2_k.to(x_nd)
        self.offset_cn = None if offset_cn is None else offset_cn.to(x_nd)
        self._weigh(
            x_nd.new_zeros(heads) if smoothing_k is None else smoothing_k.to(x_nd),
            x_nd.new_ones(heads, classes) if class_weight_kc is None else class_weight_kc.to(x_nd),
            x_nd.new_ones(heads, len(x_nd)) if kept_kn is None else kept_kn.to(x_nd),
        )
        self._chunk_rows = max(1, CELLS // (heads * classes))
        self._members = torch.arange(heads, device=x_nd.device)  # heads whose curvature is remembered
        self._point = self._evaluate(x_nd.new_zeros(heads, classes, self.z_nr.shape[1]), self._members)
        self.converged_k = ~torch.isfinite(self.objective_k)
        self._curvature = Curvature(HISTORY, shifts=self.SHIFTS)
        self._floor_l2 = FIRST_L2 * self.mean_variance
        self._strength_k = self.l2_k.clamp_min(self._floor_l2)

    def _rotate(self, x_nd: Tensor) -> None:
        """Set the rows in the eigenbasis of their covariance, and a constant for the bias: [N, R].

        Directions that N < D rows do not reach are left out: the penalty makes the weights zero there.
        In float64, which also keeps these products exact where float32 ones are allowed to be coarse.
        """
        wide_nd = x_nd.double()
        self.centre_d = wide_nd.mean(0)
        centred_nd = wide_nd - self.centre_d
        eigenvalue_k, axis_dk = principal_axes(centred_nd)
        rank = min(x_nd.shape)
        self.basis_dr = axis_dk[:, -rank:]
        self.z_nr = self.turned(x_nd)
        variance_r = eigenvalue_k[-rank:].clamp_min(0)
        self.variance_r = torch.cat([variance_r, variance_r.new_ones(1)]).to(x_nd)
        share = len(eigenvalue_k) / x_nd.shape[1]  # 1, but of wide rows
        self.mean_variance = eigenvalue_k.mean().clamp_min(0).item() * share

    def _weigh(self, smoothing_k: Tensor, class_weight_kc: Tensor, kept_kn: Tensor) -> None:
        """Set the weights of the loss's two terms: a row's own class, and every class alike (smoothing)."""
        weight_kn = class_weight_kc[:, self.y_n] * kept_kn
        total_k1 = weight_kn.sum(1, keepdim=True).clamp_min(torch.finfo(kept_kn.dtype).tiny)
        self.share_kn = kept_kn / total_k1
        self.even_kc = smoothing_k[:, None] / self.classes * class_weight_kc
        self.even_kn = self.even_kc.sum(1, keepdim=True) * self.share_kn
        self.mass_kn = (1 - smoothing_k[:, None]) * weight_kn / total_k1 + self.even_kn
        self.any_smoothing = bool((smoothing_k != 0).any())

    # --- results ------------------------------------------------------------------------------

    @property
    def theta_kcr(self) -> Tensor:
        """Weights [K, C, R] for `turned` features, the bias last."""
        return self._point.theta_acr

    def turned(self, x_nd: Tensor) -> Tensor:
        """Return features in the coordinates of `theta_kcr`, the last of them 1: [N, R]."""
        z_nr = (x_nd.double() - self.centre_d) @ self.basis_dr
        return torch.cat([z_nr, z_nr.new_ones(len(x_nd), 1)], dim=1).to(x_nd)

    def unturned(self, theta_cr: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights [..., C, D] and biases [..., C] for features as they were given."""
        weight_cd = theta_cr[..., :-1].double() @ self.basis_dr.T
        bias_c = theta_cr[..., -1].double() - weight_cd @ self.centre_d
        return weight_cd.to(self.z_nr), bias_c.to(self.z_nr)

    @property
    def objective_k(self) -> Tensor:
        """Loss and penalty of each head, float64 [K]."""
        return self._point.objective(self.l2_k)

    def keep(self, index_k: Tensor) -> None:
        """Go on with these heads only, in this order."""
        position_k = self._members.new_full((len(self.l2_k),), -1)
        position_k[self._members] = torch.arange(len(self._members), device=position_k.device)
        position_k = position_k[index_k]
        self._curvature.keep(position_k[position_k >= 0])
        self._members = (position_k >= 0).nonzero().squeeze(1)
        self._point = self._point.at(index_k)
        for name in ("l2_k", "_strength_k", "converged_k", "share_kn", "even_kc", "even_kn", "mass_kn"):
            setattr(self, name, getattr(self, name)[index_k])

    # --- the loss -----------------------------------------------------------------------------

    def _evaluate(self, theta_acr: Tensor, heads_a: Tensor) -> Point:
        """Return the loss of ``heads_a`` at ``theta_acr``, a chunk of rows at a time."""
        square_a = theta_acr[..., :-1].square().sum((1, 2), dtype=torch.float64)
        loss_a, gradient_acr = torch.zeros_like(square_a), torch.zeros_like(theta_acr)
        spread_ac = torch.zeros_like(theta_acr[..., 0])
        for start in range(0, len(self.y_n), self._chunk_rows):
            rows = slice(start, start + self._chunk_rows)
            gap_acb = (theta_acr.flatten(0, 1) @ self.z_nr[rows].T).view(*spread_ac.shape, -1)
            if self.offset_cn is not None:
                gap_acb += self.offset_cn[:, rows]
            loss, residual_acb, spread = self._loss(gap_acb, heads_a, rows)
            loss_a += loss
            spread_ac += spread
            gradient_acr += (residual_acb.flatten(0, 1) @ self.z_nr[rows]).view_as(theta_acr)
        return Point(theta_acr, square_a, loss_a, gradient_acr, spread_ac)

    def _loss(self, logits_acb: Tensor, heads_a: Tensor, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss [A], its derivative by the logits [A, C, B] and the mean of p·(1 − p) [A, C] of
        rows.

        Logits are taken relative to that of the row's own class: a loss or a residual of 1e-6 then keeps
        its digits, where ``log_softmax`` and p − 1 would leave float32 none. Overwrites ``logits_acb``.
        """
        own_a1b = self.y_n[rows].expand(len(heads_a), 1, -1)
        mass_a1b = self.mass_kn[heads_a, rows].unsqueeze(1)
        gap_acb = logits_acb.sub_(logits_acb.gather(1, own_a1b))
        top_a1b = gap_acb.amax(1, keepdim=True)
        part_acb = (gap_acb - top_a1b).exp_().scatter_(1, own_a1b, 0.0)
        others_a1b = part_acb.sum(1, keepdim=True)
        total_a1b = others_a1b + torch.exp(-top_a1b)
        loss_a1b = top_a1b + torch.log1p(others_a1b + torch.expm1(-top_a1b))
        loss_a = (loss_a1b * mass_a1b).sum((1, 2), dtype=torch.float64)
        p_minus_one_a1b = -others_a1b / total_a1b
        error_acb = part_acb.div_(total_a1b).scatter_(1, own_a1b, p_minus_one_a1b)
        residual_acb = error_acb * mass_a1b
        spread_ac = residual_acb.abs().sum(2) - error_acb.mul_(residual_acb).sum(2)
        if self.any_smoothing:
            even_acb = self.even_kc[heads_a].unsqueeze(2) * self.share_kn[heads_a, rows].unsqueeze(1)
            residual_acb -= even_acb
            residual_acb.scatter_add_(1, own_a1b, self.even_kn[heads_a, rows].unsqueeze(1))
            loss_a -= even_acb.mul_(gap_acb).sum((1, 2), dtype=torch.float64)
        return loss_a, residual_acb, spread_ac

    # --- one iteration ------------------------------------------------------------------------

    @torch.no_grad()
    def step(self) -> Tensor:
        """Move every head that has not converged. Returns the training losses [K], without penalty."""
        self._compact()
        if len(self._members):
            self._soften()
            self._move()
        return self._point.loss_a.to(self.z_nr)

    def _compact(self) -> None:
        """Forget converged heads once they are a quarter: copying each time would cost more."""
        running_a = ~self.converged_k[self._members]
        if int(running_a.sum()) * 4 <= len(running_a) * 3:
            self._members = self._members[running_a]
            self._curvature.keep(running_a.nonzero().squeeze(1))

    def _soften(self) -> None:
        """Halve the penalty of heads that have not reached their own yet."""
        self._floor_l2 /= 2
        before_k, self._strength_k = self._strength_k, self.l2_k.clamp_min(self._floor_l2)
        change_a = (self._strength_k - before_k)[self._members]
        if bool((change_a != 0).any()):
            self._curvature.add_penalty(change_a)

    def _move(self) -> None:
        l2_a = self._strength_k[self._members]
        here = self._point.at(self._members)
        slope_acr = here.slope(l2_a)
        direction_acr = self._curvature.direction(slope_acr, self._inverse_diagonal(here, l2_a))
        slope_a = _dot(slope_acr, direction_acr).double().clamp_max(0)
        arrived_a = l2_a == self.l2_k[self._members]
        promising_a = -slope_a / 2 > self.tolerance * here.objective(l2_a)
        self.converged_k[self._members[arrived_a & ~promising_a]] = True
        stuck_a = self._search(here, direction_acr, slope_a, l2_a)
        self.converged_k[self._members[arrived_a & stuck_a]] = True
        there = self._point.at(self._members)
        self._curvature.add(there.theta_acr - here.theta_acr, there.slope(l2_a) - slope_acr)

    def _inverse_diagonal(self, here: Point, l2_a: Tensor) -> Tensor:
        """Return the inverse of the Hessian's approximate diagonal: [A, C, R].

        C / (C − 1) makes it exact where all classes are as likely, and always for two classes. The mean
        variance is added because the rows near the boundaries, which alone count once the others are
        certain, spread more evenly over the directions than all rows do. A class that has no rows
        has no curvature either, and must not drown the others.
        """
        variance_r = self.variance_r * self._curved
        variance_r[:-1] += self.mean_variance
        spread_ac = torch.maximum(here.spread_ac, LEAST_SPREAD * here.spread_ac.mean(1, keepdim=True))
        diagonal_acr = spread_ac[..., None] * variance_r
        diagonal_acr[..., :-1] += l2_a[:, None, None]
        return 1 / diagonal_acr.clamp_min(torch.finfo(diagonal_acr.dtype).tiny ** 0.5)

    @property
    def _curved(self) -> float:
        return self.classes / (self.classes - 1)

    def _search(self, here: Point, direction_acr: Tensor, slope_a: Tensor, l2_a: Tensor) -> Tensor:
        """Move each head along its direction, in ever shorter steps until its objective falls enough.

        Returns which heads found no such step [A]; they stay where they were. The next length is the
        minimum of the parabola through what is known, within 0.1 and 0.5 of the last (Nocedal &
        Wright 2006, 3.5).
        """
        before_a, length_a = here.objective(l2_a), torch.ones_like(slope_a)
        pending = (~self.converged_k[self._members]).nonzero().squeeze(1)
        for _ in range(TRIALS):
            if not len(pending):
                break
            heads, length, slope = self._members[pending], length_a[pending], slope_a[pending]
            move_acr = direction_acr[pending] * length[:, None, None].to(direction_acr)
            trial = self._evaluate(here.theta_acr[pending] + move_acr, heads)
            rise = trial.objective(l2_a[pending]) - before_a[pending]
            fell = rise <= SUFFICIENT * length * slope
            for value, new in zip(self._point, trial, strict=True):
                value[heads[fell]] = new[fell]
            lowest = -slope * length.square() / (2 * (rise - slope * length))
            shorter = torch.minimum(torch.maximum(lowest, length / 10), length / 2)
            length_a[pending] = torch.where(torch.isfinite(lowest), shorter, length / 10)
            pending = pending[~fell]
        return torch.zeros_like(slope_a, dtype=torch.bool).index_fill_(0, pending, True)


class Curvature:
    """What the last steps of A heads tell about their Hessians; reductions never cross heads."""

    def __init__(self, history: int, *, shifts: bool = True) -> None:
        self.shifts = shifts
        self.pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=history)

    def add(self, move_acr: Tensor, change_acr: Tensor) -> None:
        """Remember a step and how it changed the gradient. One without curvature counts for nothing."""
        product_a = _dot(move_acr, change_acr)
        floor = torch.finfo(product_a.dtype).tiny
        usable_a = (product_a > floor) & torch.isfinite(product_a)
        self.pairs.append((move_acr, change_acr, torch.where(usable_a, 1 / product_a, 0)))

    def add_penalty(self, l2_a: Tensor) -> None:
        """Tell past steps that the penalty has changed by ``l2_a``."""
        past, self.pairs = self.pairs, deque(maxlen=self.pairs.maxlen)
        for move_acr, change_acr, _ in past:
            self.add(move_acr, _add_penalised(change_acr, move_acr, l2_a))

    def direction(self, slope_acr: Tensor, inverse_acr: Tensor) -> Tensor:
        """Return minus the inverse Hessian times the gradient: the two-loop recursion.

        ``inverse_acr`` is scaled so that it fits the last step. Gradients sum to zero over classes, and
        so must directions: a shift of all logits changes nothing but the penalty. Labels have no such shift.
        """
        q_acr, shares = slope_acr.clone(), []
        for move_acr, change_acr, over_a in reversed(self.pairs):
            shares.append(over_a * _dot(move_acr, q_acr))
            q_acr.addcmul_(change_acr, shares[-1][:, None, None], value=-1)
        q_acr *= inverse_acr
        if self.pairs:
            _, change_acr, over_a = self.pairs[-1]
            fit_a = 1 / (over_a * _dot(change_acr, inverse_acr * change_acr))
            q_acr *= torch.where(over_a > 0, fit_a, 1)[:, None, None]
        if self.shifts:
            q_acr -= q_acr.mean(1, keepdim=True)
        for (move_acr, change_acr, over_a), share_a in zip(self.pairs, reversed(shares), strict=True):
            q_acr.addcmul_(move_acr, (share_a - over_a * _dot(change_acr, q_acr))[:, None, None])
        return q_acr.neg_()

    def keep(self, index_a: Tensor) -> None:
        """Go on with these heads only."""
        self.pairs = deque(
            ((move[index_a], change[index_a], over[index_a]) for move, change, over in self.pairs),
            maxlen=self.pairs.maxlen,
        )


def _add_penalised(into_acr: Tensor, theta_acr: Tensor, l2_a: Tensor) -> Tensor:
    """Return ``into_acr`` plus the gradient of the penalty, in place; the bias bears none."""
    into_acr[..., :-1].addcmul_(theta_acr[..., :-1], l2_a[:, None, None])
    return into_acr


def _dot(a_acr: Tensor, b_acr: Tensor) -> Tensor:
    """Return the inner product of each head: [A]."""
    return torch.linalg.vecdot(a_acr.flatten(1), b_acr.flatten(1))
