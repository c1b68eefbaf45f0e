"""One paragraph for the person, from the tables: what to do, how sure that is, whom it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from trainer.core import text
from trainer.stats.power import detectable_effect
from trainer.tracking.schema import Ablation, AblationClasses, Verdict

NAMED = 3  # classes, cells


def advise(table: pd.DataFrame, classes: pd.DataFrame, *, seeds: int, drawn: str) -> str:
    """Return the paragraph.

    Args:
        table: ABLATION, with verdicts.
        classes: ABLATION_CLASSES.
        drawn: what intervals are over, see `trainer.core.text.rows_drawn`.
    """
    rows = table.to_dict("records")
    several = table[Ablation.ENCODER].nunique() > 1
    tried = sum(row[Ablation.VERDICT] != Verdict.BASELINE for row in rows)
    if not tried:
        return "There is nothing but the baseline: no filter and no augmentation was tried."
    chosen = next(row for row in rows if row[Ablation.CHOSEN])
    helpful = sorted(
        (row for row in rows if row[Ablation.VERDICT] == Verdict.HELPS), key=lambda row: -row[Ablation.EFFECT]
    )
    harmful = [row for row in rows if row[Ablation.VERDICT] == Verdict.HURTS]
    sentences = [
        f"{_count(tried, 'cell was', 'cells were')} held against training on all {chosen[Ablation.TRAIN]:,} "
        f"rows, on {drawn} with {seeds} seeds each.",
        *_of_chosen(chosen, several),
        *_of_helpful(helpful, chosen, several),
    ]
    if harmful:
        worst = min(harmful, key=lambda row: row[Ablation.EFFECT])
        sentences.append(
            f"{_count(len(harmful), 'cell is', 'cells are')} worse than the baseline, the most so "
            f"{called(worst, several)} ({effect(worst, Ablation.EFFECT)})."
        )
    best = chosen if chosen[Ablation.VERDICT] == Verdict.HELPS or not helpful else helpful[0]
    if best[Ablation.VERDICT] != Verdict.BASELINE:
        sentences += _of_classes(best, classes, several)
        sentences += _of_spoiled(best, several)
    return " ".join(sentences)


def most_telling(table: pd.DataFrame, *, most: int = 12) -> list[str]:
    """Return a line for the baseline and for each cell, the best effect first, some ``most``, the chosen
    always."""
    several = table[Ablation.ENCODER].nunique() > 1
    rows = table.sort_values(Ablation.EFFECT, ascending=False, na_position="first").to_dict("records")
    shown = [row for at, row in enumerate(rows) if at < most or row[Ablation.CHOSEN]]
    lines = []
    for row in shown:
        f1 = text.figure(row, Ablation.F1_MACRO)
        line = f"  {called(row, several)}: {row[Ablation.KEPT]:,} rows, macro-F1 {f1}"
        if row[Ablation.VERDICT] != Verdict.BASELINE:
            line += f", effect {effect(row, Ablation.EFFECT)}, {row[Ablation.VERDICT]}"
            if math.isfinite(row[Ablation.OVER_RANDOM]):
                line += f", over random {effect(row, Ablation.OVER_RANDOM)}"
            line += f" (corrected {text.p_equals(row[Ablation.HELPFUL_P_HOLM])})"
        lines.append(line)
        if Ablation.AUROC in row and (row[Ablation.CHOSEN] or row[Ablation.VERDICT] == Verdict.BASELINE):
            told = (
                f"{name} {text.figure(row, name)}"
                for name in (Ablation.AUROC, Ablation.SENSITIVITY, Ablation.SPECIFICITY)
            )
            lines.append(f"    {', '.join(told)}".replace("auroc", "AUROC"))
    if len(rows) > len(shown):
        lines.append(f"  … and {len(rows) - len(shown)} more with smaller effects")
    return lines


def called(row: Mapping[Any, Any], with_encoder: bool = False) -> str:
    """Return a cell's name for people."""
    name = str(row[Ablation.FILTER])
    if row[Ablation.AUGMENT]:
        name = "augmentation alone" if name == "none" else f"{name} with augmentation"
    elif name == "none":
        name = "no filter"
    return f"{name} ({row[Ablation.ENCODER]})" if with_encoder else name


def effect(row: Mapping[Any, Any], name: str) -> str:
    """+0.012 [-0.003, +0.027]"""
    return text.figure(row, name, text.change)


def could_have_shown(row: Mapping[Any, Any], comparisons: int) -> str:
    """Return which effect against the baseline, or over random rows where that is harder to see, would have
    been shown.

    Args:
        comparisons: the level is 0.05 over this.
    """
    widths = [
        detectable_effect(row[name + Ablation.LOW], row[name + Ablation.HIGH], comparisons=comparisons)
        for name in (Ablation.EFFECT, Ablation.OVER_RANDOM)
    ]
    return text.detectable(
        max((width for width in widths if math.isfinite(width)), default=None), comparisons
    )


