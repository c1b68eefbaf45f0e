"""What a page shows of several labels per image: each label's figures, pairs of labels, the worst images."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import labels as charts
from dashboard.frames import labels as frames
from dashboard.frames import predictions as prediction_frames
from dashboard.frames.labels import LabelAnswers, LabelPairs, LabelScores
from dashboard.frames.predictions import BEST
from dashboard.runs.run_info import RunInfo
from dashboard.ui import gallery, head_and_split, layout, state
from dashboard.ui.head_and_split import HeadAndSplit
from trainer.tracking.schema import Artifact, Predictions, Samples, Summary

PAGE, LABEL, SHOWN, PAIRS = "page", "of_label", "shown", "pairs"  # parameters of the address
ALL = "all labels"
WORST = "worst"
WRONG_INSTEAD, THERE_TOO = "wrongly said", "there, too"
TAKEN_ALONG = [
    *(Predictions.SAMPLE_ID, frames.LOG_LOSS, frames.TRUE, frames.SAID, frames.MISSED, frames.WRONG),
    Samples.CAPTION,
]
NO_FIGURE = "–"
HOW = (
    "Average precision: mean precision at the rows that have the label, by falling probability; mAP is its "
    "mean over labels. Chance is the share of rows with the label. Labels without positive or negative "
    "rows are left out.",
    "A label’s interval is a 95 % bootstrap over rows, or groups of rows; that of mAP is linearised over "
    "them. Precision and recall have Wilson’s.",
    "A label is said from its threshold on: the probability with the highest F1 on rows that the head had "
    "not learned from.",
)
HOW_PAIRS = (
    "Together: of the rows with a label, the share that has the other, too. Missed with: of the rows on "
    "which a label was missed, the share on which the other was said without being there, or was there.",
)


class LabelsPage(NamedTuple):
    """What every section needs."""

    info: RunInfo
    asked: HeadAndSplit
    answered: LabelAnswers
    scores: LabelScores
    table: pd.DataFrame  # `frames.per_label`
    shown: dict[str, str]  # label → what stands for it in charts
    version: Hashable

    @property
    def n(self) -> str:
        """How many rows there are, in words."""
        return text.count(len(self.answered.rows), f"{self.asked.split} row")

    @property
    def over(self) -> str:
        """What the intervals are over."""
        groups = prediction_frames.groups(self.answered.rows)
        return text.rows_drawn(len(self.answered.rows), groups, f"{self.asked.split} rows")

    def named(self, frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """The frame with what stands for its labels."""
        return frame.assign(**{name: frame[name].map(self.shown) for name in columns})


def show(info: RunInfo) -> None:
    """Show the page of a sweep of several labels per image."""
    head_and_split.show(info, lambda predictions, asked: _show_asked(page_of(info, predictions, asked)))


def page_of(info: RunInfo, predictions: pd.DataFrame, asked: HeadAndSplit) -> LabelsPage:
    """What a head says of a split, and its figures."""
    summary = state.summary(info)
    versions = tuple(state.version(info, one) for one in (Artifact.PREDICTIONS, Artifact.SUMMARY))
    version = ("labels", info.run_id, versions, asked)

    def prepared() -> tuple[LabelAnswers, LabelScores, pd.DataFrame]:
        answered = frames.answers(predictions, summary, head=asked.head, split=asked.split)
        return answered, frames.scores(answered), frames.per_label(answered)

    answered, scores, table = state.kept(version, prepared)
    shown = prediction_frames.shown_names(answered.names)
    return LabelsPage(info, asked, answered, scores, table, shown, version)


def _show_asked(page: LabelsPage) -> None:
    layout.verdict(_verdict(page))
    left, right = st.columns([1, 2], gap="medium")
    with left:
        _precisions(page)
    with right:
        _table(page)
    _pairs(page)
    _images(page)


# --- Label by label ---------------------------------------------------------------------------


def _verdict(page: LabelsPage) -> str:
    """The mAP, and which label is worst."""
    value, *ends = recorded(page, Summary.TEST_MAP, page.scores.mean)
    said = f"mAP {text.interval(value, ends)} on {len(page.answered.rows):,} {page.asked.split} rows"
    ranked = page.table[page.table["ap"].notna()]
    if len(ranked) < 2:
        return f"{said}."
    worst: dict[Any, Any] = ranked.iloc[0].to_dict()
    return f"{said}; worst label: {text.plain(page.shown[worst['label']], longest=24)} ({worst['ap']:.3f})."


def recorded(page: LabelsPage, name: str, found: tuple[float, float, float]) -> tuple[float, ...]:
    """A figure as the sweep recorded it, of its head on test rows; ``found`` for others."""
    summary = state.summary(page.info)
    value, ends = summary.get(name), summary.get(name + Summary.CI95)
    if page.asked.head == BEST and page.asked.split == "test" and value is not None and text.known(ends):
        return (value, *ends)
    return found


def _precisions(page: LabelsPage) -> None:
    st.subheader("Average precision")
    ranked = page.table[page.table["ap"].notna()]
    if ranked.empty:
        layout.empty("No label has rows with it and rows without it here.", ":material/filter_alt_off:")
        return
    drawn = page.named(ranked.head(charts.MOST_ROWS), "label")
    layout.chart(
        state.kept((page.version, "precisions"), lambda: layout.written(charts.precisions(drawn))),
        page.table,
        name="average-precision",
        alt_text=f"Average precision of {len(drawn)} labels with 95 % intervals, the worst on top",
        n=page.n,
    )
    some = f" The {len(drawn)} worst of {len(ranked)} labels." if len(drawn) < len(ranked) else ""
    macro, micro = (
        text.interval(value, ends)
        for value, *ends in (
            recorded(page, Summary.TEST_F1_MACRO_LABELS, page.scores.f1_macro),
            recorded(page, Summary.TEST_F1_MICRO_LABELS, page.scores.f1_micro),
        )
    )
    layout.sentence(
        f"Worst first, 95 % over {page.over}; grey ticks: chance (mAP {text.score(page.scores.chance)}). "
        f"Macro-F1 {macro}, micro-F1 {micro}.{some}"
    )
    left_out = len(page.table) - len(ranked)
    if left_out:
        names = [text.plain(page.shown[name], longest=24) for name in page.table["label"][-left_out:][:4]]
        more = f" and {left_out - len(names)} more" if left_out > len(names) else ""
        layout.sentence(f"Left out, without rows of both kinds: {', '.join(names)}{more}.")
    layout.how(*HOW)


def _table(page: LabelsPage) -> None:
    st.subheader("Label by label")
    table = page.table
    shown = page.named(table[["label", "n", "said", "threshold", "f1"]], "label")
    for name in ("precision", "recall"):
        shown[name] = table[name]
        ends = zip(table[f"{name}_low"], table[f"{name}_high"], strict=True)
        shown[f"{name}_ci"] = [NO_FIGURE if pd.isna(low) else f"{low:.2f} – {high:.2f}" for low, high in ends]
    config: dict[str, Any] = {
        "label": st.column_config.TextColumn("label", width=120),
        "n": st.column_config.NumberColumn("n", help="rows that have it", width=50),
        "said": st.column_config.NumberColumn("n said", help="rows that it is said for", width=60),
        "threshold": st.column_config.NumberColumn("threshold", format="%.3f", width=75),
        "f1": st.column_config.NumberColumn("F1", format="%.3f", width=60),
    }
    for name in ("precision", "recall"):
        config[name] = st.column_config.NumberColumn(name, format="%.3f", width=72)
        config[f"{name}_ci"] = st.column_config.TextColumn("95 %", width=88)
    st.dataframe(
        shown,
        hide_index=True,
        placeholder=NO_FIGURE,
        height="content" if len(shown) <= 16 else 520,
        column_config=config,
        alt=f"Threshold, precision, recall and F1 of {text.count(len(shown), 'label')}",
    )
    layout.export(table, name="labels")
    layout.sentence(f"At each label’s threshold; 95 % Wilson intervals over {page.over}.")


# --- Pairs of labels --------------------------------------------------------------------------


def _pairs(page: LabelsPage) -> None:
    """Which labels are there together, beside what is missed with what."""
    if len(page.answered.names) < 2:
        return
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Labels together")
        found = state.kept(
            (page.version, "together"), lambda: frames.together(page.answered, charts.MOST_SQUARES)
        )
        look = charts.PairLook(charts.BLUE, "label", "also has", "rows with the label", state.is_dark())
        _heat_map(page, found, look, name="labels-together")
        layout.sentence(f"Of the rows with the label, the share that has the other, too.{_most(page, found)}")
    with right:
        _missed_with(page)
    layout.how(*HOW_PAIRS)


def _missed_with(page: LabelsPage) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.subheader("Missed with", width="content")
        kind = st.segmented_control(
            "The other label",
            [WRONG_INSTEAD, THERE_TOO],
            default=WRONG_INSTEAD,
            required=True,
            key=PAIRS,
            bind="query-params",
            label_visibility="collapsed",
        )
    there = kind == THERE_TOO
    found = state.kept(
        (page.version, "missed", there),
        lambda: frames.missed(page.answered, charts.MOST_SQUARES, there=there),
    )
    colour = charts.ORANGE if there else charts.RED
    look = charts.PairLook(colour, "missed", kind, "rows that missed it", state.is_dark())
    _heat_map(page, found, look, name="missed-with")
    layout.sentence(
        f"Of the rows that missed the label, the share on which the other was {kind}.{_most(page, found)}"
    )


def _heat_map(page: LabelsPage, found: LabelPairs, look: charts.PairLook, *, name: str) -> None:
    names = [page.shown[one] for one in found.names]
    drawn = page.named(found.cells, "label", "other")
    figure = state.kept((page.version, name, look), lambda: layout.written(charts.pairs(drawn, names, look)))
    layout.chart(
        figure,
        found.cells,
        name=name,
        alt_text=f"Heat map of pairs of {len(names)} labels: share of {look.of}, by the other label",
        n=page.n,
    )


def _most(page: LabelsPage, found: LabelPairs) -> str:
    """The most frequent pair, and how many labels are drawn, in words."""
    if found.cells.empty:
        return " No such pair."
    most: dict[Any, Any] = found.cells.sort_values("n", ascending=False, kind="stable").iloc[0].to_dict()
    one, other = (text.plain(page.shown[most[name]], longest=20) for name in ("label", "other"))
    some = f" Of {len(found.names)} labels." if len(found.names) < len(page.answered.names) else ""
    return f" Most often: {one}, {other} ({most['n']:,} of {most['of']:,}).{some}"


# --- Images -----------------------------------------------------------------------------------


def _images(page: LabelsPage) -> None:
    """The rows that are most wrong: all of them, or those that miss or wrongly have a label."""
    st.subheader("Worst images")
    listed = {ALL: None, **{words: name for name, words in page.shown.items()}}
    kinds = {
        WORST: None,
        frames.MISSED: frames.MISSED,
        frames.WRONG: frames.WRONG,
        frames.RIGHT: frames.RIGHT,
    }
    with st.container(horizontal=True, gap="medium"):
        label = listed[
            st.selectbox(
                "Label", list(listed), key=LABEL, bind="query-params", width=240, on_change=_first_page
            )
        ]
        kind = st.segmented_control(
            "Show",
            list(kinds),
            default=WORST,
            required=True,
            key=SHOWN,
            bind="query-params",
            on_change=_first_page,
        )
    rows = state.kept((page.version, "worst", label, kind), lambda: _worst(page, label, kinds[kind]))
    rows = gallery.with_images(rows, state.table(page.info, Artifact.SAMPLES))
    gallery.show(rows, key=PAGE, order="largest log-loss first", per_page=12, width=136)
    if len(rows):
        layout.export(rows[TAKEN_ALONG], name="worst-images")


def _worst(page: LabelsPage, label: str | None, kind: str | None) -> pd.DataFrame:
    """`frames.with_words` of `frames.worst`, and what stands below each image, names cut to fit."""
    found = page.answered.take(frames.worst(page.answered, label, kind))
    short = found._replace(names=[text.clean(page.shown[name], longest=24) for name in found.names])
    lines = [lines_of(row) for row in frames.with_words(short).to_dict("records")]
    rows = frames.with_words(found).assign(**{gallery.SAYS: ["; ".join(one) for one in lines]})
    rows[gallery.LINES] = pd.Series(lines, index=rows.index, dtype=object)
    return rows


def lines_of(row: Mapping[Any, Any]) -> list[str]:
    """Which labels of a row are true and said, and which missed and wrongly said, if any: a line each."""
    found = [f"{name}: {row[name] or frames.NO_LABELS}" for name in (frames.TRUE, frames.SAID)]
    return found + [f"{name}: {row[name]}" for name in (frames.MISSED, frames.WRONG) if row[name]]


def _first_page() -> None:
    st.session_state[PAGE] = 1
