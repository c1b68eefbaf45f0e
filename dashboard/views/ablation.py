"""What filters and augmentation change, whether that is significant, and which rows they remove."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import ablation as charts
from dashboard.frames import ablation
from dashboard.frames.predictions import shown_names
from dashboard.runs.run_info import RunInfo
from dashboard.ui import conclusion, gallery, layout, state
from dashboard.ui.pages import ABLATION as PAGE
from trainer.tracking.schema import (
    Ablated,
    Ablation,
    AblationClasses,
    Artifact,
    Curves,
    RunState,
    Scores,
    Verdict,
)

COMMAND = "python -m trainer.ablate --data path/to/images --encoder openai/clip-vit-base-patch32"
PER_PAGE = 24
IMAGE = 112  # pixels
VALUES = {"all rows": Ablation.EFFECT, "as many at random": Ablation.OVER_RANDOM}
BY_SHARE, BY_VALUE = "share of rows", "value of the score"
SLOTS = {"first": 80, "second": 100}  # sliders → percent kept before anyone moves them
HOW_HELPS = (
    "A filter helps if it is better than training on all rows and than random choices of as many rows; it "
    "hurts if it is worse than all rows. P-values come from swapping answers row by row (or group by group), "
    "with Holm’s correction for all filters; the one best on validation has half of the weight.",
    "Intervals are 95 % BCa bootstrap intervals over test rows (or groups) and seeds; those against random "
    "rows include the random choice. “Detectable” is the effect that would have been found with 80 % power.",
)
PANELS = {False: "Without augmentation", True: "With augmentation"}


def show(info: RunInfo) -> None:
    layout.pick(info, state.ablations(), label="Ablation", key=state.ABLATION)
    table, scores = state.table(info, Artifact.ABLATION), state.table(info, Artifact.SCORES)
    if table is None:
        so_far(info, scores)
        return
    summary = state.summary(info)
    table = ablation.named(of_encoder(table))
    conclusion.show(summary.get(Ablated.ADVICE, ""))
    headline(table, summary)
    heat_map(table)
    if scores is not None:
        thresholds(scores, table)
    cell = all_cells(table)
    way(table, cell)
    by_class(info, cell)
    if scores is not None:
        removed(scores, cell)
    known(summary)
    again(info)


def so_far(info: RunInfo, scores: pd.DataFrame | None) -> None:
    """Before the filters are compared: how far the training is, and which rows they would remove."""
    live = info.state == RunState.LIVE
    if scores is None:
        if live:
            layout.empty("Encoding and scoring rows. Scores appear first, filters at the end.")
        else:
            layout.empty("This ablation stopped before rows were scored.")
        return
    curves = state.table(info, Artifact.CURVES)
    rounds = 0 if curves is None else int(curves[Curves.SEED].nunique())
    cells = sum(str(name).startswith(Scores.KEEP_PREFIX) for name in scores.columns)
    done = f"{text.count(rounds, 'seed')} of {text.count(cells, 'filter')} trained."
    if live:
        layout.empty(f"Training: {done} Preview below what a filter removes.")
    else:
        layout.empty(f"This ablation stopped before its filters were compared: {done}")
    thresholds(scores, None)


def of_encoder(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of one encoder, chosen where there are several."""
    encoders = {text.clean(name): name for name in table[Ablation.ENCODER].unique()}
    if len(encoders) == 1:
        return table
    chosen = st.selectbox("Encoder", list(encoders), key="encoder", bind="query-params", width=520)
    return table[table[Ablation.ENCODER] == encoders[chosen]].reset_index(drop=True)


