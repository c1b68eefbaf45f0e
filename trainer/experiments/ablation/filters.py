"""Filters: which training rows to keep, by their scores. Small objects that combine, written as plain text.

    clip>=0.22                  rows whose CLIP score is at least 0.22
    aesthetic>=top70%           the 70 % of the rows with the highest score
    aesthetic>=top70%/class     the 70 % of each class
    clip<=0.9                   also at most; `<=bottom70%` keeps the lowest
    unique                      of near-duplicates one row each
    clip>=0.22 & quality>=top90%    both;   a | b either;   ( ) groups;   none keeps every row

A row that has no such score (a caption is missing, an image was not measured) cannot be judged by it, and is
kept.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import numpy as np

UNIQUE = "duplicate_group"  # the name under which `unique` looks for groups
NONE = "none"


@dataclass(frozen=True)
class FilterRows:
    """What filters look at: the N training rows, and nothing else."""

    label_n: np.ndarray  # int64 [N]
    classes: tuple[str, ...]
    scores: Mapping[str, np.ndarray]  # name → float [N], NaN where a row has none
    group_n: np.ndarray | None = None  # int64 [N]: near-duplicates share a number; None: not searched


class UnknownScore(LookupError):
    """A filter asks for a score that these rows do not have. ``name`` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Filter(ABC):
    """Which rows to keep. Written by ``str``, read by :func:`parse`."""

    @abstractmethod
    def keep(self, rows: FilterRows) -> np.ndarray:
        """Return which rows to keep, bool [N].

        Raises:
            UnknownScore: the rows do not have a score that is asked for.
        """

    @abstractmethod
    def parts(self) -> Iterator[Filter]:
        """Return the filters on one score that this one is made of."""


@dataclass(frozen=True)
class Everything(Filter):
    """Keeps every row: the baseline."""

    def keep(self, rows: FilterRows) -> np.ndarray:
        return np.ones(len(rows.label_n), dtype=bool)

    def parts(self) -> Iterator[Filter]:
        return iter(())

    def __str__(self) -> str:
        return NONE


@dataclass(frozen=True)
class Threshold(Filter):
    """Rows whose score is at least, or at most, a value."""

    score: str
    operator: Literal[">=", "<="]
    value: float

    def keep(self, rows: FilterRows) -> np.ndarray:
        score_n = _score(rows, self.score)
        holds_n = score_n >= self.value if self.operator == ">=" else score_n <= self.value
        return holds_n | np.isnan(score_n)

    def parts(self) -> Iterator[Filter]:
        yield self

    def __str__(self) -> str:
        return f"{self.score}{self.operator}{_number(self.value)}"


@dataclass(frozen=True)
class Fraction(Filter):
    """A share of the rows, or of each class: those with the highest or with the lowest score.

    Of N rows that have the score, the best round(share · N) stay, at least one; of equal ones the earlier.
    """

    score: str
    end: Literal["top", "bottom"]
    share: float  # above 0, at most 1
    per_class: bool = False

    def keep(self, rows: FilterRows) -> np.ndarray:
        score_n = _score(rows, self.score)
        part_n = rows.label_n if self.per_class else np.zeros(len(score_n), dtype=np.int64)
        keep_n = np.isnan(score_n)
        order = np.argsort(-score_n if self.end == "top" else score_n, kind="stable")  # NaN last
        order = order[~keep_n[order]]
        for part in np.unique(part_n):
            of_part = order[part_n[order] == part]
            keep_n[of_part[: max(1, round(self.share * len(of_part)))]] = True
        return keep_n

    def parts(self) -> Iterator[Filter]:
        yield self

    def __str__(self) -> str:
        operator = ">=" if self.end == "top" else "<="
        each = "/class" if self.per_class else ""
        return f"{self.score}{operator}{self.end}{_percent(self.share)}%{each}"


@dataclass(frozen=True)
class Unique(Filter):
    """The first row of every group of near-duplicates."""

    def keep(self, rows: FilterRows) -> np.ndarray:
        if rows.group_n is None:
            raise UnknownScore(UNIQUE)
        keep_n = np.zeros(len(rows.group_n), dtype=bool)
        keep_n[np.unique(rows.group_n, return_index=True)[1]] = True
        return keep_n

    def parts(self) -> Iterator[Filter]:
        yield self

    def __str__(self) -> str:
        return "unique"


@dataclass(frozen=True)
class Combined(Filter):
    """Rows that all, or any, of several filters keep."""

    operator: Literal["&", "|"]
    members: tuple[Filter, ...] = field(default=())

    def keep(self, rows: FilterRows) -> np.ndarray:
        kept = np.stack([member.keep(rows) for member in self.members])
        return np.asarray(kept.all(0) if self.operator == "&" else kept.any(0))

    def parts(self) -> Iterator[Filter]:
        for member in self.members:
            yield from member.parts()

    def __str__(self) -> str:
        texts = [f"({m})" if isinstance(m, Combined) else str(m) for m in self.members]
        return f" {self.operator} ".join(texts)


