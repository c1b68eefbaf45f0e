"""What all charts have in common: legends, signs at zero, grids of logarithmic axes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NOUGHT = "datum.value === 0 ? '0' : datum.label"  # not "+0"
DECADE = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-9"
PER_DECADE: dict[str, Any] = {"condition": {"test": DECADE, "value": 1}, "value": 0}
AXES = ("x", "y")


def styled(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the specification, changed in place.

    - Swatches of legends are solid, however faint the marks are.
    - Zero has no sign.
    - A logarithmic axis has one line of the grid for a decade, not nine.
    """
    for channel, encoded in _encodings(spec):
        legend = encoded.get("legend")
        if isinstance(legend, dict):
            legend.setdefault("symbolOpacity", 1)
            legend.setdefault("gradientOpacity", 1)
            _without_sign(legend)
        axis = encoded.get("axis", {} if channel in AXES else None)
        if isinstance(axis, dict):
            _without_sign(axis)
            if _decimal_log(encoded.get("scale")) and axis.get("grid", True):
                axis["gridOpacity"] = PER_DECADE
                encoded["axis"] = axis
    return spec


def _encodings(part: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every channel's definition in a specification, whatever it is nested in."""
    if isinstance(part, dict):
        encoding = part.get("encoding")
        for channel, encoded in (encoding if isinstance(encoding, dict) else {}).items():
            if isinstance(encoded, dict):
                yield channel, encoded
        for name in ("layer", "concat", "hconcat", "vconcat", "spec"):
            yield from _encodings(part.get(name))
    elif isinstance(part, list):
        for one in part:
            yield from _encodings(one)


def _without_sign(guide: dict[str, Any]) -> None:
    if str(guide.get("format", "")).startswith("+"):
        guide.setdefault("labelExpr", NOUGHT)


def _decimal_log(scale: Any) -> bool:
    return isinstance(scale, dict) and scale.get("type") == "log" and scale.get("base", 10) == 10
