"""A chart as the bytes of a file, made offline and without a browser."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt

from trainer.charts.fonts import FAMILY, font_folder
from trainer.charts.style import styled

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
SCALE = 1.5  # pixels of a PNG for each of the chart
LOOK: dict[str, Any] = {
    "background": "white",
    "padding": 12,
    "font": FAMILY,
    "view": {"stroke": None},
    "axis": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "gridColor": "#DDE1E6"},
    "legend": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"},
    "title": {"anchor": "start", "frame": "bounds", "fontSize": 14, "subtitleFontSize": 12, "offset": 14},
}


def png(chart: alt.TopLevelMixin) -> bytes:
    """The chart as a PNG file."""
    return vl_convert().vegalite_to_png(scale=SCALE, **_written(chart))


def svg(chart: alt.TopLevelMixin) -> bytes:
    """The chart as an SVG file."""
    return vl_convert().vegalite_to_svg(**_written(chart)).encode()


def pdf(chart: alt.TopLevelMixin) -> bytes:
    """The chart as a PDF file."""
    return vl_convert().vegalite_to_pdf(**_written(chart))


def svg_of(spec: dict[str, Any]) -> str:
    """The SVG of a specification with its tables."""
    return vl_convert().vegalite_to_svg(**_asked(spec))


def _written(chart: alt.TopLevelMixin) -> dict[str, Any]:
    with alt.data_transformers.enable("default", max_rows=None):
        return _asked(styled(chart.to_dict(validate=False)))


def _asked(spec: dict[str, Any]) -> dict[str, Any]:
    return {"vl_spec": spec, "vl_version": VEGA_LITE, "config": LOOK, "allowed_base_urls": []}


@cache
def vl_convert() -> Any:
    """The module, with DejaVu, which a machine without fonts has through matplotlib: its own font has neither
    stars nor Arabic."""
    import vl_convert as module

    folder = font_folder()
    if folder is not None:
        module.register_font_directory(str(folder))
    return module
