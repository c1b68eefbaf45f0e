"""Peak memory of extraction against the number of images: ``python benchmarks/memory.py``.

Runs ``python -m trainer.extract`` with the encoder that comes along on 1,000 and on 50,000 files: CIFAR-10
from ``../shared/data``, each file made different. Prints one JSON line with the largest resident sets, in MB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
CIFAR = REPO.parent / "shared" / "data" / "cifar10_small"


def lay_out(folder: Path, count: int) -> None:
    sources = [file.read_bytes() for file in sorted(CIFAR.rglob("*.jpg"))]
    for i in range(count):
        file = folder / f"{i // 1000:03d}" / f"{i:06d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(sources[i % len(sources)] + i.to_bytes(4, "big"))  # behind the image's end


def peak_mb(data: Path, cache: Path) -> tuple[float, dict]:
    """The largest resident set of the command, and the figures that it printed."""
    command = [
        sys.executable,
        "-m",
        "trainer.extract",
        "--data",
        data,
        "--encoder",
        "demo",
        "--cache-dir",
        cache,
    ]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = running.stdout.read()
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise SystemExit(f"extraction failed with {running.returncode}")
    return usage.ru_maxrss / 1024, json.loads(said.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs=2, default=(1_000, 50_000))
    asked = parser.parse_args()
    figures: dict[str, object] = {}
    peaks = []
    with tempfile.TemporaryDirectory() as temporary:
        for count in asked.counts:
            data = Path(temporary) / str(count)
            lay_out(data, count)
            peak, said = peak_mb(data, Path(temporary) / f"cache{count}")
            peaks.append(peak)
            figures[str(count)] = {
                "peak_mb": round(peak, 1),
                **{name: said[name] for name in ("used", "encoded", "images_per_s", "elapsed_s")},
            }
    print(json.dumps({**figures, "grew_by_mb": round(peaks[1] - peaks[0], 1)}))


if __name__ == "__main__":
    main()
