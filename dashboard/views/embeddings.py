"""A map of the features: clusters, misclassified rows, and the images behind the points."""

from __future__ import annotations

import base64
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from safetensors.numpy import load

from dashboard import text
from dashboard.charts.chart_spec import drawing
from dashboard.charts.numbers import PREDICTED, TRUE
from dashboard.charts.scatter import (
    BOX,
    LABEL_SET,
    LABEL_STATE,
    LEGEND,
    MOST_IN_LEGEND,
    POINT,
    VIEW,
    Colouring,
    MapOverlays,
    scatter,
)
from dashboard.frames import labels as label_frames
from dashboard.frames import numbers as number_frames
from dashboard.frames import predictions as prediction_frames
from dashboard.frames import projection as projection_frames
from dashboard.runs.run_info import RunInfo
from dashboard.ui import gallery, label_corrections, layout, links, state, tagging
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
CORRECT, WRONG = "correct", "misclassified"
VALUES = {"correctness": [CORRECT, WRONG], "split": ["train", "val", "test"]}
CORRUPTION, NOISE = "corruption", "known noise"  # column, and its name as a colour where there is some
TAG, UNTAGGED = "tag", "no tag"  # column and colour, where people have tagged rows; the others
GROUP = "group"  # … where rows have a group: a patient, a person
SCORE = "score"  # … where there are numbers of the rows
SHADE = "number_shown"  # column of the chosen number
ONE_LABEL, COUNTED, TOGETHER = "one label", label_frames.COUNT, "labels"  # … where rows have several labels
NUMBERS = {TRUE: "true number", PREDICTED: "predicted number", number_frames.ERROR: "error"}
CLEAN, UNKNOWN = "clean", "unknown"
EVERY = "all"
CELL = (links.LABEL, links.PRED, links.SPLIT)  # parameters of the address: the cell whose rows are matches
ADD, FIND, PAGE, PERPLEXITY, NAMES = "add", "find", "page", "perplexity", "names"
METHOD, TSNE, PCA = "method", "t-SNE", "PCA"  # control, and what it offers
SIMILAR = "similar"  # whether images like the selected ones are shown
LABEL = "of_label"
MAP_CONTROLS = ("head", "colour", "rows", FIND, ADD, METHOD, PERPLEXITY)
CONTROLS = (*MAP_CONTROLS, "pictures", NAMES, SCORE, LABEL, links.HEAD)
CONTROLS_HEIGHT = 155  # pixels
CLEARED = "map-cleared"  # session: how often box and point were cleared
LATEST = "map-latest"  # session: what was chosen last, BOX (or in the legend), POINT or TABLE
PICKED_AT_FIRST = "map-picked"  # session: widget and column of the map, and the classes it began with
MAP = "map-{}-{}"  # widget: of a run, and of how often it was cleared
TABLE = "table-{}"
MAP_SHARE, GALLERY_SHARE = 21, 10  # of the width
CHARACTER = (7.5 / 580, 15 / 580)  # size of one in a class name, as shares of the map's side
PER_PAGE = 18
MOST_NAMED = 6  # classes of the legend in a sentence


class Asked(NamedTuple):
    """What the controls say."""

    colour: str
    head: str
    split: str
    perplexity: int | None  # of t-SNE; None: principal components
    images: bool
    names: bool


class Map(NamedTuple):
    """What every section needs."""

    info: RunInfo
    head: str
    every: pd.DataFrame  # every point
    drawn: pd.DataFrame
    lit: pd.Series | None  # which of the drawn ones match cell and search; None: nothing is dimmed
    boxes: list[projection_frames.Box]
    point: str | None  # id of the chosen one
    technique: str  # what the map is, and where there are several which; as `says` begins with it
    colouring: Colouring  # with the classes that the address picks from the legend
    version: (
        Hashable  # changes with the tables of the run, the map, the head, the split, the colours, the lit
    )

    @property
    def of_numbers(self) -> bool:
        """Whether a number is predicted, and not a class."""
        return self.info.objective.numbers

    @property
    def of_labels(self) -> bool:
        """Whether rows have several labels."""
        return self.info.objective.labels

    @property
    def wrong(self) -> str:
        """What a row is that was not predicted as it is labelled."""
        return "with a missed or wrong label" if self.of_labels else "misclassified"

    @property
    def order(self) -> tuple[str, str]:
        """By which column chosen rows are sorted, the largest first, and what that is called."""
        if self.of_numbers:
            return number_frames.AWAY, "largest error first"
        if self.of_labels:
            return label_frames.LOG_LOSS, "largest log-loss first"
        return "confidence", "most confident first"


