"""From the tables of an ablation to those that its page draws. Pure pandas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from trainer.tracking.schema import Ablation, Scores, Verdict

ALL = "all"  # the bound of a score that a cell does not look at
UNIQUE = "unique"
TOP = re.compile(r">=top(?P<percent>[\d.]+)%(?P<each>/class)?")
BOUND = re.compile(r"(?P<operator>>=|<=)(?P<value>-?[\d.]+)")
MOST_DRAWN = 60


def name_of(row: Mapping[Any, Any]) -> str:
    """A cell for people."""
    name = str(row[Ablation.FILTER])
    if not row[Ablation.AUGMENT]:
        return "no filter" if name == "none" else name
    return "augmentation alone" if name == "none" else f"{name} + augmentation"


def scores_of(table: pd.DataFrame) -> list[str]:
    """Scores that the filters look at, those with the most bounds first."""
    columns = [name for name in table.columns if name.startswith(Ablation.PART_PREFIX)]
    counts = {name.removeprefix(Ablation.PART_PREFIX): table[name].nunique() for name in columns}
    return sorted((name for name in counts if name != UNIQUE), key=lambda name: -counts[name])


def crossed(table: pd.DataFrame) -> tuple[str, str] | None:
    """The two scores whose bounds meet in the most cells; None where no two do."""
    names = scores_of(table)
    pairs = {
        (x, y): int((table[_by(x)].notna() & table[_by(y)].notna()).sum())
        for i, x in enumerate(names)
        for y in names[i + 1 :]
    }
    best = max(pairs, key=lambda pair: pairs[pair], default=None)
    return best if best is not None and pairs[best] else None


def grid(table: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Cells that look at no score but ``x`` and ``y``, with ``across`` and ``up``, their bounds."""
    others = [
        name
        for name in table.columns
        if name.startswith(Ablation.PART_PREFIX) and name not in (_by(x), _by(y))
    ]
    only = table[table[others].isna().all(axis=1)] if others else table
    return only.assign(across=only[_by(x)].fillna(ALL), up=only[_by(y)].fillna(ALL))


def bounds(column: pd.Series) -> list[str]:
    """Bounds in the order in which fewer and fewer rows are kept."""

    def strictness(bound: str) -> float:
        top = TOP.match(bound)
        if top:
            return -float(top["percent"])
        number = BOUND.match(bound)
        return float(number["value"]) if number else 0.0

    return [ALL, *sorted(set(column) - {ALL}, key=strictness)]


def kept_above(scores: pd.DataFrame, shares: Mapping[str, float]) -> np.ndarray:
    """bool [N]: rows that are, by each score, among the given share with the highest values. Rows without the
    score stay, as in a filter."""
    keep_n = np.ones(len(scores), dtype=bool)
    for name, share in shares.items():
        value_n = scores[Scores.SCORE_PREFIX + name].to_numpy(float)
        known = np.isfinite(value_n)
        order = np.argsort(-np.where(known, value_n, -np.inf), kind="stable")[: int(known.sum())]
        among_n = ~known
        among_n[order[: max(1, round(share * len(order)))]] = True
        keep_n &= among_n
    return keep_n


def share_kept(scores: pd.DataFrame, name: str, bound: str) -> float:
    """Share of the rows that have the score which a bound keeps, alone."""
    if bound == ALL:
        return 1.0
    top = TOP.match(bound)
    if top:
        return float(top["percent"]) / 100
    number = BOUND.match(bound)
    value = scores[Scores.SCORE_PREFIX + name].dropna()
    if number is None or value.empty:
        return float("nan")
    above = value >= float(number["value"]) if number["operator"] == ">=" else value <= float(number["value"])
    return float(above.mean())


def nearest(
    cells: pd.DataFrame, scores: pd.DataFrame, x: str, y: str, shares: Mapping[str, float], most: int = 3
) -> pd.DataFrame:
    """The measured cells of a grid that keep the most similar shares by both scores, the nearest first."""
    away = np.zeros(len(cells))
    for name, column in ((x, "across"), (y, "up")):
        kept = [share_kept(scores, name, bound) for bound in cells[column]]
        away += (np.array(kept) - shares[name]) ** 2
    return cells.assign(away=np.sqrt(away)).sort_values("away", kind="stable").head(most)


