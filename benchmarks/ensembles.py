"""Ensemble or best trial? ``python benchmarks/ensembles.py [--sets 60] [--data FILE.npz …]``.

Small sets of labelled rows are drawn and searched with five-fold cross-validation (24 trials, two seeds, 30
epochs). Both the best candidate and the greedy ensemble are trained on all their rows; both then answer many
rows that nothing has seen. Three rules are compared: the ensemble where its log-loss out of fold is lower by
more than chance; where it is lower; always. The first two do without it where its macro-F1 is worse by more
than chance.

Sets are drawn from eight Gaussian classes (250 rows; 20,000 new ones) and, of each FILE of features, from its
train and val rows (20 classes, 10 rows of each; all others of these classes are new). Test rows are not used.

Prints one JSON line: for each source and rule how often the ensemble is taken, and the difference to the best
trial on new rows, as a mean over sets with its 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.honesty_checks.small_search import gaussian_classes, search_small  # noqa: E402
from trainer.stats.intervals import accuracy, confusion_matrix, f1_macro, mean_difference  # noqa: E402

GAUSSIAN = "gaussian"
CLASSES, ROWS_PER_CLASS = 20, 10  # of a set drawn from a file
TRIALS, EPOCHS = 24, 30
RULES = ("lower by more than chance", "lower", "always")
MEASURES = ("accuracy", "macro_f1", "log_loss")


def drawn(source: str, random: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from, and new ones."""
    if source == GAUSSIAN:
        return gaussian_classes(random)
    with np.load(source) as arrays:
        x_nd = np.concatenate([arrays["train_x"], arrays["val_x"]]).astype(np.float32)
        label_n = np.concatenate([arrays["train_y"], arrays["val_y"]])
    chosen = np.sort(random.choice(np.unique(label_n), CLASSES, replace=False))
    kept = np.isin(label_n, chosen)
    x_nd, label_n = x_nd[kept], np.searchsorted(chosen, label_n[kept])
    shuffled = random.permutation(len(label_n))
    learned = np.concatenate([shuffled[label_n[shuffled] == one][:ROWS_PER_CLASS] for one in range(CLASSES)])
    new = np.setdiff1d(shuffled, learned)
    return [(x_nd[learned], label_n[learned]), (x_nd[new], label_n[new])]


def searched(learned: tuple[np.ndarray, np.ndarray], seed: int) -> dict[str, Any]:
    """Both heads, trained on all rows, and which rule takes the ensemble."""
    from trainer.heads.ensemble import greedy_weights, mean_of

    done = search_small(learned, seed=seed, trials=TRIALS, path=TRIALS // 2, epochs=EPOCHS)
    choice, found = done.choice, done.found
    every_kmc = np.stack([one.probability_mc for one in found])
    weight_k = greedy_weights(every_kmc, done.folds.judged_labels, seed=seed)
    ensemble = {one.trial.number: float(w) for one, w in zip(found, weight_k, strict=True) if w}
    chosen = {
        "best": ({found[0].trial.number: 1.0}, found[0].probability_mc),
        "ensemble": (ensemble, mean_of(every_kmc, weight_k)),
    }
    heads = {
        name: done.hand_over(choice._replace(weights=weights, probability_mc=p_mc))
        for name, (weights, p_mc) in chosen.items()
    }
    not_worse = choice.lead.high >= 0
    taken = (not_worse and choice.gain.low > 0, not_worse and choice.gain.value > 0, True)
    return {"heads": heads, "taken": dict(zip(RULES, taken, strict=True))}


def of_one_set(job: tuple[str, int]) -> dict[str, Any]:
    """Which rule takes the ensemble, and how much more it is worth on new rows."""
    import torch

    torch.set_num_threads(1)  # as many processes as processors
    source, number = job
    learned, (new_nd, new_label_n) = drawn(source, np.random.default_rng(number))
    found = searched(learned, number)
    worth = {}
    for name, head in found["heads"].items():
        p_nc = head.probabilities(torch.as_tensor(new_nd)).numpy()
        confusion = confusion_matrix(new_label_n, p_nc.argmax(1), classes=p_nc.shape[1])
        own_p_n = p_nc[np.arange(len(new_label_n)), new_label_n]
        loss = float(-np.log(np.maximum(own_p_n, np.finfo(np.float32).tiny)).mean())
        worth[name] = np.array([float(accuracy(confusion)), float(f1_macro(confusion)), loss])
    return {"source": source, "taken": found["taken"], "more": worth["ensemble"] - worth["best"]}


def compared(sets: list[dict[str, Any]]) -> dict[str, Any]:
    """Each rule's difference to the best trial, over sets."""
    figures: dict[str, Any] = {"sets": len(sets)}
    for rule in RULES:
        taken_n = np.array([one["taken"][rule] for one in sets])
        more_nm = np.array([one["more"] for one in sets]) * taken_n[:, None]
        differences = {
            measure: [round(value, 4) for value in mean_difference(more_nm[:, column])]
            for column, measure in enumerate(MEASURES)
        }
        figures[rule] = {"taken": int(taken_n.sum()), **differences}
    return figures


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--sets", type=int, default=60)
    flags.add_argument(
        "--data", nargs="*", default=[], help="files of features with train_x, train_y, val_x, val_y"
    )
    asked = flags.parse_args()
    sources = [GAUSSIAN, *asked.data]
    jobs = [(source, number) for number in range(asked.sets) for source in sources]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        found = list(processes.map(of_one_set, jobs))
    groups = {Path(source).stem: [one for one in found if one["source"] == source] for source in sources}
    print(json.dumps({**{name: compared(sets) for name, sets in groups.items()}, "all": compared(found)}))


if __name__ == "__main__":
    main()
