"""An ablation as a page for people: Markdown and its images. Nothing is read or written here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from trainer.core import text
from trainer.experiments.ablation.advice import called, effect
from trainer.experiments.ablation.drawing import (
    Image,
    Row,
    best_first,
    cells_image,
    classes_image,
    grid_image,
)
from trainer.experiments.ablation.judging import LEVEL
from trainer.experiments.ablation.markdown import as_table, code, literal
from trainer.stats.intervals import wilson
from trainer.stats.paired_bootstrap import DRAWS, SWAPS
from trainer.tracking.schema import Ablated, Ablation, AblationClasses, Verdict

COMMAND = "Command"  # the fact that is shown as code


class Report(NamedTuple):
    """The page, and PNG files by the names under which it shows them."""

    markdown: str
    images: dict[str, bytes]


def report(
    table: pd.DataFrame,
    classes: pd.DataFrame,
    *,
    title: str,
    figures: Mapping[str, Any],
    facts: Mapping[str, str],
) -> Report:
    """The page.

    Args:
        table: ABLATION, with verdicts.
        classes: ABLATION_CLASSES.
        figures: the summary (:class:`schema.Ablated`), of which the page shows advice, counts, and how well
            scores separate corrupted rows.
        facts: further lines on what was compared; the one called ``Command`` is shown as code.
    """
    counts = figures[Ablated.COUNTS]
    groups = figures.get(Ablated.TEST_GROUPS)
    drawn = text.rows_drawn(counts["test"], groups)
    page = _Page(table, classes, seeds=figures[Ablated.SEEDS], drawn=drawn)
    verdict, *rest = figures[Ablated.ADVICE].split("\n")
    page.add(f"# {literal(title)}", f"**In short:** {literal(verdict)}")
    if rest:
        page.add("\n".join(f"- {literal(line)}" for line in rest))
    page.what_was_compared(facts, counts, groups)
    page.effects()
    page.cells()
    page.classes()
    page.noise(figures[Ablated.SEPARATION])
    page.wording(figures[Ablated.WORDING])
    return Report("\n\n".join(page.blocks) + "\n", page.images)


class _Page:
    """Collects blocks of Markdown and the images that they show."""

    def __init__(self, cells: pd.DataFrame, classes: pd.DataFrame, *, seeds: int, drawn: str) -> None:
        self.blocks: list[str] = []
        self.images: dict[str, bytes] = {}
        self._rows: list[Row] = list(cells.to_dict("records"))
        self._classes = classes
        self._encoders = list(dict.fromkeys(cells[Ablation.ENCODER]))
        self._several = len(self._encoders) > 1
        self._mean = "1 seed" if seeds == 1 else f"mean of {seeds} seeds"
        self._drawn = drawn

    def add(self, *blocks: str) -> None:
        self.blocks += blocks

    def _show(self, name: str, encoder: str, image: Image) -> None:
        """File names and texts in place of an image hold nothing that came from outside."""
        number = f"_{self._encoders.index(encoder) + 1}" if self._several else ""
        self.images[f"{name}{number}.png"] = image.png
        self.add(f"![{image.alt}]({name}{number}.png)")

    def _basis(self, encoder: str) -> str:
        basis = f"{self._drawn}, {self._mean}, 95 % intervals"
        return f"{encoder}: {basis}" if self._several else basis

    def _by_encoder(self) -> Iterator[tuple[str, list[Row]]]:
        """Each encoder that has more than the baseline, under a heading if there are several."""
        for encoder in self._encoders:
            rows = [row for row in self._rows if row[Ablation.ENCODER] == encoder]
            if all(row[Ablation.VERDICT] == Verdict.BASELINE for row in rows):
                continue
            if self._several:
                self.add(f"### {literal(encoder)}")
            yield encoder, rows

    # --- what was compared --------------------------------------------------------------------

    def what_was_compared(
        self, facts: Mapping[str, str], counts: Mapping[str, int], groups: int | None
    ) -> None:
        rows = ", ".join(f"{count:,} {split}" for split, count in counts.items())
        lines = [f"- {literal(name)}: {literal(text)}" for name, text in facts.items() if name != COMMAND]
        lines.append(f"- Rows: {rows}. Only training rows are filtered; all cells answer the same test rows.")
        lines.append(f"- Figures: of the test rows, {self._mean}.")
        lines += [f"- {caution}" for caution in text.cautions(groups)]
        drawn = "test rows" if groups is None else f"the {groups:,} groups of test rows"
        each = "row by row" if groups is None else "group by group"
        self.add(
            "## What was compared",
            "\n".join(lines),
            f"Intervals are 95 % BCa bootstrap intervals over {drawn} and seeds ({DRAWS:,} samples); those "
            "against random rows also include the random choice of rows.",
            f"P-values come from swapping the answers of both sides {each} at random, {SWAPS:,} times "
            "(against random rows the larger of this one and the interval's own). Holm's correction for all "
            f"cells, with half of the weight for the one chosen on validation, keeps the chance of any false "
            f"positive below {_percent(LEVEL)}.",
        )
        if COMMAND in facts:
            self.add("The command:", code(facts[COMMAND]))

    # --- effects ------------------------------------------------------------------------------

    def effects(self) -> None:
        self.add("## What each cell changes")
        for encoder, rows in self._by_encoder():
            forest = cells_image(rows, basis=self._basis(encoder))
            self.add(
                "Each cell has a round mark, the change against training on all rows, and where it removes "
                "rows a diamond, the change against as many rows chosen at random. Filled marks differ from "
                "zero after correction."
                + (f" The image shows {forest.about}; the table below has them all." if forest.about else "")
            )
            self._show("ablation_effects", encoder, forest)
            grid = grid_image(rows, basis=self._basis(encoder))
            if grid is not None:
                self.add(
                    f"Filters on {literal(grid.about)} were crossed. Framed fields help; grey ones were not "
                    "tried, or keep the same rows as another cell."
                )
                self._show("ablation_grid", encoder, grid)
        if not self.images:
            self.add("Only the baseline was trained: no filter and no augmentation.")

    def cells(self) -> None:
        names = {"macro-F1": Ablation.F1_MACRO}
        if Ablation.AUROC in self._rows[0]:
            names |= {
                "AUROC": Ablation.AUROC,
                "sensitivity": Ablation.SENSITIVITY,
                "specificity": Ablation.SPECIFICITY,
            }
        head = [
            *(["encoder"] if self._several else []),
            *("filter", "augmentation", "rows kept", *(f"{name} [95 %]" for name in names)),
            *("effect [95 %]", "p of effect (Holm)", "over random [95 %]", "p over random (Holm)"),
            *("p of both (Holm)", "verdict"),
        ]
        body = [
            [
                *([literal(row[Ablation.ENCODER])] if self._several else []),
                literal(row[Ablation.FILTER]),
                "yes" if row[Ablation.AUGMENT] else "no",
                f"{row[Ablation.KEPT]:,} ({_percent(row[Ablation.KEPT] / row[Ablation.TRAIN])})",
                *(text.figure(row, name) for name in names.values()),
                effect(row, Ablation.EFFECT),
                text.p_value(row[Ablation.EFFECT_P_HOLM]),
                effect(row, Ablation.OVER_RANDOM),
                text.p_value(row[Ablation.OVER_RANDOM_P_HOLM]),
                text.p_value(row[Ablation.HELPFUL_P_HOLM]),
                f"{row[Ablation.VERDICT]}{', chosen' if row[Ablation.CHOSEN] else ''}",
            ]
            for row in best_first(self._rows)
        ]
        self.add(
            "## All cells",
            "The baseline, then the best effect first. *Effect* is the change of macro-F1 against the "
            "baseline, *over random* that against as many training rows chosen at random (none where all "
            f"rows are kept). A cell *helps* if it is better than both (p of both below {LEVEL:g}), and "
            "*hurts* if it is worse than the baseline. The *chosen* one has the highest macro-F1 on the "
            "validation rows.",
            as_table(head, body, texts=2 + self._several),
        )

    def classes(self) -> None:
        if AblationClasses.EFFECT not in self._classes:
            return
        self.add("## Classes that gain and lose")
        for encoder, rows in self._by_encoder():
            cell = max(
                (row for row in rows if row[Ablation.VERDICT] != Verdict.BASELINE),
                key=lambda row: row[Ablation.VAL_F1_MACRO],
            )
            best = max(rows, key=lambda row: row[Ablation.VAL_F1_MACRO]) is cell
            of_cell = self._classes[
                (self._classes[AblationClasses.CELL] == cell[Ablation.CELL])
                & (self._classes[AblationClasses.ENCODER] == encoder)
            ].to_dict("records")
            forest = classes_image(cell, of_cell, basis=self._basis(encoder))
            self.add(
                f"Change of the F1 of each class by {literal(called(cell))}, the best cell on validation"
                f"{'' if best else ' after the baseline'}, against the baseline. P-values are corrected for "
                "the number of classes."
                + (f" The image shows {forest.about}; the table below has them all." if forest.about else "")
            )
            self._show("ablation_classes", encoder, forest)
            self.add(_table_of_classes(best_first(of_cell, AblationClasses.EFFECT)))

    # --- what is known of the rows ------------------------------------------------------------

    def noise(self, separation: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
        filters = {
            row[Ablation.FILTER]: row
            for row in self._rows
            if Ablation.REMOVED in row and row[Ablation.REMOVED] > 0
        }
        if filters or separation:
            self.add("## Finding known bad rows")
        if filters:
            bad, train = (int(self._rows[0][name]) for name in (Ablation.CORRUPTED, Ablation.TRAIN))
            self.add(
                f"{bad:,} of the {train:,} training rows are known to be bad. *Precision* is the share of "
                f"the removed rows that are bad (at random {_percent(bad / train)}), *recall* the share of "
                "the bad rows that are removed, both with Wilson's 95 % interval.",
                _table_of_found(list(filters.values()), bad),
            )
        if separation:
            kinds = list(dict.fromkeys(kind for of_score in separation.values() for kind in of_score))
            body = [
                [literal(score), *(_interval(of_score.get(kind)) for kind in kinds)]
                for score, of_score in separation.items()
            ]
            self.add(
                "How well a low score separates bad rows of each kind from clean rows: area under the ROC "
                "curve (AUROC) with its 95 % interval. 0.5 is chance, 1 is perfect.",
                as_table(["score", *(literal(kind) for kind in kinds)], body),
            )

    def wording(self, wording: Mapping[str, Any] | None) -> None:
        if wording is None:
            return
        value, low, high = wording["change"]
        verb = "breaks" if wording["breaks_the_match"] else "does not break"
        change = text.interval(value, (low, high), text.change)
        self.add(
            "## Rewording captions",
            f"The captions of {wording['rows']:,} rows were reworded ({_percent(wording['deletion'])} of "
            f"the words deleted, {_percent(wording['synonyms'])} replaced by synonyms). That changes the "
            f"mean CLIP score by {change}, which {verb} the match of image and caption. The AUROC says "
            "how well the CLIP score tells a row's own caption from another row's.",
            as_table(
                ["CLIP score", "as written", "reworded", "change [95 %]"],
                [
                    [
                        "mean",
                        *(f"{wording[name]:.3f}" for name in ("clip_score", "clip_score_reworded")),
                        change,
                    ],
                    [
                        "AUROC [95 %]",
                        *(_interval(wording[name]) for name in ("auroc", "auroc_reworded")),
                        text.NONE,
                    ],
                ],
            ),
        )


def _table_of_classes(rows: Sequence[Row]) -> str:
    return as_table(
        ["class", "training rows kept", "test rows", "effect on F1 [95 %]", "p (Holm)"],
        [
            [
                literal(row[AblationClasses.CLASS]),
                f"{row[AblationClasses.KEPT]:,} of {row[AblationClasses.TRAIN]:,}",
                f"{row[AblationClasses.TEST]:,}",
                *(
                    (effect(row, AblationClasses.EFFECT), text.p_value(row[AblationClasses.EFFECT_P_HOLM]))
                    if row[AblationClasses.TEST]
                    else (text.NONE,) * 2
                ),
            ]
            for row in rows
        ],
    )


def _table_of_found(rows: Sequence[Row], bad: int) -> str:
    body = []
    for row in sorted(rows, key=lambda row: -row[Ablation.PRECISION]):
        removed = int(row[Ablation.REMOVED])
        both = round(row[Ablation.PRECISION] * removed)
        shares = [_interval(wilson(both, of)) for of in (removed, bad)]
        body.append([literal(row[Ablation.FILTER]), f"{removed:,}", f"{both:,}", *shares])
    return as_table(["filter", "removed rows", "of them bad", "precision [95 %]", "recall [95 %]"], body)


def _interval(three: Sequence[float] | None) -> str:
    return text.NONE if three is None else text.interval(three[0], three[1:])


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
