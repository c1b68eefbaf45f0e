"""Write the generated parts of the documentation: tables of flags and the storage schema.

    python scripts/docs.py           # write them into the pages
    python scripts/docs.py --check   # exit code 1 if a page is out of date

A generated part is between `<!-- generated: KIND ARGUMENT -->` and `<!-- end of generated part -->`.
`flags sweep` is the table of a command's flags, `subcommands cache` one table per subcommand, `schema` every
name in `trainer/tracking/schema`.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import inspect
import re
import sys
import textwrap
import tokenize
import typing
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

DOCS = ROOT / "docs"
END = "<!-- end of generated part -->"
PART = re.compile(rf"(<!-- generated: (\w+) ?(\S*) -->\n).*?({re.escape(END)})", re.DOTALL)
CONFIGS = {  # of each command: where its flags are defined
    "check": "trainer.check:CheckConfig",
    "sweep": "trainer.sweep:SweepConfig",
    "extract": "trainer.extract:ExtractConfig",
    "ablate": "trainer.ablate:AblateConfig",
    "encoders": "trainer.encoders:EncodersConfig",
    "zeroshot": "trainer.zeroshot:ZeroShotConfig",
    "fuse": "trainer.fuse:FuseConfig",
    "verify": "trainer.verify:VerifyConfig",
    "finetune": "trainer.finetune:FinetuneConfig",
    "compare": "trainer.compare:CompareConfig",
    "report": "trainer.report:ReportConfig",
    "predict": "trainer.predict:PredictConfig",
    "search_images": "trainer.search_images:SearchImagesConfig",
    "cache": "trainer.cache:Command",
    "doctor": "trainer.doctor:DoctorConfig",
}
SCHEMA_ORDER = ("runs", "sweep", "extraction", "ablation", "verification", "comparison")


# --- pages ------------------------------------------------------------------------------------


def pages() -> Iterator[tuple[Path, str, str]]:
    """Each page with a generated part: path, text on disk, text as it should be."""
    for path in sorted(DOCS.rglob("*.md")):
        before = path.read_text(encoding="utf-8")
        if PART.search(before):
            yield path, before, PART.sub(_filled, before)


def _filled(part: re.Match[str]) -> str:
    begin, kind, argument, end = part.groups()
    return f"{begin}\n{KINDS[kind](argument)}\n{end}"


# --- flags ------------------------------------------------------------------------------------


class Flag(NamedTuple):
    """One flag as `--help` names it."""

    name: str  # "--batch-size"; "PICTURES" for a positional argument
    values: str
    default: str
    help: str
    own: bool  # defined by the command itself, not shared with others


def load(where: str) -> Any:
    """The object at `module:name`."""
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def flags(config: type) -> list[Flag]:
    """The flags of a config dataclass, nested ones included, its own first."""
    found = [flag for field in dataclasses.fields(config) for flag in _of_field(config, field)]
    return sorted(found, key=lambda flag: not flag.own)  # stable: the order of definition otherwise


def flag_names(config: type) -> set[str]:
    """Every spelling that the command line takes."""
    names = {"--help"}
    for flag in flags(config):
        names.update(flag.name.split(" / "))
    return names


def _of_field(config: type, field: dataclasses.Field[Any]) -> Iterator[Flag]:
    owner = next(one for one in config.__mro__ if field.name in vars(one).get("__annotations__", {}))
    annotation, text = _described(owner)[field.name]
    default = _default(field)
    own = owner is config
    name = field.name.replace("_", "-")
    if dataclasses.is_dataclass(default):
        for inner in dataclasses.fields(default):
            for flag in _of_field(type(default), inner):
                yield flag._replace(name=flag.name.replace("--", f"--{name}."), own=own)
        return
    if "Positional[" in annotation:
        yield Flag(name.upper(), _values(annotation), "", text, own)
        return
    shown = f"--{name} / --no-{name}" if annotation == "bool" else f"--{name}"
    yield Flag(shown, _values(annotation), _shown(default), text, own)


@cache
def _described(owner: type) -> dict[str, tuple[str, str]]:
    """Annotation and docstring of each field that a class defines."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, tuple[str, str]] = {}
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = inspect.cleandoc(str(following.value.value))
        found[node.target.id] = ast.unparse(node.annotation), " ".join(text.split())
    return found


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _shown(value: Any) -> str:
    """A default as text; "" where there is none or where the description says what it is."""
    if value is None or value == () or (isinstance(value, str) and ("://" in value or not value)):
        return ""  # the address of the store depends on the machine
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Path):
        for base in (ROOT, Path.cwd()):
            if value.is_absolute() and value.is_relative_to(base):
                value = value.relative_to(base)
    if isinstance(value, tuple):
        return f"`{' '.join(map(str, value))}`"
    if isinstance(value, float):
        return f"`{value:g}`" if abs(value) > 1e-3 else f"`{value}`"
    return f"`{value}`"


def _values(annotation: str) -> str:
    """What a flag takes, for people: `Literal['a', 'b'] | None` is "`a`, `b`"."""
    annotation = re.sub(r"^(?:\w+\.)*Positional\[(.*)\]$", r"\1", annotation)
    several = re.fullmatch(r"tuple\[(\w+), \.\.\.\]", annotation)
    if several:
        return f"{several[1].lower()} …"
    if annotation == "bool":
        return ""
    choices = [f"`{one}`" for one in re.findall(r"'([^']*)'", annotation)]
    types = re.sub(r"(?:\w+\.)*Literal\[[^\]]*\]|None", "", annotation)
    names = [one.lower() for one in re.findall(r"\w+", types)]
    return ", ".join([*names, *choices])


