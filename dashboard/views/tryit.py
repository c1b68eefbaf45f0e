"""Try the best head on an image: prediction, zero-shot, nearest training images, position on the map."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import explain as charts
from dashboard.charts import labels as label_charts
from dashboard.frames import labels as label_frames
from dashboard.frames.predictions import BEST, shown_names
from dashboard.runs import artifacts
from dashboard.runs.run_info import RunInfo
from dashboard.ui import gallery, layout, links, state, upload
from trainer.tracking.schema import Artifact, Kind, Predictions, Projection, Samples

if TYPE_CHECKING:
    from trainer.serving.explain import Explainer, Explanation
    from trainer.serving.predictor import SaidLabels

MOST_CLASSES = 12  # in the chart; the table behind it has all
MOST_LABELS = 24  # in their chart
NEIGHBOURS = 12
IMAGE = 132  # pixels: two fit side by side
OWN, ROW = "your image", "test row"
SEVERAL = "which"
COSINE = "cosine"  # column: similarity of a training image


class Answer(NamedTuple):
    """A prediction and what is shown with it."""

    name: str
    image: bytes | None  # to be shown; None where there is none
    probabilities_c: np.ndarray
    zero_shot_c: np.ndarray | None
    near: list[tuple[int, float]]
    xy: tuple[float, float] | None
    thumbnail: bytes | None
    label: str | None  # the true one, of a test row
    row: int | None  # of the map, of a test row
    key: Hashable
    novel: bool | None  # unlike the training images; None: the head cannot tell
    inputs: tuple[bytes, ...] = ()  # what each encoder sees; () where the file is not at hand
    true_labels: tuple[str, ...] | None = None  # of a test row, where rows have several labels


def show(info: RunInfo) -> None:
    if head_of(info) is None:
        layout.missing(info, "the model")
        return
    samples, projection = state.table(info, Artifact.SAMPLES), state.table(info, Artifact.PROJECTION)
    if samples is None or projection is None:
        layout.missing(info, "the model")
        return
    samples = samples.merge(projection, on=Samples.SAMPLE_ID, how="left", validate="1:1")
    try:
        trying = loaded(info, samples)
    except ValueError as error:  # the trainer's InputError: one paragraph for people
        st.error(text.plain(error, longest=800), icon=":material/broken_image:")
        return
    sources = [OWN, ROW] if trying.recorded.encoders else [ROW]
    if len(sources) == 1:
        st.info(
            "Trained on precomputed features, so new images cannot be encoded. Its test rows are shown.",
            icon=":material/info:",
        )
    links.understand_earlier("source", {"an image of yours": OWN, "a test row": ROW})
    source = st.segmented_control(
        "Source", sources, default=sources[0], required=True, key="source", bind="query-params"
    )
    asked = dropped(info, trying) if source == OWN else test_row(info, trying, samples)
    if asked is None:
        return
    if trying.recorded.numbers:
        number(trying, asked)
        nearest_numbers(asked, samples)
        return
    if trying.recorded.said is not None:
        several(trying, trying.recorded.said, asked)
        nearest_labels(info, trying.recorded.said, asked, samples)
        likeliest = labels_of(trying.recorded.said, asked)["label"].iloc[0]
        having = true_labels(info)
        on_the_map(trying, asked, samples, likeliest, lambda row: likeliest in having.get(row, ()))
        return
    verdict(trying, asked)
    neighbours(info, trying, asked, samples)
    best = trying.recorded.classes[int(asked.probabilities_c.argmax())]
    labelled = dict(zip(samples[Samples.SAMPLE_ID], samples[Samples.LABEL], strict=True))
    on_the_map(trying, asked, samples, best, lambda row: labelled[row] == best)


# --- What is asked ----------------------------------------------------------------------------


@st.cache_resource(max_entries=2, show_spinner="Loading the model …")
def _trying(uri: str, run_id: str, version: Hashable, _parts: tuple[Any, ...]) -> Explainer:
    """Two at most: each keeps an encoder once an image was dropped."""
    from trainer.serving.explain import Explainer  # imports torch, which no other page needs

    (card, weights), vectors, xy_n2, train_n, model = _parts
    return Explainer(card, weights, vectors=vectors, xy_n2=xy_n2, train_n=train_n, model=model)


def loaded(info: RunInfo, samples: pd.DataFrame) -> Explainer:
    parts = (Artifact.HEAD_WEIGHTS, Artifact.VECTORS, Artifact.SAMPLES, Artifact.PROJECTION)
    version = tuple(state.version(info, part) for part in parts)
    xy_n2 = samples[[Projection.X, Projection.Y]].to_numpy(dtype=float)
    train_n = (samples[Samples.SPLIT] == "train").to_numpy()
    model = partial(carrying_model, info)
    files = (head_of(info), state.file(info, Artifact.VECTORS), xy_n2, train_n, model)
    return _trying(state.default_tracking_uri(), info.run_id, version, files)


def carrying_model(info: RunInfo) -> Path | None:
    """The folder that holds the encoder of a fine-tuning; ``None`` of a sweep, whose encoder has a name."""
    if info.kind != Kind.FINE_TUNING:
        return None
    return artifacts.Files(state.default_tracking_uri()).folder(info.artifact_uri, Artifact.MODEL_DATA)


def head_of(info: RunInfo) -> tuple[bytes, bytes] | None:
    """Card and weights of the best head; ``None`` until the sweep is done."""
    card, weights = (state.file(info, part) for part in (Artifact.HEAD_CARD, Artifact.HEAD_WEIGHTS))
    return None if card is None or weights is None else (card, weights)


def dropped(info: RunInfo, trying: Explainer) -> Answer | None:
    """The prediction for an uploaded image; corrupt files are listed, each with its reason."""
    from trainer.serving.explain import readable_images

    extensions, described = readable_images()
    files = upload.uploader("Images", key="dropped", several=True, extensions=extensions)
    if not files:
        of = trying.recorded
        what = "number" if of.numbers else "labels" if of.labels else "class"
        layout.empty(
            f"Upload an image ({upload.limits(described)}) to see its {what} and the "
            "most similar training images.",
            ":material/add_photo_alternate:",
        )
        return None
    good = []
    for file in files:
        data = file.getvalue()
        try:
            with st.spinner("Encoding …"):
                answer = answered(info, trying, data)
        except ValueError as error:  # the trainer's InputError
            st.error(text.plain(error, longest=800), icon=":material/broken_image:")
            return None
        if answer.reason:
            st.warning(
                f"“{text.plain(file.name, longest=60)}” cannot be used: "
                f"{text.plain(answer.reason, longest=200)}. Try another image.",
                icon=":material/broken_image:",
            )
        else:
            good.append((file.name, data, answer))
    if not good:
        return None
    at = 0
    if len(good) > 1:
        names = [f"{i + 1}. {text.clean(name, longest=50)}" for i, (name, _, _) in enumerate(good)]
        at = names.index(st.selectbox("Image", names, key=SEVERAL, width=420))
    name, data, answer = good[at]
    return Answer(
        name,
        next(iter(answer.views), answer.thumbnail),
        answer.probabilities_c,
        answer.zero_shot_c,
        answer.near,
        answer.xy,
        answer.thumbnail,
        None,
        None,
        key_of(info, data),
        answer.novel,
        answer.views[1:],
    )


def key_of(info: RunInfo, data: bytes) -> Hashable:
    return "tried", info.run_id, state.version(info, Artifact.HEAD_WEIGHTS), hashlib.sha256(data).hexdigest()


def answered(info: RunInfo, trying: Explainer, data: bytes) -> Explanation:
    return state.kept((key_of(info, data), "answer"), lambda: trying.image(data, neighbours=NEIGHBOURS))


def test_row(info: RunInfo, trying: Explainer, samples: pd.DataFrame) -> Answer | None:
    """The recorded prediction for a row of the test set."""
    predictions = state.table(info, Artifact.PREDICTIONS)
    tests = samples[samples[Samples.SPLIT] == "test"]
    if predictions is None or tests.empty:
        layout.empty("The map has no test rows.", ":material/filter_alt_off:")
        return None
    names = dict(zip(map(str, tests.index), tests[Samples.SAMPLE_ID], strict=True))
    labels = dict(zip(names, tests[Samples.LABEL], strict=True))
    number = st.selectbox(
        "Test row",
        list(names),
        format_func=lambda one: (
            f"{text.clean(names[one], longest=50)} · {text.clean(labels[one], longest=30)}"
        ),
        key="row",
        bind="query-params",
        width=520,
    )
    row: dict[Any, Any] = samples.loc[int(number)].to_dict()
    name = row[Samples.SAMPLE_ID]
    told = predictions[(predictions[Predictions.HEAD] == BEST) & (predictions[Predictions.SAMPLE_ID] == name)]
    if told.empty:
        layout.empty("No prediction was recorded for this row.", ":material/hourglass_empty:")
        return None
    zero_shot_c, views = original(info, trying, name)
    thumbnail = row[Samples.THUMBNAIL] if isinstance(row[Samples.THUMBNAIL], bytes) else None
    recorded = trying.recorded
    kind = Predictions.NUMBER if recorded.numbers else Predictions.PROBS
    answer_c = told[Predictions.LABEL_PROBABILITIES if recorded.labels else kind].iloc[0]
    return Answer(
        name,
        next(iter(views), thumbnail),
        np.atleast_1d(answer_c),
        zero_shot_c,
        trying.nearest_to_row(int(number), neighbours=NEIGHBOURS),
        (float(row[Projection.X]), float(row[Projection.Y])),
        thumbnail,
        row[Samples.LABEL],
        int(number),
        ("tried", info.run_id, state.version(info, Artifact.SAMPLES), int(number)),
        trying.row_is_novel(int(number)),
        views[1:],
        tuple(told[Predictions.TRUE_LABELS].iloc[0]) if recorded.labels else None,
    )


def original(info: RunInfo, trying: Explainer, name: str) -> tuple[np.ndarray | None, tuple[bytes, ...]]:
    """The row's zero-shot probabilities, its image and what the encoders see, where the file is available."""
    if not trying.recorded.encoders:
        return None, ()
    from trainer.serving.explain import original

    def make() -> tuple[np.ndarray | None, tuple[bytes, ...]]:
        data = original(info.data, name)
        if data is None:
            return None, ()
        try:
            return trying.zero_shot(data), trying.views(data)
        except ValueError:  # no encoder: what was recorded is shown
            return None, ()

    return state.kept(("tried", info.run_id, "original", name), make)