def both(*filters: Filter) -> Filter:
    """Return the filter whose rows every one of these keeps, without those that keep everything."""
    members: list[Filter] = []
    for one in filters:
        if isinstance(one, Combined) and one.operator == "&":
            members += one.members
        elif not isinstance(one, Everything):
            members.append(one)
    if len(members) < 2:
        return members[0] if members else Everything()
    return Combined("&", tuple(members))


def emptied_classes(keep_n: np.ndarray, rows: FilterRows) -> list[str]:
    """Return classes of which rows exist and none is kept."""
    before_c, after_c = (
        np.bincount(label_n, minlength=len(rows.classes)) for label_n in (rows.label_n, rows.label_n[keep_n])
    )
    return [rows.classes[c] for c in np.flatnonzero((before_c > 0) & (after_c == 0))]


def _score(rows: FilterRows, name: str) -> np.ndarray:
    if name not in rows.scores:
        raise UnknownScore(name)
    return np.asarray(rows.scores[name], dtype=np.float64)


def _percent(share: float) -> str:
    """Return the shortest text that is read as the same share."""
    return f"{Decimal(repr(float(share))).scaleb(2).normalize():f}"


def _number(value: float) -> str:
    """Return the shortest text, without an exponent, that is read as the same number."""
    return np.format_float_positional(value, trim="-")


# --- reading -----------------------------------------------------------------------------------

TOKEN = re.compile(
    r"\s*(?:(?P<sign>[&|()])"
    r"|(?P<name>[A-Za-z_]\w*)\s*(?:(?P<operator>>=|<=)\s*(?P<bound>[^\s&|()]+))?)"
)
SHARE = re.compile(r"(?P<end>top|bottom)(?P<percent>\d+(?:\.\d+)?)%(?P<each>/class)?")


def parse(text: str) -> Filter:
    """Read a filter as the page above writes it. ``&`` binds closer than ``|``.

    Raises:
        ValueError: the message says what was expected and where.
    """
    tokens = list(_tokens(text))
    found = _either(tokens, text)
    if tokens:
        raise ValueError(f"{text!r}: {tokens[0].group().strip()!r} was not expected there")
    return found


def _tokens(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while text[at:].strip():
        token = TOKEN.match(text, at)
        if token is None:
            rest = text[at:].strip()
            raise ValueError(f"{text!r} cannot be read from {rest!r} on; expected such as clip>=0.22")
        yield token
        at = token.end()


def _either(tokens: list[re.Match[str]], text: str) -> Filter:
    members = [_all(tokens, text)]
    while tokens and tokens[0]["sign"] == "|":
        tokens.pop(0)
        members.append(_all(tokens, text))
    return members[0] if len(members) == 1 else Combined("|", tuple(members))


def _all(tokens: list[re.Match[str]], text: str) -> Filter:
    members = [_one(tokens, text)]
    while tokens and tokens[0]["sign"] == "&":
        tokens.pop(0)
        members.append(_one(tokens, text))
    return members[0] if len(members) == 1 else Combined("&", tuple(members))


def _one(tokens: list[re.Match[str]], text: str) -> Filter:
    if not tokens:
        raise ValueError(f"{text!r} ends where a filter was expected, such as clip>=0.22")
    token = tokens.pop(0)
    if token["sign"] == "(":
        inner = _either(tokens, text)
        if not tokens or tokens.pop(0)["sign"] != ")":
            raise ValueError(f"{text!r}: a bracket is not closed")
        return inner
    if token["sign"]:
        raise ValueError(f"{text!r}: a filter was expected before {token['sign']!r}, such as clip>=0.22")
    if token["operator"] is None:
        if token["name"] in (NONE, "unique"):
            return Everything() if token["name"] == NONE else Unique()
        raise ValueError(f"{text!r}: {token['name']!r} wants a bound, such as {token['name']}>=top80%")
    operator: Literal[">=", "<="] = ">=" if token["operator"] == ">=" else "<="
    return _bounded(token["name"], operator, token["bound"], text)


def _bounded(score: str, operator: Literal[">=", "<="], bound: str, text: str) -> Filter:
    share = SHARE.fullmatch(bound)
    if share is not None:
        end: Literal["top", "bottom"] = "top" if operator == ">=" else "bottom"
        if share["end"] != end:
            raise ValueError(f"{text!r}: {operator} goes with {end}, as in {score}{operator}{end}80%")
        percent = Decimal(share["percent"])
        if not 0 < percent <= 100:
            raise ValueError(f"{text!r}: {percent} % is no share; expected above 0 and at most 100")
        return Fraction(score, end, float(percent.scaleb(-2)), per_class=share["each"] is not None)
    try:
        value = float(bound)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r}: {bound!r} is no bound; expected a number, top80%, or top80%/class")
    return Threshold(score, operator, value)
