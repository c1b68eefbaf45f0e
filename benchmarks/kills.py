"""A sweep killed at random moments: ``python benchmarks/kills.py [--kills 30]``.

``python -m trainer.sweep`` is killed (SIGKILL) at a moment drawn between its first word (the libraries
are imported and the data is read by then) and its likely end, and resumed by its study's name, again
and again; a finished study is followed by a new one in the same store. Before half of the resumptions
the dead run's heartbeat is put back in time, as if the next command came later: it closes the run as
lost then. After each kill the store and the table of trials are read; a finished study is held against
one that nobody disturbed. Prints one JSON line:

- in_search: kills of commands that had put trials on record and had others before them;
- lost: finished trials that were missing, or had another score, after a later kill;
- doubled: trials that stood twice in the table, or had two whole child runs;
- unreadable: times that the store or a table could not be read whole;
- unlabelled: runs still RUNNING after a later command had taken over from the process that wrote them;
- final_counts_exact: every study ended FINISHED with each trial once, in the table and among the child
  runs;
- identical: trials with the same parameters as one of the undisturbed study have its scores, to the bit.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.core.config import command_line
from trainer.core.console import say
from trainer.experiments.sweep.config import SweepConfig
from trainer.tracking import database
from trainer.tracking.client import connect, local_folder, runs, tag_filter
from trainer.tracking.schema import (
    HEARTBEAT_LOST_S,
    PARAM_PREFIX,
    Artifact,
    RunState,
    Summary,
    Tag,
    Trials,
    TrialState,
)
from trainer.tracking.studies import StudyRun, find_study

# Small heads that take long, in small batches: most kills shall fall into the search, in all its places.
SPACE = {"width": {"choice": [8, 16]}, "epochs": 27, "patience": 27}
AT_ONCE = 4


# --- commands ---------------------------------------------------------------------------------


class Pace(NamedTuple):
    """How long an undisturbed command takes from its first word on, in seconds."""

    search_s: float
    rest_s: float

    def draw_moment(self, rng: np.random.Generator, *, missing: float) -> float | None:
        """When to kill a command that has this share of the trials (0 to 1) before it; None: not at all.

        Mostly in the search, and sometimes in what comes after it.
        """
        if missing == 0:
            return float(rng.uniform(0, self.rest_s)) if rng.random() < 0.3 else None
        return float(rng.uniform(0, missing * self.search_s + self.rest_s / 2))


def start(config: SweepConfig) -> subprocess.Popen[str]:
    """A sweep that has said its first word."""
    words = shlex.split(command_line("trainer.sweep", config))
    process = subprocess.Popen(
        [sys.executable, *words[1:]],
        cwd=Path(__file__).resolve().parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    process.stderr.readline()
    return process


def measure(config: SweepConfig) -> Pace:
    """Let a sweep run undisturbed."""
    process = start(config)
    began = time.perf_counter()
    figures = json.loads(ended(process)[0])
    search_s = config.trials / figures[Summary.TRIALS_PER_S]
    return Pace(search_s, time.perf_counter() - began - search_s)


def is_killed(config: SweepConfig, *, after_s: float | None) -> bool:
    """Run a sweep; returns whether it was killed before it had ended."""
    process = start(config)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
    return ended(process)[1]


def ended(process: subprocess.Popen[str]) -> tuple[str, bool]:
    """What a command printed, and whether it was killed."""
    printed, said = process.communicate()
    if process.returncode not in (0, -9):
        raise SystemExit(f"a sweep failed by itself (status {process.returncode}): {said}")
    return printed, process.returncode != 0


# --- what is in the store ---------------------------------------------------------------------


class Sight(NamedTuple):
    """A study as it lies in the store."""

    status: str  # of the parent run
    scores: dict[int, float]  # of finished trials in the table
    twice: int  # finished trials, and whole child runs, beyond the first of their number
    children: list[int]  # trials of the whole child runs
    half_written: set[str]  # ids of child runs that are RUNNING


NOTHING = Sight("", {}, 0, [], set())


def look(config: SweepConfig) -> Sight:
    """Raises whatever a damaged store or table makes its reader raise."""
    path = database.sqlite_path(config.tracking_uri)
    with closing(sqlite3.connect(path)) as connection:
        answer = connection.execute("PRAGMA integrity_check").fetchall()
    if answer != [("ok",)]:
        raise sqlite3.DatabaseError(f"integrity_check: {answer}")
    study = find_study(config.tracking_uri, config.experiment, config.study or "")
    if study is None:
        return NOTHING
    client = connect(config.tracking_uri)
    parent = client.get_run(study.run_id)
    finished = finished_trials(config, study)
    below = list(runs(client, parent.info.experiment_id, where=tag_filter(Tag.PARENT, study.run_id)))
    whole = [r for r in below if r.info.status != "RUNNING" and Tag.STOPPED not in r.data.tags]
    children = sorted(int(run.data.tags[Tag.TRIAL]) for run in whole)
    scores = dict(zip(finished[Trials.TRIAL], finished[Trials.VAL_F1_MACRO], strict=True))
    return Sight(
        status=parent.info.status,
        scores=scores,
        twice=len(finished) - len(scores) + len(children) - len(set(children)),
        children=children,
        half_written={run.info.run_id for run in below if run.info.status == "RUNNING"},
    )


def finished_trials(config: SweepConfig, study: StudyRun) -> pd.DataFrame:
    """The finished rows of TRIALS, by number; none where there is no table yet."""
    folder = local_folder(connect(config.tracking_uri).get_run(study.run_id).info.artifact_uri)
    assert folder is not None
    path = folder / Artifact.TRIALS
    if not path.exists():
        return pd.DataFrame(columns=[Trials.TRIAL, Trials.STATE, Trials.VAL_F1_MACRO])
    table = pd.read_parquet(path)
    return table[table[Trials.STATE] != TrialState.RUNNING].sort_values(Trials.TRIAL, ignore_index=True)


def lost_between(before: Sight, after: Sight) -> int:
    """Trials that are missing now, or have another score. A failed one has none (NaN), twice."""
    return sum(
        number not in after.scores or not np.array_equal(score, after.scores[number], equal_nan=True)
        for number, score in before.scores.items()
    )


def is_exact(sight: Sight, *, trials: int) -> bool:
    whole = list(range(trials))
    return sight.status == "FINISHED" and sorted(sight.scores) == whole == sight.children


def is_identical(config: SweepConfig, *, undisturbed: str) -> bool:
    """Whether trials that the undisturbed study had, too, have its scores; at least a quarter must be such.

    Which trials follow on the first ones depends on when the others ended, and so on the kills.
    """
    tables = []
    for name in (config.study or "", undisturbed):
        study = find_study(config.tracking_uri, config.experiment, name)
        assert study is not None
        table = finished_trials(config, study)
        complete = table[table[Trials.STATE] == TrialState.COMPLETE]
        params = sorted(column for column in table.columns if column.startswith(PARAM_PREFIX))
        key = ["|".join(map(str, row)) for row in complete[params].itertuples(index=False)]
        tables.append(pd.Series(complete[Trials.VAL_F1_MACRO].to_numpy(), index=key))
    both = pd.concat([one[~one.index.duplicated()] for one in tables], axis=1, join="inner")
    return bool((both[0] == both[1]).all()) and len(both) * 4 >= len(tables[0])


def count_running(config: SweepConfig) -> int:
    """Runs of the experiment that say they are being written."""
    client = connect(config.tracking_uri)
    experiment = client.get_experiment_by_name(config.experiment)
    return len(list(runs(client, experiment.experiment_id, where="attributes.status = 'RUNNING'")))


def make_old(config: SweepConfig) -> None:
    """Put a dead run's heartbeat back in time, so that the next command closes it as lost."""
    study = find_study(config.tracking_uri, config.experiment, config.study or "")
    if study is not None and study.state is RunState.LIVE:
        heartbeat = float(study.tags[Tag.HEARTBEAT]) - 2 * HEARTBEAT_LOST_S
        connect(config.tracking_uri).set_tag(study.run_id, Tag.HEARTBEAT, str(heartbeat))


