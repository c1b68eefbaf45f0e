"""The parts of an ablation: what is compared, how it is trained, what is made of the answers."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support import wording
from trainer.core.errors import InputError
from trainer.experiments.ablation.advice import advise, most_telling
from trainer.experiments.ablation.design import Cell, design, random_choice, usual
from trainer.experiments.ablation.filters import Everything, FilterRows, parse
from trainer.experiments.ablation.judging import Judge, LabelledRows
from trainer.experiments.ablation.training import Arm, TrainingSettings, arms_of, candidates, train, tune
from trainer.heads.head_config import HeadSpec
from trainer.heads.training_data import TrainingData, to_training_data
from trainer.tracking.schema import Ablation, AblationClasses, CellPredictions, Verdict

SPEC = HeadSpec(lr=1e-2, epochs=5, batch_size=16, weights="last")


def rows_of(labels: int = 30, classes: int = 3, **scores: Any) -> FilterRows:
    names = tuple("abcdefgh"[:classes])
    given = scores or {"clip": np.linspace(0, 1, labels), "quality": np.linspace(1, 0, labels)}
    return FilterRows(
        np.arange(labels) % classes, names, {k: np.asarray(v, dtype=float) for k, v in given.items()}
    )


# --- design -----------------------------------------------------------------------------------


def test_every_filter_of_an_axis_and_none_meets_every_one_of_the_others_with_and_without_augmentation() -> (
    None
):
    cells = design(
        rows_of(),
        axes=["quality>=top90%,quality>=top70%", "clip>=top80%"],
        alone=["clip>=0.5"],
        augment=True,
        why_not={},
    )
    assert [str(cell.filter) for cell in cells[::2]] == [
        "none",
        "clip>=top80%",
        "quality>=top90%",
        "quality>=top90% & clip>=top80%",
        "quality>=top70%",
        "quality>=top70% & clip>=top80%",
        "clip>=0.5",
    ]
    assert [cell.augment for cell in cells] == [False, True] * 7
    assert [cell.number for cell in cells] == list(range(14))
    assert isinstance(cells[0].filter, Everything)


def test_a_filter_that_keeps_the_same_rows_as_an_earlier_one_is_no_cell_of_its_own() -> None:
    cells = design(
        rows_of(), axes=[], alone=["clip>=-1", "clip>=0.5", "clip>=top50%"], augment=False, why_not={}
    )
    assert [str(cell.filter) for cell in cells] == ["none", "clip>=0.5"]


def test_a_filter_that_empties_a_class_is_refused_by_the_class_s_name() -> None:
    rows = rows_of(6, clip=[0, 1, 1, 0, 1, 1])
    with pytest.raises(InputError, match=r"'clip>=0\.5' keeps 4 of 6 .* 'a'.*clip>=top80%/class"):
        design(rows, axes=[], alone=["clip>=0.5"], augment=False, why_not={})


def test_of_filters_that_nobody_named_those_that_empty_a_class_are_left_out_and_told() -> None:
    rows, left_out = rows_of(6, clip=[0, 1, 1, 0, 1, 1]), list[str]()
    cells = design(
        rows, axes=[], alone=["clip>=0.5", "clip>=0"], augment=False, why_not={}, left_out=left_out
    )
    assert [str(cell) for cell in cells] == ["none"]
    assert left_out == ["clip>=0.5"]


def test_a_score_that_is_not_there_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match=r"'aesthetic': pass --aesthetic\. At hand: clip, quality"):
        design(
            rows_of(),
            axes=[],
            alone=["aesthetic>=5"],
            augment=False,
            why_not={"aesthetic": "pass --aesthetic"},
        )
    with pytest.raises(InputError, match="no score called 'beauty'"):
        design(rows_of(), axes=[], alone=["beauty>=5"], augment=False, why_not={})


def test_a_filter_that_cannot_be_read_is_refused_with_examples() -> None:
    with pytest.raises(InputError, match=r"clip=>3.*such as clip>=0\.22"):
        design(rows_of(), axes=["clip=>3"], alone=[], augment=False, why_not={})


def test_the_usual_grid_asks_only_for_scores_at_hand_and_prefers_the_aesthetic_one() -> None:
    axes, alone = usual(rows_of())
    assert {name for axis in axes for name in ("clip", "quality") if name in axis} == {"clip", "quality"}
    assert alone == ()
    axes, alone = usual(
        dataclasses.replace(rows_of(aesthetic=[0] * 30, quality=[0] * 30), group_n=np.arange(30))
    )
    assert [axis.partition(">")[0] for axis in axes] == ["aesthetic"]
    assert alone == ("unique",)


@given(st.integers(3, 40), st.integers(2, 3), st.integers(0, 3), st.data())
def test_a_random_choice_keeps_as_many_rows_and_a_row_of_every_class(
    count: int, classes: int, draw: int, data: st.DataObject
) -> None:
    label_n = np.concatenate([np.arange(classes), np.zeros(max(0, count - classes), dtype=int)])
    rows = FilterRows(label_n, ("a", "b", "c")[:classes], {})
    kept = data.draw(st.integers(classes, len(label_n)))
    keep_n = np.arange(len(label_n)) < kept
    chosen_n = random_choice(Cell(1, Everything(), False, keep_n), rows, seed=0, draw=draw)
    assert chosen_n.sum() == kept
    assert set(label_n[chosen_n]) == set(label_n)


def test_a_random_choice_is_the_same_with_and_without_augmentation_and_another_in_each_draw() -> None:
    rows, keep_n = rows_of(), np.arange(30) < 12
    plain, augmented = (Cell(number, Everything(), bool(number), keep_n) for number in (0, 1))
    first = random_choice(plain, rows, seed=0, draw=1)
    assert (first == random_choice(augmented, rows, seed=0, draw=1)).all()
    assert (first != random_choice(plain, rows, seed=0, draw=2)).any()
    assert (first != random_choice(plain, rows, seed=1, draw=1)).any()


# --- training ---------------------------------------------------------------------------------


def clouds(
    *, rows: int = 48, flip: np.ndarray | None = None, views: int = 0
) -> tuple[TrainingData, torch.Tensor]:
    random = np.random.default_rng(0)
    centres = random.normal(size=(3, 5)) * 1.5
    label = np.arange(rows) % 3
    x, val, test = (centres[label] + random.normal(size=(rows, 5)) for _ in range(3))
    if flip is not None:
        label = np.where(flip, (label + 1) % 3, label)
    data = to_training_data(
        (x, label),
        (val, np.arange(rows) % 3),
        classes=3,
        views_vnd=x[None] + random.normal(size=(views, rows, 5)) if views else None,
    )
    return data, torch.as_tensor(test, dtype=torch.float32)


def answers_of(arms: list[Arm], data: TrainingData, test: torch.Tensor, seed: int = 0) -> list[list[int]]:
    found = train(arms, [SPEC] * len(arms), data, test, TrainingSettings(seed))
    return [one.pred_test_n.tolist() for one in found]


def test_an_arm_does_not_learn_from_labels_of_rows_that_its_filter_throws_out() -> None:
    thrown_out = np.arange(48) >= 30
    arm = Arm(1, False, False, ~thrown_out)
    sound, test = clouds()
    spoiled, _ = clouds(flip=thrown_out)
    everything = Arm(0, False, False, np.ones(48, dtype=bool))
    assert answers_of([arm], sound, test) == answers_of([arm], spoiled, test)
    assert answers_of([everything], sound, test) != answers_of([everything], spoiled, test)


def test_an_arm_is_the_same_beside_any_others() -> None:
    data, test = clouds(views=2)
    masks = np.random.default_rng(1).random((4, 48)) < 0.7
    arms = [Arm(i, False, bool(i % 2), keep_n) for i, keep_n in enumerate(masks)]
    together = answers_of(arms, data, test)
    assert together == [answers_of([arm], data, test)[0] for arm in arms]


def test_augmented_arms_train_on_the_views() -> None:
    data, test = clouds(views=2)
    keep_n = np.ones(48, dtype=bool)
    arms = [Arm(0, False, False, keep_n), Arm(1, False, True, keep_n)]
    plain, augmented = train(arms, [SPEC] * 2, data, test, TrainingSettings(0))
    assert plain.outcome.val_loss_s[0] != augmented.outcome.val_loss_s[0]


def test_every_cell_that_removes_rows_has_a_random_choice_beside_it() -> None:
    cells = design(rows_of(), axes=[], alone=["clip>=top50%"], augment=True, why_not={})
    arms = arms_of(cells, lambda cell: random_choice(cell, rows_of(), seed=0, draw=0))
    assert [(arm.cell, arm.random) for arm in arms] == [
        (0, False),
        (1, False),
        (2, False),
        (3, False),
        (2, True),
        (3, True),
    ]
    assert len({arm.keep_n.sum() for arm in arms if arm.cell > 1}) == 1


def test_tuned_arms_take_as_many_optimiser_steps_as_the_head_they_started_from() -> None:
    tried = candidates(6, like=SPEC, seed=0)
    assert tried[0] == SPEC
    assert len({(spec.steps(100), spec.weights, spec.solver) for spec in tried}) == 1
    assert len({spec.lr for spec in tried}) > 3


def test_tuning_gives_each_arm_the_candidate_that_is_best_for_it_on_validation() -> None:
    data, _ = clouds()
    hopeless = dataclasses.replace(SPEC, lr=1e-7)
    arms = [Arm(0, False, False, np.ones(48, dtype=bool)), Arm(1, False, False, np.arange(48) < 20)]
    chosen = tune(arms, [hopeless, SPEC], data, TrainingSettings(0))
    assert chosen == [SPEC, SPEC]


# --- judging ----------------------------------------------------------------------------------


def judged(
    arms: dict[tuple[int, bool], float], *, classes: int = 3, rows: int = 600, seeds: int = 6
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of made-up answers: of each arm (cell, random) the share of rows that are answered rightly."""
    random = np.random.default_rng(0)
    label_n = np.arange(rows) % classes
    ease_n = random.random(rows)
    lines = []
    for seed in range(seeds):
        noise_n = random.normal(0, 0.02, rows)
        for (cell, is_random), right in arms.items():
            wrong_n = (label_n + 1) % classes
            pred_n = np.where(ease_n + noise_n < right, label_n, wrong_n).astype(np.int16)
            score_n = (pred_n == 1) * 0.5 + ease_n * 0.25 if classes == 2 else None
            lines.append(["e", seed, cell, is_random, pred_n, pred_n, score_n])
    columns = [
        *(CellPredictions.ENCODER, CellPredictions.SEED, CellPredictions.CELL, CellPredictions.RANDOM),
        *(CellPredictions.PRED_VAL, CellPredictions.PRED_TEST, CellPredictions.SCORE_TEST),
    ]
    masks = [
        np.ones(90, dtype=bool),
        *(np.arange(90) < 60 for _ in range(1, 1 + max(cell for cell, _ in arms))),
    ]
    cells = [
        Cell(i, Everything() if i == 0 else parse(f"clip>=top{70 - i}%"), False, m)
        for i, m in enumerate(masks)
    ]
    judge = Judge(
        cells,
        [f"class {i}" for i in range(classes)],
        LabelledRows(np.arange(90) % classes, label_n, label_n, np.arange(90) >= 50),
        seed=0,
    )
    return judge.tables(
        pd.DataFrame(lines, columns=columns), specs={("e", cell.number): SPEC for cell in cells}
    )


