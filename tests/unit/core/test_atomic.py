"""Where a person says, the file is: complete, with the mode that it had, and nothing else is replaced."""

from __future__ import annotations

import os
import pty
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from trainer.core import atomic
from trainer.core.errors import InputError

DATA = b"a,b\n" * 50_000  # more than a pipe holds


def write(path: Path, data: bytes = DATA) -> None:
    atomic.check_output(path, "--out")
    atomic.write_output(path, data, "--out")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def no_leftovers(folder: Path) -> bool:
    return not [one for one in folder.rglob("*") if one.name.endswith(".tmp")]


def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    write(tmp_path / "new" / "folder" / "out.csv")
    (tmp_path / "plain").touch()
    assert (tmp_path / "new" / "folder" / "out.csv").read_bytes() == DATA
    assert mode(tmp_path / "new" / "folder" / "out.csv") == mode(tmp_path / "plain")
    assert no_leftovers(tmp_path)
    code = "from pathlib import Path; from trainer.core import atomic; atomic.write_bytes(Path('x'), b'')"
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=where, check=True, umask=0o077)
    assert mode(tmp_path / "x") == 0o600


@pytest.mark.parametrize("kept", [0o600, 0o640, 0o664, 0o400])
def test_a_file_that_is_replaced_keeps_its_mode_and_owner(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")
    path.chmod(kept)
    if os.getuid() == 0:
        os.chown(path, 1234, 2345)
    write(path)
    assert path.read_bytes() == DATA
    assert mode(path) == kept
    if os.getuid() == 0:
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


@pytest.mark.parametrize("exists", [True, False])
def test_a_symlink_stays_one_and_its_target_is_replaced(tmp_path: Path, exists: bool) -> None:
    target = tmp_path / "there" / "real.csv"
    target.parent.mkdir()
    if exists:
        target.write_text("before")
        target.chmod(0o600)
    (tmp_path / "second").symlink_to("there/real.csv")
    (tmp_path / "out.csv").symlink_to("second")
    write(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").is_symlink()
    assert (tmp_path / "second").is_symlink()
    assert target.read_bytes() == DATA
    assert not exists or mode(target) == 0o600
    assert no_leftovers(tmp_path)


def test_a_device_is_written_to_and_stays_one(tmp_path: Path) -> None:
    write(Path(os.devnull))
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    link = tmp_path / "out.csv"
    link.symlink_to(os.devnull)
    write(link)
    assert link.is_symlink()
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_terminal_is_written_to() -> None:
    ours, theirs = pty.openpty()
    try:
        write(Path(os.ttyname(theirs)), b"a,b\n")
        assert os.read(ours, 100) == b"a,b\r\n"
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_pipe_with_a_name_is_written_to_and_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    os.mkfifo(path)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(path.read_bytes()), daemon=True)
    reader.start()
    write(path)
    reader.join(timeout=30)
    assert heard == [DATA]
    assert path.is_fifo()
    assert no_leftovers(tmp_path)


def test_standard_output_gets_the_file_and_then_what_is_printed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from trainer.core import atomic; import sys\n"
        "path = Path(sys.argv[1]); atomic.check_output(path, '--out')\n"
        "atomic.write_output(path, b'a,b\\n', '--out'); print('last')"
    )
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        piped = subprocess.run([sys.executable, "-c", code, name], capture_output=True, env=where, check=True)
        assert piped.stdout == b"a,b\nlast\n"
        with (tmp_path / "log").open("wb") as log:
            subprocess.run([sys.executable, "-c", code, name], stdout=log, env=where, check=True)
        assert (tmp_path / "log").read_bytes() == b"a,b\nlast\n"


def test_a_full_device_and_a_reader_that_left_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--out /dev/full cannot be written: No space left"):
        write(Path("/dev/full"))
    ours, theirs = os.pipe()
    os.close(ours)
    with pytest.raises(InputError, match="cannot be written: Broken pipe"):
        write(Path(f"/dev/fd/{theirs}"))
    os.close(theirs)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder", "is a folder; pass the name of a file"),
        ("file/out.csv", "cannot be written: Not a directory"),
        ("file/deeper/out.csv", "cannot be written: Not a directory"),
        ("loop", "cannot be written: Too many levels of symbolic links"),
        ("a\x00b", "cannot be written: embedded null byte"),
        ("x" * 5000, "cannot be written: File name too long"),
        ("socket", "neither a file, a pipe nor a device"),
        ("/proc/headroom.csv", "cannot be written"),
        ("/dev/fd/999", "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused_before_work_is_begun(
    tmp_path: Path, name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        with pytest.raises(InputError, match=words) as refused:
            atomic.check_output(Path(name), "--out")
    assert str(refused.value).startswith("--out ")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_file_in_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    if os.access(tmp_path / "shut", os.W_OK):
        pytest.skip("root may write anywhere")
    for name in ("out.csv", "deeper/out.csv"):
        with pytest.raises(InputError, match="cannot be written: Permission denied"):
            atomic.check_output(tmp_path / "shut" / name, "--out")


def test_an_input_is_never_replaced_by_any_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("kept")
    (tmp_path / "soft").symlink_to("in.csv")
    os.link(tmp_path / "in.csv", tmp_path / "hard")
    for name in ("in.csv", "soft", "hard", "../" + tmp_path.name + "/in.csv"):
        with pytest.raises(InputError, match="is read by this command, too"):
            atomic.check_output(tmp_path / name, "--out", inputs=[Path("absent"), tmp_path / "in.csv"])
    atomic.check_output(tmp_path / "other", "--out", inputs=[tmp_path / "in.csv"])
    assert sorted(one.name for one in tmp_path.iterdir()) == ["hard", "in.csv", "soft"]


def test_a_name_of_255_bytes_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125 + ".csv")
    write(path)
    assert path.read_bytes() == DATA
