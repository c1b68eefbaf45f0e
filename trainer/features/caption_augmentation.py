"""Views of a caption for augmentation: 0 is the caption as it is, 1, 2, … stray from it.

The counterpart of the image's views in ``views.py``: what is drawn depends on the image's bytes, the
view's number and the seed alone, so that view v of an image and view v of its caption are one pair, the
same for ever, whichever others are made beside them. Leaving words out and putting synonyms in their places
are two of the four operations of EDA (Wei & Zou 2019).
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

HOW_TO_GET_IT = (
    "Install it (Debian's package wordnet-base), or set WNSEARCHDIR to a folder with index.noun, data.noun "
    "and the other files of Princeton WordNet's database."
)
PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")

_LITTLE = """
    a an the this that these those some any each no not nor and or but if as than so too very i me my mine
    we us our you your he him his she her it its they them their who whom whose what which am is are was
    were be been being have has had do does did will would shall should can could may might must about above
    across after against along among around at before behind below between by down during for from in into
    near of off on onto out over through to toward towards under until up upon with within without when
    where while why how here there then now just only all both own same such
"""
LITTLE_WORDS = frozenset(_LITTLE.split())
"""Never replaced, as in EDA: many of them WordNet knows as other words only, "a" as an angstrom, "off" as to
murder."""

_CAPTIONS = 0x74657874  # sets these random numbers apart from those of the image's own view
_AROUND = re.compile(r"([\W_]*)(.*?)([\W_]*)", re.DOTALL)
_MARKER = re.compile(r"\((?:a|p|ip)\)$")  # where an adjective may stand, as data.adj says it


@dataclass(frozen=True, kw_only=True)
class Wording:
    """How far the views of a caption stray."""

    deletion: float = 0.1
    """Each word is left out with this probability; one always stays."""
    synonyms: float = 0.0
    """Each word that WordNet knows a synonym of is replaced by one with this probability."""

    def check(self) -> None:
        """Raises InputError for a value that makes no sense."""
        if not 0 <= self.deletion < 1:
            raise InputError(f"--wording.deletion is {self.deletion}; it must be at least 0 and below 1.")
        if not 0 <= self.synonyms <= 1:
            raise InputError(f"--wording.synonyms is {self.synonyms}; it must be between 0 and 1.")


def reword(
    text: str, how: Wording, content: str, view: int, *, seed: int, wordnet: WordNet | None = None
) -> str:
    """What view ``view`` of the caption ``text`` is, of the image with the SHA-256 ``content``.

    The random numbers are the same for all strengths: a word left out at 0.1 is left out at 0.2, too, and
    synonyms change nothing about which words stay. A synonym keeps the punctuation around the word and
    a capital first letter. White space between words becomes one blank.

    Raises:
        InputError: there shall be synonyms, but WordNet is not at hand or damaged.
    """
    if view == 0:
        return text
    if how.synonyms > 0 and wordnet is None:
        raise InputError(f"--wording.synonyms is {how.synonyms}, but WordNet is not at hand. {HOW_TO_GET_IT}")
    words = text.split()
    if not words:
        return text
    image = np.frombuffer(bytes.fromhex(content), dtype=np.uint32)
    rng = np.random.default_rng([seed, view, *image, _CAPTIONS])
    luck_w, swap_w, which_w = rng.random((len(words), 3)).T  # drawn for one word after the other
    stays_w = luck_w >= min(how.deletion, luck_w.max())  # the luckiest stays, come what may
    if wordnet is not None:
        for at in np.flatnonzero(stays_w & (swap_w < how.synonyms)):
            words[at] = _replaced(words[at], wordnet, which_w[at])
    return " ".join(word for word, stays in zip(words, stays_w, strict=True) if stays)


def _replaced(word: str, wordnet: WordNet, which: float) -> str:
    """A synonym between the punctuation that was around the word, or the word where there is none."""
    match = _AROUND.fullmatch(word)
    assert match is not None  # it matches anything
    before, core, after = match.groups()
    if core.lower() in LITTLE_WORDS:
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
    """The database of Princeton WordNet in plain files, as the manual page wndb(5WN) describes them.

    Nothing is read before the first word is asked for.
    """

    folder: Path

    @classmethod
    def at_hand(cls) -> WordNet | None:
        """The one in the folder WNSEARCHDIR, else in /usr/share/wordnet; None where no such folder is."""
        folder = Path(os.environ.get("WNSEARCHDIR") or "/usr/share/wordnet")
        return cls(folder) if folder.is_dir() else None

    def synonyms(self, word: str) -> tuple[str, ...]:
        """Single words that share the word's most frequent sense as a noun, verb, adjective or adverb.

        They are in lower case, sorted and without the word itself. Inflected forms, such as "dogs", are known
        only where they have an entry of their own.

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
    """The words of the synset that the index names first, since it begins with the most frequent sense."""
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
            f"WordNet in {folder} is damaged: what index.{part} and data.{part} say of {lemma!r} does not "
            f"fit together. {HOW_TO_GET_IT}"
        ) from error


@lru_cache(maxsize=2 * len(PARTS_OF_SPEECH))
def _index(path: Path) -> list[bytes]:
    """Its lines in the order of bytes; those of the licence begin with blanks and so before all words."""
    try:
        return sorted(path.read_bytes().splitlines())
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"WordNet's file {path} cannot be read ({error.strerror or error}). {HOW_TO_GET_IT}")
