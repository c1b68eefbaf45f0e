"""What is wrong with the images: unusable files, copies and near-duplicates, extremes of every measure."""

from __future__ import annotations

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
WIDTH, OF_A_PAIR = 104, 86  # pixels of an image


class Measure(NamedTuple):
    """How a measure is told to people."""

    title: str  # of the axis, with its unit
    low: str  # what the images at either end are
    high: str
    says: str
    wide: bool = False  # over orders of magnitude


MEASURES = {
    Images.BRIGHTNESS: Measure(
        "mean brightness (0 is black, 1 white)", "Darkest", "Brightest", "the mean of an image’s grey values"
    ),
    Images.CONTRAST: Measure(
        "contrast (standard deviation of brightness, 0 to 0.5)",
        "Lowest contrast",
        "Highest contrast",
        "how far an image’s grey values spread; 0 is a single grey",
    ),
    Images.SHARPNESS: Measure(
        "sharpness (variance of the Laplacian, squared 8-bit steps)",
        "Least sharp",
        "Sharpest",
        "how strongly neighbouring pixels differ; blurred and empty images lie left, noisy ones right",
        wide=True,
    ),
    Images.ENTROPY: Measure(
        "entropy of the grey values (bits, 0 to 8)",
        "Plainest",
        "Richest in greys",
        "how many greys an image makes use of; drawings and blank images lie on the left",
    ),
    Images.COLOURFULNESS: Measure(
        "colourfulness (0 is grey, 15 slight, 45 average, 82 high)",
        "Least colourful",
        "Most colourful",
        "spread and distance from grey of an image’s colours (Hasler and Süsstrunk 2003)",
    ),
    Images.SIZE: Measure(
        "shorter side (pixels, as stored)",
        "Smallest",
        "Largest",
        "the shorter side of the file’s image; an encoder enlarges what is smaller than its input",
        wide=True,
    ),
}


def show(info: RunInfo) -> None:
    layout.pick(info, state.reports(), label="Extraction", key=state.REPORT, named=_named)
    if info.kind == Kind.SWEEP:
        unusable(info)
        layout.sentence("A sweep keeps its unusable files alone. The rest of this page needs an extraction:")
        st.code(COMMAND, language=None)
        return
    summary = state.summary(info)
    if not summary:
        layout.empty("This extraction has not logged its figures.")
        return
    account(info, summary)
    unusable(info)
    duplicates(info, summary)
    balance(info)
    doubts(info)
    measures(info)


def _named(info: RunInfo) -> str:
    """An extraction, or a sweep that quarantined files."""
    return ("" if info.kind == Kind.EXTRACTION else "sweep ") + layout.run_label(info)


def account(info: RunInfo, summary: dict[str, Any]) -> None:
    """Everything that was found, and what became of it."""
    near = sum(summary.get(Extracted.NEAR_DUPLICATES, {}).values())
    cells = [
        ("Found", summary[Extracted.FOUND], "rows and unusable files"),
        ("Used", summary[Extracted.USED], f"{summary[Extracted.ENCODED]:,} encoded in this run"),
        ("Unusable", summary[Extracted.QUARANTINED], "quarantined, with a reason"),
        (
            "Dropped copies",
            summary[Extracted.DROPPED],
            f"{summary[Extracted.DUPLICATES]:,} rows repeat an image",
        ),
        ("Near-duplicates", near, f"{summary[Extracted.NEAR_LEAKS]:,} of test or val in train"),
    ]
    layout.metric_row((label, text.count(value), below) for label, value, below in cells)
    conflicts = summary.get(Extracted.DROPPED_CONFLICTS, 0)
    dropped = f" + dropped label conflicts {conflicts:,}" if conflicts else ""
    layout.sentence(
        f"{text.plain(info.data, longest=60)}: found {summary[Extracted.FOUND]:,} = used "
        f"{summary[Extracted.USED]:,} + quarantined {summary[Extracted.QUARANTINED]:,} + dropped duplicates "
        f"{summary[Extracted.DROPPED]:,}{dropped}. Encoder: {text.plain(summary[Extracted.ENCODER])}."
    )
    if others := files_by_extension(summary.get(Extracted.PASSED_OVER, {})):
        layout.sentence(f"Passed over, not counted as found: {text.plain(others, longest=200)}.")


