"""The confusion matrix of a head, another head on the same rows, and the images behind every cell."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts.chart_spec import Drawing, drawing
from dashboard.charts.confusion import CELL, MOST_IN_CELLS, MOST_SQUARE, SIGNIFICANT, confusion
from dashboard.charts.confusion import difference as difference_chart
from dashboard.frames import predictions as prediction_frames
from dashboard.frames.predictions import BEST
from dashboard.runs.run_info import RunInfo
from dashboard.ui import (
    confidence,
    doubted_labels,
    gallery,
    label_answers,
    label_corrections,
    layout,
    links,
    number_answers,
    pages,
    state,
    worst_slices,
)
from dashboard.ui.links import LABEL, PRED
from trainer.stats.power import detectable_effect
from trainer.tracking.schema import Artifact, Predictions, Samples, Summary

SPLITS = ["test", "val", "train"]
Made = TypeVar("Made")
NOBODY = "no other head"
FORMS = ["counts", "row %"]
HOW_CLASSES = (
    "Precision is over rows predicted as the class, recall over rows with its label. Their intervals are "
    "Wilson’s; that of F1 follows from Wilson’s interval of the Jaccard index J, as F1 = 2J / (1 + J). "
    "Macro-F1 is the mean over classes.",
)
HOW_DIFFERENCE = (
    "Both heads classify the same rows. The accuracy difference has Bonett and Price’s paired 95 % "
    "interval and the p-value of McNemar’s exact test; rows of a group are one unit.",
    "Each cell has an exact sign test on the rows that only one head puts there, with Holm’s correction "
    "for all cells (★: p < 0.05).",
)
CONTROLS = ("head", "against", "split", "cells", "order")
CONTROLS_HEIGHT = 75  # pixels, about
PAGE = "page"  # parameter of the address: which page of the cell's images
WAYS_IN, WAYS_IN_HEIGHT = 10, 100  # cells that have a button, and pixels that these take, about
FIRST, SECOND, ONLY_FIRST, ONLY_SECOND = "first", "second", "only first", "only second"
REDRAWN = (
    "redrawn-{}"  # session: how often a chart must forget its click, as another cell was chosen elsewhere
)


class MatrixChoices(NamedTuple):
    """What the controls say."""

    head: str
    other: str | None  # the head that is compared with
    split: str
    form: str
    order: str


class MatrixPage(NamedTuple):
    """What every section needs."""

    info: RunInfo
    head: str
    other: str | None  # the head that is compared with
    split: str
    normalised: bool
    rows: pd.DataFrame  # of the head, in the split
    other_rows: pd.DataFrame
    pairs: pd.DataFrame  # `answers.paired`
    classes: list[str]  # in the order of the axes
    shown: dict[str, str]  # class → what stands for it in charts
    cell: tuple[str, str] | None  # the chosen one
    version: Hashable  # changes with the answers on record, the heads, the split and the order

    def kept(self, name: str, make: Callable[[], Made], *choices: Hashable) -> Made:
        """Figures or a chart of these rows, made once for all readers; see `state.kept`."""
        return state.kept((name, self.version, *choices), make)

    @property
    def square(self) -> bool:
        """Whether there is room for something beside a matrix."""
        return len(self.classes) <= MOST_SQUARE

    def listed(self, name: str) -> str:
        """A class as lists show it, which render no Markdown."""
        return text.clean(self.shown.get(name, name), longest=40)

    def says(self, name: str, longest: int = 40) -> str:
        return text.plain(self.shown.get(name, name), longest=longest)


def title_of(info: RunInfo | None) -> str:
    return pages.title_of(pages.CONFUSION, None if info is None else info.objective)


def show(info: RunInfo) -> None:
    if info.objective.numbers or info.objective.labels:
        (number_answers if info.objective.numbers else label_answers).show(info)
        return
    predictions = state.table(info, Artifact.PREDICTIONS)
    if predictions is None or predictions.empty:
        layout.missing(info, "predictions")
        return
    heads, splits, orders = offered(info, predictions)
    links.take_over(links.HEAD, "head", list(heads))
    links.take_over(links.SPLIT, "split", splits)
    layout.controlled(
        lambda: controls(heads, splits, orders),
        MatrixChoices(next(iter(heads.values())), None, splits[0], FORMS[0], orders[0]),
        lambda asked: show_asked(page_of(info, predictions, asked)),
        names=CONTROLS,
        height=CONTROLS_HEIGHT,
    )


def show_asked(page: MatrixPage) -> None:
    """One head's matrix and the images of a cell, or two heads'; then the classes."""
    if page.other is None:
        verdict(page)
        cells = page.kept("cells", lambda: prediction_frames.confusion(page.rows))
        above = layout.Place("ways-in", WAYS_IN_HEIGHT)
        left, right = sides(page)
        with left:
            matrix(page, cells, page.rows, name="confusion")
            says_accuracy(page)
        with above:
            worst_confusions(page, cells)
        with right:
            images(page)
    else:
        compare(page, page.other)
    class_tables(page)
    calibration(page)
    if page.other is None:
        if len(page.rows):
            worst_slices.show(page.info, page.rows, page.version, split=page.split)
        doubted_labels.show(page.info)


def verdict(page: MatrixPage) -> None:
    """How accurate the head is, and what it confuses most."""
    if page.rows.empty:
        return
    value, low, high = prediction_frames.accuracy(page.rows)
    said = f"Accuracy {text.interval(value, (low, high))} on {len(page.rows):,} {page.split} rows"
    worst = prediction_frames.mistakes(
        page.kept("cells", lambda: prediction_frames.confusion(page.rows))
    ).to_dict("records")[:1]
    for one in worst:
        most = f"{page.says(one[LABEL], 20)} → {page.says(one[PRED], 20)} ({one['n']:,})"
        said += f"; most often confused: {most}"
    layout.verdict(f"{said}.")


def sides(page: MatrixPage) -> Any:
    return st.columns([4, 3], gap="medium") if page.square else (st.container(), st.container())


def offered(info: RunInfo, predictions: pd.DataFrame) -> tuple[dict[str, str], list[str], list[str]]:
    """Heads by what stands for them, splits, and orders of the classes."""
    heads = {text.clean(name): name for name in predictions[Predictions.HEAD].unique()}
    present = set(predictions[Predictions.SPLIT])
    splits = [name for name in SPLITS if name in present] or sorted(present)
    logged = state.summary(info).get(Summary.CLASSES, [])
    orders = [prediction_frames.AS_LOGGED, prediction_frames.BY_NAME, prediction_frames.BY_SIMILARITY]
    if logged == prediction_frames.by_name(logged):
        orders.remove(prediction_frames.AS_LOGGED)
    return heads, splits, orders


def controls(heads: dict[str, str], splits: list[str], orders: list[str]) -> MatrixChoices:
    """The row of controls; all are kept in the address."""
    with st.container(horizontal=True, gap="medium"):
        head = heads[st.selectbox("Head", list(heads), key="head", bind="query-params", width=200)]
        others = {shown: name for shown, name in heads.items() if name != head}
        against = NOBODY
        if others:
            against = st.selectbox(
                "Compare with", [NOBODY, *others], key="against", bind="query-params", width=200
            )
        split = st.segmented_control(
            "Split", splits, default=splits[0], required=True, key="split", bind="query-params"
        )
        links.understand_earlier("cells", {"share of label": FORMS[1]})
        form = st.segmented_control(
            "Cells", FORMS, default=FORMS[0], required=True, key="cells", bind="query-params"
        )
        order = st.segmented_control(
            "Order of classes", orders, default=orders[0], required=True, key="order", bind="query-params"
        )
    return MatrixChoices(head, others.get(against), split, form, order)


def page_of(info: RunInfo, predictions: pd.DataFrame, asked: MatrixChoices) -> MatrixPage:
    """The rows of one head, or two, in one split."""
    head, other, split, form, order = asked
    logged = state.summary(info).get(Summary.CLASSES, [])
    version = ("confusion", info.run_id, state.version(info, Artifact.PREDICTIONS), head, other, split, order)

    def figures() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, list[str], list[tuple[str, str]]]:
        here = predictions[predictions[Predictions.SPLIT] == split]
        rows, other_rows = (here[here[Predictions.HEAD] == one] for one in (head, other))
        classes = prediction_frames.class_order(pd.concat([rows, other_rows]), logged, order)
        pairs = prediction_frames.paired(rows, other_rows)
        return rows, other_rows, pairs, classes, telling_cells(rows, pairs)

    rows, other_rows, pairs, classes, telling = state.kept(version, figures)
    return MatrixPage(
        info=info,
        head=head,
        other=other,
        split=split,
        normalised=form != FORMS[0],
        rows=rows,
        other_rows=other_rows,
        pairs=pairs,
        classes=classes,
        shown=prediction_frames.shown_names(classes),
        cell=chosen_cell(classes, telling),
        version=version,
    )


def telling_cells(rows: pd.DataFrame, pairs: pd.DataFrame) -> list[tuple[str, str]]:
    """The most significant differences first, then the worst mistakes."""
    differ = prediction_frames.compare_cells(pairs)
    return [
        *pairs_of(differ[differ["difference"] != 0]),
        *pairs_of(prediction_frames.mistakes(prediction_frames.confusion(rows))),
    ]


def chosen_cell(classes: list[str], telling: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The cell that the address asks for, else the first of `telling_cells`."""
    asked = st.query_params.get(LABEL), st.query_params.get(PRED)
    if asked[0] in classes and asked[1] in classes:
        return asked[0], asked[1]
    if any(asked):
        st.toast("The cell in the address has no row in this split.", icon=":material/link_off:")
        for name in (LABEL, PRED):
            st.query_params.pop(name, None)
    return telling[0] if telling else None


