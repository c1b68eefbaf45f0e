"""A chart as a figure for a paper: one or two columns wide, with title, run and n above it."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

from trainer.charts.labels import visible
from trainer.charts.palette import DARK_GROUND, INK, LIGHT_GROUND, PALE_INK
from trainer.charts.render import svg_of
from trainer.charts.render import vl_convert as converter

MM = 96 / 25.4  # pixels of an SVG in a millimetre
POINT = 72 / 96  # points in a pixel
COLUMNS_MM = {1: 85, 2: 175}  # widths of a figure
DPI = 300  # of a PNG
FORMS = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png"}
NATURAL = "natural_width"  # in a chart's usermeta: the width at which it is drawn before it is scaled
CHARACTER = 8.0  # pixels of one in a title, about
FLATTEST = 0.8  # height of a chart over its width, at most
WINDOW = "windowSize()[0]"  # in a chart's expressions: the width of the page
NARROW = f"{WINDOW} < 600"  # there: whether it is a telephone's
FAMILIES = "DejaVu Sans, Verdana, sans-serif"  # Verdana has the same widths
SIZE = re.compile(r'width="[\d.]+" height="[\d.]+" viewBox="0 0 ([\d.]+) ([\d.]+)"')
LINK = re.compile(r'\s(?:xlink:)?href="(?!data:image/|#)[^"]*"')


class Caption(NamedTuple):
    """The words above a figure."""

    title: str
    run: str = ""
    n: str = ""  # what the chart stands on, such as "323 test rows"


def figure(spec: Mapping[str, Any], caption: Caption, *, columns: int, form: str) -> bytes:
    """Return the bytes of a file.

    Args:
        spec: a Vega-Lite specification with its tables, of a page of either theme.
        columns: of the paper, 1 or 2.
        form: of `FORMS`.
    """
    width = COLUMNS_MM[columns] * MM
    drawn = svg_of(_fitted(spec, caption, columns=columns, width=width))
    unit = POINT if form == "pdf" else 1.0
    sized = LINK.sub("", SIZE.sub(lambda found: _scaled(found, unit * width), drawn, count=1))
    if form == "svg":
        return sized.replace('font-family="DejaVu Sans"', f'font-family="{FAMILIES}"').encode()
    if form == "pdf":
        return converter().svg_to_pdf(sized)
    return converter().svg_to_png(sized, scale=POINT, ppi=DPI)


def _scaled(size: re.Match[str], width: float) -> str:
    """The size of an SVG at another width."""
    across, up = float(size[1]), float(size[2])
    return f'width="{width:.2f}" height="{up * width / across:.2f}" viewBox="0 0 {across:g} {up:g}"'


def _fitted(spec: Mapping[str, Any], caption: Caption, *, columns: int, width: float) -> dict[str, Any]:
    """The specification on white, as wide as it shall be, or to be scaled where it has a width of its own."""
    written = json.dumps(spec).replace(PALE_INK, INK).replace(DARK_GROUND, LIGHT_GROUND)
    chart = json.loads(written.replace(WINDOW, f"{width:.0f}"))
    own = chart.get("width") or (chart.pop("usermeta", None) or {}).get(NATURAL)
    if own:
        chart["width"] = own
    elif "concat" in chart:
        chart["columns"] = columns if columns == 1 else chart.get("columns", 2)
        for part in chart["concat"]:
            part.setdefault("width", width / chart["columns"] - 70)
    else:
        chart |= {"width": width, "autosize": {"type": "fit-x", "contains": "padding"}}
        if "autosize" not in spec and isinstance(chart.get("height"), int | float):
            chart["height"] = min(chart["height"], FLATTEST * width)
    chart["padding"] = 4
    larger = max(1.0, own / width) if own else 1.0  # what is scaled down later
    most = int(width / CHARACTER)
    title, run, n = (
        textwrap.wrap(visible(words), most) for words in (*caption[:2], caption.n and f"n = {caption.n}")
    )
    sizes = {"fontSize": 11 * larger, "subtitleFontSize": 10 * larger, "offset": 10 * larger}
    chart["title"] = {"text": title, "subtitle": run + n, "anchor": "start", "frame": "bounds", **sizes}
    return chart
