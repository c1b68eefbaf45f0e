"""METHODS, METHOD_PAIRS and METHOD_CLASSES: methods that answered the same rows, each and in pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from trainer.stats.macro_f1 import least_rows
from trainer.stats.paired_bootstrap import PredictionSet, holm, share_interval
from trainer.stats.paired_comparison import MethodDifference, PairedComparison
from trainer.tracking.schema import MethodClasses, MethodPairs, Methods
from trainer.tracking.tables import with_ends


class MethodTables:
    """Methods on the same rows, compared in pairs.

    Args:
        answers: arms are the methods, seeds their heads.
        names: of the methods.
        classes: names of the classes.
        pairs: (method, against) by their places.
        seed: decides draws and swaps.
    """

    def __init__(
        self,
        answers: PredictionSet,
        names: Sequence[str],
        classes: Sequence[str],
        pairs: Sequence[tuple[int, int]],
        *,
        seed: int,
    ) -> None:
        self.answers, self.names, self.classes = answers, list(names), list(classes)
        self.compared = PairedComparison(answers, seed=seed)
        self.pairs: dict[tuple[int, int], MethodDifference] = {
            pair: self.compared.pair(*pair, comparisons=len(pairs)) for pair in pairs
        }

    def scores(self) -> pd.DataFrame:
        """Return macro-F1 and accuracy of each method, with their intervals: those columns of METHODS."""
        of_f1 = least_rows(self.answers.label_n, self.answers.units)
        arms = [self.compared.arm(place) for place in range(len(self.names))]
        return pd.DataFrame(
            [
                {
                    Methods.METHOD: name,
                    **with_ends(Methods.F1_MACRO, share_interval(arm["f1_macro"], of_f1)),
                    **with_ends(Methods.ACCURACY, share_interval(arm["accuracy"])),
                }
                for name, arm in zip(self.names, arms, strict=True)
            ]
        )

    def differences(self) -> pd.DataFrame:
        """Return METHOD_PAIRS: one row per pair of methods, compared on the same rows."""
        found = list(self.pairs.items())
        p_holm = holm(np.array([pair.p for _, pair in found]))
        mcnemar_holm = holm(np.array([pair.mcnemar.p for _, pair in found]))
        return pd.DataFrame(
            [
                {
                    MethodPairs.METHOD: self.names[one],
                    MethodPairs.AGAINST: self.names[other],
                    **with_ends(MethodPairs.EFFECT, pair.f1_macro),
                    MethodPairs.SIMULTANEOUS + Methods.LOW: pair.simultaneous.low,
                    MethodPairs.SIMULTANEOUS + Methods.HIGH: pair.simultaneous.high,
                    MethodPairs.EFFECT_P: pair.p,
                    MethodPairs.EFFECT_P_HOLM: p_holm[number],
                    **with_ends(MethodPairs.ACCURACY, pair.accuracy),
                    MethodPairs.ONLY_METHOD: round(pair.mcnemar.only_one, 1),
                    MethodPairs.ONLY_AGAINST: round(pair.mcnemar.only_other, 1),
                    MethodPairs.MCNEMAR_P: pair.mcnemar.p,
                    MethodPairs.MCNEMAR_P_HOLM: mcnemar_holm[number],
                }
                for number, ((one, other), pair) in enumerate(found)
            ]
        )

    def by_class(self) -> pd.DataFrame:
        """Return METHOD_CLASSES: F1 of every class by the methods of each pair."""
        rows_c = np.bincount(self.answers.label_n, minlength=len(self.classes))
        return pd.DataFrame(
            [
                {
                    MethodClasses.METHOD: self.names[one],
                    MethodClasses.AGAINST: self.names[other],
                    MethodClasses.CLASS: self.classes[index],
                    MethodClasses.TEST: int(rows_c[index]),
                    MethodClasses.F1: of_class.f1,
                    MethodClasses.F1_AGAINST: of_class.f1_other,
                    **with_ends(MethodClasses.EFFECT, of_class.effect),
                    MethodClasses.EFFECT_P: of_class.p,
                    MethodClasses.EFFECT_P_HOLM: of_class.p_holm,
                }
                for (one, other), pair in self.pairs.items()
                for index, of_class in enumerate(pair.by_class)
            ]
        )