# --- A number -------------------------------------------------------------------------------------


def number(trying: Explainer, asked: Answer) -> None:
    """The image, its number, and how far that may be off."""
    recorded, value = trying.recorded, float(asked.probabilities_c[0])
    if asked.image is not None:
        st.image(asked.image, width=180, alt=text.clean(asked.name))
    st.markdown(f"### {text.quantity(value)}")
    true = "" if asked.label is None else f" · true number {text.plain(asked.label, longest=30)}"
    st.caption(f"{text.plain(asked.name, longest=60)}{true}")
    width = recorded.half_width()
    if width is not None:
        ends = f"{text.quantity(value - width)} to {text.quantity(value + width)}"
        st.markdown(f"**{recorded.coverage:.0%} interval:** {ends}")


def nearest_numbers(asked: Answer, samples: pd.DataFrame) -> None:
    """The training images with the most similar features, and their numbers."""
    found = most_similar(asked, samples)
    if found is None:
        return
    numbers = found[Samples.LABEL].astype(float)
    layout.verdict(
        f"The {len(found)} nearest have {text.quantity(numbers.mean())} on average, from "
        f"{text.quantity(numbers.min())} to {text.quantity(numbers.max())}"
    )
    says_ = [
        f"{text.quantity(one)} · cosine {cosine:.2f}"
        for one, cosine in zip(numbers, found[COSINE], strict=True)
    ]
    gallery.show(
        gallery.with_images(found.assign(**{gallery.SAYS: says_}), samples),
        key="near",
        order="most similar first",
    )


