"""Which classes a head takes for which, class by class figures, and the pictures behind a mistake."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import charts, frames, parts, state, text
from dashboard.info import SweepInfo
from trainer.tracking.schema import Predictions, Samples, Summary

SPLITS = ["test", "val", "train"]
MOST_PICTURES = 32


def show(info: SweepInfo) -> None:
    predictions = state.table(info, "predictions")
    if predictions is None or predictions.empty:
        parts.missing(info, "predictions")
        return
    rows, normalised = controls(predictions)
    classes = class_order(state.summary(info), predictions)
    shown = {name: text.clean(name, longest=40) for name in classes}
    cells = frames.confusion(rows)
    square = len(classes) <= charts.MOST_SQUARE  # then there is room for the table beside it
    left, right = st.columns([3, 2], gap="large") if square else (st.container(), st.container())
    with left:
        matrix(cells, rows, classes, shown, normalised=normalised)
    with right:
        class_table(rows, classes)
    mistakes(info, cells, rows)


def controls(predictions: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """The rows of one head and split, and whether to show shares."""
    heads = {text.plain(name): name for name in predictions[Predictions.HEAD].unique()}
    present = set(predictions[Predictions.SPLIT])
    with st.container(horizontal=True, gap="medium"):
        head = st.selectbox("Head", list(heads), key="head", bind="query-params", width=250)
        split = st.segmented_control(
            "Split",
            [name for name in SPLITS if name in present],
            default=next(name for name in SPLITS if name in present),
            required=True,
            key="split",
            bind="query-params",
        )
        cells = st.segmented_control(
            "Cells",
            ["counts", "share of label"],
            default="counts",
            required=True,
            key="cells",
            bind="query-params",
        )
    chosen = (predictions[Predictions.HEAD] == heads[head]) & (predictions[Predictions.SPLIT] == split)
    return predictions[chosen], cells != "counts"


def class_order(summary: dict, predictions: pd.DataFrame) -> list[str]:
    """The order in which the sweep keeps its classes; alphabetical where it is not known."""
    seen = set(predictions[Predictions.LABEL]) | set(predictions[Predictions.PRED])
    known = [name for name in summary.get(Summary.CLASSES, []) if name in seen]
    return known + sorted(seen - set(known))


def matrix(
    cells: pd.DataFrame, rows: pd.DataFrame, classes: list[str], shown: dict[str, str], *, normalised: bool
) -> None:
    named = cells.assign(label=cells["label"].map(shown), pred=cells["pred"].map(shown))
    side = max(300, min(540, 52 * len(classes)), 11 * len(classes))
    chart = charts.confusion(
        named, list(shown.values()), normalised=normalised, side=side, dark=state.is_dark()
    )
    st.altair_chart(chart, width="content" if len(classes) <= charts.MOST_SQUARE else "stretch")
    hits, n = int((rows[Predictions.LABEL] == rows[Predictions.PRED]).sum()), len(rows)
    parts.sentence(
        f"{text.count(n, 'row')} (n = {n:,}), {text.count(len(classes))} classes: {hits:,} right, accuracy "
        f"{text.interval(hits / n if n else None, frames.wilson(hits, n))} (95 %, Wilson). "
        "Rows are labels, columns predictions; mistakes are orange, drawn stronger so that rare ones show."
    )


def class_table(rows: pd.DataFrame, classes: list[str]) -> None:
    figures = frames.per_class(rows, classes)
    figures["class"] = [text.clean(name, longest=30) for name in classes]
    st.dataframe(
        figures,
        hide_index=True,
        placeholder="–",
        height="content" if len(classes) <= 16 else 520,
        column_config={
            "class": st.column_config.TextColumn("class", width=100),
            "precision": st.column_config.NumberColumn("precision", format="%.3f", width=68),
            "recall": st.column_config.NumberColumn("recall", format="%.3f", width=52),
            "f1": st.column_config.ProgressColumn(
                "F1", format="%.3f", min_value=0.0, max_value=1.0, color="blue", width=108
            ),
            "support": st.column_config.NumberColumn("n", help="rows with this label", width=42),
        },
    )
    parts.sentence(
        f"Class by class; macro-F1, their plain mean, is {text.score(figures['f1'].mean())} "
        f"(n = {len(rows):,}). A small n makes a wild figure."
    )


def mistakes(info: SweepInfo, cells: pd.DataFrame, rows: pd.DataFrame) -> None:
    """The worst confusions; the pictures of the chosen one."""
    st.subheader("Worst confusions")
    worst = frames.mistakes(cells)
    if worst.empty:
        parts.empty("No mistake in these rows.", ":material/check_circle:")
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        picked = st.dataframe(
            worst[["label", "pred", "n", "share", "support"]].assign(
                label=[text.clean(name, longest=24) for name in worst["label"]],
                pred=[text.clean(name, longest=24) for name in worst["pred"]],
                share=100 * worst["share"],
            ),
            key=f"worst-{info.run_id}",
            on_select="rerun",
            selection_mode="single-row-required",
            selection_default={"selection": {"rows": [0]}},
            hide_index=True,
            height="content" if len(worst) <= 12 else 400,
            column_config={
                "pred": "predicted",
                "share": st.column_config.NumberColumn("of label", format="%.1f %%"),
                "support": st.column_config.NumberColumn("n of label"),
            },
        ).selection.rows
    with right:
        pair = worst.iloc[min(picked[0], len(worst) - 1) if picked else 0]
        pictures(info, rows, pair)
    parts.sentence(
        f"{text.count(len(worst), 'kind')} of mistake, {text.count(int(worst['n'].sum()), 'row')} in all; "
        "click one to see its pictures."
    )


def pictures(info: SweepInfo, rows: pd.DataFrame, pair: pd.Series) -> None:
    wrong = rows[(rows[Predictions.LABEL] == pair["label"]) & (rows[Predictions.PRED] == pair["pred"])]
    wrong = wrong.sort_values(Predictions.CONFIDENCE, ascending=False)
    samples = state.table(info, "samples")
    if samples is None:
        parts.missing(info, "pictures")
        return
    found = wrong.merge(samples[[Samples.SAMPLE_ID, Samples.THUMBNAIL]], on=Predictions.SAMPLE_ID)
    found = found.dropna(subset=[Samples.THUMBNAIL])
    st.text(f"{text.clean(pair['label'], longest=40)} taken for {text.clean(pair['pred'], longest=40)}")
    if found.empty:
        parts.empty("This sweep kept no pictures of these rows.", ":material/hide_image:")
        return
    first = found.head(MOST_PICTURES)
    with st.container(horizontal=True, gap="small"):
        for picture, share in zip(first[Samples.THUMBNAIL], first[Predictions.CONFIDENCE], strict=True):
            st.image(picture, caption=f"{share:.0%}", width=72)
    unseen = len(wrong) - len(found)
    without = f" Of {unseen:,} no picture was kept: only rows on the map have one." if unseen else ""
    parts.sentence(
        f"{len(first)} of {text.count(len(wrong), 'row')}, the most confident first; below each, the "
        f"probability that the head gave its wrong answer.{without}"
    )


parts.page("Confusion matrix", show)
