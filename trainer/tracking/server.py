"""A tracking server that refuses, or is away: what is said, its clock, and where files wait for it.

A server that dies, hangs or answers with an internal error must cost nothing that was computed. Requests are
given up after a bounded time; files that it did not take wait in a folder until it answers again. One that
lets nobody in must say so before any data are read.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any

from trainer.core import atomic
from trainer.core.errors import InputError, first_line
from trainer.core.locations import default_cache_dir, hide_password, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

# A request that is not answered is given up after twice 15 s; MLflow's own limits are eight times 120 s.
LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # else a line per run on stdout
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
FOLDER = "unsent"  # in the cache
WRITERS = ".writers"  # in it: whose files they are, see `Tag.WRITER`
SHOWN = 200  # characters of what went wrong
LET_IN = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


class ServerAway(InputError):
    """The tracking server does not answer, or only with an internal error."""

    def __init__(self, tracking_uri: str, why: BaseException) -> None:
        super().__init__(
            f"The MLflow server {without_password(tracking_uri)} does not answer: {first_line(why)[:SHOWN]}. "
            "Start it (mlflow server) and run the command again: it resumes (--study NAME for a study)."
        )


class NotAllowed(InputError):
    """The tracking server does not let this user in, or not do what was asked."""

    def __init__(self, tracking_uri: str, why: BaseException) -> None:
        shown = without_password(tracking_uri)
        if status_of(why) == 401:
            message = f"does not let you in: set {LET_IN}, as its owner gave them to you."
        else:
            said = (
                first_line(why).rpartition("Response ")[2].partition(": ")[2].strip("'")[:SHOWN].rstrip(".")
            )
            message = (
                f"refuses the request: {said or first_line(why)[:SHOWN]}. Ask its owner for the right to "
                f"write the experiment, pass another --experiment, or set {LET_IN} of somebody who may."
            )
        super().__init__(f"The MLflow server {shown} {message}")


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an error of MLflow or requests stands for; None: there was no answer."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return int(error.get_http_status_code())
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def configure_mlflow() -> None:
    """Set what MLflow reads when it is imported: no telemetry, no lines of its own, bounded requests."""
    for name, value in (QUIET | LIMITS).items():
        os.environ.setdefault(name, value)


def check(tracking_uri: str) -> None:
    """Ask the server something as its client does: with the credentials and certificates that are set.

    Raises:
        InputError: it does not answer, is no MLflow server, or does not let this user in.
    """
    configure_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    shown = without_password(tracking_uri)
    try:
        MlflowClient(tracking_uri).search_experiments(max_results=1)
    except (MlflowException, RequestException) as error:
        status, why = status_of(error), hide_password(first_line(error), tracking_uri)
        if status in (401, 403):
            raise NotAllowed(tracking_uri, error) from error
        if status is not None and (status < 500 or status == 501):
            raise InputError(
                f"{shown} answers, but not as an MLflow server does: {why[:SHOWN]}. Correct "
                "--tracking-uri, or omit it to use the default store."
            ) from error
        if untrusted := re.search(r"certificate verify failed: ([^('\"]*\w)", why):
            raise InputError(
                f"The MLflow server {shown} shows a certificate that is not trusted here ({untrusted[1]}). "
                "Set MLFLOW_TRACKING_SERVER_CERT_PATH to a file with the certificate of who signed it."
            ) from error
        raise InputError(
            f"The MLflow server {shown} does not answer: {_cause(why)}. Start it (mlflow server), correct "
            "--tracking-uri, or omit it to use the default store."
        ) from error


def _cause(why: str) -> str:
    """Return the end of a chain of errors that requests prints as one, which tells what happened."""
    return why.rpartition("Caused by ")[2][:SHOWN].strip("().")


class ServerClient:
    """An MLflow client of a server. Each call raises `ServerAway` where the server is, and `NotAllowed` where
    it refuses."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        return self._translated(value) if callable(value) else value

    @cached_property
    def ahead_s(self) -> float:
        """Seconds that the server's clock is ahead of this machine's; 0 where it does not tell its time."""
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request

        try:
            asked = time.time()
            answer = http_request(get_default_host_creds(self._client.tracking_uri), "/version", "GET")
            middle = (asked + time.time()) / 2
            told = parsedate_to_datetime(answer.headers["Date"]).timestamp() + 0.5  # it is cut to seconds
        except Exception:  # whatever a proxy answers
            return 0.0
        return told - middle if abs(told - middle) > 1 else 0.0

    def _translated(self, call: Callable[..., Any]) -> Callable[..., Any]:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        @wraps(call)
        def translated(*args: Any, **flags: Any) -> Any:
            try:
                return call(*args, **flags)
            except (MlflowException, RequestException) as error:
                if status_of(error) in (401, 403):
                    raise NotAllowed(self._client.tracking_uri, error) from error
                if isinstance(error, MlflowException) and error.get_http_status_code() < 500:
                    raise
                raise ServerAway(self._client.tracking_uri, error) from error

        return translated


def clock(client: MlflowClient) -> float:
    """Return the time of the store, in UNIX seconds: machines that share a server may differ in theirs."""
    return time.time() + (client.ahead_s if isinstance(client, ServerClient) else 0.0)


class Unsent:
    """Files of a run that wait for the server, in a folder of this machine.

    Args:
        writer: who keeps them, see `Tag.WRITER`.
    """

    def __init__(self, run_id: str, writer: str) -> None:
        self.folder = default_cache_dir() / FOLDER / run_id
        self._writer = writer

    def __bool__(self) -> bool:
        return self.folder.is_dir()

    def keep(self, artifact: str, data: bytes) -> None:
        """Keep a file, in place of an earlier one of that name."""
        self._sign()
        atomic.write_bytes(self.folder / artifact, data)

    def adopt(self, last: str | None) -> None:
        """Take over what the run's ``last`` writer kept. Files of earlier ones are forgotten: the last has
        written them anew, on another machine."""
        if self and last not in self._writers():
            self.clear()
        elif self:
            self._sign()

    def _writers(self) -> list[str]:
        path = self.folder / WRITERS
        return path.read_text().split() if path.is_file() else []

    def _sign(self) -> None:
        writers = self._writers()
        if self._writer not in writers:
            atomic.write_bytes(self.folder / WRITERS, "\n".join([*writers, self._writer]).encode())

    def read(self, artifact: str) -> bytes | None:
        """Return a file that waits; None where there is none of that name."""
        path = self.folder / artifact
        return path.read_bytes() if path.is_file() else None

    def list_folder(self, artifact: str) -> list[str]:
        """Return the names of what waits in a folder."""
        path = self.folder / artifact
        return [one.name for one in path.iterdir() if one.name[0] != "."] if path.is_dir() else []

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield them, the oldest first: what a table refers to was kept before it."""
        paths = [path for path in self.folder.rglob("*") if path.is_file() and path.name[0] != "."]
        for path in sorted(paths, key=lambda one: one.stat().st_mtime_ns):
            yield path.relative_to(self.folder).as_posix(), path.read_bytes()

    def clear(self) -> None:
        """Forget them: the server has them all, or newer ones."""
        shutil.rmtree(self.folder, ignore_errors=True)