def unusable(info: RunInfo) -> None:
    """Files that were quarantined, with the reason of each."""
    st.subheader("Unusable files")
    quarantine = state.table(info, Artifact.QUARANTINE)
    if quarantine is None or quarantine.empty:
        layout.empty("Every file that was found could be used.", ":material/check_circle:")
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
        columns = {Quarantine.PATH: "file", Quarantine.REASON: "why it cannot be used"}
        st.dataframe(shown, hide_index=True, height=_height(len(shown)), column_config=columns)
    layout.sentence(
        f"{text.count(len(quarantine), 'file')} could not be used, for {text.count(len(reasons), 'reason')}; "
        "the command goes on as long as they are no more than --max-bad of all."
    )


def _height(rows: int) -> Any:
    return "content" if rows <= 10 else 400


def read_images(info: RunInfo) -> pd.DataFrame | None:
    """Return IMAGES of a run; a label that all rows have is none."""
    images = state.table(info, Artifact.IMAGES)
    return None if images is None else data_quality.without_a_lone_label(images)


def duplicates(info: RunInfo, summary: dict[str, Any]) -> None:
    """Copies and near-duplicates: how many between which splits, and the closest of the chosen two."""
    st.subheader("Copies and near-duplicates")
    pairs, images = state.table(info, Artifact.DUPLICATES), read_images(info)
    if pairs is None or images is None:
        layout.empty("This extraction logged no pairs.")
        return
    pairs = data_quality.with_labels(pairs, images)
    counts = data_quality.duplicate_counts(pairs, summary[Extracted.NEAR_DUPLICATES])
    left_out = summary[Extracted.NOT_COMPARED]
    without = f" {text.count(left_out, 'row')} took no part, not having been measured." if left_out else ""
    if counts.empty:
        layout.empty(
            f"No two rows are copies or near-duplicates of each other.{without}", ":material/check_circle:"
        )
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
                "between": st.column_config.TextColumn("splits", help="leaks come first"),
                Duplicates.SAME: st.column_config.NumberColumn("same bytes", help="pairs of copies"),
                Duplicates.NEAR: st.column_config.NumberColumn(
                    "near", help="pairs of different images with like hashes and like vectors"
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
        f"{len(shown)} of {text.count(len(chosen), 'pair')} on record between {one} and {other}, the closest "
        "first, each row with its nearest; click another line of the table for others. Near means a like "
        f"perceptual hash and a like vector; likeness is the vectors’ cosine.{without}"
    )
    label_conflicts(pairs)


def label_conflicts(pairs: pd.DataFrame) -> None:
    """Copies of an image whose labels differ."""
    conflicts = data_quality.label_conflicts(pairs)
    if conflicts.empty:
        return
    layout.sentence(
        f"**{text.count(len(conflicts), 'pair')} of copies with different labels.** "
        "Correct the labels, or pass --label-conflicts drop."
    )
    shown = pd.DataFrame(
        {name: [text.clean(value, longest=200) for value in conflicts[name]] for name in conflicts.columns}
    )
    st.dataframe(shown, hide_index=True, height=_height(len(shown)))
    layout.export(conflicts, name="label_conflicts")


def _pair(pair: dict[str, Any], thumbnails: pd.Series) -> None:
    near = pair[Duplicates.KIND] == Duplicates.NEAR
    with st.container(border=True, width=2 * OF_A_PAIR + 42, gap="xsmall"):
        with st.container(horizontal=True, gap="xsmall"):
            for name in (Duplicates.SAMPLE_ID_A, Duplicates.SAMPLE_ID_B):
                gallery.image(thumbnails.get(pair[name]), width=OF_A_PAIR, name=pair[name])
        how = f"near, likeness {pair[Duplicates.SIMILARITY]:.3f}" if near else "same bytes"
        labels = [pair[data_quality.LABEL_A], pair[data_quality.LABEL_B]]
        if all(labels) and labels[0] != labels[1]:
            one, other = (text.plain(label, longest=24) for label in labels)
            how += f"; labels differ: {one} and {other}"
        ids = (
            text.plain(pair[name], longest=60) for name in (Duplicates.SAMPLE_ID_A, Duplicates.SAMPLE_ID_B)
        )
        st.caption(gallery.NEW_LINE.join((how, *ids)))


