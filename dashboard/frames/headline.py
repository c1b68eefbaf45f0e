"""What a sweep comes to, in words: the verdict, the figures behind it, and how they were computed."""

from __future__ import annotations

from typing import Any, NamedTuple

from dashboard import text
from dashboard.runs.run_info import RunInfo
from trainer.stats.objective import AUROC, F1, LABEL_F1, MICRO_F1, Objective
from trainer.stats.power import detectable_effect
from trainer.tracking.schema import FineTuned, RunState, Summary, Verdict

FAR = 0.05  # macro-F1 that the test set may fall below the best validation score, which was selected
MOST_NAMED = 5  # labels
AT_THRESHOLDS = {LABEL_F1: "macro-F1", MICRO_F1: "micro-F1"}  # of test rows; that of trials is at 0.5
PROMISE_BROKEN = (
    "The test set seems to differ from train and validation. Check for another source, time or class mix, "
    "and for people or series on both sides of a fold (`--groups`). See Data quality."
)
SELECTED = (
    "The validation score was used for selection and is optimistic; so large a gap may also mean that the "
    "test set differs. See Data quality."
)


class Finding(NamedTuple):
    """One sentence, and what to do about it where it is a warning."""

    words: str
    warning: str = ""


def verdict(info: RunInfo, summary: dict[str, Any]) -> Finding:
    """Say how good the head is, and whether the test set agrees with what was expected of it."""
    if summary.get(Summary.TEST + info.objective.leading.metric) is not None:
        return against_expected(summary, info.objective)
    score = form_of(info.objective)(info.figures.best_val)
    if info.figures.best_val is None:
        return Finding("No trial has completed yet.")
    if info.state == RunState.LIVE:
        return Finding(f"Best validation {info.objective.title} so far: {score}.")
    return Finding(f"Best validation {info.objective.title}: {score}. The test set was not evaluated.")


def form_of(objective: Objective) -> text.Form:
    """Return how its scores are formatted."""
    return text.forms(in_units=objective.in_units)[0]


def against_expected(summary: dict[str, Any], objective: Objective = F1) -> Finding:
    """Compare the test score with the expected one, or with the best validation score of earlier versions."""
    leading = objective.leading
    test, expected = (summary.get(one + leading.metric) for one in (Summary.TEST, Summary.EXPECTED))
    said = f"Test {leading.title} {text.score(test)}"
    if expected is not None and Summary.TEST_LESS_EXPECTED in summary:
        less, low, high = summary[Summary.TEST_LESS_EXPECTED]
        if high < 0:
            gap = text.interval(-less, (-high, -low))
            return Finding(f"{said} is {gap} below the {text.score(expected)} expected.", PROMISE_BROKEN)
        apart = text.interval(less, (low, high), text.signed)
        if low > 0:
            return Finding(f"{said} is above the {text.score(expected)} expected ({apart}).")
        return Finding(f"{said}, as expected from validation (difference {apart}).")
    best = summary.get(Summary.BEST + leading.column)
    _, high = summary.get(Summary.TEST + leading.metric + Summary.CI95) or (None, None)
    if best is not None and (test if high is None else high) < best and best - test >= FAR:
        return Finding(
            f"{said} is {text.score(best - test)} below the best validation score {text.score(best)}.",
            SELECTED,
        )
    return Finding(f"{said}; best validation {leading.title} {text.score(best)}.")


