"""A map of the features: what lies together, where the mistakes are, and the images behind its points."""

from __future__ import annotations

import base64
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import altair as alt
import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts.scatter import BOX, MOST_IN_LEGEND, POINT, VIEW, Colouring, MapOverlays, scatter
from dashboard.frames import predictions as prediction_frames
from dashboard.frames import projection as projection_frames
from dashboard.runs.run_info import RunInfo, on_same_rows
from dashboard.ui import gallery, layout, links, state
from dashboard.ui.chart_spec import drawing
from trainer.tracking.schema import Artifact, Predictions, Projection, Samples, Summary

MOST_POINTS = 5_000  # 5,000 drag in 1.5 s, 50,000 in 19 s
NEIGHBOURS = 12
COLOURS = {
    "label": "label",
    "prediction": "pred",
    "correctness": "outcome",
    "confidence": "confidence",
    "split": "split",
}
VALUES = {"correctness": ["right", "wrong"], "split": ["train", "val", "test"]}
SPOILED = "spoiled"  # offered where the data knows its spoiled rows
GROUP = "group"  # … where rows have a group: a patient, a person
SCORE = "score"  # … where there are numbers of the rows
SHADE = "number_shown"  # column of the chosen number
UNHARMED, UNKNOWN = "as it was", "not known"
EVERY = "all"
CELL = (links.LABEL, links.PRED, links.SPLIT)  # parameters of the address: the cell whose rows are lit
ADD, FIND, PAGE, PERPLEXITY = "add", "find", "page", "perplexity"
CLEARED = "map-cleared"  # session: how often the map was told to forget its box and its point
MAP = "map-{}-{}"  # widget: of a run, and of how often it was cleared
TABLE = "table-{}"


class Map(NamedTuple):
    """What every section needs."""

    info: RunInfo
    head: str
    every: pd.DataFrame  # every point
    drawn: pd.DataFrame
    lit: pd.Series | None  # which of the drawn ones stand out; None: nothing is dimmed
    boxes: list[projection_frames.Box]
    point: str | None  # id of the chosen one
    perplexity: int | None  # of the map; None: it is the only one
    version: (
        Hashable  # changes with the tables of the run, the map, the head, the split, the colours, the lit
    )


def show(info: RunInfo) -> None:
    projection, samples = state.table(info, Artifact.PROJECTION), state.table(info, Artifact.SAMPLES)
    predictions = state.table(info, Artifact.PREDICTIONS)
    if projection is None or samples is None or predictions is None:
        layout.missing(info, "points of a map")
        return
    classes = state.summary(info).get(Summary.CLASSES, [])
    measured = measured_of(info)
    tables = (Artifact.PROJECTION, Artifact.SAMPLES, Artifact.PREDICTIONS)
    version: Hashable = ("map", info.run_id, *(state.version(info, one) for one in tables), measured.version)
    offered = state.kept((version, "offered"), lambda: offer(predictions, samples, measured, classes))
    perplexities = Projection.perplexities(projection.columns)
    colour, head, split, perplexity, shows_images = controls(offered, perplexities)
    version = (version, perplexity)
    answered = state.kept(
        (version, "answered", head), lambda: predictions[predictions[Predictions.HEAD] == head]
    )
    every = state.kept(
        (version, "points", head), lambda: points(at_perplexity(projection, perplexity), samples, answered)
    )
    score = ""
    numbers = pd.DataFrame()
    if colour == SCORE:
        numbers = state.kept(
            (version, "numbers", head), lambda: numbers_of(samples, measured, answered, classes)
        )
        score = pick_score(numbers)
    version = (version, head, split, colour, score)

    def of_split() -> tuple[pd.DataFrame, str, list[str]]:
        chosen = every if split == EVERY else every[every["split"] == split]
        drawn = projection_frames.sample_evenly(chosen, MOST_POINTS)
        if score:
            drawn = drawn.assign(**{SHADE: drawn["sample_id"].map(numbers[score])})
        return coloured(drawn, every, colour, classes)

    drawn, column, values = state.kept((version, "drawn"), of_split)
    if drawn.empty:
        layout.empty("The map holds no row of this split.", ":material/filter_alt_off:")
        return
    version = (version, cell_asked(), st.session_state.get(FIND, ""))
    lit = state.kept((version, "lit"), lambda: lit_ones(drawn))
    told = perplexity if len(perplexities) > 1 else None
    there = Map(info, head, every, drawn, lit, boxes(), chosen_point(every), told, version)
    draw(there, column, score or colour, values, shows_images=shows_images)
    says(there, predictions, score, len(values))
    selected(there)
    neighbours(there)


