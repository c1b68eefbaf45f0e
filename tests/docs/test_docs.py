"""The documentation is true: commands, flags, links, generated tables and page names match the code."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from dashboard.ui import pages
from scripts import docs

ROOT = docs.ROOT
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(docs.DOCS.rglob("*.md"))]
NOT_OURS = {  # flags of other programs, and of scripts
    *(
        "--env-manager",
        "--port",
        "--images",
        "--check",
        "--lock",
        "--server.address",
        "--server.allowedHosts",
        "--allow-runs",
    ),
}
BANNED = (  # each has a standard term: image, duplicate, noisy, removed, retrain, similarity …
    *(r"pictures?", r"told from", r"held against", r"spoil(?:s|ed|ing)?", r"thrown out", r"anew"),
    *(r"the first of its kind", r"looked for", r"likeness", r"surest"),
)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
FLAG = re.compile(r"(?<![\w-])--[a-z][\w.-]*")
COMMAND = re.compile(r"(?:python -m trainer\.|(?<![\w/.-])headroom )(\w+)(.*)")
MAKE = re.compile(r"^make ([a-z]+)", re.MULTILINE)
SCRIPT = re.compile(r"python ((?:scripts|benchmarks)/\w+\.py)|streamlit run (\S+\.py)")
THROUGH = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def written(page: Path) -> str:
    """A page without its generated parts."""
    return docs.PART.sub("", page.read_text(encoding="utf-8"))


def code(page: Path) -> Iterator[str]:
    """Lines of the shell blocks, continued ones joined, and every inline code span."""
    text = written(page)
    for language, block in FENCE.findall(text):
        if language == "sh":
            yield from block.replace("\\\n", " ").splitlines()
    yield from (span.replace("\\|", "|") for span in SPAN.findall(FENCE.sub("", text)))


def prose(page: Path) -> str:
    """A page without code, addresses and generated parts."""
    text = SPAN.sub("", FENCE.sub("", written(page)))
    return re.sub(r"\]\([^)]*\)", "]", text)


@cache
def flags_of(command: str) -> frozenset[str]:
    """All flags of a command; of one with subcommands those of all of them."""
    configs = docs.subcommands(command).values() or [docs.load(docs.CONFIGS[command])]
    return frozenset(name for config in configs for name in docs.flag_names(config))


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page make."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    plain = (re.sub(r"[`*]", "", heading).strip().lower() for heading in HEADING.findall(text))
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading)) for heading in plain}


def pages_of_the_dashboard() -> list[str]:
    """Titles of the pages in the order of the navigation."""
    return [page.title for page in pages.PAGES]


def page_table() -> dict[str, str]:
    """The README's table of pages: name → question."""
    section = README.read_text(encoding="utf-8").partition("## The dashboard")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\w[^|]*) \| ([^|]*) \|$", section, re.MULTILINE)
    return {name.strip(): question.strip() for name, question in rows if name.strip() != "page"}


# --- README -----------------------------------------------------------------------------------


def test_the_readme_is_one_page() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 110] == []


def test_the_readme_names_the_pages_of_the_dashboard() -> None:
    assert list(page_table()) == pages_of_the_dashboard()
    assert [name for name, question in page_table().items() if len(question.split()) > 8] == []


def test_every_page_of_the_dashboard_has_its_file() -> None:
    views = {path.stem for path in (ROOT / "dashboard" / "views").glob("*.py")} - {"__init__"}
    assert views == {page.view for page in pages.PAGES}