def show(info: RunInfo) -> None:
    projection, samples = state.table(info, Artifact.PROJECTION), state.table(info, Artifact.SAMPLES)
    predictions = state.table(info, Artifact.PREDICTIONS)
    if projection is None or samples is None or predictions is None:
        layout.missing(info, "the map")
        return
    predictions = in_words(info, predictions)
    classes = state.summary(info).get(Summary.LABEL_NAMES if info.objective.labels else Summary.CLASSES, [])
    measured = state.measured(info)
    tables = (Artifact.PROJECTION, Artifact.SAMPLES, Artifact.PREDICTIONS)
    versions = [*(state.version(info, one) for one in tables), measured.version, tagging.version(info)]
    version: Hashable = ("map", info.run_id, *versions)
    tags = tagging.tags(info)
    offered = state.kept((version, "offered"), lambda: offer(predictions, samples, measured, classes, tags))
    perplexities = Projection.perplexities(projection.columns)
    pca = Projection.X_PCA in projection
    source = Source(info, projection, samples, predictions, measured, classes, tags, version)
    layout.controlled(
        lambda: controls(offered, perplexities, pca=pca),
        first_asked(offered, perplexities),
        lambda asked: show_map(source, asked, several=len(perplexities) > 1),
        names=CONTROLS,
        height=CONTROLS_HEIGHT,
    )


def in_words(info: RunInfo, predictions: pd.DataFrame) -> pd.DataFrame:
    """PREDICTIONS with ``label``, ``pred`` and ``confidence``, whatever is predicted."""
    if not info.objective.numbers and not info.objective.labels:
        return predictions
    summary = state.summary(info)

    def made() -> pd.DataFrame:
        if info.objective.numbers:
            return number_frames.as_points(predictions)
        return label_frames.as_points(label_frames.of_run(predictions, summary))

    return state.kept(("map-in-words", info.run_id, state.version(info, Artifact.PREDICTIONS)), made)


class Source(NamedTuple):
    """The tables behind the map."""

    info: RunInfo
    projection: pd.DataFrame
    samples: pd.DataFrame
    predictions: pd.DataFrame
    measured: state.Measured
    classes: list[str]
    tags: dict[str, str]  # of rows, by sample id
    version: Hashable


def show_map(source: Source, asked: Asked, *, several: bool) -> None:
    """The map, beside it the images of what is selected, below them the table."""
    info, projection, samples, predictions, measured, classes, tags, version = source
    colour, head, split, perplexity = asked[:4]
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
    label = pick_label(classes) if colour == ONE_LABEL else ""
    version = (version, head, split, colour, score, label)

    def of_split() -> tuple[pd.DataFrame, str, list[str]]:
        chosen = every if split == EVERY else every[every["split"] == split]
        drawn = projection_frames.sample_evenly(chosen, MOST_POINTS)
        if score:
            drawn = drawn.assign(**{SHADE: drawn["sample_id"].map(numbers[score])})
        elif label:
            states = label_frames.state_by_sample(answered, classes.index(label))
            drawn = drawn.assign(**{LABEL_STATE: drawn["sample_id"].map(states)})
        if tags:
            drawn = drawn.assign(**{TAG: drawn["sample_id"].map(tags).fillna(UNTAGGED)})
        return coloured(drawn, every, colour, classes)

    drawn, column, values = state.kept((version, "drawn"), of_split)
    if drawn.empty:
        layout.empty("The map has no rows of this split.", ":material/filter_alt_off:")
        return
    version = (version, cell_asked(), st.session_state.get(FIND, ""))
    lit = state.kept((version, "lit"), lambda: lit_ones(drawn))
    technique = state.kept((version, "technique"), lambda: says_technique(source, perplexity, several))
    colouring = Colouring(column, score or label or colour, values, picked(values))
    there = Map(info, head, every, drawn, lit, boxes(), chosen_point(every), technique, colouring, version)
    left, right = st.columns([MAP_SHARE, GALLERY_SHARE], gap="medium")
    with left:
        total = predictions[Predictions.SAMPLE_ID].nunique()
        layout.verdict(account(there, total))
        draw(there, asked)
        says(there, score, len(values))
    beside(there, right)