class Measured(NamedTuple):
    """What the newest extraction and ablation of the same rows measured."""

    images: pd.DataFrame | None
    scores: pd.DataFrame | None
    version: Hashable


def measured_of(info: RunInfo) -> Measured:
    tables: list[pd.DataFrame | None] = []
    versions = []
    for runs, part in ((state.extractions(), Artifact.IMAGES), (state.ablations(), Artifact.SCORES)):
        same = on_same_rows(runs, info)
        found = next((run for run in same if state.table(run, part) is not None), None)
        tables.append(None if found is None else state.table(found, part))
        versions.append(None if found is None else (found.run_id, state.version(found, part)))
    return Measured(tables[0], tables[1], tuple(versions))


def numbers_of(
    samples: pd.DataFrame, measured: Measured, answered: pd.DataFrame, classes: list[str]
) -> pd.DataFrame:
    """`answers.numbers`, and what probability the head gave each row's label."""
    numbers = projection_frames.numbers(samples, measured.images, measured.scores)
    return numbers.assign(
        **{projection_frames.LABEL_PROBABILITY: projection_frames.label_probability(answered, classes)}
    )


class Offer(NamedTuple):
    """What there is to choose from."""

    heads: dict[str, str]
    splits: list[str]
    colours: list[str]
    images: bool


def offer(predictions: pd.DataFrame, samples: pd.DataFrame, measured: Measured, classes: list[str]) -> Offer:
    heads = {text.clean(name): name for name in predictions[Predictions.HEAD].unique()}
    splits = [name for name in ("train", "val", "test") if name in set(predictions[Predictions.SPLIT])]
    colours = list(COLOURS)
    if samples.get(Samples.CORRUPTED, pd.Series(dtype=object)).notna().any():
        colours.append(SPOILED)
    if samples[Samples.GROUP].fillna("").ne("").any():
        colours.append(GROUP)
    if classes or len(projection_frames.numbers(samples, measured.images, measured.scores).columns):
        colours.append(SCORE)
    return Offer(heads, splits, colours, bool(samples[Samples.THUMBNAIL].notna().any()))


def controls(offered: Offer, perplexities: list[int]) -> tuple[str, str, str, int, bool]:
    """Colour, head, split, perplexity and whether images are drawn, all kept in the address."""
    heads, splits, colours, with_image = offered
    links.take_over(links.HEAD, "head", list(heads))
    with st.container(horizontal=True, gap="medium"):
        head = st.selectbox("Head", list(heads), key="head", bind="query-params", width=200)
        colour = st.segmented_control(
            "Colour by", colours, default="label", required=True, key="colour", bind="query-params"
        )
        split = st.segmented_control(
            "Rows", [EVERY, *splits], default=EVERY, required=True, key="rows", bind="query-params"
        )
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        st.text_input(
            "Find",
            key=FIND,
            bind="query-params",
            placeholder="a label, a name, words of a caption",
            icon=":material/search:",
            width=320,
            on_change=first_page,
        )
        perplexity = pick_perplexity(perplexities)
        st.toggle("Add boxes to the selection", key=ADD, bind="query-params")
        shows_images = with_image and st.toggle("Images", value=True, key="pictures", bind="query-params")
    return colour, heads[head], split, perplexity, shows_images


def pick_perplexity(perplexities: list[int]) -> int:
    """Which of the maps on record; nothing is asked where there is one."""
    if len(perplexities) == 1:
        return perplexities[0]
    return st.selectbox(
        "Perplexity",
        perplexities,
        index=perplexities.index(Projection.USUAL),
        key=PERPLEXITY,
        bind="query-params",
        width=110,
        help="Roughly how many neighbours a point tries to keep near: small ones show fine groups, large "
        "ones how groups lie to each other. What holds at all of them is most likely real.",
        on_change=forget_boxes,
    )


