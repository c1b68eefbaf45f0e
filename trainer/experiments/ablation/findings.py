"""What is said on the terminal, and the figures of the last line on stdout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from trainer.experiments.ablation.design import Cell
from trainer.experiments.ablation.scores import found_bad
from trainer.experiments.ablation.scoring import ScoredRows
from trainer.tracking.schema import Ablated, Ablation, Verdict


def of_filters(scored: ScoredRows, cells: Sequence[Cell]) -> Iterator[str]:
    """Yield a line per score, its AUROC for planted noise, and a line per filter, what it removes."""
    for name, kinds in scored.separation().items():
        told = ", ".join(
            f"{kind} {area.value:.3f} [{area.low:.3f}, {area.high:.3f}]" for kind, area in kinds.items()
        )
        yield f"AUROC of {name} for known bad rows: {told}"
    for name, found in thrown_out(scored, cells).items():
        said = f"  {name} removes {found['thrown_out']:,} of {len(scored.manifest):,} training rows"
        if found["recall"] is not None:
            said += f": precision {found['precision']:.0%}, recall {found['recall']:.0%} for known bad rows"
        yield said


def figures_of_scores(scored: ScoredRows, cells: Sequence[Cell]) -> dict[str, Any]:
    """Return what is known before anything is trained."""
    return {
        Ablated.SCORES: scored.known,
        Ablated.FILTERS: thrown_out(scored, cells),
        Ablated.SEPARATION: {
            name: {kind: list(area) for kind, area in kinds.items()}
            for name, kinds in scored.separation().items()
        },
        Ablated.WORDING: scored.wording(),
        Ablated.ENCODER_CALLS: scored.encoder_calls,
    }


def thrown_out(scored: ScoredRows, cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    """Return for each filter the rows it removes, with precision and recall for planted noise, None
    where it is not known which are."""
    found: dict[str, dict[str, Any]] = {}
    for cell in cells:
        if not cell.removes:
            continue
        entry: dict[str, Any] = {
            "thrown_out": len(cell.keep_n) - cell.kept,
            "precision": None,
            "recall": None,
        }
        if scored.bad_n is not None:
            truth = found_bad(cell.keep_n, scored.bad_n)
            entry |= {"precision": truth.precision, "recall": truth.recall}
        found[str(cell.filter)] = entry
    return found


def figures_of_cells(table: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of the table ABLATION."""
    rows = [_brief(row) for row in table.to_dict("records")]
    baseline = rows[0]
    helpful = [row for row in rows if row[Ablation.VERDICT] == Verdict.HELPS]
    return {
        Ablated.CELLS: len(rows),
        Ablated.BASELINE: baseline[Ablation.F1_MACRO],
        Ablated.BASELINE_CI95: [baseline[Ablation.F1_MACRO + end] for end in (Ablation.LOW, Ablation.HIGH)],
        Ablated.CHOSEN: next(row for row in rows if row[Ablation.CHOSEN]),
        Ablated.HELPFUL: sorted(helpful, key=lambda row: -row[Ablation.EFFECT]),
        Ablated.HARMFUL: sum(row[Ablation.VERDICT] == Verdict.HURTS for row in rows),
    }


def _brief(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row as JSON: without its head, null for NaN."""
    return {
        name: None if isinstance(value, float) and value != value else value
        for name, value in row.items()
        if name != Ablation.HEAD and not name.startswith(Ablation.PART_PREFIX)
    }