def most_similar(asked: Answer, samples: pd.DataFrame) -> pd.DataFrame | None:
    """The training images with the most similar features, and how similar they are; None, and said, where
    there are no features."""
    st.subheader("Nearest training images")
    if not asked.near:
        layout.empty(
            "This sweep stored no features. Run it again to see the nearest training images and the map.",
            ":material/image_search:",
        )
        return None
    rows, cosines = zip(*asked.near, strict=True)
    return samples.iloc[list(rows)].assign(**{COSINE: cosines})


# --- Several labels -------------------------------------------------------------------------------


def several(trying: Explainer, known: SaidLabels, asked: Answer) -> None:
    """The image, the labels that are said, and the probability of each beside its threshold."""
    said = said_of(known, asked)
    left, right = st.columns([1, 2], gap="medium")
    with left:
        images(asked)
        st.markdown(f"### {named(said) or 'No label'}")
        st.caption(text.plain(asked.name, longest=60))
        if asked.novel:
            rate = trying.recorded.novelty.false_alarm_rate if trying.recorded.novelty else 0.0
            st.caption(f"Unlike the training images (false alarms: {100 * rate:.0f} %).")
        if asked.true_labels is not None:
            says_labels(said, asked.true_labels)
    with right:
        frame = labels_of(known, asked)
        shown = shown_names(list(frame["label"]))
        drawn = frame.head(MOST_LABELS).assign(label=lambda f: f["label"].map(shown))
        layout.chart(
            state.kept(
                (asked.key, "labels"),
                lambda: layout.written(label_charts.bars(drawn, dark=state.is_dark())),
            ),
            frame,
            name="label-probabilities",
            alt_text=f"Probabilities of {len(drawn)} labels with their thresholds; {len(said)} are said.",
            n="1 image",
        )
        some = f"Top {len(drawn)} of {len(frame)} labels. " if len(drawn) < len(frame) else ""
        layout.sentence(f"{some}A label is said where its bar reaches the tick, its threshold.")
        layout.how(
            "Each label has a probability of its own; they need not sum to 1. Thresholds have the highest F1 "
            "on rows that the head had not learned from, with which the probabilities were calibrated, too. "
            "Zero-shot does not apply to several labels, and neither do prediction sets."
        )


