"""Read the artifacts of a sweep, given its run id or that of a trial."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.core.errors import InputError
from trainer.tracking.client import check_not_moved, connect, find_run
from trainer.tracking.schema import Kind, Tag

if TYPE_CHECKING:
    import pandas as pd


class RunFiles:
    """Artifacts of a sweep.

    Attributes:
        trial: number of the trial if the run is a trial, else None.

    Raises:
        InputError: there is no such run, or it is neither a sweep nor a trial.
    """

    def __init__(self, tracking_uri: str, run_id: str) -> None:
        self._client = connect(tracking_uri)
        run = find_run(self._client, run_id)
        kind = run.data.tags.get(Tag.KIND)
        if kind not in (Kind.SWEEP, Kind.TRIAL):
            raise InputError(f"Run {run_id} is neither a sweep nor a trial of one.")
        self.trial = int(run.data.tags[Tag.TRIAL]) if kind == Kind.TRIAL else None
        self.sweep = run.data.tags[Tag.PARENT] if kind == Kind.TRIAL else run_id
        check_not_moved(self._client, self._client.get_experiment(run.info.experiment_id))

    def read(self, artifact: str) -> bytes:
        """Return the content of an artifact.

        Raises:
            InputError: there is no such artifact.
        """
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory() as scratch:
            try:
                return Path(self._client.download_artifacts(self.sweep, artifact, scratch)).read_bytes()
            except (MlflowException, OSError) as error:
                raise InputError(f"The sweep {self.sweep} has no {artifact}: {error}") from error

    def table(self, artifact: str) -> pd.DataFrame:
        """Return a Parquet artifact as a table. Raises as `read`."""
        import pandas as pd

        return pd.read_parquet(io.BytesIO(self.read(artifact)))
