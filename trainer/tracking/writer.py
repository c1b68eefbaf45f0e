"""The one writer to MLflow: a sweep is a parent run, its trials are child runs; an extraction is one run.

Everything is written synchronously: asynchronous logging lost 52-132 metrics per kill, batches none.
"""

from __future__ import annotations

import io
import math
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from filelock import FileLock, Timeout

from trainer.core import atomic
from trainer.core.console import say
from trainer.core.errors import InputError, first_line
from trainer.core.text import cut
from trainer.tracking import long_tags, schema
from trainer.tracking.children import (
    STATUS,
    ChildRun,
    close_unfinished_children,
    complete_child_trials,
    metrics_of,
    tags_of,
)
from trainer.tracking.client import (
    check_not_moved,
    connect,
    find_run,
    local_folder,
    open_experiment,
    parent_of,
    read_artifact,
)
from trainer.tracking.schema import SCHEMA_VERSION, Artifact, Kind, RunState, Stopped, Tag
from trainer.tracking.studies import state_of, test_looks

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

NAME_LENGTH = 250  # MLflow's limit for a run's name


class RunWriter:
    """Writes one sweep, or one extraction. Use it in a ``with`` block: the run is closed however it ends.

    Left normally the run is FINISHED; by KeyboardInterrupt KILLED and labelled interrupted; by any
    other exception FAILED with its text. Until then a thread sets the heartbeat tag.
    """

    def __init__(self, client: MlflowClient, run: Run, *, claim: FileLock | None) -> None:
        """For :meth:`start` and :meth:`resume`. ``claim``: see :func:`_claim`."""
        self.run_id: str = run.info.run_id
        self.study: str = run.data.tags.get(Tag.STUDY, "")
        self.shown: set[int] = set()  # trials that have their whole child run
        self._client = client
        self._run = run
        self._folder = local_folder(run.info.artifact_uri)
        self._claim = claim
        self._lock = threading.Lock()  # one caller of MLflow at a time
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @classmethod
    def start(
        cls,
        *,
        tracking_uri: str,
        experiment: str,
        study: str,
        tags: Mapping[str, str],
        params: Mapping[str, object],
        config_yaml: str,
    ) -> Self:
        """Open a new run by the name of its ``study`` (of an extraction: by its own).

        Args:
            tags: ``Tag.KIND`` among them; a sweep by default.

        Raises:
            InputError: the store or the experiment cannot be used.
        """
        client = connect(tracking_uri)
        own = {Tag.SCHEMA: SCHEMA_VERSION, Tag.STUDY: study, Tag.HEARTBEAT: time.time()}
        all_tags = {Tag.KIND: Kind.SWEEP, **tags, **own}
        experiment_id = open_experiment(client, experiment)
        short, long = long_tags.split_long(all_tags)
        run = client.create_run(experiment_id, tags=short, run_name=cut(study, NAME_LENGTH))
        writer = cls(client, run, claim=_claim(run))
        for artifact, content in long.items():
            writer.file(artifact, content)
        writer.file(Artifact.CONFIG, config_yaml.encode())
        writer._log(writer.run_id, params=params)
        writer._heart.start()
        return writer

    @classmethod
    def resume(cls, *, tracking_uri: str, run_id: str) -> Self:
        """Go on writing a run that was closed, or whose process died a moment ago.

        Raises:
            InputError: the run does not exist, is being written by another process, or its artifacts
                have moved.
        """
        client = connect(tracking_uri)
        run = find_run(client, run_id)
        check_not_moved(client, client.get_experiment(run.info.experiment_id))
        if local_folder(run.info.artifact_uri) is None and state_of(run) is RunState.LIVE:
            raise _busy(run)
        writer = cls(client, run, claim=_claim(run))
        client.set_tag(run_id, Tag.HEARTBEAT, str(time.time()))
        client.update_run(run_id, status="RUNNING")
        _clear_labels(client, run_id)
        writer.shown = complete_child_trials(client, run)
        writer._heart.start()
        return writer

    def read_table(self, artifact: str) -> pd.DataFrame | None:
        """Return a table that is already logged; ``None`` where it is not."""
        import pandas as pd

        data = self.read_file(artifact)
        return None if data is None else pd.read_parquet(io.BytesIO(data))

    def read_file(self, artifact: str) -> bytes | None:
        """Return a file that is already logged; ``None`` where it is not."""
        with nullcontext() if self._folder is not None else self._lock:
            return read_artifact(self._client, self._run, artifact)

    def table(self, artifact: str, frame: pd.DataFrame) -> None:
        """Log a table as Parquet, replacing an earlier one of that name. Readers never see half of it."""
        buffer = io.BytesIO()
        frame.to_parquet(buffer, compression="zstd", index=False)
        self.file(artifact, buffer.getvalue())

    def file(self, artifact: str, data: bytes) -> None:
        """Log a file, replacing an earlier one of that name; by rename where the store is a local folder."""
        if self._folder is not None:
            atomic.write_bytes(self._folder / artifact, data)
            return
        with self._lock, tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, Path(artifact).name)
            path.write_bytes(data)
            self._client.log_artifact(self.run_id, str(path), parent_of(artifact))

    def folder(self, artifact: str, source: Path) -> None:
        """Log a folder, replacing an earlier one of that name; by rename where the store is local."""
        if self._folder is None:
            with self._lock:
                self._client.log_artifacts(self.run_id, str(source), artifact)
            return
        target = self._folder / artifact
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
            shutil.copytree(source, Path(scratch, "new"))
            if target.exists():
                target.rename(Path(scratch, "old"))
            Path(scratch, "new").rename(target)

    def register(self, name: str, artifact: str) -> str | None:
        """Make a logged model the newest version of ``name`` in MLflow's registry.

        Returns:
            ``models:/NAME/VERSION``, or None where the store has no registry that would take it.
        """
        from mlflow.exceptions import MlflowException

        with self._lock:
            try:
                if not self._client.search_registered_models(f"name = '{name}'"):
                    self._client.create_registered_model(name, tags={Tag.STUDY: self.study})
                made = self._client.create_model_version(
                    name, f"{self._run.info.artifact_uri}/{artifact}", self.run_id, await_creation_for=0
                )
            except MlflowException as error:
                say(f"Warning: MLflow's registry did not take the model {name}: {first_line(error)}")
                return None
        return f"models:/{name}/{made.version}"

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Log metrics of the sweep itself. What is not a finite number is left out: MLflow would store 0."""
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        entries = [Metric(k, float(v), now_ms, step) for k, v in values.items() if math.isfinite(v)]
        self._log(self.run_id, metrics=entries)

    def budget(self, trials: int) -> None:
        """Note how many trials the sweep is to have, those of earlier starts included."""
        with self._lock:
            self._client.set_tag(self.run_id, Tag.BUDGET, str(trials))

    def looked(self) -> int:
        """Note that this run has answered the test rows. Returns how often runs on the same data have."""
        tags = self._run.data.tags
        mine = int(tags.get(Tag.TEST_LOOKS, 0)) + 1
        with self._lock:
            self._client.set_tag(self.run_id, Tag.TEST_LOOKS, str(mine))
            return test_looks(self._client, digest=tags[Tag.DIGEST])

    def trials(self, children: Sequence[ChildRun]) -> None:
        """Create one child run per finished trial; trials that have theirs already are passed over."""
        for child in children:
            if child.trial not in self.shown:
                self._trial(child)
                self.shown.add(child.trial)

    def _trial(self, child: ChildRun) -> None:
        with self._lock:
            run = self._client.create_run(
                self._run.info.experiment_id,
                start_time=child.started_ms,
                tags=long_tags.split_long(tags_of(child, self._run))[0],
                run_name=cut(child.name, NAME_LENGTH),
            )
        self._log(run.info.run_id, params=child.params, metrics=list(metrics_of(child)))
        with self._lock:  # last: a child that is still RUNNING is known to be half-written
            self._client.set_terminated(run.info.run_id, STATUS[child.state], child.ended_ms)

    def finish(self) -> None:
        """Close the run as FINISHED."""
        self._close("FINISHED", {})

    def interrupted(self) -> None:
        """Close the run as KILLED, labelled as interrupted by a person."""
        self._close("KILLED", {Tag.STOPPED: Stopped.INTERRUPTED})

    def failed(self, error: BaseException) -> None:
        """Close the run as FAILED, with the error's text."""
        text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        self._close("FAILED", {Tag.STOPPED: Stopped.ERROR, Tag.ERROR: text})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended.is_set():
            return
        if error is None:
            self.finish()
        elif isinstance(error, KeyboardInterrupt):
            self.interrupted()
        else:
            self.failed(error)

    def _log(
        self, run_id: str, *, params: Mapping[str, object] | None = None, metrics: Sequence[Metric] = ()
    ) -> None:
        """Log in one call; the client cuts it into as many as MLflow's limits ask for."""
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

        given = (params or {}).items()
        entries = [Param(k, cut(v, MAX_PARAM_VAL_LENGTH)) for k, v in given if v is not None]
        with self._lock:
            self._client.log_batch(run_id, metrics=metrics, params=entries, synchronous=True)

    def _beat(self) -> None:
        while not self._ended.wait(schema.HEARTBEAT_EVERY_S):
            try:
                with self._lock:
                    self._client.set_tag(self.run_id, Tag.HEARTBEAT, str(time.time()))
            except Exception:  # a locked database, a server away: the next beat tries again
                continue

    def _close(self, status: str, labels: Mapping[str, object]) -> None:
        self._ended.set()
        self._heart.join()
        now = time.time()
        with self._lock:
            if Tag.STOPPED in labels:
                stopped = Stopped(str(labels[Tag.STOPPED]))
                close_unfinished_children(self._client, self._run, stopped=stopped, ended_ms=int(now * 1000))
            _clear_labels(self._client, self.run_id)  # closed as lost, perhaps, while the machine slept
            for tag, text in long_tags.split_long({**labels, Tag.HEARTBEAT: now})[0].items():
                self._client.set_tag(self.run_id, tag, text)
            self._client.set_terminated(self.run_id, status)
        if self._claim is not None:
            self._claim.release()


def _claim(run: Run) -> FileLock | None:
    """Make sure that this process alone writes the run.

    A run with a local folder is claimed by a file lock, which the system takes back when its holder
    dies: a killed sweep can be resumed at once. Elsewhere only the heartbeat can tell, see ``resume``.
    """
    folder = local_folder(run.info.artifact_uri)
    if folder is None:
        return None
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / "writer.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise _busy(run) from error
    return lock


def _busy(run: Run) -> InputError:
    return InputError(
        f"The study {run.data.tags.get(Tag.STUDY)} is being written by another process. Wait until it is "
        "done, or stop it, or pass another --study. A process that died on another machine is given up "
        f"{schema.HEARTBEAT_LOST_S:.0f} s after its last sign of life."
    )


def _clear_labels(client: MlflowClient, run_id: str) -> None:
    """Remove the tags of a stopped run."""
    for tag in {Tag.STOPPED, Tag.ERROR} & client.get_run(run_id).data.tags.keys():
        client.delete_tag(run_id, tag)