def test_a_cell_helps_only_if_it_beats_the_baseline_and_as_many_rows_at_random() -> None:
    table, _ = judged(
        {
            (0, False): 0.6,
            (1, False): 0.8,
            (1, True): 0.55,
            (2, False): 0.8,
            (2, True): 0.8,
            (3, False): 0.4,
            (3, True): 0.4,
        }
    )
    assert table[Ablation.VERDICT].tolist() == [
        Verdict.BASELINE,
        Verdict.HELPS,
        Verdict.UNCLEAR,
        Verdict.HURTS,
    ]
    assert table[Ablation.EFFECT].iloc[1] == pytest.approx(0.2, abs=0.03)
    assert table[Ablation.OVER_RANDOM].iloc[1] == pytest.approx(0.25, abs=0.03)
    low, high = (table[Ablation.EFFECT + end].iloc[1] for end in (Ablation.LOW, Ablation.HIGH))
    assert 0.1 < low < table[Ablation.EFFECT].iloc[1] < high < 0.3


def test_a_cell_that_answers_as_the_baseline_does_has_no_effect() -> None:
    table, classes = judged({(0, False): 0.6, (1, False): 0.6, (1, True): 0.6})
    assert table[Ablation.EFFECT].iloc[1] == 0
    assert table[Ablation.EFFECT_P].iloc[1] == 1
    assert table[Ablation.VERDICT].iloc[1] == Verdict.UNCLEAR
    assert "→" not in advise(table, classes, seeds=6, drawn="600 test rows")
    assert (classes[classes[AblationClasses.CELL] == 1][AblationClasses.EFFECT] == 0).all()


