"""Fixtures that every test file may use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.stores import fresh_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.once import Once
    from tests.support.trained_sweep import Answering, DemoSweep

# Before anything imports these libraries: no test talks to the network.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] = "false"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    # Workers, and the commands that they start, share the cores: threads that wait for one another while a
    # neighbour holds their core make torch many times slower.
    os.environ["OMP_NUM_THREADS"] = str(max(1, CORES // workers))
os.environ.pop("HEADROOM_TRACKING_URI", None)  # a developer's own store is none of the tests' business
os.environ.pop("MLFLOW_TRACKING_URI", None)

# the same examples in every run; people who look for new ones pass --hypothesis-profile=default
settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
settings.load_profile("fixed")

FIRST = (  # modules of tests that take long: begun last, one worker would work while the others wait
    *("commands/test_sweep.py", "commands/test_sweep_survival.py", "commands/test_package.py"),
    *("docs/test_readme_commands.py", "commands/test_network.py", "commands/test_heavy_features.py"),
    *("commands/test_ablate.py", "unit/heads/test_reference.py", "browser/test_journeys.py"),
    *("browser/test_console.py", "browser/test_label_corrections.py", "browser/test_hostile.py"),
)
HERE = Path(__file__).parent
MOST_WORKERS = 4  # each holds some 2 GB: libraries, a dashboard, a browser


def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as cores: workers wait for commands, servers and browsers a third of their time."""
    return min(2 * CORES, MOST_WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which workers are given modules. It is the same in every worker, as it must be."""
    first = {HERE / name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: first.get(item.path, len(first)))


@pytest.fixture(autouse=True)
def no_store_is_left_behind() -> Iterator[None]:
    """MLflow's default store is the whole process's: tests that follow, and their commands, would use it."""
    yield
    left = os.environ.pop("MLFLOW_TRACKING_URI", None)
    assert left is None, (
        f"the test left {left} as MLflow's default store: trainer.tracking.client.default_store"
    )


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes what is shared by all workers."""
    from tests.support.once import Once

    return Once(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def migrated_database(once: Once) -> Path:
    """A fresh MLflow database, made once: migrating takes seconds, copying 0.07 s. Never opened in place."""
    from trainer.tracking import database

    def make(folder: Path) -> Path:
        database.prepare(f"sqlite:///{folder / 'mlflow.db'}")
        return folder / "mlflow.db"

    return once("migrated", make)


@pytest.fixture
def tracking_uri(migrated_database: Path, tmp_path: Path) -> str:
    """A SQLite store of its own for each test, ready for use; artifacts go below ``tmp_path`` too."""
    return fresh_store(migrated_database, tmp_path)


@pytest.fixture(scope="module")
def module_store(migrated_database: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SQLite store that the tests of a module share."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    shutil.copyfile(migrated_database, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def ablated(once: Once, migrated_database: Path) -> tuple[str, str]:
    """A store with a real ablation, and the id of its run; who changes it takes a copy."""
    from tests.support import trained_ablation

    def make(folder: Path) -> tuple[str, str]:
        shutil.copyfile(migrated_database, folder / "mlflow.db")
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        return uri, trained_ablation.ablation(uri, folder)

    return once("ablated", make)


@pytest.fixture(scope="session")
def finetuned(once: Once, migrated_database: Path) -> tuple[str, str]:
    """A store with a real fine-tuning, and the id of its run; who changes it takes a copy."""
    from tests.support import trained_finetuning

    def make(folder: Path) -> tuple[str, str]:
        shutil.copyfile(migrated_database, folder / "mlflow.db")
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        return uri, trained_finetuning.finetuning(uri, folder)

    return once("finetuned", make)


@pytest.fixture(scope="session")
def answering(once: Once, migrated_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Answering:
    """A store with a small sweep on images, encoded by the built-in encoder; no test changes it."""
    from tests.support import trained_sweep

    def make(folder: Path) -> Answering:
        shutil.copyfile(migrated_database, folder / "mlflow.db")
        return trained_sweep.sweep(folder, encoder="demo", dtype="float32")

    made = once("answering", make)
    cache = shutil.copytree(made.cache, tmp_path_factory.mktemp("answering") / "cache")
    return made._replace(cache=Path(cache))  # commands write into it


@pytest.fixture(scope="session")
def searchable(once: Once, migrated_database: Path) -> Answering:
    """The same with all images encoded in the space of images and texts, too; no test changes it."""
    from tests.support import trained_sweep

    def make(folder: Path) -> Answering:
        shutil.copyfile(migrated_database, folder / "mlflow.db")
        made = trained_sweep.sweep(folder, encoder="demo", dtype="float32")
        trained_sweep.encode_for_words(made)
        return made

    return once("searchable", make)


@pytest.fixture(scope="session")
def demo_sweep(once: Once, migrated_database: Path) -> DemoSweep:
    """What the sweep command leaves of the demo data, with a cache that was empty before."""
    from tests.support import trained_sweep

    def make(folder: Path) -> DemoSweep:
        shutil.copyfile(migrated_database, folder / "mlflow.db")
        return trained_sweep.demo_sweep(folder)

    return once("demo-sweep", make)


@pytest.fixture
def demo_cache(demo_sweep: DemoSweep, tmp_path: Path) -> Path:
    """A cache with the vectors of all images of the demo data, for a test that is not about encoding."""
    return Path(shutil.copytree(demo_sweep.cache, tmp_path / "demo-cache"))


@pytest.fixture(scope="session")
def saved_clip(once: Once) -> Path:
    """A small CLIP model in a folder that no test changes."""
    from tests.support.tiny_clip import save_tiny_clip

    return once("clip", lambda folder: save_tiny_clip(folder / "model"))


@pytest.fixture
def model(saved_clip: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(saved_clip, tmp_path / "model"))
