"""An image: what the best head says of it, zero-shot beside it, its neighbours, its place on the map."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import explain as charts
from dashboard.runs.run_info import RunInfo
from dashboard.ui import gallery, layout, state
from trainer.tracking.schema import Artifact, Predictions, Projection, Samples

if TYPE_CHECKING:
    from trainer.serving.explain import Explainer, Explanation

MOST_MB = 20  # of a file that is dropped
MOST_CLASSES = 12  # in the chart; the table behind it has all
NEIGHBOURS = 12
KINDS = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm"]
OWN, ROW = "an image of yours", "a test row"
BEST = "best"  # the name of the head that is kept, in PREDICTIONS
SEVERAL = "which"


class Answer(NamedTuple):
    """What was answered, and how it is to be shown."""

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


def show(info: RunInfo) -> None:
    if head_of(info) is None:
        layout.missing(info, "head to answer with")
        return
    samples, projection = state.table(info, Artifact.SAMPLES), state.table(info, Artifact.PROJECTION)
    if samples is None or projection is None:
        layout.missing(info, "head to answer with")
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
            "This sweep learned from ready features: no encoder is known that would turn an image of yours "
            "into such. Its test rows can be looked at.",
            icon=":material/info:",
        )
    source = st.segmented_control(
        "Answer", sources, default=sources[0], required=True, key="source", bind="query-params"
    )
    asked = dropped(info, trying) if source == OWN else test_row(info, trying, samples)
    if asked is None:
        return
    verdict(trying, asked)
    neighbours(trying, asked, samples)
    on_the_map(trying, asked, samples)


# --- What is asked ----------------------------------------------------------------------------


@st.cache_resource(max_entries=2, show_spinner="Loading the head …")
def _trying(uri: str, run_id: str, version: Hashable, _parts: tuple[Any, ...]) -> Explainer:
    """Two at most: each keeps an encoder once an image was dropped."""
    from trainer.serving.explain import Explainer  # torch comes with it: nobody else shall wait for that

    (card, weights), vectors, xy_n2, train_n = _parts
    return Explainer(card, weights, vectors=vectors, xy_n2=xy_n2, train_n=train_n)


def loaded(info: RunInfo, samples: pd.DataFrame) -> Explainer:
    parts = (Artifact.HEAD_WEIGHTS, Artifact.VECTORS, Artifact.SAMPLES, Artifact.PROJECTION)
    version = tuple(state.version(info, part) for part in parts)
    xy_n2 = samples[[Projection.X, Projection.Y]].to_numpy(dtype=float)
    train_n = (samples[Samples.SPLIT] == "train").to_numpy()
    files = (head_of(info), state.file(info, Artifact.VECTORS), xy_n2, train_n)
    return _trying(state.default_tracking_uri(), info.run_id, version, files)


def head_of(info: RunInfo) -> tuple[bytes, bytes] | None:
    """Card and weights of the best head; ``None`` until the sweep is done."""
    card, weights = (state.file(info, part) for part in (Artifact.HEAD_CARD, Artifact.HEAD_WEIGHTS))
    return None if card is None or weights is None else (card, weights)


def dropped(info: RunInfo, trying: Explainer) -> Answer | None:
    """Images that somebody brings. Bad ones are named, each with its reason."""
    files = st.file_uploader(
        "Images",
        type=KINDS,
        accept_multiple_files=True,
        max_upload_size=MOST_MB,
        key="dropped",
        help="They stay in this page's memory and are written nowhere.",
    )
    if not files:
        layout.empty(
            f"Drop an image above (at most {MOST_MB} MB; {', '.join(KINDS)}): the head says what it is, and "
            "you see which training images are like it.",
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
        at = names.index(st.selectbox("Which of them", names, key=SEVERAL, width=420))
    name, data, answer = good[at]
    return Answer(
        name,
        answer.thumbnail,
        answer.probabilities_c,
        answer.zero_shot_c,
        answer.near,
        answer.xy,
        answer.thumbnail,
        None,
        None,
        key_of(info, data),
        answer.novel,
    )


def key_of(info: RunInfo, data: bytes) -> Hashable:
    return "tried", info.run_id, state.version(info, Artifact.HEAD_WEIGHTS), hashlib.sha256(data).hexdigest()


def answered(info: RunInfo, trying: Explainer, data: bytes) -> Explanation:
    return state.kept((key_of(info, data), "answer"), lambda: trying.image(data, neighbours=NEIGHBOURS))


def test_row(info: RunInfo, trying: Explainer, samples: pd.DataFrame) -> Answer | None:
    """A row that took no part in training nor in choosing, with what was answered when the sweep ended."""
    predictions = state.table(info, Artifact.PREDICTIONS)
    tests = samples[samples[Samples.SPLIT] == "test"]
    if predictions is None or tests.empty:
        layout.empty("No test row is on the map of this sweep.", ":material/filter_alt_off:")
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
        layout.empty("The head's answer to this row is not on record.", ":material/hourglass_empty:")
        return None
    image, zero_shot_c = original(info, trying, name)
    thumbnail = row[Samples.THUMBNAIL] if isinstance(row[Samples.THUMBNAIL], bytes) else None
    return Answer(
        name,
        image or thumbnail,
        np.asarray(told[Predictions.PROBS].iloc[0]),
        zero_shot_c,
        trying.nearest_to_row(int(number), neighbours=NEIGHBOURS),
        (float(row[Projection.X]), float(row[Projection.Y])),
        thumbnail,
        row[Samples.LABEL],
        int(number),
        ("tried", info.run_id, state.version(info, Artifact.SAMPLES), int(number)),
        trying.row_is_novel(int(number)),
    )


def original(info: RunInfo, trying: Explainer, name: str) -> tuple[bytes | None, np.ndarray | None]:
    """The row's own image and zero-shot's answer to it, where the file is at hand."""
    if not trying.recorded.encoders:
        return None, None
    from trainer.serving.explain import original

    def make() -> tuple[bytes | None, np.ndarray | None]:
        data = original(info.data, name)
        try:
            return None, None if data is None else trying.zero_shot(data)
        except ValueError:  # the encoder is not to be had: what is on record is shown all the same
            return None, None

    return state.kept(("tried", info.run_id, "original", name), make)


# --- What is shown ----------------------------------------------------------------------------


def verdict(trying: Explainer, asked: Answer) -> None:
    """The image, the answer in words, and all probabilities."""
    classes = trying.recorded.classes
    best = int(asked.probabilities_c.argmax())
    left, right = st.columns([1, 2], gap="medium")
    with left:
        if asked.image is not None:
            st.image(asked.image, width=180, alt=text.clean(asked.name))
        if asked.novel:
            st.markdown("### None of these")
            says_novel(trying, classes[best])
        else:
            st.markdown(f"### {text.plain(classes[best], longest=40)}")
        st.caption(
            f"{asked.probabilities_c[best]:.1%} likely, says the head. {text.plain(asked.name, longest=60)}"
        )
        if asked.label is not None:
            right_one = asked.label == classes[best]
            st.badge(
                "right" if right_one else f"wrong: it is {text.plain(asked.label, longest=30)}",
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
            alt_text=f"Probabilities of {len(shown)} classes; the likeliest is {classes[best]}, "
            f"{asked.probabilities_c[best]:.0%}.",
        )
        says(classes, asked, len(shown))
        prediction_set(trying, asked)


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


def says_novel(trying: Explainer, best: str) -> None:
    """What "none of these" means, and what the head would say."""
    assert trying.recorded.novelty is not None
    rate = trying.recorded.novelty.false_alarm_rate
    st.caption(
        f"Unlike the training images; {rate:.0%} of images like them are called so, too. Of its classes the "
        f"head would say {text.plain(best, longest=40)}."
    )


def answers_of(classes: tuple[str, ...], asked: Answer) -> pd.DataFrame:
    """``class, by, probability``, the likeliest class first."""
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
    some = f"{shown} of {len(classes)} classes" if shown < len(classes) else f"all {shown} classes"
    if asked.zero_shot_c is None:
        other = (
            "No zero-shot stands beside it: the encoder knows no texts or is one of several, or the image "
            "itself is not at hand."
        )
    else:
        name = classes[int(asked.zero_shot_c.argmax())]
        alike = (
            "the same"
            if name == classes[int(asked.probabilities_c.argmax())]
            else text.plain(name, longest=40)
        )
        other = (
            f"Zero-shot, which knows the classes by their names alone, says {alike} "
            f"({asked.zero_shot_c.max():.0%})."
        )
    layout.sentence(
        f"Of one image (n = 1) the probabilities of {some}, as a share of the classes that the head knows. "
        f"{other}"
    )


def neighbours(trying: Explainer, asked: Answer, samples: pd.DataFrame) -> None:
    """The training images that are most like it, for the encoder."""
    st.subheader("Nearest training images")
    if not asked.near:
        layout.empty(
            "This sweep kept no features of its rows, as none did before this page was made: run it again to "
            "see which training images are nearest and where an image stands on the map.",
            ":material/image_search:",
        )
        return
    best = trying.recorded.classes[int(asked.probabilities_c.argmax())]
    found = samples.iloc[[row for row, _ in asked.near]].assign(cosine=[cosine for _, cosine in asked.near])
    alike = int((found[Samples.LABEL] == best).sum())
    train = int((samples[Samples.SPLIT] == "train").sum())
    says_ = [
        f"{text.clean(label, longest=18)} {cosine:.2f}"
        for label, cosine in zip(found[Samples.LABEL], found["cosine"], strict=True)
    ]
    st.markdown(
        f"**{alike} of {len(found)}** have the label that the head gave, “{text.plain(best, longest=40)}”."
    )
    gallery.show(
        gallery.with_images(found.assign(**{gallery.SAYS: says_}), samples),
        key="near",
        order=f"of the {train:,} training rows on the map those with the highest cosine in feature space; it "
        "stands below each, behind the label",
    )


def on_the_map(trying: Explainer, asked: Answer, samples: pd.DataFrame) -> None:
    """Where it stands among the rows of the sweep's t-SNE."""
    if asked.xy is None or not trying.has_neighbours:
        return
    st.subheader("Its place on the map")
    best = trying.recorded.classes[int(asked.probabilities_c.argmax())]
    named = text.clean(best, longest=40)
    near = {row for row, _ in asked.near}

    def draw() -> Any:
        rows = pd.DataFrame(
            {
                "x": samples[Projection.X],
                "y": samples[Projection.Y],
                "likely": samples[Samples.LABEL] == best,
                "label": [text.clean(one, longest=40) for one in samples[Samples.LABEL]],
                "split": samples[Samples.SPLIT],
                "sample_id": [text.clean(one, longest=80) for one in samples[Samples.SAMPLE_ID]],
                "near": [row in near for row in range(len(samples))],
            }
        ).dropna(subset=["x", "y"])
        here = pd.DataFrame({"x": [asked.xy[0]], "y": [asked.xy[1]], "image": [uri(asked.thumbnail)]})  # type: ignore[index]
        return layout.written(charts.place(rows, here, title=named, dark=state.is_dark()))

    table = samples[[Samples.SAMPLE_ID, Samples.LABEL, Samples.SPLIT, Projection.X, Projection.Y]]
    layout.chart(
        state.kept((asked.key, "place"), draw),
        table,
        name="place",
        alt_text=f"Map of {len(samples)} rows, those labelled {best} in blue, and the image on it.",
    )
    how = (
        "It is a row of the map, which shows it where it was drawn"
        if asked.row is not None
        else "The map stays as the sweep drew it; openTSNE places the image among its neighbours there"
    )
    blue = int((samples[Samples.LABEL] == best).sum())
    layout.sentence(
        f"A t-SNE of {len(samples):,} rows (n = {len(samples):,}): blue the {blue:,} labelled "
        f"“{text.plain(best, longest=40)}”, ringed the nearest training images of above. {how}. Far "
        "groups and the axes mean nothing. Shift and drag moves, Shift and wheel zooms."
    )


def uri(thumbnail: bytes | None) -> str | None:
    return None if thumbnail is None else f"data:image/webp;base64,{base64.b64encode(thumbnail).decode()}"


layout.page("Try it", show)
