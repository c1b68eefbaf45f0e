"""Two photos that a reader drops: do they show one person, and is either of somebody known?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.frames import verification
from dashboard.runs.run_info import RunInfo
from dashboard.ui import gallery, layout, state, upload
from trainer.tracking.schema import Artifact, FacePairs, Faces, OpenSet, PairMethod, Verified

if TYPE_CHECKING:
    from trainer.serving.pair_verifier import PairVerifier, Photo

IMAGE = 132  # pixels
BITS = 16  # all of them: of runs that recorded no other


def show(info: RunInfo, pairs: pd.DataFrame, summary: dict[str, Any], at: float) -> None:
    """The section of the page.

    Args:
        at: threshold of the raw cosine.
    """
    st.subheader("Two photos, one person?")
    vectors, faces = state.file(info, Artifact.VECTORS), state.table(info, Artifact.FACES)
    if vectors is None or faces is None:
        layout.empty("This run kept no vectors. Repeat it under another --study to compare your own photos.")
        return
    if "key " not in info.encoder:
        layout.empty("This run used precomputed features, so new photos cannot be encoded.")
        return
    photos = _dropped(partial(_photo, info, vectors, summary.get(Verified.BITS, BITS)))
    if len(photos) == 2:
        _verdict(info, pairs, photos, at)
    _who(photos, faces, summary.get(Verified.OPEN_SET))


@st.cache_resource(max_entries=2, show_spinner="Loading the encoder …")
def _verifier(
    uri: str, run_id: str, version: Hashable, encoder: str, bits: int | None, _vectors: bytes
) -> PairVerifier:
    from trainer.serving.pair_verifier import PairVerifier  # imports torch

    return PairVerifier(encoder, _vectors, bits=bits)


def _photo(info: RunInfo, vectors: bytes, bits: int | None, data: bytes) -> Photo:
    """A photo as the run's encoder sees it. Raises the trainer's InputError, a ValueError."""
    version = state.version(info, Artifact.VECTORS)
    uri = state.default_tracking_uri()

    def make() -> Photo:
        return _verifier(uri, info.run_id, version, info.encoder, bits, vectors).photo(data)

    return state.kept(("pair", info.run_id, version, hashlib.sha256(data).hexdigest()), make)


def _dropped(encode: Callable[[bytes], Photo]) -> list[tuple[str, Photo]]:
    """The first two photos that can be used; what cannot is named."""
    files = upload.uploader("Two photos", key="two-photos", several=True)
    if not files:
        layout.empty("Upload two photos to see whether they show one person.", ":material/group_add:")
        return []
    good = []
    for file in files:
        try:
            with st.spinner("Encoding …"):
                photo = encode(file.getvalue())
        except ValueError as error:  # the trainer's InputError
            st.error(text.plain(error, longest=800), icon=":material/broken_image:")
            return []
        if photo.reason:
            st.warning(
                f"“{text.plain(file.name, longest=60)}” cannot be used: "
                f"{text.plain(photo.reason, longest=200)}.",
                icon=":material/broken_image:",
            )
        else:
            good.append((file.name, photo))
    if len(good) > 2:
        layout.sentence(f"The first two of {len(good)} photos are compared.")
    elif len(good) == 1:
        layout.sentence("Upload a second photo to compare the two.")
    return good[:2]


def _verdict(info: RunInfo, pairs: pd.DataFrame, photos: list[tuple[str, Photo]], at: float) -> None:
    """The score, the decision, and what the threshold promises."""
    from trainer.serving.pair_verifier import score

    found = score(photos[0][1], photos[1][1])
    if found >= at:
        layout.verdict(f"Same person: score {found:.3f}, at least {at:.3f}")
    else:
        layout.verdict(f"Different people: score {found:.3f}, below {at:.3f}")
    key = ("pair-promise", info.run_id, state.version(info, Artifact.PAIRS), at)
    rates = state.kept(key, lambda: verification.promised(pairs, PairMethod.RAW, at))
    far, frr = (text.interval(rates[name][0], rates[name][1:], _percent) for name in ("far", "frr"))
    same = int(pairs[FacePairs.SAME].sum())
    layout.sentence(
        f"At this threshold {far} of {text.count(len(pairs) - same, 'different-person pair')} were accepted "
        f"and {frr} of {text.count(same, 'same-person pair')} rejected."
    )
    layout.how(
        "The score is the cosine of the encoder’s features. The threshold is that of the slider above when "
        "it is set for the raw cosine, else the median over folds.",
        "The rates are of all test pairs of this run, with 95 % bootstrap intervals over people. They hold "
        "for photos like those: another camera or another group of people can change them.",
    )


def _who(photos: list[tuple[str, Photo]], faces: pd.DataFrame, known: dict[str, Any] | None) -> None:
    """Each photo beside its nearest known person, and whether it is near enough."""
    if not photos:
        return
    columns = st.columns(len(photos), gap="medium")
    for column, (name, photo) in zip(columns, photos, strict=True):
        row, cosine = photo.near[0]
        near = faces.iloc[min(row, len(faces) - 1)]
        person = text.plain(near[Faces.PERSON], longest=40)
        with column:
            with st.container(horizontal=True, gap="small"):
                st.image(photo.image, width=IMAGE, alt=text.clean(name), caption="your photo")
                gallery.image(near[Faces.THUMBNAIL], width=IMAGE, name=near[Faces.SAMPLE_ID])
            if known is None:
                st.markdown(f"Nearest known person: **{person}**")
            elif cosine >= known[OpenSet.THRESHOLD]:
                st.markdown(f"Known person: **{person}**")
            else:
                st.markdown(f"**Nobody known**; nearest: {person}")
            st.caption(f"cosine {cosine:.3f} · {text.plain(name, longest=60)}")
    if known is None:
        layout.sentence("Too few known photos for a threshold that tells who is unknown.")
        return
    alarms, found = (
        text.interval(known[name][0], known[name][1:], _percent)
        for name in (OpenSet.FALSE_ALARMS, OpenSet.FOUND)
    )
    layout.sentence(
        f"Known from a cosine of {known[OpenSet.THRESHOLD]:.3f}: {alarms} of unknown people’s photos are "
        f"taken for one of {known[OpenSet.PEOPLE]:,} known people, and {found} of known people’s photos are "
        "found."
    )
    layout.how(
        "Each of the run’s photos is compared with all others, once as it is and once without its person’s "
        "own, as if nobody knew them. People of other folds choose the threshold that these rates are of; "
        "95 % bootstrap intervals over people."
    )


def _percent(share: float | None) -> str:
    return text.score(None) if share is None else f"{share:.1%}"