def headline(table: pd.DataFrame, summary: dict[str, Any]) -> None:
    baseline = table[table[Ablation.VERDICT] == Verdict.BASELINE].iloc[0]
    chosen = ablation.best_on_validation(table)
    counts = summary.get(Ablated.COUNTS, {})
    verdicts = table[Ablation.VERDICT]
    cells = [
        ("Baseline macro-F1", text.score(baseline[Ablation.F1_MACRO]), _ends(baseline, Ablation.F1_MACRO)),
        ("Best on validation", text.score(chosen[Ablation.F1_MACRO]), _ends(chosen, Ablation.F1_MACRO)),
        (
            "vs all rows",
            text.signed(chosen[Ablation.EFFECT]),
            _ends(chosen, Ablation.EFFECT, text.signed),
        ),
        (
            "vs random rows",
            text.signed(chosen[Ablation.OVER_RANDOM]),
            _ends(chosen, Ablation.OVER_RANDOM, text.signed),
        ),
        (
            "Filters that help",
            f"{int((verdicts == Verdict.HELPS).sum())} of {len(table) - 1}",
            f"{int((verdicts == Verdict.HURTS).sum())} hurt",
        ),
        (
            "Test rows",
            text.count(counts.get("test")),
            f"{text.count(int(baseline[Ablation.TRAIN]))} train"
            + (f", {text.count(summary[Ablated.SEEDS], 'seed')}" if Ablated.SEEDS in summary else ""),
        ),
    ]
    layout.metric_row(cells)
    groups = summary.get(Ablated.TEST_GROUPS)
    over = "test rows" if groups is None else text.count(groups, "group")
    best = text.plain(chosen["name"], longest=ablation.LONGEST)
    layout.sentence(
        f"Best on validation: {best}, {text.count(int(chosen[Ablation.KEPT]), 'training row')}. Test "
        f"macro-F1, mean over seeds; 95 % intervals over {over} and seeds."
    )
    for name, row in (("Baseline", baseline), ("Best on validation", chosen)):
        if told := _of_two_classes(row):
            layout.sentence(f"{name}: {told}.")
    for caution in text.cautions(groups):
        layout.sentence(caution)
    layout.how(*HOW_HELPS)


def heat_map(table: pd.DataFrame) -> None:
    """The two scores that were crossed, as a grid of effects."""
    pair = ablation.crossed(table)
    if pair is None:
        return
    st.subheader("Thresholds")
    against = st.segmented_control(
        "Compare with", list(VALUES), default="all rows", required=True, key="against", bind="query-params"
    )
    y, x = pair
    cells = ablation.grid(table, x, y)
    fields = ablation.fields(cells, VALUES[against])
    fields["name"] = fields["name"].fillna("")
    reach = charts.reach_of(fields["value"])
    axes = charts.GridAxes(
        text.clean(x), text.clean(y), ablation.bounds(cells["across"]), ablation.bounds(cells["up"])
    )
    for column, (augment, panel) in zip(st.columns(2, gap="medium"), fields.groupby("augment"), strict=False):
        with column:
            st.markdown(f"**{PANELS[bool(augment)]}**")
            layout.chart(
                charts.grid(
                    panel,
                    axes,
                    title=f"change of macro-F1 against {against}",
                    reach=reach,
                    dark=state.is_dark(),
                ),
                panel,
                name="thresholds-augmented" if augment else "thresholds",
                alt_text=f"Heat map: change of macro-F1 for each pair of bounds on {x} and {y}, "
                f"{PANELS[bool(augment)].lower()}",
                n=text.count(int((panel["state"] != "no cell").sum()), "filter"),
            )
    count = int((fields["state"] != "no cell").sum())
    left, nothing = len(table) - count, int((fields["state"] == "no cell").sum())
    grey = f" {text.count(nothing, 'combination')} not run." if nothing else ""
    below = f" {text.count(left, 'other filter')} in the table below." if left else ""
    layout.sentence(
        f"Blue: better; orange: worse; grey: not measured. Solid frame: helps; dashed frame: hurts. {count} "
        f"filters with 95 % intervals.{grey}{below}"
    )


# --- thresholds of one's own ------------------------------------------------------------------


