"""An error of the file system is recognised however a library reports it, and its place is named."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from trainer.core import atomic
from trainer.core.storage_errors import RESUME, STORE, storage_problem

FULL = Path("/dev/full")
DATA = np.zeros(200_000)


def save_numpy() -> None:
    with FULL.open("wb") as file:
        np.save(file, DATA)


def save_zip() -> None:
    with FULL.open("wb") as file:
        np.savez(file, x=DATA)


def save_parquet() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with FULL.open("wb") as file:  # by its path pyarrow would remove the device
        pq.write_table(pa.table({"x": DATA}), file)


def save_torch() -> None:
    import torch

    with FULL.open("wb") as file:
        torch.save(torch.zeros(200_000), file)


def copy_folder(folder: Path) -> None:
    """Below a limit of the size of files: a device may be replaced."""
    (folder / "from").mkdir()
    (folder / "from" / "x").write_bytes(DATA.tobytes())
    with largest_file(4096):
        shutil.copytree(folder / "from", folder / "to")


@contextlib.contextmanager
def largest_file(bytes_: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("save", [save_numpy, save_zip, save_parquet, save_torch, copy_folder])
def test_a_full_disk_is_recognised_in_what_each_library_raises(
    save: Callable[..., None], tmp_path: Path
) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011  # each its own kind
        save(tmp_path) if save is copy_folder else save()
    said = storage_problem(raised.value, {"--cache-dir": tmp_path})
    assert said is not None
    assert re.search("cannot be written: (No space left on device|File too large)", said)
    assert said.endswith(RESUME)


def test_text_of_libraries_in_rust_and_cpp_carries_the_number() -> None:
    for text in (
        "Error while serializing: I/O error: No space left on device (os error 28)",
        "[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device",
    ):
        assert "No space left on device" in (storage_problem(RuntimeError(text)) or "")
    assert storage_problem(RuntimeError("a bug (shape 28)")) is None


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EDQUOT, "Free some space there"),
        (errno.EROFS, "Name a place that you may write to"),
        (errno.EIO, "Check that its disk works"),
        (errno.ENAMETOOLONG, "Name another place"),
        (errno.ELOOP, "Name another place"),
        (errno.EMFILE, "ulimit -n"),
    ],
)
def test_each_error_of_the_system_has_its_advice_and_the_flag_that_chose_the_place(
    number: int, advice: str, tmp_path: Path
) -> None:
    error = OSError(number, os.strerror(number), str(tmp_path / "features" / "shard"))
    said = storage_problem(error, {"--cache-dir": tmp_path}) or ""
    assert f"{tmp_path}/features/shard" in said
    assert os.strerror(number) in said
    assert advice in said
    assert "--cache-dir" in said or number == errno.EMFILE


def test_a_write_that_names_no_file_names_the_fullest_place(tmp_path: Path) -> None:
    said = storage_problem(OSError(errno.ENOSPC, "x"), {"--cache-dir": tmp_path}) or ""
    assert f"least room has --cache-dir {tmp_path} (" in said
    assert "MiB are free" in said


def test_an_error_of_sqlite_names_the_store_and_what_else_may_hold_it(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db", isolation_level=None) as one:
        one.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError) as raised:
            sqlite3.connect(tmp_path / "x.db", timeout=0).execute("CREATE TABLE t (x)")
        one.execute("ROLLBACK")
    said = storage_problem(raised.value, {STORE: tmp_path / "x.db"}) or ""
    assert said.startswith(f"The MLflow store {tmp_path / 'x.db'} cannot be used: another program holds")


def test_an_error_behind_another_is_found_and_a_bug_is_none_of_storage() -> None:
    behind = RuntimeError("the run could not be closed")
    behind.__cause__ = OSError(errno.ENOSPC, "full", "/there")
    assert "/there cannot be written" in (storage_problem(behind) or "")
    assert storage_problem(KeyError("x")) is None
    assert storage_problem(ConnectionRefusedError(errno.ECONNREFUSED, "no server")) is None


def test_what_could_not_be_written_says_how_many_bytes_it_takes(tmp_path: Path) -> None:
    with largest_file(4096), pytest.raises(OSError) as raised:  # noqa: PT011
        atomic.write_bytes(tmp_path / "shard", bytes(12_345))
    said = storage_problem(raised.value) or ""
    assert f"{tmp_path / 'shard'} cannot be written: File too large" in said
    assert "The file takes 12,345 bytes." in said
    assert not list(tmp_path.iterdir())
