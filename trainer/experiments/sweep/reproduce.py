"""Train one trial of a sweep again, alone, and hold it against its record."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from trainer.core import errors
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.experiments.inputs import encoder_settings, read_features, recipe_of
from trainer.experiments.recorded_head import recorded_head
from trainer.experiments.sweep.validation import folds_of, plan_validation
from trainer.stats.objective import objective_named
from trainer.tracking.schema import Artifact, Curves, Metric, Summary, Trials

if TYPE_CHECKING:
    import pandas as pd

    from trainer.experiments.sweep.config import SweepConfig
    from trainer.features.extract import Features

ALIKE = 1e-6  # the most that a validation curve may differ from its record


def rerun(config: SweepConfig, run_id: str) -> dict[str, Any]:
    """Train the best trial of a sweep, or one of its trials, by itself.

    Data, encoder, seeds and precision are those of the record; where things are kept and the device are
    ``config``'s.

    Raises:
        InputError: there is no such sweep or trial, or its data are no longer the same.
        NoResultError: a validation curve differs by more than `ALIKE`.
    """
    from trainer.features.backbone import pick_device
    from trainer.heads.folded_population import FoldedPopulation
    from trainer.search.study import head_seeds
    from trainer.tracking.reader import RunFiles

    began = time.perf_counter()
    files = RunFiles(config.tracking_uri, run_id)
    recorded = yaml.safe_load(files.read(Artifact.CONFIG))
    then = _as_recorded(config, recorded)
    number, spec, epochs = recorded_head(files, flag="--rerun")
    device = pick_device(then.device)
    features = _features_as_recorded(then, recorded, device)
    if features.manifest.digest != recorded["identity"]["data digest"]:
        raise InputError(
            f"--rerun: {then.data} is no longer what it was when {run_id} was trained (its digest differs)."
        )
    validation = plan_validation(then, features.manifest, recorded["identity"])
    objective = objective_named(then.objective)
    folds = folds_of(features, validation, device, objective)
    trials = files.table(Artifact.TRIALS)
    seeds = int(trials.loc[trials[Trials.TRIAL] == number, Trials.SEEDS].iloc[0])  # fewer, if it was pruned
    population = FoldedPopulation(
        [folds.as_judged(spec)],
        folds.parts,
        seeds=head_seeds(then.seed, seeds),
        precision=recorded["identity"]["precision"],
    )
    population.train(epochs)
    curves = population.outcome(0).curves
    record = files.table(Artifact.CURVES)
    apart = {
        metric: _apart(curves[metric], record[record[Curves.TRIAL] == number], metric.removeprefix("val_"))
        for metric in (*(one.column for one in objective.family if one.column in curves), Metric.VAL_LOSS)
    }
    figures = {
        Summary.RUN_ID: run_id,
        "trial": number,
        "epochs": int(curves[Metric.VAL_LOSS].shape[1]),
        "seeds": seeds,
        "apart": apart,
        Summary.ELAPSED_S: round(time.perf_counter() - began, 3),
    }
    if not max(apart.values()) <= ALIKE:
        raise errors.NoResultError(
            f"Trial {number} trained again differs from its record: {apart}. The same processor and the same "
            "version of torch give the same numbers; others may not.",
            figures,
        )
    say(f"Trial {number} trained again, alone: its validation curves are those on record.")
    return figures


def _as_recorded(config: SweepConfig, recorded: dict[str, Any]) -> SweepConfig:
    """Return the flags of the record, with the chosen recipe and this command's places and device."""
    from trainer.serving.predictor import encoders_used

    command, used = recorded["command"], encoders_used(recorded["identity"]["encoder"])
    here = (
        "tracking_uri",
        "cache_dir",
        "device",
        "experiment",
        "rerun",
        "profile",
        "export_optuna",
        "tensorboard",
    )
    known = {field.name: field for field in dataclasses.fields(config)}
    then = {name: value for name, value in command.items() if name in known and name not in here}
    then["features"] = (used[0].recipe,) if used else ("pooled",)
    if then.get("space") is not None:
        then["space"] = Path(then["space"])
    return dataclasses.replace(config, **then)


def _features_as_recorded(then: SweepConfig, recorded: dict[str, Any], device: str) -> Features:
    """Return the features of the chosen recipe, as the sweep made them: from the largest of its recipes."""
    from trainer.features.extract import with_recipe
    from trainer.features.recipes import largest

    whole = largest(recorded["command"].get("features", ["pooled"]))
    settings = encoder_settings(then, device, views=then.views, space=whole)
    return with_recipe(read_features(then, settings, to_train=True), settings, recipe_of(then))


def _apart(values_se: np.ndarray, record: pd.DataFrame, metric: str) -> float:
    """Return the largest difference between a curve [S, E] and its record; infinite where one of them is
    longer."""
    rows = record[(record[Curves.SPLIT] == "val") & (record[Curves.METRIC] == metric)]
    recorded_se = np.full(values_se.shape, np.nan)
    if rows[Curves.EPOCH].max() > values_se.shape[1] or len(rows) != np.isfinite(values_se).sum():
        return float("inf")
    if rows.empty:  # a head that diverged at once
        return 0.0
    recorded_se[rows[Curves.SEED], rows[Curves.EPOCH] - 1] = rows[Curves.VALUE]
    return float(np.nanmax(np.abs(recorded_se - values_se)))
