"""Temporary files of a killed process are removed by the next one; those of a living one are not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.paths import REPO
from trainer.core import atomic, scratch

HOLD = """
import sys, time
from pathlib import Path
from trainer.core import scratch
folder = Path(sys.argv[1])
with scratch.file(folder / "table") as (path, file), scratch.folder(folder, ".model.") as made:
    (made / "half").write_text("a")
    print(path.name, made.name, flush=True)
    time.sleep(100)
"""


@pytest.mark.kill
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    used = set(process.stdout.readline().split())
    assert len(used) == 2
    (tmp_path / ".table.other").write_text("not ours")

    def write() -> set[str]:
        atomic.write_bytes(tmp_path / "table", b"new")
        with scratch.folder(tmp_path, ".model."):
            pass
        return set(os.listdir(tmp_path))

    assert write() == {"table", ".table.other", *used}
    process.kill()
    process.wait()
    assert write() == {"table", ".table.other"}


def test_an_error_leaves_neither_a_file_nor_a_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch.file(tmp_path / "a"), scratch.folder(tmp_path, "b"):
        raise KeyboardInterrupt
    assert not os.listdir(tmp_path)


def test_temporary_files_of_a_command_lie_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch.of_command():
        tempfile.mkstemp()
        (own,) = os.listdir(tmp_path)
        assert own.startswith(scratch.COMMANDS)
    assert not os.listdir(tmp_path)
    assert tempfile.tempdir == str(tmp_path)


def test_a_command_runs_where_no_temporary_folder_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    with scratch.of_command():
        assert tempfile.tempdir == "/proc/none"


def test_what_a_process_keeps_until_it_exits_is_no_leftover_for_a_command_that_starts(tmp_path: Path) -> None:
    """As the fonts of a dashboard's charts, or a model that is downloaded."""
    script = """
import tempfile
from pathlib import Path
from trainer.charts.fonts import font_folder
from trainer.core import scratch
kept = [scratch.of_process("model"), font_folder()]
scratch.remove_leftovers(Path(tempfile.gettempdir()), scratch.COMMANDS)  # as a command does that starts
assert kept[0].is_dir() and any(kept[1].iterdir())
"""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], cwd=REPO, env=environment, check=True)
    assert not list(tmp_path.iterdir())


def test_only_one_module_makes_folders_that_a_command_may_remove() -> None:
    made = [
        path
        for path in (REPO / "trainer").rglob("*.py")
        if 'prefix="headroom' in path.read_text(encoding="utf-8")
    ]
    assert made == []
