"""Views of captions: drawn from the image's content, the same for ever; and WordNet's plain files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.core.errors import InputError
from trainer.features.caption_augmentation import (
    PARTS_OF_SPEECH,
    CaptionAugmentation,
    WordNet,
    augment_caption,
)

CONTENT = hashlib.sha256(b"a picture").hexdigest()
CONTENTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
CAPTIONS = st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1), min_size=1).map(
    " ".join
)
SHARES = st.floats(0, 1, exclude_max=True)
VIEWS = st.integers(1, 1000)
SEEDS = st.integers(0, 2**31)

LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by  \n  2 a test.  \n"
SYNSETS = {
    "noun": ["dog domestic_dog Canis_familiaris", "frump dog", "car auto automobile Motorcar", "cat"],
    "verb": ["chase dog give_chase", "angstrom a"],
    "adj": ["large(a) big(ip)", "adult big", "asleep(p)"],
    "adv": ["fast quick"],
}


def _tiny_wordnet(folder: Path) -> WordNet:
    """The synsets above in files like Princeton's: the licence, pointers, glosses and true offsets."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, synsets in SYNSETS.items():
        data = LICENCE
        offsets: dict[str, list[str]] = {}
        for synset in synsets:
            offset, words = f"{len(data):08d}", synset.split()
            for word in words:
                offsets.setdefault(word.split("(")[0].lower(), []).append(offset)
            pairs = " ".join(f"{word} 0" for word in words)
            kind = part[0] if part != "adv" else "r"
            data += f"{offset} 05 {kind} {len(words):02x} {pairs} 001 @ {offset} {kind} 0000 | a gloss; "
            data += '"with an example"  \n'
        (folder / f"data.{part}").write_text(data)
        lines = [
            f"{lemma} {part[0]} {len(found)} 2 @ ~ {len(found)} 1 {' '.join(found)}  \n"
            for lemma, found in sorted(offsets.items())
        ]
        (folder / f"index.{part}").write_text(LICENCE + "".join(lines))
    return WordNet(folder)


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory: pytest.TempPathFactory) -> WordNet:
    return _tiny_wordnet(tmp_path_factory.mktemp("wordnet"))


def _is_subsequence(some: list[str], words: list[str]) -> bool:
    rest = iter(words)
    return all(word in rest for word in some)


@settings(deadline=None)
@given(CAPTIONS, SHARES, CONTENTS, VIEWS, SEEDS)
def test_a_view_has_words_of_the_caption_in_their_order_at_least_one_and_always_the_same(
    text: str, deletion: float, content: str, view: int, seed: int
) -> None:
    how = CaptionAugmentation(deletion=deletion)
    stayed = augment_caption(text, how, content, view, seed=seed)
    assert stayed
    assert _is_subsequence(stayed.split(), text.split())
    assert augment_caption(text, how, content, view, seed=seed) == stayed
    assert augment_caption(text, how, content, 0, seed=seed) == text


@settings(deadline=None)
@given(CAPTIONS, SHARES, SHARES, CONTENTS, VIEWS)
def test_what_is_left_out_at_a_low_share_is_left_out_at_a_higher_one(
    text: str, one: float, other: float, content: str, view: int
) -> None:
    # Numbered, so that it is known which of two like words stayed.
    text = " ".join(f"{word}{at}" for at, word in enumerate(text.split()))
    low, high = (
        augment_caption(text, CaptionAugmentation(deletion=deletion), content, view, seed=0).split()
        for deletion in sorted([one, other])
    )
    assert set(high) <= set(low)


@settings(deadline=None)
@given(st.lists(CAPTIONS, min_size=2, max_size=5), st.data())
def test_a_view_does_not_depend_on_the_others_made_beside_it(texts: list[str], data: st.DataObject) -> None:
    how = CaptionAugmentation(deletion=0.5)
    contents = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    rows = [(row, view) for row in range(len(texts)) for view in (1, 2, 3)]
    alone = {(row, view): augment_caption(texts[row], how, contents[row], view, seed=3) for row, view in rows}
    for row, view in data.draw(st.permutations(rows)):
        assert augment_caption(texts[row], how, contents[row], view, seed=3) == alone[row, view]


