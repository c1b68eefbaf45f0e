"""Augment captions by word deletion and synonym replacement, two operations of EDA (Wei & Zou 2019).

View 0 is the original caption; views 1, 2, … are augmented. As for images (`image_augmentation`), a view
depends only on the image's bytes, the number of the view and the seed, so view v of an image and view v of
its caption belong together.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from trainer.core.errors import InputError

INSTALL_HINT = (
    "Install it (Debian's package wordnet-base), or set WNSEARCHDIR to a folder with index.noun, data.noun "
    "and the other files of Princeton WordNet's database."
)
PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")

_STOP_WORDS = """
    a an the this that these those some any each no not nor and or but if as than so too very i me my mine
    we us our you your he him his she her it its they them their who whom whose what which am is are was
    were be been being have has had do does did will would shall should can could may might must about above
    across after against along among around at before behind below between by down during for from in into
    near of off on onto out over through to toward towards under until up upon with within without when
    where while why how here there then now just only all both own same such
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Never replaced, as in EDA: WordNet has only unrelated senses for most of them ("a": angstrom)."""

_CAPTIONS = 0x74657874  # separates these random numbers from those of the image's view
_AROUND = re.compile(r"([\W_]*)(.*?)([\W_]*)", re.DOTALL)
_MARKER = re.compile(r"\((?:a|p|ip)\)$")  # syntactic marker of an adjective in data.adj


@dataclass(frozen=True, kw_only=True)
class CaptionAugmentation:
    """Strength of caption augmentation."""

    deletion: float = 0.1
    """Probability of deleting each word; at least one word is kept."""
    synonyms: float = 0.0
    """Probability of replacing each word that has a synonym in WordNet."""

    def check(self) -> None:
        """Raise InputError for a value out of range."""
        if not 0 <= self.deletion < 1:
            raise InputError(f"--wording.deletion is {self.deletion}; it must be at least 0 and below 1.")
        if not 0 <= self.synonyms <= 1:
            raise InputError(f"--wording.synonyms is {self.synonyms}; it must be between 0 and 1.")


def augment_caption(
    text: str, how: CaptionAugmentation, content: str, view: int, *, seed: int, wordnet: WordNet | None = None
) -> str:
    """Return view ``view`` of the caption ``text`` of the image with the SHA-256 ``content``.

    Random numbers are the same for all strengths: a word deleted at 0.1 is deleted at 0.2, too, with or
    without synonyms. A synonym keeps the surrounding punctuation and a capital first letter. White space
    between words becomes one space.

    Raises:
        InputError: synonyms are requested, but WordNet is not installed or damaged.
    """
    if view == 0:
        return text
    if how.synonyms > 0 and wordnet is None:
        raise InputError(
            f"--wording.synonyms is {how.synonyms}, but WordNet is not installed. {INSTALL_HINT}"
        )
    words = text.split()
    if not words:
        return text
    image = np.frombuffer(bytes.fromhex(content), dtype=np.uint32)
    rng = np.random.default_rng([seed, view, *image, _CAPTIONS])
    keep_w, swap_w, which_w = rng.random((len(words), 3)).T  # drawn word by word
    stays_w = keep_w >= min(how.deletion, keep_w.max())  # keeps at least one
    if wordnet is not None:
        for at in np.flatnonzero(stays_w & (swap_w < how.synonyms)):
            words[at] = _replaced(words[at], wordnet, which_w[at])
    return " ".join(word for word, stays in zip(words, stays_w, strict=True) if stays)


def _replaced(word: str, wordnet: WordNet, which: float) -> str:
    """Return a synonym with the punctuation of the word, or the word if there is none."""
    match = _AROUND.fullmatch(word)
    assert match is not None  # matches any text
    before, core, after = match.groups()
    if core.lower() in STOP_WORDS:
        return word
    synonyms = wordnet.synonyms(core)
    if not synonyms:
        return word
    synonym = synonyms[int(which * len(synonyms))]
    if core[0].isupper():
        synonym = synonym[0].upper() + synonym[1:]
    return before + synonym + after


@dataclass(frozen=True)
class WordNet:
    """Princeton WordNet's database files (manual page wndb(5WN)), read on first use."""

    folder: Path

    @classmethod
    def find_installed(cls) -> WordNet | None:
        """Return the WordNet in WNSEARCHDIR, else /usr/share/wordnet; None if there is no such folder."""
        folder = Path(os.environ.get("WNSEARCHDIR") or "/usr/share/wordnet")
        return cls(folder) if folder.is_dir() else None

    def synonyms(self, word: str) -> tuple[str, ...]:
        """Return single-word synonyms in the most frequent sense as noun, verb, adjective and adverb.

        Lower case, sorted, without the word itself. Inflected forms such as "dogs" are not lemmatised.

        Raises:
            InputError: a file is missing or damaged.
        """
        return _synonyms(self.folder, word.lower().replace(" ", "_"))


@lru_cache(maxsize=1 << 16)
def _synonyms(folder: Path, lemma: str) -> tuple[str, ...]:
    found: set[str] = set()
    for part in PARTS_OF_SPEECH:
        found.update(_first_sense(folder, part, lemma))
    return tuple(sorted(word for word in found - {lemma} if "_" not in word))


def _first_sense(folder: Path, part: str, lemma: str) -> list[str]:
    """Return the words of the first synset in the index, which is the most frequent sense."""
    lines, key = _index(folder / f"index.{part}"), f"{lemma} ".encode(errors="replace")
    at = bisect_left(lines, key)
    if not lemma or at == len(lines) or not lines[at].startswith(key):
        return []
    path = folder / f"data.{part}"
    try:
        # lemma pos synset_cnt p_cnt [symbol…] sense_cnt tagsense_cnt offset [offset…]
        entry = lines[at].split()
        offset = entry[6 + int(entry[3])]
        with path.open("rb") as file:
            file.seek(int(offset))
            # offset lex_filenum ss_type w_cnt (hexadecimal) word lex_id [word lex_id…] …
            synset = file.readline().split()
        many = 2 * int(synset[3], 16)
        pairs = synset[4 : 4 + many]
        if synset[0] != offset or len(pairs) != many:
            raise ValueError
        return [_MARKER.sub("", word.decode()).lower() for word in pairs[::2]]
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, IndexError, OverflowError) as error:
        raise InputError(
            f"WordNet in {folder} is damaged: index.{part} and data.{part} disagree on {lemma!r}. "
            f"{INSTALL_HINT}"
        ) from error


@lru_cache(maxsize=2 * len(PARTS_OF_SPEECH))
def _index(path: Path) -> list[bytes]:
    """Return the lines of an index, sorted; those of the licence begin with a space and come first."""
    try:
        return sorted(path.read_bytes().splitlines())
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"WordNet's file {path} cannot be read ({error.strerror or error}). {INSTALL_HINT}")
