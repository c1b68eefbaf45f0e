"""Run a command: parse its flags, print its results, turn errors into exit codes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import tyro

from trainer.core import signals
from trainer.core.config import CommonConfig
from trainer.core.console import say
from trainer.core.errors import InputError, NoResultError, TooManyBadFiles
from trainer.core.storage_errors import storage_problem

Config = TypeVar("Config", bound=CommonConfig)
program: str | None = None  # how the command was called, for its usage; None: as a module


def main(config_type: type[Config], run: Callable[[Config], dict[str, Any]], description: str | None) -> None:
    """Parse the flags, run the command and print its results as the last line on stdout.

    Exit codes: 0 on success; 1 for too many corrupt files or no usable result; 2 for invalid input, or a
    place that cannot be written; 128 and the number of the signal that ended it (130 for Ctrl-C).
    """
    config = tyro.cli(
        config_type, prog=program or f"python -m trainer.{Path(sys.argv[0]).stem}", description=description
    )
    signals.end_once()
    try:
        _print(run(config))
    except InputError as error:
        say(f"Error: {error}")
        sys.exit(2)
    except (TooManyBadFiles, NoResultError) as error:
        say(f"Error: {error}")
        if isinstance(error, NoResultError) and error.figures is not None:
            _print(error.figures)
        sys.exit(1)
    except signals.Terminated as stop:
        say(
            "Interrupted. Finished work is saved. Run the command again to resume (--study NAME for a study)."
        )
        sys.exit(stop.exit_code)
    except Exception as error:
        problem = storage_problem(error)
        if problem is None:
            raise
        say(f"Error: {problem}")
        sys.exit(2)


def _print(figures: dict[str, Any]) -> None:
    """Print the last line. Where nobody reads it any more, end quietly."""
    try:
        print(json.dumps(figures), flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more as it ends
        if isinstance(error, BrokenPipeError):
            sys.exit(128 + signal.SIGPIPE)
        raise
