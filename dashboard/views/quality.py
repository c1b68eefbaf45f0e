"""Data quality: unusable files, duplicates, label conflicts, noisy labels, and extremes of every measure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import data_quality as charts
from dashboard.frames import data_quality
from dashboard.runs.run_info import RunInfo, on_same_rows
from dashboard.ui import gallery, layout, state
from dashboard.ui.pages import DATA_QUALITY as PAGE
from trainer.core.text import files_by_extension
from trainer.tracking.schema import Artifact, Duplicates, Extracted, Images, Kind, Quarantine, Scores

COMMAND = "python -m trainer.extract --data path/to/images"
ABLATE = "python -m trainer.ablate --data path/to/images"
DOUBTFUL = 16  # labels that are shown
SEVERAL = "Labels ("  # how the account of data begins whose rows may have several labels
WIDTH, OF_A_PAIR = 104, 86  # pixels of an image
MUCH_CUT = 0.25  # share of an image


class Measure(NamedTuple):
    """Labels and an explanation of a measure."""

    title: str  # of the axis, with its unit
    low: str  # headings of the images at either end
    high: str
    says: str
    wide: bool = False  # over orders of magnitude


MEASURES = {
    Images.BRIGHTNESS: Measure(
        "mean brightness (0 is black, 1 white)", "Darkest", "Brightest", "mean of the grey values"
    ),
    Images.CONTRAST: Measure(
        "contrast (standard deviation of brightness, 0 to 0.5)",
        "Lowest contrast",
        "Highest contrast",
        "spread of the grey values; 0 is a single grey",
    ),
    Images.SHARPNESS: Measure(
        "sharpness (variance of the Laplacian, squared 8-bit steps)",
        "Least sharp",
        "Sharpest",
        "difference between neighbouring pixels; blurred and empty images are low, noisy ones high",
        wide=True,
    ),
    Images.ENTROPY: Measure(
        "entropy of the grey values (bits, 0 to 8)",
        "Lowest entropy",
        "Highest entropy",
        "how many grey values occur; drawings and blank images are low",
    ),
    Images.COLOURFULNESS: Measure(
        "colourfulness (0 is grey, 15 slight, 45 average, 82 high)",
        "Least colourful",
        "Most colourful",
        "spread of the colours and their distance from grey (Hasler and Süsstrunk 2003)",
    ),
    Images.SIZE: Measure(
        "shorter side (pixels, as stored)",
        "Smallest",
        "Largest",
        "shorter side of the image; smaller ones than the encoder’s input are enlarged",
        wide=True,
    ),
}


def show(info: RunInfo) -> None:
    layout.pick(info, state.reports(), label="Extraction", key=state.REPORT, named=_named)
    if info.kind == Kind.SWEEP:
        quarantine = state.table(info, Artifact.QUARANTINE)
        layout.verdict(f"{text.count(0 if quarantine is None else len(quarantine), 'file')} unusable")
        unusable(info)
        layout.sentence("A sweep records its unusable files only. For everything else, run:")
        st.code(COMMAND, language=None)
        return
    summary = state.summary(info)
    if not summary:
        layout.empty("This extraction recorded no summary.")
        return
    account(info, summary)
    unusable(info)
    duplicates(info, summary)
    balance(info)
    doubts(info)
    encoder_view(info)
    measures(info)


def _named(info: RunInfo) -> str:
    """An extraction, or a sweep that quarantined files."""
    return ("" if info.kind == Kind.EXTRACTION else "sweep ") + layout.run_label(info)


def account(info: RunInfo, summary: dict[str, Any]) -> None:
    """How many files were used, and what is wrong with the others."""
    near = sum(summary.get(Extracted.NEAR_DUPLICATES, {}).values())
    pairs, images = state.table(info, Artifact.DUPLICATES), read_images(info)
    conflicts = summary.get(Extracted.DROPPED_CONFLICTS, 0)
    if pairs is not None and images is not None:
        conflicts += len(data_quality.label_conflicts(data_quality.with_labels(pairs, images)))
    layout.verdict(
        f"{summary[Extracted.USED]:,} of {text.count(summary[Extracted.FOUND], 'file')} used, "
        f"{summary[Extracted.QUARANTINED]:,} unusable, {text.count(conflicts, 'label conflict')}, "
        f"{text.count(summary[Extracted.DUPLICATES], 'duplicate')}, {text.count(near, 'near-duplicate')}"
    )
    cells = [
        ("Found", summary[Extracted.FOUND], "rows and unusable files"),
        ("Used", summary[Extracted.USED], f"{summary[Extracted.ENCODED]:,} encoded in this run"),
        ("Unusable", summary[Extracted.QUARANTINED], "corrupt or unreadable"),
        ("Duplicates", summary[Extracted.DUPLICATES], f"{summary[Extracted.DROPPED]:,} dropped"),
        ("Near-duplicates", near, f"{summary[Extracted.NEAR_LEAKS]:,} of val or test in train"),
    ]
    layout.metric_row((label, text.count(value), below) for label, value, below in cells)
    dropped = summary.get(Extracted.DROPPED_CONFLICTS, 0)
    also = f" + {text.count(dropped, 'dropped label conflict')}" if dropped else ""
    layout.how(
        f"{summary[Extracted.FOUND]:,} found = {summary[Extracted.USED]:,} used + "
        f"{summary[Extracted.QUARANTINED]:,} unusable + "
        f"{text.count(summary[Extracted.DROPPED], 'dropped duplicate')}{also}.",
        f"Data: {text.plain(info.data, longest=60)}. Encoder: {text.plain(summary[Extracted.ENCODER])}.",
    )
    if others := files_by_extension(summary.get(Extracted.PASSED_OVER, {})):
        layout.sentence(f"Skipped, not counted: {text.plain(others, longest=200)}.")


def unusable(info: RunInfo) -> None:
    """Files that were quarantined, with the reason of each."""
    st.subheader("Unusable files")
    quarantine = state.table(info, Artifact.QUARANTINE)
    if quarantine is None or quarantine.empty:
        layout.empty("All files readable.", ":material/check_circle:")
        return
    reasons = data_quality.reasons(quarantine)
    left, right = st.columns([2, 5], gap="large")
    with left:
        shown = reasons.assign(reason=[text.clean(reason, longest=60) for reason in reasons["reason"]])
        st.dataframe(shown, hide_index=True, height=_height(len(shown)), column_config={"n": "files"})
    with right:
        shown = pd.DataFrame(
            {name: [text.clean(v, longest=300) for v in quarantine[name]] for name in quarantine.columns}
        )
        columns = {Quarantine.PATH: "file", Quarantine.REASON: "reason"}
        st.dataframe(shown, hide_index=True, height=_height(len(shown)), column_config=columns)
    layout.export(quarantine, name="unusable_files")
    layout.sentence(
        f"{text.count(len(quarantine), 'file')} unusable for {text.count(len(reasons), 'reason')}; tolerated "
        "up to --max-bad."
    )


def _height(rows: int) -> Any:
    return "content" if rows <= 10 else 400


def read_images(info: RunInfo) -> pd.DataFrame | None:
    """Return IMAGES of a run; a label that all rows have is none."""
    images = state.table(info, Artifact.IMAGES)
    return None if images is None else data_quality.without_a_lone_label(images)


def duplicates(info: RunInfo, summary: dict[str, Any]) -> None:
    """Duplicates and near-duplicates: how many between which splits, and the closest of the chosen two."""
    st.subheader("Duplicates")
    pairs, images = state.table(info, Artifact.DUPLICATES), read_images(info)
    if pairs is None or images is None:
        layout.empty("This extraction recorded no pairs.")
        return
    pairs = data_quality.with_labels(pairs, images)
    counts = data_quality.duplicate_counts(pairs, summary[Extracted.NEAR_DUPLICATES])
    left_out = summary[Extracted.NOT_COMPARED]
    without = f" {text.count(left_out, 'row')} not compared." if left_out else ""
    if counts.empty:
        layout.empty(f"No duplicates or near-duplicates.{without}", ":material/check_circle:")
        return
    left, right = st.columns([2, 5], gap="large")
    with left:
        picked = st.dataframe(
            counts,
            key=f"between-{info.run_id}",
            on_select="rerun",
            selection_mode="single-row-required",
            selection_default={"selection": {"rows": [0]}},
            hide_index=True,
            column_config={
                "between": st.column_config.TextColumn("splits", help="leaks first"),
                Duplicates.SAME: st.column_config.NumberColumn("same bytes", help="pairs of identical files"),
                Duplicates.NEAR: st.column_config.NumberColumn(
                    "near", help="pairs of different files with similar perceptual hash and similar features"
                ),
            },
        ).selection.rows
    between = counts["between"].iloc[min(picked[0], len(counts) - 1) if picked else 0]
    one, other = between.split("/")
    chosen = pairs[(pairs[Duplicates.SPLIT_A] == one) & (pairs[Duplicates.SPLIT_B] == other)]
    shown = chosen.groupby(Duplicates.KIND, sort=False).head(Duplicates.PAIRS).iloc[::-1]
    shown = shown.sort_values(Duplicates.SIMILARITY, ascending=False, kind="stable").head(Duplicates.PAIRS)
    with right:
        thumbnails = images.set_index(Images.SAMPLE_ID)[Images.THUMBNAIL]
        with st.container(horizontal=True, gap="small"):
            for pair in shown.to_dict("records"):
                _pair(pair, thumbnails)
    layout.sentence(
        f"{len(shown)} of {text.count(len(chosen), 'pair')} between {one} and {other}, most similar first. "
        f"Select a row of the table for other splits.{without}"
    )
    layout.how(
        "Same bytes: identical files. Near: similar perceptual hash and similar features, with their cosine "
        "similarity. Each row is paired with its most similar one in each split."
    )
    label_conflicts(pairs, images)


def label_conflicts(pairs: pd.DataFrame, images: pd.DataFrame) -> None:
    """Identical files with different labels."""
    conflicts = data_quality.label_conflicts(pairs)
    if conflicts.empty:
        return
    st.subheader("Label conflicts")
    layout.verdict(f"{text.count(len(conflicts), 'pair')} of identical files with different labels")
    layout.sentence("Correct the labels, or leave these files out with --label-conflicts drop.")
    shown = conflicts.map(lambda value: text.clean(value, longest=200))
    thumbnails = images.drop_duplicates(Images.SAMPLE_ID).set_index(Images.SAMPLE_ID)[Images.THUMBNAIL]
    seen = [uri(one) for one in conflicts[Duplicates.SAMPLE_ID_A].map(thumbnails)]
    if any(seen):
        shown.insert(0, "image", seen)
    st.dataframe(
        shown,
        hide_index=True,
        height=_height(len(shown)),
        row_height=48 if any(seen) else None,
        column_config={
            "image": st.column_config.ImageColumn("", width="small"),
            Duplicates.SAMPLE_ID_A: "file",
            data_quality.LABEL_A: "label",
            Duplicates.SAMPLE_ID_B: "identical file",
            data_quality.LABEL_B: "its label",
        },
    )
    layout.export(conflicts, name="label_conflicts")


def uri(thumbnail: object) -> str | None:
    """A thumbnail as a data URI; None without one."""
    if not isinstance(thumbnail, bytes):
        return None
    return f"data:image/webp;base64,{base64.b64encode(thumbnail).decode()}"


def _pair(pair: dict[str, Any], thumbnails: pd.Series) -> None:
    near = pair[Duplicates.KIND] == Duplicates.NEAR
    with st.container(border=True, width=2 * OF_A_PAIR + 42, gap="xsmall"):
        with st.container(horizontal=True, gap="xsmall"):
            for name in (Duplicates.SAMPLE_ID_A, Duplicates.SAMPLE_ID_B):
                gallery.image(thumbnails.get(pair[name]), width=OF_A_PAIR, name=pair[name])
        how = f"near, cosine {pair[Duplicates.SIMILARITY]:.3f}" if near else "same bytes"
        labels = [pair[data_quality.LABEL_A], pair[data_quality.LABEL_B]]
        if all(labels) and labels[0] != labels[1]:
            one, other = (text.plain(label, longest=24) for label in labels)
            how += f"; labels differ: {one}, {other}"
        ids = (
            text.plain(pair[name], longest=60) for name in (Duplicates.SAMPLE_ID_A, Duplicates.SAMPLE_ID_B)
        )
        st.caption(gallery.JOINED.join((how, *ids)), wrap=False)


def balance(info: RunInfo) -> None:
    """How many rows each class has in each split."""
    images = read_images(info)
    if images is None:
        return
    separator = separator_of(info)
    what = "label" if separator else "class"
    st.subheader("Labels" if separator else "Classes")
    if (images[Images.LABEL] == "").all():
        layout.sentence("No classes: a folder per class, or a label column, gives them.")
        return
    counts = data_quality.class_balance(images, separator)
    shown = counts.assign(label=[text.clean(name, longest=40) for name in counts["label"]])
    layout.chart(
        charts.class_balance(shown),
        shown,
        name="classes",
        alt_text=f"Bars: share of each {what} in each split, {shown['label'].nunique()} in all",
        n=text.count(len(images), "image"),
    )
    ends = data_quality.imbalance(counts)
    says = ""
    if ends is not None:
        large, most, small, few = ends
        ratio = f" ({most / few:.1f}×)" if few else ""
        says = (
            f" In train: {text.plain(large, longest=40)} {most:,}, {text.plain(small, longest=40)} "
            f"{few:,}{ratio}."
        )
        says += "" if separator else " Train balanced with --class-weight balanced."
    of = "the rows of a split that have the label" if separator else "each class in its split"
    layout.sentence(f"Share of {of}. Equal bars: stratified splits.{says}")


def separator_of(info: RunInfo) -> str:
    """What is between the labels of a row, where rows were read with several; "" of one class."""
    if not info.understood.startswith(SEVERAL):
        return ""
    return str(state.flags(info).get("label_separator") or "|")


def doubts(info: RunInfo) -> None:
    """Training rows whose label is likely wrong, from the newest ablation of the same rows."""
    st.subheader("Suspicious labels")
    ablations = state.ablations()
    ablation = next(iter(on_same_rows(ablations, info)), None)
    scores = None if ablation is None else state.table(ablation, Artifact.SCORES)
    found = pd.DataFrame() if scores is None else data_quality.doubtful(scores, DOUBTFUL)
    if ablation is None or found.empty:
        layout.sentence("Suspicious labels appear here after:")
        st.code(ABLATE, language=None)
        if ablation is None and any(one.data == info.data for one in ablations):
            layout.sentence(
                "Recorded ablations of this data used other rows: planted noise, other splits or files."
            )
        return
    with st.container(horizontal=True, gap="small"):
        for row in found.to_dict("records"):
            known = f" ({text.plain(row[Scores.CORRUPTED], longest=24)})" if row[Scores.CORRUPTED] else ""
            label = f"{text.plain(row[Scores.LABEL], longest=24)}{known}"
            captioned(row, f"p = {row[data_quality.AGREEMENT]:.3f}", label)
    layout.export(found.drop(columns=Scores.THUMBNAIL), name="labels_in_doubt")
    assert scores is not None
    layout.sentence(
        f"{len(found)} of {text.count(len(scores), 'training row')} with the lowest probability p of their "
        "label; known noise in brackets."
    )
    layout.how(
        "p is the out-of-fold probability of the given label, with all classes taken as equally frequent. "
        f"From the ablation {text.plain(ablation.name, longest=40)}, with its planted noise."
    )


def encoder_view(info: RunInfo) -> None:
    """How much of the images the encoder's preprocessing cuts away, and of which most."""
    images = read_images(info)
    if images is None or Images.CUT not in images or images[Images.CUT].isna().all():
        return  # of an older run, or of precomputed features
    st.subheader("What the encoder sees")
    cut = images[Images.CUT].dropna()
    if not (cut > 0).any():
        layout.verdict("The encoder sees every image whole")
        return
    layout.verdict(
        f"{cut.mean():.0%} of an image is cut away on average, at most {cut.max():.0%}; "
        f"{text.count(int((cut > MUCH_CUT).sum()), 'image')} lose more than {MUCH_CUT:.0%}"
    )
    bins = data_quality.histogram(images, Images.CUT, wide=False)
    layout.chart(
        charts.histogram(bins, title="share of the image that is cut away (0 to 1)", wide=False),
        bins,
        name="cut",
        alt_text="Histogram of the share of each image that is cut away, split by split",
        n=text.count(len(cut), "image"),
    )
    worst = data_quality.most_cut(images)
    with st.container(horizontal=True, gap="small"):
        for row in worst.to_dict("records"):
            with st.container(width=2 * WIDTH + gallery.BETWEEN, gap="xxsmall"):
                gallery.side_by_side(row, width=WIDTH, name=row[Images.SAMPLE_ID])
                parts = f"{row[Images.CUT]:.0%} cut", row[Images.SPLIT], row[Images.SAMPLE_ID]
                st.caption(gallery.JOINED.join(text.plain(one, longest=80) for one in parts), wrap=False)
    layout.sentence(
        f"The {text.count(len(worst), 'image')} with most cut away, each beside the encoder’s input."
    )
    layout.how(
        "Computed from the size of each image and the encoder’s preprocessing: resizing and centre crop. Of "
        "joined encoders it is the first one’s. Inputs are drawn from thumbnails, so they may be coarser "
        "than what the encoder gets.",
        "To keep what is cut away, pad the images to squares, or use an encoder that resizes without a crop, "
        "such as SigLIP.",
    )