def _of_chosen(chosen: Mapping[Any, Any], several: bool) -> list[str]:
    if chosen[Ablation.VERDICT] == Verdict.BASELINE:
        return ["On the validation rows none of them is better: there the baseline is best."]
    said = (
        f"The best on the validation rows is {called(chosen, several)}, which keeps "
        f"{chosen[Ablation.KEPT]:,} rows. On the test rows its macro-F1 is {chosen[Ablation.F1_MACRO]:.3f}, "
        f"{effect(chosen, Ablation.EFFECT)} against the baseline "
        f"({text.p_equals(chosen[Ablation.EFFECT_P_HOLM])} after Holm's correction)"
    )
    if math.isfinite(chosen[Ablation.OVER_RANDOM]):
        said += (
            f" and {effect(chosen, Ablation.OVER_RANDOM)} against keeping as many rows at random "
            f"({text.p_equals(chosen[Ablation.OVER_RANDOM_P_HOLM])})"
        )
    meaning = {
        Verdict.HELPS: "It helps: use it.",
        Verdict.HURTS: "So it hurts: what validation promised does not hold.",
        Verdict.UNCLEAR: f"That is not enough to say that it helps{could_have_shown(chosen, 2)}.",
    }[Verdict(chosen[Ablation.VERDICT])]
    return [f"{said}.", meaning]


def _of_helpful(helpful: list[dict[Any, Any]], chosen: Mapping[Any, Any], several: bool) -> list[str]:
    others = [row for row in helpful if not row[Ablation.CHOSEN]]
    if not helpful:
        if chosen[Ablation.VERDICT] == Verdict.BASELINE:
            return ["Keep all rows."]
        return [
            "No cell beats both the baseline and a random choice of rows, so nothing speaks against all rows."
        ]
    if not others:
        return []
    named = "; ".join(
        f"{called(row, several)}: {effect(row, Ablation.EFFECT)} against the baseline"
        + (
            f", {effect(row, Ablation.OVER_RANDOM)} against random"
            if math.isfinite(row[Ablation.OVER_RANDOM])
            else ""
        )
        for row in others[:NAMED]
    )
    more = f"; and {len(others) - NAMED} more" if len(others) > NAMED else ""
    also = "also " if chosen[Ablation.VERDICT] == Verdict.HELPS else ""
    return [f"{_count(len(others), 'cell', 'cells')} {also}beat both after correction ({named}{more})."]


def _of_classes(row: Mapping[Any, Any], classes: pd.DataFrame, several: bool) -> list[str]:
    of_cell = classes[
        (classes[AblationClasses.CELL] == row[Ablation.CELL])
        & (classes[AblationClasses.ENCODER] == row[Ablation.ENCODER])
    ].sort_values(AblationClasses.EFFECT)
    surely = of_cell[of_cell[AblationClasses.EFFECT_P_HOLM] < 0.05]
    lose, gain = surely[surely[AblationClasses.EFFECT] < 0], surely[surely[AblationClasses.EFFECT] > 0]
    low = of_cell.iloc[0]
    said = f"By class, {called(row, several)} costs "
    if len(lose):
        said += _classes_named(lose)
    elif low[AblationClasses.EFFECT] < 0:
        said += (
            f"none for sure (the largest drop in F1: {low[AblationClasses.CLASS]} "
            f"{low[AblationClasses.EFFECT]:+.3f} on {int(low[AblationClasses.TEST])} test rows)"
        )
    else:
        said += "none"
    if len(gain):
        said += f", and serves {_classes_named(gain.iloc[::-1])}"
    return [said + "."]


def _classes_named(rows: pd.DataFrame) -> str:
    named = [
        f"{name} ({by:+.3f})"
        for name, by in zip(rows[AblationClasses.CLASS], rows[AblationClasses.EFFECT], strict=True)
    ]
    return ", ".join(named[:NAMED]) + (f" and {len(named) - NAMED} more" if len(named) > NAMED else "")


def _of_spoiled(row: Mapping[Any, Any], several: bool) -> list[str]:
    if Ablation.REMOVED not in row or not row[Ablation.REMOVED]:
        return []
    return [
        f"Of the {int(row[Ablation.REMOVED]):,} rows that {called(row, several)} throws out "
        f"{row[Ablation.PRECISION]:.0%} are known to be spoiled; that is {row[Ablation.RECALL]:.0%} of all "
        f"{int(row[Ablation.CORRUPTED]):,} spoiled ones."
    ]


def _count(count: int, one: str, more: str) -> str:
    return f"One {one}" if count == 1 else f"{count} {more}"