@settings(deadline=None)
@given(CONTENTS, VIEWS, SHARES)
def test_synonyms_do_not_change_which_words_stay(
    wordnet: WordNet, content: str, view: int, deletion: float
) -> None:
    text = "one dog two car three big four quick five"
    plain = augment_caption(text, CaptionAugmentation(deletion=deletion), content, view, seed=0).split()
    how = CaptionAugmentation(deletion=deletion, synonyms=1.0)
    swapped = augment_caption(text, how, content, view, seed=0, wordnet=wordnet).split()
    assert len(swapped) == len(plain)
    for before, after in zip(plain, swapped, strict=True):
        assert after in (wordnet.synonyms(before) or (before,))


@settings(deadline=None)
@given(CAPTIONS, st.text("abc", min_size=1), CONTENTS, VIEWS)
def test_words_that_follow_change_nothing_about_those_before(
    text: str, last: str, content: str, view: int
) -> None:
    how = CaptionAugmentation(deletion=0.5)
    longer = augment_caption(f"first {text} {last}", how, content, view, seed=0)
    shorter = augment_caption(f"first {text}", how, content, view, seed=0)
    if len(longer.split()) > 1 and len(shorter.split()) > 1:  # else one was spared
        assert longer in (shorter, f"{shorter} {last}")


def test_images_views_and_seeds_differ() -> None:
    other = hashlib.sha256(b"another picture").hexdigest()
    text = " ".join(map(str, range(100)))
    drawn = {
        augment_caption(text, CaptionAugmentation(deletion=0.5), content, view, seed=seed)
        for content in (CONTENT, other)
        for view in (1, 2)
        for seed in (0, 1)
    }
    assert len(drawn) == 8


def test_a_view_is_the_one_that_it_was_in_earlier_versions() -> None:
    text = "one two three four five six seven eight"
    assert (
        augment_caption(text, CaptionAugmentation(deletion=0.5), CONTENT, 1, seed=0)
        == "two three four five eight"
    )


def test_as_many_words_are_left_out_and_replaced_as_were_asked_for(wordnet: WordNet) -> None:
    how = CaptionAugmentation(deletion=0.2, synonyms=0.3)
    words = augment_caption(" ".join(["car"] * 5000), how, CONTENT, 1, seed=0, wordnet=wordnet).split()
    assert 0.78 < len(words) / 5000 < 0.82
    assert 0.68 < words.count("car") / len(words) < 0.72
    for synonym in ("auto", "automobile", "motorcar"):
        assert 0.28 < words.count(synonym) / (len(words) - words.count("car")) < 0.39
    assert set(words) == {"car", "auto", "automobile", "motorcar"}


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_an_empty_caption_stays_empty(text: str) -> None:
    assert augment_caption(text, CaptionAugmentation(deletion=0.9), CONTENT, 1, seed=0) == text


def test_a_synonym_keeps_punctuation_and_a_capital(wordnet: WordNet) -> None:
    how = CaptionAugmentation(deletion=0, synonyms=1)
    text = '"Quick", said (_Dog_): — big... cat\'s'
    assert (
        augment_caption(text, how, CONTENT, 1, seed=0, wordnet=wordnet)
        == '"Fast", said (_Chase_): — large... cat\'s'
    )


def test_little_words_are_not_taken_for_others(wordnet: WordNet) -> None:
    assert wordnet.synonyms("a") == ("angstrom",)
    assert (
        augment_caption(
            "A a", CaptionAugmentation(deletion=0, synonyms=1), CONTENT, 1, seed=0, wordnet=wordnet
        )
        == "A a"
    )