def balance(info: RunInfo) -> None:
    """How many rows each class has in each split."""
    images = read_images(info)
    if images is None:
        return
    st.subheader("Classes")
    if (images[Images.LABEL] == "").all():
        layout.sentence("No classes: a folder per class, or a label column, gives them.")
        return
    counts = data_quality.class_balance(images)
    shown = counts.assign(label=[text.clean(name, longest=40) for name in counts["label"]])
    layout.chart(
        charts.class_balance(shown),
        shown,
        name="classes",
        alt_text=f"Bars: share of each of {shown['label'].nunique()} classes in each split",
    )
    ends = data_quality.imbalance(counts)
    says = ""
    if ends is not None:
        large, most, small, few = ends
        ratio = f"{most / few:.1f} times as many" if few else "and the other has none"
        says = (
            f" In train {text.plain(large, longest=40)} has {most:,} rows, {text.plain(small, longest=40)} "
            f"{few:,}: {ratio}. Macro-F1 counts every class alike; --class-weight balanced trains so."
        )
    layout.sentence(
        f"Rows of each class as a share of its split (n = {len(images):,}). Splits that were drawn alike "
        f"have bars of one length.{says}"
    )


def doubts(info: RunInfo) -> None:
    """Training rows whose label is likely wrong, from the newest ablation of the same rows."""
    st.subheader("Labels in doubt")
    ablations = state.ablations()
    ablation = next(iter(on_same_rows(ablations, info)), None)
    scores = None if ablation is None else state.table(ablation, Artifact.SCORES)
    found = pd.DataFrame() if scores is None else data_quality.doubtful(scores, DOUBTFUL)
    if ablation is None or found.empty:
        layout.sentence(
            "Rows whose label a head that has not seen them finds unlikely are shown here once an ablation "
            "of this data is on record:"
        )
        st.code(ABLATE, language=None)
        if ablation is None and any(one.data == info.data for one in ablations):
            layout.sentence(
                "The ablations on record of what bears the same name were on other rows: with planted "
                "damage, other splits, or files that have changed since."
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
        f"The {len(found)} of {text.count(len(scores), 'training row')} whose given label has the lowest "
        "probability p out of fold, all classes taken as equally frequent; in brackets what is known to be "
        f"wrong with a row. From the ablation {text.plain(ablation.name, longest=40)}: damage that was "
        "planted in it shows here, too."
    )


def measures(info: RunInfo) -> None:
    """How the chosen measure is spread, and the images at either end of it."""
    st.subheader("Measures")
    images = read_images(info)
    if images is None or images[Images.BRIGHTNESS].isna().all():
        layout.empty("None of these rows was measured: they are ready features, or were encoded before.")
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
    layout.draw(
        charts.histogram(bins, title=measure.title, wide=measure.wide),
        alt_text=f"Histogram of the {name} of {measured} images, split by split",
    )
    unmeasured = len(images) - measured
    without = f" {text.count(unmeasured, 'row')} without measures are left out." if unmeasured else ""
    layout.sentence(
        f"{name.capitalize()} of {text.count(measured, 'image')} (n = {measured:,}): {measure.says}. Each "
        f"split adds up to 100 %, so that splits of different size can be compared.{without}"
    )
    for title, rows in zip((measure.low, measure.high), data_quality.extremes(images, name), strict=True):
        extreme(title, rows, name)
    layout.sentence(
        "The images at either end, with value, split, label and name: look here for spoiled ones."
    )


def extreme(title: str, rows: pd.DataFrame, name: str) -> None:
    st.markdown(f"**{title}**")
    with st.container(horizontal=True, gap="small"):
        for row in rows.to_dict("records"):
            value = float(row[name])
            rounded = f"{value:,.0f}" if value >= 100 else text.value(value)
            label = text.plain(row[Images.LABEL] or "no label", longest=24)
            captioned(row, f"{rounded} · {row[Images.SPLIT]}", label)


def captioned(row: Mapping[Any, Any], *lines: str) -> None:
    """A row's image over the lines and its name."""
    with st.container(width=WIDTH + 8, gap="xxsmall"):
        gallery.image(row[Images.THUMBNAIL], width=WIDTH, name=row[Images.SAMPLE_ID])
        st.caption(gallery.NEW_LINE.join([*lines, text.plain(row[Images.SAMPLE_ID], longest=40)]))


def nothing_yet() -> None:
    """There may be sweeps, but nobody has looked at the data."""
    if not state.sweeps():
        layout.first_visit()
        return
    layout.nothing_yet(
        PAGE,
        "No extraction is on record yet. This command encodes your images (those in the cache are not "
        "encoded again), measures them, and looks for copies and near-duplicates:",
        COMMAND,
    )


layout.page(PAGE.title, show, named=False, runs=state.reports, key=state.REPORT, none=nothing_yet)
