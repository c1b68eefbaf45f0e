"""A prefix of a bucket as a location, over obstore: S3, Google Cloud Storage and Azure alike."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from trainer.core.errors import InputError
from trainer.storing.location import Stored

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Answer = TypeVar("Answer")

VARIABLES = {  # scheme → the variables with which obstore finds and enters a store
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for a store other than Amazon's, "
    "AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
PATIENCE_S = 120.0  # of retries of one request
FIRST_PATIENCE_S = 5.0  # … as long as it is not known whether the store can be used at all
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0  # at most, before a request is repeated
NO_BUCKET = "NoSuchBucket"  # what S3 says
BUILDER = "builder error"  # of obstore: the request cannot be made
SHOWN = 300  # characters of what the store answered


class BucketLocation:
    """A prefix of a bucket. Requests that fail are repeated, with pauses that grow at random."""

    def __init__(self, store: ObjectStore, address: str, *, patience_s: float = PATIENCE_S) -> None:
        """
        Args:
            store: with the prefix.
            address: for messages.
            patience_s: for how long one request is repeated.
        """
        self._store, self._address, self._patience_s = store, address, patience_s

    @property
    def address(self) -> str:
        return self._address

    def entries(self, prefix: str = "") -> list[Stored]:
        import obstore

        pages = self._repeat("listed", lambda: list(obstore.list(self._store, prefix or None)))
        found = (one for page in pages for one in page)
        return sorted(Stored(one["path"], one["size"], one["last_modified"]) for one in found)

    def folders(self) -> list[str]:
        """Return the names of the first level that have files below them."""
        import obstore

        found = self._repeat("listed", lambda: obstore.list_with_delimiter(self._store))
        return sorted(found["common_prefixes"])

    def get(self, name: str) -> bytes:
        import obstore

        return self._repeat("read", lambda: bytes(obstore.get(self._store, name).bytes()))

    def put(self, name: str, data: bytes) -> None:
        import obstore

        self._repeat("written", lambda: obstore.put(self._store, name, data))

    def put_new(self, name: str, data: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            self._repeat("written", lambda: obstore.put(self._store, name, data, mode="create"))
        except (AlreadyExistsError, PreconditionError):
            return False
        return True

    def delete(self, name: str) -> None:
        import obstore

        with suppress(FileNotFoundError):
            self._repeat("written", lambda: obstore.delete(self._store, name))

    def _repeat(self, done: str, request: Callable[[], Answer]) -> Answer:
        """Make a request until there is an answer. Each may be made twice: of a write that was done and whose
        answer was lost, the second one finds that it was.

        Raises:
            FileNotFoundError: there is no such file.
            AlreadyExistsError, PreconditionError: there is a file.
            InputError: the store refuses it, or gives no answer in time.
        """
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        end, pause_s = time.monotonic() + self._patience_s, FIRST_PAUSE_S
        while True:
            try:
                return request()
            except (AlreadyExistsError, PreconditionError):
                raise
            except (FileNotFoundError, BaseError) as error:
                if isinstance(error, FileNotFoundError) and NO_BUCKET not in str(error):
                    raise
                if time.monotonic() >= end or not _may_pass(error):
                    raise InputError(f"--cache-dir {self._address}: {self._problem(done, error)}") from error
            time.sleep(random.uniform(0, pause_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _problem(self, done: str, error: Exception) -> str:
        """Return what is wrong, as a sentence, and what to do."""
        if NO_BUCKET in str(error):
            return "its bucket does not exist. Create it first."
        if _status(error) in (401, 403):
            variables = VARIABLES.get(self._address.partition(":")[0], "the credentials")
            return f"the store denies that it is {done} ({_code(error)}). Set {variables}."
        return (
            f"it cannot be {done}: {_first_line(error)} What was stored before is intact: run the command "
            "again when the store answers."
        )


def _may_pass(error: Exception) -> bool:
    """Return whether a request may succeed later: the store was busy, or did not answer."""
    status = _status(error)
    return BUILDER not in str(error) if status is None else status >= 500 or status in (408, 409, 429)


def _status(error: Exception) -> int | None:
    """Return the HTTP status of an answer; None if there was none."""
    found = re.search(r"status code: (\d{3})", str(error))
    return int(found[1]) if found else None


def _first_line(error: Exception) -> str:
    """Return what obstore says of an error, without its dump of Rust structures."""
    text = " ".join(str(error).partition("\n\nDebug source")[0].split())
    hint = " Set AWS_ALLOW_HTTP=true for an address without TLS." if BUILDER in text else ""
    return text[:SHOWN].rstrip(".") + "." + hint


def _code(error: Exception) -> str:
    """Return the error code that S3 gives, such as AccessDenied."""
    return str(error).partition("<Code>")[2].partition("</Code>")[0] or f"HTTP {_status(error)}"


def check_package() -> None:
    """Raise InputError if obstore is not installed."""
    try:
        import obstore  # noqa: F401
    except ImportError as error:
        raise InputError(
            "--cache-dir names a bucket, for which the package obstore is needed: pip install "
            "'headroom[scale]'"
        ) from error


@cache
def open_bucket(address: str, *, patience_s: float = PATIENCE_S) -> BucketLocation:
    """Return the location at ``s3://bucket/prefix`` (``gs://``, ``az://``). Makes no request.

    Raises:
        InputError: obstore is not installed; there can be no such address.
    """
    check_package()
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    try:
        # `BucketLocation` repeats requests itself: obstore would not repeat a write that was not answered. No
        # client_options: they would hide AWS_ALLOW_HTTP.
        store = from_url(address, retry_config={"max_retries": 0})
    except (BaseError, ValueError) as error:
        variables = VARIABLES[address.partition(":")[0]]
        raise InputError(f"--cache-dir {address}: {_first_line(error)} Set {variables}.") from error
    return BucketLocation(store, address, patience_s=patience_s)