# --- the ordeal -------------------------------------------------------------------------------


def ordeal(config: SweepConfig, *, kills: int, seed: int) -> dict[str, Any]:
    """Kill so many sweeps; returns the figures. ``config.study`` is the stem of the studies' names."""
    rng = np.random.default_rng(seed)
    database.prepare(config.tracking_uri)
    calm = dataclasses.replace(config, study=f"{config.study}-calm")
    pace = measure(calm)
    say(f"Undisturbed: {pace.search_s:.1f} s of search, {pace.rest_s:.1f} s before and after it.")
    counted = ("kills", "in_search", "studies", "lost", "doubled", "unreadable", "unlabelled")
    figures: dict[str, Any] = dict.fromkeys(counted, 0)
    exact = identical = True
    while figures["kills"] < kills:
        study = dataclasses.replace(config, study=f"{config.study}-{figures['studies']}")
        figures["studies"] += 1
        last = survive(study, pace, figures, kills=kills, rng=rng)
        exact &= is_exact(last, trials=config.trials)
        identical &= is_identical(study, undisturbed=f"{config.study}-calm")
        figures["unlabelled"] += count_running(config)
    return figures | {"trials": config.trials, "final_counts_exact": exact, "identical": identical}


def survive(
    config: SweepConfig, pace: Pace, figures: dict[str, Any], *, kills: int, rng: np.random.Generator
) -> Sight:
    """Take one study to its end, adding to the figures; returns how it lies in the store then."""
    before, killed = NOTHING, True
    while killed:
        missing = 1 - len(before.scores) / config.trials
        moment_s = pace.draw_moment(rng, missing=missing) if figures["kills"] < kills else None
        killed = is_killed(config, after_s=moment_s)
        figures["kills"] += killed
        try:
            after = look(config)
        except Exception as error:  # whichever it is: what cannot be read is what is counted here
            say(f"Unreadable: {error}")
            figures["unreadable"] += 1
            continue
        grown = len(after.scores) > len(before.scores)
        figures["in_search"] += killed and grown and len(after.scores) < config.trials
        figures["lost"] += lost_between(before, after)
        figures["doubled"] += after.twice
        # a command that was killed before it took over leaves its predecessor's runs as they were
        figures["unlabelled"] += len(before.half_written & after.half_written) if grown else 0
        say(
            f"{config.study}: {'killed' if killed else 'ended'} with {len(after.scores)} of "
            f"{config.trials} trials; {figures['kills']} of {kills} kills."
        )
        before = after
        if killed and rng.random() < 0.5:
            make_old(config)
    return before


