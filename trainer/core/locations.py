"""Default locations of runs and features."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import unquote, unquote_plus

from trainer.core.errors import InputError

DEFAULT_EXPERIMENT = "headroom"
# As SQLAlchemy reads it, a password ends at the last @, whatever else is in it.
_USERINFO = re.compile(r"^([^:/?#]+://)([^:/@?#]*)(?::(.*))?@", re.DOTALL)
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(.*)", re.DOTALL)  # Path makes one slash of two
_PORT = re.compile(r"\d*[/?#]")  # http://host:5000/a@b
_SECRET = re.compile(
    r"([?&](?!passfile=)(?:[^=&#]*(?:pass|pwd|token|secret|credential|signature|api_?key|access_?key)[^=&#]*"
    r"|odbc_connect)=)([^&#]*)",
    re.IGNORECASE,
)
_HIDDEN = "***"
LEAST_SECRET = 3  # characters: a shorter one would blacken words that have nothing to do with it
_BUCKET = re.compile(r"(s3|gs|az):/+([^/].*)", re.DOTALL)
# What else than its address says which store is meant.
_STORES = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ACCOUNT_NAME",),
}
COPIES = "HEADROOM_COPY_DIR"  # variable: folder of the copies of buckets on this machine
_SOURCES = Path(__file__).resolve().parents[2]


def base_folder() -> Path:
    """Return the checkout of this code; for an installed package, the working directory."""
    return _SOURCES if (_SOURCES / "pyproject.toml").is_file() else Path.cwd()


def default_tracking_uri() -> str:
    """Return the MLflow store.

    ``HEADROOM_TRACKING_URI``, else ``MLFLOW_TRACKING_URI``, else the SQLite database ``mlruns/mlflow.db`` in
    `base_folder`.
    """
    given = os.environ.get("HEADROOM_TRACKING_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    return given or sqlite_uri(base_folder() / "mlruns" / "mlflow.db")


def sqlite_uri(path: Path) -> str:
    """Return the URI of a SQLite file. SQLAlchemy decodes ``%``, and ends the path at ``?``."""
    return "sqlite:///" + str(path).replace("%", "%25").replace("?", "%3F")


def sqlite_file(uri: str) -> str | None:
    """Return the file that a SQLite URI names, as SQLAlchemy reads it, "" for none; None for another URI."""
    if not uri.startswith(("sqlite:", "sqlite+")):
        return None
    return unquote(uri.partition(":///")[2].partition("?")[0])


def folder_beside_store() -> Path:
    """Return the folder of the SQLite file that is the store; for a server, ``mlruns`` in `base_folder`."""
    file = sqlite_file(default_tracking_uri())
    return Path(file).resolve().parent if file else base_folder() / "mlruns"


def without_password(uri: str) -> str:
    """Return a URI as it may be shown and stored: ``postgresql://me:***@host/runs``."""
    return _SECRET.sub(rf"\1{_HIDDEN}", _USERINFO.sub(_hide_userinfo, uri))


def _hide_userinfo(found: re.Match[str]) -> str:
    start, user, password = found.groups()
    is_port = start.lower().startswith("http") and password and _PORT.match(password)
    return found[0] if password is None or is_port else f"{start}{user}:{_HIDDEN}@"


def hide_password(text: str, uri: str | None = None) -> str:
    """Return a text of another library without the secrets of ``uri``; None: of `default_tracking_uri`."""
    uri = default_tracking_uri() if uri is None else uri
    shown = without_password(uri)
    if shown == uri:
        return text
    text = text.replace(uri, shown)
    userinfo = _USERINFO.match(uri)
    secrets = [value for _, value in _SECRET.findall(uri)]
    if userinfo is not None and _hide_userinfo(userinfo) != userinfo[0]:
        secrets.append(userinfo[3] if userinfo[3] is not None else userinfo[2])
    for secret in sorted(
        {*secrets, *map(unquote_plus, secrets), *map(unquote, secrets)}, key=len, reverse=True
    ):
        text = text.replace(secret, _HIDDEN) if len(secret) >= LEAST_SECRET else text
    return text


