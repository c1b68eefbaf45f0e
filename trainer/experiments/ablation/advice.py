"""The conclusion of an ablation in lines: what to do, how significant it is, which classes it costs."""

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
    """Return the conclusion, a line each, the verdict first.

    Args:
        table: ABLATION, with verdicts.
        classes: ABLATION_CLASSES.
        drawn: what intervals are over, see `trainer.core.text.rows_drawn`.
    """
    rows = table.to_dict("records")
    several = table[Ablation.ENCODER].nunique() > 1
    tried = sum(row[Ablation.VERDICT] != Verdict.BASELINE for row in rows)
    if not tried:
        return "Only the baseline was trained: no filter and no augmentation."
    chosen = next(row for row in rows if row[Ablation.CHOSEN])
    helpful = sorted(
        (row for row in rows if row[Ablation.VERDICT] == Verdict.HELPS), key=lambda row: -row[Ablation.EFFECT]
    )
    harmful = [row for row in rows if row[Ablation.VERDICT] == Verdict.HURTS]
    best = chosen if chosen[Ablation.VERDICT] == Verdict.HELPS or not helpful else helpful[0]
    lines = [
        verdict(chosen, helpful, several),
        *_of_chosen(chosen, several),
        *before_and_after(rows, best, several),
        *_of_helpful(helpful, chosen, several),
    ]
    if harmful:
        worst = min(harmful, key=lambda row: row[Ablation.EFFECT])
        lines.append(
            f"{_count(len(harmful), 'filter hurts', 'filters hurt')}, most so {called(worst, several)} "
            f"({effect(worst, Ablation.EFFECT)})."
        )
    if best[Ablation.VERDICT] != Verdict.BASELINE:
        lines += _of_classes(best, classes, several)
        lines += _of_noise(best, several)
    lines.append(
        f"{_count(tried, 'filter', 'filters')} against all {chosen[Ablation.TRAIN]:,} training rows, over "
        f"{drawn}, {seeds} seeds each; p after Holm's correction."
    )
    return "\n".join(lines)


def verdict(chosen: Mapping[Any, Any], helpful: list[dict[Any, Any]], several: bool) -> str:
    """Return in one line whether to filter, and by what."""
    name = called(chosen, several)
    told = f"macro-F1 {effect(chosen, Ablation.EFFECT)}"
    if chosen[Ablation.VERDICT] == Verdict.HELPS:
        return f"Use {name}: {told} over all rows."
    if helpful:
        by = effect(helpful[0], Ablation.EFFECT)
        name = called(helpful[0], several)
        return f"{name} helps: macro-F1 {by} over all rows, though not best on validation."
    if chosen[Ablation.VERDICT] == Verdict.BASELINE:
        return "Keep all rows: no filter is better on validation or is shown to help."
    if chosen[Ablation.VERDICT] == Verdict.HURTS:
        return f"Keep all rows: {name} hurts, {told}."
    return f"Keep all rows: {name} is not shown to help, {told}."


def before_and_after(rows: list[dict[Any, Any]], cell: Mapping[Any, Any], several: bool) -> list[str]:
    """Return a line with the macro-F1 of all rows and of a cell, and the relative gain: ``macro-F1 0.590 →
    0.723, +22 % [15, 30]``; none for the baseline, where nothing differs or where that is 0."""
    relative, low, high = (
        cell.get(Ablation.RELATIVE + end, math.nan) for end in ("", Ablation.LOW, Ablation.HIGH)
    )
    if cell[Ablation.VERDICT] == Verdict.BASELINE or not text.known((relative, low, high)) or low == high:
        return []
    before = next(
        row[Ablation.F1_MACRO]
        for row in rows
        if row[Ablation.VERDICT] == Verdict.BASELINE and row[Ablation.ENCODER] == cell[Ablation.ENCODER]
    )
    name, gain = called(cell, several), text.gain(relative, (low, high))
    return [f"{name}: macro-F1 {before:.3f} → {cell[Ablation.F1_MACRO]:.3f}, {gain} over all rows."]


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
    """Return which effect over the baseline, or over random rows where that is harder to see, would have been
    shown.

    Args:
        comparisons: the level is 0.05 over this.
    """
    widths = [
        detectable_effect(row[name + Ablation.LOW], row[name + Ablation.HIGH], comparisons=comparisons)
        for name in (Ablation.EFFECT, Ablation.OVER_RANDOM)
    ]
    return text.could_show(
        max((width for width in widths if math.isfinite(width)), default=None), comparisons
    )


