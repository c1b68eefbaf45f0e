"""A file of corrections is read whole or refused by line, and nobody's row is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths import REPO
from trainer.core.corrections import (
    Action,
    Correction,
    append,
    last_save,
    latest,
    overruled,
    read,
    saved_as,
    standing,
    undo,
)
from trainer.core.errors import InputError

HEADER = "sample_id,old,new,action,who,when,why\n"
WRITER = """
import sys
from pathlib import Path
from trainer.core.corrections import Action, Correction, append
for i in range(20):
    append(Path(sys.argv[1]), [Correction(f"{sys.argv[2]}-{i}.png", "cat", "", Action.DROP, who=sys.argv[2])])
"""


def relabel(name: str, new: str, who: str = "a") -> Correction:
    return Correction(name, "cat", new, Action.RELABEL, who=who)


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=20)


@given(names=st.lists(text.filter(bool), min_size=1, max_size=5), why=text)
def test_what_is_written_is_read_back(
    names: list[str], why: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("corrections") / "c.csv"
    written = [relabel(name, "dog")._replace(why=why, content_hash=name) for name in names]
    append(path, written[:1])
    append(path, written[1:])
    assert read(path) == written


def test_the_last_row_about_an_image_counts_and_keeping_it_takes_all_back() -> None:
    rows = [relabel("1", "dog"), relabel("2", "dog"), relabel("1", "owl")]
    assert {name: one.new for name, one in latest(rows).items()} == {"1": "owl", "2": "dog"}
    assert latest([*rows, Correction("2", "cat", "", Action.KEEP)]).keys() == {"1"}


def test_who_is_overruled_by_whom_is_known() -> None:
    mine, theirs = relabel("1", "dog", "a"), relabel("1", "owl", "b")
    assert overruled([mine, theirs]) == [(mine, theirs)]
    assert overruled([mine, relabel("1", "dog", "b")]) == []
    assert overruled([mine, relabel("1", "owl", "a")]) == []


def test_two_people_at_once_lose_no_row(tmp_path: Path) -> None:
    path = tmp_path / "new" / "c.csv"
    both = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], cwd=REPO) for name in ("a", "b")
    ]
    assert [one.wait(300) for one in both] == [0, 0]
    assert {one.sample_id for one in read(path)} == {f"{who}-{i}.png" for who in "ab" for i in range(20)}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "has no column sample_id, old, new, action"),
        ("sample_id,old\n", "has no column new, action"),
        (HEADER + "1.png,cat,dog\n", "line 2: 3 cells, and the first line has 7"),
        (HEADER + "1.png,cat,dog,remove,,,\n", "line 2: 'remove' is no action; use relabel, drop, keep"),
        (HEADER + "1.png,cat,,relabel,,,\n", "line 2: relabel needs a new label"),
        (HEADER + "1.png,cat,dog,drop,,,\n", "line 2: drop takes no new label"),
        (HEADER + "1.png,cat,,undo,,,\n", "line 2: there is nothing to undo about '1.png'"),
        (HEADER + '"1.png,cat\n', "is no CSV"),
    ],
)
def test_what_makes_no_sense_is_refused_by_line(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(content)
    with pytest.raises(InputError) as refused:
        read(tmp_path / "c.csv")
    assert told in str(refused.value)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        read(tmp_path / "gone.csv")
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + "é".encode("latin-1"))
    with pytest.raises(InputError, match="Expected a CSV in UTF-8"):
        read(tmp_path / "latin.csv")


def test_a_file_of_before_has_no_hashes_and_gets_the_column_with_the_next_row(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(HEADER + "1.png,cat,dog,relabel,Ann,2026-11-30,\n")
    (before,) = read(path)
    assert (before.sample_id, before.content_hash) == ("1.png", "")
    append(path, [Correction("2.png", "cat", "", Action.DROP, content_hash="abc")])
    assert path.read_text().splitlines()[0] == "sample_id,content_hash,old,new,action,who,when,why"
    assert [one.content_hash for one in read(path)] == ["", "abc"]
    assert read(path)[0] == before


def test_undo_lets_the_row_before_count_again(tmp_path: Path) -> None:
    path, first, second = tmp_path / "c.csv", relabel("1", "dog"), relabel("1", "owl")
    append(path, [first._replace(when="10:00"), second._replace(when="11:00")])
    for when, counts in (("11:00", "dog"), ("10:00", None)):
        assert undo(path, second._replace(when=when), who="a", when="12:00") == 1
        assert {name: one.new for name, one in latest(read(path)).items()} == (
            {"1": counts} if counts else {}
        )
    assert undo(path, second._replace(when="11:00"), who="a", when="13:00") == 0  # it was already
    assert len(read(path)) == 4  # nothing that was written is lost
    assert standing(read(path)) == []


def test_what_somebody_else_has_corrected_since_is_not_undone(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    mine = [relabel(name, "dog", "a")._replace(when="10:00") for name in ("1", "2")]
    theirs = relabel("1", "owl", "b")._replace(when="10:01")
    append(path, [*mine, theirs])
    assert last_save(read(path)) == [theirs]
    assert last_save(read(path), among={saved_as(mine[0])}) == [mine[1]]
    assert undo(path, mine[0], who="a", when="10:02") == 1
    assert {name: one.new for name, one in latest(read(path)).items()} == {"1": "owl"}


def test_who_undid_it_overruled_another_and_not_himself() -> None:
    mine = relabel("1", "dog", "a")
    taken_back, by_other = (mine._replace(new="", action=Action.UNDO, who=who) for who in ("a", "b"))
    assert overruled([mine, by_other]) == [(mine, by_other)]
    assert overruled([mine, taken_back, relabel("1", "owl", "b")]) == []
