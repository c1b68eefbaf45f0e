"""What a report says of predicted numbers: against the true ones, their errors, and the worst images."""

from __future__ import annotations

import pandas as pd

from dashboard import text
from dashboard.charts import numbers as charts
from dashboard.frames import numbers as frames
from dashboard.reports import document
from dashboard.reports.thumbnails import with_images
from trainer.charts.numbers import PREDICTED, TRUE, against_true, extent_of

MOST_POINTS = 2_000
WORST = 24  # images


def sections(rows: pd.DataFrame, samples: pd.DataFrame | None) -> list[str]:
    """The sections of the final head on test rows, of PREDICTIONS."""
    ordered = frames.largest_first(rows)
    drawn = ordered[[TRUE, PREDICTED]].sample(min(len(ordered), MOST_POINTS), random_state=0)
    figures = frames.figures(ordered)
    r2, mae, rmse = (
        text.interval(one.value, one[1:], form)
        for one, form in (
            (figures.r2, text.score),
            (figures.mae, text.quantity),
            (figures.rmse, text.quantity),
        )
    )
    n = text.count(len(ordered), "test row")
    some = "" if len(drawn) == len(ordered) else f" {len(drawn):,} of them are drawn."
    points = document.chart(
        against_true(drawn, extent_of(drawn[TRUE].to_numpy(), drawn[PREDICTED].to_numpy())),
        f"Predicted against true numbers of {n}, R² {r2}.{some}",
    )
    errors = document.chart(
        charts.errors(frames.histogram(ordered)), f"Errors of {n}: MAE {mae}, RMSE {rmse}."
    )
    worst = [(image, frames.said(row)) for image, row in with_images(ordered.head(WORST), samples)]
    return [
        document.section("Predicted against true", document.side_by_side(points, errors)),
        document.section("Largest errors", document.images(worst)),
    ]