def named(labels: list[str] | tuple[str, ...], most: int = 6) -> str:
    """Labels in Markdown, in words; "" for none."""
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(text.plain(name, longest=40) for name in labels[:most]) + more


def said_of(known: SaidLabels, asked: Answer) -> list[str]:
    """The labels that reach their threshold, in the order of `labels_of`."""
    frame = labels_of(known, asked)
    return frame.loc[frame["said"], "label"].tolist()


def labels_of(known: SaidLabels, asked: Answer) -> pd.DataFrame:
    """``label, probability, threshold, said``: those that are said first, then by probability."""
    columns = {"label": known.names, "probability": asked.probabilities_c, "threshold": known.thresholds_c}
    frame = pd.DataFrame(columns)
    frame["said"] = frame["probability"] >= frame["threshold"]
    return frame.sort_values(["said", "probability"], ascending=False, kind="stable", ignore_index=True)


def says_labels(said: list[str], true: tuple[str, ...]) -> None:
    """Whether the labels of a test row are those that are said."""
    missed = [name for name in true if name not in said]
    wrong = [name for name in said if name not in true]
    if not missed and not wrong:
        st.badge("correct", icon=":material/check:", color="green")
    for what, names in ((label_frames.MISSED, missed), (label_frames.WRONG, wrong)):
        if names:
            st.badge(f"{what}: {named(names, most=3)}", icon=":material/close:", color="red")


def nearest_labels(info: RunInfo, known: SaidLabels, asked: Answer, samples: pd.DataFrame) -> None:
    """The training images with the most similar features, and how many of them have the labels said."""
    found = most_similar(asked, samples)
    if found is None:
        return
    true = true_labels(info)
    having = [true.get(one, ()) for one in found[Samples.SAMPLE_ID]]
    counts = {name: sum(name in one for one in having) for name in said_of(known, asked)}
    most = sorted(counts.items(), key=lambda pair: -pair[1])[:3]
    said = ", ".join(f"{n} have {text.plain(name, longest=20)}" for name, n in most)
    layout.verdict(f"Of the {len(found)} nearest, {said}" if most else f"The {len(found)} nearest")
    says_ = [
        f"{text.clean(', '.join(names) or label_frames.NO_LABELS, longest=40)} · {cosine:.2f}"
        for names, cosine in zip(having, found[COSINE], strict=True)
    ]
    gallery.show(
        gallery.with_images(found.assign(**{gallery.SAYS: says_}), samples),
        key="near",
        order="most similar first",
        similar_in=info.run_id,
    )