def thresholds(scores: pd.DataFrame, table: pd.DataFrame | None) -> None:
    """Two sliders: how many rows are kept, which are removed, and which measured filters are near."""
    names = ablation.known_scores(scores)
    if not names:
        return
    usual = (None if table is None else ablation.crossed(table)) or _telling(names)
    st.subheader("Preview a filter")
    left, right = st.columns([2, 3], gap="large")
    keeps: dict[str, np.ndarray] = {}
    with left:
        how = st.segmented_control(
            "Threshold by",
            [BY_SHARE, BY_VALUE],
            default=BY_SHARE,
            required=True,
            key="slide",
            bind="query-params",
        )
        for slot, name in zip(SLOTS, usual, strict=False):
            name, keep_n = slider(scores, names, slot=slot, usual=name, by_value=how == BY_VALUE)
            keeps[name] = keeps.get(name, True) & keep_n
    keep_n = np.logical_and.reduce(list(keeps.values()))
    with right:
        stays(scores, keep_n)
        if table is not None:
            shares = {
                name: ablation.share_of_known(ablation.values_of(scores, name), of_score)
                for name, of_score in keeps.items()
            }
            near(table, scores, shares)
    spreads(scores, keeps, names)
    rows = ablation.removed(scores, keep_n, [name for name, one in keeps.items() if not one.all()])
    if len(rows):
        images(rows, list(keeps), key="out", order="lowest score first")


def slider(
    scores: pd.DataFrame, names: list[str], *, slot: str, usual: str, by_value: bool
) -> tuple[str, np.ndarray]:
    """One threshold: the score that was chosen, and bool [N], the rows that it keeps."""
    name = st.selectbox(
        f"{slot.capitalize()} score",
        names,
        index=names.index(usual),
        format_func=text.clean,
        key=slot,
        bind="query-params",
    )
    value = ablation.values_of(scores, name)
    if not by_value:
        percent = st.slider(
            f"Keep the top … % by {text.plain(name)}",
            5,
            100,
            SLOTS[slot],
            key=f"keep_{slot}",
            bind="query-params",
        )
        return name, ablation.among_top(value, int(percent) / 100)
    low, high = float(value.min()), float(value.max())
    if not high > low:
        st.caption(f"All rows have the same {text.plain(name)}.")
        return name, np.ones(len(value), dtype=bool)
    start = low if SLOTS[slot] == 100 else float(value.quantile(1 - SLOTS[slot] / 100))
    bound = st.slider(
        f"Keep {text.plain(name)} of at least …",
        low,
        high,
        start,
        step=(high - low) / 200,
        format="%.4g",
        key=f"from_{slot}",
        bind="query-params",
    )
    return name, ablation.at_least(value, float(bound))


def stays(scores: pd.DataFrame, keep_n: np.ndarray) -> None:
    """How many rows are kept, in all and of each class, and whether the others are the known bad ones."""
    said = f"{int(keep_n.sum()):,} of {len(scores):,} training rows kept"
    bad_n = ablation.corrupted_rows(scores)
    if bad_n is not None:
        said += _told_of_bad(*ablation.found(keep_n, bad_n))
    layout.verdict(f"{said}.")
    by_class = ablation.kept_by_class(scores, keep_n)
    by_class["class"] = [text.clean(name, longest=30) for name in by_class["class"]]
    st.dataframe(
        by_class.assign(share=100 * by_class["share"]),
        hide_index=True,
        height=180 if len(by_class) > 4 else "content",
        alt=f"Training rows kept of each of {len(by_class)} classes",
        column_config={
            "of": st.column_config.NumberColumn("of rows"),
            "share": st.column_config.ProgressColumn(
                "share kept", format="%.0f %%", min_value=0, max_value=100, color="blue"
            ),
        },
    )