def test_the_cell_best_on_validation_is_the_chosen_one_and_gets_half_of_the_false_alarms_allowed() -> None:
    shares = {
        (0, False): 0.6,
        **{(i, r): 0.6 if r else 0.62 + 0.01 * (i == 2) for i in range(1, 5) for r in (False, True)},
    }
    table, _ = judged(shares)
    assert table[Ablation.CHOSEN].tolist() == [False, False, True, False, False]
    p, adjusted = (table[name].iloc[2] for name in (Ablation.EFFECT_P, Ablation.EFFECT_P_HOLM))
    assert adjusted == pytest.approx(2 * p)


def test_what_a_filter_throws_out_is_held_against_what_is_known_to_be_spoiled() -> None:
    table, classes = judged({(0, False): 0.6, (1, False): 0.6, (1, True): 0.6})
    row = table.iloc[1]
    assert (row[Ablation.REMOVED], row[Ablation.CORRUPTED]) == (30, 40)
    assert (row[Ablation.PRECISION], row[Ablation.RECALL]) == (1.0, 0.75)
    assert classes[classes[AblationClasses.CELL] == 1][AblationClasses.KEPT].tolist() == [20, 20, 20]
    assert classes[AblationClasses.TEST].tolist() == [200] * 6


def test_two_classes_have_sensitivity_specificity_and_auroc_with_intervals() -> None:
    table, _ = judged({(0, False): 0.6, (1, False): 0.7, (1, True): 0.6}, classes=2)
    for name in (Ablation.AUROC, Ablation.SENSITIVITY, Ablation.SPECIFICITY):
        assert (table[name + Ablation.LOW] < table[name]).all()
        assert (table[name] < table[name + Ablation.HIGH]).all()
    said = "\n".join(most_telling(table))
    assert "AUROC 0." in said
    assert "sensitivity 0." in said


