"""An interval for the macro-F1 of one head that holds with few rows per class and with groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from trainer.stats.intervals import Z95, Interval, ratio, wilson_of_share
from trainer.stats.units import Units, numbered

DRAWS = 2000
CELLS = 3_000_000  # numbers of one table held at once
ROUNDING = 1e-9


class _Atoms(NamedTuple):
    """What is drawn: K kinds of units, alike ones counted together."""

    count_k: np.ndarray  # units of each kind
    tables: tuple  # sparse [K, C] each: hits, predictions, labels of one unit

    def f1_macro(self, weight_lk: np.ndarray) -> np.ndarray:
        """Return the macro-F1 [L] if units of each kind counted so often."""
        return _f1_macro(*(weight_lk @ table for table in self.tables))

    def f1_macro_without(self, kinds: slice) -> np.ndarray:
        """Return the macro-F1 [L] with one unit of each of L kinds left out, in work of L·C and not L·K."""
        return _f1_macro(*(self.count_k @ table - table[kinds].toarray() for table in self.tables))


def macro_f1_interval(
    label_n: np.ndarray,
    pred_n: np.ndarray,
    *,
    classes: int,
    unit_n: np.ndarray | None = None,
    seed: int,
    draws: int = DRAWS,
) -> Interval:
    """Return the macro-F1 of N answers with its 95 % interval over rows, or over units where rows have
    groups.

    With few rows per class the macro-F1 of the rows lies below that of the population, and bootstrap draws
    lie as far below again: their percentiles cover far less than they say, and BCa's still too little. So
    the interval is Wilson's score interval around the value less its bootstrap bias (Efron & Tibshirani 1993,
    ch. 10), for as many rows as a share with its jackknife standard error is of (over units, with
    Student's quantile). It always holds the value.

    Where no unit changes the value, as if all answers are right, it is Wilson's interval for a test set in
    which every class is as small as the smallest: with n rows of each of C classes it ends at
    1 - 3.84 / (C n + 3.84), close to what the rule of three says.

    Args:
        label_n: int [N], N at least 1, with ``pred_n`` below ``classes``.
        unit_n: int [N], see `trainer.stats.units`.
        seed: decides the draws.
    """
    units = numbered(unit_n, len(label_n))
    atoms = _atoms(label_n, pred_n, units, classes)
    value = float(atoms.f1_macro(atoms.count_k[None])[0])
    error = _jackknife_error(atoms, units.count)
    if error < ROUNDING or not ROUNDING < value < 1 - ROUNDING:
        return wilson_of_share(value, least_rows(label_n, units))
    random = np.random.default_rng(seed)
    drawn_dk = random.multinomial(units.count, atoms.count_k / units.count, size=draws)
    mean = np.concatenate([atoms.f1_macro(part) for part in _parts(drawn_dk)]).mean()
    quantile = float(stdtrit(units.count - 1, 0.975))
    worth = value * (1 - value) / error**2 * (Z95 / quantile) ** 2
    _, low, high = wilson_of_share(float(np.clip(2 * value - mean, 0, 1)), worth)
    return Interval(value, min(low, value), max(high, value))


def rows_per_class(label_n: np.ndarray) -> float:
    """Return the median number of rows of a class that occurs."""
    return float(np.median(np.unique(label_n, return_counts=True)[1]))


def _atoms(label_n: np.ndarray, pred_n: np.ndarray, units: Units, classes: int) -> _Atoms:
    from scipy.sparse import csr_array  # slow to import

    if units.grouped:
        atom_n, count_k = units.of_n, np.ones(units.count)
        label_m, pred_m = label_n, pred_n
    else:  # drawing rows is drawing cells of the confusion matrix, of which there are fewer
        cell_k, counted = np.unique(label_n * classes + pred_n, return_counts=True)
        atom_n, count_k = np.arange(len(cell_k)), counted.astype(np.float64)
        label_m, pred_m = np.divmod(cell_k, classes)
    shape, one_m = (len(count_k), classes), np.ones(len(atom_n))
    hit = (label_m == pred_m).astype(np.float64)
    tables = tuple(
        csr_array((number_m, (atom_n, class_m)), shape=shape)
        for number_m, class_m in ((hit, label_m), (one_m, pred_m), (one_m, label_m))
    )
    return _Atoms(count_k, tables)


def _f1_macro(hits_lc: np.ndarray, predicted_lc: np.ndarray, actual_lc: np.ndarray) -> np.ndarray:
    either_lc = predicted_lc + actual_lc
    return ratio(2 * hits_lc, either_lc).sum(1) / np.maximum((either_lc > 0).sum(1), 1)


def _jackknife_error(atoms: _Atoms, units: int) -> float:
    """Return the standard error from leaving out one unit at a time."""
    kinds, classes = atoms.tables[0].shape
    step = max(1, CELLS // classes)
    f1_k = np.concatenate(
        [atoms.f1_macro_without(slice(start, start + step)) for start in range(0, kinds, step)]
    )
    spread = np.average((f1_k - np.average(f1_k, weights=atoms.count_k)) ** 2, weights=atoms.count_k)
    return float(np.sqrt((units - 1) * spread))


def _parts(drawn_dk: np.ndarray) -> Iterator[np.ndarray]:
    step = max(1, CELLS // drawn_dk.shape[1])
    for start in range(0, len(drawn_dk), step):
        yield drawn_dk[start : start + step].astype(np.float64)


def least_rows(label_n: np.ndarray, units: Units) -> int:
    """Return the rows of a test set with as many classes, each as small as the smallest here; at most as many
    as there are units."""
    pairs = np.unique(np.stack([label_n, units.of_n]), axis=1)
    per_class = np.unique(pairs[0], return_counts=True)[1]
    return min(int(per_class.min()) * len(per_class), units.count)
