"""The plan that all workers share, and the order in which each of them works."""

from __future__ import annotations

import hashlib

import pytest

from trainer.features.task_plan import MOST_IMAGES, next_tasks, plan_tasks

CONTENT = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(1500)]


def test_every_image_is_in_one_task_and_all_workers_agree() -> None:
    plan = plan_tasks(CONTENT, "key", parts=2)
    assert plan == plan_tasks([*reversed(CONTENT), CONTENT[0]], "key", parts=2)
    assert sorted(one for task in plan for one in task.content) == sorted(CONTENT)
    assert len({task.name for task in plan}) == len(plan) == 16
    assert {task.owner for task in plan} == {0, 1}


def test_the_name_of_a_task_tells_what_it_makes() -> None:
    names = {task.name for task in plan_tasks(CONTENT, "key", parts=2)}
    assert names.isdisjoint(task.name for task in plan_tasks(CONTENT, "another key", parts=2))
    more = {task.name for task in plan_tasks([*CONTENT, "ff" * 32], "key", parts=2)}
    assert len(more - names) == 1  # the others go on to count


@pytest.mark.parametrize(("images", "parts", "tasks"), [(0, 3, 0), (1, 3, 1), (100, 3, 2), (1500, 1, 8)])
def test_few_images_make_few_tasks(images: int, parts: int, tasks: int) -> None:
    assert len(plan_tasks(CONTENT[:images], "key", parts=parts)) == tasks


def test_a_task_of_many_images_is_no_larger_than_what_a_kill_may_lose() -> None:
    many = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(20_000)]
    plan = plan_tasks(many, "key", parts=1)
    assert len(plan) == 10
    assert max(len(task.content) for task in plan) < 1.1 * MOST_IMAGES


def test_a_worker_does_its_own_first_then_steals_from_the_end_and_leaves_none() -> None:
    plan = plan_tasks(CONTENT, "key", parts=2)
    own = [task for task in plan if task.owner == 1]
    others = [task for task in plan if task.owner == 0]
    done = {own[0].name, others[0].name}
    order = list(next_tasks(plan, 1, done, start=0))
    assert order == own[1:] + others[:0:-1]
    elsewhere = list(next_tasks(plan, 1, done, start=3))
    assert elsewhere[: len(own) - 1] == own[1:]
    assert elsewhere[len(own) - 1] == others[-4]
    assert sorted(elsewhere) == sorted(order)
    assert list(next_tasks(plan, 0, {task.name for task in plan}, start=5)) == []
