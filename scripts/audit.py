"""Look for known vulnerabilities of the locked libraries with pip-audit: ``python scripts/audit.py``.

Exit code 1, and the advisories, if there are any. Where pip-audit is not installed, or no index with
advisories can be reached, one line says so, and the exit code is 0. It asks once a day for the same lock
files, for `LIMIT_S` at most. torch and pip are not in them, so not looked at.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCKS = (ROOT / "requirements.lock", ROOT / "requirements-dev.lock")
PASSED = ROOT / ".cache" / "audited"  # holds the digest of lock files without known vulnerabilities
A_DAY_S = 86_400
LIMIT_S = 20
ACCEPTED: tuple[str, ...] = ()  # ids of advisories about what Headroom does not use; say why


def advisories(lock: str, *, options: tuple[str, ...] = (), limit_s: float = LIMIT_S) -> list[str]:
    """Return the advisories about libraries in the text of a lock file: library, id, and where it is fixed.

    Args:
        options: further ones of pip-audit.

    Raises:
        ConnectionError: nothing could be looked up.
    """
    first = re.search(r"^\w(?:.*\\\n)*.*$", lock, re.MULTILINE)
    assert first is not None
    until = time.monotonic() + limit_s
    found: list[dict[str, Any]] = []
    for text in (first[0], lock):  # where the first is unknown, there is no use in asking for the others
        found = _asked(text, options, until - time.monotonic())
        if all("skip_reason" in one for one in found):
            raise ConnectionError("the package index that answers has no advisories")
    return [
        f"{one['name']} {one['version']}: {fault['id']}, "
        f"fixed in {' or '.join(fault['fix_versions']) or 'no version'}"
        for one in found
        for fault in one.get("vulns", ())
    ]


def _asked(lock: str, options: tuple[str, ...], limit_s: float) -> list[dict[str, Any]]:
    """Return what pip-audit says of each library."""
    if find_spec("pip_audit") is None:
        raise ConnectionError("pip-audit is not installed")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(lock)
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "--requirement", file.name]
        command += ["--no-deps", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off", "--timeout", "5", *options]
        command += [word for one in ACCEPTED for word in ("--ignore-vuln", one)]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit_s)
            return list(json.loads(done.stdout)["dependencies"])
        except subprocess.TimeoutExpired:
            raise ConnectionError(f"no answer within {LIMIT_S} s") from None
        except ValueError:
            last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
            error = last.partition(":")[0].rpartition(".")[2]
            raise ConnectionError(f"no index with advisories can be reached ({error})") from None


def main() -> None:
    """Run the command."""
    lock = "".join(path.read_text(encoding="utf-8") for path in LOCKS)
    digest = sha256(lock.encode()).hexdigest()
    if PASSED.is_file() and PASSED.read_text() == digest and time.time() - PASSED.stat().st_mtime < A_DAY_S:
        return
    try:
        found = advisories(lock)
    except ConnectionError as reason:
        print(f"Known vulnerabilities were not looked up: {reason}.")
        return
    if found:
        sys.exit("Known vulnerabilities: " + "; ".join(found))
    print("Known vulnerabilities of the locked libraries: none.")
    PASSED.parent.mkdir(exist_ok=True)
    PASSED.write_text(digest)


if __name__ == "__main__":
    main()