def near(table: pd.DataFrame, scores: pd.DataFrame, shares: dict[str, float]) -> None:
    """What was really measured close by; nothing is interpolated."""
    close = ablation.nearest(table, scores, shares)
    told = " and ".join(f"{share:.0%} by {text.plain(name)}" for name, share in shares.items())
    if (close[Ablation.FILTER] == "none").all():
        layout.sentence(f"This keeps {told}. No filter on these scores alone was trained.")
        return
    rows = close.to_dict("records")
    st.dataframe(
        pd.DataFrame(
            {
                "nearest trained filters": close["name"],
                "rows kept": close[Ablation.KEPT],
                "vs all rows [95 %]": [text.figure(row, Ablation.EFFECT, text.signed) for row in rows],
                "vs random rows [95 %]": [
                    text.figure(row, Ablation.OVER_RANDOM, text.signed) for row in rows
                ],
                "verdict": close[Ablation.VERDICT].astype(str),
            }
        ),
        hide_index=True,
        alt="The trained filters that keep the most similar shares",
    )
    layout.sentence(
        f"This keeps {told}. Changes of macro-F1 are of the listed filters only; nothing is interpolated."
    )


def spreads(scores: pd.DataFrame, keeps: dict[str, np.ndarray], names: list[str]) -> None:
    """Where the values lie, and where the thresholds would be; of all scores if wanted."""
    more = [name for name in names if name not in keeps]
    for column, (name, keep_n) in zip(st.columns(2, gap="medium"), keeps.items(), strict=False):
        with column:
            value = ablation.values_of(scores, name)
            spread(scores, name, ablation.lowest_kept(value, keep_n), number=names.index(name))
    if more and st.toggle(
        f"Show the other {text.count(len(more), 'score')}", key="every", bind="query-params"
    ):
        for first in range(0, len(more), 3):
            for column, name in zip(st.columns(3), more[first : first + 3], strict=False):
                with column:
                    spread(scores, name, None, number=names.index(name))


def spread(scores: pd.DataFrame, name: str, at: float | None, *, number: int) -> None:
    """One histogram; by its number its name in the export is another than any other score's."""
    bins = ablation.spread(scores, name)
    have = int(scores[Scores.SCORE_PREFIX + name].notna().sum())
    layout.chart(
        charts.histogram(bins, title=text.clean(name), at=at),
        bins,
        name=f"spread-{number}-{text.clean(name)}",
        alt_text=f"Histogram of the score {name} over the training rows",
        n=text.count(have, "training row"),
    )
    layout.sentence(
        f"{text.plain(name)}, {have:,} of {len(scores):,} training rows."
        + (f" Left of the line ({at:.3g}): removed." if at is not None else "")
        + " End bars include outliers."
    )


def _telling(names: list[str]) -> tuple[str, ...]:
    """Scores to begin with where nothing was crossed: those that filters are made for, if they are there."""
    order = [name for name in ("clip", "aesthetic", "quality", "agreement") if name in names]
    return tuple([*order, *(name for name in names if name not in order)][:2])


# --- cells ------------------------------------------------------------------------------------


