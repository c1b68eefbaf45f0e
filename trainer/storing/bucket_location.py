"""A prefix of a bucket as a location, over obstore: S3, Google Cloud Storage and Azure alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from trainer.core.errors import InputError
from trainer.storing.location import Stored

if TYPE_CHECKING:
    from obstore.store import ObjectStore

VARIABLES = {  # scheme → the variables with which obstore finds and enters a store
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for a store other than Amazon's, "
    "AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
PATIENCE_S = 120  # of retries of one request
FIRST_PATIENCE_S = 5  # … as long as it is not known whether the store can be used at all
SHOWN = 300  # characters of what the store answered


class BucketLocation:
    """A prefix of a bucket. Requests that fail are repeated, with pauses that grow at random."""

    def __init__(self, store: ObjectStore, address: str) -> None:
        """Args: store: with the prefix; address: for messages."""
        self._store, self._address = store, address

    @property
    def address(self) -> str:
        return self._address

    def entries(self, prefix: str = "") -> list[Stored]:
        import obstore

        with self._explained("listed"):
            pages = list(obstore.list(self._store, prefix or None))
        return sorted(
            Stored(one["path"], one["size"], one["last_modified"]) for page in pages for one in page
        )

    def folders(self) -> list[str]:
        """Return the names of the first level that have files below them."""
        import obstore

        with self._explained("listed"):
            return sorted(obstore.list_with_delimiter(self._store)["common_prefixes"])

    def get(self, name: str) -> bytes:
        import obstore

        with self._explained("read"):
            return bytes(obstore.get(self._store, name).bytes())

    def put(self, name: str, data: bytes) -> None:
        import obstore

        with self._explained("written"):
            obstore.put(self._store, name, data)

    def put_new(self, name: str, data: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._explained("written"):
            try:
                obstore.put(self._store, name, data, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def delete(self, name: str) -> None:
        import obstore

        with self._explained("written"):
            try:
                obstore.delete(self._store, name)
            except FileNotFoundError:
                return

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        """Turn what the store answers into a sentence; what is missing remains FileNotFoundError."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._problem(done, error, is_denied=False) from error
            raise
        except BaseError as error:
            is_denied = isinstance(error, PermissionDeniedError | UnauthenticatedError)
            raise self._problem(done, error, is_denied=is_denied) from error

    def _problem(self, done: str, error: Exception, *, is_denied: bool) -> InputError:
        said = str(error)
        if "NoSuchBucket" in said:
            problem = "its bucket does not exist. Create it first."
        elif is_denied or "403 Forbidden" in said or "401 Unauthorized" in said:  # lists raise no other error
            variables = VARIABLES.get(self._address.partition(":")[0], "the credentials")
            problem = f"the store denies that it is {done} ({_code(error)}). Set {variables}."
        else:
            problem = (
                f"it cannot be {done}: {_first_line(error)} What was stored before is intact: run the "
                "command again when the store answers."
            )
        return InputError(f"--cache-dir {self._address}: {problem}")


def _first_line(error: Exception) -> str:
    """Return what obstore says of an error, without its dump of Rust structures."""
    text = " ".join(str(error).partition("\n\nDebug source")[0].split())
    hint = " Set AWS_ALLOW_HTTP=true for an address without TLS." if "builder error" in text else ""
    return text[:SHOWN].rstrip(".") + "." + hint


def _code(error: Exception) -> str:
    """Return the error code that S3 gives, such as AccessDenied."""
    return str(error).partition("<Code>")[2].partition("</Code>")[0] or type(error).__name__


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
def open_bucket(address: str, *, patience_s: int = PATIENCE_S) -> BucketLocation:
    """Return the location at ``s3://bucket/prefix`` (``gs://``, ``az://``). Makes no request.

    Raises:
        InputError: obstore is not installed; there can be no such address.
    """
    check_package()
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    retries: Any = {
        "max_retries": 10 * patience_s,  # time decides
        "retry_timeout": timedelta(seconds=patience_s),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=10)},
    }
    try:
        store = from_url(address, retry_config=retries)  # client_options would hide AWS_ALLOW_HTTP
    except (BaseError, ValueError) as error:
        variables = VARIABLES[address.partition(":")[0]]
        raise InputError(f"--cache-dir {address}: {_first_line(error)} Set {variables}.") from error
    return BucketLocation(store, address)
