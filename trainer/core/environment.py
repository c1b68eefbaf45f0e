"""See that the process has what every command needs: a working directory, standard streams, open files."""

from __future__ import annotations

import os
from contextlib import suppress

from trainer.core.errors import InputError

LEAST_FILES = 128  # libraries, databases and image workers together hold some 60
MOST_FILES = 4096


def check_environment() -> None:
    """Open what is missing, and raise the limit of open files as far as that is allowed.

    Raises:
        InputError: the working directory was deleted; too few files may be open.
    """
    _open_streams()
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(
            f"The working directory cannot be used: {error.strerror}. It may have been deleted. Change to "
            "another folder (cd) and run the command again."
        ) from error
    _allow_files()


def _open_streams() -> None:
    """Let no file take the number of a closed standard stream, which others would then write into."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _allow_files() -> None:
    with suppress(ImportError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        allowed = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
        if allowed < LEAST_FILES:
            raise InputError(
                f"This process may open {allowed} files, and needs up to {LEAST_FILES}. Raise the limit "
                f"(ulimit -n {MOST_FILES}) and run the command again."
            )
        if soft != resource.RLIM_INFINITY and soft < allowed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
