"""Test rows on which one of two runs is better: a number nearer to the true one, or more labels right.

Pure pandas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from dashboard import text
from dashboard.frames import labels, numbers
from dashboard.frames.predictions import shown_names
from trainer.charts.numbers import PREDICTED, TRUE
from trainer.tracking.compared_runs import RunAnswers, shared_rows
from trainer.tracking.compared_scores import TRUTH
from trainer.tracking.schema import Predictions

FIRST, SECOND, AHEAD = "first", "second", "ahead"
SHORT = 24  # characters of a label below an image


class RowDifferences(NamedTuple):
    """Two runs on the test rows that both have."""

    rows: pd.DataFrame  # ``sample_id, true, first, second`` (what they say), ``ahead`` (of second)
    words: pd.DataFrame  # of the same rows ``true, first, second`` as they are read below an image
    measure: str  # what ``ahead`` is a difference of

    def better(self, *, first: bool) -> RowDifferences:
        """Return the rows on which one of the runs is better, the largest difference first."""
        ahead = self.rows[AHEAD] if first else -self.rows[AHEAD]
        order = ahead[ahead > 0].sort_values(ascending=False, kind="stable").index
        rows, words = (frame.loc[order].reset_index(drop=True) for frame in (self.rows, self.words))
        return self._replace(rows=rows, words=words)

    @property
    def counts(self) -> tuple[int, int, int]:
        """On how many rows the first is better, the second, and neither."""
        ahead = self.rows[AHEAD]
        return int((ahead > 0).sum()), int((ahead < 0).sum()), int((ahead == 0).sum())


def row_differences(runs: Sequence[RunAnswers], summaries: Sequence[Mapping[str, Any]]) -> RowDifferences:
    """Return what two runs of the same kind say of each test row that both have.

    Args:
        runs: two, of numbers or of several labels.
        summaries: SUMMARY of each.

    Raises:
        InputError: they know other truths of a row, or one learned from test rows of the other.
    """
    said_as = next(name for name in TRUTH if name in runs[0].table)
    both = [one.reset_index() for one in shared_rows(runs, truth=TRUTH[said_as])]
    if said_as == Predictions.NUMBER:
        return _of_numbers([numbers.with_errors(one) for one in both])
    return _of_labels([labels.of_run(one, summary) for one, summary in zip(both, summaries, strict=True)])


def _of_numbers(both: Sequence[pd.DataFrame]) -> RowDifferences:
    first, second = both
    rows = pd.DataFrame(
        {
            Predictions.SAMPLE_ID: first[Predictions.SAMPLE_ID],
            TRUE: first[TRUE],
            FIRST: first[PREDICTED],
            SECOND: second[PREDICTED],
            AHEAD: second[numbers.AWAY] - first[numbers.AWAY],
        }
    )
    said = [[numbers.with_error(row) for row in one.to_dict("records")] for one in both]
    words = pd.DataFrame({TRUE: rows[TRUE].map(text.quantity), FIRST: said[0], SECOND: said[1]})
    return RowDifferences(rows, words, "absolute error")


def _of_labels(both: Sequence[labels.LabelAnswers]) -> RowDifferences:
    known = [name for name in both[0].names if name in set(both[1].names)]
    places = [[one.names.index(name) for name in known] for one in both]
    true_nc = both[0].label_nc[:, places[0]]
    said = [one.said_nc[:, place] for one, place in zip(both, places, strict=True)]
    right_n, other_n = ((said_nc == true_nc).sum(axis=1) for said_nc in said)
    masks = {TRUE: true_nc, FIRST: said[0], SECOND: said[1]}
    short = [text.clean(name, longest=SHORT) for name in shown_names(known).values()]
    exact, read = (
        pd.DataFrame(
            {column: [labels.listed(names, of_c) for of_c in mask] for column, mask in masks.items()}
        )
        for names in (known, short)
    )
    ids = both[0].rows[Predictions.SAMPLE_ID]
    rows = pd.concat([ids, exact], axis=1).assign(**{AHEAD: right_n - other_n})
    return RowDifferences(rows, read.replace("", labels.NO_LABELS), "number of labels right")


def lines(found: RowDifferences, names: tuple[str, str]) -> list[list[str]]:
    """Return three lines for each row: what is true, and what either run says.

    Args:
        names: of the first run and of the second.
    """
    titles = {TRUE: TRUE, FIRST: names[0], SECOND: names[1]}
    columns = [[f"{title}: {words}" for words in found.words[name]] for name, title in titles.items()]
    return [list(lines) for lines in zip(*columns, strict=True)]
