"""Where MLflow's own pages show what Headroom has written.

MLflow 3.17 opens an experiment on its pages for language models, and its table of runs loads 100 at a time,
trials among them: with two sweeps no other run is left on the first page. An address can ask for the pages
for training, and for the runs that belong to no other.
"""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from trainer.core.console import say
from trainer.core.locations import DEFAULT_EXPERIMENT, default_tracking_uri
from trainer.tracking import database

ASKED = f"workflowType=machine_learning&searchFilter=tags.{MLFLOW_PARENT_RUN_ID}%20IS%20NULL"


def prepare(port: int) -> str:
    """Make the default store ready for ``mlflow ui``, and say where it will show the runs. Returns its URI.

    Raises:
        InputError: the store cannot be used.
    """
    uri = default_tracking_uri()
    database.prepare(uri)
    experiment = MlflowClient(uri).get_experiment_by_name(DEFAULT_EXPERIMENT)
    if experiment is not None:
        say(f"Runs without their trials: {address(f'http://127.0.0.1:{port}', experiment.experiment_id)}")
    return uri


def address(server: str, experiment_id: str) -> str:
    """Return the address of an experiment's runs, without those that belong to another."""
    return f"{server}/#/experiments/{experiment_id}/runs?{ASKED}"