def true_labels(info: RunInfo) -> dict[str, tuple[str, ...]]:
    """The labels of each row, by sample."""
    predictions = state.table(info, Artifact.PREDICTIONS)
    if predictions is None:
        return {}
    rows = predictions.drop_duplicates(Predictions.SAMPLE_ID)
    names = map(tuple, rows[Predictions.TRUE_LABELS])
    return dict(zip(rows[Predictions.SAMPLE_ID], names, strict=True))


# --- What is shown ----------------------------------------------------------------------------


def verdict(trying: Explainer, asked: Answer) -> None:
    """The image, its class, and all probabilities."""
    classes = trying.recorded.classes
    best = int(asked.probabilities_c.argmax())
    left, right = st.columns([1, 2], gap="medium")
    with left:
        images(asked)
        if asked.novel:
            st.markdown("### None of these")
            says_novel(trying, classes[best])
        else:
            st.markdown(f"### {text.plain(classes[best], longest=40)}")
        st.caption(f"{percent(asked.probabilities_c[best])} · {text.plain(asked.name, longest=60)}")
        if asked.label is not None:
            right_one = asked.label == classes[best]
            st.badge(
                "correct" if right_one else f"wrong, label: {text.plain(asked.label, longest=30)}",
                icon=":material/check:" if right_one else ":material/close:",
                color="green" if right_one else "red",
            )
    with right:
        frame = answers_of(classes, asked)
        shown = list(dict.fromkeys(frame["class"]))[:MOST_CLASSES]
        named = {name: text.clean(name, longest=40) for name in shown}
        drawn = frame[frame["class"].isin(shown)].assign(**{"class": lambda f: f["class"].map(named)})
        figure = state.kept((asked.key, "probabilities"), lambda: layout.written(charts.probabilities(drawn)))
        layout.chart(
            figure,
            frame,
            name="probabilities",
            alt_text=f"Probabilities of {len(shown)} classes; the most likely is {classes[best]}, "
            f"{asked.probabilities_c[best]:.0%}.",
            n="1 image",
        )
        says(classes, asked, len(shown))
        prediction_set(trying, asked)


def images(asked: Answer) -> None:
    """The image, beside it what the encoders see."""
    with st.container(horizontal=True, gap="small"):
        if asked.image is not None:
            below = "original" if asked.inputs else None
            st.image(asked.image, width=IMAGE, alt=text.clean(asked.name), caption=below)
        for seen in asked.inputs:
            st.image(seen, width=IMAGE, alt="What the encoder sees", caption="encoder’s input")


def prediction_set(trying: Explainer, asked: Answer) -> None:
    """The classes that hold the true one with the probability that the sweep was asked for."""
    recorded = trying.recorded
    sets = recorded.prediction_sets(asked.probabilities_c[None])
    if sets is None:
        return
    names = [text.plain(name, longest=40) for name in sets[0][:MOST_CLASSES]]
    more = len(sets[0]) - len(names)
    st.markdown(
        f"**Prediction set ({recorded.coverage:.0%} coverage):** {', '.join(names)}"
        + (f" and {more} more" if more else "")
    )


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def says_novel(trying: Explainer, best: str) -> None:
    """What "none of these" means, and the most likely class."""
    assert trying.recorded.novelty is not None
    rate = trying.recorded.novelty.false_alarm_rate
    st.caption(
        f"Unlike the training images (false alarms: {100 * rate:.0f} %). Most likely class: "
        f"{text.plain(best, longest=40)}."
    )


def answers_of(classes: tuple[str, ...], asked: Answer) -> pd.DataFrame:
    """``class, by, probability``, the most likely class first."""
    by = [(charts.HEAD, asked.probabilities_c)]
    if asked.zero_shot_c is not None:
        by.append((charts.ZERO_SHOT, asked.zero_shot_c))
    order = np.argsort(-np.maximum.reduce([probs for _, probs in by]), kind="stable")
    order = (
        order[np.argsort(-asked.probabilities_c[order[:MOST_CLASSES]], kind="stable")].tolist()
        + order[MOST_CLASSES:].tolist()
    )
    rows = [(classes[c], who, float(probs[c])) for c in order for who, probs in by]
    return pd.DataFrame(rows, columns=["class", "by", "probability"])