# --- advice -----------------------------------------------------------------------------------


def test_advice_names_the_chosen_cell_its_effect_against_both_and_the_classes_it_costs() -> None:
    table, classes = judged({(0, False): 0.6, (1, False): 0.8, (1, True): 0.55})
    said = advise(table, classes, seeds=6, drawn="600 test rows")
    assert said.startswith("Use clip>=top69%: macro-F1 +0.203 [+0.174, +0.233] over all rows.\n")
    assert "Best on validation: clip>=top69%, 60 rows kept" in said
    assert "Over all rows: +0.203 [+0.174, +0.233] (p < 0.001)." in said
    before, after, gain, low, high = map(
        float,
        re.search(
            r"clip>=top69%: macro-F1 (.+) → (.+), \+(.+) % \[(.+), (.+)\] over all rows", said
        ).groups(),  # type: ignore[union-attr]
    )
    assert gain == pytest.approx(100 * (after / before - 1), abs=0.7)
    assert low < gain < high
    assert re.search(r"Over as many random rows: \+0\.\d+ \[.*\] \(p < 0.001\)", said)
    assert "no class loses" in said
    assert "100% of the 30 rows that clip>=top69% removes are known bad" in said


def test_advice_does_not_call_a_cell_helpful_that_only_looks_better() -> None:
    table, classes = judged({(0, False): 0.6, (1, False): 0.61, (1, True): 0.6}, rows=120)
    said = advise(table, classes, seeds=6, drawn="120 test rows")
    assert said.startswith("Keep all rows: clip>=top69% is not shown to help, macro-F1 ")
    assert "or more would have shown (80 % power for 2 comparisons)" in said


def test_advice_says_so_where_the_baseline_is_best_or_alone() -> None:
    table, classes = judged({(0, False): 0.8, (1, False): 0.6, (1, True): 0.7})
    said = advise(table, classes, seeds=6, drawn="600 test rows")
    assert said.startswith("Keep all rows: no filter is better on validation")
    assert "filter hurts" in said or "filters hurt" in said
    alone = table.iloc[:1]
    assert "Only the baseline was trained" in advise(alone, classes, seeds=6, drawn="600 test rows")


def test_a_conclusion_begins_with_its_verdict_and_keeps_every_line_short() -> None:
    for f1 in (0.8, 0.61, 0.5):
        table, classes = judged({(0, False): 0.6, (1, False): f1, (1, True): 0.55}, rows=120)
        first, *rest = advise(table, classes, seeds=6, drawn="120 test rows").split("\n")
        assert wording.count(first) <= wording.VERDICT
        assert not wording.too_long(rest, wording.CAPTION)
        assert not wording.banned([first, *rest])
