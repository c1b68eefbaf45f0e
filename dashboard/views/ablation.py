"""What filters and augmentation did, how sure that is, and whom they threw out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import ablations, gallery, parts, state, text
from dashboard.charts import ablation as charts
from dashboard.info import SweepInfo
from trainer.tracking.schema import Ablated, Ablation, AblationClasses, RunState, Scores, Verdict

COMMAND = "python -m trainer.ablate --data path/to/images --encoder openai/clip-vit-base-patch32"
PER_PAGE = 24
BINS = 30
PICTURE = 112  # pixels
VALUES = {"all rows": Ablation.EFFECT, "as many at random": Ablation.OVER_RANDOM}


def show(info: SweepInfo) -> None:
    pick(info)
    table, scores = state.table(info, "ablation"), state.table(info, "scores")
    if table is None:
        if scores is None:
            parts.missing(info, "cells")
            return
        if info.state == RunState.LIVE:
            parts.empty("The cells are being trained. Who would be thrown out can be seen already.")
        thresholds(None, scores)
        return
    summary = state.summary(info)
    table = of_encoder(table)
    table = table.assign(
        name=[text.clean(ablations.name_of(row), longest=90) for row in table.to_dict("records")]
    )
    if summary.get(Ablated.ADVICE):
        with st.container(border=True):
            st.text(text.clean(summary[Ablated.ADVICE], longest=4000))
    headline(table, summary)
    heat_map(table)
    if scores is not None:
        thresholds(table, scores)
    cell = all_cells(table)
    way(table, cell)
    by_class(info, cell)
    if scores is not None:
        thrown_out(scores, cell)
    known(summary)
    st.subheader("Again")
    st.code(info.command, language=None, wrap_lines=True)


def pick(info: SweepInfo) -> None:
    """Which ablation the page is about."""
    infos = state.ablations()
    if len(infos) < 2:
        return
    names = {
        found.run_id: f"{text.plain(found.name, longest=40)} · "
        f"{f'{found.started:%d %b %H:%M}' if found.started else ''} · {found.run_id[:6]}"
        for found in infos
    }
    picked = st.selectbox(
        "Ablation",
        list(names),
        index=list(names).index(info.run_id),
        format_func=names.__getitem__,
        key=f"ablations-{info.run_id}",  # a new widget whenever the run was chosen elsewhere
        width=520,
    )
    if picked is not None and picked != info.run_id:
        state.choose(picked, key=state.ABLATION)
        st.rerun()


def of_encoder(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of one encoder, chosen where there are several."""
    encoders = {text.plain(name): name for name in table[Ablation.ENCODER].unique()}
    if len(encoders) == 1:
        return table
    chosen = st.selectbox("Encoder", list(encoders), key="encoder", bind="query-params", width=520)
    return table[table[Ablation.ENCODER] == encoders[chosen]].reset_index(drop=True)


def headline(table: pd.DataFrame, summary: dict[str, Any]) -> None:
    baseline = table[table[Ablation.VERDICT] == Verdict.BASELINE].iloc[0]
    chosen = table.iloc[int(table[Ablation.VAL_F1_MACRO].to_numpy().argmax())]
    counts = summary.get(Ablated.COUNTS, {})
    verdicts = table[Ablation.VERDICT]
    cells = [
        ("Baseline macro-F1", text.score(baseline[Ablation.F1_MACRO]), _ends(baseline, Ablation.F1_MACRO)),
        ("Best on validation", text.score(chosen[Ablation.F1_MACRO]), _ends(chosen, Ablation.F1_MACRO)),
        ("… against all rows", _signed(chosen[Ablation.EFFECT]), _ends(chosen, Ablation.EFFECT, signed=True)),
        (
            "… against random",
            _signed(chosen[Ablation.OVER_RANDOM]),
            _ends(chosen, Ablation.OVER_RANDOM, signed=True),
        ),
        (
            "Cells that help",
            f"{int((verdicts == Verdict.HELPS).sum())} of {len(table) - 1}",
            f"{int((verdicts == Verdict.HURTS).sum())} hurt",
        ),
        (
            "Test rows",
            text.count(counts.get("test")),
            f"{text.count(counts.get('train'))} train, {text.count(summary.get(Ablated.SEEDS), 'seed')}",
        ),
    ]
    for column, (label, value, below) in zip(st.columns(len(cells)), cells, strict=True):
        column.metric(
            label, value, below or None, delta_color="off", delta_arrow="off", border=True, height="stretch"
        )
    if Ablation.AUROC in table:
        told = "; ".join(
            f"{name}: "
            + ", ".join(
                f"{label} {text.interval(row[column], _pair(row, column))}"
                for label, column in (
                    ("AUROC", Ablation.AUROC),
                    ("sensitivity", Ablation.SENSITIVITY),
                    ("specificity", Ablation.SPECIFICITY),
                )
            )
            for name, row in (("baseline", baseline), ("best on validation", chosen))
        )
        parts.sentence(f"Test rows, means over seeds with 95 % intervals. {told}.")


