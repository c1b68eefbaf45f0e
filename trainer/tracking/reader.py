"""Read the artifacts of a sweep or a fine-tuning, given its run id or that of a trial."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.core.errors import InputError
from trainer.tracking.client import check_not_moved, connect, download, find_run, local_folder
from trainer.tracking.schema import Kind, Tag

if TYPE_CHECKING:
    import pandas as pd


class RunFiles:
    """Artifacts of a sweep, or of another run that has them.

    Attributes:
        trial: number of the trial if the run is a trial, else None.
        kind: of the run whose artifacts these are.

    Raises:
        InputError: there is no such run, or it is of none of ``kinds`` and no trial of such a run.
    """

    def __init__(self, tracking_uri: str, run_id: str, *, kinds: Collection[Kind] = (Kind.SWEEP,)) -> None:
        self._client, self._uri = connect(tracking_uri), tracking_uri
        run = parent = find_run(self._client, run_id)
        is_trial = run.data.tags.get(Tag.KIND) == Kind.TRIAL
        if is_trial:
            parent = find_run(self._client, run.data.tags[Tag.PARENT])
        found = parent.data.tags.get(Tag.KIND)
        if found is None or found not in kinds:
            raise InputError(f"Run {run_id} is neither a {' nor a '.join(kinds)} nor a trial of one.")
        self.kind = Kind(found)
        self.trial = int(run.data.tags[Tag.TRIAL]) if is_trial else None
        self.sweep, self._root = parent.info.run_id, local_folder(parent.info.artifact_uri)
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
                raise InputError(f"The {self.kind} {self.sweep} has no {artifact}: {error}") from error

    def folder(self, artifact: str) -> Path:
        """Return where a folder of artifacts is: in a local store the folder itself, else a copy that is
        deleted at exit.

        Raises:
            InputError: there is no such folder.
        """
        if self._root is None:
            return download(self._uri, f"runs:/{self.sweep}/{artifact}", flag="--run")
        if not (self._root / artifact).is_dir():
            raise InputError(f"The {self.kind} {self.sweep} has no {artifact}.")
        return self._root / artifact

    def table(self, artifact: str) -> pd.DataFrame:
        """Return a Parquet artifact as a table. Raises as `read`."""
        import pandas as pd

        return pd.read_parquet(io.BytesIO(self.read(artifact)))
