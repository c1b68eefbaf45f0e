"""Which characters a chart can be drawn with as a file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from trainer.core import scratch

FAMILY = "DejaVu Sans"
FILE = "DejaVuSans.ttf"
NOBODY_HAS = "\U0010fffd"  # a private character: the sign that stands for absent ones


@cache
def font_folder() -> Path | None:
    """Return a folder with DejaVu alone, as matplotlib brings it; None without.

    Beside it lies a font of last resort, which has a box for every character, and would be taken before a
    font of the system that has the character.
    """
    matplotlib = find_spec("matplotlib")  # not imported
    if matplotlib is None or matplotlib.origin is None:
        return None
    theirs = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf"
    own = scratch.of_process("fonts")
    for font in theirs.glob("DejaVuSans*.ttf"):
        shutil.copyfile(font, own / font.name)
    return own


def undrawable(texts: Sequence[str]) -> set[str]:
    """Return the texts with a character that no installed font has."""
    absent = {one for one in set("".join(texts)) if not one.isspace() and not _in_dejavu(one)}
    if not absent or sys.platform in ("darwin", "win32"):  # these have fonts of all scripts
        return set()
    blocks: dict[int, str] = {}
    for one in sorted(absent):
        blocks[ord(one) >> 8] = blocks.get(ord(one) >> 8, "") + one
    lost = {one for block in blocks.values() if not _in_a_system_font(block) for one in block}
    return {text for text in texts if lost.intersection(text)}


@cache
def _in_dejavu(character: str) -> bool:
    glyphs = _glyphs()
    return glyphs is None or glyphs(character) != glyphs(NOBODY_HAS)


@cache
def _glyphs():  # type: ignore[no-untyped-def]  # a function of a character to its pixels
    from PIL import ImageFont

    folder = font_folder()
    if folder is None:
        return None
    font = ImageFont.truetype(str(folder / FILE), 20)
    return lambda character: bytes(font.getmask(character))


@cache
def _in_a_system_font(characters: str) -> bool:
    """Return whether one font of the system has all characters; fontconfig knows."""
    codes = " ".join(f"{ord(one):x}" for one in characters)
    try:
        found = subprocess.run(
            ["fc-list", f":charset={codes}", "family"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return any(
        "LastResort" not in line.replace(" ", "") for line in found.stdout.splitlines() if line.strip()
    )