# --- A cell is chosen: by a click, by a button, by name --------------------------------------


def choose(cell: tuple[str, str], by: str) -> None:
    """Put the cell into the address. Charts other than ``by`` forget their click, so that it counts again."""
    st.query_params[LABEL], st.query_params[PRED] = cell
    st.session_state[PAGE] = 1
    for name in ("confusion", "confusion-other", "difference"):
        if name != by:
            st.session_state[REDRAWN.format(name)] = st.session_state.get(REDRAWN.format(name), 0) + 1


def key_of(page: MatrixPage, name: str) -> str:
    return f"{name}-{page.info.run_id}-{st.session_state.get(REDRAWN.format(name), 0)}"


def clickable(
    page: MatrixPage, figure: Drawing, frame: pd.DataFrame, *, name: str, alt_text: str, size: int
) -> None:
    """A chart in which a click on a cell chooses it."""
    key = key_of(page, name)
    real = {words: one for one, words in page.shown.items()}

    def clicked() -> None:
        picked = st.session_state[key]["selection"].get(CELL)
        label, pred = (real.get(picked[0].get(end)) for end in (LABEL, PRED)) if picked else (None, None)
        if label is not None and pred is not None:
            choose((label, pred), by=name)

    with st.container(width=size if page.square else "stretch"):
        layout.chart(
            figure,
            frame,
            name=name,
            alt_text=alt_text,
            n=text.count(len(page.rows), f"{page.split} row"),
            key=key,
            on_select=clicked,
            selection_mode=CELL,
        )


