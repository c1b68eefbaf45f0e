"""List the licences of all libraries in the lock files, and of torch, and check that they may be used.

    python scripts/licences.py            # the table; exit code 1, and the names, if one may not be used
    python scripts/licences.py --check    # one line in place of the table

A licence is what the installed package states, else what its licence file says. No library that Headroom
runs with, optional ones included, may be under the GPL or AGPL, nor hold a library that is. Of a choice (FTL
OR GPL) the other one is taken, and GCC's own libraries come with an exception for programs that use them. The
LGPL is allowed, because such a library is a file of its own that anyone may replace. What only tests and docs
need may be under any known licence, because it is never passed on.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = (ROOT / "requirements.lock", ROOT / "requirements-dev.lock")
RUN_TIME, OPTIONAL, DEVELOPMENT = "run time", "optional", "development"
OPTIONAL_EXTRAS = ("heic", "dicom", "tensorboard", "scale")
COPYLEFT = re.compile(r"(?<!L)(?<!Lesser )\b(?:A?GPL|(?:Affero )?General Public License)", re.IGNORECASE)
KNOWN = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python|MPL|Mozilla|L?GPL|General Public|0BSD|Zlib|CC0|BSL|CNRI|Unlicense|NVIDIA",
    re.IGNORECASE,
)
TEXTS = {  # what a licence file says, where the package states nothing
    "MIT": r"Permission is hereby granted, free of charge, to any person",
    "Apache-2.0": r"Apache License,?\s+Version 2\.0",
    "BSD": r"Redistribution and use in source and binary forms",
}
LICENCE_FILE = re.compile(r"(?:^|/)(?:licen[cs]e|copying)[^/]*$", re.IGNORECASE)
PART = re.compile(r"^[ \t]*License:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)  # of what a wheel holds besides


class Library(NamedTuple):
    """A library and what it may be used under."""

    name: str
    version: str
    used: str  # RUN_TIME, OPTIONAL or DEVELOPMENT
    licence: str  # "" if unknown
    parts: tuple[str, ...]  # licences with GPL in their names, of libraries that its wheel holds

    @property
    def fault(self) -> str:
        """Why it may not be used; "" if it may."""
        if not KNOWN.search(self.licence):
            return f"states no licence that is known ({self.licence or 'nothing'})"
        bad = [one for one in (self.licence, *self.parts) if not usable(one)]
        return f"is under {', '.join(bad)}" if bad and self.used != DEVELOPMENT else ""


def usable(licence: str) -> bool:
    """Whether a licence, or one of those that it offers with OR, is neither the GPL nor the AGPL."""
    nested = re.search(r"\([^)]* (?:AND|OR) ", licence)  # then every licence in it is looked at
    return any(
        all(not COPYLEFT.search(part) or "exception" in part.lower() for part in choice.split(" AND "))
        for choice in ([licence] if nested else licence.split(" OR "))
    )


def libraries() -> list[Library]:
    """Return every library in the lock files that is installed, and torch with what it needs, by name.

    Raises:
        PackageNotFoundError: one that Headroom runs with is not installed.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    at_run_time = _closure(project["dependencies"])
    optional = _closure([line for name in OPTIONAL_EXTRAS for line in extras[name]])
    found = []
    for name in sorted({*_locked(), *at_run_time, *optional}):
        used = RUN_TIME if name in at_run_time else OPTIONAL if name in optional else DEVELOPMENT
        try:
            found.append(library(distribution(name), used))
        except PackageNotFoundError:
            if used == RUN_TIME:  # others are absent where the locked versions could not be had
                raise
    return found


def library(installed: Distribution, used: str) -> Library:
    """Return what an installed package says of its licence, and of those of the libraries in it."""
    texts = [
        path.read_text(encoding="utf-8", errors="replace")
        for file in installed.files or ()
        if LICENCE_FILE.search(str(file)) and (path := Path(str(installed.locate_file(file)))).is_file()
    ]
    parts = {part for text in texts for part in PART.findall(text) if re.search("GPL", part)}
    return Library(
        installed.name, installed.version, used, _stated(installed) or _by_text(texts), tuple(sorted(parts))
    )


def _stated(installed: Distribution) -> str:
    """Return the licence by the metadata: the expression, the classifiers, or the first line of text."""
    told = installed.metadata
    classifiers = [one.split(" :: ") for one in told.get_all("Classifier") or () if one.startswith("License")]
    line = next(iter((told.get("License") or "").strip().splitlines()), "")
    offers = [
        told.get("License-Expression") or "",
        " AND ".join(one[-1] for one in classifiers if len(one) > 2),
        line,
    ]
    return next((one for one in offers if KNOWN.search(one)), "")


def _by_text(texts: list[str]) -> str:
    return next((name for name, words in TEXTS.items() if any(re.search(words, text) for text in texts)), "")


def _locked() -> set[str]:
    """Names of the libraries in the lock files that this machine needs."""
    text = "".join(path.read_text(encoding="utf-8") for path in LOCKS)
    lines = [Requirement(line) for line in re.findall(r"^(\w[^\\\n]*?)[ \\]*$", text, re.MULTILINE)]
    return {canonicalize_name(one.name) for one in lines if one.marker is None or one.marker.evaluate()}


def _closure(lines: list[str]) -> set[str]:
    """Names of requirements and of all that they need, as far as they are installed."""
    names: set[str] = set()
    waiting = [(Requirement(line), frozenset({""})) for line in lines]
    done = set()
    while waiting:
        required, extras = waiting.pop()
        name = canonicalize_name(required.name)
        if required.marker is not None and not any(required.marker.evaluate({"extra": e}) for e in extras):
            continue
        names.add(name)
        wanted = frozenset({"", *required.extras})
        if (name, wanted) in done:
            continue
        done.add((name, wanted))
        try:
            waiting += [(Requirement(line), wanted) for line in distribution(name).requires or ()]
        except PackageNotFoundError:
            continue
    return names


def table(found: list[Library]) -> str:
    """Return the libraries by their use, a line each."""
    width = max(len(f"{one.name} {one.version}") for one in found)
    lines = []
    for used in (RUN_TIME, OPTIONAL, DEVELOPMENT):
        lines.append(f"{used}:")
        for one in found:
            if one.used == used:
                parts = f"; holds {', '.join(one.parts)}" if one.parts else ""
                lines.append(f"  {f'{one.name} {one.version}':<{width}}  {one.licence}{parts}")
    return "\n".join(lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true")
    found = libraries()
    if not parser.parse_args().check:
        print(table(found))
    if faults := [f"{one.name} {one.version} ({one.used}) {one.fault}" for one in found if one.fault]:
        sys.exit("May not be used: " + "; ".join(faults))
    counts = ", ".join(
        f"{sum(one.used == used for one in found)} {used}" for used in (RUN_TIME, OPTIONAL, DEVELOPMENT)
    )
    print(f"Licences of {len(found)} libraries ({counts}): all known, no GPL or AGPL at run time.")


if __name__ == "__main__":
    main()
