"""Whether what Headroom says holds: ``python benchmarks/honesty.py [CHECK …] [--data DATA …]``.

Each check draws many small data sets whose truth is known, and counts how often an interval covers it or a
statement is wrong. One JSON line per check on stdout. Some draw from real features, of each ``--data`` (what
a sweep takes; the demo by default): all rows are pooled and divided anew in each draw, so that what is tested
is like what is learned from. With ``--against OTHER`` a line says how well images of other data are told.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.honesty_checks.auroc_check import auroc
from benchmarks.honesty_checks.confidence_check import Rows, conformal_coverage, false_alarms, read, unlike
from benchmarks.honesty_checks.encoders_check import encoders
from benchmarks.honesty_checks.expectation_check import expected_by_objective, expected_on_new_data
from benchmarks.honesty_checks.groups_check import grouped_intervals, macro_f1, paired_tests
from benchmarks.honesty_checks.importance_check import importance
from benchmarks.honesty_checks.shares import Figures

CHECKS: tuple[Callable[[], Figures], ...] = (
    *(expected_on_new_data, expected_by_objective),
    *(grouped_intervals, paired_tests, macro_f1, auroc, importance, encoders),
)
ON_DATA: tuple[Callable[[Rows, int], Figures], ...] = (conformal_coverage, false_alarms)


def main() -> None:
    names = [check.__name__ for check in (*CHECKS, *ON_DATA)]
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("checks", nargs="*", metavar="CHECK", help=f"of {', '.join(names)}; all by default")
    flags.add_argument("--data", nargs="+", default=["demo"])
    flags.add_argument("--against", metavar="OTHER")
    flags.add_argument("--draws", type=int, default=200, help="data sets drawn from each DATA")
    given = flags.parse_args()
    wanted = given.checks or names
    if unknown := sorted(set(wanted) - set(names)):
        flags.error(f"unknown: {', '.join(unknown)}; expected some of {', '.join(names)}")
    for check in CHECKS:
        if check.__name__ in wanted:
            report({"check": check.__name__, **check()})
    on_data = [check for check in ON_DATA if check.__name__ in wanted]
    for name in given.data if on_data else []:
        rows, of = read(name), {"data": Path(name).stem}
        if given.against:
            pair = {**of, "against": Path(given.against).stem}
            report({"check": "unlike", **pair, **unlike(rows, read(given.against))})
        for checked in on_data:
            drawn = {**of, "draws": given.draws}
            report({"check": checked.__name__, **drawn, **checked(rows, given.draws)})


def report(figures: Figures) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
