"""What training takes is estimated before it begins, and refused where it is not free."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.paths import REPO
from trainer.core import memory
from trainer.core.errors import InputError
from trainer.heads.folded_population import FoldedPopulation
from trainer.heads.head_config import HeadSpec
from trainer.heads.memory_estimate import groups_that_fit, population_bytes
from trainer.heads.population import Population
from trainer.heads.resampling import crossed
from trainer.heads.training_data import TrainingData, to_training_data

# trains in a process of its own, and prints the estimate and how much the peak grew
CHILD = """
import json, sys
import numpy as np, torch
from trainer.heads.head_config import HeadSpec
from trainer.heads.memory_estimate import population_bytes
from trainer.heads.population import Population
from trainer.heads.training_data import to_training_data

def status(name):
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])

def rows(count, features, classes):
    y = np.arange(count) % classes
    x = np.random.default_rng(0).normal(size=(count, features)).astype(np.float32)
    return to_training_data((x, y), (x[:100], y[:100]), classes=classes)

torch.set_num_threads(1)
case = json.loads(sys.argv[1])
specs = [HeadSpec(**dict(spec, hidden=tuple(spec.get("hidden", ())))) for spec in case["specs"]]
Population(specs, rows(100, 8, 2), seeds=[0]).train(1)  # what torch loads once is not counted
data, specs, seeds = rows(*case["rows"]), specs * case["times"], case["seeds"]
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
Population(specs, data, seeds=range(seeds), slab_bytes=case["slab"]).train(2)
print(population_bytes(specs, data, seeds=seeds, slab_bytes=case["slab"]), status("VmHWM") - before)
"""
CLOSED = [{"solver": "lbfgs"}, {"solver": "gda"}, {"solver": "ridge"}]
CASES: dict[str, dict[str, Any]] = {
    "hidden": {"rows": (2000, 768, 10), "specs": [{"hidden": [256]}], "times": 12, "seeds": 3, "slab": None},
    "slabs": {"rows": (2000, 768, 10), "specs": [{"hidden": [256]}], "times": 12, "seeds": 3, "slab": 8e6},
    "many classes": {"rows": (6000, 64, 3000), "specs": [{}], "times": 8, "seeds": 2, "slab": None},
    "many classes, closed": {"rows": (8000, 64, 4000), "specs": CLOSED, "times": 2, "seeds": 1, "slab": None},
    "wide, closed": {"rows": (400, 12000, 5), "specs": CLOSED, "times": 4, "seeds": 1, "slab": None},
    "square": {"rows": (3000, 2048, 100), "specs": CLOSED, "times": 4, "seeds": 1, "slab": None},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_estimate_is_within_a_factor_of_two_of_what_is_taken(name: str) -> None:
    command = [sys.executable, "-c", CHILD, json.dumps(CASES[name])]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    estimated, taken = map(int, done.stdout.split())
    assert 0.5 < estimated / taken < 2, (estimated, taken)


def small(classes: int = 3) -> TrainingData:
    y = np.arange(60) % classes
    x = np.random.default_rng(0).normal(size=(60, 8)) + y[:, None]
    return to_training_data((x, y), (x[:9], y[:9]), classes=classes)


def allow(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: budget)


def test_heads_that_do_not_fit_are_refused_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, 1_000_000)
    sentence = (
        r"Training 9 heads on 60 rows of 8 features in 3 classes needs about .* GB of memory; 0.0 GB may"
    )
    with pytest.raises(InputError, match=sentence):
        Population([HeadSpec(hidden=(256,))] * 9, small(), seeds=[0])
    parts = crossed(small(), (np.arange(60) % 3)[None]).parts
    with pytest.raises(InputError, match="Training 9 heads"):
        FoldedPopulation([HeadSpec(hidden=(256,), weights="last")] * 3, parts, seeds=[0])


def test_heads_trained_in_groups_that_fit_are_those_trained_together(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [HeadSpec(hidden=(8 + k,), epochs=3, dropout=0.1) for k in range(6)]
    assert groups_that_fit(specs, [small()], seeds=2) == [[0, 1, 2, 3, 4, 5]]
    together = Population(specs, small(), seeds=[0, 1])
    together.train(3)
    allow(monkeypatch, population_bytes(specs[:2], small(), seeds=2) + 1000)
    groups = groups_that_fit(specs, [small()], seeds=2)
    assert len(groups) > 1
    assert [k for group in groups for k in group] == [0, 1, 2, 3, 4, 5]
    for group in groups:
        part = Population([specs[k] for k in group], small(), seeds=[0, 1])
        part.train(3)
        for index, k in enumerate(group):
            own, other = part.head(index, seed_index=1), together.head(k, seed_index=1)
            assert all(torch.equal(own.tensors[name], other.tensors[name]) for name in own.tensors)


def test_the_free_memory_is_told_by_the_system() -> None:
    assert 10**7 < memory.available_bytes() < 10**14
    assert memory.gigabytes(3.21e9) == "3.2 GB"
