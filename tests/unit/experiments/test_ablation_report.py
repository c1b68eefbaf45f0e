"""The report of an ablation is complete, honest about chance, and safe from the names it shows."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trainer.experiments.ablation import drawing
from trainer.experiments.ablation.drawing import ALL, Grid
from trainer.experiments.ablation.filters import parse
from trainer.experiments.ablation.judging import parts_of, verdicts
from trainer.experiments.ablation.markdown import literal
from trainer.experiments.ablation.report import Report, report
from trainer.tracking.schema import Ablated, Ablation, AblationClasses, Verdict

GRID = ("clip>=top90%", "quality>=top85%", "quality>=top85% & clip>=top90%")
WORDING = {
    "rows": 1017,
    "deletion": 0.2,
    "synonyms": 0.3,
    "clip_score": 0.271,
    "clip_score_reworded": 0.262,
    "change": [-0.009, -0.011, -0.007],
    "auroc": [0.912, 0.899, 0.925],
    "auroc_reworded": [0.887, 0.873, 0.901],
    "breaks_the_match": False,
}
SEPARATION = {"clip": {"blurred": [0.88, 0.83, 0.94], "wrong label": [math.nan] * 3}}
NASTY = [
    "a | b",
    "*bold* _italic_ ~~gone~~",
    "`code`",
    "<img src=x onerror=alert(1)>",
    "![x](http://evil.example/x.png)",
    "[x](y.png)",
    "two\nlines\r\n\n# and a heading",
    "back\\slash \\| pipe",
    "$x^2$ & &amp; &#124;",
    "www.example.org https://example.org me@example.org",
    "\u202eright to left",
    "|",
    "ends in a backslash \\",
]
INTERVAL = r"[+-]?\d\.\d{3} \[[+-]?\d\.\d{3}, [+-]?\d\.\d{3}\]"


def spread(random: np.random.Generator, name: str, about: float) -> dict[str, float]:
    value, reach = about + random.normal(0, 0.03), random.uniform(0.01, 0.04)
    return {name: value, name + Ablation.LOW: value - reach, name + Ablation.HIGH: value + reach}


def tables(
    filters: Sequence[str] = GRID,
    *,
    augment: bool = True,
    classes: Sequence[str] = ("cat", "dog"),
    encoders: Sequence[str] = ("demo",),
    controls: bool = True,
    spoiled: bool = True,
    two: bool = False,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """ABLATION and ABLATION_CLASSES with numbers out of thin air."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    of_classes: list[dict[str, Any]] = []
    for encoder in encoders:
        cells = [
            (text, with_views) for text in ("none", *filters) for with_views in (False, True)[: 1 + augment]
        ]
        for number, (text, with_views) in enumerate(cells):
            kept = 1200 if text == "none" else int(random.integers(700, 1100))
            row: dict[str, Any] = {
                Ablation.CELL: number,
                Ablation.ENCODER: encoder,
                Ablation.FILTER: text,
                Ablation.AUGMENT: with_views,
                Ablation.KEPT: kept,
                Ablation.TRAIN: 1200,
                Ablation.VAL_F1_MACRO: random.uniform(0.5, 0.7),
                **spread(random, Ablation.F1_MACRO, 0.6),
            }
            for name in (Ablation.AUROC, Ablation.SENSITIVITY, Ablation.SPECIFICITY) if two else ():
                row |= spread(random, name, 0.8)
            if number:
                row |= spread(random, Ablation.EFFECT, 0.0)
                row[Ablation.EFFECT_P] = 10 ** random.uniform(-4, 0)
            if controls and kept < 1200:
                row |= spread(random, Ablation.OVER_RANDOM, 0.0)
                row[Ablation.OVER_RANDOM_P] = 10 ** random.uniform(-4, 0)
            if spoiled:
                row |= {Ablation.REMOVED: 1200 - kept, Ablation.CORRUPTED: 150, Ablation.RECALL: 0.4}
                row[Ablation.PRECISION] = 60 / (1200 - kept) if kept < 1200 else math.nan
            try:
                parts = parts_of(parse(text))
            except ValueError:  # the filter of a hostile name
                parts = {}
            row |= {Ablation.PART_PREFIX + name: bound for name, bound in parts.items()}
            rows.append(row)
            for name in classes:
                of_class = {
                    AblationClasses.CELL: number,
                    AblationClasses.ENCODER: encoder,
                    AblationClasses.CLASS: name,
                    AblationClasses.KEPT: kept // len(classes),
                    AblationClasses.TRAIN: 1200 // len(classes),
                    AblationClasses.TEST: 40,
                }
                if number:
                    of_class |= spread(random, AblationClasses.EFFECT, 0.0)
                    of_class |= {AblationClasses.EFFECT_P: 0.01, AblationClasses.EFFECT_P_HOLM: 0.03}
                of_classes.append(of_class)
    return verdicts(pd.DataFrame(rows)), pd.DataFrame(of_classes)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images take most of the time; what is said does not depend on them."""
    monkeypatch.setattr(drawing, "png", lambda _: b"")


def made(table: pd.DataFrame, classes: pd.DataFrame, **given: Any) -> Report:
    figures: dict[str, Any] = {
        Ablated.ADVICE: "Keep all rows.",
        Ablated.SEEDS: 8,
        Ablated.COUNTS: {"train": 1200, "val": 150, "test": 318},
        Ablated.SEPARATION: {},
        Ablated.WORDING: None,
    }
    texts = {"title": "Ablation study-1", "facts": {"Data": "demo", "Head": "linear"}}
    return report(
        table,
        classes,
        figures={name: given.get(str(name), value) for name, value in figures.items()},
        **{name: given.get(name, value) for name, value in texts.items()},
    )


def shown(markdown: str) -> tuple[list[list[str]], list[str]]:
    """Rows of all tables as a reader sees them, and every kind of thing that Markdown found."""
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = parser.parse(markdown)
    rows: list[list[str]] = []
    kinds: list[str] = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        kinds += [token.type, *(child.type for child in token.children or ())]
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and before is not None and before.type in ("th_open", "td_open"):
            rows[-1].append("".join(child.content for child in token.children or ()))
    return rows, kinds


def one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def cells_of(markdown: str) -> list[dict[str, str]]:
    """The table of all cells, by its heading (the second of two equal ones counts)."""
    lines = markdown.split("## All cells")[1].split("\n## ")[0].splitlines()
    head, _, *body = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return [dict(zip(head, line, strict=True)) for line in body]


# --- names ------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab1 |\\`*_~$<>[]()!#&:;@./-+=\n") | st.characters(), max_size=20))
def test_any_name_shows_as_it_is_in_a_table(name: str) -> None:
    rows, kinds = shown(f"| x | y |\n| :-- | :-- |\n| {literal(name)} | {literal(name)} |")
    assert rows[1:] == [[one_line(name)] * 2]
    assert not {"image", "link_open", "html_inline", "code_inline", "em_open", "s_open"} & set(kinds)


def test_hostile_names_break_no_table_and_fetch_nothing() -> None:
    table, classes = tables(NASTY[:5], classes=NASTY, encoders=NASTY[5:7])
    page = made(
        *(table, classes),
        title="a # title #",
        advice=" ".join(NASTY),
        facts={name: name for name in NASTY} | {"Command": "run ```x``` '](nothing.png)'"},
        separation={name: {other: [0.8, 0.7, 0.9] for other in NASTY} for name in NASTY},
        wording=WORDING,
    )
    rows, kinds = shown(page.markdown)
    assert kinds.count("image") == len(page.images)
    assert not {"link_open", "html_inline", "html_block", "code_inline", "s_open"} & set(kinds)
    assert kinds.count("table_open") == 6  # cells, classes of two encoders, spoiled, separation, wording
    assert {one_line(name) for name in NASTY} <= {text for row in rows for text in row}
    names = {one_line(name) for name in [*NASTY[:5], "none"]}
    assert {row[1] for row in rows if len(row) == 11} == {*names, "filter"}


@pytest.mark.usefixtures("undrawn")
def test_a_command_is_shown_as_it_is_typed() -> None:
    command = "python -m trainer.ablate --filters 'clip>=0.2 & a_b*' '```'"
    markdown = made(*tables(), facts={"Command": command}).markdown
    assert f"````sh\n{command}\n````" in markdown


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_every_cell_is_there_the_best_effect_first_after_the_baseline() -> None:
    table, classes = tables()
    rows = cells_of(made(table, classes).markdown)
    assert [(row["filter"], row["augmentation"]) for row in rows[:1]] == [("none", "no")]
    expected = {(text, "yes" if augment else "no") for text in ("none", *GRID) for augment in (False, True)}
    assert {(row["filter"].replace("\\", ""), row["augmentation"]) for row in rows} == expected
    effects = [float(row["effect [95 %]"].split()[0]) for row in rows[1:]]
    assert effects == sorted(effects, reverse=True)
    assert sum("chosen" in row["verdict"] for row in rows) == 1


@pytest.mark.usefixtures("undrawn")
def test_compared_numbers_have_their_intervals() -> None:
    markdown = made(*tables(two=True), separation=SEPARATION, wording=WORDING).markdown
    tables_of = re.findall(r"(?:^\|.*\n?)+", markdown, re.MULTILINE)
    promised = 0
    for text in tables_of:
        head, _, *body = [line.strip("| ").split(" | ") for line in text.splitlines()]
        for at, name in enumerate(head):
            if "[95 %]" in name:
                promised += 1
                assert all(re.fullmatch(f"{INTERVAL}|–", line[at]) for line in body), name
    assert promised >= 10
    assert "-0.009 [-0.011, -0.007]" in markdown
    assert "| AUROC [95 %] | 0.912 [0.899, 0.925] | 0.887 [0.873, 0.901] |" in markdown
    assert "| clip | 0.880 [0.830, 0.940] | – |" in markdown


@pytest.mark.usefixtures("undrawn")
def test_two_classes_have_auroc_sensitivity_and_specificity() -> None:
    (row, *_) = cells_of(made(*tables(two=True)).markdown)
    assert {"AUROC [95 %]", "sensitivity [95 %]", "specificity [95 %]"} <= row.keys()
    assert "AUROC [95 %]" not in cells_of(made(*tables()).markdown)[0]


@pytest.mark.usefixtures("undrawn")
def test_each_filter_is_held_against_the_truth_once() -> None:
    markdown = made(*tables()).markdown
    found = markdown.split("## Finding known bad rows")[1]
    assert [found.count(f"| {text} |") for text in GRID] == [1, 1, 1]
    assert "150 of the 1,200 training rows are known to be bad" in found
    assert found.count("0.400 [0.325, 0.480]") == 3  # Wilson's interval of 60 in 150
    assert "known bad" not in made(*tables(spoiled=False)).markdown.lower()


@pytest.mark.usefixtures("undrawn")
def test_rewording_that_breaks_the_match_is_said_to() -> None:
    assert "does not break the match" in made(*tables(), wording=WORDING).markdown
    assert "which breaks the match" in made(*tables(), wording=WORDING | {"breaks_the_match": True}).markdown
    assert "Rewording" not in made(*tables()).markdown


@pytest.mark.usefixtures("undrawn")
def test_classes_are_those_of_the_cell_best_on_the_validation_rows() -> None:
    table, classes = tables(seed=3)
    table[Ablation.VAL_F1_MACRO] = np.linspace(0.6, 0.7, len(table))
    text = made(verdicts(table), classes).markdown
    assert "Change of the F1 of each class by quality>=top85% & clip>=top90% with augmentation" in text
    assert "the best cell on validation, against the baseline" in text
    table[Ablation.VAL_F1_MACRO] = np.linspace(0.7, 0.6, len(table))
    text = made(verdicts(table), classes).markdown
    assert "the best cell on validation after the baseline, against" in text


# --- whatever was ablated ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "images"),
    [
        ({"controls": False, "augment": False}, ["effects", "grid", "classes"]),
        ({"spoiled": False, "two": True, "filters": ("clip>=0.2", "unique")}, ["effects", "classes"]),
        ({"filters": (), "augment": True}, ["effects", "classes"]),
        ({"filters": (), "augment": False}, []),
        (
            {"encoders": ("demo", "openai/clip"), "augment": False},
            ["effects_1", "grid_1", "effects_2", "grid_2", "classes_1", "classes_2"],
        ),
    ],
)
def test_the_page_shows_every_image_that_it_brings(given: dict[str, Any], images: list[str]) -> None:
    page = made(*tables(**given))
    assert list(page.images) == [f"ablation_{name}.png" for name in images]
    assert re.findall(r"\]\(([\w.-]+\.png)\)", page.markdown) == list(page.images)
    assert "nan" not in re.findall(r"\w+", page.markdown)
    assert ("Only the baseline was trained" in page.markdown) == (not images)


@pytest.mark.usefixtures("undrawn")
def test_several_encoders_have_a_column_and_a_section_each() -> None:
    page = made(*tables(encoders=("demo", "openai/clip")))
    assert [row["encoder"] for row in cells_of(page.markdown)].count("openai/clip") == 8
    assert page.markdown.count("### openai/clip") == 2
    assert "encoder" not in cells_of(made(*tables()).markdown)[0]


# --- images ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_images_are_files_of_a_fair_size_that_depend_on_the_data() -> None:
    one, again, other = (made(*tables(seed=seed)).images for seed in (0, 0, 1))
    assert one == again
    for name, file in one.items():
        assert file != other[name]
        with Image.open(io.BytesIO(file)) as image:
            image.load()
            assert image.format == "PNG"
            assert 400 < image.width < 1600
            assert 250 < image.height < 1600


@pytest.mark.usefixtures("undrawn")
def test_a_forest_plot_too_tall_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MOST_DRAWN", 3)
    page = made(*tables())
    assert "The image shows the 3 of 7 cells with the largest effects" in page.markdown
    assert len(cells_of(page.markdown)) == 8
    monkeypatch.setattr(drawing, "MOST_DRAWN", 7)
    assert "The image shows" not in made(*tables()).markdown


def test_a_grid_lays_the_score_with_more_bounds_down_and_leaves_holes() -> None:
    crossed = [f"quality>=top85% & clip>=top{share}%" for share in (90, 75)]
    table, _ = tables(
        ["clip>=top90%", *crossed, "agreement>=top50%", "clip>=0.2 | quality>=0.1"], augment=False
    )
    grid = Grid.of(table.to_dict("records"))
    assert grid is not None
    assert grid.scores == ["clip", "quality"]
    assert grid.bounds == [[ALL, ">=top90%", ">=top75%"], [ALL, ">=top85%"]]
    (panel,) = grid.panels()
    fields = panel.fields.set_index(["up", "across"])
    assert fields["state"][ALL, ALL] == "baseline"
    missing = panel.fields["state"] == "no cell"
    assert missing.to_numpy().reshape(3, 2).tolist() == [[False, True], [False, False], [True, False]]
    assert (panel.fields["value"].isna() == missing | (panel.fields["state"] == "baseline")).all()
    helps = dict(zip(table[Ablation.FILTER], table[Ablation.VERDICT] == Verdict.HELPS, strict=True))
    assert (fields["verdict"][">=top90%", ">=top85%"] == Verdict.HELPS) == helps[crossed[0]]


def test_a_third_score_gets_a_panel_for_each_of_its_bounds() -> None:
    thirds = ["agreement>=top80%", *(f"{text} & agreement>=top80%" for text in GRID)]
    table, _ = tables([*GRID, *thirds])
    grid = Grid.of(table.to_dict("records"))
    assert grid is not None
    assert [panel.title for panel in grid.panels()] == [
        f"{grid.scores[2]}: {bound}, {views} augmentation"
        for bound in grid.bounds[2]
        for views in ("without", "with")
    ]
    for panel in grid.panels():
        measured = panel.fields[panel.fields["state"] != "baseline"]
        assert np.isfinite(measured["value"].to_numpy(float)).all()
        assert (panel.fields["state"] != "no cell").all()