def cells(info: RunInfo, summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the headline figures: test first, then what to expect, then the search."""
    objective, figures, counts = info.objective, info.figures, summary.get(Summary.COUNTS, {})
    family = objective.family if objective.labels else objective.family[:2]
    of_classes = [] if objective.numbers or objective.labels else [AUROC]
    shown = dict.fromkeys((*family, objective, *of_classes))
    found = []
    for one in shown:
        name, form = Summary.TEST + one.metric, form_of(one)
        if summary.get(name) is not None:
            ends = text.ends(summary.get(name + Summary.CI95), form)
            found.append((f"Test {AT_THRESHOLDS.get(one, one.title)}", form(summary[name]), ends))
    expected = Summary.EXPECTED + objective.leading.metric
    if summary.get(expected) is not None:
        ends = text.ends(summary[expected + Summary.CI95])
        found.append((f"Expected {objective.leading.title}", text.score(summary[expected]), ends))
    else:
        form = form_of(objective)
        ends = text.ends(figures.best_val_ci95, form)
        found.append((f"Best val {objective.title}", form(figures.best_val), ends))
    others = f"{figures.pruned or 0} pruned, {figures.failed or 0} failed"
    found.append(("Trials", info.trials_done.rpartition(" ")[0] or "–", others))
    if counts:
        parts = ", ".join(f"{split} {n:,}" for split, n in counts.items() if split != "train")
        found.append(("Rows", text.count(sum(counts.values())), parts))
    per_s = summary.get(Summary.TRIALS_PER_S)
    speed = "" if per_s is None else f"{text.value(per_s)} trials per s"
    return [*found, ("Took", text.duration(info.duration_s, short=True), speed)]


def basis(summary: dict[str, Any]) -> tuple[str, list[str]]:
    """Say what the intervals of the test figures are over and how often the test set was looked at; and what
    makes them rough."""
    groups = summary.get(Summary.TEST_GROUPS)
    drawn = text.rows_drawn(summary[Summary.COUNTS]["test"], groups)
    rough = text.cautions(groups, summary.get(Summary.TEST_ROWS_PER_CLASS))
    looks = summary.get(Summary.TEST_LOOKS, 1)
    seen = [f"Runs in this store have evaluated the test set {looks} times."] if looks > 1 else []
    return " ".join([f"95 % intervals over {drawn}.", *seen]), list(rough)


def how(summary: dict[str, Any], objective: Objective) -> list[str]:
    """Say what the final head is, what its expected score is over, and what new seeds make of it."""
    found = []
    if Summary.MEMBERS in summary:
        found.append(final_head(summary, objective))
    if summary.get(Summary.EXPECTED + objective.leading.metric) is not None:
        found.append(expectation(summary, objective))
    if summary.get(Summary.TEST_BASELINE_MAE) is not None:
        found.append(baselines(summary))
    if summary.get(Summary.TEST_BASELINE_MAP) is not None:
        found.append(of_labels(summary))
    if summary.get(Summary.FRESH + objective.column) is not None:
        found.append(with_new_seeds(summary, objective))
    return found


def final_head(summary: dict[str, Any], objective: Objective = F1) -> str:
    """Say which trials the final head is made of, what it learned from, and its score on held-out rows."""
    shares = [(int(number), share) for number, share in summary[Summary.MEMBERS].items()]
    shares.sort(key=lambda pair: -pair[1])
    members = ", ".join(f"{number} ({share:.0%})" for number, share in shares)
    who = f"trial {shares[0][0]}" if len(shares) == 1 else f"an ensemble of trials {members}"
    rows = "train and validation rows" if summary[Summary.REFIT] else "train rows"
    score = form_of(objective)(summary.get(Summary.HELD_OUT + objective.metric))
    judged = f"{objective.title} {score} on held-out rows ({summary[Summary.VALIDATION]})"
    return f"Final head: {who}, trained on {rows}; {judged}."


def expectation(summary: dict[str, Any], objective: Objective = F1) -> str:
    """Say what the expected scores on new data are over."""
    others = dict.fromkeys((*objective.family[1:], *([] if objective is objective.leading else [objective])))
    scores = [
        f"{one.title} {_interval(summary, Summary.EXPECTED + one.metric, form_of(one))}"
        for one in others
        if summary.get(Summary.EXPECTED + one.metric) is not None
    ]
    also = f" Also expected: {', '.join(scores)}." if scores else ""
    return (
        f"Expected on new data, 95 % over {summary[Summary.EXPECTED_OVER]}, from heads that had not seen the "
        f"row and were selected on other rows.{also}"
    )


def baselines(summary: dict[str, Any]) -> str:
    """Say what the mean comes to where a number is predicted, and ridge regression."""
    mae, rmse = (
        _interval(summary, name, text.quantity)
        for name in (Summary.TEST_BASELINE_MAE, Summary.TEST_BASELINE_RMSE)
    )
    said = f"Baseline, the mean number of the rows learned from: MAE {mae}, RMSE {rmse}."
    if summary.get(Summary.RIDGE_LEFT_OUT_R2) is None:
        return said
    ridge = _interval(summary, Summary.RIDGE_LEFT_OUT_R2)
    return f"{said} Ridge regression on these rows: R² {ridge}, exact leave-one-out."


def of_labels(summary: dict[str, Any]) -> str:
    """Say what chance comes to where rows have several labels, and which labels are left out of mAP."""
    chance = _interval(summary, Summary.TEST_BASELINE_MAP)
    said = f"F1 is at each label’s threshold. Baseline, one answer for all images: mAP {chance}."
    left_out = summary.get(Summary.LEFT_OUT_LABELS) or []
    if not left_out:
        return said
    names = ", ".join(text.plain(name, longest=24) for name in left_out[:MOST_NAMED])
    more = f" and {len(left_out) - MOST_NAMED} more" if len(left_out) > MOST_NAMED else ""
    return f"{said} Left out of mAP, without test rows of both kinds: {names}{more}."


def with_new_seeds(summary: dict[str, Any], objective: Objective) -> str:
    """Say what is left of the best score with other seeds, and how it compares with other heads."""
    name = Summary.FRESH + objective.column
    seeds = text.count(summary[Summary.FRESH_SEEDS], "new seed")
    form = form_of(objective)
    fresh = text.over_seeds(summary[name], summary[name + Summary.CI95])
    if objective.in_units:
        fresh = text.interval(summary[name], summary[name + Summary.CI95], form)
    selected = form(summary.get(Summary.BEST + objective.column))
    against = [lead_over(other, *lead, objective) for other, lead in leads(summary).items()]
    chosen = (
        f"The best trial was selected with {objective.title} {selected}; retrained with {seeds}: {fresh}."
    )
    return " ".join([chosen, *against])


def leads(summary: dict[str, Any]) -> dict[str, tuple[float, float | None, float | None]]:
    """Return by head [best trial - it, low, high], paired by seed."""
    return summary.get(Summary.FRESH_LEAD) or {}


def lead_over(
    other: str, lead: float, low: float | None, high: float | None, objective: Objective = F1
) -> str:
    """Say how far the best trial is ahead of or behind another, or that no difference is shown."""
    size, ahead = _ahead(lead, low, high, objective)
    unsure = text.interval(lead, (low, high), text.signed)
    if not text.known((low, high)):
        return f"Difference to the {other} trial: {unsure} (one seed)."
    if ahead is None:
        return f"No significant difference to the {other} trial ({unsure})."
    return f"{'Ahead of' if ahead else 'Behind'} the {other} trial by {size}."


def worse_than_another(summary: dict[str, Any], objective: Objective = F1) -> str:
    """Say that the best trial is significantly worse than another with new seeds; "" where it is not."""
    seeds = text.count(summary.get(Summary.FRESH_SEEDS), "new seed")
    for other, (lead, low, high) in leads(summary).items():
        size, ahead = _ahead(lead, low, high, objective)
        if ahead is False:
            trial = summary.get(Summary.HEADS, {}).get(other, {}).get("trial")
            who = f"the {other} trial" if trial is None else f"trial {trial} ({other})"
            return (
                f"**Retrained with {seeds}, the best trial is significantly worse than {who}:** by {size} in "
                f"{objective.title}. Its selection was luck; prefer the other."
            )
    return ""


def _ahead(
    lead: float, low: float | None, high: float | None, objective: Objective
) -> tuple[str, bool | None]:
    """Return how far apart two are, without a sign, and whether the first is better; None: not shown."""
    if low is None or high is None or low <= 0 <= high:
        return "", None
    ends = (low, high) if lead > 0 else (-high, -low)
    return text.over_seeds(abs(lead), ends), (lead > 0) == objective.up


def fine_tuned(summary: dict[str, Any]) -> list[str]:
    """Say how a fine-tuned encoder was compared with the frozen one."""
    if not summary.get(FineTuned.EFFECT):
        return []
    _, low, high = summary[FineTuned.EFFECT]
    groups = summary.get(Summary.TEST_GROUPS)
    by = "row" if groups is None else f"group ({text.count(groups, 'group')})"
    unsure = summary[FineTuned.VERDICT] not in (Verdict.HELPS, Verdict.HURTS) and text.known((low, high))
    could = text.detectable(detectable_effect(low, high)) if unsure else ""
    seeds, p = text.count(summary[FineTuned.SEEDS], "seed"), text.p_equals(summary[FineTuned.EFFECT_P])
    frozen = _interval(summary, FineTuned.FROZEN_TEST_F1_MACRO)
    return [
        f"Fine-tuned less frozen, paired by {by} (n = {summary[Summary.COUNTS]['test']:,}), mean over "
        f"{seeds}, {p}{could}. Best head on the frozen encoder (trial 0): {frozen}. "
        "Compare both under Confusion matrix."
    ]


def _interval(summary: dict[str, Any], name: str, form: text.Form = text.score) -> str:
    return text.interval(summary[name], summary.get(name + Summary.CI95), form)
