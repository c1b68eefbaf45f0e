"""Comparison of methods on the same test rows: tables, figures, lines for the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from trainer.core import text
from trainer.core.console import SafeConsole, console, say
from trainer.data.duplicates import groups_drawn, unit_numbers
from trainer.data.manifest import Manifest
from trainer.data.thumbnails import thumbnails
from trainer.features.projection import sample_rows
from trainer.stats.macro_f1 import rows_per_class
from trainer.stats.paired_bootstrap import PredictionSet
from trainer.stats.power import detectable_effect
from trainer.tracking import tables
from trainer.tracking.method_tables import MethodTables
from trainer.tracking.schema import Artifact, MethodPairs, Methods, Metric, Summary
from trainer.tracking.writer import RunWriter

MOST_SHOWN = 5000  # test rows whose images are kept
WIDTH = 170  # characters of a table in a log
NAME_LENGTH = 200  # characters of a method in the name of its metric; MLflow takes 250 in all


@dataclass(frozen=True)
class Method:
    """One way, with S heads that differ by chance alone."""

    name: str
    how: str  # what was chosen on validation rows, in words
    val_f1_macro: float
    probability_snc: np.ndarray  # float [S, N, C] of the test rows

    def heads(self, count: int) -> np.ndarray:
        """Return [count, N, C]; one head stands for all."""
        return np.broadcast_to(self.probability_snc, (count, *self.probability_snc.shape[1:]))


class Comparison:
    """The methods on the test rows of ``manifest``.

    Args:
        pairs: (method, against) by their places.
        chosen: place of the method best on validation rows, if one was chosen.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        pairs: Sequence[tuple[int, int]],
        manifest: Manifest,
        *,
        chosen: int | None = None,
        seed: int,
    ) -> None:
        self.methods, self.manifest, self.chosen, self.seed = list(methods), manifest, chosen, seed
        self.rows = manifest.rows("test")
        count = max(len(method.probability_snc) for method in methods)
        pred_asn = np.stack([method.heads(count).argmax(2) for method in methods])
        self.unit_n = unit_numbers(manifest)[self.rows]
        label_n, classes = manifest.label_n[self.rows], len(manifest.classes)
        answers = PredictionSet(label_n, pred_asn, classes, unit_n=self.unit_n)
        self.groups = groups_drawn(manifest)  # that intervals and tests draw; None: rows
        names = [method.name for method in methods]
        self.tables = MethodTables(answers, names, manifest.classes, pairs, seed=seed)
        self.compared, self.pairs = self.tables.compared, self.tables.pairs

    # --- tables -------------------------------------------------------------------------------

    def methods_table(self) -> pd.DataFrame:
        """Return the METHODS table: one row per method with its figures and intervals."""
        about = pd.DataFrame(
            {
                Methods.METHOD: [method.name for method in self.methods],
                Methods.HOW: [method.how for method in self.methods],
                Methods.HEADS: [len(method.probability_snc) for method in self.methods],
                Methods.CHOSEN: [place == self.chosen for place in range(len(self.methods))],
                Methods.VAL_F1_MACRO: [method.val_f1_macro for method in self.methods],
            }
        )
        return pd.concat([about, self.tables.scores().drop(columns=Methods.METHOD)], axis=1)

    def pairs_table(self) -> pd.DataFrame:
        """Return the METHOD_PAIRS table: one row per pair of methods, compared on the same rows."""
        return self.tables.differences()

    def log(self, writer: RunWriter) -> None:
        """Log every table, with the answers of each method's first head and images of the test rows."""
        manifest, rows = self.manifest, self.rows
        writer.table(
            Artifact.PREDICTIONS,
            pd.concat(
                [
                    tables.predictions(
                        manifest,
                        rows,
                        np.asarray(method.probability_snc[0]),
                        head=method.name,
                        trial=place,
                        seed=0,
                    )
                    for place, method in enumerate(self.methods)
                ],
                ignore_index=True,
            ),
        )
        shown = rows[sample_rows(manifest.split_n[rows], at_most=MOST_SHOWN, seed=self.seed)].tolist()
        writer.table(Artifact.SAMPLES, tables.samples(manifest, shown, thumbnails(manifest, shown)))
        writer.table(Artifact.METHOD_CLASSES, self.tables.by_class())
        writer.table(Artifact.METHOD_PAIRS, self.pairs_table())
        writer.table(Artifact.METHODS, self.methods_table())

    # --- figures and words --------------------------------------------------------------------

    def drawn(self) -> dict[str, int]:
        """Return `Summary.TEST_GROUPS`, where groups are drawn."""
        return {} if self.groups is None else {Summary.TEST_GROUPS: self.groups}

    def figures(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return every method by name, and every pair, for JSON."""
        methods: dict[str, Any] = {
            str(row[Methods.METHOD]): {
                Methods.HOW: row[Methods.HOW],
                Methods.VAL_F1_MACRO: row[Methods.VAL_F1_MACRO],
                **{
                    key: value
                    for name in (Methods.F1_MACRO, Methods.ACCURACY)
                    for key, value in (
                        (name, row[name]),
                        (f"{name}_ci95", [row[name + Methods.LOW], row[name + Methods.HIGH]]),
                    )
                },
            }
            for row in self.methods_table().to_dict("records")
        }
        pairs = [
            {str(name): value for name, value in row.items()} for row in self.pairs_table().to_dict("records")
        ]
        return methods, pairs

    def metrics(self) -> dict[str, float]:
        """Return the test macro-F1 of each method, under names that MLflow takes."""
        table = self.methods_table()
        return dict(zip(metric_names(table[Methods.METHOD]), table[Methods.F1_MACRO], strict=True))

    def tell(self, title: str) -> None:
        """Print one table: every method, and its pairs below."""
        drawn = text.rows_drawn(len(self.rows), self.groups)
        table = Table(title=f"{title} (95 % intervals over {drawn})", title_justify="left")
        for head in ("method", "val F1", "test macro-F1", "test accuracy", "chosen on validation"):
            table.add_column(head, no_wrap=head != "chosen on validation")
        for row in self.methods_table().to_dict("records"):
            star = " ★" if row[Methods.CHOSEN] else ""
            table.add_row(
                f"{row[Methods.METHOD]}{star}",
                f"{row[Methods.VAL_F1_MACRO]:.3f}",
                text.figure(row, Methods.F1_MACRO),
                text.figure(row, Methods.ACCURACY),
                row[Methods.HOW],
            )
        show(table)
        by = "row" if self.groups is None else "group"
        pairs = Table(title=f"Differences, paired by {by}", title_justify="left")
        for head in ("", "macro-F1", "p", "accuracy", "only one is correct"):
            pairs.add_column(head, no_wrap=True)
        for row in self.pairs_table().to_dict("records"):
            pairs.add_row(
                f"{row[MethodPairs.METHOD]} − {row[MethodPairs.AGAINST]}",
                text.figure(row, MethodPairs.EFFECT, text.change),
                text.p_value(row[MethodPairs.EFFECT_P_HOLM]),
                text.figure(row, MethodPairs.ACCURACY, text.change),
                f"{row[MethodPairs.ONLY_METHOD]} : {row[MethodPairs.ONLY_AGAINST]}",
            )
        show(pairs)
        if len(self.pairs) > 1:
            say(f"p: of macro-F1, after Holm's correction for {len(self.pairs)} comparisons.")
        for caution in text.cautions(self.groups, rows_per_class(self.manifest.label_n[self.rows])):
            say(caution)

    def row(self, one: int, other: int) -> dict[str, Any]:
        """Return the row of METHOD_PAIRS of a pair."""
        return dict(self.pairs_table().iloc[list(self.pairs).index((one, other))])

    def verdict(self, one: int, other: int) -> str:
        """Return whether one method is better than another, in one line."""
        return verdict(self.row(one, other), comparisons=len(self.pairs))

    def could_show(self, one: int, other: int) -> str:
        """Return which difference would have been found, in one line; "" where one is."""
        row = self.row(one, other)
        low, high = ends_of(row)
        if text.significant((low, high), row[MethodPairs.EFFECT_P_HOLM]):
            return ""
        count = len(self.pairs)
        return text.could_show(detectable_effect(low, high, comparisons=count), count)


def metric_names(methods: Iterable[str]) -> list[str]:
    """Return a name of a metric for each method: short, of characters that MLflow takes, and different."""
    names: list[str] = []
    for method in methods:
        name = f"{Metric.TEST_F1_MACRO}.{re.sub('[^a-zA-Z0-9 -]', '', method)[:NAME_LENGTH]}"
        names.append(name if name not in names else f"{name} {len(names) + 1}")
    return names


def ends_of(row: Mapping[str, Any]) -> tuple[float, float]:
    """Return the interval of the difference in a row of METHOD_PAIRS."""
    return row[MethodPairs.EFFECT + Methods.LOW], row[MethodPairs.EFFECT + Methods.HIGH]


def verdict(row: Mapping[str, Any], *, comparisons: int) -> str:
    """Return whether a row of METHOD_PAIRS shows a difference, in one line."""
    names = row[MethodPairs.METHOD], row[MethodPairs.AGAINST]
    effect = row[MethodPairs.EFFECT], *ends_of(row)
    p = row[MethodPairs.EFFECT_P_HOLM]
    return text.compared(names, effect, p, comparisons=comparisons, form=text.change)


def show(table: Table) -> None:
    """Print it, wide enough for its figures where there is no terminal to fit."""
    wide = console if console.is_terminal else SafeConsole(file=console.file, width=WIDTH)
    wide.print(table)
