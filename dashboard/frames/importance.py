"""The importance of every hyperparameter, as a table. No files, no Streamlit.

Of trials that a search proposed, importance says where the search found its best ones; it does not say what a
parameter does where the search no longer looked.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard.frames.hyperparameters import SCORE, Parameter
from trainer.stats import ped_anova
from trainer.stats.ped_anova import FEWEST_BEST, LEVEL, TrialGrid

FEWEST = 20  # trials that have a parameter; of fewer, `FEWEST_BEST` would be no best ones
STEPS = 50  # cells of a number's grid

__all__ = ["FEWEST", "FEWEST_BEST", "grid", "table"]


def grid(values: pd.Series, parameter: Parameter) -> TrialGrid:
    """The cells of a parameter's values, none of them null."""
    if not parameter.numeric:
        codes = pd.Categorical(parameter.words(values), categories=parameter.choices).codes
        return TrialGrid(np.asarray(codes, dtype=int), len(parameter.choices), ordered=False)
    numbers = values.to_numpy(float)
    low, high = numbers.min(), numbers.max()
    steps = STEPS
    if (numbers % 1 == 0).all():
        whole = high - low + 1
        steps = int(min(STEPS, np.ceil(np.log2(whole)) + 1 if parameter.log else whole))
    if parameter.log:
        numbers, low, high = np.log(numbers), np.log(low), np.log(high)
    step = (high - low) / max(steps - 1, 1) or 1.0
    cells = np.ceil((numbers - low) / step - 0.5).astype(int)
    return TrialGrid(np.clip(cells, 0, steps - 1), steps, ordered=True)


def table(frame: pd.DataFrame, parameters: list[Parameter], *, up: bool) -> pd.DataFrame:
    """Every parameter's importance, those that stand out from chance first, then the largest.

    Columns: ``column, title, n`` (trials that have it and a score), ``told`` (there are enough), and where
    there are ``explained, low, high, p_holm, chance, best`` of `ped_anova.Importance`, ``share`` (of the sum
    over parameters) and ``stands_out`` (beyond chance, after Holm's correction for all parameters).

    Args:
        frame: `hyperparameters.tidy`.
        up: whether a higher score is better.
    """
    rows, grids, losses = [], [], []
    for parameter in parameters:
        known = frame[frame[SCORE].notna() & frame[parameter.column].notna()]
        told = len(known) >= FEWEST and known[parameter.column].astype(str).nunique() > 1
        rows.append({"column": parameter.column, "title": parameter.title, "n": len(known), "told": told})
        if told:
            grids.append(grid(known[parameter.column], parameter))
            losses.append(known[SCORE].to_numpy(float) * (-1 if up else 1))
    found = iter(ped_anova.importances(grids, losses))
    for row in rows:
        if row["told"]:
            value, *others = next(found)
            names = ("low", "high", "p", "p_holm", "chance", "best")
            row |= {"explained": value, **dict(zip(names, others, strict=True))}
    columns = ["column", "title", "n", "told", "explained", "low", "high", "p_holm", "chance", "best"]
    result = pd.DataFrame(rows).reindex(columns=columns)
    result = result.assign(
        share=result["explained"] / result["explained"].sum(), stands_out=result["p_holm"] < LEVEL
    )
    order = ["told", "stands_out", "explained", "n"]
    return result.sort_values(order, ascending=False, kind="stable").reset_index(drop=True)