def flags_table(command: str) -> str:
    """Two tables of a command's flags: its own, and those that it shares with other commands."""
    found = flags(load(CONFIGS[command]))
    own, shared = ([flag for flag in found if flag.own is mine] for mine in (True, False))
    parts = []
    for title, rows in (("Flags of this command", own), ("Shared flags", shared)):
        if rows:
            parts.append(f"### {title}\n\n{_flag_rows(rows)}")
    return "\n\n".join(parts) + "\n"


def subcommands(command: str) -> dict[str, type]:
    """The config dataclass of each subcommand; only `cache` has some."""
    members = typing.get_args(load(CONFIGS[command]))
    if members and not dataclasses.is_dataclass(members[0]):  # Annotated[A | B, …]
        members = typing.get_args(members[0])
    return {member.__name__.lower(): member for member in members}


def subcommand_tables(command: str) -> str:
    """One table of flags per subcommand."""
    parts = []
    for name, member in subcommands(command).items():
        summary = " ".join((inspect.getdoc(member) or "").split())
        parts.append(f"### {name}\n\n{summary}\n\n{_flag_rows(flags(member))}")
    return "\n\n".join(parts) + "\n"


def _flag_rows(rows: Iterable[Flag]) -> str:
    body = [f"| {_code(flag.name)} | {flag.values} | {flag.default} | {_cell(flag.help)} |" for flag in rows]
    return "\n".join(["| flag | values | default | description |", "|---|---|---|---|", *body])


def _code(name: str) -> str:
    return " / ".join(f"`{one}`" for one in name.split(" / "))


def _cell(text: str) -> str:
    """Text inside a table: bars escaped, names with underscores or brackets as code."""
    return text.replace("|", r"\|").replace("<", "&lt;")


# --- schema -----------------------------------------------------------------------------------


def schema_tables(_: str = "") -> str:
    """Every class of the schema with its docstring and a table of its names."""
    parts = []
    for path in _schema_files():
        source = path.read_text(encoding="utf-8")
        parts.append(f"### {path.stem.capitalize()}" if path.stem not in ("schema", "__init__") else "")
        comments = _comments(path)
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                parts.append(_class_table(node, source.splitlines(), comments))
    version = _schema_version()
    head = f"Schema version: **{version}**.\n\n" if version else ""
    return head + "\n\n".join(part for part in parts if part) + "\n"


def _schema_files() -> list[Path]:
    single = ROOT / "trainer" / "tracking" / "schema.py"
    if single.exists():
        return [single]
    found = {path.stem: path for path in single.with_suffix("").glob("*.py")}
    first = [found.pop(stem) for stem in SCHEMA_ORDER if stem in found]
    return first + [found[stem] for stem in sorted(found)]


def _schema_version() -> str:
    from trainer.tracking import schema

    return str(getattr(schema, "SCHEMA_VERSION", ""))


def _comments(path: Path) -> dict[int, str]:
    """Comment by line number, from 1."""
    with path.open("rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    return {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokens
        if token.type == tokenize.COMMENT and "noqa" not in token.string
    }


def _class_table(node: ast.ClassDef, lines: list[str], comments: dict[int, str]) -> str:
    text = inspect.cleandoc(ast.get_docstring(node) or "")
    rows = []
    for entry in node.body:
        for name, value in _constants(entry):
            before = _heading_comment(entry.lineno, lines, comments)
            if before:
                rows.append(f"| | | *{_cell(before)}* |")
            here = range(entry.lineno, (entry.end_lineno or entry.lineno) + 1)
            comment = " ".join(comments[line] for line in here if line in comments)
            rows.append(f"| `{name}` | `{value}` | {_cell(comment)} |")
    if not rows:
        return ""
    table = "\n".join(["| name | value | meaning |", "|---|---|---|", *rows])
    return f"#### {node.name}\n\n{_prose(text)}\n\n{table}"


def _constants(entry: ast.stmt) -> Iterator[tuple[str, Any]]:
    """Name and value of what an assignment defines: texts and numbers in capitals."""
    if not isinstance(entry, ast.Assign):
        return
    for target in entry.targets:
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        values = entry.value.elts if isinstance(target, ast.Tuple) and isinstance(
            entry.value, ast.Tuple
        ) else [entry.value]  # fmt: skip
        for name, value in zip(names, values, strict=False):
            if isinstance(name, ast.Name) and name.id.isupper() and isinstance(value, ast.Constant):
                yield name.id, value.value


def _heading_comment(line: int, lines: list[str], comments: dict[int, str]) -> str:
    """The comment lines right above a line."""
    found: list[str] = []
    while line > 1 and lines[line - 2].lstrip().startswith("#"):
        line -= 1
        found.insert(0, comments.get(line, ""))
    return " ".join(found)


def _prose(text: str) -> str:
    """A docstring as Markdown: double backticks become single ones, argument lists are left out."""
    text = re.split(r"\n\s*(?:Args|Returns|Raises):\n", text)[0]
    return text.replace("``", "`").strip()


KINDS = {"flags": flags_table, "subcommands": subcommand_tables, "schema": schema_tables}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if out of date")
    check = parser.parse_args().check
    stale = []
    for path, before, after in pages():
        if before != after:
            stale.append(str(path.relative_to(ROOT)))
            if not check:
                path.write_text(after, encoding="utf-8")
    if stale:
        print(("Out of date: " if check else "Written: ") + ", ".join(stale), file=sys.stderr)
    sys.exit(bool(stale and check))


if __name__ == "__main__":
    main()
