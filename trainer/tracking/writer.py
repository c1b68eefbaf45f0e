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
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from trainer.core import atomic, scratch, signals
from trainer.core.console import say
from trainer.core.errors import InputError, first_line
from trainer.core.locations import hide_password, storable
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
from trainer.tracking.claims import TakenOver, busy, claim
from trainer.tracking.client import (
    check_not_moved,
    connect,
    find_run,
    list_artifacts,
    local_folder,
    open_experiment,
    parent_of,
    read_artifact,
)
from trainer.tracking.dataset_input import log_dataset
from trainer.tracking.schema import HEARTBEAT_LOST_S, SCHEMA_VERSION, Artifact, Kind, RunState, Stopped, Tag
from trainer.tracking.server import ServerAway, Unsent, clock
from trainer.tracking.studies import state_of, test_looks, this_user

if TYPE_CHECKING:
    import pandas as pd
    from filelock import BaseFileLock
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

NAME_LENGTH = 250  # MLflow's limit for a run's name
ATTEMPTS = 3  # of a request, each after the server has answered others
PATIENCE_S = 120.0  # how long the end of a command waits for a server
T = TypeVar("T")


class RunWriter:
    """Writes one sweep, or one extraction. Use it in a ``with`` block: the run is closed however it ends.

    Left normally the run is FINISHED; by KeyboardInterrupt KILLED and labelled interrupted; by any
    other exception FAILED with its text. Until then a thread sets the heartbeat tag.

    While a server is away, files wait on this machine, and the heart sends them when it answers again.

    On a server nothing locks a run. A writer that was silent for so long that another may have taken its
    place (`HEARTBEAT_LOST_S`) looks at the tag WRITER before it writes again, and every writer before it
    closes the run; one that was replaced writes nothing more. What it had sent by then may still arrive:
    MLflow cannot write on a condition.
    """

    def __init__(self, client: MlflowClient, run: Run, *, claimed: BaseFileLock | None, name: str) -> None:
        """For :meth:`start` and :meth:`resume`.

        Args:
            claimed: see :func:`trainer.tracking.claims.claim`.
            name: value of the tag WRITER.
        """
        self.run_id: str = run.info.run_id
        self.study: str = run.data.tags.get(Tag.STUDY, "")
        self.shown: set[int] = set()  # trials that have their whole child run
        self._client = client
        self._run = run
        self._folder = local_folder(run.info.artifact_uri)
        self._claimed = claimed
        self._name = name
        self._seen_alive = time.time()  # when the server last knew that this process writes
        self._lock = threading.Lock()  # one caller of MLflow at a time
        self._unsent = Unsent(self.run_id, name)
        self._keeping = threading.Lock()  # of what is unsent
        self._answers = threading.Event()  # cleared while the server is away
        self._answers.set()
        self._was_away = False
        self._replaced = False
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
        name = uuid.uuid4().hex
        own = {Tag.SCHEMA: SCHEMA_VERSION, Tag.STUDY: study, Tag.HEARTBEAT: clock(client)}
        own |= {Tag.WRITER: name, Tag.USER: this_user()}
        all_tags = {Tag.KIND: Kind.SWEEP, **tags, **own}
        experiment_id = open_experiment(client, experiment)
        short, long = long_tags.split_long(all_tags)
        run = client.create_run(experiment_id, tags=short, run_name=cut(storable(study), NAME_LENGTH))
        writer = cls(client, run, claimed=claim(run), name=name)
        with ExitStack() as if_it_fails:
            if_it_fails.enter_context(writer)
            for artifact, content in long.items():
                writer.file(artifact, content)
            writer.file(Artifact.CONFIG, config_yaml.encode())
            writer._log(writer.run_id, params=params)
            log_dataset(client, writer.run_id, all_tags)
            writer._heart.start()
            if_it_fails.pop_all()
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
        if local_folder(run.info.artifact_uri) is None and state_of(run, clock(client)) is RunState.LIVE:
            raise busy(run)
        writer = cls(client, run, claimed=claim(run), name=uuid.uuid4().hex)
        writer._unsent.adopt(run.data.tags.get(Tag.WRITER))
        client.set_tag(run_id, Tag.WRITER, writer._name)
        client.set_tag(run_id, Tag.HEARTBEAT, str(clock(client)))
        client.update_run(run_id, status="RUNNING")
        _clear_labels(client, run_id)
        writer._send_unsent()  # of a process that ended while the server was away
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
        if self._folder is None and (waiting := self._unsent.read(artifact)) is not None:
            return waiting
        with nullcontext() if self._folder is not None else self._lock:
            return read_artifact(self._client, self._run, artifact)

    def list_folder(self, artifact: str) -> list[str]:
        """Return the names of what is logged in a folder, or waits for the server."""
        waiting = [] if self._folder is not None else self._unsent.list_folder(artifact)
        with nullcontext() if self._folder is not None else self._lock:
            return sorted({*waiting, *list_artifacts(self._client, self._run, artifact)})

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
        with self._keeping:
            if self._answers.is_set():
                try:
                    self._send(artifact, data)
                    return
                except ServerAway as error:
                    self._note_away(error)
            self._unsent.keep(artifact, data)

    def _send(self, artifact: str, data: bytes) -> None:
        with self._lock, tempfile.TemporaryDirectory() as beside:
            self._check_not_replaced()
            path = Path(beside, Path(artifact).name)
            path.write_bytes(data)
            self._client.log_artifact(self.run_id, str(path), parent_of(artifact))

    def folder(self, artifact: str, source: Path) -> None:
        """Log a folder, replacing an earlier one of that name; by rename where the store is local."""
        if self._folder is None:
            self._patiently(lambda: self._client.log_artifacts(self.run_id, str(source), artifact))
            return
        target = self._folder / artifact
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch.folder(target.parent, f".{target.name}.") as beside:
            shutil.copytree(source, beside / "new")
            if target.exists():
                target.rename(beside / "old")
            (beside / "new").rename(target)

    def register(self, name: str, artifact: str) -> str | None:
        """Make a logged model the newest version of ``name`` in MLflow's registry.

        Returns:
            ``models:/NAME/VERSION``, or None where the store has no registry that would take it.
        """
        from mlflow.exceptions import MlflowException

        versions = f"name = '{name}' and run_id = '{self.run_id}'"
        before: set[str] | None = None

        def make() -> str:
            nonlocal before
            if not self._client.search_registered_models(f"name = '{name}'"):
                self._client.create_registered_model(name, tags={Tag.STUDY: self.study})
            found = {one.version for one in self._client.search_model_versions(versions)}
            before = found if before is None else before
            if late := found - before:  # made by a request that was given up
                return f"models:/{name}/{late.pop()}"
            source = f"{self._run.info.artifact_uri}/{artifact}"
            made = self._client.create_model_version(name, source, self.run_id, await_creation_for=0)
            return f"models:/{name}/{made.version}"

        try:
            return self._patiently(make)
        except MlflowException as error:
            say(f"Warning: MLflow's registry did not take the model {name}: {first_line(error)}")
            return None

    @property
    def away(self) -> bool:
        """Whether the store is a server that does not answer now."""
        return not self._answers.is_set()

    def wait_for_server(self) -> None:
        """Wait until the server answers again.

        Raises:
            ServerAway: it did not within `PATIENCE_S`. Files that it lacks wait for the next command.
        """
        if self.away:
            say(f"Waiting for the MLflow server, {PATIENCE_S:.0f} s at most.")
            if not self._answers.wait(PATIENCE_S):
                raise ServerAway(self._client.tracking_uri, TimeoutError(f"no answer for {PATIENCE_S:.0f} s"))

    def metrics(self, values: Mapping[str, float], *, step: int = 0, wait: bool = True) -> None:
        """Log metrics of the sweep itself. What is not a finite number is left out: MLflow would store 0.

        Args:
            wait: for a server that is away; else ServerAway is raised.
        """
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        entries = [Metric(k, float(v), now_ms, step) for k, v in values.items() if math.isfinite(v)]
        if wait:
            self._patiently(lambda: self._log(self.run_id, metrics=entries))
        else:
            self._at_once(lambda: self._log(self.run_id, metrics=entries))

    def budget(self, trials: int) -> None:
        """Note how many trials the sweep is to have, those of earlier starts included."""
        self._patiently(lambda: self._client.set_tag(self.run_id, Tag.BUDGET, str(trials)))

    def looked(self) -> int:
        """Note that this run has answered the test rows. Returns how often runs on the same data have."""
        tags = self._run.data.tags
        mine = int(tags.get(Tag.TEST_LOOKS, 0)) + 1

        def note() -> int:
            self._client.set_tag(self.run_id, Tag.TEST_LOOKS, str(mine))
            return test_looks(self._client, digest=tags[Tag.DIGEST])

        return self._patiently(note)

    def trials(self, children: Sequence[ChildRun]) -> None:
        """Create one child run per finished trial; trials that have theirs already are passed over.

        Raises:
            ServerAway: at once. What is half-written is deleted before the run is closed, or resumed.
        """
        for child in children:
            if child.trial not in self.shown:
                self._trial(child)
                self.shown.add(child.trial)

    def _trial(self, child: ChildRun) -> None:
        run = self._at_once(
            lambda: self._client.create_run(
                self._run.info.experiment_id,
                start_time=child.started_ms,
                tags=long_tags.split_long(tags_of(child, self._run))[0],
                run_name=cut(child.name, NAME_LENGTH),
            )
        )
        run_id = run.info.run_id
        self._at_once(lambda: self._log(run_id, params=child.params, metrics=list(metrics_of(child))))
        # last: a child that is still RUNNING is known to be half-written
        self._at_once(lambda: self._client.set_terminated(run_id, STATUS[child.state], child.ended_ms))

    def finish(self) -> None:
        """Close the run as FINISHED."""
        self._close("FINISHED", {})

    def interrupted(self) -> None:
        """Close the run as KILLED, labelled as interrupted by a person."""
        self._close("KILLED", {Tag.STOPPED: Stopped.INTERRUPTED})

    def failed(self, error: BaseException) -> None:
        """Close the run as FAILED, with the error's text."""
        text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        self._close("FAILED", {Tag.STOPPED: Stopped.ERROR, Tag.ERROR: hide_password(text)})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._replaced and error is None:
            raise TakenOver(self.study)
        if self._ended.is_set():
            return  # closed, or another process writes the run now
        if error is None:
            try:
                self.finish()
            except KeyboardInterrupt:
                if not self._ended.is_set():
                    self.interrupted()
                raise
        elif isinstance(error, KeyboardInterrupt):
            self.interrupted()
        else:
            self.failed(error)

    def _log(
        self, run_id: str, *, params: Mapping[str, object] | None = None, metrics: Sequence[Metric] = ()
    ) -> None:
        """Log in one call; the client cuts it into as many as MLflow's limits ask for. Takes no lock."""
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

        given = (params or {}).items()
        entries = [Param(k, cut(v, MAX_PARAM_VAL_LENGTH)) for k, v in given if v is not None]
        self._client.log_batch(run_id, metrics=metrics, params=entries, synchronous=True)

    def _at_once(self, call: Callable[[], T]) -> T:
        """Do a request, alone."""
        try:
            with self._lock:
                self._check_not_replaced()
                return call()
        except ServerAway as error:
            self._note_away(error)
            raise

    def _check_not_replaced(self, *, now: bool = False) -> None:
        """Ask who writes the run, if this process was silent for too long, or ``now``. Takes no lock.

        Raises:
            TakenOver: another process does.
        """
        silent = self._folder is None and time.time() - self._seen_alive > HEARTBEAT_LOST_S / 2
        if self._folder is None and (now or silent) and not self._replaced:
            written_by = self._client.get_run(self.run_id).data.tags.get(Tag.WRITER, self._name)
            self._replaced = written_by != self._name
            self._seen_alive = time.time()
        if self._replaced:
            self._ended.set()
            self._unsent.clear()
            self._answers.set()  # whoever waits for the server learns of it
            raise TakenOver(self.study)

    def _patiently(self, call: Callable[[], T]) -> T:
        """Do a request, alone, and again after a while where the server is away."""
        for _ in range(ATTEMPTS):
            self.wait_for_server()
            try:
                return self._at_once(call)
            except ServerAway as error:
                away = error
        raise away

    def _note_away(self, error: ServerAway) -> None:
        if not self.away:
            self._answers.clear()
            self._was_away = True
            say(
                f"Warning: {first_line(error).partition(' Start it')[0]} The work goes on: its files wait in "
                f"{self._unsent.folder} and are sent when the server answers again."
            )

    def _send_unsent(self) -> None:
        """Send the files that wait for the server."""
        with self._keeping:
            for artifact, data in self._unsent.files():
                self._send(artifact, data)
            self._unsent.clear()
            self._answers.set()

    def _beat(self) -> None:
        while not self._ended.wait(schema.HEARTBEAT_EVERY_S):
            try:
                with self._lock:
                    self._check_not_replaced()
                    self._client.set_tag(self.run_id, Tag.HEARTBEAT, str(clock(self._client)))
                    self._seen_alive = time.time()
                if self.away:
                    self._send_unsent()
                    say("The MLflow server answers again; it has all files now.")
            except ServerAway as error:
                self._note_away(error)
            except TakenOver as error:
                say(f"Warning: {error}")
            except Exception:  # a locked database: the next beat tries again
                continue

    def _close(self, status: str, labels: Mapping[str, object]) -> None:
        if status == "FINISHED":
            self.wait_for_server()
        with signals.held():
            self._ended.set()
            if self._heart.is_alive():
                self._heart.join(1.0 if self.away else None)
            try:
                if not self.away:  # else the next command closes the run
                    self._at_once(lambda: self._set_closed(status, labels))
            except ServerAway:
                if status == "FINISHED":
                    raise
            if self._claimed is not None:
                self._claimed.release()

    def _set_closed(self, status: str, labels: Mapping[str, object]) -> None:
        self._check_not_replaced(now=True)
        now = clock(self._client)
        if Tag.STOPPED in labels:
            stopped = Stopped(str(labels[Tag.STOPPED]))
            close_unfinished_children(self._client, self._run, stopped=stopped, ended_ms=int(now * 1000))
        elif self._was_away:
            complete_child_trials(self._client, self._run)
        _clear_labels(self._client, self.run_id)  # closed as lost, perhaps, while the machine slept
        for tag, text in long_tags.split_long({**labels, Tag.HEARTBEAT: now})[0].items():
            self._client.set_tag(self.run_id, tag, text)
        self._client.set_terminated(self.run_id, status)


def _clear_labels(client: MlflowClient, run_id: str) -> None:
    """Remove the tags of a stopped run."""
    for tag in {Tag.STOPPED, Tag.ERROR} & client.get_run(run_id).data.tags.keys():
        client.delete_tag(run_id, tag)
