"""What the page "Data quality" says of classes and labels. Pure pandas."""

from __future__ import annotations

import pandas as pd

from trainer.tracking.schema import Pictures, Scores

SPLITS = ("train", "val", "test")
NO_LABEL = "(no label)"
AGREEMENT = Scores.SCORE_PREFIX + "agreement"


def class_balance(pictures: pd.DataFrame) -> pd.DataFrame:
    """``label, split, n, share, total``: rows of each class in each split, and their share of the split.

    Every class has a line for every split, so that one that is missing somewhere shows as 0. The most
    frequent class comes first.
    """
    labels = pictures[Pictures.LABEL].replace("", NO_LABEL)
    counts = pd.crosstab(labels, pictures[Pictures.SPLIT])
    counts = counts.reindex(columns=[split for split in SPLITS if split in counts.columns])
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    long = counts.rename_axis("label").reset_index().melt("label", var_name="split", value_name="n")
    long["total"] = long.groupby("split")["n"].transform("sum")
    return long.assign(share=long["n"] / long["total"])


def imbalance(balance: pd.DataFrame) -> tuple[str, int, str, int] | None:
    """Largest and smallest class of the training rows: (name, n, name, n); None without training rows."""
    train = balance[balance["split"] == "train"].sort_values("n", ascending=False, kind="stable")
    if train.empty:
        return None
    first, last = train.iloc[0], train.iloc[-1]
    return str(first["label"]), int(first["n"]), str(last["label"]), int(last["n"])


def doubtful(scores: pd.DataFrame, most: int) -> pd.DataFrame:
    """Training rows whose label a head that had not seen them finds least likely, the least likely first."""
    if AGREEMENT not in scores:
        return scores.head(0)
    return scores.dropna(subset=AGREEMENT).sort_values(AGREEMENT, kind="stable").head(most)
