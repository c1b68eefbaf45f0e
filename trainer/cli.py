"""What every command shares: where things are kept, how it ends, what it says."""

from __future__ import annotations

import dataclasses
import json
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import tyro

from trainer.core.console import say
from trainer.core.errors import InputError, TooManyBadFiles
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
        if isinstance(error, CameToNothing) and error.figures is not None:
            print(json.dumps(error.figures))
        sys.exit(1)
    except KeyboardInterrupt:
        say("Interrupted. Everything finished is on record; the study's name resumes it.")
        sys.exit(130)
    print(json.dumps(figures))


class CameToNothing(RuntimeError):
    """The command ran as asked and found nothing good (exit code 1). ``figures`` are printed all the same."""

    def __init__(self, message: str, figures: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.figures = figures


def require_at_least(config: Common, **least: int) -> None:
    """Raise InputError for a flag below its least value."""
    for name, bound in least.items():
        if getattr(config, name) < bound:
            flag = "--" + name.replace("_", "-")
            raise InputError(f"{flag} is {getattr(config, name)}; it must be at least {bound}.")


def close_lost_runs(config: Common) -> None:
    """Close the runs whose process died without a word, and say so. Before a new one is opened."""
    from trainer.tracking import studies

    for run_id in studies.close_lost_runs(config.tracking_uri, config.experiment):
        say(f"Run {run_id} is closed as interrupted: its process had died.")


def settings(config: Common) -> dict[str, Any]:
    """Every flag with its value, paths as text: for a run's parameters and its YAML."""
    return {name: str(v) if isinstance(v, Path) else v for name, v in dataclasses.asdict(config).items()}


def command_line(module: str, config: Common, **changed: Any) -> str:
    """The shell command that gives ``config`` again, ``changed`` in part; default flags are left out."""
    words = ["python", "-m", module]
    for flag in dataclasses.fields(config):
        value = changed.get(flag.name, getattr(config, flag.name))
        usual = flag.default if flag.default_factory is dataclasses.MISSING else flag.default_factory()
        name = flag.name.replace("_", "-")
        if value == usual or value is None:
            continue
        if dataclasses.is_dataclass(value):
            for inner in dataclasses.fields(value):
                if getattr(value, inner.name) != inner.default:
                    words += [f"--{name}.{inner.name.replace('_', '-')}", str(getattr(value, inner.name))]
        elif isinstance(value, tuple):
            words += [f"--{name}", *map(str, value)]
        elif isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        else:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def new_name(stem: str) -> str:
    """A readable name that is new: what it is about, the time, four random digits."""
    return f"{Path(stem).stem or 'study'}-{time.strftime('%m%d-%H%M%S')}-{secrets.token_hex(2)}"
