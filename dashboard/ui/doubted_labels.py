"""Labels in doubt: rows whose label heads find unlikely that had not learned from them."""

from __future__ import annotations

import streamlit as st
from safetensors.numpy import load

from dashboard import text
from dashboard.frames import doubt
from dashboard.frames.predictions import BEST
from dashboard.runs.run_info import RunInfo
from dashboard.ui import gallery, label_corrections, layout, state
from trainer.tracking.schema import Artifact, Kind, Predictions, Summary

PAGE = "doubt"  # parameter of the address: which page of the images
VERY = 0.05  # probability of a label below which it is much in doubt
PER_PAGE = 18
HOW = (
    "Each row was classified by heads that had not learned from it (cross-validation, or validation rows), "
    "with the trials and weights of the final head. Shown are rows for which another class is likelier.",
    "A low probability is no proof: rare kinds of a class look wrong, too. Look before you correct. With "
    "corrections the next sweep is another study on the same test rows: see both on the page Compare.",
)


def show(info: RunInfo) -> None:
    """Show the labels in doubt of a sweep of classes, the least likely first, and offer to correct them."""
    predictions, summary = state.table(info, Artifact.PREDICTIONS), state.summary(info)
    content = state.file(info, Artifact.HELD_OUT) if info.kind == Kind.SWEEP else None
    classes, members = summary.get(Summary.CLASSES), summary.get(Summary.MEMBERS)
    if predictions is None or content is None or not classes or not members:
        return
    best = predictions[predictions[Predictions.HEAD] == BEST]
    key = (
        "doubt",
        info.run_id,
        state.version(info, Artifact.HELD_OUT),
        state.version(info, Artifact.SUMMARY),
    )
    found = state.kept(key, lambda: doubt.labels_in_doubt(best, load(content), members, classes))
    if found is None:
        return
    st.subheader("Labels in doubt")
    if found.empty:
        layout.sentence("None: every label is the likeliest class out of fold.")
        label_corrections.show(info, found, list(classes), key="doubted")
        return
    much = int((found[doubt.OWN] < VERY).sum())
    layout.verdict(
        f"{text.count(much, 'label')} below {VERY:.0%} probability; for {text.count(len(found), 'row')} "
        "another class is likelier than the label"
    )
    rows = gallery.with_images(found, state.table(info, Artifact.SAMPLES))
    rows[gallery.SAYS] = [
        f"{text.clean(one, longest=30)}: {p:.1%}"
        for one, p in zip(rows[Predictions.LABEL], rows[doubt.OWN], strict=True)
    ]
    rows[gallery.ALSO] = [
        f"{text.clean(one, longest=30)}: {p:.0%}"
        for one, p in zip(rows[Predictions.PRED], rows[doubt.OTHER], strict=True)
    ]
    gallery.show(
        rows,
        key=PAGE,
        order="least likely label first; below each the label and the likelier class",
        per_page=PER_PAGE,
        similar_in=info.run_id,
    )
    layout.export(found, name="labels-in-doubt")
    label_corrections.show(info, rows, list(classes), key="doubted")
    layout.how(*HOW)
