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
    """Number of trials, including those of a resumed study."""
    seeds: int = 3
    """Number of seeds per trial."""
    space: Path | None = None
    """YAML file that overrides lines of trainer/search/space.yaml."""
    timeout: float | None = None
    """Seconds after which no further training starts; unfinished trials are pruned."""
    target: Literal["class", "number", "labels"] | float | None = None
    """What a label is: class, number (regression), or labels (several per image, see --label-separator and
    --label-columns). Default: several where they are lists or one of these flags is given, a number where it
    evidently is one (many distinct values with a fraction). A score instead: the validation score by
    --objective (mean over seeds) that ends the search once it is reached."""
    validate: Literal["auto", "holdout", "cv"] = "auto"
    """Rows that judge the trials: the validation rows (holdout), or all rows but the test rows, fold by fold
    (cv). auto: cv where there are fewer than 2,000 validation rows."""
    folds: int = 5
    """Number of folds of a cross-validation."""
    repeats: int = 1
    """Number of times the cross-validation is repeated, with other folds."""
    refit: bool = True
    """Train the final head on all rows but the test rows."""
    coverage: float = 0.9
    """Share of images whose true class the prediction sets of the final head shall hold (0.5 to 0.99); of
    numbers, whose true number its intervals shall hold."""
    objective: Literal[
        "f1",
        "f1+size",
        "accuracy",
        "balanced",
        "auroc",
        "nll",
        "r2",
        "mae",
        "rmse",
        "map",
        "f1-labels",
        "f1-micro",
    ] = "f1"
    """Score that trials and the final head are chosen by; of equal scores the lower log-loss decides. f1:
    macro-F1. balanced: balanced accuracy, the mean recall of the classes. auroc: area under the ROC curve; of
    several classes each against the rest, averaged. nll: log-loss, lower is better. f1+size: macro-F1, and
    look for small heads as well as good ones and report which ones no other beats in both. Of numbers: r2
    (the default there), mae (mean absolute error) or rmse (root of the mean squared error). Of several labels
    per image: map (the default there: mean average precision), f1-labels (macro-F1 over labels) or f1-micro,
    at a probability of 0.5."""
    pruner: Literal["median", "halving", "none"] = "median"
    """Pruner that stops unpromising trials early."""
    at_once: int = 16
    """Number of trials trained together."""
    views: int = 0
    """Number of augmented views of each training image (`augment` in the space)."""
    fresh_seeds: int = 5
    """Number of fresh seeds to retrain the selected heads with at the end."""
    profile: bool = False
    """Print the time of each stage."""
    export_optuna: str | None = None
    """Optuna database to export the finished study to, for optuna-dashboard: sqlite:///study.db."""
    tensorboard: Path | None = None
    """Folder for event files, while the search runs: curves and hyperparameters of each trial that has ended,
    and the rows of the map for the projector. Needs the package tensorboard."""
    rerun: str | None = None
    """Run id of a sweep (its best trial) or a trial to retrain alone and compare with the logged result."""

    @property
    def label_kind(self) -> Literal["class", "number", "labels"] | None:
        """Return --target where it says what a label is."""
        return self.target if isinstance(self.target, str) else None

    @property
    def takes_several_labels(self) -> bool:
        """Return whether an image may have several labels: not where --target says what else they are."""
        return self.label_kind in (None, "labels")

    @property
    def enough(self) -> float | None:
        """Return --target where it is a score."""
        return None if isinstance(self.target, str) else self.target