def beside(there: Map, right: Any) -> None:
    """What was chosen last comes first, so that it is seen without scrolling; what a row of the table leads
    to stands below the table."""
    found = chosen_rows(there)
    latest = st.session_state.get(LATEST, POINT)
    with right:
        if latest == POINT:
            neighbours(there)
        selected(there, found)
        if latest == BOX:
            neighbours(there)
    if found is not None and len(found):
        table(there, found)
        tools(there, found)
    if latest == TABLE:
        neighbours(there)


def numbers_of(
    samples: pd.DataFrame, measured: state.Measured, answered: pd.DataFrame, classes: list[str]
) -> pd.DataFrame:
    """`answers.numbers`, and what probability the head gave each row's label."""
    numbers = projection_frames.numbers(samples, measured.images, measured.scores)
    if PREDICTED in answered:
        of_sample = answered.drop_duplicates(Predictions.SAMPLE_ID).set_index(Predictions.SAMPLE_ID)
        return of_sample[list(NUMBERS)].rename(columns=NUMBERS).join(numbers)
    if COUNTED in answered:
        return label_frames.numbers(answered, classes).join(numbers)
    return numbers.assign(
        **{projection_frames.LABEL_PROBABILITY: projection_frames.label_probability(answered, classes)}
    )


class Offer(NamedTuple):
    """What there is to choose from."""

    heads: dict[str, str]
    splits: list[str]
    colours: list[str]
    images: bool


def offer(
    predictions: pd.DataFrame,
    samples: pd.DataFrame,
    measured: state.Measured,
    classes: list[str],
    tags: Mapping[str, str],
) -> Offer:
    heads = {text.clean(name): name for name in predictions[Predictions.HEAD].unique()}
    known = set(predictions[Predictions.SPLIT].unique())
    splits = [name for name in ("train", "val", "test") if name in known]
    colours = list(COLOURS)
    if PREDICTED in predictions:
        colours = [SCORE, "split"]
    elif COUNTED in predictions:
        colours = [*([ONE_LABEL] if classes else []), COUNTED, TOGETHER, "split"]
    if samples.get(Samples.CORRUPTED, pd.Series(dtype=object)).notna().any():
        colours.append(NOISE)
    if samples[Samples.GROUP].fillna("").ne("").any():
        colours.append(GROUP)
    if tags:
        colours.append(TAG)
    if SCORE not in colours and (classes or _has_numbers(samples, measured)):
        colours.append(SCORE)
    return Offer(heads, splits, colours, bool(samples[Samples.THUMBNAIL].notna().any()))


def _has_numbers(samples: pd.DataFrame, measured: state.Measured) -> bool:
    return len(projection_frames.numbers(samples, measured.images, measured.scores).columns) > 0


def first_asked(offered: Offer, perplexities: list[int]) -> Asked:
    """What `controls` says before anybody has touched it."""
    usual = Projection.USUAL if len(perplexities) > 1 else perplexities[0]
    return Asked(
        offered.colours[0], next(iter(offered.heads.values())), EVERY, usual, offered.images, names=True
    )


def controls(offered: Offer, perplexities: list[int], *, pca: bool) -> Asked:
    """Colour, head, split, kind of map and what is drawn, all kept in the address."""
    heads, splits, colours, with_image = offered
    links.take_over(links.HEAD, "head", list(heads))
    with st.container(horizontal=True, gap="medium"):
        head = st.selectbox("Head", list(heads), key="head", bind="query-params", width=200)
        links.understand_earlier("colour", {"spoiled": NOISE})
        colour = st.segmented_control(
            "Colour by",
            colours,
            default=colours[0],
            required=True,
            key="colour",
            bind="query-params",
            on_change=forget_legend,
        )
        split = st.segmented_control(
            "Rows", [EVERY, *splits], default=EVERY, required=True, key="rows", bind="query-params"
        )
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        st.text_input(
            "Find",
            key=FIND,
            bind="query-params",
            placeholder="label, file name or caption",
            icon=":material/search:",
            width=260,
            on_change=first_page,
        )
        perplexity = None if pca and pick_method() == PCA else pick_perplexity(perplexities)
        st.toggle("Keep earlier boxes", key=ADD, bind="query-params")
        shows_images = with_image and st.toggle("Images", value=True, key="pictures", bind="query-params")
        shows_names = st.toggle("Class names", value=True, key=NAMES, bind="query-params")
    return Asked(colour, heads[head], split, perplexity, shows_images, shows_names)