def _of_chosen(chosen: Mapping[Any, Any], several: bool) -> list[str]:
    if chosen[Ablation.VERDICT] == Verdict.BASELINE:
        return []
    said = [
        f"Best on validation: {called(chosen, several)}, {chosen[Ablation.KEPT]:,} rows kept, test macro-F1 "
        f"{chosen[Ablation.F1_MACRO]:.3f}.",
        f"Over all rows: {effect(chosen, Ablation.EFFECT)} ({_p(chosen, Ablation.EFFECT_P_HOLM)}).",
    ]
    if math.isfinite(chosen[Ablation.OVER_RANDOM]):
        by = effect(chosen, Ablation.OVER_RANDOM)
        said.append(f"Over as many random rows: {by} ({_p(chosen, Ablation.OVER_RANDOM_P_HOLM)}).")
    if chosen[Ablation.VERDICT] == Verdict.UNCLEAR:
        said += [missed for missed in (could_have_shown(chosen, 2),) if missed]
    return said


def _p(row: Mapping[Any, Any], name: str) -> str:
    return text.p_equals(row[name])


def _of_helpful(helpful: list[dict[Any, Any]], chosen: Mapping[Any, Any], several: bool) -> list[str]:
    others = [row for row in helpful if not row[Ablation.CHOSEN]]
    if not others:
        return []
    named = "; ".join(f"{called(row, several)} {effect(row, Ablation.EFFECT)}" for row in others[:NAMED])
    more = f"; and {len(others) - NAMED} more" if len(others) > NAMED else ""
    also = "also " if chosen[Ablation.VERDICT] == Verdict.HELPS else ""
    return [f"{_count(len(others), f'filter {also}helps', f'filters {also}help')}: {named}{more}."]


def _of_classes(row: Mapping[Any, Any], classes: pd.DataFrame, several: bool) -> list[str]:
    of_cell = classes[
        (classes[AblationClasses.CELL] == row[Ablation.CELL])
        & (classes[AblationClasses.ENCODER] == row[Ablation.ENCODER])
    ].sort_values(AblationClasses.EFFECT)
    surely = of_cell[of_cell[AblationClasses.EFFECT_P_HOLM] < 0.05]
    lose, gain = surely[surely[AblationClasses.EFFECT] < 0], surely[surely[AblationClasses.EFFECT] > 0]
    low = of_cell.iloc[0]
    if len(lose):
        said = f"Classes that lose: {_classes_named(lose)}"
    elif low[AblationClasses.EFFECT] < 0:
        said = (
            f"No class loses significantly (largest drop in F1: {low[AblationClasses.CLASS]} "
            f"{low[AblationClasses.EFFECT]:+z.3f}, {int(low[AblationClasses.TEST])} test rows)"
        )
    else:
        said = "No class loses"
    gains = f"; classes that gain: {_classes_named(gain.iloc[::-1])}" if len(gain) else ""
    return [f"{called(row, several)}: {said[0].lower()}{said[1:]}{gains}."]


def _classes_named(rows: pd.DataFrame) -> str:
    named = [
        f"{name} ({by:+z.3f})"
        for name, by in zip(rows[AblationClasses.CLASS], rows[AblationClasses.EFFECT], strict=True)
    ]
    return ", ".join(named[:NAMED]) + (f" and {len(named) - NAMED} more" if len(named) > NAMED else "")


def _of_noise(row: Mapping[Any, Any], several: bool) -> list[str]:
    if Ablation.REMOVED not in row or not row[Ablation.REMOVED]:
        return []
    return [
        f"{row[Ablation.PRECISION]:.0%} of the {int(row[Ablation.REMOVED]):,} rows that "
        f"{called(row, several)} removes are known bad ({row[Ablation.RECALL]:.0%} of all "
        f"{int(row[Ablation.CORRUPTED]):,} bad rows)."
    ]


def _count(count: int, one: str, more: str) -> str:
    return f"1 {one}" if count == 1 else f"{count} {more}"
