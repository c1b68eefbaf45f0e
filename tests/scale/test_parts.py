"""Workers without a leader: whatever dies or comes late, each image is stored once, with the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scale.settings import settings_of
from tests.support.fault_proxy import FaultProxy
from tests.support.image_files import class_folders
from tests.support.object_store import ObjectStore
from tests.support.paths import REPO
from tests.support.tiny_clip import save_tiny_clip
from trainer.core import locations
from trainer.core.locations import cache_folder
from trainer.data.load import load
from trainer.data.manifest import Manifest
from trainer.features.extract import extract
from trainer.features.part_extraction import PartReport, PartWorker
from trainer.features.shared_key import SharedKey
from trainer.features.store import FeatureStore
from trainer.storing.bucket_location import open_bucket
from trainer.storing.folder_location import FolderLocation

pytestmark = pytest.mark.scale
IMAGES = 520  # of them 520 / 64 make 9 tasks


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_clip(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small images; one is corrupt."""
    folder = class_folders(tmp_path_factory.mktemp("data") / "images", {"a": IMAGES // 2, "b": IMAGES // 2})
    victim = sorted((folder / "a").iterdir())[7]
    victim.write_bytes(victim.read_bytes()[:60])
    return folder


@pytest.fixture(scope="module")
def manifest(images: Path) -> Manifest:
    return load(str(images), seed=0)


@pytest.fixture(scope="module")
def expected(manifest: Manifest, model: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The stored vector of every image, as one process in a folder makes it."""
    settings = settings_of(model, tmp_path_factory.mktemp("whole"))
    used = extract(manifest, settings).manifest
    return _stored(settings.cache_dir, settings, used.content)


def _stored(folder: Path, settings: Any, content: tuple[str, ...]) -> dict[str, bytes]:
    store = FeatureStore(folder / "features", settings.key())
    assert store.warnings == []
    names = sorted(set(content))
    return dict(zip(names, (row.tobytes() for row in store.lookup_stored(names)), strict=True))


@pytest.fixture(params=["folder", "s3"])
def cache_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(request.getfixturevalue("s3")) if request.param == "s3" else tmp_path / "cache"


class Place:
    """What is in a cache."""

    def __init__(self, cache_dir: Path, model: str) -> None:
        self._cache_dir, self._settings = cache_dir, settings_of(model, cache_dir)

    @property
    def shared(self) -> SharedKey:
        folder = cache_folder(self._cache_dir) / "features" / self._settings.key().digest[:16]
        address = locations.address_of_copy(folder)
        return SharedKey(FolderLocation(folder) if address is None else open_bucket(address))

    def check(self, expected: dict[str, bytes], tasks: int) -> None:
        """Nothing is lost, nothing is there twice, and all bits are those of one process."""
        markers = self.shared.markers()
        assert len(markers) == tasks
        assert sum(marker.note.n for marker in markers if marker.note is not None) == len(expected)
        assert _stored(cache_folder(self._cache_dir), self._settings, tuple(expected)) == expected


@contextmanager
def stopped_worker(
    images: Path, model: str, cache_dir: Path, part: str, copies: Path
) -> Iterator[subprocess.Popen[str]]:
    """A worker that has done two tasks and stands before the commit of the third."""
    command = [sys.executable, "-m", "tests.scale.worker", images, model, cache_dir, part, 2]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=REPO,
        env={**os.environ, locations.COPIES: str(copies), "OMP_NUM_THREADS": "1"},
        stdin=pipe,
        stdout=pipe,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "before the commit\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def work(
    manifest: Manifest, model: str, cache_dir: Path, part: int, parts: int, **changed: Any
) -> PartReport:
    return PartWorker(manifest, settings_of(model, cache_dir, **changed), part, parts).run()


def test_what_a_killed_worker_left_is_stolen(
    manifest: Manifest, images: Path, model: str, cache_dir: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    with stopped_worker(images, model, cache_dir, "1/2", tmp_path / "other") as process:
        process.kill()
        process.wait()
    report = work(manifest, model, cache_dir, 1, 2)
    assert (report.tasks, report.own, report.stolen, report.others) == (9, 4, 3, 2)
    assert [one.path for one in report.quarantined] == [sorted(set(manifest.sample_id))[7]]
    Place(cache_dir, model).check(expected, tasks=9)


def test_a_zombie_that_commits_late_harms_nothing(
    manifest: Manifest, images: Path, model: str, cache_dir: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    with stopped_worker(images, model, cache_dir, "1/2", tmp_path / "other") as process:
        process.send_signal(signal.SIGSTOP)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        report = work(manifest, model, cache_dir, 1, 2)
        assert (report.own, report.stolen, report.others) == (4, 3, 2)
        place = Place(cache_dir, model)
        before = [marker.task for marker in place.shared.markers()]
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        assert said.split() == ["3", "0", "6"]  # the third was done by both
    assert [marker.task for marker in place.shared.markers()] == before
    assert place.shared.orphans() == []
    place.check(expected, tasks=9)


def test_workers_at_once_share_the_work(
    images: Path, model: str, s3: str, expected: dict[str, bytes], tmp_path: Path
) -> None:
    cache_dir = Path(s3)
    workers = [
        stopped_worker(images, model, cache_dir, f"{number}/2", tmp_path / f"{number}") for number in (1, 2)
    ]
    with workers[0] as one, workers[1] as two:
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        figures = [
            [int(word) for word in process.communicate(timeout=300)[0].split()] for process in (one, two)
        ]
        assert [one.returncode, two.returncode] == [0, 0]
    assert all(own + stolen + others == 9 for own, stolen, others in figures)
    assert min(own + stolen for own, stolen, _ in figures) >= 3
    Place(cache_dir, model).check(expected, tasks=9)


def test_a_store_that_refuses_and_loses_answers_costs_time_alone(
    manifest: Manifest,
    model: str,
    s3: str,
    object_store: ObjectStore,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FaultProxy(object_store.endpoint, refuse_every=4, lose_every=3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        open_bucket.cache_clear()
        report = work(manifest, model, Path(s3), 0, 1)
        assert (report.own, report.others) == (8, 0)
        assert proxy.counts["refused"] >= 5
        assert proxy.counts["exists"] >= proxy.counts["lost"] >= 3  # own commits, met again
        Place(Path(s3), model).check(expected, tasks=8)


def test_what_was_stored_before_is_not_encoded_again(
    manifest: Manifest, model: str, cache_dir: Path, expected: dict[str, bytes]
) -> None:
    half = manifest.take(np.arange(0, len(manifest), 2))
    first = extract(half, settings_of(model, cache_dir)).report
    report = work(manifest, model, cache_dir, 0, 2)
    assert report.encoded == len(expected) - first.encoded
    again = work(manifest, model, cache_dir, 1, 2)
    assert (again.encoded, again.encoder_calls, again.others) == (0, 0, 9)
    whole = extract(manifest, settings_of(model, cache_dir)).report
    assert (whole.encoded, whole.used, len(whole.quarantined)) == (0, len(expected), 1)
    assert _stored(cache_folder(cache_dir), settings_of(model, cache_dir), tuple(expected)) == expected


def test_a_task_whose_vectors_were_deleted_is_done_again(
    manifest: Manifest, model: str, cache_dir: Path, expected: dict[str, bytes]
) -> None:
    work(manifest, model, cache_dir, 0, 2)
    place = Place(cache_dir, model)
    lost = place.shared.markers()[3]
    assert lost.note is not None
    place.shared.discard(lost.note.name)
    for note in (cache_folder(cache_dir) / "features").rglob(f"{lost.note.name}*"):
        note.unlink()
    report = work(manifest, model, cache_dir, 0, 2)
    assert (report.own + report.stolen, report.encoded) == (1, lost.note.n)
    place.check(expected, tasks=9)


def test_a_task_that_killed_its_worker_four_times_is_given_up_by_name(
    manifest: Manifest, model: str, cache_dir: Path, expected: dict[str, bytes]
) -> None:
    worker = PartWorker(manifest, settings_of(model, cache_dir), 0, 2)
    poison, other = worker.plan[0], worker.plan[2]
    place = Place(cache_dir, model)
    for _ in range(4):
        place.shared.begin(poison.name, "1-of-2")
    for number in range(4):  # of these some may live
        place.shared.begin(other.name, f"{number + 3}-of-9")
    report = worker.run()
    assert {one.reason for one in report.quarantined if "killed its worker 4 times" in one.reason}
    rest = {one: row for one, row in expected.items() if one not in poison.content}
    place.check(rest, tasks=9)
    assert place.shared.begin(poison.name, "1-of-2") == 0


def test_views_and_measures_are_parts_of_a_task(manifest: Manifest, model: str, cache_dir: Path) -> None:
    few = manifest.take(np.arange(0, len(manifest), 4))
    report = work(few, model, cache_dir, 0, 1, views=1)
    assert report.own == report.tasks == 3
    whole = extract(few, settings_of(model, cache_dir, views=1))
    assert whole.report.encoded == 0
    assert whole.views_vnd is not None
    assert whole.measures_nm is not None
    assert np.isfinite(whole.measures_nm).all()


def test_a_part_is_a_command_that_a_launcher_starts(
    manifest: Manifest, images: Path, model: str, s3: str, expected: dict[str, bytes]
) -> None:
    command = [sys.executable, "-m", "trainer.extract", "--data", images, "--encoder", model]
    ended = subprocess.run(
        [str(word) for word in (*command, "--cache-dir", s3, "--batch-size", 8, "--part", "auto")],
        cwd=REPO,
        env={**os.environ, "RANK": "1", "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert (figures["part"], figures["parts"], figures["own"], figures["stolen"]) == (2, 2, 4, 5)
    assert (figures["encoded"], figures["quarantined"]) == (len(expected), 1)
    assert "9 tasks, 4 done of its own, 5 stolen, 0 done by others, 0 left" in ended.stderr
    used = extract(manifest, settings_of(model, Path(s3), dtype="auto")).report  # as the command's default
    assert (used.encoded, used.used) == (0, len(expected))