def pick_method() -> str:
    """Which kind of map."""
    return st.segmented_control(
        "Map",
        [TSNE, PCA],
        default=TSNE,
        required=True,
        key=METHOD,
        bind="query-params",
        on_change=forget_boxes,
    )


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
        help="Effective number of neighbours in t-SNE. Low values show fine clusters, high values global "
        "structure. Structure at every perplexity is most likely real.",
        on_change=forget_boxes,
    )


def at_perplexity(projection: pd.DataFrame, perplexity: int | None) -> pd.DataFrame:
    """PROJECTION with the map at a perplexity as its only one, or the principal components."""
    stored = (Projection.X_PCA, Projection.Y_PCA) if perplexity is None else Projection.at(perplexity)
    places = dict(zip(stored, (Projection.X, Projection.Y), strict=True))
    return projection[[Projection.SAMPLE_ID, *places]].rename(columns=places)


def pick_score(numbers: pd.DataFrame) -> str:
    names = {text.clean(name): name for name in numbers.columns}
    return names[st.selectbox("Score", list(names), key="score", bind="query-params", width=320)]


def pick_label(names: list[str]) -> str:
    """Which of several labels colours the map."""
    shown = {words: name for name, words in prediction_frames.shown_names(names).items()}
    return shown[st.selectbox("Label", list(shown), key=LABEL, bind="query-params", width=320)]


