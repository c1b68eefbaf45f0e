"""Peak memory of extraction: ``python benchmarks/memory.py [--large]``.

Runs ``python -m trainer.extract`` with the encoder that comes along on 1,000 and on 50,000 files: CIFAR-10
from ``../shared/data``, each file made different. Prints one JSON line with the largest resident sets, in MB.

With ``--large``: on six images of 119 megapixels (PNG, 1.5 MB each; the limit is 120 megapixels), as the
command is, and one after the other (``--max-memory 1K``: whatever exceeds the budget goes alone). Prints the
peaks and how many times as long the first took.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

REPO = Path(__file__).resolve().parents[1]
LARGE = 9_750, 12_200  # pixels
CIFAR = REPO.parent / "shared" / "data" / "cifar10_small"


def lay_out(folder: Path, count: int) -> None:
    sources = [file.read_bytes() for file in sorted(CIFAR.rglob("*.jpg"))]
    for i in range(count):
        file = folder / f"{i // 1000:03d}" / f"{i:06d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(sources[i % len(sources)] + i.to_bytes(4, "big"))  # behind the image's end


def lay_out_large(folder: Path) -> None:
    """Six images without noise, so that the files are small and decoding is all there is to do."""
    height, width = LARGE
    for i in range(6):
        pixels = np.empty((height, width, 3), np.uint8)
        pixels[..., 0] = np.linspace(0, 255, height)[:, None]
        pixels[..., 1] = np.linspace(0, 255, width)
        pixels[..., 2] = 40 * i
        file = folder / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file, compress_level=1)


def peak_mb(data: Path, cache: Path, *flags: str) -> tuple[float, dict]:
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
        *flags,
    ]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = running.stdout.read()
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise SystemExit(f"extraction failed with {running.returncode}")
    return usage.ru_maxrss / 1024, json.loads(said.splitlines()[-1])


def measure_large(temporary: Path) -> dict[str, object]:
    """How much memory the images take, and for how long, side by side as far as it goes and one by one."""
    lay_out_large(temporary / "large")
    figures: dict[str, object] = {}
    seconds = []
    for name, flags in (("usual", ()), ("one_by_one", ("--max-memory", "1K"))):
        peak, said = peak_mb(temporary / "large", temporary / name, *flags)
        seconds.append(said["elapsed_s"])
        figures[name] = {"peak_mb": round(peak, 1), "used": said["used"], "elapsed_s": said["elapsed_s"]}
    return {**figures, "times_as_long": round(seconds[0] / seconds[1], 2)}


def measure_many(temporary: Path, counts: tuple[int, int]) -> dict[str, object]:
    """How much memory few and many small images take."""
    figures: dict[str, object] = {}
    peaks = []
    for count in counts:
        data = temporary / str(count)
        lay_out(data, count)
        peak, said = peak_mb(data, temporary / f"cache{count}")
        peaks.append(peak)
        figures[str(count)] = {
            "peak_mb": round(peak, 1),
            **{name: said[name] for name in ("used", "encoded", "images_per_s", "elapsed_s")},
        }
    return {**figures, "grew_by_mb": round(peaks[1] - peaks[0], 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs=2, default=(1_000, 50_000))
    parser.add_argument("--large", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print(json.dumps(measure_large(folder) if asked.large else measure_many(folder, asked.counts)))


if __name__ == "__main__":
    main()