def at_perplexity(projection: pd.DataFrame, perplexity: int) -> pd.DataFrame:
    """PROJECTION with the map at a perplexity as its only one."""
    places = dict(zip(Projection.at(perplexity), (Projection.X, Projection.Y), strict=True))
    return projection[[Projection.SAMPLE_ID, *places]].rename(columns=places)


def pick_score(numbers: pd.DataFrame) -> str:
    names = {text.clean(name): name for name in numbers.columns}
    return names[st.selectbox("Score", list(names), key="score", bind="query-params", width=320)]


def points(projection: pd.DataFrame, samples: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per point with everything the chart, its tooltip and the tables need."""
    told = predictions[["sample_id", "label", "pred", "confidence", "split"]]
    kept = [Samples.SAMPLE_ID, Samples.CAPTION, Samples.THUMBNAIL, Samples.GROUP]
    seen = samples[kept].assign(**{SPOILED: samples.get(Samples.CORRUPTED)})
    numbered = projection.reset_index(drop=True).rename_axis("number").reset_index()
    frame = numbered.merge(told, on="sample_id").merge(seen, on="sample_id", how="left")
    frame["outcome"] = (frame["label"] == frame["pred"]).map({True: "right", False: "wrong"})
    frame[SPOILED] = [
        (text.clean(how, longest=40) or UNHARMED) if isinstance(how, str) else UNKNOWN
        for how in frame[SPOILED]
    ]
    frame[Samples.CAPTION] = frame[Samples.CAPTION].fillna("")
    return frame.sort_values("outcome", kind="stable")  # mistakes are drawn last, on top


def coloured(
    drawn: pd.DataFrame, every: pd.DataFrame, colour: str, logged: list[str]
) -> tuple[pd.DataFrame, str, list[str]]:
    """Points, the column that colours them, and its values as the legend has them (none: a number)."""
    if colour in (SCORE, "confidence"):
        return drawn, SHADE if colour == SCORE else colour, []
    if colour == SPOILED:
        return drawn, SPOILED, [UNHARMED, *sorted(set(every[SPOILED]) - {UNHARMED})]
    if colour == GROUP:
        groups, order = projection_frames.largest_groups(every[GROUP])
        return drawn.assign(**{GROUP: groups.reindex(drawn.index)}), GROUP, order
    if colour in VALUES:
        return drawn, COLOURS[colour], VALUES[colour]
    return drawn, COLOURS[colour], prediction_frames.class_order(every, logged, prediction_frames.AS_LOGGED)


# --- What is lit, dragged and clicked ---------------------------------------------------------


def cell_asked() -> tuple[str | None, str | None, str | None]:
    """Label, answer and split of the cell in the address."""
    label, pred = (st.query_params.get(name) for name in (links.LABEL, links.PRED))
    return label, pred, st.query_params.get(links.SPLIT, st.query_params.get("split"))


def lit_ones(drawn: pd.DataFrame) -> pd.Series | None:
    """Which points stand out: those of the cell that the address names, those that were found, or both."""
    label, pred, split = cell_asked()
    words = st.session_state.get(FIND, "").strip()
    if label is None and pred is None and not words:
        return None
    lit = pd.Series(True, index=drawn.index)
    for column, wanted in (("label", label), ("pred", pred), ("split", split)):
        if wanted is not None:
            lit &= drawn[column] == wanted
    return lit & projection_frames.matches(drawn, words) if words else lit


def boxes() -> list[projection_frames.Box]:
    return projection_frames.boxes_from(st.query_params.get(BOX, ""))


def chosen_point(every: pd.DataFrame) -> str | None:
    """The point that the address asks for."""
    wanted = st.query_params.get(POINT)
    if wanted is None or (every["sample_id"] == wanted).any():
        return wanted
    st.toast("The point in the address is not on this map.", icon=":material/link_off:")
    del st.query_params[POINT]
    return None


def first_page() -> None:
    st.session_state[PAGE] = 1


def forget() -> None:
    """Nothing is dragged nor clicked any more."""
    for name in (BOX, POINT):
        st.query_params.pop(name, None)
    first_page()
    st.session_state[CLEARED] = st.session_state.get(CLEARED, 0) + 1


def forget_boxes() -> None:
    """Nothing is dragged any more: on another map a box holds other points. A clicked point stays."""
    st.query_params.pop(BOX, None)
    first_page()
    st.session_state[CLEARED] = st.session_state.get(CLEARED, 0) + 1


def unlight() -> None:
    """Nothing stands out any more."""
    for name in (*CELL, "split"):
        st.query_params.pop(name, None)
    st.session_state[FIND] = ""
    first_page()


def touched(key: str, ids: pd.Series) -> None:
    """Something happened on the map: a new box, a click on a point, or on nothing."""
    now = st.session_state[key]["selection"]
    before = st.session_state.get(f"{key}-before", {})
    st.session_state[f"{key}-before"] = {name: now.get(name) for name in (BOX, POINT)}
    box, point = now.get(BOX), now.get(POINT)
    if box and box != before.get(BOX):
        new = (*sorted(box["x"]), *sorted(box["y"]))
        before_it = boxes()
        if any(projection_frames.same_box(new, one) for one in before_it):
            return  # the map was moved, and the box with it
        kept = before_it if st.session_state.get(ADD) else []
        st.query_params[BOX] = projection_frames.boxes_to([*kept, new])
        first_page()
    elif point and point != before.get(POINT):
        st.query_params[POINT] = ids[int(point[0]["number"])]
    elif not box and not point and (before.get(BOX) or before.get(POINT)):
        for name in (BOX, POINT):
            st.query_params.pop(name, None)


def draw(there: Map, column: str, title: str, classes: list[str], *, shows_images: bool) -> None:
    overlay = (shows_images, tuple(there.boxes), there.point)
    figure = state.kept(
        (there.version, *overlay),
        lambda: drawing(map_chart(there, column, title, classes, shows_images=shows_images)),
    )
    key = MAP.format(there.info.run_id, st.session_state.get(CLEARED, 0))
    ids = there.every.set_index("number")["sample_id"]
    layout.chart(
        figure,
        for_table(there.drawn).assign(x=there.drawn["x"], y=there.drawn["y"]),
        name="map",
        alt_text=f"Map of {len(there.drawn)} points, coloured by {title}. Find lists points without a mouse.",
        key=key,
        on_select=lambda: touched(key, ids),
        selection_mode=[BOX, POINT, VIEW],
    )


def map_chart(
    there: Map, column: str, title: str, classes: list[str], *, shows_images: bool
) -> alt.LayerChart:
    """The chart of the map."""
    shown = prediction_frames.shown_names(classes) if column in ("label", "pred") else {}
    drawn = for_chart(there.drawn, shown)
    lit = drawn[there.lit] if there.lit is not None else None
    around = neighbourhood(there)
    bright = drawn if lit is None else lit
    with_image = landmarks(bright.loc[bright["image"].notna(), ["x", "y"]], fewest=3 if lit is None else 1)
    overlays = MapOverlays(
        images=drawn.loc[with_image] if shows_images else None,
        lit=lit,
        marked=around[["x", "y", "number"]].assign(here=around["sample_id"] == there.point),
        boxes=there.boxes,
    )
    names = [shown.get(name, name) for name in classes]
    return scatter(
        drawn,
        Colouring(column, text.clean(title, longest=40), names),
        overlays,
        extent=tuple(float(f(there.every[c])) for c in ("x", "y") for f in (min, max)),  # type: ignore[arg-type]
        dark=state.is_dark(),
    )


def landmarks(places: pd.DataFrame, *, fewest: int) -> list[int]:
    """Which points are drawn as their images."""
    return list(projection_frames.landmarks(places, fewest=fewest).index)


def for_chart(frame: pd.DataFrame, shown: dict[str, str]) -> pd.DataFrame:
    """Foreign words cut to what a tooltip holds, thumbnails as data URIs."""
    images = [
        f"data:image/webp;base64,{base64.b64encode(data).decode()}" if isinstance(data, bytes) else None
        for data in frame[Samples.THUMBNAIL]
    ]
    words = {
        name: [shown.get(v) or text.clean(v, longest=40) for v in frame[name]] for name in ("label", "pred")
    }
    words |= {name: [text.clean(v, longest=120) for v in frame[name]] for name in ("caption", "sample_id")}
    words[GROUP] = [text.clean(v, longest=40) if isinstance(v, str) else "" for v in frame[GROUP]]
    return frame.drop(columns=Samples.THUMBNAIL).assign(
        image=pd.Series(images, index=frame.index, dtype=object), **words
    )


def says(there: Map, predictions: pd.DataFrame, score: str, named: int) -> None:
    """How many are drawn of how many; what is lit, and how to get rid of that."""
    drawn = there.drawn
    wrong = int((drawn["outcome"] == "wrong").sum())
    rows = predictions[Predictions.SAMPLE_ID].nunique()
    which = f" at perplexity {there.perplexity}" if there.perplexity else ""
    legend = ""
    if named > MOST_IN_LEGEND:
        legend = f"{named} classes are too many for a legend: hovering names them, Find lights one up."
    elif named and there.lit is None:
        legend = "Click the legend to single out."
    known = f" {score_known(drawn, score)}" if score else ""
    layout.sentence(
        f"A t-SNE of the features{which}: {len(drawn):,} of the {rows:,} rows "
        f"(n = {len(drawn):,}), {wrong:,} of them misjudged by “{text.plain(there.head)}”.{known} Near "
        "points are alike; distances between far groups and the axes mean nothing. Drag a box to see its "
        "images, click a point for its neighbours; Shift and drag moves, Shift and wheel zooms, "
        f"double-click resets. {legend}"
    )
    if there.lit is None:
        return
    label, pred, split = cell_asked()
    words = st.session_state.get(FIND, "").strip()
    why = []
    if label is not None or pred is not None:
        what = [f"label {_quoted(label)}"] if label is not None else []
        what += [f"answer {_quoted(pred)}"] if pred is not None else []
        why.append(" and ".join(what) + (f" in {text.plain(split)}" if split else ""))
    if words:
        why.append(f"{_quoted(words)} in label, name or caption")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(
            f"**{int(there.lit.sum()):,} of {len(drawn):,} points are lit**: {'; '.join(why)}.",
            width="content",
        )
        st.button("Clear", icon=":material/close:", type="tertiary", key="unlight", on_click=unlight)


def _quoted(words: object) -> str:
    return f"“{text.plain(words, longest=40)}”"


def score_known(drawn: pd.DataFrame, score: str) -> str:
    known = int(drawn[SHADE].notna().sum())
    grey = f"; the other {len(drawn) - known:,} are grey" if known < len(drawn) else ""
    return (
        f"Of {known:,} the {text.plain(score)} is on record{grey}; the lowest and the highest hundredth "
        "share the colours of the ends."
    )


# --- Below the map ----------------------------------------------------------------------------


def for_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What is worth taking along of points."""
    first = ["label", "pred", "confidence", SHADE, "cosine", "distance", "split"]
    columns = [*first, "sample_id", "caption", SPOILED, GROUP]
    return frame[[name for name in columns if name in frame]]


def selected(there: Map) -> None:
    """Table and images of the points in the boxes; without a box of those that are lit."""
    st.subheader("Selected points")
    if not there.boxes and there.lit is None:
        layout.empty(
            "Drag a box on the map, or find something above, to see the images.", ":material/select_all:"
        )
        return
    mask = there.lit if there.lit is not None else pd.Series(True, index=there.drawn.index)
    what = "lit" if there.lit is not None else "drawn"
    if there.boxes:
        mask = mask & projection_frames.within(there.drawn, there.boxes)
    found = there.drawn[mask].sort_values("confidence", ascending=False, kind="stable")
    count = len(there.boxes)
    where = "" if not count else "in 1 box, " if count == 1 else f"in {count} boxes, "
    base = int(there.lit.sum()) if there.lit is not None else len(there.drawn)
    wrong = int((found["outcome"] == "wrong").sum())
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(
            f"**{len(found):,}** {where}of {base:,} {what} (n = {len(found):,}), {wrong:,} misjudged.",
            width="content",
        )
        if there.boxes:
            st.button("Clear selection", icon=":material/close:", type="tertiary", on_click=forget)
    if found.empty:
        layout.empty("No point is here.", ":material/filter_alt_off:")
        return
    gallery.show(
        found.assign(**{gallery.SAYS: [answer(row) for row in found.to_dict("records")]}),
        key=PAGE,
        order="the most confident answer first; below each the answer, its probability, caption and name",
        per_page=27,
    )
    table(there, found)


def answer(row: Mapping[Any, Any]) -> str:
    arrow = "" if row["outcome"] == "right" else f"{text.clean(row['label'], longest=12)} → "
    return f"{arrow}{text.clean(row['pred'], longest=14)} {row['confidence']:.0%}"


def table(there: Map, found: pd.DataFrame) -> None:
    """Points as a table; a row leads to its neighbours, for those who have no mouse."""
    shown = for_table(found).copy()
    for name in set(shown.columns) & {"sample_id", "label", "pred", "caption", GROUP, SPOILED}:
        shown[name] = [text.clean(words, longest=200) for words in shown[name].fillna("")]
    shown = shown.loc[:, [not shown[name].isin(["", UNKNOWN]).all() for name in shown.columns]]
    key = TABLE.format(there.info.run_id)

    def picked() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        if rows and rows[0] < len(found):
            st.query_params[POINT] = found["sample_id"].iloc[rows[0]]

    st.dataframe(
        shown,
        key=key,
        on_select=picked,
        selection_mode="single-row",
        hide_index=True,
        height="content" if len(shown) <= 10 else 420,
        column_config={
            "sample_id": "sample",
            "pred": "predicted",
            "confidence": st.column_config.NumberColumn("confidence", format="%.3f"),
            SHADE: st.column_config.NumberColumn("score", format="%.4g"),
        },
    )
    layout.export(for_table(found), name="selected_points")
    layout.sentence("A row of the table leads to its neighbours below.")


def neighbourhood(there: Map) -> pd.DataFrame:
    """The chosen point and those nearest to it, itself first: in feature space (``cosine``), or on the map
    (``distance``) where the sweep kept no features."""
    if there.point is None:
        return there.every.head(0)
    here = there.every[there.every["sample_id"] == there.point]
    unit_nd, samples = state.vectors(there.info), state.table(there.info, Artifact.SAMPLES)
    if unit_nd is None or samples is None or len(unit_nd) != len(samples):
        return pd.concat(
            [here.assign(distance=0.0), projection_frames.nearest(there.every, there.point, NEIGHBOURS)]
        )
    ids = samples[Samples.SAMPLE_ID].reset_index(drop=True)
    cosine_n = unit_nd @ unit_nd[int(ids[ids == there.point].index[0])]
    likeness = pd.Series(cosine_n, index=ids).groupby(level=0).first()
    near = projection_frames.most_similar(there.every, there.point, NEIGHBOURS, likeness)
    return pd.concat([here.assign(cosine=1.0), near])


def neighbours(there: Map) -> None:
    """What lies nearest to the chosen point."""
    if there.point is None:
        return
    found = neighbourhood(there)
    in_features = "cosine" in found
    st.subheader("Nearest in feature space" if in_features else "Nearest on the map")
    here, others = found.iloc[0], found.iloc[1:]
    alike = int((others["label"] == here["label"]).sum())
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(
            f"{_quoted(here['sample_id'])}, label {_quoted(here['label'])}: **{alike} of {len(others)}** "
            "nearest have the same label.",
            width="content",
        )
        st.page_link(
            "views/confusion.py",
            label="Its cell of the confusion matrix",
            icon=":material/grid_on:",
            query_params=links.cell(
                there.info.run_id,
                head=there.head,
                split=here["split"],
                label=here["label"],
                pred=here["pred"],
            ),
        )
        st.button("Clear point", icon=":material/close:", type="tertiary", on_click=unpoint)
    if in_features:
        said = ["this one", *(f"cosine {cosine:.3f}" for cosine in others["cosine"])]
        order = (
            f"the point itself and those with the largest cosine of features among all {len(there.every):,} "
            "on the map, ringed above: where they lie far from it, the map has torn neighbours apart"
        )
    else:
        said = ["this one", *(f"{away:.2f} away" for away in others["distance"])]
        order = (
            f"the point itself and those nearest among all {len(there.every):,} on the map, not in feature "
            "space (this sweep kept no features), ringed above: t-SNE keeps most neighbours, not all; "
            "distances are in units of the map"
        )
    labels = [text.clean(label, longest=14) for label in found["label"]]
    gallery.show(
        found.assign(**{gallery.SAYS: [f"{one} · {label}" for one, label in zip(said, labels, strict=True)]}),
        key="near",
        order=order,
        per_page=27,
    )
    layout.export(for_table(found), name="nearest")


def unpoint() -> None:
    st.query_params.pop(POINT, None)
    st.session_state[CLEARED] = st.session_state.get(CLEARED, 0) + 1


layout.page("Embeddings", show)
