"""From the tables of an ablation to those that its page draws. Pure pandas."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dashboard import text
from dashboard.frames.comparison import NOT_SIGNIFICANT
from trainer.stats.power import detectable_effect
from trainer.tracking.schema import Ablation, AblationClasses, Scores, Verdict

ALL = "all"  # the bound of a score that a cell does not look at
UNIQUE = "unique"
TOP = re.compile(r">=top(?P<percent>[\d.]+)%(?P<each>/class)?")
BOTTOM = re.compile(r"<=bottom(?P<percent>[\d.]+)%")
BOUND = re.compile(r"(?P<operator>>=|<=)(?P<value>-?[\d.]+)")
CLEAN, BAD = "clean", "known bad"  # rows
MOST_DRAWN = 60
LONGEST = 90  # characters of a cell's name
LEVEL = 0.05
BINS = 30
TAILS = 0.005  # at either end of a histogram: a few extremes must not squeeze the rest
MOST_KINDS = 8  # classes that a histogram tells apart
ENDS = ("", Ablation.LOW, Ablation.HIGH)


def name_of(row: Mapping[Any, Any]) -> str:
    """A cell for people."""
    name = str(row[Ablation.FILTER])
    if not row[Ablation.AUGMENT]:
        return "no filter" if name == "none" else name
    return "augmentation alone" if name == "none" else f"{name} + augmentation"


def named(table: pd.DataFrame) -> pd.DataFrame:
    """ABLATION with the column ``name``: short, safe to draw, and of every cell another one."""
    names = [_cut(name_of(row)) for row in table.to_dict("records")]
    again = pd.Series(names).duplicated(keep=False)
    told = [
        f"{name} (cell {cell})" if twice else name
        for name, cell, twice in zip(names, table[Ablation.CELL], again, strict=True)
    ]
    return table.assign(name=told)


def _cut(name: str) -> str:
    """What stands at the end of a name, the augmentation, stays."""
    head, plus, end = name.rpartition(" + augmentation")
    return text.clean(head, longest=LONGEST) + plus if plus else text.clean(end, longest=LONGEST)


def rule_of_thumb(table: pd.DataFrame) -> dict[Any, Any]:
    """The cell that the page is about when nobody chose. As in the advice the best on validation rows, unless
    it does not help and others do; never the baseline while there is another."""
    tried = table[table[Ablation.VERDICT] != Verdict.BASELINE].sort_values(
        Ablation.EFFECT, ascending=False, kind="stable"
    )
    best = best_on_validation(table)
    if tried.empty:
        return best
    helpful = tried[tried[Ablation.VERDICT] == Verdict.HELPS]
    if best[Ablation.VERDICT] == Verdict.HELPS:
        return best
    if len(helpful):
        return helpful.iloc[0].to_dict()
    return tried.iloc[0].to_dict() if best[Ablation.VERDICT] == Verdict.BASELINE else best


def best_on_validation(table: pd.DataFrame) -> dict[Any, Any]:
    """Of one encoder's cells the one that a person would have chosen before seeing any test row."""
    return table.iloc[int(table[Ablation.VAL_F1_MACRO].to_numpy().argmax())].to_dict()


def without_study(command: str) -> str:
    """A command without its study, so that it starts a new one; as it is where it cannot be read."""
    try:
        words = shlex.split(command)
        at = words.index("--study")
    except ValueError:
        return command
    return shlex.join(words[:at] + words[at + 2 :])


# --- two scores that were crossed -------------------------------------------------------------


def scores_of(table: pd.DataFrame) -> list[str]:
    """Scores that the filters look at, those with the most bounds first."""
    counts = {name.removeprefix(Ablation.PART_PREFIX): table[name].nunique() for name in _part_columns(table)}
    return sorted((name for name in counts if name != UNIQUE), key=lambda name: -counts[name])


