"""Where things lie, and how much of the machine a child process may use."""

from __future__ import annotations

from pathlib import Path

# For commands that shall train heads side by side, as where they have the machine for themselves.
TWO_CORES = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
REPO = Path(__file__).resolve().parents[2]
SHARED = REPO.parent / "shared" / "data"
