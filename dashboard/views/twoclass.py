"""Two classes: how well they are separated, errors at a threshold, calibration of the probabilities."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import binary as charts
from dashboard.frames import binary
from dashboard.frames import predictions as prediction_frames
from dashboard.runs.run_info import RunInfo
from dashboard.ui import gallery, layout, pages, state
from trainer.tracking.schema import Artifact, Predictions, Summary

TITLE = "Two classes"
SPLITS = ["test", "val"]
PER_PAGE = 12
NO_DEVICE = "Not a medical device. Nothing here may guide the treatment of a patient."
HOW = (
    "The second class is the positive one. The threshold has 90 % specificity on validation rows, and the "
    "temperature is fitted there; test rows choose neither.",
    "Intervals are 95 % bootstrap intervals over test rows (or groups), with threshold and temperature "
    "fixed: what "
    "other validation rows would change is not included. Calibration changes no order of rows, so ROC and "
    "precision-recall curves stay the same.",
)


def show(info: RunInfo) -> None:
    if elsewhere := pages.not_of_classes(info.objective):
        layout.empty(elsewhere, pages.TWO_CLASSES.shortcode)
        return
    predictions, summary = state.table(info, Artifact.PREDICTIONS), state.summary(info)
    if predictions is None or predictions.empty:
        layout.missing(info, "predictions")
        return
    classes = summary.get(Summary.CLASSES) or sorted(predictions[Predictions.LABEL].unique())
    if len(classes) != 2:
        layout.empty(
            f"This sweep has {len(classes)} classes; this page is for exactly two. See “Confusion matrix”, "
            "or pick another run at the side.",
            ":material/balance:",
        )
        return
    if Summary.POSITIVE in summary:
        positive = text.plain(summary[Summary.POSITIVE], longest=30)
        layout.verdict(
            f"Finds {summary[Summary.TEST_SENSITIVITY]:.0%} of {positive} with "
            f"{1 - summary[Summary.TEST_SPECIFICITY]:.0%} false alarms on test rows."
        )
        headline(summary)
        warn_of_shift(summary)
    else:
        st.info(
            "No two-class figures were recorded (older run, or validation or test rows lack a class), so "
            "probabilities are not calibrated by a temperature.",
            icon=":material/info:",
        )
    st.warning(NO_DEVICE, icon=":material/medical_information:")
    split = st.segmented_control(
        "Rows", SPLITS, default=SPLITS[0], required=True, key="rows", bind="query-params"
    )
    key = (info.run_id, state.version(info, Artifact.PREDICTIONS), split)
    temperature = binary.temperature_to_apply(predictions, summary)
    rows = state.kept(("two-rows", *key), lambda: binary.judged(predictions, split, classes[1], temperature))
    if rows["positive"].nunique() < 2:
        layout.empty(f"The {split} rows do not have both classes.", ":material/filter_alt_off:")
    else:
        threshold(info, rows, classes, (summary.get(Summary.THRESHOLD), temperature), key)
        calibration(rows, split, summary, key)
    counted(predictions, classes, summary)


def headline(summary: dict[str, Any]) -> None:
    names = {
        "AUROC": Summary.TEST_AUROC,
        "AUPRC": Summary.TEST_AUPRC,
        "Sensitivity": Summary.TEST_SENSITIVITY,
        "Specificity": Summary.TEST_SPECIFICITY,
        "ECE raw": Summary.TEST_ECE,
        "ECE calibrated": Summary.TEST_ECE_CALIBRATED,
    }
    layout.metric_row(
        (label, text.score(summary[name]), text.brackets(summary[name + Summary.CI95]))
        for label, name in names.items()
    )
    drawn = text.rows_drawn(summary[Summary.COUNTS]["test"], summary.get(Summary.TEST_GROUPS))
    layout.sentence(
        f"Positive class: {text.plain(summary[Summary.POSITIVE])}. 95 % bootstrap over {drawn}; threshold "
        f"({summary[Summary.VAL_SPECIFICITY]:.1%} specificity on validation) and temperature fixed. AUPRC by "
        f"chance: {summary[Summary.TEST_PREVALENCE]:.3f}."
    )
    layout.how(*HOW)


def warn_of_shift(summary: dict[str, Any]) -> None:
    change, low, high = summary[Summary.SPECIFICITY_CHANGE]
    if high >= 0:
        return
    on_roc = text.interval(
        summary[Summary.SENSITIVITY_ON_ROC], summary[Summary.SENSITIVITY_ON_ROC + Summary.CI95]
    )
    st.warning(
        f"The validation threshold does not transfer: test specificity is "
        f"{text.interval(change, (low, high), text.signed)} from {summary[Summary.VAL_SPECIFICITY]:.3f} on "
        "validation rows. Check threshold and temperature on your own rows. At "
        f"{Summary.SPECIFICITY:.0%} specificity on test rows, the sensitivity is {on_roc}.",
        icon=":material/move_down:",
    )


def threshold(
    info: RunInfo,
    rows: pd.DataFrame,
    classes: list[str],
    agreed_and_temperature: tuple[float | None, float | None],
    key: tuple[Any, ...],
) -> None:
    """A slider; curves on which it moves, what it makes of the rows, and those that it gets wrong.

    Args:
        agreed_and_temperature: the threshold of the summary, and `binary.temperature_to_apply`.
    """
    st.subheader("Threshold")
    (agreed, temperature), split = agreed_and_temperature, key[-1]
    usual = 0.5 if agreed is None else binary.scaled(agreed, temperature)
    one, other = prediction_frames.shown_names(classes).values()
    positive = text.plain(classes[1], longest=30)
    left, right = st.columns([2, 3], gap="large")
    with left:
        at = float(
            st.slider(
                f"Call it {positive} when{' calibrated' if temperature else ''} p ≥",
                0.0,
                1.0,
                usual,
                step=0.001,
                format="%.3f",
                key="at",
                bind="query-params",
            )
        )
        rates_at(rows, at, positive, split, temperature)
    with right:
        bins = binary.spread(rows, (one, other))
        layout.chart(
            state.kept(("two-spread", *key, at), lambda: layout.written(charts.spread(bins, at=at))),
            bins,
            name="probabilities",
            alt_text=f"Probabilities of the rows of two classes, and a threshold at {at:.3f}",
            n=text.count(len(rows), f"{split} row"),
        )
        layout.sentence(f"n = {len(rows):,} {split} rows. Right of the line: called {positive}.")
    curves(rows, at, usual if agreed is not None else None, split, key)
    errors(info, rows, at, classes)


def rates_at(rows: pd.DataFrame, at: float, positive: str, split: str, temperature: float | None) -> None:
    """Sensitivity, specificity, PPV and NPV at a threshold."""
    rates = binary.rates(rows, at)
    said = {
        name: text.interval(value, (low, high)) if of else "–"
        for name, value, low, high, _, of in rates.itertuples(index=False)
    }
    sensitivity, specificity = (text.score(value) for value in rates["value"][:2])
    layout.verdict(f"Sensitivity {sensitivity}, specificity {specificity}")
    st.dataframe(
        pd.DataFrame(
            {
                "figure": rates["figure"],
                "value [95 %]": [said[name] for name in rates["figure"]],
                "rows": [f"{right} of {of}" for right, of in zip(rates["right"], rates["of"], strict=True)],
            }
        ),
        hide_index=True,
        alt="Sensitivity, specificity, PPV and NPV at the threshold",
    )
    layout.export(rates, name="rates-at-threshold")
    raw = f" Uncalibrated threshold: {binary.scaled(at, temperature, back=True):.3f}." if temperature else ""
    layout.sentence(
        f"Wilson intervals over {_drawn(rows, split)}. PPV and NPV assume {rows['positive'].mean():.0%} "
        f"prevalence, as here.{raw}"
    )


def _drawn(rows: pd.DataFrame, split: str) -> str:
    return text.rows_drawn(len(rows), prediction_frames.groups(rows), f"{split} rows")


def curves(rows: pd.DataFrame, at: float, agreed: float | None, split: str, key: tuple[Any, ...]) -> None:
    frame = state.kept(("two-curves", *key), lambda: binary.curves(rows))
    thresholds = {binary.CHOSEN: at} | ({} if agreed in (None, at) else {binary.AGREED: agreed})
    points = binary.points(rows, thresholds)
    prevalence = float(rows["positive"].mean())
    yes, no = int(rows["positive"].sum()), int((~rows["positive"]).sum())
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**ROC**")
        layout.chart(
            state.kept(("two-roc", *key, at), lambda: layout.written(charts.roc(frame, points))),
            frame,
            name="roc",
            alt_text=f"ROC curve with the threshold {at:.3f} on it",
            n=text.count(len(rows), f"{split} row"),
        )
        layout.sentence(f"{yes:,} positive, {no:,} negative {split} rows; crosses: 95 % interval.")
    with right:
        st.markdown("**Precision and recall**")
        layout.chart(
            state.kept(
                ("two-pr", *key, at),
                lambda: layout.written(charts.precision_recall(frame, points, prevalence=prevalence)),
            ),
            frame,
            name="precision-recall",
            alt_text=f"Precision-recall curve with the threshold {at:.3f} on it",
            n=text.count(len(rows), f"{split} row"),
        )
        layout.sentence(f"Dashed: chance, precision {prevalence:.3f}.")


def errors(info: RunInfo, rows: pd.DataFrame, at: float, classes: list[str]) -> None:
    """Images of the rows that the threshold gets wrong."""
    samples = state.table(info, Artifact.SAMPLES)
    kinds = {
        True: (f"Missed: {text.plain(classes[1], longest=30)} below the threshold", "missed"),
        False: (f"False alarms: {text.plain(classes[0], longest=30)} above it", "alarms"),
    }
    for column, (missed, (heading, page)) in zip(st.columns(2, gap="medium"), kinds.items(), strict=True):
        with column:
            wrong = binary.nearest_errors(rows, at, missed=missed)
            st.markdown(f"**{heading}**")
            if wrong.empty:
                layout.empty("None at this threshold.", ":material/check_circle:")
                continue
            says = wrong.assign(**{gallery.SAYS: [f"{one:.3f}" for one in wrong["scaled"]]})
            gallery.show(
                gallery.with_images(says, samples),
                key=page,
                order="nearest to the threshold first",
                per_page=PER_PAGE,
            )


def calibration(rows: pd.DataFrame, split: str, summary: dict[str, Any], key: tuple[Any, ...]) -> None:
    """How well the probabilities are calibrated, with and without a temperature."""
    st.subheader("Calibration")
    temperature = summary.get(Summary.TEMPERATURE) if Summary.TEST_AUROC in summary else None
    bins = state.kept(
        ("two-bins", *key), lambda: binary.reliability(rows, with_scaled=temperature is not None)
    )
    left, right = st.columns([2, 3], gap="medium")
    with left:
        layout.chart(
            state.kept(("two-reliability", *key), lambda: layout.written(charts.reliability(bins))),
            bins,
            name="reliability",
            alt_text=f"Reliability diagram of {len(rows)} {split} rows",
            n=text.count(len(rows), f"{split} row"),
        )
        error = binary.calibration_error(rows, with_scaled=temperature is not None)
        told = ", ".join(f"{version} {value:.3f}" for version, value in error.items())
        least, most = int(bins["n"].min()), int(bins["n"].max())
        sizes = f"{least:,}" if least == most else f"{least:,}–{most:,}"
        fitted = " The temperature was fitted on these rows." if split == "val" and temperature else ""
        layout.sentence(
            f"{bins['bin'].nunique()} bins of {sizes} rows, Wilson intervals over {_drawn(rows, split)}. "
            f"ECE (mean distance from the diagonal): {told}.{fitted}"
        )
    with right:
        if temperature is None:
            layout.empty("This sweep recorded no temperature.")
            return
        frame = binary.calibration_figures(summary)
        st.dataframe(frame, hide_index=True, alt="Calibration of the test rows before and after scaling")
        layout.export(frame, name="calibration")
        layout.sentence(f"{says_temperature(summary)} Test rows, changes paired by row; lower is better.")


def says_temperature(summary: dict[str, Any]) -> str:
    """The temperature, what it was fitted on, and what it says of the head."""
    temperature, ends = summary[Summary.TEMPERATURE], summary.get(Summary.TEMPERATURE + Summary.CI95)
    fitted = f"{summary[Summary.COUNTS]['val']:,} validation rows"
    if ends:
        fitted = f"{summary[Summary.HELD_OUT_ROWS]:,} held-out rows"
    low, high = ends or (temperature, temperature)
    much = (
        "over-confident"
        if low > 1
        else "under-confident"
        if high < 1
        else "neither over- nor under-confident"
    )
    told = text.interval(temperature, ends, lambda one: f"{one:.2f}")
    return f"Temperature {told}, fitted on {fitted}: uncalibrated, the head is {much}."


def counted(predictions: pd.DataFrame, classes: list[str], summary: dict[str, Any]) -> None:
    st.subheader("Rows")
    groups = summary.get(Summary.GROUPS) or {}
    frame = binary.class_counts(predictions, prediction_frames.shown_names(classes), groups)
    share = frame.columns[3]
    shown = frame.assign(**{share: [f"{one:.1%}" for one in frame[share]]})
    st.dataframe(
        shown,
        hide_index=True,
        width="content",
        alt="Rows of each class by split",
    )
    if not groups:
        layout.sentence(
            "No groups: if several images show one patient, pass `--groups`, or test rows may show "
            "patients seen in training."
        )
    elif groups["in_two_splits"]:
        shared = text.count(groups["in_two_splits"], "group")
        layout.sentence(
            f":material/warning: {shared} in more than one split: val and test figures are too optimistic."
        )
    else:
        layout.sentence("No group (patient) is in two splits: val and test groups were not seen in training.")


layout.page(TITLE, show)
