"""What a search costs beside training, by the trials on record: ``python benchmarks/coordinator.py``.

A crew of 16 trials is proposed, judged at two rungs, put on record in a local store and told to the study,
with studies of growing length; nothing is trained. Seconds are medians over crews; that of rewriting the
tables, which happens once a sixteenth of the trials is new, is spread over the crews in between. Prints one
JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.core.console import say
from trainer.experiments.study_tables import GROWTH, StudyTables
from trainer.heads.outcome import CURVE_METRICS, Outcome
from trainer.search.loop import TrialRecord
from trainer.search.space import Space, load_space
from trainer.search.study import FinishedTrial, Proposal, Study
from trainer.search.trial_log import TrialLog, curves_frame, trials_frame
from trainer.tracking.writer import RunWriter

CREW, SEEDS, EPOCHS, RUNGS = 16, 2, 20, (2, 6)
MADE = 1000  # different trials of which a long study is made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--crews", type=int, default=15)
    arguments = parser.parse_args()
    space, figures = load_space(), {}
    for trials in arguments.trials:
        figures[trials] = measured(space, trials, crews=arguments.crews)
        say(f"{trials:>7,} trials: " + ", ".join(f"{k} {v:.4f}" for k, v in figures[trials].items()))
    each = [one["crew_s"] for one in figures.values()]
    print(json.dumps({"seconds": figures, "largest_over_smallest": round(max(each) / min(each), 2)}))


def record(proposal: Proposal, random: np.random.Generator) -> TrialRecord:
    """A trial as if it had been trained."""
    curves = {name: random.random((SEEDS, EPOCHS)).astype(np.float32) for name in CURVE_METRICS}
    score_of = {name: random.random(SEEDS) for name in CURVE_METRICS if name.startswith("val_")}
    outcome = Outcome(np.full(SEEDS, 3), score_of, failed=False, curves=curves)
    now = time.time()
    return TrialRecord(
        *(proposal.number, proposal.params, "complete", outcome, 1000, now, now),
        rungs={epoch: float(random.random()) for epoch in RUNGS},
    )


def study_of(space: Space, trials: int, random: np.random.Generator) -> tuple[Study, TrialLog]:
    """A study with so many trials on record."""
    drawn = Study(space, seed=0, pruner="none", path=0).ask(min(trials, MADE))
    records = [record(proposal, random) for proposal in drawn]
    rows, curves = trials_frame(records, began=time.time()), curves_frame(records)
    times = math.ceil(trials / len(records))
    many = pd.concat([rows.assign(trial=rows["trial"] + i * len(rows)) for i in range(times)])
    more = pd.concat([curves.assign(trial=curves["trial"] + i * len(rows)) for i in range(times)])
    log, study = TrialLog(many, more), Study(space, seed=0, pruner="median", path=0)
    study.recall(log.finished)
    return study, log


def measured(space: Space, trials: int, *, crews: int) -> dict[str, float]:
    """Median seconds of a crew, by what they go to."""
    random = np.random.default_rng(0)
    study, log = study_of(space, trials, random)
    spent: defaultdict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        where = {"tracking_uri": f"sqlite:///{folder}/mlflow.db", "experiment": "e", "study": "s"}
        with RunWriter.start(**where, tags={}, params={}, config_yaml="") as writer:
            tables = StudyTables(writer, log)
            began = time.perf_counter()
            tables.write([])  # of a study that is resumed: whole
            rewriting_s = time.perf_counter() - began
            for _ in range(crews):
                crew(study, log, tables, random, spent)
    figures = {name: statistics.median(values) for name, values in spent.items()}
    figures["rewriting_spread"] = rewriting_s / max(trials / GROWTH / CREW, 1)
    return {name: round(value, 5) for name, value in figures.items()} | {
        "rewriting_once": round(rewriting_s, 3),
        "crew_s": round(sum(figures.values()), 4),
    }


def crew(
    study: Study,
    log: TrialLog,
    tables: StudyTables,
    random: np.random.Generator,
    spent: defaultdict[str, list[float]],
) -> None:
    """One crew, with the seconds of each step added to ``spent``."""

    def note(name: str, began: float) -> float:
        now = time.perf_counter()
        spent[name].append(now - began)
        return now

    at = time.perf_counter()
    proposals = study.ask(CREW)
    note("proposing", at)
    records = [record(one, random) for one in proposals]
    at = time.perf_counter()
    for epoch in RUNGS:
        study.to_prune({one.number: one.rungs[epoch] for one in records}, epoch=epoch)
    at = note("judging", at)
    log.add(records)
    log.best()
    at = note("adding", at)
    tables.write([])
    at = note("writing", at)
    for one in records:
        study.tell(FinishedTrial(one.number, one.params, "complete", one.outcome.score, one.rungs))
    note("telling", at)


if __name__ == "__main__":
    main()
