"""Every page on a store in every state: what a person finds there, run in process.

A store of a state has a sweep, an extraction and an ablation in it; one session walks through its pages.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.support import synthetic_ablation, synthetic_runs
from tests.support.pages import active, captions, charts, words
from tests.support.paths import REPO

OF_SWEEPS = ["home", "curves", "hyperparameters", "confusion", "embeddings", "tryit", "twoclass"]
COMMANDS = {"ablation": "python -m trainer.ablate", "quality": "python -m trainer.extract"}
GO_ON = {
    "home": "python -m trainer.sweep --study 'cats & dogs'",
    "ablation": "python -m trainer.ablate --study digits --data digits",
    "quality": "python -m trainer.extract --data path/to/digits",
}
STATES = ["missing", "empty", "live", "done", "interrupted", "killed", "failed"]
STRANGERS = ["foreign", "foreign_tree", "hostile"]
ALL = [*OF_SWEEPS, *COMMANDS]
DRAWN = [page for page in ALL if page != "twoclass"]  # of any number of classes
EARLY = ["home", "curves", "hyperparameters", "ablation"]  # have something to draw before a run is done
WITH_CHARTS = {
    "live": EARLY,
    "done": DRAWN,
    "interrupted": EARLY,
    "killed": EARLY,
    "failed": ["ablation"],  # its scores were there
    "foreign": ["curves"],
    "foreign_tree": ["curves", "hyperparameters"],
    "hostile": DRAWN,
}


def fill(uri: str, kind: str) -> None:
    """Write what a store of a kind has."""
    if kind in ("missing", "empty"):
        return
    if kind.startswith("foreign"):
        getattr(synthetic_runs, kind)(uri)
        return
    state = {"killed": "live", "hostile": "done"}.get(kind, kind)
    age_s = synthetic_runs.DEAD_S if kind == "killed" else synthetic_runs.LIVELY_S
    hostile = kind == "hostile"
    names = (
        {"name": synthetic_runs.HOSTILE, "study": synthetic_runs.HOSTILE}
        if hostile
        else {"study": "cats & dogs"}
    )
    classes = [synthetic_runs.HOSTILE, "<script>alert(1)</script>", ":red[c]"] if hostile else None
    synthetic_runs.sweep(uri, state=state, heartbeat_age_s=age_s, classes=classes, **names)  # type: ignore[arg-type]
    synthetic_runs.extraction(uri, state=state, heartbeat_age_s=age_s, hostile=hostile)
    synthetic_ablation.ablation(
        uri, state=state, heartbeat_age_s=age_s, hostile=synthetic_runs.HOSTILE if hostile else ""
    )


class Seen(NamedTuple):
    """A page as it was found."""

    titled: bool
    charts: int
    words: str  # `words` of the page
    rendered: str  # of these, what was rendered as Markdown
    options: list[str]  # of what renders its options as Markdown
    html: bool  # whether any of it may hold HTML

    @classmethod
    def of(cls, app: AppTest) -> Seen:
        nodes = [*app.markdown, *app.caption, *app.header, *app.subheader, *app.title, *app.error]
        return cls(
            titled=bool(app.header or app.title),
            charts=len(charts(app)),
            words=words(app),
            rendered="\n".join([*(str(node.value) for node in nodes), *captions(app)]),
            options=[option for box in app.pills for option in box.options],
            html=any(node.proto.allow_html for node in app.markdown),
        )


See = Callable[[str, str], Seen]


@pytest.fixture(scope="module")
def see(migrated_database: Path, tmp_path_factory: pytest.TempPathFactory) -> See:
    """Opens a page of a store of a kind; each store, session and page is made once."""
    sessions: dict[str, tuple[str, AppTest]] = {}
    seen: dict[tuple[str, str], Seen] = {}

    def session(kind: str) -> tuple[str, AppTest]:
        path = tmp_path_factory.mktemp(kind) / "mlflow.db"
        shutil.copyfile(migrated_database, path)
        uri = f"sqlite:///{path}"
        fill(uri, kind)
        if kind == "missing":
            path.unlink()
        return uri, AppTest.from_file(str(REPO / "dashboard" / "Home.py"), default_timeout=300)

    def look(kind: str, page: str) -> Seen:
        if (kind, page) in seen:
            return seen[kind, page]
        new = kind not in sessions
        if new:
            sessions[kind] = session(kind)
        uri, app = sessions[kind]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HEADROOM_TRACKING_URI", uri)
            if new:
                st.cache_data.clear()
                app.run()  # everybody comes in at Home
            app.switch_page(f"views/{page}.py").run()
        assert not app.exception, app.exception[0].message
        if kind == "missing":
            assert not Path(uri.removeprefix("sqlite:///")).exists()  # looking makes no store
        return seen.setdefault((kind, page), Seen.of(app))

    return look


@pytest.mark.parametrize("page", ALL)
@pytest.mark.parametrize("kind", [*STATES, *STRANGERS])
def test_every_page_opens_and_draws_what_there_is_in_every_state(see: See, kind: str, page: str) -> None:
    seen = see(kind, page)
    assert seen.titled
    assert bool(seen.charts) == (page in WITH_CHARTS.get(kind, []))


@pytest.mark.parametrize("page", ALL)
@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_the_first_visit_tells_the_one_command(see: See, kind: str, page: str) -> None:
    assert (COMMANDS[page] if page == "ablation" else "make demo") in see(kind, page).words


@pytest.mark.parametrize("page", ALL)
def test_a_run_under_way_is_said_to_be_live(see: See, page: str) -> None:
    assert "Live, updates every 5 s" in see("live", page).words
    assert "Interrupted" not in see("live", page).words


@pytest.mark.parametrize("page", ALL)
@pytest.mark.parametrize(
    ("kind", "why"),
    [("interrupted", "Stopped by the user."), ("killed", "Its process stopped unexpectedly")],
)
def test_an_interrupted_run_says_why_and_gives_the_command_that_goes_on(
    see: See, kind: str, why: str, page: str
) -> None:
    seen = see(kind, page)
    assert "Interrupted." in seen.words
    assert why in seen.words
    assert GO_ON.get(page, GO_ON["home"]) in seen.words


@pytest.mark.parametrize("page", ALL)
def test_a_failed_run_shows_its_error(see: See, page: str) -> None:
    assert synthetic_runs.ERROR in see("failed", page).words


@pytest.mark.parametrize("page", ALL)
def test_a_finished_run_is_shown_without_a_warning(see: See, page: str) -> None:
    for told in ("Live, updates", "Interrupted", "run failed", "cannot be read", "no longer there"):
        assert told not in see("done", page).words


@pytest.mark.parametrize("page", ALL)
@pytest.mark.parametrize("kind", ["foreign", "foreign_tree"])
def test_a_run_of_another_program_is_said_to_be_one(see: See, kind: str, page: str) -> None:
    said = "Logged by another program" if page in OF_SWEEPS else COMMANDS[page]
    assert said in see(kind, page).words


@pytest.mark.parametrize("page", ALL)
def test_no_page_renders_the_markdown_in_names(see: See, page: str) -> None:
    seen = see("hostile", page)
    rendered = active(seen.rendered)
    assert "](http" not in rendered
    assert "<img" not in rendered
    assert not any("](http" in active(option) for option in seen.options)
    assert not seen.html
