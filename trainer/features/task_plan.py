"""Divide images into fixed tasks, and decide which one a worker does next. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from trainer.features.shared_key import task_name

MOST_IMAGES = 2048  # of a task: what a worker that is killed loses
LEAST_IMAGES = 64
TASKS_PER_PART = 8  # so that there is something to steal


class PlannedTask(NamedTuple):
    """A task of a plan."""

    name: str  # of its marker
    owner: int  # part that does it first, from 0
    content: tuple[str, ...]  # SHA-256 hex of its images, sorted


def plan_tasks(content: Sequence[str], key: str, *, parts: int) -> list[PlannedTask]:
    """Divide images by their hashes. All workers with the same images, key and parts make the same plan.

    Args:
        content: SHA-256 hex of each image, in any order; copies count once.
        key: digest of what is made of them.
    """
    distinct = sorted(set(content))
    count = _number_of_tasks(len(distinct), parts)
    divided: list[list[str]] = [[] for _ in range(count)]
    for one in distinct:
        divided[int(one[:8], 16) * count >> 32].append(one)
    filled = (some for some in divided if some)
    return [
        PlannedTask(task_name(key, some), number % parts, tuple(some)) for number, some in enumerate(filled)
    ]


def _number_of_tasks(images: int, parts: int) -> int:
    needed = -(-images // MOST_IMAGES)
    wanted = min(TASKS_PER_PART * parts, -(-images // LEAST_IMAGES))
    return max(needed, wanted, 1)


def next_tasks(
    plan: Sequence[PlannedTask], part: int, done: Set[str], *, start: int
) -> Iterator[PlannedTask]:
    """Yield what a worker may do next, best first: its own tasks in order, then those of others.

    It steals from the end of the others' tasks, which their owners reach last.

    Args:
        part: of the worker, from 0.
        start: any number; workers with different ones steal different tasks.
    """
    left = [task for task in plan if task.name not in done]
    yield from (task for task in left if task.owner == part)
    others = [task for task in reversed(left) if task.owner != part]
    at = start % len(others) if others else 0
    yield from others[at:] + others[:at]
