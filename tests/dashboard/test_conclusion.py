"""The conclusion of a study on its page: the verdict in bold, the rest behind it."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.support import wording
from tests.support.pages import active

OLD = (
    "33 cells were held against training on all 1,036 rows, on 250 groups (323 test rows) with 8 seeds "
    "each, by "
    "an earlier version that wrote one paragraph of all that it had found, the verdict somewhere within it. "
    "It helps: use it. By class, it costs none."
)


def page(recorded: str) -> AppTest:
    def script(recorded: str) -> None:
        from dashboard.ui import conclusion

        conclusion.show(recorded)

    return AppTest.from_function(script, args=(recorded,)).run()


def test_the_first_line_is_the_verdict_and_the_others_are_folded_away() -> None:
    app = page("Use a: macro-F1 -0.003 [-0.025, +0.019].\nBest on validation: a-1.\n")
    assert app.markdown[0].value.startswith("**Use a:")
    assert "−0.003 [" in app.markdown[0].value.replace("\\", "")
    assert not app.expander[0].proto.expanded
    assert app.expander[0].markdown[0].value.endswith("a-1.")


def test_a_verdict_of_twenty_words_with_signs_between_is_one() -> None:
    line = "Use a: not better, AUC +0.055 [+0.017, +0.114], p = 0.098 (3 comparisons),"
    line += " word" * (wording.VERDICT - wording.count(line))
    assert wording.count(line) == wording.VERDICT
    assert wording.verdicts(page(line))


def test_a_paragraph_of_an_earlier_version_is_shown_sentence_by_sentence() -> None:
    app = page(OLD)
    assert app.expander[0].proto.expanded
    assert not wording.verdicts(app)
    assert len(app.expander[0].markdown[0].value.splitlines()) == 3


@pytest.mark.parametrize("recorded", ["", "\n"])
def test_without_a_conclusion_nothing_is_shown(recorded: str) -> None:
    app = page(recorded)
    assert not app.markdown
    assert not app.expander


def test_a_hostile_conclusion_is_inert() -> None:
    app = page("![x](http://evil) **b**\n# `c` <img src=x>")
    said = active("\n".join(node.value for node in app.markdown))
    for trap in ("![x](", "**b**", "`c`", "<img"):
        assert trap not in said
