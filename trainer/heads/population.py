"""K heads × S seeds, trained together.

A `Population` sorts its heads into cohorts of one shape; a cohort is one tensor program in which every
setting is a vector over heads. The caller trains up to a rung, looks at the scores, drops the losers and goes
on; those that stay can be joined with others of the same age.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from trainer.heads.closed_form_cohort import DiscriminantCohort, RidgeCohort
from trainer.heads.cohort import Cohort
from trainer.heads.descent_epoch import in_step
from trainer.heads.head import Head
from trainer.heads.head_config import HeadSpec
from trainer.heads.label_cohorts import LabelDescentCohort, LabelLogisticCohort
from trainer.heads.logistic_cohort import LogisticCohort
from trainer.heads.memory_estimate import population_bytes, require_room
from trainer.heads.minibatch_cohort import MinibatchCohort
from trainer.heads.number_cohorts import NumberDescentCohort, NumberRidgeCohort
from trainer.heads.outcome import Outcome
from trainer.heads.stack import sort_key
from trainer.heads.training_data import TrainingData

Precision = Literal["float32", "bfloat16"]
KINDS: dict[tuple[str, str], type[Cohort]] = {
    ("class", "descent"): MinibatchCohort,
    ("class", "lbfgs"): LogisticCohort,
    ("class", "gda"): DiscriminantCohort,
    ("class", "ridge"): RidgeCohort,
    ("number", "descent"): NumberDescentCohort,
    ("number", "ridge"): NumberRidgeCohort,
    ("labels", "descent"): LabelDescentCohort,
    ("labels", "lbfgs"): LabelLogisticCohort,
}
LEAST_ROUNDED = 16**3  # multiplications; torch computes smaller products exactly, whatever is asked


class Population:
    """Heads to train on the same rows.

    Args:
        specs: K configurations, in any mixture.
        data: rows, see `trainer.heads.training_data.to_training_data`.
        seeds: S integers; every configuration is trained once for each.
        kept_kn: optional [K, N] of 0 and 1: which training rows each head may see.
        precision: bfloat16 rounds the factors of all but small matrix products (sums, weights and all else
            stay float32), where the device has such products; elsewhere it changes nothing.
        slab_bytes: the most that the weights of heads trained side by side may take; with more they are
            trained slab by slab, because a processor's cache has an end.

    Raises:
        InputError: they need more memory than may be taken.
    """

    def __init__(
        self,
        specs: Sequence[HeadSpec],
        data: TrainingData,
        *,
        seeds: Sequence[int],
        kept_kn: Tensor | None = None,
        precision: Precision = "float32",
        slab_bytes: float | None = None,
    ) -> None:
        self.specs = list(specs)
        self.data, self.precision, self.slab_bytes, self.seeds = data, precision, slab_bytes, len(seeds)
        self._cohorts: list[Cohort] = []
        self._home: dict[int, Cohort] = {}
        needed = population_bytes(self.specs, data, seeds=len(seeds), slab_bytes=slab_bytes)
        require_room(needed, data, heads=len(self.specs))
        members = defaultdict(list)
        for head, spec in enumerate(self.specs):
            members[spec.cohort_key].append(head)
        for heads in members.values():
            for slab in self._slabs(heads, seeds=len(seeds)):
                kept = None if kept_kn is None else kept_kn[slab]
                kind = KINDS[self.specs[slab[0]].target, self.specs[slab[0]].solver]
                cohort = kind({h: self.specs[h] for h in slab}, data, seeds=tuple(seeds), kept_kn=kept)
                self._admit(cohort)

    def _slabs(self, heads: list[int], *, seeds: int) -> list[list[int]]:
        """Return heads of one shape, sorted and cut into groups of about the same size that fit
        ``slab_bytes``."""
        heads = sorted(heads, key=lambda head: sort_key(self.specs[head]))
        spec = self.specs[heads[0]]
        if self.slab_bytes is None or spec.solver != "descent":
            return [heads]
        weights = spec.parameters(features=self.data.features, classes=self.data.classes)
        each = weights * seeds * self.data.train.x_nd.element_size()
        groups = -(-len(heads) // max(1, int(self.slab_bytes / each)))
        return [heads[len(heads) * g // groups : len(heads) * (g + 1) // groups] for g in range(groups)]

    def _admit(self, cohort: Cohort) -> None:
        self._cohorts.append(cohort)
        self._home.update(dict.fromkeys(cohort.heads, cohort))

    @classmethod
    def gathered(cls, parts: Sequence[tuple[Population, int]]) -> Population:
        """Return running heads of several populations of the same rows, seeds and age, to go on side by side.

        They are numbered in the order given. The populations that they come from are not to be trained
        further.
        """
        first = parts[0][0]
        together = cls([], first.data, seeds=(), precision=first.precision, slab_bytes=first.slab_bytes)
        together.seeds = first.seeds
        together.specs = [population.specs[head] for population, head in parts]
        by_home: dict[int, tuple[Cohort, list[int], list[int]]] = {}
        for number, (population, head) in enumerate(parts):
            home = population._home[head]
            _, heads, numbers = by_home.setdefault(id(home), (home, [], []))
            heads.append(head)
            numbers.append(number)
        same = defaultdict(list)
        for home, heads, numbers in by_home.values():
            same[home.specs[heads[0]].cohort_key].append(home.alone(heads, numbers=numbers))
        for first_of_them, *others in same.values():
            first_of_them.join(others)
            for slab in together._slabs(first_of_them.heads, seeds=len(first_of_them.seeds)):
                together._admit(first_of_them.alone(slab, numbers=slab))
        return together

    @property
    def running(self) -> list[int]:
        """Heads of which some seed is still training."""
        return sorted(head for cohort in self._cohorts for head in cohort.running)

    @property
    def failed(self) -> set[int]:
        """Heads of which some loss was no finite number."""
        return set().union(*(cohort.failed for cohort in self._cohorts))

    def train(self, until_epoch: int, *, progress: Callable[[int], None] | None = None) -> None:
        """Train every running head up to ``until_epoch`` epochs, or to its own end.

        A head that is fitted to its optimum is always trained to its end: it takes little, and half-way it
        says nothing.

        Args:
            progress: told, epoch by epoch, how many head-epochs (one head, one seed) were added.
        """

        train_together([self], until_epoch, progress=progress)

    def _precision_of(self, cohort: Cohort) -> Precision:
        """Return bfloat16 only where torch rounds the factors of every product of a head alone.

        Otherwise they would be rounded beside neighbours and not without them. All products of a layer, forth
        and back, have the size seeds × inputs × outputs × rows.
        """
        spec = next(iter(cohort.specs.values()))
        last_batch = self.data.rows % spec.batch_size or spec.batch_size
        judged = len(self.data.val.y_n) or self.data.rows
        rows = min(last_batch, self.data.rows, judged)
        layers = itertools.pairwise((self.data.features, *spec.hidden, self.data.classes))
        least = len(cohort.seeds) * min(a * b for a, b in layers) * rows
        return self.precision if least > LEAST_ROUNDED else "float32"

    def drop(self, heads: Sequence[int]) -> None:
        """Stop training these heads; the others shrink together. What they reached is kept."""
        for cohort in self._cohorts:
            cohort.drop(set(heads))

    def outcome(self, head: int) -> Outcome:
        """Return what configuration ``head`` has reached so far."""
        return self._home[head].outcome(head)

    def counts(self, head: int) -> np.ndarray:
        """Return of each epoch so far the hits, predictions and targets of each class among the validation
        rows: int [3, S, E, C], of several labels at a probability of 0.5; of numbers the sums of squared and
        of absolute errors: float64 [2, S, E, 1].

        Raises:
            ValueError: they were not kept.
        """
        counts = self._home[head].counts
        if counts is None:
            raise ValueError("expected a population of rows that are one part of several")
        return np.stack(counts[head][: self.outcome(head).epochs], axis=2)

    def head(self, head: int, *, seed_index: int) -> Head:
        """Return configuration ``head`` of one seed with the weights of its best epoch."""
        return self._home[head].head(head, seed_index)

    def heads(self, head: int) -> tuple[Head, ...]:
        """Return configuration ``head``, one per seed; one in all where seeds change nothing."""
        count = self.seeds if self.specs[head].is_random else 1
        return tuple(self.head(head, seed_index=s) for s in range(count))


def train_together(
    populations: Sequence[Population], until_epoch: int, *, progress: Callable[[int], None] | None = None
) -> None:
    """Train populations as `Population.train` does, the cohorts of all of them side by side, and those of the
    same heads in one (`trainer.heads.descent_epoch.Lanes`)."""

    def told(trained: int) -> None:
        if progress is not None:
            progress(trained)

    def train(cohorts: Sequence[MinibatchCohort], stopped: threading.Event) -> None:
        lanes = None
        while not stopped.is_set():
            going = [one for one in cohorts if one.running and one.epoch < until_epoch]
            if len(going) > 1 and in_step(going):
                trained, lanes = MinibatchCohort.train_epoch_together(going, lanes)
                told(trained)
                continue
            for one in going:
                told(one.train_epoch())
            if not going:
                return

    def running(*kinds: type[Cohort]) -> list[tuple[Population, Cohort]]:
        return [
            (population, cohort)
            for kind in kinds
            for population in populations
            for cohort in population._cohorts
            if isinstance(cohort, kind) and cohort.running
        ]

    # a search for an exact optimum needs exact products; few and large, they use all cores by themselves
    for _, cohort in running(LogisticCohort, DiscriminantCohort, RidgeCohort):
        while cohort.running:
            told(cohort.train_epoch())
    for precision in get_args(Precision):
        with products_in(precision):
            descents = [
                cohort
                for population, cohort in running(MinibatchCohort)
                if population._precision_of(cohort) == precision and isinstance(cohort, MinibatchCohort)
            ]
            if descents:
                _side_by_side(train, _siblings(descents, slab_bytes=populations[0].slab_bytes))


def _siblings(cohorts: Sequence[MinibatchCohort], *, slab_bytes: float | None) -> list[list[MinibatchCohort]]:
    """Return cohorts in groups of the same heads whose weights fit ``slab_bytes`` together; on a CPU at
    least a group for each core."""
    alike: list[list[MinibatchCohort]] = []
    for cohort in cohorts:
        same = next((group for group in alike if in_step([group[0], cohort])), None)
        if same is None:
            alike.append([cohort])
        else:
            same.append(cohort)
    x_nd = cohorts[0].data.train.x_nd
    cores = torch.get_num_threads() if x_nd.device.type == "cpu" else 1
    groups = []
    for same in alike:
        most = math.inf if slab_bytes is None else slab_bytes / (same[0].size * x_nd.element_size())
        together = max(1, int(min(most, len(same))))
        cuts = min(len(same), max(math.ceil(len(same) / together), math.ceil(cores / len(alike))))
        groups += [same[len(same) * cut // cuts : len(same) * (cut + 1) // cuts] for cut in range(cuts)]
    return groups


def _side_by_side(
    train: Callable[[Sequence[MinibatchCohort], threading.Event], None], groups: list[list[MinibatchCohort]]
) -> None:
    """Train groups of cohorts, on a CPU one on each core: for tensors as small as theirs, sharing each
    operation among the cores costs more than it gains (5.4 s against 4.2 s on two cores). The largest
    begin."""
    cores = torch.get_num_threads()
    stopped = threading.Event()
    if cores == 1 or len(groups) < 2 or groups[0][0].data.train.x_nd.device.type != "cpu":
        for group in groups:
            train(group, stopped)
        return
    groups = sorted(groups, key=lambda group: sum(cohort.size for cohort in group), reverse=True)
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            list(pool.map(lambda group: train(group, stopped), groups))
        finally:
            stopped.set()  # after an error, or Ctrl-C, the others stop at the end of their epoch
            torch.set_num_threads(cores)


@contextmanager
def products_in(precision: Precision) -> Iterator[None]:
    """Round the factors of float32 matrix products as asked, and afterwards as before."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if precision == "bfloat16" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