def side(page: MatrixPage, room: int) -> int:
    """Pixels of a matrix, where there is room for so many."""
    return max(240, min(room, 130 + 46 * len(page.classes))) if page.square else 720


def named(page: MatrixPage, cells: pd.DataFrame) -> pd.DataFrame:
    return cells.assign(label=cells[LABEL].map(page.shown), pred=cells[PRED].map(page.shown))


def framed(page: MatrixPage) -> tuple[str, str] | None:
    return None if page.cell is None else (page.shown[page.cell[0]], page.shown[page.cell[1]])


def matrix(page: MatrixPage, cells: pd.DataFrame, rows: pd.DataFrame, *, name: str, room: int = 560) -> None:
    size = side(page, room)

    def figure() -> Drawing:
        return drawing(
            confusion(
                named(page, cells),
                list(page.shown.values()),
                normalised=page.normalised,
                side=size,
                dark=state.is_dark(),
                chosen=framed(page),
            )
        )

    clickable(
        page,
        page.kept("matrix", figure, name, page.normalised, size, page.cell),
        cells,
        name=name,
        alt_text=f"Confusion matrix of {len(page.classes)} classes and {len(rows)} rows of {page.split}. "
        "The lists of labels and predictions below choose a cell without a mouse.",
        size=size,
    )


