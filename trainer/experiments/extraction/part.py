"""Encode one of several parts of the data: a worker among others, without a leader."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.core import text
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.experiments.extraction.config import ExtractConfig
from trainer.experiments.inputs import read_rows, require_images

if TYPE_CHECKING:
    from trainer.features.part_extraction import PartReport
    from trainer.features.settings import EncoderSettings

PARTS = "HEADROOM_PARTS"  # variable: number of parts, where the launcher tells only which one this is
BATCH_SIZE = 64  # of --batch-size auto: all workers need the same, because a vector's last bit depends on it
SHOWN = 20  # quarantined files named on the terminal


class Part(NamedTuple):
    """Part ``number`` of ``of``; from 1."""

    number: int
    of: int


def parse_part(given: str, environment: Mapping[str, str] = os.environ) -> Part:
    """Return the part that ``--part`` names: ``2/8``, or ``auto`` for what a launcher's variables say.

    Raises:
        InputError: it is neither; no launcher's variables are set.
    """
    if given != "auto":
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", given)
        if found is None:
            raise InputError(f"--part is {given}; it must be I/N, such as 1/8, or auto.")
        return _checked(Part(int(found[1]), int(found[2])), given)
    part = _of_slurm(environment) or _of_kubernetes(environment) or _of_torchrun(environment)
    if part is None:
        raise InputError(
            "--part auto finds none of the variables SLURM_ARRAY_TASK_ID and _COUNT (sbatch --array), "
            f"JOB_COMPLETION_INDEX and {PARTS} (Kubernetes Indexed Job), RANK and WORLD_SIZE (torchrun). "
            "Name the part: --part 1/8."
        )
    return _checked(part, "auto")


def _of_slurm(environment: Mapping[str, str]) -> Part | None:
    values = _numbers(environment, "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT")
    if values is None:
        return None
    first = int(environment.get("SLURM_ARRAY_TASK_MIN", 0))
    step = int(environment.get("SLURM_ARRAY_TASK_STEP", 1))
    return Part((values[0] - first) // step + 1, values[1])


def _of_kubernetes(environment: Mapping[str, str]) -> Part | None:
    if "JOB_COMPLETION_INDEX" in environment and PARTS not in environment:
        raise InputError(
            f"--part auto finds JOB_COMPLETION_INDEX, but not the number of parts. Set {PARTS} in the Job to "
            "its completions."
        )
    values = _numbers(environment, "JOB_COMPLETION_INDEX", PARTS)
    return None if values is None else Part(values[0] + 1, values[1])


def _of_torchrun(environment: Mapping[str, str]) -> Part | None:
    values = _numbers(environment, "RANK", "WORLD_SIZE")
    return None if values is None else Part(values[0] + 1, values[1])


def _numbers(environment: Mapping[str, str], index: str, count: str) -> tuple[int, int] | None:
    if index not in environment or count not in environment:
        return None
    try:
        return int(environment[index]), int(environment[count])
    except ValueError:
        raise InputError(
            f"--part auto: {index} is {environment[index]!r} and {count} is {environment[count]!r}; numbers "
            "are expected."
        ) from None


def _checked(part: Part, given: str) -> Part:
    if not 1 <= part.number <= part.of:
        raise InputError(
            f"--part {given} is part {part.number} of {part.of}; parts are counted from 1 to their number."
        )
    return part


def run_part(config: ExtractConfig, settings: EncoderSettings, part: Part) -> dict[str, Any]:
    """Encode until no task of any part is left. Writes nothing to MLflow. Returns the figures.

    Raises:
        InputError: something given cannot be used.
        TooManyBadFiles: more images than ``max_bad`` are unreadable, whoever read them.
    """
    from trainer.features.extract import check_quarantined
    from trainer.features.part_extraction import PartWorker

    began = time.perf_counter()
    if config.captions:
        raise InputError("--captions are encoded without --part, by one process. Leave out one of the two.")
    if settings.batch_size == "auto":
        settings = replace(settings, batch_size=BATCH_SIZE)
    settings.check()
    manifest = read_rows(config)
    require_images(config, manifest, "There is nothing to encode in parts: leave out --part.")
    reports: list[PartReport] = []
    for one in settings.parts:
        worker = PartWorker(manifest, one, part.number - 1, part.of)
        with bar("Encoding", "images") as progress:
            report = worker.run(progress.update)
        say(_described(part, one, report))
        for warning in report.warnings:
            say(f"Warning: {warning}")
        reports.append(report)
    quarantined = {one for report in reports for one in report.quarantined}
    for path, reason in sorted(quarantined)[:SHOWN]:
        say(f"Quarantined: {path}: {reason}")
    check_quarantined(manifest, quarantined, config.max_bad)
    return _figures(part, reports, quarantined=len(quarantined), elapsed_s=time.perf_counter() - began)


def _described(part: Part, settings: EncoderSettings, report: PartReport) -> str:
    done = report.own + report.stolen
    return (
        f"Part {part.number} of {part.of}, {settings.encoder}: {report.tasks} tasks, {report.own} done of "
        f"its own, {report.stolen} stolen, {report.others} done by others, 0 left. It encoded "
        f"{text.count(report.encoded, 'image')} in {text.count(done, 'task')}."
    )


def _figures(part: Part, reports: list[PartReport], *, quarantined: int, elapsed_s: float) -> dict[str, Any]:
    summed = ("tasks", "own", "stolen", "others", "encoded", "encoder_calls")
    return {
        "part": part.number,
        "parts": part.of,
        **{name: sum(getattr(one, name) for one in reports) for name in summed},
        "images": max(one.images for one in reports),
        "quarantined": quarantined,
        "elapsed_s": round(elapsed_s, 3),
    }