def thrown_out(scores: pd.DataFrame, keep_n: np.ndarray, by: list[str]) -> pd.DataFrame:
    """Rows that are not kept, those first that stand lowest in one of the scores ``by``."""
    rows = scores[~keep_n]
    known = [Scores.SCORE_PREFIX + name for name in by if Scores.SCORE_PREFIX + name in scores]
    if not known:
        return rows
    standing = scores[known].rank(pct=True).min(axis=1)
    return rows.assign(standing=standing[~keep_n]).sort_values("standing", kind="stable")


def found(keep_n: np.ndarray, spoiled: pd.Series) -> tuple[float, float] | None:
    """Precision and recall of throwing out, at finding spoiled rows; None where it is not known which are."""
    if spoiled.isna().all():
        return None
    bad_n = spoiled.fillna("").astype(bool).to_numpy()
    both = int((~keep_n & bad_n).sum())
    out, bad = int((~keep_n).sum()), int(bad_n.sum())
    return both / out if out else float("nan"), both / bad if bad else float("nan")


def kept_by_class(scores: pd.DataFrame, keep_n: np.ndarray) -> pd.DataFrame:
    """``class, kept, of, share``: training rows that stay, class by class, the most thinned first."""
    rows = scores.assign(kept=keep_n).groupby(Scores.LABEL)["kept"].agg(["sum", "size"])
    frame = rows.rename(columns={"sum": "kept", "size": "of"}).rename_axis("class").reset_index()
    return frame.assign(share=frame["kept"] / frame["of"]).sort_values("share", kind="stable")


def forest(table: pd.DataFrame) -> pd.DataFrame:
    """Two lines per cell, against the baseline and against random: ``number, name, against, value, low, high,
    sure, kept, verdict``; the best effect first."""
    tried = table[table[Ablation.VERDICT] != Verdict.BASELINE].sort_values(
        Ablation.EFFECT, ascending=False, kind="stable"
    )
    if len(tried) > MOST_DRAWN:
        tried = tried.loc[tried[Ablation.EFFECT].abs().nlargest(MOST_DRAWN).index].sort_values(
            Ablation.EFFECT, ascending=False, kind="stable"
        )
    frames = [
        pd.DataFrame(
            {
                "number": tried[Ablation.CELL],
                "name": [name_of(row) for row in tried.to_dict("records")],
                "against": against,
                "value": tried[column],
                "low": tried[column + Ablation.LOW],
                "high": tried[column + Ablation.HIGH],
                "p": tried[p],
                "sure": np.where(tried[p] < 0.05, "p < 0.05", "not so"),
                "kept": tried[Ablation.KEPT],
                "verdict": tried[Ablation.VERDICT],
                "chosen": tried[Ablation.CHOSEN],
            }
        )
        for against, column, p in (
            ("all rows", Ablation.EFFECT, Ablation.EFFECT_P_HOLM),
            ("as many at random", Ablation.OVER_RANDOM, Ablation.OVER_RANDOM_P_HOLM),
        )
    ]
    return pd.concat(frames, ignore_index=True).dropna(subset="value")


def steps(table: pd.DataFrame, cell: Mapping[Any, Any]) -> pd.DataFrame:
    """From no filter to a cell, one part after another, as far as the cells on the way were measured:
    ``step, f1_macro, f1_macro_low, f1_macro_high, kept, gain``."""
    parts = str(cell[Ablation.FILTER]).split(" & ") if cell[Ablation.FILTER] != "none" else []
    way = [("none", False)] + [(" & ".join(parts[: i + 1]), False) for i in range(len(parts))]
    if cell[Ablation.AUGMENT]:
        way.append((str(cell[Ablation.FILTER]), True))
    rows = []
    for number, (name, augment) in enumerate(way):
        match = table[(table[Ablation.FILTER] == name) & (table[Ablation.AUGMENT] == augment)]
        if len(match):
            label = "all rows" if number == 0 else "+ augmentation" if augment else f"+ {parts[number - 1]}"
            rows.append({"step": label, **match.iloc[0].to_dict()})
    frame = pd.DataFrame(rows)
    return frame.assign(gain=frame[Ablation.F1_MACRO].diff())


def _by(score: str) -> str:
    return Ablation.PART_PREFIX + score
