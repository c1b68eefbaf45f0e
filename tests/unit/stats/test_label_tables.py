"""Tables of several labels per image."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from trainer.stats.label_tables import average_precisions, co_occurrence, missed_with, shares

TRUE = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0]], dtype=bool)
SAID = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=bool)


def drawn(rows: int = 200, labels: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    label_nc = random.random((rows, labels)) < 0.3
    return label_nc, np.clip(0.35 * label_nc + 0.65 * random.random((rows, labels)), 0, 1)


def test_co_occurrence_counts_the_rows_that_have_both_labels() -> None:
    counted = co_occurrence(TRUE)
    assert counted.tolist() == [[3, 1, 1], [1, 1, 0], [1, 0, 1]]
    assert shares(counted, np.diagonal(counted))[0].tolist() == pytest.approx([1, 1 / 3, 1 / 3])
    assert np.isnan(shares(np.zeros((1, 1), int), np.zeros(1, int))).all()


def test_missed_labels_are_counted_with_what_was_said_wrongly_and_what_was_there() -> None:
    found = missed_with(TRUE, SAID)
    assert found.missed_c.tolist() == [2, 1, 0]  # label 0 on rows 1 and 2, label 1 on row 0
    assert found.wrong_cc.tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert found.there_cc.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_average_precision_is_scikit_learns_and_unknown_of_a_label_that_no_row_or_every_row_has() -> None:
    label_nc, probability_nc = drawn()
    probability_nc = probability_nc.round(1)  # ties
    label_nc[:, 2], label_nc[:, 3] = False, True
    found = average_precisions(label_nc, probability_nc, np.arange(len(label_nc)))
    wanted = {c: average_precision_score(label_nc[:, c], probability_nc[:, c]) for c in (0, 1, 4)}
    assert {c: found[c].value for c in wanted} == pytest.approx(wanted)
    assert [c for c, one in enumerate(found) if math.isnan(one.value)] == [2, 3]
    assert all(0 <= found[c].low < found[c].value < found[c].high <= 1 for c in wanted)


def test_intervals_draw_units_and_have_a_width_where_all_is_right() -> None:
    label_nc, probability_nc = drawn()
    one = average_precisions(label_nc, probability_nc, np.arange(200))[0]
    copies = [np.repeat(table, 4, axis=0) for table in (label_nc, probability_nc)]
    same = average_precisions(*copies, np.repeat(np.arange(200), 4))[0]
    assert same.high - same.low == pytest.approx(one.high - one.low, rel=0.15)
    right = average_precisions(label_nc, label_nc.astype(float), np.arange(200))[0]
    assert right.value == 1
    assert right.low < 1


def test_of_no_label_that_can_be_judged_nothing_is_known() -> None:
    found = average_precisions(np.zeros((4, 2), bool), np.zeros((4, 2)), np.arange(4))
    assert np.isnan(found).all()
    assert len(found) == 2
