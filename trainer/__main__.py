"""The command ``headroom``: every command of Headroom under one name.

``headroom sweep …`` is the same as ``python -m trainer.sweep …``. Recorded commands use the second form,
which also works in a checkout that is not installed.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import trainer

COMMANDS = {
    "check": "read your data, train nothing, say what looks wrong",
    "sweep": "search for the best head on frozen features",
    "extract": "encode images into the cache; find corrupt files and duplicates",
    "ablate": "does filtering or augmenting the training set help?",
    "encoders": "which encoder is best, and what does it cost?",
    "zeroshot": "class names against heads trained on few images",
    "fuse": "do captions help, and how should they be combined?",
    "verify": "do two photos show the same person?",
    "finetune": "is fine-tuning the last blocks of the encoder worth it?",
    "compare": "is one run better than another on the test rows?",
    "report": "one file about runs, to hand to somebody",
    "predict": "classify new images with the best head of a sweep",
    "search_images": "find images by words or by an image; recall of captions",
    "cache": "list, verify, prune, export or import cached features",
    "doctor": "what is broken on this machine, and how to mend it",
    "dashboard": "show the results in the browser (--allow-runs: start runs there; flags of `streamlit run`)",
}
ALLOW_RUNS, ADDRESS, HERE = "--allow-runs", "--server.address", "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    Args:
        arguments: Arguments after ``headroom``; None: those of the command line.

    Raises:
        SystemExit: With the command's exit code; 2 for an unknown command.
    """
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help", "--version"):
        _print(f"headroom {trainer.__version__}" if name == "--version" else _help())
    elif name == "dashboard":
        _show_dashboard(rest)
    elif name in COMMANDS:
        from trainer.core import signals

        signals.end_while_loading()
        with suppress(ImportError):  # of a library: the command itself says which
            from trainer import cli

            cli.program = f"headroom {name}"
        sys.argv = [name, *rest]
        runpy.run_module(f"trainer.{name}", run_name="__main__", alter_sys=True)
    else:
        print(f"Error: {name!r} is not a command. Commands: {', '.join(COMMANDS)}.", file=sys.stderr)
        sys.exit(2)


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except OSError:
        from trainer import cli  # which loads libraries: not needed for a help that is read

        with cli.guarded(), cli.printing():
            raise


def _help() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join([
        "usage: headroom COMMAND [FLAGS]    headroom COMMAND --help lists the flags of a command",
        "       headroom --version",
        "",
        *(f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items()),
    ])  # fmt: skip


def _show_dashboard(flags: Sequence[str]) -> None:
    import dashboard

    package = dashboard.__path__[0]
    home = str(Path(package) / "Home.py")
    from streamlit.web import cli

    from dashboard.ui.offline import stay_offline

    flags = _allowing_runs(flags)
    stay_offline()  # before the first page is opened, which would do it, too
    sys.argv = ["streamlit", "run", home, *flags]
    cli.main()


def _allowing_runs(flags: Sequence[str]) -> list[str]:
    """Return the flags of Streamlit; with --allow-runs, pages may start runs, the server listening here only.

    Pages check that, and how they were asked for: see `dashboard.ui.run_permission`.
    """
    if ALLOW_RUNS not in flags:
        return [*flags]
    if any(flag.startswith(ADDRESS) for flag in flags):
        print(f"Error: with {ALLOW_RUNS} it listens on {HERE} only; leave out {ADDRESS}.", file=sys.stderr)
        sys.exit(2)
    from dashboard.runs.launcher import ALLOWED

    os.environ[ALLOWED] = "1"
    return [*(flag for flag in flags if flag != ALLOW_RUNS), ADDRESS, HERE]


if __name__ == "__main__":
    main()
