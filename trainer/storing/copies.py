"""The folders on this machine that hold copies of what is in buckets, and the way back."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from trainer.core.locations import address_of_copy, bucket_address
from trainer.storing.bucket_location import FIRST_PATIENCE_S, BucketLocation, open_bucket
from trainer.storing.commit import check_store


def origin_of(folder: Path) -> BucketLocation | None:
    """Return the place in a bucket of which ``folder`` is the copy; None for any other folder.

    Raises:
        InputError: obstore is not installed, or there can be no such address.
    """
    address = address_of_copy(folder)
    return None if address is None else open_bucket(address)


def check_cache_dir(cache_dir: Path) -> None:
    """Try the bucket that ``--cache-dir`` names, before any data are read. Does nothing for a folder.

    Raises:
        InputError: it cannot be used: no such bucket, no permission, no answer, no conditional writes; or
            obstore is not installed.
    """
    address = bucket_address(cache_dir)
    if address is not None:
        _check(address)


@cache
def _check(address: str) -> None:
    location = open_bucket(address, patience_s=FIRST_PATIENCE_S)
    location.folders()  # a missing bucket, which some stores make by themselves as they are written to
    check_store(location)