def accuracy(rows: pd.DataFrame) -> str:
    hits, n = int((rows[Predictions.LABEL] == rows[Predictions.PRED]).sum()), len(rows)
    value, low, high = prediction_frames.accuracy(rows)
    groups = prediction_frames.groups(rows)
    over = "" if groups is None else f" over {text.count(groups, 'group')}"
    return f"{hits:,} of {n:,} correct, accuracy {text.interval(value, (low, high))} (95 % Wilson{over})"


def says_accuracy(page: MatrixPage) -> None:
    trained = " The head was trained on these rows." if page.split == "train" else ""
    hits = int((page.rows[Predictions.LABEL] == page.rows[Predictions.PRED]).sum())
    groups = prediction_frames.groups(page.rows)
    over = "" if groups is None else f" over {text.count(groups, 'group')}"
    layout.sentence(
        f"{hits:,} correct (95 % Wilson interval{over}). Rows: labels; columns: predictions; errors in "
        f"orange (boosted). {how_to(page)}{trained}"
    )


def how_to(page: MatrixPage) -> str:
    zoom = "" if len(page.classes) <= MOST_IN_CELLS else " Shift and wheel zoom, drag moves."
    return f"Click a cell for its images.{zoom}"


# --- The images of the cell -----------------------------------------------------------------


def images(page: MatrixPage) -> None:
    """Every cell by name, and the rows of the chosen one."""
    if page.cell is None:
        return
    pick_by_name(page, page.cell)
    rows = cell_rows(page, page.cell)
    cell_title(page, page.cell)
    samples = state.table(page.info, Artifact.SAMPLES)
    found = gallery.with_images(rows, samples)
    said = found[Predictions.CONFIDENCE].map(lambda share: f"{share:.0%} confidence")
    gallery.show(
        found.assign(**{gallery.SAYS: said}),
        key=PAGE,
        order="most confident first",
        per_page=16 if page.square else 27,
        similar_in=page.info.run_id,
    )
    if len(found):
        columns = [Predictions.SAMPLE_ID, LABEL, PRED, Predictions.CONFIDENCE, Samples.CAPTION]
        layout.export(found[columns], name="cell")
        label_corrections.show(page.info, found, list(page.classes), key="cell-labels")


def ways_in(page: MatrixPage, cells: list[tuple[str, str]], counts: list[str], title: str) -> None:
    """Cells as buttons, each with its count."""
    says = dict(zip(cells, counts, strict=True))
    st.session_state["ways-in"] = page.cell if page.cell in says else None

    def picked() -> None:
        cell = st.session_state["ways-in"] or page.cell
        if cell:
            choose(cell, by="")

    st.pills(
        title,
        cells,
        format_func=lambda cell: f"{page.says(cell[0], 20)} → {page.says(cell[1], 20)} · {says[cell]}",
        key="ways-in",
        on_change=picked,
        wrap=True,
    )


def worst_confusions(page: MatrixPage, cells: pd.DataFrame) -> None:
    worst = prediction_frames.mistakes(cells)
    if worst.empty:
        layout.empty("No errors in these rows.", ":material/check_circle:")
        return
    first = worst.head(WAYS_IN)
    title = f"Worst confusions ({len(first)} of {len(worst)} pairs, {int(worst['n'].sum()):,} rows in all)"
    ways_in(page, pairs_of(first), [f"{n}" for n in first["n"]], title)


def largest_differences(page: MatrixPage, cells: pd.DataFrame) -> None:
    differ = cells[cells["difference"] != 0]
    if differ.empty:
        return
    first = differ.head(WAYS_IN)
    counts = [f"{d:+d}".replace("-", "−") for d in first["difference"]]
    ways_in(page, pairs_of(first), counts, f"Largest differences ({len(first)} of {len(differ)} cells)")


def pairs_of(cells: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(cells[LABEL], cells[PRED], strict=True))


def pick_by_name(page: MatrixPage, cell: tuple[str, str]) -> None:
    """Any cell, also from the keyboard."""

    def picked() -> None:
        choose((st.session_state["cell-label"], st.session_state["cell-pred"]), by="")

    st.session_state["cell-label"], st.session_state["cell-pred"] = cell
    for column, words in zip(st.columns(2), ("Label", "Predicted"), strict=True):
        key = "cell-label" if words == "Label" else "cell-pred"
        column.selectbox(words, page.classes, format_func=page.listed, key=key, on_change=picked)