def check_no_password(tracking_uri: str) -> None:
    """Raise InputError for a password in ``--tracking-uri``: every run would store it."""
    if without_password(tracking_uri) != tracking_uri != default_tracking_uri():
        raise InputError(
            f"--tracking-uri {without_password(tracking_uri)} holds a password, which lists of processes and "
            "the shell's history would show. Set HEADROOM_TRACKING_URI to it and leave out the flag; for an "
            "MLflow server, set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )


def check_characters(flag: str, value: str, *, utf8: bool = False) -> None:
    """Raise InputError for a character that no path can hold, or, where it must be UTF-8, other bytes."""
    if "\0" in value:
        raise InputError(f"{flag} holds a NUL character, which no path can. Remove it.")
    if utf8 and storable(value) != value:
        raise InputError(
            f"{flag} {storable(value)} holds bytes that are not UTF-8, and MLflow stores paths as UTF-8. "
            "Rename the folder, or name another one."
        )


def check_is_local(flag: str, path: Path) -> None:
    """Raise InputError for an address, which would become a folder of that name: ``s3://bucket/key``."""
    address = _ADDRESS.match(str(path))
    if address is not None:
        scheme, rest = address.groups()
        raise InputError(
            f"{flag} {scheme}://{rest} is the address of something on a network; a path on this machine is "
            "expected. Mount it, or name a folder here."
        )


def bucket_address(path: Path) -> str | None:
    """Return the ``s3://bucket/prefix`` (``gs://``, ``az://``) that a path was made of; None for one here.

    Raises:
        InputError: it goes up by ``..``.
    """
    found = _BUCKET.fullmatch(str(path))
    if found is None:
        return None
    if ".." in path.parts:
        raise InputError(f"{as_given(path)} goes up by ‘..’, which the names of a bucket cannot.")
    return f"{found[1]}://{found[2]}"


def as_given(path: Path) -> str:
    """Return a path as it was given: of the two slashes of an address it holds one."""
    return _BUCKET.sub(r"\1://\2", str(path)) if _BUCKET.fullmatch(str(path)) else str(path)


def cache_folder(cache_dir: Path) -> Path:
    """Return the folder on this machine that stands for ``--cache-dir``: itself, or of a bucket its copy.

    Copies lie in ``HEADROOM_COPY_DIR``, else in ``buckets`` of `default_cache_dir`.
    """
    address = bucket_address(cache_dir)
    if address is None:
        return cache_dir
    scheme, rest = address.split("://", 1)
    return _copies() / _store(scheme) / rest


def address_of_copy(folder: Path) -> str | None:
    """Return the address whose copy `cache_folder`, or a folder in it, is; None for any other folder."""
    try:
        store, *parts = folder.absolute().relative_to(_copies().absolute()).parts
    except ValueError:
        return None
    scheme = store.partition("-")[0]
    return f"{scheme}://{'/'.join(parts)}" if parts and store == _store(scheme) else None


def _copies() -> Path:
    return Path(os.environ.get(COPIES) or default_cache_dir() / "buckets")


def _store(scheme: str) -> str:
    """Return the name of the folder of one store: two that are reached by other addresses share no copies."""
    where = next(filter(None, map(os.environ.get, _STORES.get(scheme, ()))), None)
    return scheme if where is None else f"{scheme}-{hashlib.sha256(where.encode()).hexdigest()[:8]}"


def storable(text: str) -> str:
    """Return a text that databases and files in UTF-8 take: other bytes of a path as ``\\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode()


def default_cache_dir() -> Path:
    """Return the feature cache: ``.cache/headroom`` in `base_folder`."""
    return base_folder() / ".cache" / "headroom"
