"""The limits that text on a page keeps to, so that it is read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from streamlit.testing.v1 import AppTest

CAPTION, PARAGRAPH, VERDICT = 40, 60, 20  # words at most
BANNED = (  # coinages; the field has a standard term for each
    *("picture", "pictures", "spoiled", "thrown out", "told from", "held against", "looked for", "anew"),
    *(
        "throw out",
        "throws out",
        "misnamed",
        "likeness",
        "surest",
        "the first of its kind",
        "for certain",
        "for sure",
        "rightly",
        "judged by",
    ),
)
NAMES = {"spoiled"}  # columns of the data, which keep their names
WIDGETS = ("selectbox", "button_group", "slider", "toggle", "radio", "checkbox", "expander", "tab", "metric")
P_VALUE = re.compile(r"(?<![\w@])p(?![\w@])")
_MARKS = re.compile(r":material/\w+:|:\w+\[|[*`]")
_WORD = re.compile(r"\S*[^\W_]\S*")


def count(text: str) -> int:
    """Return how many words a text has; icons and Markdown's marks are none."""
    return len(_WORD.findall(_MARKS.sub(" ", text)))


def captions(app: AppTest) -> list[str]:
    return [node.value for node in app.caption]


def paragraphs(app: AppTest) -> list[str]:
    """Return every paragraph of a page, those in boxes, in expanders and in list items among them."""
    nodes = [*app.markdown, *app.text, *app.info, *app.success, *app.warning, *app.error]
    texts = [str(node.value) for node in nodes]
    return [part for text in texts for part in re.split(r"\n\s*\n|\n[-*] |  \n", text) if part.strip()]


def verdicts(app: AppTest) -> list[str]:
    """Return what stands alone in bold."""
    return [part for part in paragraphs(app) if re.fullmatch(r"\s*\*\*[^*]+\*\*\s*", part)]


def labels(app: AppTest) -> list[str]:
    """Return what is written on controls and their options, metrics, columns of tables, and charts."""
    found: list[str] = []
    for node in (node for kind in WIDGETS for node in app.get(kind)):
        found += [str(getattr(node, name, None) or "") for name in ("label", "delta", "help")]
        found += map(str, getattr(node, "options", None) or ())
    for table in app.dataframe:
        found += [table.proto.alt, *columns(table)]
    for chart in app.get("vega_lite_chart"):
        found += [chart.proto.alt, *chart_texts(json.loads(chart.proto.spec))]
    return [text for text in found if text and text not in NAMES]


def columns(table: Any) -> list[str]:
    """Return the titles of a table's columns, as they are shown."""
    shown = json.loads(table.proto.columns or "{}")
    return [str(shown.get(str(name), {}).get("label") or name) for name in table.value.columns]


def parts_of(spec: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a Vega-Lite specification but those of its tables, the outermost first."""
    if isinstance(spec, dict):
        yield spec
        for key, value in spec.items():
            if key != "datasets":
                yield from parts_of(value)
    elif isinstance(spec, list):
        for one in spec:
            yield from parts_of(one)


def chart_texts(spec: Any) -> Iterator[str]:
    """Yield the titles in a Vega-Lite specification (of axes, legends, tooltips, the chart) and the names of
    its legends' entries."""
    for part in parts_of(spec):
        title, domain = part.get("title"), part.get("domain")
        if isinstance(title, str):
            yield title
        if isinstance(domain, list):
            yield from (one for one in domain if isinstance(one, str))


def tooltips(spec: Any) -> Iterator[list[str]]:
    """Yield the lines of each tooltip of a Vega-Lite specification."""
    for part in parts_of(spec):
        if isinstance(part.get("tooltip"), list):
            yield [str(one.get("title", one.get("field", ""))) for one in part["tooltip"]]


def contradicting(app: AppTest) -> list[list[str]]:
    """Return the titles of tables' rows and charts' tooltips that have more than one p-value."""
    rows = [columns(table) for table in app.dataframe]
    for chart in app.get("vega_lite_chart"):
        rows += tooltips(json.loads(chart.proto.spec))
    return [row for row in rows if sum(bool(P_VALUE.search(title)) for title in row) > 1]


def banned(texts: Iterable[str]) -> list[str]:
    """Return the texts that use a coinage, each with it."""
    found = re.compile(rf"\b({'|'.join(BANNED)})\b", re.IGNORECASE)
    return [f"{match.group()}: {text}" for text in texts if (match := found.search(text))]


def too_long(texts: Iterable[str], most: int) -> list[str]:
    return [f"{count(text)} words: {text}" for text in texts if count(text) > most]