def cell_title(page: MatrixPage, cell: tuple[str, str]) -> None:
    label, pred = (text.clean(page.shown[name], longest=40) for name in cell)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.text(f"{label}, correct" if label == pred else f"{label} → {pred}")
        st.page_link(
            "views/embeddings.py",
            label="See them on the map",
            icon=":material/scatter_plot:",
            query_params=links.cell(
                page.info.run_id, head=page.head, split=page.split, label=cell[0], pred=cell[1]
            ),
        )


def cell_rows(page: MatrixPage, cell: tuple[str, str]) -> pd.DataFrame:
    """Those that the head puts into the cell; of two heads those of either, or of one alone."""
    first = prediction_frames.cell(page.rows, *cell)
    if page.other is None:
        return first
    second = prediction_frames.cell(page.other_rows, *cell)
    ids = Predictions.SAMPLE_ID
    sets = {
        FIRST: first,
        SECOND: second,
        ONLY_FIRST: first[~first[ids].isin(second[ids])],
        ONLY_SECOND: second[~second[ids].isin(first[ids])],
    }
    names = {FIRST: page.head, SECOND: page.other}
    names |= {ONLY_FIRST: f"only {page.head}", ONLY_SECOND: f"only {page.other}"}
    which = st.pills(
        "Put there by",
        list(sets),
        default=FIRST,
        required=True,
        format_func=lambda one: text.plain(names[one], longest=40),
        key="by",
        bind="query-params",
    )
    return sets[which]


# --- Two heads --------------------------------------------------------------------------------


def compare(page: MatrixPage, other: str) -> None:
    """Two matrices beside each other, and what differs between them on the same rows."""
    first, second = text.plain(page.head), text.plain(other)
    says_difference(page, first, second)
    small = page.square and len(page.classes) <= MOST_IN_CELLS
    columns = st.columns(2, gap="medium") if small else (st.container(), st.container())
    for column, name, rows, key in zip(
        columns,
        (first, second),
        (page.rows, page.other_rows),
        ("confusion", "confusion-other"),
        strict=True,
    ):
        with column:
            st.markdown(f"**{name}**")
            cells = page.kept("cells", lambda rows=rows: prediction_frames.confusion(rows), key)  # type: ignore[misc]
            matrix(page, cells, rows, name=key, room=480)
            layout.sentence(f"{accuracy(rows)}. {how_to(page)}")
    st.subheader("Difference")
    cells = page.kept("differences", lambda: prediction_frames.compare_cells(page.pairs))
    largest_differences(page, cells)
    left, right = sides(page)
    with left:
        difference(page, cells, first, second)
    with right:
        images(page)


def says_difference(page: MatrixPage, first: str, second: str) -> None:
    found = prediction_frames.accuracy_difference(page.pairs)
    if found is None:
        layout.empty("The two heads have no rows in common.", ":material/compare_arrows:")
        return
    _, low, high = found.accuracy
    layout.verdict(text.compared((second, first), found.accuracy, found.p, metric="accuracy"))
    missed = (
        "" if text.significant((low, high), found.p) else f" {text.could_show(detectable_effect(low, high))}"
    )
    lost = len(page.rows) + len(page.other_rows) - 2 * len(page.pairs)
    without = f" {text.count(lost, 'row')} that only one of them classified are left out." if lost else ""
    over = "" if found.groups is None else f", {text.count(found.groups, 'group')}"
    layout.sentence(
        f"Same {text.count(found.n, f'{page.split} row')}{over}. Only {second} correct: "
        f"{found.only_second:,}; only {first} correct: {found.only_first:,}.{missed}{without}"
    )
    layout.how(*HOW_DIFFERENCE)


