"""Damaged, odd and crafted inputs: ``python benchmarks/fuzz_inputs.py [--inputs 2000] [--kinds tar npz]``.

Each input is a small data set of one kind, so of one reader. A third hold odd cells in a well-formed file:
then rows and quarantined files must add up to what was written. A third have damaged bytes: cut, flipped,
repeated, swapped, with odd text put in. A third are crafted (crafted_inputs.py): they claim sizes, shapes,
depths or rows that they do not hold. Each is read in a process of its own, and its images are decoded, as
every command does.

Prints one JSON line, by reader: inputs, accepted, refused with a sentence, and what must be 0: tracebacks,
crashes, hangs (more than 20 s), miscounts; and the largest peak of memory above what the process had before,
in MiB, which must stay below 512 (the largest input has 40 MiB). Failed inputs are kept in ``--keep``; exit
code 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from crafted_inputs import CRAFTED
from fuzz_writers import WRITERS, damage

from trainer.core.errors import InputError
from trainer.data.decode import DecodeError, decode
from trainer.data.load import load

WITHIN_S = 20
MOST_MIB = 512  # of memory for one input
ADDRESSES = 6 << 30  # bytes: what is claimed beyond cannot be allocated
FAILURES = ("traceback", "crash", "hang", "miscount")


class Outcome(NamedTuple):
    """What came of an input."""

    what: str  # accepted, refused or one of FAILURES
    text: str  # what is wrong
    peak_mib: float


def read(data: Path) -> tuple[int, int]:
    """Read a data set and decode its images. Returns rows, and files that were quarantined."""
    manifest = load(str(data), seed=0)
    for one in manifest.images or ():
        with suppress(DecodeError):
            decode(one)
    return len(manifest), len(manifest.quarantined)


def judged(data: Path, rows: int | None) -> tuple[str, str]:
    """Read one input. Returns what came of it, and a text on what is wrong.

    Args:
        rows: that were written; None if they cannot be known.
    """
    try:
        used, quarantined = read(data)
    except InputError as error:
        return "refused", str(error)
    except BaseException:  # whatever it is, it is not for people
        return "traceback", traceback.format_exc()
    if rows is not None and used + quarantined != rows:
        return "miscount", f"{rows} rows written; {used} used, {quarantined} quarantined"
    return "accepted", ""


def apart(data: Path, rows: int | None, note: Path) -> Outcome:
    """Read one input in a fork, which may crash, hang or want too much memory."""
    child = os.fork()
    if child == 0:
        signal.alarm(WITHIN_S)  # kills
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
        sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        before_mib = peak_mib()
        what, text = judged(data, rows)
        note.write_text(json.dumps([what, text, peak_mib() - before_mib]))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return Outcome("hang" if number == signal.SIGALRM else "crash", signal.Signals(number).name, 0)
    return Outcome(*json.loads(note.read_text()))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tried(kind: str, number: int, seed: int, keep: Path) -> Outcome:
    """Write one input and read it; keep it if something is wrong."""
    chosen = random.Random(f"{seed} {kind} {number}")
    how = ("odd", "damaged", "crafted")[number % 3]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "data"
        folder.mkdir()
        data, file, rows = WRITERS[kind](folder, chosen, how == "odd")
        if how != "odd":
            (damage if how == "damaged" else CRAFTED[kind])(file, chosen)
        outcome = apart(data, rows if how == "odd" else None, Path(scratch) / "note")
        if outcome.what in FAILURES or outcome.peak_mib > MOST_MIB:
            print(
                f"{kind} {number} ({how}): {outcome.what}, {outcome.peak_mib:.0f} MiB\n{outcome.text}",
                file=sys.stderr,
            )
            shutil.copytree(folder, keep / f"{kind}-{number}", dirs_exist_ok=True)
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=2000, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=list(WRITERS), default=list(WRITERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzzed_inputs")
    given = parser.parse_args()
    figures, failed = {}, False
    for kind in given.kinds:
        outcomes = [tried(kind, number, given.seed, given.keep) for number in range(given.inputs)]
        came = Counter({"accepted": 0, "refused": 0, **dict.fromkeys(FAILURES, 0)})
        came.update(one.what for one in outcomes)
        peak_mib = max(one.peak_mib for one in outcomes)
        figures[kind] = {"inputs": len(outcomes), **came, "peak_mib": round(peak_mib)}
        print(kind, figures[kind], file=sys.stderr, flush=True)
        failed |= peak_mib > MOST_MIB or any(came[what] for what in FAILURES)
    print(json.dumps(figures))
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
