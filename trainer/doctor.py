"""Say what is broken on this machine, and what to do about it.

    python -m trainer.doctor

Looks at the packages, torch, NVIDIA's driver, CUDA, cuDNN, bfloat16, threads, memory, disks, the MLflow
store, the Hugging Face hub and the browser of the tests. A line says that something is fine, or how to mend
it. Changes nothing. Exit code 1 if something is broken; advice alone is 0. The last line on stdout is one
JSON object.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from trainer.core.errors import NoResultError
from trainer.experiments.diagnosis.config import DoctorConfig

__all__ = ["DoctorConfig", "run"]


def run(config: DoctorConfig) -> dict[str, Any]:
    """Check the machine. Returns the results.

    Raises:
        NoResultError: something is broken; with the results.
    """
    from trainer.core.console import say
    from trainer.experiments.diagnosis import run as experiment

    return experiment.run(config, say)


def _run_bare(missing: ImportError) -> None:
    """Check the machine although the libraries that read flags and print are missing: with the defaults."""
    from trainer.experiments.diagnosis import run as experiment

    print(f"Flags are not read: {missing}.", file=sys.stderr)
    try:
        figures = experiment.run(DoctorConfig(), lambda line: print(line, file=sys.stderr))
    except NoResultError as error:
        print(json.dumps(error.figures))
        sys.exit(1)
    print(json.dumps(figures))


if __name__ == "__main__":
    try:
        from trainer import cli
    except ImportError as error:
        _run_bare(error)
    else:
        cli.main(DoctorConfig, run, __doc__)
