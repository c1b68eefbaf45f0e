"""Colours that stand on white and on near-black, and that the common forms of colour blindness can tell
apart (after Okabe and Ito, https://jfly.uni-koeln.de/color/)."""

from __future__ import annotations

BLUE, ORANGE, GREEN, RED = "#2A86D1", "#E69F00", "#12A47C", "#DB5A1F"
GREY = "#8B919B"
LOSS, NONE, GAIN = "#C4521B", "#F3F1EC", "#2166AC"  # of heat maps, from the worst to the best
INK, PALE_INK = "#11171E", "#E8ECF0"  # on a light and on a dark page
LIGHT_GROUND, DARK_GROUND = "#FFFFFF", "#14181D"  # the pages themselves


def ink(dark: bool) -> str:
    """The colour of text and lines."""
    return PALE_INK if dark else INK


def ground(dark: bool) -> str:
    """The colour of the page."""
    return DARK_GROUND if dark else LIGHT_GROUND
