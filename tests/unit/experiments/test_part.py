"""Which part of an extraction a worker is told to do."""

from __future__ import annotations

import pytest

from trainer.core.errors import InputError
from trainer.experiments.extraction.part import parse_part


@pytest.mark.parametrize(
    ("given", "variables", "part"),
    [
        ("2/8", {"RANK": "5", "WORLD_SIZE": "6"}, (2, 8)),
        ("auto", {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "4"}, (1, 4)),
        (
            "auto",
            {
                "SLURM_ARRAY_TASK_ID": "7",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "1",
                "SLURM_ARRAY_TASK_STEP": "2",
            },
            (4, 4),
        ),
        ("auto", {"JOB_COMPLETION_INDEX": "3", "HEADROOM_PARTS": "4"}, (4, 4)),
        ("auto", {"RANK": "1", "WORLD_SIZE": "2"}, (2, 2)),
    ],
)
def test_a_part_is_named_or_what_the_launcher_says(
    given: str, variables: dict[str, str], part: tuple[int, int]
) -> None:
    assert parse_part(given, variables) == part


@pytest.mark.parametrize(
    ("given", "variables", "said"),
    [
        ("3", {}, "it must be I/N, such as 1/8, or auto"),
        ("0/4", {}, "part 0 of 4; parts are counted from 1"),
        ("5/4", {}, "part 5 of 4"),
        ("auto", {}, "Name the part: --part 1/8"),
        ("auto", {"RANK": "1"}, "finds none of the variables"),
        ("auto", {"JOB_COMPLETION_INDEX": "3"}, "Set HEADROOM_PARTS in the Job to its completions"),
        ("auto", {"RANK": "one", "WORLD_SIZE": "2"}, "numbers are expected"),
    ],
)
def test_a_part_that_cannot_be_is_refused(given: str, variables: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_part(given, variables)
