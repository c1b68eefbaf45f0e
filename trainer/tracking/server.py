"""A tracking server that is away: what is said, and where files wait for it.

A server that dies, hangs or answers with an internal error must cost nothing that was computed. Requests are
given up after a bounded time; files that it did not take wait in a folder until it answers again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

from trainer.core import atomic
from trainer.core.errors import InputError, first_line
from trainer.core.locations import default_cache_dir, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

# A request that is not answered is given up after twice 15 s; MLflow's own limits are eight times 120 s.
LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
FOLDER = "unsent"  # in the cache
SHOWN = 200  # characters of what went wrong


class ServerAway(InputError):
    """The tracking server does not answer, or only with an internal error."""

    def __init__(self, tracking_uri: str, why: BaseException) -> None:
        super().__init__(
            f"The MLflow server {without_password(tracking_uri)} does not answer: {first_line(why)[:SHOWN]}. "
            "Start it (mlflow server) and run the command again: it resumes (--study NAME for a study)."
        )


class ServerClient:
    """An MLflow client of a server. Each call raises `ServerAway` where the server is."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        return self._translated(value) if callable(value) else value

    def _translated(self, call: Callable[..., Any]) -> Callable[..., Any]:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        @wraps(call)
        def translated(*args: Any, **flags: Any) -> Any:
            try:
                return call(*args, **flags)
            except (MlflowException, RequestException) as error:
                if isinstance(error, MlflowException) and error.get_http_status_code() < 500:
                    raise
                raise ServerAway(self._client.tracking_uri, error) from error

        return translated


class Unsent:
    """Files of a run that wait for the server, in a folder of this machine."""

    def __init__(self, run_id: str) -> None:
        self.folder = default_cache_dir() / FOLDER / run_id

    def __bool__(self) -> bool:
        return self.folder.is_dir()

    def keep(self, artifact: str, data: bytes) -> None:
        """Keep a file, in place of an earlier one of that name."""
        atomic.write_bytes(self.folder / artifact, data)

    def read(self, artifact: str) -> bytes | None:
        """Return a file that waits; None where there is none of that name."""
        path = self.folder / artifact
        return path.read_bytes() if path.is_file() else None

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield them, the oldest first: what a table refers to was kept before it."""
        paths = [path for path in self.folder.rglob("*") if path.is_file() and path.name[0] != "."]
        for path in sorted(paths, key=lambda one: one.stat().st_mtime_ns):
            yield path.relative_to(self.folder).as_posix(), path.read_bytes()

    def clear(self) -> None:
        """Forget them: the server has them all."""
        shutil.rmtree(self.folder, ignore_errors=True)
