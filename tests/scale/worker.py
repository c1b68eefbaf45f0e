"""A worker that stops before it commits a task, says so, and goes on when it reads a line: for tests.

    python -m tests.scale.worker DATA ENCODER CACHE_DIR I/N NUMBER

It stops before task NUMBER, from 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.scale.settings import settings_of
from trainer.data.load import load
from trainer.experiments.extraction.part import parse_part
from trainer.features.encoding_loop import Work
from trainer.features.part_extraction import PartWorker
from trainer.features.shared_key import Task
from trainer.features.task_plan import PlannedTask


class _Stopping(PartWorker):
    number = 0

    def _record(self, planned: PlannedTask, some: object, work: Work, elapsed_s: float) -> Task:
        if self.report.own + self.report.stolen == self.number:
            print("before the commit", flush=True)
            sys.stdin.readline()
        return super()._record(planned, some, work, elapsed_s)  # type: ignore[arg-type]


if __name__ == "__main__":
    data, encoder, cache_dir, given, number = sys.argv[1:]
    part = parse_part(given)
    worker = _Stopping(load(data, seed=0), settings_of(encoder, Path(cache_dir)), part.number - 1, part.of)
    worker.number = int(number)
    report = worker.run()
    print(report.own, report.stolen, report.others, flush=True)
