"""Encode pictures once, into the cache, and say what was found.

    python -m trainer.extract --data DATA --encoder ENCODER

Killed at any moment it goes on where it stopped. The last line on stdout is one JSON object.
"""

from __future__ import annotations

import time
from typing import Any

from trainer import cli
from trainer.progress import say
from trainer.reading import Reading, read_features

SHOWN = 20  # quarantined files named on the terminal; all of them are in the figures


def run(config: Reading) -> dict[str, Any]:
    """Extract, or find that everything is there already. Returns the figures.

    Raises:
        InputError: something given cannot be used.
        TooManyBadFiles: more images than ``max_bad`` are unreadable. What was encoded stays stored.
    """
    began = time.time()
    cli.require_at_least(config, seed=0)
    from trainer.features.tower import pick_device

    features = read_features(config, pick_device(config.device), to_train=False)
    report = features.report
    for path, reason in report.quarantined[:SHOWN]:
        say(f"Quarantined: {path}: {reason}")
    if len(report.quarantined) > SHOWN:
        say(f"… and {len(report.quarantined) - SHOWN} more.")
    return {
        "found": report.found,
        "used": report.used,
        "quarantined": len(report.quarantined),
        "dropped_duplicates": report.dropped_duplicates,
        "duplicates": report.duplicates,
        "reused": report.reused,
        "encoded": report.encoded,
        "encoder_calls": report.encoder_calls,
        "images_per_s": round(report.encoded / report.elapsed_s, 1),
        "batch_size": report.batch_size,
        "processes": report.processes,
        "share_of_time": {what: round(share, 3) for what, share in report.share.items()},
        "quarantine": [{"path": path, "reason": reason} for path, reason in report.quarantined],
        "encoder": report.encoder,
        "elapsed_s": round(time.time() - began, 3),
    }


if __name__ == "__main__":
    cli.main(Reading, run, __doc__)
