"""The parts of an HTML file that asks nobody for anything: its scripts, charts and images are inside.

All text is foreign and escaped. The browser runs the two scripts of this module and no other: their hashes
are in the file's content security policy, which also forbids every request.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.chart_spec import drawing
from trainer.charts.render import LOOK, vl_convert

FONTS = "system-ui, 'DejaVu Sans', sans-serif"
DRAW = """
const config = JSON.parse(document.getElementById('look').textContent);
for (const spec of document.querySelectorAll('script.chart')) {
  vegaEmbed(spec.nextElementSibling, JSON.parse(spec.textContent), {actions: false, ast: true, config});
}
"""


def escaped(words: object) -> str:
    """Text as HTML."""
    return html.escape(str(words))


def paragraph(words: object, kind: str = "") -> str:
    """A paragraph; ``kind`` is "verdict", "quiet" or "caution"."""
    return f'<p class="{kind}">{escaped(words)}</p>' if words else ""


def section(title: str, *parts: str) -> str:
    """What belongs together, below a heading; "" without any part."""
    return f"<section><h2>{escaped(title)}</h2>{''.join(parts)}</section>" if any(parts) else ""


def side_by_side(*parts: str) -> str:
    return f'<div class="side">{"".join(parts)}</div>'


def tiles(figures: Iterable[tuple[str, str, str]]) -> str:
    """Headline figures: name, value, and what stands below it."""
    return '<div class="tiles">{}</div>'.format(
        "".join(
            f'<div><span class="quiet">{escaped(name)}</span><span class="value">{escaped(value)}</span>'
            f'<span class="below">{escaped(below)}</span></div>'
            for name, value, below in figures
        )
    )


def chart(figure: alt.TopLevelMixin, says: str) -> str:
    """A chart that answers the pointer; ``says`` what it shows, also to those who do not see it."""
    spec = drawing(figure).whole()
    if "width" not in spec and not {"facet", "concat", "hconcat", "vconcat"} & spec.keys():
        spec["width"] = "container"
    return (
        f'<figure><div class="drawn" role="img" aria-label="{escaped(says)}">'
        f'<script type="application/json" class="chart">{_data(spec)}</script>'
        '<div aria-hidden="true"></div></div>'  # what is read out is what it says, not mark by mark
        f"<figcaption>{escaped(says)}</figcaption></figure>"
    )


def images(rows: Iterable[tuple[bytes, str]]) -> str:
    """Thumbnails (WebP), each with a line below."""
    shown = [
        f'<figure><img alt="" src="data:image/webp;base64,{base64.b64encode(image).decode()}">'
        f"<figcaption>{escaped(says)}</figcaption></figure>"
        for image, says in rows
    ]
    return f'<div class="images">{"".join(shown)}</div>' if shown else ""


def table(frame: pd.DataFrame) -> str:
    """A table; what is null is "–"."""
    if frame.empty:
        return ""
    kinds = [' class="number"' if pd.api.types.is_numeric_dtype(frame[name]) else "" for name in frame]
    head = "".join(f"<th{kind}>{escaped(name)}</th>" for name, kind in zip(frame, kinds, strict=True))
    body = "".join(
        "<tr>{}</tr>".format(
            "".join(f"<td{kind}>{_cell(value)}</td>" for value, kind in zip(row, kinds, strict=True))
        )
        for row in frame.itertuples(index=False)
    )
    says = escaped(f"Table: {', '.join(map(str, frame))}")
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{says}">'  # keys can scroll it, too
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN
        return "–"
    return escaped(
        f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if isinstance(value, float) else value
    )


def command(words: str) -> str:
    return f"<pre><code>{escaped(words)}</code></pre>"


def document(title: str, parts: Sequence[str]) -> str:
    """The whole file."""
    scripts = [_libraries(), DRAW] if any('class="chart"' in part for part in parts) else []
    allowed = " ".join(map(_hash, scripts)) or "'none'"
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            "style-src 'unsafe-inline'",
            f"script-src {allowed}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    look = _data({**LOOK, "font": FONTS})
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escaped(title)}</title><style>{_style()}</style></head><body><main>",
            *parts,
            f'</main><script type="application/json" id="look">{look}</script>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body></html>",
        ]
    )


def _data(value: Any) -> str:
    """JSON inside a script element, which only ``<`` could end."""
    return json.dumps(value).replace("<", "\\u003c")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@cache
def _style() -> str:
    return (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


@cache
def _libraries() -> str:
    """Vega, Vega-Lite and Vega-Embed, which vl-convert has inside."""
    return vl_convert().javascript_bundle(
        vl_version=".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    )
