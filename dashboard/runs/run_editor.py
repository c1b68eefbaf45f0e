"""What people write on runs: stars, tags, names, notes; and which they put away. All in MLflow's own terms.

Everything may raise `StoreProblem`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.run_info import OF_PROGRAMS
from dashboard.runs.store import Store
from trainer.tracking.schema import Tag


def star(store: Store, run_ids: Iterable[str], *, starred: bool) -> None:
    """Star runs, or take their stars away."""
    for run_id in run_ids:
        if starred:
            store.ask("set_tag", run_id, Tag.STAR, "1")
        else:
            _remove(store, run_id, Tag.STAR)


def tag(store: Store, run_ids: Iterable[str], label: str) -> None:
    """Give runs a tag: ``key`` or ``key=value``.

    Raises:
        StoreProblem: also for a key that MLflow does not take, or that a program may write.
    """
    key, _, value = (part.strip() for part in label.partition("="))
    if not key or key.startswith(OF_PROGRAMS):
        raise StoreProblem(
            f"“{label}” cannot be a tag: a word, or word=value, is expected, that does not begin with "
            f"{' or '.join(OF_PROGRAMS)}"
        )
    for run_id in run_ids:
        store.ask("set_tag", run_id, key, value)


def untag(store: Store, run_ids: Iterable[str], label: str) -> None:
    """Take a tag away from those of the runs that have it."""
    for run_id in run_ids:
        _remove(store, run_id, label.partition("=")[0])


def rename(store: Store, run_id: str, name: str) -> None:
    """Give a run another name. Its study keeps its own, by which commands resume it."""
    if not name.strip():
        raise StoreProblem("A run needs a name of one letter or more.")
    store.ask("update_run", run_id, name=name.strip())


def write_note(store: Store, run_id: str, note: str) -> None:
    """Write what MLflow calls the run's description; "" removes it."""
    if note.strip():
        store.ask("set_tag", run_id, Tag.NOTE, note.strip())
    else:
        _remove(store, run_id, Tag.NOTE)


def archive(store: Store, run_ids: Iterable[str]) -> None:
    """Put runs away, and then no list shows them: they are what MLflow calls deleted, with their children.

    Files and figures stay. The run itself is put away last, so that what a kill left can be archived again.
    """
    for run_id in run_ids:
        run = store.ask("get_run", run_id)
        for one in [*_children(store, run), run]:
            store.ask("set_tag", one.info.run_id, Tag.ARCHIVED, str(time.time()))
            store.ask("delete_run", one.info.run_id)


def restore(store: Store, run_ids: Iterable[str]) -> None:
    """Bring archived runs back, with those of their children that were put away with them.

    Other deleted children are half-written ones, of which the run has whole ones.
    """
    for run_id in run_ids:
        run = store.ask("get_run", run_id)
        for one in [*_children(store, run, archived=True), run]:
            store.ask("restore_run", one.info.run_id)
            if Tag.ARCHIVED in one.data.tags:
                store.ask("delete_tag", one.info.run_id, Tag.ARCHIVED)


def _children(store: Store, run: Any, *, archived: bool = False) -> list[Any]:
    info = run.info
    below = store.found([info.experiment_id], f"tags.`{Tag.PARENT}` = '{info.run_id}'", archived=archived)
    return [one for one in below if not archived or Tag.ARCHIVED in one.data.tags]


def _remove(store: Store, run_id: str, key: str) -> None:
    """Remove a tag, if it is there."""
    if key in store.ask("get_run", run_id).data.tags:
        store.ask("delete_tag", run_id, key)