def says(classes: tuple[str, ...], asked: Answer, shown: int) -> None:
    some = (
        f"Top {shown} of {len(classes)}" if shown < len(classes) else f"Probabilities over the {shown} known"
    )
    none = "" if asked.novel is not None else "; “none of these” is not possible"
    zero_shot = "Zero-shot is not available."
    if asked.zero_shot_c is not None:
        name = text.plain(classes[int(asked.zero_shot_c.argmax())], longest=40)
        zero_shot = f"Zero-shot: {name}, {percent(asked.zero_shot_c.max())}."
    layout.sentence(f"{some} classes{none}. {zero_shot}")
    if asked.zero_shot_c is None:
        layout.how("Zero-shot needs the image file and a single encoder with a text tower.")
    else:
        layout.how("Zero-shot compares the image with the names of the classes, without any training images.")


def neighbours(info: RunInfo, trying: Explainer, asked: Answer, samples: pd.DataFrame) -> None:
    """The training images with the most similar features."""
    found = most_similar(asked, samples)
    if found is None:
        return
    best = trying.recorded.classes[int(asked.probabilities_c.argmax())]
    alike = int((found[Samples.LABEL] == best).sum())
    train = int((samples[Samples.SPLIT] == "train").sum())
    says_ = [
        f"{text.clean(label, longest=18)} {cosine:.2f}"
        for label, cosine in zip(found[Samples.LABEL], found[COSINE], strict=True)
    ]
    layout.verdict(f"{alike} of {len(found)} share the predicted label “{text.plain(best, longest=40)}”")
    gallery.show(
        gallery.with_images(found.assign(**{gallery.SAYS: says_}), samples),
        key="near",
        order="most similar first",
        similar_in=info.run_id,
    )
    layout.how(f"Cosine similarity of the features, over {text.count(train, 'training row')} of the map.")


def on_the_map(
    trying: Explainer, asked: Answer, samples: pd.DataFrame, best: str, has: Callable[[str], bool]
) -> None:
    """The position among the rows of the sweep's t-SNE.

    Args:
        best: the likeliest class, or label.
        has: whether a row, by its id, is of that class or has that label.
    """
    if asked.xy is None or not trying.has_neighbours:
        return
    st.subheader("Position on the map")
    cut = text.clean(best, longest=40)
    likely = samples[Samples.SAMPLE_ID].map(has).astype(bool)
    near = {row for row, _ in asked.near}

    def draw() -> Any:
        rows = pd.DataFrame(
            {
                "x": samples[Projection.X],
                "y": samples[Projection.Y],
                "likely": likely,
                "label": [text.clean(one, longest=40) for one in samples[Samples.LABEL]],
                "split": samples[Samples.SPLIT],
                "sample_id": [text.clean(one, longest=80) for one in samples[Samples.SAMPLE_ID]],
                "near": [row in near for row in range(len(samples))],
            }
        ).dropna(subset=["x", "y"])
        here = pd.DataFrame({"x": [asked.xy[0]], "y": [asked.xy[1]], "image": [uri(asked.thumbnail)]})  # type: ignore[index]
        return layout.written(charts.place(rows, here, title=cut, dark=state.is_dark()))

    table = samples[[Samples.SAMPLE_ID, Samples.LABEL, Samples.SPLIT, Projection.X, Projection.Y]]
    layout.chart(
        state.kept((asked.key, "place"), draw),
        table,
        name="place",
        alt_text=f"Map of {len(samples)} rows, those labelled {best} in blue, and the image on it.",
        n=text.count(len(samples), "row"),
    )
    blue = int(likely.sum())
    marker = "diamond" if asked.thumbnail is None else "large ring"
    layout.sentence(
        f"Blue: {text.count(blue, 'row')} labelled “{text.plain(best, longest=40)}”. Small rings: nearest "
        f"training images. The {marker}: this image."
    )
    layout.how(
        f"t-SNE of {text.count(len(samples), 'row')}. "
        + (
            "This image is one of them. "
            if asked.row is not None
            else "openTSNE places the new image among them. "
        )
        + "Axes and distances between clusters mean nothing.",
        "Shift and drag pans, Shift and wheel zooms.",
    )


def uri(thumbnail: bytes | None) -> str | None:
    return None if thumbnail is None else f"data:image/webp;base64,{base64.b64encode(thumbnail).decode()}"


layout.page("Try it", show)
