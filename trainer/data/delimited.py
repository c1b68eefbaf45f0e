"""Read text tables: CSV, TSV and their relatives, and JSON lines."""

from __future__ import annotations

import codecs
import csv
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as arrow
import pyarrow.compute as compute
import pyarrow.csv

from trainer.core.errors import InputError, first_line
from trainer.core.untrusted_json import DuplicateName, parse_json
from trainer.data import formats, table_columns
from trainer.data.table_columns import ColumnChoice

SEPARATORS = {"\t": "a tab", ",": "a comma", ";": "a semicolon", "|": "a vertical bar"}
HEADLESS = ["caption", "path"]  # as Conceptual Captions is written
HEADLESS_LOOKED_AT = 100  # lines
MAX_LINE = 8 << 20  # characters; a longer line is no row, and reading it would take many times its size
MAX_COLUMNS = 10_000
BLOCK, MOST_BLOCK = 1 << 20, 32 << 20  # bytes that are parsed at once; a row must fit into one block
_EXTENSION = rf"\.(?:{'|'.join(one[1:] for one in sorted(formats.extensions()))})"
_NAMES_FILE = re.compile(rf"{_EXTENSION}\b", re.IGNORECASE)
_IS_FILE = re.compile(rf"{_EXTENSION}(#\d+)?\s*$", re.IGNORECASE)
_CAPTION_NUMBER = re.compile(r"#\d+\s*$")  # Flickr8k: 1000268201.jpg#0


@dataclass(frozen=True)
class TextTable:
    """A table in memory, column by column."""

    names: list[str]  # may hold a name twice
    rows: int
    values: Callable[[str], list[Any]]  # the column of a name
    notes: list[str] = field(default_factory=list)  # what was guessed, for the user


class _Dialect(NamedTuple):
    """How a text table is written."""

    encoding: str
    separator: str
    skipped: int  # lines before the header
    header: list[str]
    notes: list[str]


def read_json_lines(path: Path) -> TextTable:
    """Read one JSON object per line. Values stay as written: a date is text.

    Raises:
        InputError: a line is no JSON object, is too long or has a name twice.
        OSError, UnicodeDecodeError: the file is unreadable.
    """
    columns: dict[str, _Sparse] = {}  # lines may each have other names
    rows = 0
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(_lines(file, path.name), start=1):
            if not line.strip():
                continue
            for key, value in _json_object(line, f"{path.name}: line {number}").items():
                column = columns.setdefault(key, _Sparse())
                column.rows.append(rows)
                column.values.append(value)
            rows += 1
    return TextTable(list(columns), rows, lambda name: columns[name].filled(rows))


@dataclass
class _Sparse:
    """The values of a name, and the rows that have it."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    values: list[Any] = field(default_factory=list)

    def filled(self, count: int) -> list[Any]:
        """Return a value for each of ``count`` rows, None where there is none."""
        every: list[Any] = [None] * count
        for row, value in zip(self.rows, self.values, strict=True):
            every[row] = value
        return every


def _lines(file: IO[str], name: str) -> Iterator[str]:
    """Yield the lines. Raises InputError for one that is too long to be a row, without reading all of it."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise InputError(
                f"{name}: line {number} has more than {MAX_LINE:,} characters. Write one image per line."
            )
        yield line


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        value = parse_json(line, unique_names=True)
    except DuplicateName as error:
        raise InputError(f"{where} {error}") from None
    except ValueError as error:
        raise InputError(
            f"{where} is not JSON ({first_line(error)}). Write one JSON object per line."
        ) from error
    if not isinstance(value, dict):
        raise InputError(f'{where} is no JSON object. Write one object per line: {{"path": …, "label": …}}.')
    return value


# --- separated values -------------------------------------------------------------------------


def read_separated(path: Path, chosen: ColumnChoice) -> TextTable:
    """Read a CSV, TSV or a relative of them, all values as text.

    The separator is that of the suffix, unless only another one gives the header an image column. Two columns
    of a tab-separated file without a header are caption and path, in either order, and have no quotes. With a
    header, quotes are taken literally where lines would be swallowed by them.

    Raises:
        InputError: the encoding is unknown; a cell holds lines that look like rows.
        OSError, UnicodeDecodeError, csv.Error, ArrowException: the file is unreadable.
    """
    encoding = _encoding(path)
    start = _first_lines(path, encoding)
    if chosen == table_columns.BY_NAME and _is_headless(start, path.suffix.lower()):
        return _headless(path, encoding, start)
    dialect = _dialect(start, encoding, path.suffix.lower(), chosen)
    table = _parsed(path, dialect, quotes=True)
    if table is not None and _swallowed(table, "") is None:  # no cell of several lines
        return _text_table(table, dialect.notes)
    try:
        literal = _parsed(path, dialect, quotes=False)
    except arrow.ArrowException:  # so the quotes are needed
        cell = None if table is None else _swallowed(table, dialect.separator)
        if cell is not None:
            raise InputError(
                f"{path.name}: a quote is not closed, so that lines became one cell: {cell[:80]!r}. Write "
                "two quotes for one inside a cell, or remove it."
            ) from None
        if table is not None:
            return _text_table(table, dialect.notes)
        literal = None
    if literal is None:
        raise InputError(
            f"{path.name} has a row of more than {MOST_BLOCK >> 20} MiB. Write one image per row, and close "
            "every quote."
        )
    note = "Quotes are part of the values: otherwise lines between them would be lost."
    return _text_table(literal, [*dialect.notes, note])


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in start:
        raise InputError(
            f"{path.name} is no UTF-8 text: it has zero bytes, as UTF-16 without a mark or a spreadsheet "
            "has. Save it as CSV in UTF-8."
        )
    return "utf-8"


