"""Run a command: read its flags, print its figures, turn errors into exit codes."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import tyro

from trainer.core.config import CommonConfig
from trainer.core.console import say
from trainer.core.errors import InputError, NoResultError, TooManyBadFiles

Config = TypeVar("Config", bound=CommonConfig)


def main(config_type: type[Config], run: Callable[[Config], dict[str, Any]], description: str | None) -> None:
    """Read the flags, run, print the figures as the last line on stdout.

    Exit codes: 0; 1 for too many bad files or a run that came to nothing; 2 for input that cannot be
    used; 130 when interrupted.
    """
    config = tyro.cli(config_type, description=description)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill ends as Ctrl-C does
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
        say("Interrupted. Everything finished is on record; the study's name resumes it.")
        sys.exit(130)
    print(json.dumps(figures))
