"""What the page Compare shows of runs of numbers, or of several labels per image."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import comparison as charts
from dashboard.frames import comparison
from dashboard.frames import score_differences as frames
from dashboard.frames.row_differences import row_differences
from dashboard.runs.run_info import RunInfo
from dashboard.ui import layout, row_gallery, state
from trainer.core.errors import InputError
from trainer.stats.power import detectable_effect
from trainer.tracking.compared_runs import RunAnswers, rows_of, usual_head
from trainer.tracking.compared_scores import TITLES, ScorePair, compared_scores
from trainer.tracking.schema import Artifact

HOW = (
    "Differences are paired by test row, or by group of rows: each score is linearised, and the interval is "
    "of the mean of the rows’ differences. The first score, R² or mAP, decides; its p-value is corrected by "
    "Holm’s method for all runs.",
    "MAE and RMSE are in units of the number, and lower is better. F1 is at each head’s own thresholds.",
)


def show(picked: Sequence[RunInfo], base: int, samples: pd.DataFrame | None) -> list[str]:
    """Show the runs against the base. Returns how the runs are called.

    Args:
        samples: SAMPLES of the runs, for images.

    Raises:
        InputError: they cannot be compared.
    """
    versions = tuple(
        (info.run_id, state.version(info, Artifact.PREDICTIONS), state.version(info, Artifact.SUMMARY))
        for info in picked
    )
    names, pairs = state.kept(("compared scores", versions, base), lambda: compare(picked, base))
    for place, pair in enumerate(pairs):
        both = text.plain(pair.run), text.plain(names[base])
        said = pair.told(both, comparisons=len(pairs), form=text.signed)
        (layout.verdict if place == 0 else layout.sentence)(said)
        missed = text.could_show(detectable_effect(*pair.ends, comparisons=len(pairs)), len(pairs))
        if pair.verdict == "not significant" and missed:
            layout.sentence(missed)
    scores(pairs)
    st.subheader("Compare two")
    pair = choose_pair(pairs, names[base])
    labels(pair, names[base])
    places = names.index(pair.run), base
    row_gallery.show(
        lambda: row_differences(
            [answers(picked[one], names[one]) for one in places],
            [state.summary(picked[one]) for one in places],
        ),
        (pair.run, names[base]),
        samples,
        key=(versions, places),
    )
    return names


def compare(picked: Sequence[RunInfo], base: int) -> tuple[list[str], list[ScorePair]]:
    """How the runs are called, and each against the base. Raises InputError."""
    names = comparison.run_names([info.study or info.name for info in picked], picked)
    runs = [answers(info, name) for info, name in zip(picked, names, strict=True)]
    return names, compared_scores(runs, [state.summary(info) for info in picked], base=base)


def answers(info: RunInfo, name: str) -> RunAnswers:
    """What a run's usual head says. Raises InputError."""
    predictions = state.table(info, Artifact.PREDICTIONS)
    if predictions is None:
        raise InputError(f"{info.name} has not answered the test rows.")
    return rows_of(name, predictions, usual_head(predictions, lambda: state.table(info, Artifact.METHODS)))


def scores(pairs: Sequence[ScorePair]) -> None:
    """The differences in the score that decides, and all scores."""
    st.subheader("Differences")
    frame, title = frames.forest(pairs), TITLES[pairs[0].scores["score"].iloc[0]]
    n = text.spread([pair.rows for pair in pairs])
    layout.chart(
        charts.differences(frame, title=f"difference of test {title}"),
        frame,
        name="differences",
        alt_text=f"{text.count(len(frame), 'difference')} of test {title} with 95 % intervals, paired by row",
        n=f"{n} test rows",
    )
    read = frames.as_read(pairs)
    st.dataframe(
        read, hide_index=True, alt=f"Scores of {text.count(len(pairs), 'run')} beside the baseline’s"
    )
    layout.export(read, name="scores")
    layout.sentence(
        f"Run minus baseline on {n} shared test rows, paired; 95 % intervals. Coloured: significant after "
        f"Holm’s correction for {text.count(len(frame), 'comparison')}."
    )
    layout.how(*HOW)


def choose_pair(pairs: Sequence[ScorePair], base: str) -> ScorePair:
    """The run and the base that the rest of the page is about."""
    by_name = {comparison.pair_name(pair.run, base): pair for pair in pairs}
    return by_name[st.selectbox("Runs", list(by_name), key="pair", bind="query-params", width=520)]


def labels(pair: ScorePair, base: str) -> None:
    """Label by label, of one run."""
    if pair.labels is None:
        return
    name = comparison.pair_name(pair.run, base)
    st.subheader("Label by label")
    frame = frames.labels(pair)
    if frame.empty:
        layout.empty("No label has rows with it and rows without it here.", ":material/filter_alt_off:")
        return
    drawn = frame.head(frames.MOST_LABELS)
    layout.chart(
        charts.differences(
            drawn,
            title="difference of average precision",
            more={"run": "of the run", "base": "of the baseline"},
        ),
        frame,
        name="labels",
        alt_text=f"Difference of average precision for {len(drawn)} labels with 95 % intervals",
        n=text.count(pair.rows, "test row"),
    )
    some = f" The {len(drawn)} least likely by chance are drawn." if len(drawn) < len(frame) else ""
    sure = int((frame["says"] != comparison.NOT_SIGNIFICANT).sum())
    layout.sentence(
        f"Average precision, {text.plain(name)}; least likely by chance first. Coloured: p < 0.05 after "
        f"Holm’s correction for {text.count(len(frame), 'label')} ({sure}).{some}"
    )