def _first_lines(path: Path, encoding: str) -> list[str]:
    """Return the first lines that are not blank, without their ends."""
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding) as file:
        lines = (line.rstrip("\n") for line in _lines(file, path.name))
        return list(islice((line for line in lines if line.strip()), HEADLESS_LOOKED_AT))


def _dialect(start: list[str], encoding: str, suffix: str, chosen: ColumnChoice) -> _Dialect:
    """Return how the table is written, from its header and its suffix."""
    told = re.fullmatch(r'"?sep=(.)"?', start[0].strip("\r ")) if start else None  # Excel's line
    header = "".join(start[1:2] if told else start[:1])
    separator = told[1] if told else "\t" if suffix == ".tsv" else ","
    notes = []
    if not told and not _has_image(_split(header, separator), chosen):
        fits = [one for one in SEPARATORS if _has_image(_split(header, one), chosen) and one in header]
        if len(fits) == 1 and fits[0] != separator:
            (separator,) = fits
            notes.append(f"Columns are separated by {SEPARATORS[separator]}.")
    return _Dialect(encoding, separator, int(bool(told)), _split(header, separator), notes)


def _split(line: str, separator: str) -> list[str]:
    names = next(csv.reader([line], delimiter=separator), [])
    if len(names) > MAX_COLUMNS:
        raise InputError(f"The first line has {len(names):,} columns, the limit is {MAX_COLUMNS:,}.")
    return names


def _has_image(names: list[str], chosen: ColumnChoice) -> bool:
    return (
        any(map(table_columns.is_image, names))
        or chosen.image in names
        or table_columns.file_id(names) is not None
        or table_columns.web_addresses(names) is not None
    )


def _parsed(path: Path, dialect: _Dialect, *, quotes: bool) -> arrow.Table | None:
    """Read all columns as text, which keeps the class "007"; None where a row is longer than MOST_BLOCK."""
    names = [str(at) for at in range(len(dialect.header))]  # unique, unlike those of the header
    if not names:
        return arrow.table({})

    def read(block_size: int) -> arrow.Table:
        return arrow.csv.read_csv(
            path,
            read_options=arrow.csv.ReadOptions(
                column_names=names,
                skip_rows=dialect.skipped,
                encoding=dialect.encoding,
                block_size=block_size,
            ),
            parse_options=arrow.csv.ParseOptions(
                delimiter=dialect.separator, quote_char='"' if quotes else False, newlines_in_values=quotes
            ),
            convert_options=arrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, arrow.string()), strings_can_be_null=False
            ),
        )

    for block in (BLOCK, MOST_BLOCK):
        try:
            table = read(block)
            break
        except arrow.ArrowException as error:  # a row that is longer than a block
            if path.stat().st_size <= block or "straddling" not in str(error):
                raise
    else:
        return None
    header = [column[0].as_py().strip() for column in table.columns]
    return table.slice(1).rename_columns(header)


def _swallowed(table: arrow.Table, separator: str) -> str | None:
    """Return a cell of several lines of which one holds the separator and names an image file; the first cell
    of several lines if there is no separator."""
    for column in table.columns:
        for chunk in column.chunks:
            for cell in compute.filter(chunk, compute.match_substring_regex(chunk, "[\r\n]")).to_pylist():
                inner = cell.splitlines()[1:]
                if not separator or any(separator in line and _NAMES_FILE.search(line) for line in inner):
                    return cell
    return None


def _text_table(table: arrow.Table, notes: list[str]) -> TextTable:
    def values(name: str) -> list[str]:
        return table.column(table.column_names.index(name)).to_pylist()

    return TextTable(table.column_names, table.num_rows, values, notes)


# --- captions without a header ----------------------------------------------------------------


def _is_headless(start: list[str], suffix: str) -> bool:
    """Return whether the first line is caption and path, not a header."""
    if suffix not in (".tsv", ".txt") or not start:
        return False
    first = start[0].split("\t")
    return len(first) == 2 and not any(map(table_columns.is_known, first))


def _headless(path: Path, encoding: str, start: list[str]) -> TextTable:
    """Read lines of caption and path: no quotes, and every line is a row."""
    rows = []
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="\n") as file:
        for number, line in enumerate(_lines(file, path.name), start=1):
            if not line.strip():
                continue
            row = line.rstrip("\r\n").split("\t")
            if len(row) != 2:
                raise InputError(
                    f"{path.name}: line {number} has {len(row)} columns, the first has 2. A table without a "
                    "header is one caption, a tab and one path per line."
                )
            rows.append(row)
    named = [
        sum(bool(_IS_FILE.search(line.split("\t")[at])) for line in start if "\t" in line) for at in (0, 1)
    ]
    names = HEADLESS[::-1] if named[0] > named[1] else HEADLESS
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    if all(map(_CAPTION_NUMBER.search, columns["path"])):
        columns["path"] = [_CAPTION_NUMBER.sub("", one) for one in columns["path"]]
    note = f"The table has no header: its columns are {names[0]} and {names[1]}."
    return TextTable(names, len(rows), columns.__getitem__, [note])
