"""A folder as a location: what is new appears by a hard link, which fails where there is a file."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from trainer.core import atomic, scratch
from trainer.core.errors import InputError
from trainer.storing.location import Stored

ATTEMPTS = 20  # to write where another process deletes the folder, or the temporary file


class FolderLocation:
    """A folder, which need not exist. Its file system may be shared by machines if it has hard links."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def address(self) -> str:
        return str(self._folder)

    def entries(self, prefix: str = "") -> list[Stored]:
        found = []
        for place, _, names in os.walk(self._folder / prefix):
            for name in names:
                path = Path(place, name)
                if name.startswith("."):
                    continue
                with suppress(FileNotFoundError):
                    status = path.stat()
                    modified = datetime.fromtimestamp(status.st_mtime, UTC)
                    found.append(Stored(path.relative_to(self._folder).as_posix(), status.st_size, modified))
        return sorted(found)

    def get(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise FileNotFoundError(name) from None
        except OSError as error:
            raise self._unusable("read", error) from error

    def put(self, name: str, data: bytes) -> None:
        self._write(name, data, new=False)

    def put_new(self, name: str, data: bytes) -> bool:
        return self._write(name, data, new=True)

    def _write(self, name: str, data: bytes, *, new: bool) -> bool:
        path = self._folder / name
        for attempt in range(ATTEMPTS):
            try:
                return _link(path, data) if new else _replace(path, data)
            except FileNotFoundError as error:
                if attempt == ATTEMPTS - 1:
                    raise self._unusable("written", error) from error
            except OSError as error:
                raise self._unusable("written", error) from error
        raise AssertionError("unreachable")

    def delete(self, name: str) -> None:
        try:
            (self._folder / name).unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise self._unusable("written", error) from error

    def _unusable(self, done: str, error: OSError) -> InputError:
        return InputError(
            f"The cache folder {self._folder} cannot be {done}: {error.filename or ''} {error.strerror}. "
            "Free space, repair its permissions, or pass another --cache-dir."
        )


def _replace(path: Path, data: bytes) -> bool:
    atomic.write_bytes(path, data)
    return True


def _link(path: Path, data: bytes) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch.file(path) as (temporary, file):
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        temporary.chmod(atomic.new_file_mode())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
    atomic.sync_folder(path.parent)
    return True