def points(projection: pd.DataFrame, samples: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per point with everything the chart, its tooltip and the tables need."""
    told = [*NUMBERS, number_frames.AWAY, COUNTED, label_frames.LOG_LOSS]
    told = [name for name in told if name in predictions]
    answers = predictions[["sample_id", "label", "pred", "confidence", "split", *told]]
    kept = [Samples.SAMPLE_ID, Samples.CAPTION, Samples.THUMBNAIL, Samples.GROUP, Samples.CONTENT_HASH]
    seen = samples[[name for name in kept if name in samples]].assign(
        **{CORRUPTION: samples.get(Samples.CORRUPTED)}
    )
    numbered = projection.reset_index(drop=True).rename_axis("number").reset_index()
    frame = numbered.merge(answers, on="sample_id").merge(seen, on="sample_id", how="left")
    frame["outcome"] = (frame["label"] == frame["pred"]).map({True: CORRECT, False: WRONG})
    frame[CORRUPTION] = [
        (text.clean(how, longest=40) or CLEAN) if isinstance(how, str) else UNKNOWN
        for how in frame[CORRUPTION]
    ]
    frame[Samples.CAPTION] = frame[Samples.CAPTION].fillna("")
    return frame.sort_values("outcome", kind="stable")  # the misclassified are drawn last, on top


def coloured(
    drawn: pd.DataFrame, every: pd.DataFrame, colour: str, logged: list[str]
) -> tuple[pd.DataFrame, str, list[str]]:
    """Points, the column that colours them, and its values as the legend has them (none: a number)."""
    if colour in (SCORE, "confidence"):
        return drawn, SHADE if colour == SCORE else colour, []
    if colour == COUNTED:
        return drawn.assign(**{SHADE: drawn[COUNTED]}), SHADE, []
    if colour == ONE_LABEL:
        return drawn, LABEL_STATE, list(label_frames.STATES)
    if colour == NOISE:
        return drawn, CORRUPTION, [CLEAN, *sorted(set(every[CORRUPTION]) - {CLEAN})]
    if colour == GROUP:
        groups, order = projection_frames.largest_groups(every[GROUP])
        return drawn.assign(**{GROUP: groups.reindex(drawn.index)}), GROUP, order
    if colour == TAG:
        shown, order = projection_frames.largest_groups(
            drawn[TAG].replace(UNTAGGED, ""), others="rarer tags", none=UNTAGGED
        )
        return drawn.assign(**{TAG: shown}), TAG, order
    if colour in VALUES:
        return drawn, COLOURS[colour], VALUES[colour]
    if colour == TOGETHER:
        sets, order = projection_frames.largest_groups(
            every["label"], others="rarer combinations", none="no other"
        )
        return drawn.assign(**{LABEL_SET: sets.reindex(drawn.index)}), LABEL_SET, order
    return drawn, COLOURS[colour], prediction_frames.class_order(every, logged, prediction_frames.AS_LOGGED)


# --- What is found, dragged and clicked -------------------------------------------------------


def cell_asked() -> tuple[str | None, str | None, str | None]:
    """Label, answer and split of the cell in the address."""
    label, pred = (st.query_params.get(name) for name in (links.LABEL, links.PRED))
    return label, pred, st.query_params.get(links.SPLIT, st.query_params.get("split"))


def lit_ones(drawn: pd.DataFrame) -> pd.Series | None:
    """Which points match the cell in the address and the search; None without either."""
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


def picked(values: list[str]) -> tuple[str, ...]:
    """What the address picks of a legend with these values."""
    wanted = st.query_params.get_all(LEGEND)
    return tuple(name for name in values if name in wanted) if len(values) <= MOST_IN_LEGEND else ()


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
    """Clear boxes, point and what was picked in the legend."""
    for name in (BOX, POINT, LEGEND):
        st.query_params.pop(name, None)
    first_page()
    st.session_state[CLEARED] = st.session_state.get(CLEARED, 0) + 1


def forget_boxes() -> None:
    """Clear boxes: on another map they hold other points. The point stays."""
    st.query_params.pop(BOX, None)
    first_page()
    st.session_state[CLEARED] = st.session_state.get(CLEARED, 0) + 1


def forget_legend() -> None:
    """Clear what was picked in the legend: other colours have other classes."""
    if st.query_params.get_all(LEGEND):
        st.query_params.pop(LEGEND)
        first_page()
        st.session_state[CLEARED] = st.session_state.get(CLEARED, 0) + 1


def unlight() -> None:
    """Clear cell and search."""
    for name in (*CELL, "split"):
        st.query_params.pop(name, None)
    st.session_state[FIND] = ""
    first_page()


def touched(key: str, ids: pd.Series, names: Mapping[str, str]) -> None:
    """Note a new box, a click on a point, in the legend, or on nothing.

    Args:
        names: of the classes in the legend, by what they are called there.
    """
    now = st.session_state[key]["selection"]
    before = st.session_state.get(f"{key}-before", {})
    st.session_state[f"{key}-before"] = {name: now.get(name) for name in (BOX, POINT, LEGEND)}
    box, point, legend = now.get(BOX), now.get(POINT), now.get(LEGEND) or []
    if legend != (before.get(LEGEND) or []):
        st.query_params[LEGEND] = [names[value] for one in legend for value in one.values() if value in names]
        st.session_state[LATEST] = BOX
        first_page()
    elif box and box != before.get(BOX):
        new = (*sorted(box["x"]), *sorted(box["y"]))
        before_it = boxes()
        if any(projection_frames.same_box(new, one) for one in before_it):
            return  # the map was moved, and the box with it
        kept = before_it if st.session_state.get(ADD) else []
        st.query_params[BOX] = projection_frames.boxes_to([*kept, new])
        st.session_state[LATEST] = BOX
        first_page()
    elif point and point != before.get(POINT):
        st.query_params[POINT] = ids[int(point[0]["number"])]
        st.session_state[LATEST] = POINT
    elif not box and not point and (before.get(BOX) or before.get(POINT)):
        for name in (BOX, POINT):
            st.query_params.pop(name, None)


def picked_at_first(key: str, colouring: Colouring) -> tuple[str, ...]:
    """What is picked in the legend of a map as it is first drawn. Clicks that follow are the browser's alone:
    were they part of the chart, each would send it once more."""
    map_ = (key, colouring.column)
    if state.waits_for_chart() or st.session_state.get(PICKED_AT_FIRST, ((), ()))[0] != map_:
        st.session_state[PICKED_AT_FIRST] = (map_, colouring.picked)
    return tuple(st.session_state[PICKED_AT_FIRST][1])


def shown_classes(colouring: Colouring) -> dict[str, str]:
    """What the classes are called in legend and chart, by name."""
    names = colouring.classes
    words = prediction_frames.shown_names(names) if colouring.column in ("label", "pred") else {}
    return {name: words.get(name, name) for name in names}


def draw(there: Map, asked: Asked) -> None:
    key = MAP.format(there.info.run_id, st.session_state.get(CLEARED, 0))
    at_first = picked_at_first(key, there.colouring)
    overlay = (asked.images, asked.names, tuple(there.boxes), there.point, at_first)
    figure = state.kept((there.version, *overlay), lambda: drawing(map_chart(there, at_first, asked)))
    ids = there.every.set_index("number")["sample_id"]
    names = {words: name for name, words in shown_classes(there.colouring).items()}
    layout.chart(
        figure,
        for_table(there.drawn).assign(x=there.drawn["x"], y=there.drawn["y"]),
        name="map",
        alt_text=f"Map of {len(there.drawn)} points, coloured by {there.colouring.title}. "
        "Find lists points without a mouse.",
        n=text.count(len(there.drawn), "row"),
        key=key,
        on_select=lambda: touched(key, ids, names),
        selection_mode=[BOX, POINT, VIEW, LEGEND],
    )


def map_chart(there: Map, at_first: tuple[str, ...], asked: Asked) -> alt.LayerChart:
    """The chart of the map, with what is picked in its legend at first."""
    column, title = there.colouring.column, there.colouring.title
    of_classes, shown = column in ("label", "pred"), shown_classes(there.colouring)
    drawn = for_chart(there.drawn, shown if of_classes else {})
    lit = drawn[there.lit] if there.lit is not None else None
    around = neighbourhood(there)
    bright = drawn if lit is None else lit
    with_image = landmarks(bright.loc[bright["image"].notna(), ["x", "y"]], fewest=3 if lit is None else 1)
    overlays = MapOverlays(
        images=drawn.loc[with_image] if asked.images else None,
        lit=lit,
        marked=around[["x", "y", "number"]].assign(here=around["sample_id"] == there.point),
        boxes=there.boxes,
        names=projection_frames.class_names(bright, column, size=CHARACTER)
        if asked.names and of_classes
        else None,
    )
    return scatter(
        drawn,
        Colouring(
            column,
            text.clean(title, longest=40),
            list(shown.values()),
            tuple(shown[name] for name in at_first),
        ),
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


def account(there: Map, total: int) -> str:
    """How many rows are drawn and misclassified."""
    drawn = there.drawn
    wrong = int((drawn["outcome"] == WRONG).sum())
    some = f"{len(drawn):,} of {text.count(total, 'row')}"
    rows = text.count(total, "row") if len(drawn) == total else some
    if there.of_numbers:
        error = text.quantity(float(drawn[number_frames.AWAY].mean()))
        return f"{rows}, {_quoted(there.head)} is off by {error} on average"
    return f"{rows}, {wrong:,} {there.wrong} by {_quoted(there.head)}"


def says(there: Map, score: str, named: int) -> None:
    """How to use the map, and how it was computed."""
    legend = ""
    if named > MOST_IN_LEGEND:
        legend = f" No legend for {named} classes: hover for names, or use Find."
    elif named:
        legend = " Click classes in the legend for theirs."
    known = f" {score_known(there.drawn, score)}" if score else ""
    layout.sentence(f"Drag a box for its images, click a point for its neighbours.{legend}{known}")
    layout.how(
        there.technique,
        "Shift and drag pans, Shift and wheel zooms, double-click resets.",
    )


def says_technique(source: Source, perplexity: int | None, several: bool) -> str:
    """What the map is, and what can be read from it."""
    if perplexity is None:
        share = variance_share(source)
        held = f", which hold {share:.0%} of their variance" if share is not None else ""
        return (
            f"First two principal components of the features{held}. Far points differ; near ones may differ "
            "in what the map leaves out. Both axes have one scale."
        )
    at = f" at perplexity {perplexity}" if several else ""
    lacking = "" if Projection.X_PCA in source.projection else " This sweep is from before PCA was stored."
    return (
        f"t-SNE of the features{at}. Near points are similar; axes and distances between clusters mean "
        f"nothing. Both axes have one scale.{lacking}"
    )


def variance_share(source: Source) -> float | None:
    """Which share of the variance of the features the principal components on record have; None where the
    sweep kept no features."""
    content = state.file(source.info, Artifact.VECTORS)
    if content is None:
        return None
    total = float(load(content)["vectors"].astype(np.float32).var(axis=0).sum())
    held = source.projection[[Projection.X_PCA, Projection.Y_PCA]].to_numpy(float).var(axis=0).sum()
    return min(float(held) / total, 1.0) if total > 0 else None


def matched_by() -> str:
    """What the matches match."""
    label, pred, split = cell_asked()
    words = st.session_state.get(FIND, "").strip()
    parts = [f"label {_quoted(label)}"] if label is not None else []
    parts += [f"predicted {_quoted(pred)}"] if pred is not None else []
    parts += [text.plain(split)] if split and parts else []
    parts += [f"search {_quoted(words)}"] if words else []
    return ", ".join(parts)


def _matches(count: int) -> str:
    return "1 match" if count == 1 else f"{count:,} matches"


def _listed(names: tuple[str, ...]) -> str:
    """Names in quotes, the first few."""
    rest = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(_quoted(name) for name in names[:MOST_NAMED]) + rest


def _quoted(words: object) -> str:
    return f"“{text.plain(words, longest=40)}”"


def score_known(drawn: pd.DataFrame, score: str) -> str:
    known = int(drawn[SHADE].notna().sum())
    grey = f"; the other {len(drawn) - known:,} are grey" if known < len(drawn) else ""
    return (
        f"{text.plain(score)} is known for {text.count(known, 'row')}{grey}. Colours clipped at 1 % and 99 %."
    )


# --- Beside and below the map -----------------------------------------------------------------


def for_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of points for tables and export."""
    first = ["label", "pred", "confidence", SHADE, "cosine", "distance", "split"]
    columns = [*first, "sample_id", "caption", CORRUPTION, GROUP, TAG]
    return frame[[name for name in columns if name in frame]]


def chosen_rows(there: Map) -> pd.DataFrame | None:
    """The rows that are in the boxes, of the classes picked in the legend and among the matches, as far as
    there are any of these, sorted by `Map.order`; None without all three."""
    if not there.boxes and there.lit is None and not there.colouring.picked:
        return None
    mask = there.lit if there.lit is not None else pd.Series(True, index=there.drawn.index)
    if there.colouring.picked:
        mask = mask & there.drawn[there.colouring.column].isin(there.colouring.picked)
    if there.boxes:
        mask = mask & projection_frames.within(there.drawn, there.boxes)
    return there.drawn[mask].sort_values(there.order[0], ascending=False, kind="stable")


def selected(there: Map, found: pd.DataFrame | None) -> None:
    """The images of the chosen rows."""
    st.subheader("Selected images")
    if found is None:
        layout.empty("Drag a box on the map, click its legend, or search above.", ":material/select_all:")
        return
    wrong = int((found["outcome"] == WRONG).sum())
    what = "" if there.lit is None else _matches(int(there.lit.sum()))
    if there.boxes or there.colouring.picked:
        several = f" in {len(there.boxes)} boxes" if len(there.boxes) > 1 else ""
        what = f"{len(found):,} selected{several}{what and f' of {what}'}"
    layout.verdict(what if there.of_numbers else f"{what}, {wrong:,} {there.wrong}")
    if there.lit is not None:
        layout.sentence(f"Matches: {matched_by()}.")
    if there.colouring.picked:
        layout.sentence(f"{text.plain(there.colouring.title)}: {_listed(there.colouring.picked)}.")
    with st.container(horizontal=True, gap="small"):
        if there.boxes or there.colouring.picked:
            st.button("Clear selection", icon=":material/close:", type="tertiary", on_click=forget)
        if there.lit is not None:
            st.button(
                "Clear matches", icon=":material/close:", type="tertiary", key="unlight", on_click=unlight
            )
    if found.empty:
        layout.empty("No rows here.", ":material/filter_alt_off:")
        return
    says_ = [answer(row) for row in found.to_dict("records")]
    shown = found.assign(**{gallery.SAYS: says_})
    gallery.show(
        shown,
        key=PAGE,
        order=there.order[1],
        per_page=PER_PAGE,
        similar_in=there.info.run_id,
    )


def answer(row: Mapping[Any, Any]) -> str:
    if PREDICTED in row:
        return number_frames.said(row)
    if COUNTED in row:
        told = [row["pred"]] if row["outcome"] == CORRECT else [row["label"], row["pred"]]
        return " → ".join(text.clean(one, longest=28) for one in told)
    arrow = "" if row["outcome"] == CORRECT else f"{text.clean(row['label'], longest=12)} → "
    return f"{arrow}{text.clean(row['pred'], longest=14)} {row['confidence']:.0%}"


def table(there: Map, found: pd.DataFrame) -> None:
    """Points as a table; selecting a row shows its neighbours without a mouse."""
    shown = for_table(found).copy()
    for name in set(shown.columns) & {"sample_id", "label", "pred", "caption", GROUP, CORRUPTION, TAG}:
        shown[name] = [text.clean(words, longest=200) for words in shown[name].fillna("")]
    shown = shown.loc[:, [not shown[name].isin(["", UNKNOWN, UNTAGGED]).all() for name in shown.columns]]
    key = TABLE.format(there.info.run_id)

    def picked() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        if rows and rows[0] < len(found):
            st.query_params[POINT] = found["sample_id"].iloc[rows[0]]
            st.session_state[LATEST] = TABLE

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
    layout.sentence("Select a row for its neighbours.")


def tools(there: Map, found: pd.DataFrame) -> None:
    """What can be done with the selected rows: see images like them, tag them, correct their labels."""
    similar(there, found)
    tagging.show(there.info, found, key="selected-tags")
    if not there.of_numbers and not there.of_labels:
        classes = state.summary(there.info).get(Summary.CLASSES) or []
        label_corrections.show(there.info, found, list(classes), key="selected-labels")


def similar(there: Map, found: pd.DataFrame) -> None:
    """On demand the images outside the selection that are most like it."""
    unit_nd, samples = state.vectors(there.info), state.table(there.info, Artifact.SAMPLES)
    if unit_nd is None or samples is None or len(unit_nd) != len(samples):
        return
    if not st.toggle("Similar images outside the selection", key=SIMILAR, bind="query-params"):
        return
    ids = samples[Samples.SAMPLE_ID].reset_index(drop=True)
    inside = ids.isin(found["sample_id"]).to_numpy()
    cosine = pd.Series(projection_frames.cosine_to_mean(unit_nd, inside), index=ids).groupby(level=0).first()
    others = there.every[~there.every["sample_id"].isin(found["sample_id"])]
    near = others.assign(cosine=others["sample_id"].map(cosine)).nlargest(PER_PAGE, "cosine")
    said = [f"{one.cosine:.3f} · {text.clean(one.label, longest=14)}" for one in near.itertuples()]
    gallery.show(
        near.assign(**{gallery.SAYS: said}),
        key="like",
        order=f"by cosine to the mean of the {text.count(len(found), 'selected image')}",
        per_page=PER_PAGE,
        similar_in=there.info.run_id,
    )
    layout.export(for_table(near), name="similar")


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
    """The rows nearest to the chosen point."""
    if there.point is None:
        return
    found = neighbourhood(there)
    in_features = "cosine" in found
    st.subheader("Nearest neighbours")
    here, others = found.iloc[0], found.iloc[1:]
    layout.verdict(_share(there, here, others))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if not there.of_numbers and not there.of_labels:
            st.page_link(
                "views/confusion.py",
                label="Its confusion matrix cell",
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
        said = ["selected", *(f"cosine {cosine:.3f}" for cosine in others["cosine"])]
        order = "by cosine similarity in feature space"
    else:
        said = ["selected", *(f"{away:.2f} away" for away in others["distance"])]
        order = "by distance on the map"
    labels = [text.clean(label, longest=14) for label in found["label"]]
    gallery.show(
        found.assign(**{gallery.SAYS: [f"{one} · {label}" for one, label in zip(said, labels, strict=True)]}),
        key="near",
        order=f"{_quoted(here['sample_id'])} and its neighbours {order}, ringed on the map",
        per_page=PER_PAGE,
        similar_in=there.info.run_id,
    )
    layout.how(
        "Neighbours by cosine similarity of the features, among all rows of the map. Neighbours that lie far "
        "away on the map were separated by it."
        if in_features
        else "This sweep stored no features, so neighbours are those on the map. It keeps most neighbours "
        "near, not all; distances are in units of the map."
    )
    layout.export(for_table(found), name="nearest")


def _share(there: Map, here: pd.Series, others: pd.DataFrame) -> str:
    """What the neighbours have in common with the point."""
    if there.of_numbers:
        mean = text.quantity(float(others[TRUE].mean()))
        return f"True number {text.quantity(here[TRUE])}; the {len(others)} nearest have {mean} on average"
    alike = int((others["label"] == here["label"]).sum())
    if there.of_labels:
        return f"{alike} of {len(others)} nearest have the same labels: {_quoted(here['label'])}"
    return f"{alike} of {len(others)} nearest share the label {_quoted(here['label'])}"


def unpoint() -> None:
    st.query_params.pop(POINT, None)
    st.session_state[CLEARED] = st.session_state.get(CLEARED, 0) + 1


layout.page("Embeddings", show)
