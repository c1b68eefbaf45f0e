"""Flags of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.core.config import StudyConfig


@dataclass(frozen=True, kw_only=True)
class SweepConfig(StudyConfig):
    """What to search, on what."""

    trials: int = 64
    """How many configurations to try, counting those of a resumed study."""
    seeds: int = 3
    """How many times each configuration is trained, each time with other random numbers."""
    space: Path | None = None
    """YAML file whose lines replace those of trainer/search/space.yaml."""
    timeout: float | None = None
    """Seconds after which no further stretch of training is begun; what is under way then is given up."""
    target: float | None = None
    """Validation macro-F1 (0 to 1, mean over seeds) at which the search ends."""
    objective: Literal["f1", "f1+size"] = "f1"
    """f1+size: look for small heads as well as good ones, and report which ones no other beats in both."""
    pruner: Literal["median", "halving", "none"] = "median"
    """How losing configurations are given up early."""
    at_once: int = 16
    """Configurations trained side by side."""
    views: int = 0
    """Augmented views of each training image that heads may be trained on (`augment` in the space)."""
    fresh_seeds: int = 5
    """How often the chosen heads are trained anew at the end, with seeds that had no part in choosing."""
    profile: bool = False
    """Print where the time went."""
    export_optuna: str | None = None
    """Also write the study to this Optuna database when it is done, for optuna-dashboard: sqlite:///study.db."""
    rerun: str | None = None
    """Id of a run (a sweep: its best trial; a trial): train it again, alone, and compare with the record."""