def heat_map(table: pd.DataFrame) -> None:
    """The two scores that were crossed, as a grid of effects."""
    pair = ablations.crossed(table)
    if pair is None:
        return
    st.subheader("Thresholds")
    against = st.segmented_control(
        "Effect against", list(VALUES), default="all rows", required=True, key="against", bind="query-params"
    )
    y, x = pair
    cells = ablations.grid(table, x, y)
    chart = charts.grid(
        cells,
        x=text.clean(x),
        y=text.clean(y),
        across=ablations.bounds(cells["across"]),
        up=ablations.bounds(cells["up"]),
        value=VALUES[against],
        title=f"change of macro-F1 against {against}",
    )
    parts.chart(
        chart,
        cells.drop(columns=[Ablation.HEAD]),
        name="thresholds",
        alt_text=f"Heat map of the change of macro-F1 for each pair of bounds on {x} and {y}",
        width="content",
    )
    left = len(table) - len(cells)
    without = f" {text.count(left, 'cell')} with other filters stand further below." if left else ""
    parts.sentence(
        f"Change of test macro-F1 (scale 0 to 1) for {len(cells)} cells, with 95 % intervals over test rows "
        "and seeds; framed cells help: better than all rows and than random choices of as many, after Holm’s "
        f"correction.{without}"
    )


def thresholds(table: pd.DataFrame | None, scores: pd.DataFrame) -> None:
    """Two sliders: how many rows would stay, who would go, and which measured cells are near."""
    columns = [str(name) for name in scores.columns]
    names = [one.removeprefix(Scores.SCORE_PREFIX) for one in columns if one.startswith(Scores.SCORE_PREFIX)]
    if not names:
        return
    pair = None if table is None else ablations.crossed(table)
    first, second = pair or (names[0], names[min(1, len(names) - 1)])
    st.subheader("Who would be thrown out")
    left, right = st.columns([2, 3], gap="large")
    shares: dict[str, float] = {}
    with left:
        for label, usual in (("First score", first), ("Second score", second)):
            key = label.split()[0].lower()
            name = st.selectbox(
                label, names, index=names.index(usual), format_func=text.plain, key=key, bind="query-params"
            )
            share = st.slider(
                f"Keep the highest … % by {text.plain(name)}",
                5,
                100,
                100 if label == "Second score" else 80,
                key=f"keep_{key}",
                bind="query-params",
            )
            shares[name] = min(int(share) / 100, shares.get(name, 1.0))
    keep_n = ablations.kept_above(scores, shares)
    with right:
        said = f"{int(keep_n.sum()):,} of {len(scores):,} training rows stay"
        right_found = ablations.found(keep_n, scores[Scores.SPOILED])
        if right_found is not None:
            precision, recall = right_found
            said += f"; of those thrown out {precision:.0%} are known to be spoiled"
            said += f", {recall:.0%} of all spoiled ones"
        st.markdown(f"**{said}.**")
        by_class = ablations.kept_by_class(scores, keep_n)
        by_class["class"] = [text.clean(name, longest=30) for name in by_class["class"]]
        st.dataframe(
            by_class.assign(share=100 * by_class["share"]),
            hide_index=True,
            height=180,
            column_config={
                "of": st.column_config.NumberColumn("of rows"),
                "share": st.column_config.ProgressColumn(
                    "kept", format="%.0f %%", min_value=0, max_value=100, color="blue"
                ),
            },
        )
        if table is not None and pair is not None and set(shares) == set(pair):
            near(table, scores, pair, shares)
    for column, (name, kept) in zip(st.columns(len(shares)), shares.items(), strict=True):
        with column:
            spread(scores, name, kept)
    rows = ablations.thrown_out(scores, keep_n, list(shares))
    if len(rows):
        pictures(rows, list(shares), key="out", order="the lowest in one of the scores first")