@pytest.mark.parametrize(
    "wrong", [{"deletion": 1.0}, {"deletion": -0.1}, {"synonyms": 1.1}, {"synonyms": float("nan")}]
)
def test_strengths_that_make_no_sense_are_named(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(InputError, match=f"--wording.{name} is"):
        CaptionAugmentation(**wrong).check()
    CaptionAugmentation().check()
    CaptionAugmentation(deletion=0, synonyms=1).check()


def test_synonyms_without_wordnet_are_refused_with_the_way_to_get_it() -> None:
    with pytest.raises(InputError, match=r"WordNet is not installed.*wordnet-base.*WNSEARCHDIR"):
        augment_caption("a dog", CaptionAugmentation(synonyms=0.1), CONTENT, 1, seed=0)


# --- WordNet's files --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "synonyms"),
    [
        ("dog", ("chase",)),  # of the first sense as a noun, and as a verb
        ("car", ("auto", "automobile", "motorcar")),
        ("CAR", ("auto", "automobile", "motorcar")),
        ("domestic dog", ("dog",)),
        ("big", ("large",)),  # with its marker in data.adj
        ("large", ("big",)),
        ("asleep", ()),  # alone in its synset
        ("a", ("angstrom",)),  # the first entry of its index
        ("quick", ("fast",)),  # the last one
        ("do", ()),  # the beginning of another
        ("dogs", ()),
        ("zebra", ()),
        ("été", ()),
        ("1", ()),  # the licence has such lines
        ("", ()),
        (" ", ()),
    ],
)
def test_synonyms_are_the_single_words_of_the_first_sense(
    wordnet: WordNet, word: str, synonyms: tuple[str, ...]
) -> None:
    assert wordnet.synonyms(word) == synonyms


def test_wordnet_is_looked_for_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path / "wordnet"))
    assert WordNet.find_installed() is None
    _tiny_wordnet(tmp_path / "wordnet")
    assert WordNet.find_installed() == WordNet(tmp_path / "wordnet")


@pytest.mark.parametrize("name", [f"{kind}.{part}" for kind in ("index", "data") for part in PARTS_OF_SPEECH])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    wordnet = _tiny_wordnet(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"{name} cannot be read"):
        [wordnet.synonyms(word) for word in ("dog", "big", "fast")]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("data.noun", "  1 This", "  1 These"),  # all offsets are wrong by one
        ("data.noun", "domestic_dog 0 Canis_familiaris 0 ", "\n"),  # a synset that ends early
        ("data.noun", " n 03 dog", " n zz dog"),
        ("index.noun", "dog n 2 2", "dog n 2 20"),
        ("index.noun", "dog n 2 2", "dog n 2 x"),
        ("index.noun", "dog n 2 2 @ ~ 2 1 ", "dog n 2 2 @ ~ 2 1 9999999999999999999999"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, before: str, after: str) -> None:
    wordnet = _tiny_wordnet(tmp_path)
    text = (tmp_path / name).read_text()
    assert before in text
    (tmp_path / name).write_text(text.replace(before, after))
    with pytest.raises(InputError, match=r"damaged: index\.noun and data\.noun disagree on 'dog'"):
        wordnet.synonyms("dog")


@pytest.mark.skipif(
    not Path("/usr/share/wordnet/index.noun").is_file(), reason="Debian's package wordnet-base is not here"
)
def test_princetons_files_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    wordnet = WordNet.find_installed()
    assert wordnet is not None
    assert {"auto", "automobile", "motorcar"} <= set(wordnet.synonyms("car"))
    assert "large" in wordnet.synonyms("big")
    assert "rapidly" in wordnet.synonyms("quickly")
    assert wordnet.synonyms("qwertz") == ()
    how = CaptionAugmentation(deletion=0, synonyms=1)
    assert augment_caption("the Cartoon of a qwertz.", how, CONTENT, 1, seed=0, wordnet=wordnet) == (
        "the Sketch of a qwertz."
    )