def test_the_tour_visits_every_page_in_order() -> None:
    headings = re.findall(
        r"^## (.+)$", (docs.DOCS / "dashboard.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert headings[: len(page_table())] == pages_of_the_dashboard()


def test_every_command_has_a_page() -> None:
    found = {page.stem for page in (docs.DOCS / "commands").glob("*.md")} - {"index"}
    assert found == set(docs.CONFIGS)
    for command in docs.CONFIGS:
        assert f"docs/commands/{command}.md" in README.read_text(encoding="utf-8")


# --- commands and flags -----------------------------------------------------------------------


@THROUGH
def test_commands_exist_and_take_the_flags_that_are_shown(page: Path) -> None:
    for line in code(page):
        for command, rest in COMMAND.findall(line):
            if command in ("NAME", "dashboard"):  # the latter takes the flags of Streamlit
                continue
            assert command in docs.CONFIGS, line
            unknown = set(FLAG.findall(rest.partition(" # ")[0])) - flags_of(command)
            assert not unknown, f"{line}: {command} has no {unknown}"


@THROUGH
def test_flags_in_the_text_exist(page: Path) -> None:
    everywhere = frozenset().union(*map(flags_of, docs.CONFIGS)) | NOT_OURS
    of_the_page = (
        flags_of(page.stem) if page.parent.name == "commands" and page.stem != "index" else everywhere
    )
    for line in code(page):
        known = everywhere if COMMAND.search(line) else of_the_page
        unknown = set(FLAG.findall(line)) - known
        assert not unknown, f"{line}: {unknown}"


@THROUGH
def test_make_targets_and_scripts_exist(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in code(page):
        assert set(MAKE.findall(line)) <= targets, line
        for pair in SCRIPT.findall(line):
            assert (ROOT / "".join(pair)).is_file(), line


def test_paths_in_the_text_exist() -> None:
    spans = {span for page in PAGES for span in SPAN.findall(FENCE.sub("", written(page)))}
    named = {
        span
        for span in spans
        if re.fullmatch(r"(?:trainer|dashboard|tests|scripts|benchmarks|docs)/[\w./-]*", span)
    }
    assert {
        path for path in named if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()
    } == set()


def test_every_promise_names_a_test_that_exists() -> None:
    page = (docs.DOCS / "SECURITY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| (`.*`) \|$", page, re.MULTILINE)
    named = [span.partition("::") for row in rows for span in SPAN.findall(row)]
    assert len(rows) > 10
    for path, _, name in named:
        assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8"), name


def test_a_flag_that_is_not_there_is_found() -> None:
    assert "--trials" in flags_of("sweep")
    assert "--augment.flip" in flags_of("extract")
    assert "--no-measure" in flags_of("sweep")
    assert "--trials" not in flags_of("extract")
    assert {"--key", "--file"} <= flags_of("cache")


def test_the_architecture_names_every_package_once() -> None:
    page = (docs.DOCS / "architecture.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) <= 150
    packages = {
        f"{path.parent.relative_to(ROOT)}/"
        for top in ("trainer", "dashboard")
        for path in (ROOT / top).glob("*/__init__.py")
    }
    rows = re.findall(r"^\| `([\w/]+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(packages)


# --- links, words, generated parts ------------------------------------------------------------


@THROUGH
def test_links_lead_to_files_and_anchors(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.is_file(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


@THROUGH
def test_the_words_are_the_standard_terms(page: Path) -> None:
    found = re.findall(rf"\b(?:{'|'.join(BANNED)})\b", prose(page), re.IGNORECASE)
    assert found == []


def test_generated_parts_are_up_to_date() -> None:
    stale = [str(path.relative_to(ROOT)) for path, before, after in docs.pages() if before != after]
    assert stale == [], "run: python scripts/docs.py"


def test_the_schema_page_has_every_table_and_key() -> None:
    from trainer.tracking import schema

    page = (docs.DOCS / "storage-schema.md").read_text(encoding="utf-8")
    for name in vars(schema.Artifact):
        if name.isupper():
            assert f"| `{name}` | `{getattr(schema.Artifact, name)}` |" in page


# --- examples ---------------------------------------------------------------------------------


@THROUGH
def test_python_examples_are_python(page: Path) -> None:
    for language, block in FENCE.findall(written(page)):
        if language == "python":
            ast.parse(block)


def test_python_examples_use_names_of_the_api() -> None:
    if importlib.util.find_spec("trainer.api") is None:
        pytest.skip("trainer.api is not there yet")
    api = importlib.import_module("trainer")
    used = {name for page in PAGES for name in re.findall(r"\bhr\.(\w+)", page.read_text(encoding="utf-8"))}
    assert {name for name in used if not hasattr(api, name)} == set()


def test_the_example_space_uses_names_of_the_default_one() -> None:
    default = yaml.safe_load((ROOT / "trainer" / "search" / "space.yaml").read_text(encoding="utf-8"))
    (example,) = (
        block
        for language, block in FENCE.findall(written(docs.DOCS / "concepts" / "search.md"))
        if language == "yaml"
    )
    assert set(yaml.safe_load(example)) <= set(default)


# --- the site ---------------------------------------------------------------------------------


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in docs.DOCS.rglob("*.md"):
        assert f" {page.relative_to(docs.DOCS)}\n" in navigation


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    missing = [
        name for name in ("mkdocs", "material", "mkdocstrings") if importlib.util.find_spec(name) is None
    ]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"{', '.join(missing)}: not installed")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    built = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    requested = r'(?:<link[^>]* href|src)="((?:https?:)?//[^"]+)"'
    for page in (tmp_path / "site").rglob("*.html"):
        assert re.findall(requested, page.read_text(encoding="utf-8")) == [], page
