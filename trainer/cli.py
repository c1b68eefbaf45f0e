"""Run a command: parse its flags, print its results, turn errors into exit codes."""

from __future__ import annotations

from trainer.core import signals

if signals.is_command():
    signals.end_while_loading()

import json
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from trainer.core import scratch
from trainer.core.arguments import parse_flags
from trainer.core.config import CommonConfig
from trainer.core.console import say, silence
from trainer.core.environment import check_environment
from trainer.core.errors import InputError, NoResultError, TooManyBadFiles
from trainer.core.locations import hide_password, sqlite_file
from trainer.core.storage_errors import STORE, storage_problem
from trainer.storing.copies import check_cache_dir

Config = TypeVar("Config", bound=CommonConfig)
program: str | None = None  # how the command was called, for its usage; None: as a module


def main(config_type: type[Config], run: Callable[[Config], dict[str, Any]], description: str | None) -> None:
    """Parse the flags, run the command and print its results as the last line on stdout.

    Exit codes: 0 on success; 1 for too many corrupt files or no usable result; 2 for invalid input, or a
    place that cannot be written; 128 and the number of the signal that ended it (130 for Ctrl-C, 141 where
    nobody reads the output any more).
    """
    places: dict[str, Path] = {}
    with guarded(places):
        check_environment()
        with printing():
            config = parse_flags(config_type, prog=_program(), description=description)
        places.update(_places(config))
        signals.end_once()
        try:
            with scratch.of_command():
                if isinstance(config, CommonConfig):
                    check_cache_dir(config.cache_dir)
                figures = run(config)
        except (TooManyBadFiles, NoResultError) as error:
            say(f"Error: {error}")
            if isinstance(error, NoResultError) and error.figures is not None:
                _print(error.figures)
            sys.exit(1)
        _print(figures)


@contextmanager
def guarded(places: Mapping[str, Path] | None = None) -> Iterator[None]:
    """Turn what ends a command early into a sentence and an exit code: see `main`.

    Args:
        places: where it writes, see `storage_problem`.
    """
    try:
        with _explained({} if places is None else places):
            yield
        signals.end_quietly()
    except signals.Terminated as stop:
        say(
            "Interrupted. Finished work is saved. Run the command again to resume (--study NAME for a study)."
        )
        code: str | int | None = stop.exit_code
    except SystemExit as ending:
        code = ending.code
    else:
        return
    signals.end_quietly()  # here, where a further signal is ignored as yet
    if isinstance(code, int):
        signals.leave(code)
    sys.exit(code)


@contextmanager
def _explained(places: Mapping[str, Path]) -> Iterator[None]:
    """Say what was wrong with the input or with a place to write to, and end with exit code 2."""
    try:
        yield
    except InputError as error:
        say(f"Error: {hide_password(str(error))}")
        sys.exit(2)
    except Exception as error:
        problem = storage_problem(error, places)
        if problem is None:
            trace = traceback.format_exc()
            if hide_password(trace) == trace:
                raise
            say(hide_password(trace))
            sys.exit(1)
        say(f"Error: {hide_password(problem)}")
        sys.exit(2)


def _program() -> str:
    return program or f"python -m trainer.{Path(sys.argv[0]).stem}"


def _places(config: object) -> Iterator[tuple[str, Path]]:
    """Yield where a command writes: the flag or variable that chooses a place, and its path."""
    for name, value in vars(config).items():
        if isinstance(value, Path):
            yield f"--{name.replace('_', '-')}", value
        elif name == "tracking_uri" and (file := sqlite_file(str(value))):
            yield STORE, Path(file)
    with suppress(OSError):
        yield "TMPDIR", Path(tempfile.gettempdir())


def _print(figures: dict[str, Any]) -> None:
    """Print the last line."""
    with printing():
        print(json.dumps(figures))


@contextmanager
def printing() -> Iterator[None]:
    """Write to standard output in the block; where nobody reads it any more, end quietly."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        silence(1)  # Python flushes once more as it ends
        if isinstance(error, BrokenPipeError):
            sys.exit(128 + signal.SIGPIPE)
        raise
