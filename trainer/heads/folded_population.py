"""The same heads on every part of the data, judged by all that the parts leave out, pooled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from trainer.heads.ensemble import mean_log_odds, mean_log_probability, mean_number
from trainer.heads.head_config import HeadSpec
from trainer.heads.memory_estimate import population_bytes, require_room
from trainer.heads.metrics import (
    balanced_accuracy_from_counts,
    f1_from_counts,
    micro_f1_from_counts,
    number_scores,
)
from trainer.heads.outcome import Outcome, score_columns
from trainer.heads.population import Population, Precision, train_together
from trainer.heads.training_data import TrainingData
from trainer.stats.objective import AUROC, BALANCED, LABEL_F1, MAP, MICRO_F1, Objective

LARGEST_LOG_ODDS = 30.0  # that are kept of a label: p of 1e-13 is none


def judged_at_its_end(spec: HeadSpec) -> HeadSpec:
    """Return a head that runs its whole schedule and keeps its last weights."""
    return dataclasses.replace(spec, weights="last")


class FoldedPopulation:
    """A `Population` for each part, of the same heads and seeds.

    Its scores are those of one pass over all rows that are judged: a macro-F1 is computed once, from the
    counts of all parts, and not averaged over them. Of one part it is that part's population. An area under
    the ROC curve, and a mean average precision, are not known by epoch: they are computed when `outcome` is
    asked for, of all judged rows and of the weights that are kept so far.

    Args:
        specs: K configurations. With several parts they keep their last weights, so that no part chooses an
            epoch on the rows that judge it.
        parts: training and validation rows of each.
        seeds, precision, slab_bytes: as of `Population`.

    Raises:
        ValueError: several parts, and a head that keeps the weights of its best epoch.
        InputError: they need more memory than may be taken.
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
        needed = [population_bytes(specs, part, seeds=len(seeds), slab_bytes=slab_bytes) for part in parts]
        if parts:
            require_room(sum(needed), parts[0], heads=len(specs) * len(parts))
        self.populations = [
            Population(specs, part, seeds=seeds, precision=precision, slab_bytes=slab_bytes) for part in parts
        ]
        self._ranked: dict[int, tuple[int, np.ndarray]] = {}  # of a head: epochs so far, and of each seed

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
        """Train every running head as `Population.train` does. One that has failed on a part goes no further
        on the others."""
        train_together(self.populations, until_epoch, progress=progress)
        failed = set().union(*(population.failed for population in self.populations))
        for population in self.populations:
            population.drop(sorted(failed))

    def outcome(self, head: int) -> Outcome:
        """Return what configuration ``head`` has reached so far on the judged rows of all parts."""
        outcomes = [population.outcome(head) for population in self.populations]
        found = outcomes[0] if len(outcomes) == 1 else self._pooled(head, outcomes)
        score = MAP if self.data.labels else AUROC
        if score not in (found.objective, found.objective.leading):
            return found
        epochs, score_s = self._ranked.get(head, (-1, np.array([])))
        if epochs != found.epochs:
            score_s = self._of_ranks(head, score)
            self._ranked[head] = found.epochs, score_s
        return dataclasses.replace(found, score_of={**found.score_of, score.column: score_s})

    def _of_ranks(self, head: int, score: Objective) -> np.ndarray:
        """Return the AUROC or mAP of the judged rows of all parts, of each seed: float64 [S]."""

        def probabilities(logits_nc: Tensor) -> Tensor:
            return logits_nc.double().sigmoid() if self.data.labels else logits_nc.double().softmax(1)

        of_parts = [
            [probabilities(one.logits(part.data.val.x_nd)) for one in part.heads(head)]
            for part in self.populations
        ]
        label_m = torch.cat([part.data.val.y_n for part in self.populations]).cpu().numpy()
        score_s = []
        for of_seed in zip(*of_parts, strict=True):
            p_mc = torch.cat(of_seed).cpu().numpy()
            score_s.append(score.of(label_m, p_mc).value if np.isfinite(p_mc).all() else np.nan)
        return np.resize(score_s, self.populations[0].seeds)  # one where seeds change nothing

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
        curves |= self._scores(torch.from_numpy(sum(counts)))
        objective = self.data.objective
        return Outcome(
            best_epoch_s=np.full(len(outcomes[0].best_epoch_s), epochs),
            score_of={name: curves[name][:, -1] for name in score_columns(objective)},
            failed=any(outcome.failed for outcome in outcomes),
            curves=curves,
            objective=objective,
        )

    def _scores(self, pooled: Tensor) -> dict[str, np.ndarray]:
        """Return the curves [S, E] that are no means over rows, from `Population.counts` of all parts."""
        if self.data.numbers:
            target_m = torch.cat([population.data.val.y_n for population in self.populations]).cpu()
            squared, absolute = pooled.squeeze(-1)
            found = number_scores(squared, absolute, target_m)
        elif self.data.labels:
            macro, micro = f1_from_counts(*pooled), micro_f1_from_counts(*pooled)
            found = {LABEL_F1.column: macro, MICRO_F1.column: micro}
        else:
            found = {"val_f1_macro": f1_from_counts(*pooled)}
            if self.data.objective is BALANCED:
                found[BALANCED.column] = balanced_accuracy_from_counts(*pooled)
        return {name: values.numpy() for name, values in found.items()}

    def held_out(self, head: int, *, judged: Sequence[np.ndarray]) -> np.ndarray:
        """Return what a configuration says of the M rows that it did not learn from: float16 [M, C].

        The log of its probabilities, averaged over its seeds; then the mean over repeats. Rows are in order.
        Of numbers these, float32 [M, 1], as the mean over seeds and repeats. Of several labels the log-odds
        of the mean over seeds.

        Args:
            judged: rows of each part, see `trainer.heads.resampling.Folds`.
        """
        rows_m = np.unique(np.concatenate(judged))
        total_mc = torch.zeros(len(rows_m), self.data.classes)
        times_m1 = torch.zeros(len(rows_m), 1)
        mean_over_heads: Callable[[Sequence[Tensor]], Tensor]
        mean_over_heads = mean_number if self.data.numbers else mean_log_probability
        if self.data.labels:
            mean_over_heads = mean_log_odds
        for population, rows in zip(self.populations, judged, strict=True):
            x_nd = population.data.val.x_nd
            mean_nc = mean_over_heads([one.logits(x_nd) for one in population.heads(head)])
            at = torch.from_numpy(np.searchsorted(rows_m, rows))
            total_mc[at] += mean_nc.float().cpu()
            times_m1[at] += 1
        if self.data.numbers:
            return (total_mc / times_m1).numpy()
        if self.data.labels:
            return (total_mc / times_m1).clamp(-LARGEST_LOG_ODDS, LARGEST_LOG_ODDS).half().numpy()
        return (total_mc / times_m1).clamp_min(torch.finfo(torch.float16).min).half().numpy()


def _extended(values: np.ndarray, epochs: int, *, axis: int) -> np.ndarray:
    """Return values by epoch with the last one repeated up to so many epochs."""
    missing = [(0, 0)] * values.ndim
    missing[axis] = (0, epochs - values.shape[axis])
    return np.pad(values, missing, mode="edge")
