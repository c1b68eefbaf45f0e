"""What every command shares: where things are kept, how it ends, what it says."""

from __future__ import annotations

import json
import secrets
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import tyro

from trainer.errors import InputError, TooManyBadFiles
from trainer.progress import say
from trainer.tracking import schema


@dataclass(frozen=True, kw_only=True)
class Common:
    """Flags of every command."""

    tracking_uri: str = field(default_factory=schema.default_tracking_uri)
    """MLflow store. Default: HEADROOM_TRACKING_URI, else mlruns/mlflow.db of this checkout."""
    experiment: str = schema.DEFAULT_EXPERIMENT
    """MLflow experiment."""
    cache_dir: Path = schema.REPO_ROOT / ".cache" / "headroom"
    """Where features are kept."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where encoders and heads run."""
    seed: int = 0
    """Decides everything random: splits, proposals, heads."""


Config = TypeVar("Config", bound=Common)


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
    except (TooManyBadFiles, CameToNothing) as error:
        say(f"Error: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("Interrupted. Everything finished is on record; the study's name resumes it.")
        sys.exit(130)
    print(json.dumps(figures))


class CameToNothing(RuntimeError):
    """The command ran as asked and has no result (exit code 1)."""


def require_at_least(config: Common, **least: int) -> None:
    """Raise InputError for a flag below its least value."""
    for name, bound in least.items():
        if getattr(config, name) < bound:
            flag = "--" + name.replace("_", "-")
            raise InputError(f"{flag} is {getattr(config, name)}; it must be at least {bound}.")


def pick_device(wanted: str) -> str:
    """The torch device behind ``--device``: ``auto`` is CUDA where there is one.

    Raises:
        InputError: ``cuda`` is asked for and torch can use none.
    """
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--device cuda: torch finds no CUDA device on this machine. Pass --device cpu, or leave it out."
        )
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def new_name(stem: str) -> str:
    """A readable name that is new: what it is about, the time, four random digits."""
    return f"{Path(stem).stem or 'study'}-{time.strftime('%m%d-%H%M%S')}-{secrets.token_hex(2)}"