def save_features(path: Path) -> None:
    """Overlapping clouds of three classes."""
    random = np.random.default_rng(0)
    centre_cd = random.normal(size=(3, 16))
    arrays: dict[str, np.ndarray] = {}
    for split, rows in (("train", 200), ("val", 60), ("test", 60)):
        y = np.arange(rows) % 3
        x = centre_cd[y] + random.normal(scale=2, size=(rows, 16))
        arrays |= {f"{split}_x": x.astype(np.float32), f"{split}_y": y}
    np.savez(path, **arrays)


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    flags.add_argument("--kills", type=int, default=30)
    flags.add_argument("--trials", type=int, default=100)
    flags.add_argument("--seed", type=int, default=0)
    args = flags.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_features(folder / "features.npz")
        (folder / "space.yaml").write_text(yaml.safe_dump(SPACE))
        config = SweepConfig(
            data=str(folder / "features.npz"),
            space=folder / "space.yaml",
            trials=args.trials,
            seeds=2,
            at_once=AT_ONCE,
            study="study",
            tracking_uri=f"sqlite:///{folder / 'store' / 'mlflow.db'}",
            cache_dir=folder / "cache",
            device="cpu",
        )
        print(json.dumps(ordeal(config, kills=args.kills, seed=args.seed)))


if __name__ == "__main__":
    main()