def crossed(table: pd.DataFrame) -> tuple[str, str] | None:
    """The two scores whose bounds meet in the most cells; None where no two do."""
    table = table[~_either(table)]
    names = scores_of(table)
    pairs = {
        (x, y): int((table[_by(x)].notna() & table[_by(y)].notna()).sum())
        for i, x in enumerate(names)
        for y in names[i + 1 :]
    }
    best = max(pairs, key=lambda pair: pairs[pair], default=None)
    return best if best is not None and pairs[best] else None


def only_by(table: pd.DataFrame, scores: Iterable[str]) -> pd.DataFrame:
    """Cells that look at no score but these, all of whose bounds must hold."""
    others = [name for name in _part_columns(table) if name not in {_by(score) for score in scores}]
    return table[table[others].isna().all(axis=1) & ~_either(table)]


def grid(table: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Cells that look at no score but ``x`` and ``y``, with ``across`` and ``up``, their bounds."""
    only = only_by(table, (x, y))
    return only.assign(across=only[_by(x)].fillna(ALL), up=only[_by(y)].fillna(ALL))


def fields(cells: pd.DataFrame, value: str) -> pd.DataFrame:
    """Every field of a `grid`, without and with augmentation where there is any, also those that are no cell:
    ``augment, across, up, number, name, kept, verdict, value, low, high, state``.

    Args:
        value: ``effect`` or ``over_random``.
    """
    frame = pd.DataFrame(
        {
            "augment": cells[Ablation.AUGMENT].astype(bool),
            "across": cells["across"],
            "up": cells["up"],
            "number": cells[Ablation.CELL],
            "name": cells["name"],
            "kept": cells[Ablation.KEPT],
            "verdict": cells[Ablation.VERDICT].astype(str),
            **{name: cells[value + end] for name, end in zip(("value", "low", "high"), ENDS, strict=True)},
        }
    ).drop_duplicates(["augment", "across", "up"])
    every = pd.MultiIndex.from_product(
        [sorted(set(frame["augment"])), bounds(frame["across"]), bounds(frame["up"])],
        names=["augment", "across", "up"],
    )
    frame = frame.set_index(["augment", "across", "up"]).reindex(every).reset_index()
    frame["state"] = np.select(
        [frame["number"].isna(), frame["verdict"] == Verdict.BASELINE, frame["value"].isna()],
        ["no cell", "baseline", "keeps all rows"],
        "measured",
    )
    return frame


def bounds(column: pd.Series) -> list[str]:
    """Bounds in the order in which fewer and fewer rows are kept."""

    def strictness(bound: str) -> float:
        share = TOP.match(bound) or BOTTOM.match(bound)
        if share:
            return -float(share["percent"])
        number = BOUND.match(bound)
        if number is None:
            return 0.0
        return float(number["value"]) * (1 if number["operator"] == ">=" else -1)

    return [ALL, *sorted(set(column) - {ALL}, key=strictness)]


# --- thresholds that nobody trained with ------------------------------------------------------


def known_scores(scores: pd.DataFrame) -> list[str]:
    """Scores that at least one row has."""
    return [
        str(name).removeprefix(Scores.SCORE_PREFIX)
        for name in scores.columns
        if str(name).startswith(Scores.SCORE_PREFIX) and scores[name].notna().any()
    ]


def values_of(scores: pd.DataFrame, name: str) -> pd.Series:
    return scores[Scores.SCORE_PREFIX + name].astype(float)


def among_top(value: pd.Series, share: float) -> np.ndarray:
    """bool [N]: rows among the given share with the highest values. Rows without the score stay, as in a
    filter."""
    value_n = value.to_numpy(float)
    keep_n = ~np.isfinite(value_n)
    order = np.argsort(-np.where(keep_n, -np.inf, value_n), kind="stable")[: int((~keep_n).sum())]
    keep_n[order[: max(1, round(share * len(order)))]] = True
    return keep_n


def at_least(value: pd.Series, bound: float) -> np.ndarray:
    """bool [N]: rows whose value is not below the bound. Rows without the score stay."""
    return ~(value.to_numpy(float) < bound)


def lowest_kept(value: pd.Series, keep_n: np.ndarray) -> float | None:
    """Where a threshold stands; None where it throws nothing out."""
    known_n = value.notna().to_numpy()
    if keep_n[known_n].all():
        return None
    return float(value[known_n & keep_n].min())


def share_of_known(value: pd.Series, keep_n: np.ndarray) -> float:
    """Share of the rows that have the score which stay."""
    known_n = value.notna().to_numpy()
    return float(keep_n[known_n].mean()) if known_n.any() else 1.0


def share_kept(scores: pd.DataFrame, name: str, bound: str) -> float:
    """Share of the rows that have the score which a bound keeps, alone."""
    if bound == ALL:
        return 1.0
    part = TOP.match(bound) or BOTTOM.match(bound)
    if part:
        return float(part["percent"]) / 100
    number = BOUND.match(bound)
    column = Scores.SCORE_PREFIX + name
    if number is None or column not in scores or scores[column].isna().all():
        return float("nan")
    value = scores[column].dropna()
    above = value >= float(number["value"]) if number["operator"] == ">=" else value <= float(number["value"])
    return float(above.mean())


def nearest(
    table: pd.DataFrame, scores: pd.DataFrame, shares: Mapping[str, float], most: int = 3
) -> pd.DataFrame:
    """Of the cells that look at no other score those that keep the most similar share by each, with
    ``away``, the nearest first. Cells with an upper bound, or with two bounds on a score, are left out: a
    slider has one lower bound."""
    cells = only_by(table, shares)
    away = pd.Series(0.0, index=cells.index)
    for name, share in shares.items():
        bound = cells[_by(name)].fillna(ALL) if _by(name) in cells else pd.Series(ALL, index=cells.index)
        kept = [np.nan if "<=" in one or " " in one else share_kept(scores, name, one) for one in bound]
        away += (np.array(kept, dtype=float) - share) ** 2
    near = cells.assign(away=np.sqrt(away)).dropna(subset="away")
    return near.sort_values("away", kind="stable").head(most)


def removed(scores: pd.DataFrame, keep_n: np.ndarray, by: Sequence[str]) -> pd.DataFrame:
    """Rows that are not kept, those first that stand lowest in one of the scores ``by``."""
    rows = scores[~keep_n]
    known = [Scores.SCORE_PREFIX + name for name in by if Scores.SCORE_PREFIX + name in scores]
    if not known:
        return rows
    standing = scores[known].rank(pct=True).min(axis=1)
    return rows.assign(standing=standing[~keep_n]).sort_values("standing", kind="stable")


def corrupted_rows(scores: pd.DataFrame) -> np.ndarray | None:
    """bool [N]: known bad rows; None where they are not known, or there are none."""
    bad_n = scores[Scores.CORRUPTED].fillna("").astype(bool).to_numpy()
    return bad_n if bad_n.any() else None


def found(keep_n: np.ndarray, bad_n: np.ndarray) -> tuple[float | None, float]:
    """Precision and recall of the removed rows for known bad ones; no precision if none is removed."""
    both, out = int((~keep_n & bad_n).sum()), int((~keep_n).sum())
    return both / out if out else None, both / int(bad_n.sum())


def kept_by_class(scores: pd.DataFrame, keep_n: np.ndarray) -> pd.DataFrame:
    """``class, kept, of, share``: training rows that stay, class by class, the most thinned first."""
    rows = scores.assign(kept=keep_n).groupby(Scores.LABEL)["kept"].agg(["sum", "size"])
    frame = rows.rename(columns={"sum": "kept", "size": "of"}).rename_axis("class").reset_index()
    return frame.assign(share=frame["kept"] / frame["of"]).sort_values("share", kind="stable")


def spread(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    """A histogram of a score, ``kind, low, high, n, share, total``: of bad rows and clean ones where that
    is known, else of a few classes, else of all. What lies beyond either end is in the outermost bins."""
    value = values_of(scores, name)
    known = value.dropna()
    low, high = known.quantile([TAILS, 1 - TAILS])
    if not high > low:
        low, high = known.min(), known.max()
    if not high > low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    frames = []
    for kind, rows in kinds(scores).items():
        of_kind = value[rows].dropna()
        if len(of_kind):
            n = np.histogram(of_kind.clip(edges[0], edges[-1]), edges)[0]
            frames.append(
                pd.DataFrame(
                    {"kind": kind, "low": edges[:-1], "high": edges[1:], "n": n, "share": n / len(of_kind)}
                ).assign(total=len(of_kind))
            )
    return pd.concat(frames, ignore_index=True)


def kinds(scores: pd.DataFrame) -> dict[str, np.ndarray]:
    """Groups of rows that a histogram tells apart: name → bool [N]."""
    bad_n = corrupted_rows(scores)
    if bad_n is not None:
        return {CLEAN: ~bad_n, BAD: bad_n}
    labels = sorted(scores[Scores.LABEL].unique())
    short = [text.clean(label, longest=30) for label in labels]
    if 1 < len(labels) <= MOST_KINDS and len(set(short)) == len(labels):
        rows = scores[Scores.LABEL].to_numpy()
        return {name: rows == label for name, label in zip(short, labels, strict=True)}
    return {"training rows": np.ones(len(scores), dtype=bool)}


# --- cells ------------------------------------------------------------------------------------


def forest(table: pd.DataFrame) -> pd.DataFrame:
    """Two lines per cell, against the baseline and against random: ``number, name, against, value, low, high,
    p, sure, kept, verdict, chosen``; the best effect first."""
    tried = table[table[Ablation.VERDICT] != Verdict.BASELINE].sort_values(
        Ablation.EFFECT, ascending=False, kind="stable"
    )
    if len(tried) > MOST_DRAWN:
        largest = tried[Ablation.EFFECT].abs().rank(ascending=False, method="first") <= MOST_DRAWN
        tried = tried[largest]
    frames = [
        pd.DataFrame(
            {
                "number": tried[Ablation.CELL],
                "name": tried["name"],
                "against": against,
                "value": tried[column],
                "low": tried[column + Ablation.LOW],
                "high": tried[column + Ablation.HIGH],
                "p": tried[p],
                "sure": np.where(tried[p] < LEVEL, "p < 0.05", "not so"),
                "kept": tried[Ablation.KEPT],
                "verdict": tried[Ablation.VERDICT].astype(str),
                "chosen": tried[Ablation.CHOSEN],
            }
        )
        for against, column, p in (
            ("all rows", Ablation.EFFECT, Ablation.EFFECT_P_HOLM),
            ("as many at random", Ablation.OVER_RANDOM, Ablation.OVER_RANDOM_P_HOLM),
        )
    ]
    return pd.concat(frames, ignore_index=True).dropna(subset="value")


def as_read(table: pd.DataFrame) -> pd.DataFrame:
    """All cells for reading, the best effect first, the baseline at the top; what is not known has no
    column."""
    order = table[Ablation.EFFECT].fillna(np.inf).sort_values(ascending=False, kind="stable").index
    rows = table.loc[order]
    frame = pd.DataFrame({"filter": rows["name"], "rows kept": rows[Ablation.KEPT]})
    for title, column in (
        ("macro-F1 [95 %]", Ablation.F1_MACRO),
        ("vs all rows [95 %]", Ablation.EFFECT),
        ("vs random rows [95 %]", Ablation.OVER_RANDOM),
        ("AUROC [95 %]", Ablation.AUROC),
        ("sensitivity [95 %]", Ablation.SENSITIVITY),
        ("specificity [95 %]", Ablation.SPECIFICITY),
    ):
        if column in rows:
            form = text.signed if column in (Ablation.EFFECT, Ablation.OVER_RANDOM) else text.score
            frame[title] = [text.figure(row, column, form) for row in rows.to_dict("records")]
    frame["p (Holm)"] = [text.p_value(p) for p in rows[Ablation.HELPFUL_P_HOLM]]
    frame["verdict"] = rows[Ablation.VERDICT].astype(str)
    frame["detectable"] = [text.score(one) for one in _detectable(rows)]
    found = {"removed": Ablation.REMOVED, "precision": Ablation.PRECISION, "recall": Ablation.RECALL}
    for title, column in found.items():
        if column in rows:
            frame[title] = rows[column]
    return frame.assign(number=rows[Ablation.CELL])


def _detectable(rows: pd.DataFrame) -> pd.Series:
    """The smallest effect, against the baseline and over random rows, that an unclear cell would have shown
    with 80 % power. The chosen cell has half of the 5 %, the others share the rest."""
    unclear = rows[Ablation.VERDICT] == Verdict.UNCLEAR
    comparisons = np.where(rows[Ablation.CHOSEN], 2, 2 * max(len(rows) - 2, 1))
    found = [
        max(
            (
                detectable_effect(row[name + Ablation.LOW], row[name + Ablation.HIGH], comparisons=int(count))
                for name in (Ablation.EFFECT, Ablation.OVER_RANDOM)
                if pd.notna(row[name + Ablation.LOW])
            ),
            default=np.nan,
        )
        for row, count in zip(rows.to_dict("records"), comparisons, strict=True)
    ]
    return pd.Series(found, rows.index).where(unclear)


def steps(table: pd.DataFrame, cell: Mapping[Any, Any]) -> pd.DataFrame:
    """From all rows to a cell, one part of its filter after another and augmentation last, by way of cells
    that were measured: ``step, start, end, low, high, kept, f1_macro, f1_macro_low, f1_macro_high``.

    ``end`` is the change against all rows, with its interval; ``start`` the one before it. Parts whose own
    cell is missing come together in one step.
    """
    parts = parts_of(str(cell[Ablation.FILTER]))
    way = [(parts[:count], False) for count in range(len(parts) + 1)]
    if cell[Ablation.AUGMENT]:
        way.append((parts, True))
    rows: list[dict[str, Any]] = []
    taken = 0
    for of_step, augment in way:
        name = " & ".join(of_step) or "none"
        match = table[(table[Ablation.FILTER] == name) & (table[Ablation.AUGMENT] == augment)]
        if match.empty:
            continue
        row = match.iloc[0]
        added = [*of_step[taken:], *(["augmentation"] if augment else [])]
        taken = len(of_step)
        first = row[Ablation.VERDICT] == Verdict.BASELINE
        value, low, high = (0.0 if first else float(row[Ablation.EFFECT + end]) for end in ENDS)
        rows.append(
            {
                "step": f"+ {' & '.join(added)}" if added else "all rows",
                "start": rows[-1]["end"] if rows else 0.0,
                **{"end": value, "low": low, "high": high, "kept": int(row[Ablation.KEPT])},
                **{Ablation.F1_MACRO + end: float(row[Ablation.F1_MACRO + end]) for end in ENDS},
            }
        )
    return pd.DataFrame(rows)


def parts_of(written: str) -> list[str]:
    """What all must hold in a filter, as written; one with brackets or alternatives is a single part."""
    if written == "none":
        return []
    return [written] if "|" in written or "(" in written else written.split(" & ")


def classes_of(classes: pd.DataFrame, cell: Mapping[Any, Any]) -> pd.DataFrame:
    """The rows of ABLATION_CLASSES of a cell that have an effect, the best first, with ``says``."""
    rows = classes[
        (classes[AblationClasses.CELL] == cell[Ablation.CELL])
        & (classes[AblationClasses.ENCODER] == cell[Ablation.ENCODER])
    ].dropna(subset=AblationClasses.EFFECT)
    sure = rows[AblationClasses.EFFECT_P_HOLM] < LEVEL
    says = np.where(~sure, NOT_SIGNIFICANT, np.where(rows[AblationClasses.EFFECT] > 0, "better", "worse"))
    return rows.assign(says=says).sort_values(AblationClasses.EFFECT, ascending=False, kind="stable")


def _part_columns(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table.columns if str(name).startswith(Ablation.PART_PREFIX)]


def _either(table: pd.DataFrame) -> pd.Series:
    """Cells whose bounds are alternatives: they are no point between axes."""
    return table[Ablation.FILTER].str.contains("|", regex=False)


def _by(score: str) -> str:
    return Ablation.PART_PREFIX + score