def difference(page: MatrixPage, cells: pd.DataFrame, first: str, second: str) -> None:
    size = side(page, 560)

    def figure() -> Drawing:
        return drawing(
            difference_chart(
                named(page, cells),
                list(page.shown.values()),
                side=size,
                dark=state.is_dark(),
                chosen=framed(page),
            )
        )

    sure = int(cells["significant"].sum())
    clickable(
        page,
        page.kept("difference", figure, size, page.cell),
        cells,
        name="difference",
        alt_text=f"Difference of two confusion matrices on {len(page.pairs)} rows; {sure} of {len(cells)} "
        "cells differ significantly.",
        size=size,
    )
    layout.sentence(
        f"Rows with {second} minus rows with {first}. Blue: better; orange: worse. {SIGNIFICANT}: "
        f"significant after Holm’s correction ({sure} of {text.count(len(cells), 'cell')})."
    )


# --- Class by class ---------------------------------------------------------------------------


def class_tables(page: MatrixPage) -> None:
    st.subheader("Class by class")
    if page.other is None:
        class_table(page, page.rows, "classes")
        layout.how(*HOW_CLASSES)
        return
    tabs = st.tabs([text.plain(page.head), text.plain(page.other)])
    for tab, rows, name in zip(tabs, (page.rows, page.other_rows), ("classes", "classes-other"), strict=True):
        with tab:
            class_table(page, rows, name)
    layout.how(*HOW_CLASSES)


def class_table(page: MatrixPage, rows: pd.DataFrame, name: str) -> None:
    figures = page.kept("class by class", lambda: prediction_frames.class_figures(rows, page.classes), name)
    shown = pd.DataFrame({"class": [page.shown[one] for one in page.classes]})
    shown["support"], shown["predicted"] = figures["support"], figures["predicted"]
    for one in ("precision", "recall", "f1"):
        shown[one] = figures[one]
        shown[f"{one}_ci"] = [
            "–" if pd.isna(low) else f"{low:.2f} – {high:.2f}"
            for low, high in zip(figures[f"{one}_low"], figures[f"{one}_high"], strict=True)
        ]
    config: dict[str, Any] = {
        "class": st.column_config.TextColumn("class", width=150),
        "support": st.column_config.NumberColumn("n", help="rows with this label", width=60),
        "predicted": st.column_config.NumberColumn("n predicted", help="rows predicted as it", width=90),
    }
    for one, words in (("precision", "precision"), ("recall", "recall"), ("f1", "F1")):
        config[one] = st.column_config.ProgressColumn(
            words, format="%.3f", min_value=0.0, max_value=1.0, color="blue", width=120
        )
        config[f"{one}_ci"] = st.column_config.TextColumn("95 %", width=95)
    st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        height="content" if len(page.classes) <= 16 else 520,
        column_config=config,
    )
    layout.export(figures, name=name)
    groups = prediction_frames.groups(rows)
    layout.sentence(
        f"{text.count(len(page.classes))} classes, macro-F1 {text.score(figures['f1'].mean())}. 95 % Wilson "
        f"intervals{'' if groups is None else f' over {groups:,} groups'}. Small n: treat with care."
    )
    further_scores(page, rows, name)


def further_scores(page: MatrixPage, rows: pd.DataFrame, name: str) -> None:
    """Scores beside macro-F1, for people who must report one of them."""
    if rows.empty:
        return
    logged = state.summary(page.info).get(Summary.CLASSES, [])
    classes = [*logged, *(one for one in page.classes if one not in logged)]
    figures = page.kept("further scores", lambda: prediction_frames.scores(rows, classes), name)
    with st.expander("Further scores"):
        shown = figures.assign(
            interval=[
                text.interval(value, (low, high))
                for value, low, high in figures[["value", "low", "high"]].itertuples(index=False)
            ]
        )
        st.dataframe(
            shown[["score", "interval"]],
            hide_index=True,
            height="content",
            column_config={"interval": st.column_config.TextColumn("value, 95 % interval")},
        )
        layout.export(figures, name=f"further-{name}")


# --- Confidence -------------------------------------------------------------------------------


def calibration(page: MatrixPage) -> None:
    """How well the head's confidence is calibrated, and the accuracy of the most confident answers."""
    if page.rows.empty:
        return
    of = "" if page.other is None else f" of {text.plain(page.head)}"
    st.subheader(f"Calibration{of}")
    on_record = page.head == BEST and page.split == "test"
    summary = state.summary(page.info) if on_record else {}
    confidence.show(page.rows, page.split, summary, page.kept)
    confidence.says_sets(summary)


layout.page(title_of, show)
