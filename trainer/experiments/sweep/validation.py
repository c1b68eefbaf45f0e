"""How a sweep judges its trials: by the validation rows, or by cross-validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.data.duplicates import unit_numbers
from trainer.data.manifest import Manifest
from trainer.experiments.inputs import learning_rows
from trainer.experiments.sweep.config import SweepConfig
from trainer.stats.objective import AUROC, F1, Objective

if TYPE_CHECKING:
    from trainer.features.extract import Features
    from trainer.heads.resampling import Folds

VALIDATION = "validation"  # in a study's identity; studies of earlier versions have none
FEW_ROWS = (
    2_000  # validation rows below which `auto` cross-validates: 0.8 of them is known to ± 0.018 at best
)


@dataclass(frozen=True)
class Validation:
    """What is judged, and what the final head learns from."""

    folds: int  # 0: the validation rows are held out
    repeats: int
    refit: bool
    seed: int
    recorded: bool = True  # False: of a study that began before there was a choice

    @property
    def crossed(self) -> bool:
        """Whether it is a cross-validation."""
        return self.folds > 0

    def identity(self) -> dict[str, Any]:
        """Return what must not change while a study goes on."""
        if not self.recorded:
            return {}
        return {VALIDATION: self.text, "refit": self.refit}

    @property
    def text(self) -> str:
        """Say it in a word or two."""
        if not self.crossed:
            return "holdout"
        return f"{self.folds}-fold cross-validation" + (f" × {self.repeats}" if self.repeats > 1 else "")


def plan_validation(config: SweepConfig, manifest: Manifest, before: Mapping[str, Any] | None) -> Validation:
    """Return how to validate; said to the person.

    Args:
        before: the identity of the study to resume, or None.

    Raises:
        InputError: flags that do not go together, or fewer units than folds.
    """
    if before is not None and VALIDATION not in before:
        return Validation(0, 1, refit=False, seed=config.seed, recorded=False)
    learning, val = learning_rows(manifest), manifest.rows("val")
    units = len(set(unit_numbers(manifest)[learning].tolist()))
    crossed = config.validate == "cv" or (
        config.validate == "auto" and config.refit and len(val) < FEW_ROWS and units >= config.folds
    )
    validation = Validation(
        config.folds if crossed else 0, config.repeats if crossed else 1, config.refit, config.seed
    )
    if not crossed:
        say(f"Validation: {len(val)} held-out rows judge the trials." + _learns(config, len(learning)))
        return validation
    if units < config.folds:
        raise InputError(
            f"--folds is {config.folds}, and the {len(learning)} rows to learn from are {units} units that "
            "cannot be divided (groups, copies of an image). Pass fewer folds, or --validate holdout."
        )
    if not config.refit:
        raise InputError(
            "--no-refit needs --validate holdout: in a cross-validation no head learns from exactly the "
            "training rows."
        )
    why = f" ({len(val)} validation rows are few)" if config.validate == "auto" else ""
    say(f"Validation: {validation.text} over {len(learning)} rows{why}." + _learns(config, len(learning)))
    return validation


def _learns(config: SweepConfig, rows: int) -> str:
    return f" The final head learns from all {rows} rows that are not test." if config.refit else ""


def folds_of(features: Features, validation: Validation, device: str, objective: Objective = F1) -> Folds:
    """Return the rows to learn from and to judge by, on the device that trains.

    Raises:
        InputError: the rows that judge are all of one class, and the objective compares classes.
    """
    from trainer.experiments.inputs import training_data
    from trainer.heads.folds import assign_folds
    from trainer.heads.resampling import crossed, holdout

    learning = training_data(features, device, refit=True).judged_by(objective)
    manifest, rows = features.manifest, learning_rows(features.manifest)
    unit_n = unit_numbers(manifest)[rows]
    judged = rows if validation.crossed else manifest.rows("val")
    if objective is AUROC and len(set(manifest.label_n[judged].tolist())) < 2:
        raise InputError(
            f"--objective auroc compares classes, and the {len(judged)} rows that judge the trials are of "
            "one class. Pass another --objective, or rows of two classes."
        )
    if not validation.crossed:
        return holdout(training_data(features, device).judged_by(objective), learning, unit_n)
    fold_rn = assign_folds(
        manifest.learned_n[rows],
        unit_n,
        folds=validation.folds,
        repeats=validation.repeats,
        seed=validation.seed,
    )
    return crossed(learning, fold_rn, unit_n)
