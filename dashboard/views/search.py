"""Search the images of the run's data by words, by an image, or by one of the rows."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.frames import labels as label_frames
from dashboard.frames.predictions import BEST
from dashboard.runs.run_info import RunInfo
from dashboard.ui import gallery, layout, links, state, upload
from dashboard.ui.pages import SEARCH
from trainer.core.locations import default_cache_dir
from trainer.tracking.schema import Artifact, Predictions, Samples

if TYPE_CHECKING:
    from trainer.serving.image_index import ImageIndex, Query

WORDS, OWN = "words", "your image"
FOUND = 96  # images
LONGEST = 300  # characters of the words
IMAGE = 104  # pixels
PAGE = "found"  # parameter of the address
EXAMPLE = "a dog on grass"
# flags that decide which rows there are and which vectors they have
FLAGS = ("label_column", "image_column", "caption_column", "group_column", "groups", "unlabelled")


class Searched(NamedTuple):
    """What is searched for, and how it is called; without a query what there is to say instead."""

    query: Query | None
    what: str


def show(info: RunInfo) -> None:
    try:
        index = opened(info)
    except ValueError as error:  # the trainer's InputError: one paragraph for people
        layout.empty(text.plain(error, longest=800), SEARCH.shortcode)
        return
    asked = wanted(info, index)
    among_n = filters(info, index)
    if asked.query is None:
        if asked.what:
            layout.empty(asked.what, SEARCH.shortcode)
        return
    if encoded(info, index, asked.query.shared):
        results(info, index, asked, among_n)


def results(info: RunInfo, index: ImageIndex, asked: Searched, among_n: np.ndarray) -> None:
    """The images found, the most similar first."""
    query, manifest = asked.query, index.manifest
    assert query is not None
    found = index.find(query, FOUND, among_n=among_n)
    if not len(found.row_k):
        layout.empty("No image passes these filters.", ":material/filter_alt_off:")
        return
    labels = [manifest.classes[c] if c >= 0 else "" for c in manifest.label_n[found.row_k]]
    rows = pd.DataFrame(
        {
            Samples.SAMPLE_ID: [manifest.sample_id[row] for row in found.row_k],
            Samples.LABEL: labels,
            Samples.SPLIT: manifest.split_n[found.row_k],
            Samples.CAPTION: [manifest.caption[row] for row in found.row_k],
            "cosine": found.cosine_k,
            gallery.SAYS: [f"{cosine:.2f}" for cosine in found.cosine_k],
            gallery.ALSO: labels,
            Samples.THUMBNAIL: thumbnails(info.run_id, tuple(found.row_k.tolist()), index),
        }
    )
    layout.verdict(f"{asked.what}: top {len(rows)} of {text.count(found.searched, 'image')}")
    gallery.show(
        rows,
        key=PAGE,
        order="most similar first",
        width=IMAGE,
        similar_in=info.run_id,
    )
    layout.export(rows.drop(columns=[gallery.SAYS, gallery.ALSO, Samples.THUMBNAIL]), name="found")
    explain(query.shared)


# --- The data ---------------------------------------------------------------------------------


@st.cache_resource(max_entries=2, show_spinner="Reading the data …")
def _opened(uri: str, run_id: str, version: Hashable, _flags: dict[str, Any], _encoder: str) -> ImageIndex:
    """Two at most: each keeps the vectors of all rows, and an encoder once it was needed."""
    from trainer.serving.image_index import ImageIndex  # imports torch

    return ImageIndex(_flags, _encoder)


def opened(info: RunInfo) -> ImageIndex:
    version = state.version(info, Artifact.CONFIG)
    return _opened(state.default_tracking_uri(), info.run_id, version, flags_of(info), info.encoder)


def flags_of(info: RunInfo) -> dict[str, Any]:
    """The flags of the run's command, as far as they are on record."""
    return {**state.flags(info), "data": info.data}


@st.cache_data(max_entries=64, show_spinner=False)
def thumbnails(run_id: str, rows: tuple[int, ...], _index: ImageIndex) -> list[bytes | None]:
    return _index.thumbnails(rows)


def encoded(info: RunInfo, index: ImageIndex, shared: bool) -> bool:
    """Say which images are not encoded yet, and with which command they will be; whether any is."""
    rows = index.cached(shared=shared)
    missing = len(rows.cached_n) - len(rows.row_m)
    if not missing:
        return True
    space = "in the space of images and texts " if shared else ""
    if len(rows.row_m):
        st.warning(
            f"{text.count(missing, 'image')} of {len(rows.cached_n):,} are not encoded {space}yet and cannot "
            "be found. Encode them with:",
            icon=":material/hourglass_empty:",
        )
    else:
        layout.empty(f"The images are not encoded {space}yet. Encode them once with:", SEARCH.shortcode)
    st.code(command(info, index, shared), language=None, wrap_lines=True)
    return len(rows.row_m) > 0


def command(info: RunInfo, index: ImageIndex, shared: bool) -> str:
    """The shell command that encodes what is missing, and finds the same."""
    flags, used = flags_of(info), index.encoders
    words = [st.session_state.get(WORDS) or EXAMPLE] if shared else []
    given: dict[str, Any] = {
        "data": flags["data"],
        "encoder": "+".join(one.name for one in used),
        "dtype": used[0].dtype,
        **{name: flags.get(name) for name in FLAGS},
    }
    if not shared:
        given["features"] = used[0].recipe
    if index.cache_dir != default_cache_dir():
        given["cache_dir"] = index.cache_dir
    parts = [
        part
        for name, value in given.items()
        if value is not None
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]
    return shlex.join(["python", "-m", f"trainer.{'search_images' if shared else 'extract'}", *words, *parts])