def all_cells(table: pd.DataFrame) -> dict[Any, Any]:
    """Every filter with both comparisons. Returns the one that the rest of the page is about."""
    st.subheader("All filters")
    frame = ablation.forest(table)
    usual = ablation.rule_of_thumb(table)
    if frame.empty:
        layout.empty("Only the baseline was trained.")
        return usual
    numbers = [int(number) for number in table[Ablation.CELL]]
    names = dict(zip(numbers, table["name"], strict=True))
    wanted = st.query_params.get("cell", "")
    chosen = int(wanted) if wanted.isdecimal() and int(wanted) in names else int(usual[Ablation.CELL])
    event = layout.chart(
        charts.forest(frame, title="change of test macro-F1", selected=chosen),
        frame,
        name="cells",
        alt_text=f"Effects of {frame['number'].nunique()} filters with 95 % intervals, the best first",
        n=text.count(frame["number"].nunique(), "filter"),
        key=f"forest-{chosen}",  # a new widget once another cell is chosen, so that the click is not repeated
        on_select="rerun",
        selection_mode="cell",
    )
    clicked = (getattr(event, "selection", None) or {}).get("cell") or []
    if clicked:
        go_to(int(clicked[0].get("number", chosen)), chosen)
    drawn = frame["number"].nunique()
    most = "" if drawn == len(table) - 1 else f" The {drawn} largest of {len(table) - 1} effects."
    star = " ★ best on validation." if frame["chosen"].any() else ""
    layout.sentence(
        f"95 % intervals; filled: significant after Holm’s correction (p < 0.05).{star} Click a row for "
        f"its details.{most}"
    )
    as_table(table, chosen)
    picked = st.selectbox(
        "Filter",
        numbers,
        index=numbers.index(chosen),
        format_func=lambda number: text.clean(names[number], longest=110),
        key=f"cell-{chosen}",
        width=520,
    )
    if picked is not None:
        go_to(picked, chosen)
    return table[table[Ablation.CELL] == chosen].iloc[0].to_dict()


def go_to(number: int, chosen: int) -> None:
    """Make another cell the one that the rest of the page is about."""
    if number != chosen:
        st.query_params["cell"] = str(number)
        st.rerun()


def as_table(table: pd.DataFrame, chosen: int) -> None:
    """The same in figures, with what each filter found of the known bad rows; a row selects its filter."""
    rows = ablation.as_read(table)
    shares = {
        name: st.column_config.NumberColumn(format="percent")
        for name in (Ablation.PRECISION, Ablation.RECALL)
        if name in rows
    }
    event = st.dataframe(
        rows.drop(columns="number"),
        hide_index=True,
        height=320 if len(rows) > 8 else "content",
        key=f"rows-{chosen}",
        on_select="rerun",
        selection_mode="single-row",
        alt=f"Figures of {text.count(len(rows), 'filter')}",
        column_config=shares,
    )
    selected = event.selection.rows
    if selected:
        go_to(int(rows["number"].iloc[selected[0]]), chosen)
    layout.export(rows, name="cells-figures")
    bad = (
        f" Precision: share of removed rows that are known bad; recall: share of the "
        f"{int(table[Ablation.CORRUPTED].iloc[0]):,} bad rows removed."
        if Ablation.CORRUPTED in table
        else ""
    )
    layout.sentence(f"p: beats both baselines, all rows and random rows (Holm). Select a row.{bad}")


def way(table: pd.DataFrame, cell: dict[Any, Any]) -> None:
    """From all rows to the cell, one part after another."""
    frame = ablation.steps(table, cell)
    if len(frame) < 2:
        return
    st.subheader("Step by step")
    told = [
        f"macro-F1 {text.figure(row, Ablation.F1_MACRO)}"
        if number == 0
        else text.interval(row["end"], (row["low"], row["high"]), text.signed)
        for number, row in enumerate(frame.to_dict("records"))
    ]
    names = [text.clean(step, longest=44) for step in frame["step"]]
    frame["label"] = [f"{name}\n{words}" for name, words in zip(names, told, strict=True)]
    layout.chart(
        charts.steps(frame, title="change of test macro-F1 against all rows", dark=state.is_dark()),
        frame.drop(columns="label"),
        name="steps",
        alt_text="Waterfall: change of macro-F1 after each part of the filter is added",
        n=text.count(int(cell[Ablation.KEPT]), "training row"),
    )
    layout.sentence(
        f"{text.plain(cell['name'], longest=110)}. Bars: change by adding a part. Dots: change from all rows "
        "up to there, with its 95 % interval; it does not test the step alone."
    )