def near(table: pd.DataFrame, scores: pd.DataFrame, pair: tuple[str, str], shares: dict[str, float]) -> None:
    """What was really measured close by; nothing is interpolated."""
    y, x = pair
    close = ablations.nearest(ablations.grid(table, x, y), scores, x, y, shares)
    close = close.assign(effect=[_with_ends(row, Ablation.EFFECT) for row in close.to_dict("records")])
    st.dataframe(
        close[["name", Ablation.KEPT, "effect", Ablation.VERDICT]],
        hide_index=True,
        column_config={
            "name": "nearest measured cells",
            Ablation.KEPT: st.column_config.NumberColumn("rows kept"),
            "effect": st.column_config.TextColumn("change of macro-F1 [95 %]"),
        },
    )


def spread(scores: pd.DataFrame, name: str, share: float) -> None:
    """Where a score's values lie, and where the threshold would be."""
    value = scores[Scores.SCORE_PREFIX + name]
    known = value.dropna()
    if known.empty:
        return
    at = float(known.quantile(1 - share)) if share < 1 else None
    # a few extremes must not squeeze the rest
    low, high = known.quantile([0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    spoiled = scores[Scores.SPOILED].fillna("").astype(bool)
    kinds = (
        {"training rows": known}
        if scores[Scores.SPOILED].isna().all() or not spoiled.any()
        else {"sound": known[~spoiled], "spoiled": known[spoiled]}
    )
    bins = pd.concat(
        pd.DataFrame(
            {"kind": kind, "low": edges[:-1], "high": edges[1:], "n": n, "share": n / max(n.sum(), 1)}
        )
        for kind, values in kinds.items()
        for n in [np.histogram(values.clip(edges[0], edges[-1]), edges)[0]]
    )
    chart = charts.histogram(bins, title=text.clean(name), at=at)
    parts.chart(chart, bins, name=f"spread-{text.clean(name)}", alt_text=f"Histogram of the score {name}")
    counts = ", ".join(f"{kind} n = {len(values):,}" for kind, values in kinds.items())
    parts.sentence(
        f"{text.plain(name)} of the training rows ({counts})"
        + (f"; what lies left of the rule, {at:.3g}, is thrown out." if at is not None else ".")
    )


def all_cells(table: pd.DataFrame) -> dict[Any, Any]:
    """Every cell with both comparisons. Returns the one that the rest of the page is about."""
    st.subheader("All cells")
    frame = ablations.forest(table)
    usual = _usual(table)
    if frame.empty:
        parts.empty("There is nothing but the baseline.")
        return usual
    frame["name"] = [text.clean(name, longest=90) for name in frame["name"]]
    numbers = table[Ablation.CELL].tolist()
    names = dict(zip(numbers, table["name"], strict=True))
    wanted = st.query_params.get("cell", "")
    chosen = int(wanted) if wanted.isdigit() and int(wanted) in names else int(usual[Ablation.CELL])
    event = parts.chart(
        charts.forest(frame, title="change of test macro-F1"),
        frame,
        name="cells",
        alt_text=f"Effects of {frame['number'].nunique()} cells with 95 % intervals, the best first",
        key=f"forest-{chosen}",  # a new widget once another cell is chosen, so that the click is not repeated
        on_select="rerun",
        selection_mode="cell",
    )
    clicked = (getattr(event, "selection", None) or {}).get("cell") or []
    if clicked and int(clicked[0].get("number", chosen)) != chosen:
        st.query_params["cell"] = str(int(clicked[0]["number"]))
        st.rerun()
    drawn = frame["number"].nunique()
    most = "" if drawn == len(table) - 1 else f" The {drawn} largest of {len(table) - 1} effects are drawn."
    parts.sentence(
        f"Change of test macro-F1 with 95 % intervals for {drawn} cells, the best first; filled marks differ "
        f"from 0 after Holm’s correction (p < 0.05). Click a cell, or choose it here.{most}"
    )
    picked = st.selectbox(
        "Cell",
        numbers,
        index=numbers.index(chosen),
        format_func=lambda number: text.plain(names[number], longest=90),
        key=f"cell-{chosen}",
        width=520,
    )
    if picked is not None and picked != chosen:
        st.query_params["cell"] = str(picked)
        st.rerun()
    return table[table[Ablation.CELL] == chosen].iloc[0].to_dict()


def _usual(table: pd.DataFrame) -> dict[Any, Any]:
    """The cell best on validation; where that is the baseline, the one with the best effect."""
    best = table.iloc[int(table[Ablation.VAL_F1_MACRO].to_numpy().argmax())]
    if best[Ablation.VERDICT] == Verdict.BASELINE and len(table) > 1:
        best = table.iloc[int(table[Ablation.EFFECT].fillna(-np.inf).to_numpy().argmax())]
    return best.to_dict()


def way(table: pd.DataFrame, cell: dict[Any, Any]) -> None:
    """From all rows to the cell, one part after another."""
    frame = ablations.steps(table, cell)
    if len(frame) < 2:
        return
    st.subheader("Step by step")
    frame = frame.assign(
        step=[text.clean(step, longest=40) for step in frame["step"]],
        told=[
            text.score(value) + ("" if pd.isna(gain) else f" ({_signed(gain)})")
            for value, gain in zip(frame[Ablation.F1_MACRO], frame["gain"], strict=True)
        ],
    )
    parts.chart(
        charts.steps(frame, dark=state.is_dark()),
        frame[["step", Ablation.KEPT, Ablation.F1_MACRO, "f1_macro_low", "f1_macro_high", "gain"]],
        name="steps",
        alt_text="Macro-F1 after each part of the filter is added",
    )
    parts.sentence(
        "Test macro-F1 with its 95 % interval as the parts of this cell are added one after another, as far "
        f"as these cells were measured ({len(frame)} of them); in brackets the gain of the step."
    )


def by_class(info: SweepInfo, cell: dict[Any, Any]) -> None:
    classes = state.table(info, "ablation_classes")
    if classes is None or cell[Ablation.VERDICT] == Verdict.BASELINE:
        return
    of_cell = classes[
        (classes[AblationClasses.CELL] == cell[Ablation.CELL])
        & (classes[AblationClasses.ENCODER] == cell[Ablation.ENCODER])
    ].dropna(subset=AblationClasses.EFFECT)
    if of_cell.empty:
        return
    st.subheader("Class by class")
    sure = of_cell[AblationClasses.EFFECT_P_HOLM] < 0.05
    better = of_cell[AblationClasses.EFFECT] > 0
    frame = of_cell.assign(
        says=np.where(~sure, "not sure", np.where(better, "better", "worse")),
        **{"class": [text.clean(name, longest=40) for name in of_cell[AblationClasses.CLASS]]},
    ).sort_values(AblationClasses.EFFECT, ascending=False, kind="stable")
    parts.chart(
        charts.classes(frame),
        frame.drop(columns="says"),
        name="ablation_classes",
        alt_text=f"Change of F1 for {len(frame)} classes with 95 % intervals",
    )
    tests = frame[AblationClasses.TEST]
    parts.sentence(
        f"Change of each class’s F1 by {text.plain(cell['name'], longest=90)}, 95 % intervals over "
        f"rows and seeds, p-values corrected for {len(frame)} classes; n = {int(tests.min()):,} to "
        f"{int(tests.max()):,} test rows per class."
    )


def thrown_out(scores: pd.DataFrame, cell: dict[Any, Any]) -> None:
    """The rows that the chosen cell did not train on."""
    column = f"{Scores.KEEP_PREFIX}{int(cell[Ablation.CELL])}"
    if column not in scores or scores[column].all():
        return
    st.subheader("Thrown out by this cell")
    keep_n = scores[column].to_numpy(bool)
    looked_at = [
        name.removeprefix(Ablation.PART_PREFIX)
        for name, bound in cell.items()
        if str(name).startswith(Ablation.PART_PREFIX) and isinstance(bound, str)
    ]
    rows = ablations.thrown_out(scores, keep_n, looked_at)
    found = ablations.found(keep_n, scores[Scores.SPOILED])
    if found is not None:
        parts.sentence(
            f"Of these {text.count(len(rows), 'row')} {found[0]:.0%} are known to be spoiled (precision); "
            f"that is {found[1]:.0%} of all spoiled ones (recall)."
        )
    pictures(rows, looked_at, key="thrown", order="the lowest in one of the cell’s scores first")


def pictures(rows: pd.DataFrame, by: list[str], *, key: str, order: str) -> None:
    """A gallery of training rows with their scores."""
    known = [name for name in by if Scores.SCORE_PREFIX + name in rows]
    told = rows.to_dict("records")
    says = [
        " · ".join(f"{name} {row[Scores.SCORE_PREFIX + name]:.2f}" for name in known) or "thrown out"
        for row in told
    ]
    what = [
        f"{row[Scores.LABEL]}{f' ({row[Scores.SPOILED]})' if row[Scores.SPOILED] else ''}" for row in told
    ]
    shown = rows.assign(**{gallery.SAYS: says, Scores.CAPTION: what})
    gallery.show(shown, key=key, order=order, per_page=PER_PAGE, width=PICTURE)
    parts.export(rows.drop(columns=[Scores.THUMBNAIL]), name=key)


def known(summary: dict[str, Any]) -> None:
    """What is known of spoiled rows, and of rewording captions."""
    separation = summary.get(Ablated.SEPARATION) or {}
    if separation:
        st.subheader("What the scores tell")
        rows = [
            {
                "score": text.clean(score),
                "spoiled by": text.clean(kind),
                "AUROC": area,
                "95 % from": low,
                "to": high,
            }
            for score, kinds in separation.items()
            for kind, (area, low, high) in kinds.items()
        ]
        frame = pd.DataFrame(rows).sort_values("AUROC", ascending=False, kind="stable")
        st.dataframe(
            frame,
            hide_index=True,
            height=300,
            column_config={
                name: st.column_config.NumberColumn(format="%.3f") for name in ("AUROC", "95 % from", "to")
            },
        )
        parts.export(frame, name="separation")
        parts.sentence(
            "How well a low score tells spoiled training rows of a kind from sound ones: area under the ROC "
            "curve with its 95 % interval; 0.5 tells nothing."
        )
    wording = summary.get(Ablated.WORDING)
    if wording:
        low, high = wording["change"][1:]
        verb = "breaks" if wording["breaks_the_match"] else "does not break"
        parts.sentence(
            f"Leaving out {wording['deletion']:.0%} of the words of {wording['rows']:,} captions (synonyms: "
            f"{wording['synonyms']:.0%}) changes their CLIP score by {_signed(wording['change'][0])} "
            f"[{_signed(low)}, {_signed(high)}] and their AUROC against other rows’ captions from "
            f"{text.interval(wording['auroc'][0], tuple(wording['auroc'][1:]))} to "
            f"{text.interval(wording['auroc_reworded'][0], tuple(wording['auroc_reworded'][1:]))}: that "
            f"{verb} the match of picture and text."
        )


def nothing_yet() -> None:
    """There may be sweeps, but no ablation."""
    st.header("Filter ablations")
    parts.empty(
        "No ablation is on record yet. This command scores your training rows, trains on what each filter "
        "keeps, and says whether it helps:",
        ":material/filter_alt:",
    )
    st.code(COMMAND, language=None, wrap_lines=True)
    st.caption("On the built-in data, with damage planted: `make ablate`.")


def _pair(row: Any, name: str) -> tuple[float, float] | None:
    low, high = row[name + Ablation.LOW], row[name + Ablation.HIGH]
    return None if pd.isna(low) else (float(low), float(high))


def _ends(row: Any, name: str, *, signed: bool = False) -> str:
    ends = _pair(row, name)
    if ends is None:
        return ""
    form = _signed if signed else text.score
    return f"95 % {form(ends[0])} – {form(ends[1])}"


def _with_ends(row: Any, name: str) -> str:
    ends = _pair(row, name)
    return "–" if ends is None else f"{_signed(row[name])} [{_signed(ends[0])}, {_signed(ends[1])}]"


def _signed(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:+.3f}"


parts.page("Filter ablations", show, runs=state.ablations, key=state.ABLATION, none=nothing_yet)