# --- What is asked ----------------------------------------------------------------------------


def wanted(info: RunInfo, index: ImageIndex) -> Searched:
    """What is searched for."""
    like = st.query_params.get(links.LIKE)
    if like is not None:
        return similar(index, like)
    sources = [WORDS, OWN] if index.reads_words else [OWN]
    source = st.segmented_control(
        "Search by", sources, default=sources[0], required=True, key="by", bind="query-params"
    )
    try:
        return words(info, index) if source == WORDS else own_image(info, index)
    except ValueError as error:  # the trainer's InputError
        st.warning(text.plain(error, longest=400), icon=":material/broken_image:")
        return Searched(None, "")


def similar(index: ImageIndex, like: str) -> Searched:
    """One of the rows."""
    name = text.plain(like, longest=60)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(f"Like {name}", icon=":material/image_search:", color="gray")
        st.button("New search", icon=":material/close:", type="tertiary", on_click=forget)
    query = index.row(like)
    if query is None:
        return Searched(None, f"{name} is not among the encoded images of this run.")
    return Searched(query, f"Like {name}")


def forget() -> None:
    st.query_params.pop(links.LIKE, None)


def words(info: RunInfo, index: ImageIndex) -> Searched:
    given = st.text_input(
        "Words",
        key=WORDS,
        bind="query-params",
        max_chars=LONGEST,
        placeholder=EXAMPLE,
        icon=":material/search:",
        width=520,
    )
    asked = (given or "").strip()
    if not asked:
        count = text.count(len(index.manifest), "image")
        return Searched(
            None, f"Say what the images should show, such as “{EXAMPLE}”. All {count} are ranked."
        )
    query = state.kept(("searched", info.run_id, asked), lambda: index.words(asked))
    return Searched(query, f"“{text.plain(asked, longest=60)}”")


def own_image(info: RunInfo, index: ImageIndex) -> Searched:
    from trainer.serving.explain import readable_images

    extensions, described = readable_images()
    if not index.reads_words:
        layout.sentence("The encoder of this run has no text tower, so it cannot be searched by words.")
    file = upload.uploader("Image", key="searched_image", extensions=extensions)
    if file is None:
        return Searched(None, f"Upload an image ({upload.limits(described)}) to see the most similar ones.")
    data = file.getvalue()
    with st.spinner("Encoding …"):
        query = state.kept(
            ("searched", info.run_id, hashlib.sha256(data).hexdigest()), lambda: index.image(data)
        )
    return Searched(query, f"Like {text.plain(file.name, longest=60)}")


def filters(info: RunInfo, index: ImageIndex) -> np.ndarray:
    """Which rows may be found: bool [N]."""
    manifest = index.manifest
    predicted_n = predictions(info, manifest.sample_id)
    among_n = np.ones(len(manifest), dtype=bool)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        label = one_of("Label", manifest.labels or manifest.classes, "of_label")
        split = st.segmented_control(
            "Split",
            [one for one in ("train", "val", "test") if len(manifest.rows(one))],
            key="of_split",
            bind="query-params",
        )
        told = {name for names in predicted_n for name in names}
        answer = one_of("Prediction", sorted(told), "of_pred")
    if label is not None and manifest.label_nc is not None:
        among_n &= manifest.label_nc[:, manifest.labels.index(label)]
    elif label is not None:
        among_n &= manifest.label_n == manifest.classes.index(label)
    if split:
        among_n &= manifest.split_n == split
    if answer is not None:
        among_n &= np.array([answer in names for names in predicted_n], dtype=bool)
    return among_n


def one_of(label: str, names: Iterable[str], key: str) -> str | None:
    """The chosen one of some names; None: all, and nothing to choose from where there are none."""
    shown = {text.clean(name, longest=60): name for name in names}
    if not shown:
        return None
    chosen = st.selectbox(
        label, list(shown), index=None, key=key, bind="query-params", width=260, placeholder="all"
    )
    return None if chosen is None else shown[chosen]


def predictions(info: RunInfo, sample_id: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The class, or the labels, that the best head says of each row; () where none is on record."""
    table = state.table(info, Artifact.PREDICTIONS)
    if table is None or info.objective.numbers:
        return [()] * len(sample_id)
    best = table[table[Predictions.HEAD] == BEST].drop_duplicates(Predictions.SAMPLE_ID)
    if info.objective.labels:
        told = label_frames.said_names(label_frames.of_run(best, state.summary(info)))
    else:
        told = [(name,) for name in best[Predictions.PRED]]
    by_sample = dict(zip(best[Predictions.SAMPLE_ID], told, strict=True))
    return [by_sample.get(one, ()) for one in sample_id]


def explain(shared: bool) -> None:
    """How the images are ranked."""
    space = (
        "Words and images are compared in the space that the encoder's two towers share. There, even a good "
        "match often has a cosine of 0.2 to 0.4: compare ranks, not values."
        if shared
        else "Images are compared by the features that the heads of this run learned from."
    )
    layout.how(
        f"Cosine similarity. {space} Every encoded image is compared, nothing is approximated.",
        "Recall with the captions of the data: `python -m trainer.search_images --recall`.",
    )


layout.page(SEARCH.title, show)