def measures(info: RunInfo) -> None:
    """The distribution of the chosen measure, and the images at either end."""
    st.subheader("Image measures")
    images = read_images(info)
    if images is None or images[Images.BRIGHTNESS].isna().all():
        layout.empty("No images were measured: precomputed features, or encoded before.")
        return
    name = st.segmented_control(
        "Measure",
        list(MEASURES),
        default=Images.BRIGHTNESS,
        required=True,
        key="measure",
        bind="query-params",
    )
    measure = MEASURES[name]
    images = data_quality.with_size(images)
    bins = data_quality.histogram(images, name, wide=measure.wide)
    measured = int(images[name].notna().sum())
    layout.chart(
        charts.histogram(bins, title=measure.title, wide=measure.wide),
        bins,
        name=name,
        alt_text=f"Histogram of the {name} of the images, split by split",
        n=text.count(measured, "image"),
    )
    unmeasured = len(images) - measured
    without = f" {text.count(unmeasured, 'row')} without measures." if unmeasured else ""
    layout.sentence(
        f"{name.capitalize()} of {text.count(measured, 'image')}: {measure.says}. Each split adds up to "
        f"100 %.{without}"
    )
    for title, rows in zip((measure.low, measure.high), data_quality.extremes(images, name), strict=True):
        extreme(title, rows, name)
    layout.sentence("The extremes, with value, split, label and file. Check these for corrupt images.")


