"""A Streamlit script that shows every chart with a row for each thing, of several numbers of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import ablation, comparison, data_quality, explain, hyperparameters, intervals, labels
from dashboard.ui import layout
from trainer.charts.effects import AGAINST, GridAxes, grid
from trainer.tracking.schema import Verdict

ROWS = (1, 2, 3, 5, 12, 40)


def _effects(count: int) -> pd.DataFrame:
    value = np.linspace(0.1, -0.1, count)
    return pd.DataFrame(
        {
            "name": [f"a name of some length {i}" for i in range(count)],
            "label": [f"class {i}\nn = 10 of 20" for i in range(count)],
            "step": "step",
            **{"value": value, "low": value - 0.05, "high": value + 0.05},
            **{"effect": value, "effect_low": value - 0.05, "effect_high": value + 0.05},
            **{"start": 0.0, "end": value, "f1_macro": 0.5, "f1_macro_low": 0.4, "f1_macro_high": 0.6},
            **{"says": "better", "chosen": False, "p": 0.1, "detectable": 0.1, "effect_p_holm": 0.1},
            **{"class": [f"class {i}" for i in range(count)], "kept": 10, "train": 20, "test": 30},
        }
    )


def forest(count: int) -> Any:
    cells = _effects(count).assign(number=range(count), verdict="unclear", sure="p < 0.05")
    frame = pd.concat([cells.assign(against=name) for name in AGAINST])
    return ablation.forest(frame, title="change of macro-F1", selected=0)


def thresholds(count: int) -> Any:
    up, across = [f"top{i}%" for i in range(count)], ["all", "top50%"]
    fields = pd.DataFrame([(a, u) for u in up for a in across], columns=["across", "up"])
    fields = fields.assign(name="cell", kept=10, verdict=str(Verdict.UNCLEAR), state="measured")
    fields = fields.assign(value=0.01, low=-0.01, high=0.03)
    return grid(fields, GridAxes("quality", "match", across, up), title="change of macro-F1", reach=0.1)


def balance(count: int) -> Any:
    rows = [(f"class {i}", split) for i in range(count) for split in ("train", "val", "test")]
    frame = pd.DataFrame(rows, columns=["label", "split"])
    return data_quality.class_balance(frame.assign(n=5, total=100, share=0.05))


def balance_of_one_split(count: int) -> Any:
    frame = pd.DataFrame({"label": [f"class {i}" for i in range(count)], "split": "train"})
    return data_quality.class_balance(frame.assign(n=5, total=100, share=0.05))


def importance(count: int) -> Any:
    table = pd.DataFrame({"title": [f"parameter {i}" for i in range(count)], "stands_out": True})
    told = {"explained": 0.3, "low": 0.1, "high": 0.5, "chance": 0.2, "p_holm": 0.01, "share": 0.1}
    return hyperparameters.importance(table.assign(**told, n=50, best=5), dark=False)


def best_trials(count: int) -> Any:
    frame = pd.DataFrame({"trial": range(count), "score": np.linspace(0.9, 0.5, count), "seeds": 3})
    return intervals.best_trials(
        frame.assign(low=frame["score"] - 0.02, high=frame["score"] + 0.02), title="macro-F1"
    )


def probabilities(count: int) -> Any:
    frame = pd.DataFrame({"class": [f"class {i}" for i in range(count)], "by": explain.HEAD})
    return explain.probabilities(frame.assign(probability=1 / count))


def precisions(count: int) -> Any:
    frame = pd.DataFrame({"label": [f"label {i}" for i in range(count)], "ap": np.linspace(0.2, 0.9, count)})
    frame = frame.assign(ap_low=frame["ap"] - 0.1, ap_high=frame["ap"] + 0.1, chance=0.15, n=10, f1=0.5)
    return labels.precisions(frame)


def labels_of_an_image(count: int) -> Any:
    frame = pd.DataFrame({"label": [f"label {i}" for i in range(count)], "threshold": 0.4})
    frame = frame.assign(probability=np.linspace(0.9, 0.0, count))
    return labels.bars(frame.assign(said=frame["probability"] >= 0.4), dark=False)


CHARTS: dict[str, Callable[[int], Any]] = {  # by module and function, with what draws so many rows of it
    "dashboard.charts.ablation.forest": forest,
    "dashboard.charts.ablation.steps": lambda n: ablation.steps(_effects(n), title="change", dark=False),
    "dashboard.charts.ablation.classes": lambda n: ablation.classes(_effects(n)),
    "dashboard.charts.comparison.dots": lambda n: comparison.dots(_effects(n), title="macro-F1"),
    "dashboard.charts.comparison.differences": lambda n: comparison.differences(_effects(n), title="of F1"),
    "dashboard.charts.data_quality.class_balance": balance,
    "dashboard.charts.data_quality.class_balance, one split": balance_of_one_split,
    "dashboard.charts.explain.probabilities": probabilities,
    "dashboard.charts.hyperparameters.importance": importance,
    "dashboard.charts.intervals.best_trials": best_trials,
    "dashboard.charts.labels.bars": labels_of_an_image,
    "trainer.charts.precisions.precisions": precisions,
    "trainer.charts.effects.grid": thresholds,
}


def main() -> None:
    for name, chart in CHARTS.items():
        st.header(name)
        for count in ROWS:
            layout.draw(chart(count), alt_text=f"{name}: {count} rows")


if __name__ == "__main__":
    main()
