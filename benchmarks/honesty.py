"""Whether what Headroom says holds: ``python benchmarks/honesty.py [CHECK …] [--features FILE …]``.

Each check draws many small data sets whose truth is known, and counts how often an interval covers it or a
statement is wrong. One JSON line per check on stdout. Checks on real features take .npz files, as ``--data``
does, and run once per file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.honesty_checks.confidence_check import conformal_coverage, false_alarms
from benchmarks.honesty_checks.encoders_check import encoders
from benchmarks.honesty_checks.expectation_check import expected_on_new_data
from benchmarks.honesty_checks.groups_check import grouped_intervals, macro_f1, paired_tests
from benchmarks.honesty_checks.importance_check import importance
from benchmarks.honesty_checks.shares import Figures

CHECKS: tuple[Callable[[], Figures], ...] = (
    *(expected_on_new_data, grouped_intervals, paired_tests, macro_f1, importance, encoders),
)
ON_FEATURES: tuple[Callable[[Path, int], Figures], ...] = (conformal_coverage, false_alarms)


def main() -> None:
    names = [check.__name__ for check in (*CHECKS, *ON_FEATURES)]
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("checks", nargs="*", metavar="CHECK", help=f"of {', '.join(names)}; all by default")
    flags.add_argument("--features", nargs="+", type=Path, default=[], metavar="FILE")
    flags.add_argument("--draws", type=int, default=200, help="data sets drawn from each file")
    given = flags.parse_args()
    wanted = given.checks or names
    if unknown := sorted(set(wanted) - set(names)):
        flags.error(f"unknown: {', '.join(unknown)}; expected some of {', '.join(names)}")
    for check in CHECKS:
        if check.__name__ in wanted:
            report({"check": check.__name__, **check()})
    for on_features in ON_FEATURES:
        for file in given.features if on_features.__name__ in wanted else []:
            found = on_features(file, given.draws)
            report({"check": on_features.__name__, "data": file.stem, "draws": given.draws, **found})


def report(figures: Figures) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