def extreme(title: str, rows: pd.DataFrame, name: str) -> None:
    st.markdown(f"**{title}**")
    with st.container(horizontal=True, gap="small"):
        for row in rows.to_dict("records"):
            value = float(row[name])
            rounded = f"{value:,.0f}" if value >= 100 else text.value(value)
            label = text.plain(row[Images.LABEL] or "no label", longest=24)
            captioned(row, f"{rounded} · {row[Images.SPLIT]}", label)


def captioned(row: Mapping[Any, Any], *parts: str) -> None:
    """A row's image over one line; what the line has no room for shows when the pointer is on it."""
    with st.container(width=WIDTH, gap="xxsmall"):
        gallery.image(row[Images.THUMBNAIL], width=WIDTH, name=row[Images.SAMPLE_ID])
        name = text.plain(row[Images.SAMPLE_ID], longest=80)
        st.caption(gallery.JOINED.join([*parts, name]), wrap=False)


def nothing_yet() -> None:
    """No extraction: the command that makes one."""
    if not state.sweeps():
        layout.first_visit()
        return
    layout.nothing_yet(
        PAGE,
        "No extraction yet. This command encodes and measures your images and finds duplicates:",
        COMMAND,
    )


layout.page(PAGE.title, show, named=False, runs=state.reports, key=state.REPORT, none=nothing_yet)
