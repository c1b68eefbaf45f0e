"""Commands killed at random moments: ``python benchmarks/kills.py [--kills 30] [--only NAME …]``.

Each command is killed (SIGKILL) at a moment drawn between its start and its likely end, and run again, until
its work is done all the same; then a new study, or an empty cache, begins in the same store. Commands are
forked from a process that has loaded the libraries, so that the kills fall into the work; shards of the cache
are small. After each kill everything is read. One JSON line at the end; per command:

- kills; in_work: those that left more finished work than there was before them, and less than all;
- ended: commands that came to their end, at last, after one or more kills;
- lost: pieces of finished work (vectors, trials, cells, draws, splits, forms, costs, files for people) that
  were missing, or different, after a later kill;
- doubled: pieces that were there twice: vectors of a key, rows of a table, child runs, runs of a study;
- unreadable: stores, tables, shards and files that could not be read whole;
- running: runs that were still RUNNING after a command that came to its end;
- strays: temporary files that a command which came to its end left of those that were killed before it;
- orphans: killed commands of which a process was alive 10 s later;
- failed: commands that ended by themselves with an error;
- changed: work that was not that of an undisturbed command in the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.kill_checks.cases import CASES
from benchmarks.kill_checks.ordeal import COUNTS, FAULTS, Ordeal
from benchmarks.kill_checks.scene import Scene
from trainer.core.console import bar


def main() -> None:
    names = [case.name for case in CASES]
    layout = argparse.RawDescriptionHelpFormatter
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    which = flags.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="every command, as without --only")
    which.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    flags.add_argument("--kills", type=int, default=30, help="of each command")
    flags.add_argument("--seed", type=int, default=0)
    given = flags.parse_args()
    began = time.perf_counter()
    cases = [case for case in CASES if not given.only or case.name in given.only]
    figures: dict[str, dict[str, int]] = {}
    with bar("Killing", "commands") as progress, tempfile.TemporaryDirectory() as name:
        for number, case in enumerate(cases):
            scene = Scene(Path(name, case.name))
            scene.make()

            def tell(kills: int, number: int = number, note: str = case.name) -> None:
                progress.update(number * given.kills + kills, len(cases) * given.kills, note)

            ordeal = Ordeal(case, scene, seed=given.seed, progress=tell)
            ordeal.run(given.kills)
            figures[case.name] = ordeal.figures
    show(figures)
    faults = sum(of_case[fault] for of_case in figures.values() for fault in FAULTS)
    elapsed_s = round(time.perf_counter() - began, 1)
    print(json.dumps({"commands": figures, "faults": faults, "elapsed_s": elapsed_s}))


def show(figures: dict[str, dict[str, int]]) -> None:
    table = Table("command", *COUNTS, box=None)
    for name, of_case in figures.items():
        table.add_row(name, *(f"{of_case[count]:,}" for count in COUNTS))
    Console(stderr=True, width=120).print(table)


if __name__ == "__main__":
    main()