def by_class(info: RunInfo, cell: dict[Any, Any]) -> None:
    classes = state.table(info, Artifact.ABLATION_CLASSES)
    if classes is None or cell[Ablation.VERDICT] == Verdict.BASELINE:
        return
    frame = ablation.classes_of(classes, cell)
    if frame.empty:
        return
    st.subheader("Class by class")
    frame["class"] = frame[AblationClasses.CLASS].map(shown_names(list(frame[AblationClasses.CLASS])))
    frame["label"] = [
        f"{row['class']}\n{row[AblationClasses.TEST]:,} test, {row[AblationClasses.KEPT]:,} of "
        f"{row[AblationClasses.TRAIN]:,} train"
        for row in frame.to_dict("records")
    ]
    layout.chart(
        charts.classes(frame),
        frame.drop(columns=["says", "label"]),
        name="ablation_classes",
        alt_text=f"Change of F1 for {len(frame)} classes with 95 % intervals",
        n=text.count(int(frame[AblationClasses.TEST].sum()), "test row"),
    )
    sizes = text.spread(frame[AblationClasses.TEST].tolist())
    layout.sentence(
        f"{text.plain(cell['name'], longest=110)}, 95 % intervals. Coloured: p < 0.05 after Holm’s "
        f"correction for {len(frame)} tests; {sizes} test rows per class."
    )
    if two := _of_two_classes(cell):
        layout.sentence(f"{two}.")


def removed(scores: pd.DataFrame, cell: dict[Any, Any]) -> None:
    """The rows that the chosen filter removes."""
    column = f"{Scores.KEEP_PREFIX}{int(cell[Ablation.CELL])}"
    if column not in scores or scores[column].all():
        return
    st.subheader("Removed by this filter")
    keep_n = scores[column].to_numpy(bool)
    looked_at = [
        str(name).removeprefix(Ablation.PART_PREFIX)
        for name, bound in cell.items()
        if str(name).startswith(Ablation.PART_PREFIX) and isinstance(bound, str)
    ]
    rows = ablation.removed(scores, keep_n, looked_at)
    bad_n = ablation.corrupted_rows(scores)
    if bad_n is not None:
        precision, recall = ablation.found(keep_n, bad_n)
        layout.sentence(
            f"{precision:.0%} of {text.count(len(rows), 'removed row')} are known bad (precision), "
            f"{recall:.0%} of all {int(bad_n.sum()):,} bad rows (recall)."
        )
    known = any(Scores.SCORE_PREFIX + name in rows for name in looked_at)
    order = "lowest score first" if known else "in the order of the data"
    images(rows, looked_at, key="thrown", order=order)


def images(rows: pd.DataFrame, by: list[str], *, key: str, order: str) -> None:
    """A gallery of training rows with label, scores and caption; a list where no images were kept."""
    columns = {name: Scores.SCORE_PREFIX + name for name in by if Scores.SCORE_PREFIX + name in rows}
    labels = [
        f"{label} ({kind})" if isinstance(kind, str) and kind else str(label)
        for label, kind in zip(rows[Scores.LABEL], rows[Scores.CORRUPTED], strict=True)
    ]
    if rows[Scores.THUMBNAIL].isna().all():
        listed = pd.DataFrame({"sample": rows[Scores.SAMPLE_ID], "label": labels})
        listed["caption"] = rows[Scores.CAPTION].fillna("")
        listed = listed.map(lambda words: text.clean(words, longest=300))
        for name, column in columns.items():
            listed[text.clean(name)] = rows[column]
        st.dataframe(listed, hide_index=True, height=320, alt=f"{text.count(len(rows), 'removed row')}")
        layout.sentence(
            f"{text.count(len(rows), 'row')}, {order}. No images were kept, or the data has precomputed "
            "features."
        )
    else:
        told = [
            " · ".join(f"{name} {_short(value)}" for name, value in zip(columns, values, strict=True))
            for values in zip(*(rows[column] for column in columns.values()), strict=True)
        ]
        captions = list(rows[Scores.CAPTION].fillna(""))
        shown = rows.assign(**{gallery.SAYS: labels, Scores.CAPTION: captions})
        if told:
            shown[gallery.ALSO] = told
        gallery.show(shown, key=key, order=order, per_page=PER_PAGE, width=IMAGE)
    layout.export(rows.drop(columns=[Scores.THUMBNAIL]), name=key)


