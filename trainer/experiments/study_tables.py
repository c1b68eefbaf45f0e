"""The record of a study: two tables, and, between two rewritings of large ones, the trials since.

A trial counts once it stands in TRIALS, of the table or of a part of the log: that is written last. A table
is rewritten after every step as long as it is small, later when it has grown by a sixteenth. So what a step
writes does not grow with the trials on record, and what pages read lags by a sixteenth at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.tracking.schema import Artifact, Curves, Trials

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from trainer.search.loop import TrialRecord
    from trainer.search.trial_log import TrialLog
    from trainer.tracking.writer import RunWriter

SMALL = 256  # trials
GROWTH = 16


class StudyTables:
    """Writes them.

    Args:
        trial_log: as it was read.
    """

    def __init__(self, writer: RunWriter, trial_log: TrialLog) -> None:
        self._writer, self._log = writer, trial_log
        self._in_tables = 0  # trials, also in the next two
        self._in_parts = len(trial_log.finished)
        self._kept = set(trial_log.held_out)
        self._under_way = bool(trial_log.interrupted)  # whether running trials are on record

    @property
    def small(self) -> bool:
        """Whether to write all trials takes next to nothing."""
        return len(self._log.finished) <= SMALL

    def write(self, running: Sequence[TrialRecord]) -> None:
        """Put the finished trials on record, and the configurations of those that are running."""
        finished = len(self._log.finished)
        if self.small or (finished - self._in_tables) * GROWTH >= finished:
            self._write_whole(running)
        elif finished > self._in_parts:
            self._write_part(running)
        self._under_way = bool(running)

    def close(self) -> None:
        """Rewrite the tables where they lack trials, or tell of some that are not under way any more."""
        if self._under_way or self._in_tables < len(self._log.finished):
            self._write_whole(())

    def _write_whole(self, running: Sequence[TrialRecord]) -> None:
        trials, curves = self._log.with_records(running)
        self._write(trials, curves, below="")
        self._in_tables = self._in_parts = len(self._log.finished)

    def _write_part(self, running: Sequence[TrialRecord]) -> None:
        import pandas as pd

        finished = len(self._log.finished)
        blocks = self._log.since(self._in_parts)
        curves = pd.concat([one.curves for one in blocks], ignore_index=True)
        under_way = [self._log.block_of(running).trials] if running else []
        trials = pd.concat([*(one.trials for one in blocks), *under_way], ignore_index=True)
        self._write(trials, curves, below=f"{Artifact.LOG}/{finished}/")
        self._in_parts = finished

    def _write(self, trials: pd.DataFrame, curves: pd.DataFrame, *, below: str) -> None:
        from trainer.search.trial_log import write_answers

        self._writer.table(below + Artifact.CURVES, curves)
        if set(self._log.held_out) != self._kept:
            self._writer.file(Artifact.HELD_OUT, write_answers(self._log.held_out))
            self._kept = set(self._log.held_out)
        self._writer.table(below + Artifact.TRIALS, trials)


def read(writer: RunWriter) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Return TRIALS and CURVES as they are on record, with the trials that are in the log alone; ``None`` for
    a new study."""
    import pandas as pd

    trials, curves = writer.read_table(Artifact.TRIALS), writer.read_table(Artifact.CURVES)
    if trials is None:
        return None, None
    in_table = trials[Trials.STATE] != "running"
    parts = list(_parts(writer, after=int(in_table.sum())))
    if not parts or curves is None:
        return trials, curves
    later = [part[Trials.STATE] != "running" for part, _ in parts]
    ended = [trials[in_table], *(part[rows] for (part, _), rows in zip(parts, later, strict=True))]
    under_way = parts[-1][0][~later[-1]]
    known = curves[curves[Curves.TRIAL].isin(trials[Trials.TRIAL][in_table])]
    return (
        pd.concat([*ended, under_way], ignore_index=True),
        pd.concat([known, *(one for _, one in parts)], ignore_index=True),
    )


def _parts(writer: RunWriter, *, after: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield the rows of TRIALS and CURVES in the parts of the log that go beyond so many finished trials."""
    for number in sorted(int(name) for name in writer.list_folder(Artifact.LOG)):
        if number > after:
            trials = writer.read_table(f"{Artifact.LOG}/{number}/{Artifact.TRIALS}")
            curves = writer.read_table(f"{Artifact.LOG}/{number}/{Artifact.CURVES}")
            if trials is not None and curves is not None:  # else a process ended before it was complete
                yield trials, curves
