"""Write what runs came to into one file, to hand to somebody.

    python -m trainer.report RUN --out report.html

The file needs neither the store nor a network: verdict, figures with intervals, charts that answer the
pointer, images of the mistakes, settings and command are inside. Several runs are compared first.
The last line on stdout is one JSON object.
"""

from __future__ import annotations

from typing import Any

from trainer import cli
from trainer.experiments.run_report.config import ReportConfig

__all__ = ["ReportConfig", "run"]


def run(config: ReportConfig) -> dict[str, Any]:
    """Write the report. Returns the ids of the runs, the file and its size.

    Raises:
        InputError: no such run, or a file that cannot be written.
    """
    from trainer.experiments.run_report import run as experiment

    return experiment.run(config)


if __name__ == "__main__":
    cli.main(ReportConfig, run, __doc__)
