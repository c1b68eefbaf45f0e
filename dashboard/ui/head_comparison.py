"""What the pages about methods on the same test rows share: tables, differences, classes, images."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import comparison as charts
from dashboard.frames import comparison
from dashboard.runs.run_info import RunInfo
from dashboard.ui import gallery, layout, state
from trainer.tracking.schema import Artifact, MethodPairs, Methods, Predictions, Summary

IMAGE = 96  # pixels
HOW = (
    "Every method classifies the same test rows, and differences are paired: intervals are bootstrap "
    "intervals over rows (or groups), p-values come from swapping the answers of both methods at random. "
    "Better or worse: p < 0.05 after Holm’s correction and an interval without 0.",
    "One comparison has one p-value, that of macro-F1; accuracy and the counts describe the same difference. "
    "McNemar’s test of accuracy is in the run’s table `method_pairs.parquet`. “Detectable” is the difference "
    "that would have been found with 80 % power.",
)


class Pair(NamedTuple):
    """Two methods that the page compares, by their names on record."""

    method: str
    against: str


def table(frame: pd.DataFrame, *, n: int | None, groups: int | None, of_runs: bool = False) -> None:
    """Every method with its intervals: a chart, and the figures.

    Args:
        n: test rows; None: each method has its own.
        of_runs: the methods are runs.
    """
    noun = "run" if of_runs else "method"
    st.subheader(f"{noun.title()}s")
    dots = comparison.dots(frame)
    layout.chart(
        charts.dots(dots, title="test macro-F1"),
        dots,
        name="methods",
        alt_text=f"Test macro-F1 of {len(dots)} methods with 95 % intervals",
        n=_rows(n),
    )
    read = comparison.as_read(frame, of_runs=of_runs)
    st.dataframe(
        read,
        hide_index=True,
        alt=f"Figures of {text.count(len(read), noun)}",
        column_config={"validation macro-F1": st.column_config.NumberColumn(format="%.3f")},
    )
    layout.export(read, name="methods-figures")
    heads = int(frame[Methods.HEADS].max())
    star = " ★, diamond: best on validation." if frame[Methods.CHOSEN].any() else ""
    mean = f"Means over {heads} heads. " if heads > 1 else ""
    drawn = "each run’s own test rows" if n is None else text.rows_drawn(n, groups)
    layout.sentence(
        f"{mean}95 % intervals over {drawn}{' and heads' if heads > 1 else ''}.{star} "
        f"Compare two {noun}s by their difference below, not by overlapping intervals."
    )
    for caution in text.cautions(groups):
        layout.sentence(caution)


def _rows(n: int | None) -> str:
    return "other test rows each" if n is None else text.count(n, "test row")


def differences(pairs: pd.DataFrame, *, n: int | None, groups: int | None) -> None:
    """Every pair, compared row by row, or group by group; without ``n`` unpaired."""
    st.subheader("Differences")
    frame = comparison.forest(pairs)
    layout.chart(
        charts.differences(frame, title="difference of test macro-F1"),
        frame,
        name="differences",
        alt_text=f"{len(frame)} differences of test macro-F1 with 95 % intervals, paired by row",
        n=_rows(n),
    )
    read = comparison.pairs_as_read(pairs)
    st.dataframe(read, hide_index=True, alt=f"Figures of {text.count(len(read), 'difference')}")
    layout.export(read, name="differences-figures")
    each = "row by row" if groups is None else f"group by group ({groups:,} groups)"
    how = "Unpaired" if n is None else f"n = {n:,} test rows, paired {each}"
    layout.sentence(
        f"{how}; 95 % bootstrap intervals. Coloured: significant after Holm’s "
        f"correction for {text.count(len(frame), 'comparison')}."
    )
    layout.how(*HOW)


def choose_pair(pairs: pd.DataFrame, *, label: str = "Methods") -> Pair:
    """The two methods that the rest of the page is about."""
    options = {
        text.clean(comparison.pair_name(one, other), longest=100): Pair(one, other)
        for one, other in zip(pairs[MethodPairs.METHOD], pairs[MethodPairs.AGAINST], strict=True)
    }
    picked = st.selectbox(label, list(options), key="pair", bind="query-params", width=520)
    return options[picked]


def by_class(classes: pd.DataFrame, pair: Pair) -> None:
    """Where one method is better, and where the other is."""
    frame = comparison.classes_of(classes, *pair)
    if frame.empty:
        return
    st.subheader("Class by class")
    mine, theirs = (text.plain(name) for name in pair)
    drawn = comparison.drawn_classes(frame)
    layout.chart(
        charts.differences(
            drawn,
            title="difference of F1",
            more={"f1": f"F1 of {comparison.name_of(pair.method)}", "f1_against": "F1 of the other"},
        ),
        frame,
        name="classes",
        alt_text=f"Difference of F1 for {len(drawn)} classes with 95 % intervals",
        n=text.count(int(frame["n"].sum()), "test row"),
    )
    behind = frame[frame["value"] < 0]
    sure = int((behind["says"] == comparison.WORSE).sum())
    count, sizes = len(frame), text.spread(frame["n"].tolist())
    if len(drawn) < count:
        layout.sentence(f"Drawn: the {len(drawn)} of {count:,} classes that are least likely by chance.")
    layout.sentence(
        f"F1 of {mine} minus {theirs}; 95 % intervals. Coloured: p < 0.05 after Holm’s correction for "
        f"{count:,} classes. {sizes} test rows per class. {theirs} is ahead in {len(behind):,}, "
        f"significantly in {sure:,}."
    )


def images(info: RunInfo, pair: Pair, *, verbs: tuple[str, str] = ("", "")) -> None:
    """The rows that only one of the two classifies correctly.

    Args:
        verbs: what is said of the rows that only the first, and only the second has correct.
    """
    predictions, samples = state.table(info, Artifact.PREDICTIONS), state.table(info, Artifact.SAMPLES)
    if predictions is not None:
        key = (info.run_id, state.version(info, Artifact.PREDICTIONS))
        disagreement(predictions, samples, pair, key=key, verbs=verbs)


def disagreement(
    predictions: pd.DataFrame,
    samples: pd.DataFrame | None,
    pair: Pair,
    *,
    key: Hashable,
    verbs: tuple[str, str] = ("", ""),
) -> None:
    """The same of PREDICTIONS and SAMPLES; ``key`` names them, with their versions."""
    st.subheader("Where they disagree")
    said = state.kept(("answers", key), lambda: comparison.answers(predictions))
    if not {*pair} <= set(said.columns):
        return
    sides = {text.plain(name): name for name in pair}
    only = st.segmented_control(
        "Correct only for",
        list(sides),
        default=next(iter(sides)),
        required=True,
        key="only",
        bind="query-params",
    )
    right = sides[only]
    wrong = pair.against if right == pair.method else pair.method
    rows = comparison.only_right(said, right, wrong)
    shown = gallery.with_images(rows, samples)
    shown[gallery.SAYS] = rows[Predictions.LABEL]
    shown[gallery.ALSO] = [f"{comparison.name_of(wrong)}: {one}" for one in rows["said"]]
    verb = verbs[0] if right == pair.method else verbs[1]
    gallery.show(
        shown,
        key="rows",
        order=f"correct for {only}, wrong for {text.plain(wrong)}{verb}; below each the label and the wrong "
        "answer",
        width=IMAGE,
    )


def all_of(info: RunInfo, *, verbs: tuple[str, str] = ("", "")) -> bool:
    """Methods, differences, then classes and images of one pair; False where the run has no tables yet."""
    frame, pairs = state.table(info, Artifact.METHODS), state.table(info, Artifact.METHOD_PAIRS)
    classes = state.table(info, Artifact.METHOD_CLASSES)
    if frame is None or pairs is None or classes is None:
        return False
    n, groups = counted(classes), state.summary(info).get(Summary.TEST_GROUPS)
    table(frame, n=n, groups=groups)
    differences(pairs, n=n, groups=groups)
    st.subheader("Compare two")
    pair = choose_pair(pairs)
    by_class(classes, pair)
    images(info, pair, verbs=verbs)
    return True


def counted(classes: pd.DataFrame) -> int:
    """Test rows of a run, from METHOD_CLASSES."""
    first = classes[["method", "against"]].iloc[0]
    one_pair = classes[(classes["method"] == first["method"]) & (classes["against"] == first["against"])]
    return int(one_pair["test"].sum())
