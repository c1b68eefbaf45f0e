"""Run a command: parse its flags, print its results, turn errors into exit codes."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import tyro

from trainer.core.config import CommonConfig
from trainer.core.console import say
from trainer.core.errors import InputError, NoResultError, TooManyBadFiles

Config = TypeVar("Config", bound=CommonConfig)
program: str | None = None  # how the command was called, for its usage; None: as a module


def main(config_type: type[Config], run: Callable[[Config], dict[str, Any]], description: str | None) -> None:
    """Parse the flags, run the command and print its results as the last line on stdout.

    Exit codes: 0 on success; 1 for too many corrupt files or no usable result; 2 for invalid input; 130 when
    interrupted.
    """
    config = tyro.cli(
        config_type, prog=program or f"python -m trainer.{Path(sys.argv[0]).stem}", description=description
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM ends like Ctrl-C
    try:
        figures = run(config)
    except InputError as error:
        say(f"Error: {error}")
        sys.exit(2)
    except (TooManyBadFiles, NoResultError) as error:
        say(f"Error: {error}")
        if isinstance(error, NoResultError) and error.figures is not None:
            print(json.dumps(error.figures))
        sys.exit(1)
    except KeyboardInterrupt:
        say(
            "Interrupted. Finished work is saved. Run the command again to resume (--study NAME for a study)."
        )
        sys.exit(130)
    print(json.dumps(figures))
