"""Words for people, and the disarming of words from strangers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import text
from tests.support.pages import SPAN, active

AWKWARD = "[]()!*_`~$<>:&#|\\-+=@/.w1 "


def read(markdown: str) -> str:
    """What Markdown shows that has nothing in it but code and escapes."""
    return SPAN.sub(lambda found: found[3] or found[4], markdown)


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from(AWKWARD)), max_size=60))
def test_a_name_in_markdown_reads_as_the_name_itself(name: str) -> None:
    assert read(text.plain(name)) == text.clean(name)


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from(AWKWARD)), max_size=60))
def test_of_a_name_in_markdown_nothing_outside_code_and_escapes_can_act(name: str) -> None:
    left = active(text.plain(name))
    assert not re.search(r"[`*\[\]<{}|$~!&#^]|:\w|://|www\.|@|->|--|\b_\b_|^(>|[-+] )", left)


@pytest.mark.parametrize(
    "name", ["quality>=top60%", "class_weight", "<img src=x>", ":material/bolt:", "a@b.example", "50% *new*"]
)
def test_what_stands_where_no_markdown_is_rendered_is_the_name_as_it_is(name: str) -> None:
    assert text.clean(name) == name


@given(st.text(max_size=300))
def test_cleaned_text_is_one_short_line_without_control_characters(name: str) -> None:
    cleaned = text.clean(name, longest=40)
    assert len(cleaned) <= 40
    assert cleaned.isprintable()


def test_direction_marks_that_disguise_a_name_are_removed() -> None:
    assert text.clean("exe.\u202egnp\u202c") == "exe.gnp"


def test_punctuation_after_code_is_none_of_it() -> None:
    assert text.plain("Use quality>=top60%: it helps.") == "Use `quality>=top60%`: it helps."


def test_an_everyday_name_looks_as_before() -> None:
    for name in ("flowers_vit-b32 (3 seeds)", "class_weight", "note: 5 of 7", "learning.rate", "1,586 rows"):
        assert text.plain(name) == name


def test_a_score_without_a_value_is_a_dash_and_never_nan() -> None:
    assert [text.score(0.8734), text.score(None), text.score(float("nan"))] == ["0.873", "–", "–"]


def test_few_groups_and_few_rows_of_a_class_are_said() -> None:
    assert text.rows_drawn(323, None) == "323 test rows"
    assert text.rows_drawn(323, 24) == "24 groups (323 test rows)"
    assert text.cautions(None, 5) == text.cautions(10) == []
    few, small = text.cautions(9, 4.5)
    assert "Only 9 groups" in few
    assert "4.5 at the median class" in small


def test_an_interval_stands_in_brackets_behind_its_score() -> None:
    assert text.interval(0.8734, (0.861, 0.8837)) == "0.873 [0.861, 0.884]"
    assert text.interval(0.8734, None) == "0.873"


@pytest.mark.parametrize(
    ("seconds", "words", "short"),
    [
        (0.85, "850 ms", "850 ms"),
        (42, "42 s", "42 s"),
        (185, "3 min 5 s", "3.1 min"),
        (7800, "2 h 10 min", "2.2 h"),
        (356400, "4 d 3 h", "4.1 d"),
        (None, "–", "–"),
    ],
)
def test_durations_have_the_units_that_people_use(seconds: float | None, words: str, short: str) -> None:
    assert (text.duration(seconds), text.duration(seconds, short=True)) == (words, short)


@pytest.mark.parametrize(
    ("number", "words"),
    [(64.0, "64"), (0.00123456, "0.00123"), (1.5e-5, "1.5e-5"), (True, "True"), ("adam", "adam")],
)
def test_hyperparameters_are_written_with_three_digits(number: object, words: str) -> None:
    assert text.value(number) == words


def test_counts_agree_with_their_noun() -> None:
    assert [text.count(1, "run"), text.count(1797, "run"), text.count(None)] == ["1 run", "1,797 runs", "–"]


def test_how_long_ago_counts_from_the_given_moment() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert text.ago(now - timedelta(minutes=3), now=now) == "3 min 0 s ago"


@pytest.mark.parametrize(("counts", "words"), [([12, 12], "12"), ([9, 1_052, 20], "9–1,052")])
def test_a_spread_of_counts_names_its_ends_once(counts: list[int], words: str) -> None:
    assert text.spread(counts) == words
