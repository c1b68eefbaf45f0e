"""What a report says of a sweep or a fine-tuning: verdict, answers to the test rows, mistakes, search."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from dashboard import text
from dashboard.charts import calibration, curves, intervals, progress
from dashboard.charts.confusion import MOST_IN_CELLS, confusion
from dashboard.charts.palette import GREY
from dashboard.frames import calibration as calibration_frames
from dashboard.frames import headline
from dashboard.frames import predictions as prediction_frames
from dashboard.frames import trials as trial_frames
from dashboard.frames.predictions import BEST
from dashboard.reports import document, labels, numbers
from dashboard.reports.thumbnails import with_images
from dashboard.runs.run_info import RunInfo
from dashboard.runs.store import Store
from trainer.tracking.schema import Artifact, Curves, Predictions, Summary, Trials, TrialState

TEST = "test"
BEST_TRIALS = 10
CONFUSIONS, OF_EACH = 4, 6  # pairs of classes with images, and images of each
WORST = 24  # mistakes with an image
SIDE = 520  # pixels of the confusion matrix
MOST_LINES = 100  # trials behind the loss of the best one


def sections(store: Store, info: RunInfo) -> list[str]:
    """The sections of a run that has trials."""
    summary = store.summary(info.run_id) or {}
    trials = store.table(info.run_id, Artifact.TRIALS)
    found = [verdict(info, summary)]
    answers = store.table(info.run_id, Artifact.PREDICTIONS)
    if answers is not None:
        rows = answers[(answers[Predictions.HEAD] == BEST) & (answers[Predictions.SPLIT] == TEST)]
        if len(rows):
            found += of_answers(rows, summary, store.table(info.run_id, Artifact.SAMPLES))
    if trials is not None and len(trials):
        found += search(info, trials, store.table(info.run_id, Artifact.CURVES))
    return found


def verdict(info: RunInfo, summary: dict[str, Any]) -> str:
    """The verdict first, then the figures that it stands on."""
    said = headline.verdict(info, summary)
    worse = headline.worse_than_another(summary, info.objective)
    cautions = [said.warning, worse]
    over = ""
    if Summary.TEST + info.objective.leading.metric in summary and summary.get(Summary.COUNTS):
        over, rough = headline.basis(summary)
        cautions += rough
    return "".join(
        [
            document.paragraph(said.words, "verdict"),
            *(document.paragraph(one.replace("**", "").replace("`", ""), "caution") for one in cautions),
            document.tiles(headline.cells(info, summary)),
            document.paragraph(over, "quiet"),
        ]
    )


def of_answers(rows: pd.DataFrame, summary: dict[str, Any], images: pd.DataFrame | None) -> list[str]:
    """What the final head says of the test rows, whatever is predicted."""
    if Predictions.NUMBER in rows:
        return numbers.sections(rows, images)
    if Predictions.LABEL_PROBABILITIES in rows:
        return labels.sections(rows, summary, images)
    return of_classes(rows, summary.get(Summary.CLASSES, []), images) if Predictions.PRED in rows else []


def of_classes(rows: pd.DataFrame, logged: list[str], samples: pd.DataFrame | None) -> list[str]:
    """Confusion matrix, classes, worst confusions, worst mistakes and calibration of the final head."""
    classes = prediction_frames.class_order(rows, logged, prediction_frames.AS_LOGGED)
    shown = prediction_frames.shown_names(classes)
    cells = prediction_frames.confusion(rows)
    named = cells.assign(label=cells["label"].map(shown), pred=cells["pred"].map(shown))
    value, low, high = prediction_frames.accuracy(rows)
    accuracy = text.interval(value, (low, high))
    shares = len(classes) > MOST_IN_CELLS
    matrix = document.chart(
        confusion(named, list(shown.values()), normalised=shares, side=SIDE, dark=False),
        f"Confusion matrix of {text.count(len(rows), 'test row')}, accuracy {accuracy}.",
    )
    figures = prediction_frames.class_figures(rows, classes)
    answered = calibration_frames.confidence(rows)
    error = calibration_frames.error(answered)
    reliability = document.chart(
        calibration.reliability(calibration_frames.reliability(answered)),
        f"Accuracy against confidence: expected calibration error {text.score(error)}.",
    )
    return [
        document.section("Confusion matrix", matrix),
        document.section("Classes", document.table(classes_as_read(figures, shown))),
        document.section("Worst confusions", *worst_confusions(rows, cells, shown, samples)),
        document.section("Most confident mistakes", mistakes(rows, shown, samples)),
        document.section("Calibration", reliability),
    ]


def classes_as_read(figures: pd.DataFrame, shown: dict[str, str]) -> pd.DataFrame:
    """Scores of each class with 95 % intervals, the worst F1 first."""
    ordered = figures.sort_values("f1", kind="stable", na_position="last").to_dict("records")
    scores = {
        f"{title} [95 %]": [
            text.interval(row[name], (row[f"{name}_low"], row[f"{name}_high"])) for row in ordered
        ]
        for name, title in (("f1", "F1"), ("precision", "precision"), ("recall", "recall"))
    }
    names = [shown[row["class"]] for row in ordered]
    return pd.DataFrame({"class": names, **scores, "test rows": [int(row["support"]) for row in ordered]})


def worst_confusions(
    rows: pd.DataFrame, cells: pd.DataFrame, shown: dict[str, str], samples: pd.DataFrame | None
) -> list[str]:
    found = []
    for one in prediction_frames.mistakes(cells).head(CONFUSIONS).to_dict("records"):
        inside = prediction_frames.cell(rows, one["label"], one["pred"]).head(OF_EACH)
        pair = f"{shown[one['label']]} → {shown[one['pred']]}"
        title = document.escaped(f"{pair}: {one['n']:,} of {text.count(one['support'], 'row')}")
        of_cell = [(image, _confidence(row)) for image, row in with_images(inside, samples)]
        found.append(f"<h3>{title}</h3>{document.images(of_cell)}")
    return found


def mistakes(rows: pd.DataFrame, shown: dict[str, str], samples: pd.DataFrame | None) -> str:
    wrong = rows[rows[Predictions.LABEL] != rows[Predictions.PRED]]
    wrong = wrong.sort_values(Predictions.CONFIDENCE, ascending=False, kind="stable").head(WORST)
    found = [
        (image, f"{shown[row[Predictions.LABEL]]} → {shown[row[Predictions.PRED]]}, {_confidence(row)}")
        for image, row in with_images(wrong, samples)
    ]
    if found:
        return document.images(found)
    return document.table(
        pd.DataFrame(
            {
                "row": [text.clean(one, longest=80) for one in wrong[Predictions.SAMPLE_ID]],
                "label": wrong[Predictions.LABEL].map(shown),
                "predicted": wrong[Predictions.PRED].map(shown),
                "confidence": [f"{one:.0%}" for one in wrong[Predictions.CONFIDENCE]],
            }
        )
    )


def _confidence(row: dict[Hashable, Any]) -> str:
    return f"{row[Predictions.CONFIDENCE]:.0%}"


def search(info: RunInfo, trials: pd.DataFrame, recorded: pd.DataFrame | None) -> list[str]:
    """How the search went, and the best configurations."""
    objective = info.objective
    frame = trial_frames.best_so_far(trials, objective)
    if frame.empty:
        return []
    best = trial_frames.top(trials, BEST_TRIALS, objective)
    over = f"95 % intervals over {trial_frames.interval_over(trials)}"
    figures = [
        document.chart(
            progress.best_so_far(frame, title=objective.title),
            f"Validation {objective.title} of {text.count(len(frame), 'trial')} as they ended, and the best "
            "so far.",
        ),
        document.chart(
            intervals.best_trials(best, title=objective.title, most=objective.most, least=objective.least),
            f"The best {text.count(len(best), 'trial')}, {over}.",
        ),
    ]
    names = trial_frames.parameters(trials, varying=True)
    table = pd.DataFrame(
        {
            "trial": best[Trials.TRIAL].astype(int),
            f"validation {objective.title}": best[objective.column],
            **{text.clean(name.partition(".")[2]): [_setting(one) for one in best[name]] for name in names},
        }
    )
    return [
        document.section("Search", document.side_by_side(*figures)),
        document.section("Loss of the best trial with epochs", losses(info, trials, recorded)),
        document.section("Best configurations", document.table(table)),
    ]


def losses(info: RunInfo, trials: pd.DataFrame, recorded: pd.DataFrame | None) -> str:
    """Training against validation loss of the best trial that has epochs, over the others."""
    if recorded is None:
        return ""
    complete = trials[trials[Trials.STATE] == TrialState.COMPLETE]
    fitted = trial_frames.without_epochs(complete)[Trials.TRIAL]
    descended = complete[~complete[Trials.TRIAL].isin(fitted)]
    if descended.empty:
        return ""
    number = int(trial_frames.best_first(descended, info.objective)[Trials.TRIAL].iloc[0])
    groups = trial_frames.one_group(trials, "all")
    of_split = {
        name: trial_frames.lines(recorded, split, "loss", groups)
        for name, split in (("training", "train"), ("validation", "val"))
    }
    focus = pd.concat(
        [
            lines[lines[Curves.TRIAL] == number].assign(series=name, best=False)
            for name, lines in of_split.items()
        ]
    )
    if focus.empty:
        return ""
    others = of_split["validation"]
    beside = descended[Trials.TRIAL][descended[Trials.TRIAL] != number].head(MOST_LINES)
    others = others[others[Curves.TRIAL].isin(beside)]
    options = curves.CurveOptions(
        order=["all"],
        palette=[GREY],
        title="loss",
        legend="trials",
        extent=trial_frames.axis_range(pd.concat([focus["value"], others["value"]])),
        height=320,
    )
    return document.chart(
        curves.train_and_validation(focus, others, options),
        f"Training and validation loss of trial {number} by epoch, over "
        f"{text.count(len(beside), 'other complete trial')}.",
    )


def _setting(value: Any) -> str:
    return "–" if value is None or value != value else text.value(value)
