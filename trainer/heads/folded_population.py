"""The same heads on every part of the data, judged by all that the parts leave out, pooled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch

from trainer.heads.ensemble import mean_log_probability
from trainer.heads.head_config import HeadSpec
from trainer.heads.metrics import balanced_accuracy_from_counts, f1_from_counts
from trainer.heads.outcome import Outcome
from trainer.heads.population import Population, Precision, train_together
from trainer.heads.training_data import TrainingData
from trainer.stats.objective import AUROC


def judged_at_its_end(spec: HeadSpec) -> HeadSpec:
    """Return a head that runs its whole schedule and keeps its last weights."""
    return dataclasses.replace(spec, weights="last")


class FoldedPopulation:
    """A `Population` for each part, of the same heads and seeds.

    Its scores are those of one pass over all rows that are judged: a macro-F1 is computed once, from the
    counts of all parts, and not averaged over them. Of one part it is that part's population. An area under
    the ROC curve is not known by epoch: it is computed when `outcome` is asked for, of the weights that are
    kept so far.

    Args:
        specs: K configurations. With several parts they keep their last weights, so that no part chooses an
            epoch on the rows that judge it.
        parts: training and validation rows of each.
        seeds, precision, slab_bytes: as of `Population`.

    Raises:
        ValueError: several parts, and a head that keeps the weights of its best epoch.
    """

    def __init__(
        self,
        specs: Sequence[HeadSpec],
        parts: Sequence[TrainingData],
        *,
        seeds: Sequence[int],
        precision: Precision = "float32",
        slab_bytes: float | None = None,
    ) -> None:
        several = len(parts) > 1
        if several and any(spec.weights != "last" for spec in specs):
            raise ValueError("weights is 'best'; expected heads that keep their last weights")
        self.populations = [
            Population(specs, part, seeds=seeds, precision=precision, slab_bytes=slab_bytes) for part in parts
        ]
        self._auroc: dict[int, tuple[int, np.ndarray]] = {}  # of a head: epochs so far, and of each seed

    @classmethod
    def gathered(cls, parts: Sequence[tuple[FoldedPopulation, int]]) -> FoldedPopulation:
        """Return running heads of several populations to go on side by side, see `Population.gathered`."""
        together = cls([], (), seeds=())
        together.populations = [
            Population.gathered([(folded.populations[part], head) for folded, head in parts])
            for part in range(len(parts[0][0].populations))
        ]
        return together

    @property
    def data(self) -> TrainingData:
        """The first part."""
        return self.populations[0].data

    @property
    def running(self) -> list[int]:
        """Heads of which some seed is still training on some part."""
        return sorted({head for population in self.populations for head in population.running})

    def train(self, until_epoch: int, *, progress: Callable[[int], None] | None = None) -> None:
        """Train every running head as `Population.train` does."""
        train_together(self.populations, until_epoch, progress=progress)

    def outcome(self, head: int) -> Outcome:
        """Return what configuration ``head`` has reached so far on the judged rows of all parts."""
        outcomes = [population.outcome(head) for population in self.populations]
        found = outcomes[0] if len(outcomes) == 1 else self._pooled(head, outcomes)
        if found.objective is not AUROC:
            return found
        epochs, area_s = self._auroc.get(head, (-1, np.array([])))
        if epochs != found.epochs:
            area_s = self._areas(head)
            self._auroc[head] = found.epochs, area_s
        return dataclasses.replace(found, other_score_s=area_s)

    def _areas(self, head: int) -> np.ndarray:
        """Return the area under the ROC curve of the judged rows of all parts, of each seed: float64 [S]."""
        of_parts = [
            [one.logits(part.data.val.x_nd).double().softmax(1) for one in part.heads(head)]
            for part in self.populations
        ]
        label_m = torch.cat([part.data.val.y_n for part in self.populations]).cpu().numpy()
        area_s = []
        for of_seed in zip(*of_parts, strict=True):
            p_mc = torch.cat(of_seed).cpu().numpy()
            area_s.append(AUROC.of(label_m, p_mc).value if np.isfinite(p_mc).all() else np.nan)
        return np.resize(area_s, self.populations[0].seeds)  # one where seeds change nothing

    def _pooled(self, head: int, outcomes: Sequence[Outcome]) -> Outcome:
        epochs = max(outcome.epochs for outcome in outcomes)
        share_p = np.array([float(len(population.data.val.y_n)) for population in self.populations])
        share_p /= share_p.sum()
        curves = {}
        for metric in outcomes[0].curves:
            # a regression that has converged on one part stands still while others go on
            lasting = [_extended(outcome.curves[metric], epochs, axis=1) for outcome in outcomes]
            curves[metric] = np.tensordot(share_p, np.stack(lasting), axes=1)
        counts = [_extended(population.counts(head), epochs, axis=2) for population in self.populations]
        pooled = torch.from_numpy(sum(counts))
        curves["val_f1_macro"] = f1_from_counts(*pooled).numpy()
        if (balanced := "val_balanced_accuracy") in curves:
            curves[balanced] = balanced_accuracy_from_counts(*pooled).numpy()
        ended_s = np.full(len(outcomes[0].best_epoch_s), epochs)
        return Outcome(
            best_epoch_s=ended_s,
            val_f1_macro_s=curves["val_f1_macro"][:, -1],
            val_accuracy_s=curves["val_accuracy"][:, -1],
            val_loss_s=curves["val_loss"][:, -1],
            failed=any(outcome.failed for outcome in outcomes),
            curves=curves,
            objective=self.data.objective,
            other_score_s=curves[balanced][:, -1] if balanced in curves else None,
        )

    def held_out(self, head: int, *, judged: Sequence[np.ndarray]) -> np.ndarray:
        """Return what a configuration says of the M rows that it did not learn from: float16 [M, C].

        The log of its probabilities, averaged over its seeds; then the mean over repeats. Rows are in order.

        Args:
            judged: rows of each part, see `trainer.heads.resampling.Folds`.
        """
        rows_m = np.unique(np.concatenate(judged))
        total_mc = torch.zeros(len(rows_m), self.data.classes)
        times_m1 = torch.zeros(len(rows_m), 1)
        for population, rows in zip(self.populations, judged, strict=True):
            x_nd = population.data.val.x_nd
            log_p = mean_log_probability([one.logits(x_nd) for one in population.heads(head)])
            at = torch.from_numpy(np.searchsorted(rows_m, rows))
            total_mc[at] += log_p.float().cpu()
            times_m1[at] += 1
        return (total_mc / times_m1).clamp_min(torch.finfo(torch.float16).min).half().numpy()


def _extended(values: np.ndarray, epochs: int, *, axis: int) -> np.ndarray:
    """Return values by epoch with the last one repeated up to so many epochs."""
    missing = [(0, 0)] * values.ndim
    missing[axis] = (0, epochs - values.shape[axis])
    return np.pad(values, missing, mode="edge")
