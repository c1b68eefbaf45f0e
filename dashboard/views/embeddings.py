"""A map of the features: what lies together, and where the mistakes are."""

from __future__ import annotations

import base64

import pandas as pd
import streamlit as st

from dashboard import charts, frames, parts, state, text
from dashboard.info import SweepInfo
from trainer.tracking.schema import Predictions, Samples, Summary

MOST_POINTS = 5_000  # 5,000 drag in 1.5 s, 50,000 in 19 s
COLOURS = {
    "label": "label",
    "prediction": "pred",
    "correctness": "outcome",
    "confidence": "confidence",
    "split": "split",
}
SPOILED = "spoiled"  # offered where the data knows its spoiled rows
UNHARMED = "as it was"
EVERY = "all"


def show(info: SweepInfo) -> None:
    projection, samples = state.table(info, "projection"), state.table(info, "samples")
    predictions = state.table(info, "predictions")
    if projection is None or samples is None or predictions is None:
        parts.missing(info, "points of a map")
        return
    known = samples.get(Samples.SPOILED, pd.Series(dtype=object)).notna().any()
    colours = [*COLOURS, SPOILED] if known else list(COLOURS)
    colour, head, split, shows_pictures = controls(predictions, colours, pictured=samples_pictured(samples))
    every = points(projection, samples, predictions[predictions[Predictions.HEAD] == head])
    chosen = every if split == EVERY else every[every["split"] == split]
    drawn = frames.sample_evenly(chosen, MOST_POINTS)
    if drawn.empty:
        parts.empty("The map holds no row of this split.", ":material/filter_alt_off:")
        return
    classes = [text.clean(name, longest=40) for name in state.summary(info).get(Summary.CLASSES, [])]
    names = classes or sorted(set(every["label"]) | set(every["pred"]))
    present = [name for name in names if name in set(every["label"]) | set(every["pred"])]
    if colour == SPOILED:
        present = [UNHARMED, *sorted(set(every[SPOILED]) - {UNHARMED})]
    drawn = with_pictures(drawn)
    chart = charts.scatter(
        drawn,
        colour=COLOURS.get(colour, SPOILED),
        title=colour,
        classes=present,
        pictures=frames.landmarks(drawn.dropna(subset="image")) if shows_pictures else None,
    )
    st.altair_chart(chart, width="stretch")
    wrong = int((drawn["outcome"] == "wrong").sum())
    rows = predictions[Predictions.SAMPLE_ID].nunique()
    parts.sentence(
        f"A t-SNE of the features: {len(drawn):,} of the {rows:,} rows "
        f"(n = {len(drawn):,}), {wrong:,} of them misjudged by “{text.plain(head)}”. Near points are alike; "
        "distances between far groups and the axes mean nothing. Drag to move, Shift and wheel to zoom, "
        "double-click to reset; click the legend to single out."
    )


def samples_pictured(samples: pd.DataFrame) -> bool:
    return bool(samples[Samples.THUMBNAIL].notna().any())


def controls(predictions: pd.DataFrame, colours: list[str], *, pictured: bool) -> tuple[str, str, str, bool]:
    """Colour, head, split and whether pictures are drawn, all kept in the address."""
    heads = {text.plain(name): name for name in predictions[Predictions.HEAD].unique()}
    splits = [name for name in ("train", "val", "test") if name in set(predictions[Predictions.SPLIT])]
    with st.container(horizontal=True, gap="medium"):
        head = st.selectbox("Head", list(heads), key="head", bind="query-params", width=250)
        colour = st.segmented_control(
            "Colour by", colours, default="label", required=True, key="colour", bind="query-params"
        )
        split = st.segmented_control(
            "Rows", [EVERY, *splits], default=EVERY, required=True, key="rows", bind="query-params"
        )
        shows_pictures = pictured and st.toggle("Pictures", value=True, key="pictures", bind="query-params")
    return colour, heads[head], split, shows_pictures


def points(projection: pd.DataFrame, samples: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per point with everything the chart and its tooltip need."""
    told = predictions[["sample_id", "label", "pred", "confidence", "split"]]
    seen = samples[[Samples.SAMPLE_ID, Samples.CAPTION, Samples.THUMBNAIL]].assign(
        **{SPOILED: samples.get(Samples.SPOILED)}
    )
    frame = projection.merge(told, on="sample_id").merge(seen, on="sample_id", how="left")
    frame["outcome"] = (frame["label"] == frame["pred"]).map({True: "right", False: "wrong"})
    frame[SPOILED] = [
        text.clean(how, longest=40) if isinstance(how, str) and how else UNHARMED for how in frame[SPOILED]
    ]
    for name in ("label", "pred"):
        frame[name] = frame[name].map(lambda label: text.clean(label, longest=40))
    for name in ("caption", "sample_id"):
        frame[name] = frame[name].fillna("").map(lambda words: text.clean(words, longest=120))
    return frame.sort_values("outcome", kind="stable")  # mistakes are drawn last, on top


def with_pictures(frame: pd.DataFrame) -> pd.DataFrame:
    """Thumbnails as data URIs, which the tooltip shows."""
    pictures = [
        f"data:image/webp;base64,{base64.b64encode(data).decode()}" if isinstance(data, bytes) else None
        for data in frame[Samples.THUMBNAIL]
    ]
    return frame.drop(columns=Samples.THUMBNAIL).assign(image=pd.Series(pictures, index=frame.index))


parts.page("Embeddings", show)