# --- what else is known -----------------------------------------------------------------------


def known(summary: dict[str, Any]) -> None:
    """How well scores find known bad rows, and what rewording captions does."""
    separation, wording = summary.get(Ablated.SEPARATION) or {}, summary.get(Ablated.WORDING)
    if not separation and not wording:
        return
    st.subheader("Do the scores find bad rows?")
    if separation:
        rows = [
            {
                "score": text.clean(score),
                "noise": text.clean(kind),
                "AUROC": area,
                "95 % low": low,
                "95 % high": high,
            }
            for score, kinds in separation.items()
            for kind, (area, low, high) in kinds.items()
        ]
        frame = pd.DataFrame(rows).sort_values("AUROC", ascending=False, kind="stable")
        st.dataframe(
            frame,
            hide_index=True,
            height=300 if len(frame) > 7 else "content",
            alt="How well each score separates known bad rows from clean rows",
            column_config={
                name: st.column_config.NumberColumn(format="%.3f")
                for name in ("AUROC", "95 % low", "95 % high")
            },
        )
        layout.export(frame, name="separation")
        layout.sentence("AUROC of a low score, known bad rows of a kind against clean rows; 0.5 is chance.")
    if wording:
        value, *ends = wording["change"]
        verb = "breaks" if wording["breaks_the_match"] else "does not break"
        layout.sentence(
            f"Rewording captions {verb} the match of image and text: CLIP score "
            f"{text.interval(value, ends, text.signed)}; AUROC against other captions "
            f"{text.interval(wording['auroc'][0], wording['auroc'][1:])} before, "
            f"{text.interval(wording['auroc_reworded'][0], wording['auroc_reworded'][1:])} after."
        )
        layout.sentence(
            f"{wording['rows']:,} captions; {wording['deletion']:.0%} of the words deleted, "
            f"{wording['synonyms']:.0%} replaced by synonyms."
        )


def again(info: RunInfo) -> None:
    """The command that repeats it."""
    st.subheader("Reproduce")
    st.code(ablation.without_study(state.command(info)), language=None, wrap_lines=True)
    st.caption("More seeds in the same study:")
    st.code(f"{state.command(info)} --seeds …", language=None, wrap_lines=True)


def nothing_yet() -> None:
    layout.nothing_yet(
        PAGE,
        "No ablation yet. This command scores your training rows, trains on what each filter keeps, and "
        "tests whether that helps:",
        COMMAND,
        "On the built-in data, with planted noise: `make ablate`.",
    )


def _of_two_classes(row: Any) -> str:
    """AUROC, sensitivity and specificity; "" where there are more classes."""
    names = {
        Ablation.AUROC: "AUROC",
        Ablation.SENSITIVITY: "sensitivity",
        Ablation.SPECIFICITY: "specificity",
    }
    return ", ".join(
        f"{name} {text.figure(row, column)}" for column, name in names.items() if pd.notna(row.get(column))
    )


def _told_of_bad(precision: float | None, recall: float) -> str:
    if precision is None:
        return ""
    return f"; {precision:.0%} of removed rows are known bad ({recall:.0%} of all bad rows)"


def _ends(row: Any, name: str, form: Callable[[float | None], str] = text.score) -> str:
    return text.ends((row[name + Ablation.LOW], row[name + Ablation.HIGH]), form)


def _short(value: float) -> str:
    return "–" if pd.isna(value) else text.value(round(float(value), 4))


layout.page(PAGE.title, show, runs=state.ablations, key=state.ABLATION, none=nothing_yet)
