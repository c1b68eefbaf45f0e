"""How unlike the training images an image is: a distance on features, and a threshold for false alarms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainer.stats.conformal import conformal_quantile

SHRINKAGE = 0.3  # of both covariances towards a sphere
FALSE_ALARM_RATE = 0.05
FOLDS = 20  # with fewer, distances that were fitted on fewer rows make the threshold too high


@dataclass(frozen=True)
class RelativeDistance:
    """The relative Mahalanobis distance: to the nearest class mean, less that to the mean of all rows.

    Ren et al. 2021, "A simple fix to Mahalanobis distance for improving near-OOD detection".
    With u = x - centre it is u' Q u + min over classes of (weight_c · u + bias_c).
    """

    centre_d: Tensor  # [D]
    quadratic_dd: Tensor  # Q [D, D]
    weight_cd: Tensor  # [C, D]
    bias_c: Tensor  # [C]

    @classmethod
    def fit(cls, x_nd: Tensor, y_n: Tensor) -> RelativeDistance:
        """Measure rows [N, D] with labels [N]: classes share one covariance."""
        x_nd = x_nd.double()
        _, place_n = y_n.unique(return_inverse=True)
        count_c = torch.bincount(place_n).double()
        centre_d = x_nd.mean(0)
        u_nd = x_nd - centre_d
        mean_cd = u_nd.new_zeros(len(count_c), u_nd.shape[1]).index_add_(0, place_n, u_nd) / count_c[:, None]
        within_nd = u_nd - mean_cd[place_n]
        inner_dd, outer_dd = (_precision(of_nd) for of_nd in (within_nd, u_nd))
        weight_cd = mean_cd @ inner_dd
        parts = centre_d, inner_dd - outer_dd, -2 * weight_cd, (weight_cd * mean_cd).sum(1)
        return cls(*(part.float() for part in parts))

    def scores(self, x_nd: Tensor, *, batch_size: int = 8192) -> Tensor:
        """Return the distance of rows [N, D], float64 [N]; higher is less like the rows it was fitted on."""
        found = []
        for x in x_nd.split(batch_size):
            u_nd = x.double() - self.centre_d.double()
            own_n = ((u_nd @ self.quadratic_dd.double()) * u_nd).sum(1)
            found.append(own_n + (u_nd @ self.weight_cd.double().T + self.bias_c.double()).min(1).values)
        return torch.cat(found)


@dataclass(frozen=True)
class NoveltyDetector:
    """A distance, and the threshold beyond which an image is called unlike the training images."""

    distance: RelativeDistance
    threshold: float
    false_alarm_rate: float  # share of images like the training images that are beyond it, at most

    @classmethod
    def fit(
        cls, x_nd: np.ndarray, label_n: np.ndarray, unit_n: np.ndarray, fold_n: np.ndarray
    ) -> NoveltyDetector:
        """Fit the distance on all rows, and choose the threshold by the distances of rows that were left out.

        Args:
            x_nd: features float32 [N, D].
            label_n: int64 [N].
            unit_n: int [N], the same for rows that belong together.
            fold_n: int [N]; rows of one unit are in one fold.
        """
        x, y = torch.from_numpy(x_nd), torch.from_numpy(label_n)
        score_n = np.zeros(len(label_n))
        for fold in np.unique(fold_n):
            out_n = torch.from_numpy(fold_n == fold)
            score_n[fold_n == fold] = RelativeDistance.fit(x[~out_n], y[~out_n]).scores(x[out_n]).numpy()
        threshold = -conformal_quantile(-score_n, unit_n, FALSE_ALARM_RATE)
        return cls(RelativeDistance.fit(x, y), threshold, FALSE_ALARM_RATE)

    def scores(self, x_nd: np.ndarray) -> np.ndarray:
        """Return the distance of features float32 [N, D]: float64 [N]."""
        return self.distance.scores(torch.as_tensor(x_nd)).numpy() if len(x_nd) else np.empty(0)

    def is_novel(self, score_n: np.ndarray) -> np.ndarray:
        """Return which scores are beyond the threshold, bool [N]."""
        return score_n > self.threshold


def _precision(centred_nd: Tensor) -> Tensor:
    """Return the inverse of the shrunk covariance [D, D] of centred rows."""
    covariance_dd = centred_nd.T @ centred_nd / len(centred_nd)
    sphere = covariance_dd.diagonal().mean().clamp_min(1e-12)
    eye_dd = torch.eye(len(covariance_dd), dtype=covariance_dd.dtype)
    return torch.linalg.inv((1 - SHRINKAGE) * covariance_dd + SHRINKAGE * sphere * eye_dd)
