"""Cross-validating many heads at once gives what a loop over heads and folds gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from trainer.heads.closed_form_cohort import INDICATOR_SCALE
from trainer.heads.folded_population import FoldedPopulation, judged_at_its_end
from trainer.heads.head_config import ClassWeight, HeadSpec
from trainer.heads.population import Population
from trainer.heads.resampling import Folds, crossed, holdout
from trainer.heads.training_data import TrainingData, to_training_data
from trainer.stats.objective import ACCURACY, AUROC, BALANCED, NLL, OBJECTIVES, Objective

CLASSES, ROWS, EPOCHS, SEEDS = 3, 75, 7, (3, 4)
SPECS = [
    judged_at_its_end(spec)
    for spec in (
        HeadSpec(hidden=(8,), epochs=EPOCHS, batch_size=16, dropout=0.3, scheduler="plateau", patience=1),
        HeadSpec(hidden=(8,), epochs=EPOCHS, batch_size=16, optimizer="sgd", scaling="standardise"),
        HeadSpec(epochs=EPOCHS, batch_size=32, class_weight="balanced", output="cosine"),
        HeadSpec(solver="lbfgs", l2=0.01, epochs=300),
        HeadSpec(solver="gda", shrinkage=0.2, scaling="standardise"),
        HeadSpec(solver="ridge", l2=0.05, class_weight="balanced"),
    )
]


def rows() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = np.arange(ROWS) % CLASSES
    return random.normal(size=(CLASSES, 6))[y] + random.normal(size=(ROWS, 6)), y


def learning() -> TrainingData:
    x, y = rows()
    return to_training_data((x, y), (x[:0], y[:0]), classes=CLASSES, dtype=torch.float64)


def folds(repeats: int = 1) -> Folds:
    fold_rn = np.stack([np.random.default_rng(r).permutation(ROWS) % 5 for r in range(repeats)])
    return crossed(learning(), fold_rn)


@pytest.mark.parametrize("repeats", [1, 2])
def test_it_is_a_loop_over_heads_and_folds(repeats: int) -> None:
    by_fold = folds(repeats)
    population = FoldedPopulation(SPECS, by_fold.parts, seeds=SEEDS)
    population.train(EPOCHS)
    x, y = rows()
    for head, spec in enumerate(SPECS):
        outcome = population.outcome(head)
        said = {seed: np.zeros((repeats * ROWS, CLASSES)) for seed in SEEDS}
        labels = np.zeros(repeats * ROWS, dtype=np.int64)
        for part, out in enumerate(by_fold.judged):
            kept = np.setdiff1d(np.arange(ROWS), out)
            at = out + part // 5 * ROWS
            labels[at] = y[out]
            for seed in SEEDS:
                data = to_training_data(
                    (x[kept], y[kept]), (x[out], y[out]), classes=CLASSES, dtype=torch.float64
                )
                alone = Population([spec], data, seeds=[seed])
                alone.train(EPOCHS)
                said[seed][at] = alone.head(0, seed_index=0).logits(torch.from_numpy(x[out])).log_softmax(1)
        for index, seed in enumerate(SEEDS):
            expected = f1_score(labels, said[seed].argmax(1), average="macro")
            assert outcome.val_f1_macro_s[index] == pytest.approx(expected, abs=1e-9)
            right = (said[seed].argmax(1) == labels).mean()
            assert outcome.val_accuracy_s[index] == pytest.approx(right, abs=1e-9)
            loss = -said[seed][np.arange(len(labels)), labels].mean()
            assert outcome.val_loss_s[index] == pytest.approx(loss, abs=1e-9)


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize("features", [6, 90])  # fewer and more than rows
def test_folded_ridge_regressions_are_those_of_the_normal_equations(
    features: int, class_weight: ClassWeight
) -> None:
    random = np.random.default_rng(1)
    y = random.choice(CLASSES, size=ROWS, p=[0.6, 0.3, 0.1])
    x = 3 + random.normal(size=(CLASSES, features))[y] + random.normal(size=(ROWS, features))
    data = to_training_data((x, y), (x[:0], y[:0]), classes=CLASSES, dtype=torch.float64)
    by_fold = crossed(data, random.permutation(ROWS)[None] % 5)
    strengths = (1e-3, 0.1, 10.0)
    specs = [
        judged_at_its_end(HeadSpec(solver="ridge", l2=l2, class_weight=class_weight)) for l2 in strengths
    ]
    population = FoldedPopulation(specs, by_fold.parts, seeds=[0])
    population.train(1)
    for part, out in zip(population.populations, by_fold.judged, strict=True):
        kept = np.setdiff1d(np.arange(ROWS), out)
        centred = x[kept] - x[kept].mean(0)
        factor = 1 / np.sqrt((centred**2).mean())
        z, target = factor * centred, np.eye(CLASSES)[y[kept]]
        weight = np.ones(len(kept)) if class_weight == "none" else 1 / np.bincount(y[kept])[y[kept]]
        weight /= weight.sum()
        mean, level = weight @ z, weight @ target
        covariance = (z - mean).T @ (weight[:, None] * (z - mean))
        along = (z - mean).T @ (weight[:, None] * (target - level))
        for index, l2 in enumerate(strengths):
            coefficients = np.linalg.solve(covariance + l2 * np.eye(features), along)
            expected = level + (factor * (x[out] - x[kept].mean(0)) - mean) @ coefficients
            logits = part.head(index, seed_index=0).logits(torch.from_numpy(x[out]))
            np.testing.assert_allclose(logits.numpy() / INDICATOR_SCALE, expected, atol=1e-8)


@pytest.mark.parametrize(
    "objective", [one for one in OBJECTIVES.values() if one.target == "class"], ids=lambda one: one.name
)
def test_each_objective_is_computed_once_from_the_answers_of_all_parts(objective: Objective) -> None:
    x, y = rows()
    fold_rn = np.random.default_rng(0).permutation(ROWS)[None] % 5
    by = crossed(learning().judged_by(objective), fold_rn)
    population = FoldedPopulation(SPECS[1:], by.parts, seeds=SEEDS)
    for epochs in (2, EPOCHS):
        population.train(epochs)
        for head in range(len(SPECS) - 1):
            outcome = population.outcome(head)
            for index in range(len(SEEDS)):
                p_nc = np.zeros((ROWS, CLASSES))
                for part, out in zip(population.populations, by.judged, strict=True):
                    one = part.heads(head)
                    p_nc[out] = one[min(index, len(one) - 1)].logits(torch.from_numpy(x[out])).softmax(1)
                assert outcome.score_s[index] == pytest.approx(objective.of(y, p_nc).value, abs=1e-6)
            assert outcome.score == pytest.approx(outcome.score_s.mean())


@pytest.mark.parametrize(
    ("objective", "curve", "sign"),
    [
        (ACCURACY, "val_accuracy", 1),
        (BALANCED, "val_balanced_accuracy", 1),
        (NLL, "val_loss", -1),
        (AUROC, "val_loss", -1),
    ],
)
def test_with_a_holdout_the_epoch_is_the_best_by_the_objective(
    objective: Objective, curve: str, sign: int
) -> None:
    x, y = rows()
    data = to_training_data((x[:45], y[:45]), (x[45:], y[45:]), classes=CLASSES).judged_by(objective)
    spec = HeadSpec(hidden=(16,), epochs=12, batch_size=8, lr=0.03, patience=12)
    population = FoldedPopulation([spec], [data], seeds=SEEDS)
    population.train(12)
    outcome = population.outcome(0)
    assert outcome.best_epoch_s.tolist() == ((sign * outcome.curves[curve]).argmax(1) + 1).tolist()
    for index, one in enumerate(population.populations[0].heads(0)):
        p_nc = one.logits(data.val.x_nd).softmax(1).numpy()
        assert outcome.score_s[index] == pytest.approx(objective.of(y[45:], p_nc).value, abs=1e-5)


def test_what_is_held_out_is_the_mean_over_seeds_of_heads_that_had_not_learned_the_row() -> None:
    by_fold = folds()
    population = FoldedPopulation(SPECS, by_fold.parts, seeds=SEEDS)
    population.train(EPOCHS)
    x, _ = rows()
    for head in range(len(SPECS)):
        held_out = population.held_out(head, judged=by_fold.judged)
        for part, out in zip(population.populations, by_fold.judged, strict=True):
            mean = np.mean(
                [part.head(head, seed_index=s).probabilities(torch.from_numpy(x[out])) for s in (0, 1)],
                axis=0,
            )
            np.testing.assert_allclose(np.exp(held_out[out].astype(float)), mean, atol=2e-3)


def test_of_one_part_it_is_the_population_of_that_part() -> None:
    x, y = rows()
    part = to_training_data((x[:50], y[:50]), (x[50:], y[50:]), classes=CLASSES, dtype=torch.float64)
    held_out = holdout(part, learning())
    specs = [HeadSpec(hidden=(8,), epochs=EPOCHS, patience=2), SPECS[3]]
    population = FoldedPopulation(specs, held_out.parts, seeds=SEEDS)
    population.train(EPOCHS)
    alone = Population(specs, part, seeds=SEEDS)
    alone.train(EPOCHS)
    for head in range(2):
        assert np.array_equal(population.outcome(head).val_f1_macro_s, alone.outcome(head).val_f1_macro_s)
    answers = population.held_out(0, judged=held_out.judged)
    assert answers.shape == (ROWS - 50, CLASSES)
    assert held_out.judged_rows.tolist() == list(range(50, ROWS))


def test_heads_go_on_together_as_they_would_have_alone() -> None:
    by_fold = folds()
    whole = FoldedPopulation(SPECS[:2], by_fold.parts, seeds=SEEDS)
    whole.train(EPOCHS)
    first, second = (FoldedPopulation([spec], by_fold.parts, seeds=SEEDS) for spec in SPECS[:2])
    for population in (first, second):
        population.train(3)
    together = FoldedPopulation.gathered([(first, 0), (second, 0)])
    together.train(EPOCHS)
    for head in range(2):
        ours, expected = together.outcome(head), whole.outcome(head)
        np.testing.assert_allclose(ours.curves["val_f1_macro"], expected.curves["val_f1_macro"], atol=1e-9)


def test_a_head_that_would_choose_its_epoch_on_the_rows_that_judge_it_is_refused() -> None:
    with pytest.raises(ValueError, match="last weights"):
        FoldedPopulation([HeadSpec()], folds().parts, seeds=[0])


def test_rows_without_any_to_validate_on_are_learned_to_the_end() -> None:
    population = Population(SPECS, learning(), seeds=SEEDS)
    population.train(300)
    assert population.running == []
    for head, spec in enumerate(SPECS):
        outcome = population.outcome(head)
        assert not outcome.failed
        assert spec.solver != "descent" or outcome.epochs == EPOCHS
        losses = outcome.curves["train_loss"]
        assert (losses[:, -1] <= losses[:, 0]).all()
        assert np.isnan(outcome.curves["val_loss"]).all()


def test_a_head_that_fails_on_one_part_goes_no_further_on_the_others() -> None:
    by_fold = folds()
    by_fold.parts[2].val.x_nd[0] = torch.nan
    population = FoldedPopulation(SPECS[:3], by_fold.parts, seeds=SEEDS)
    population.train(2)
    assert [part.outcome(0).failed for part in population.populations] == [i == 2 for i in range(5)]
    assert population.running == []
    assert all(population.outcome(head).failed for head in range(3))
