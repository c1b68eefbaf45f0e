"""What the page "Data quality" says of classes and labels. Pure pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd

from trainer.tracking.schema import (
    Duplicates,
    Images,
    Quarantine,
    Scores,
)

SPLITS = ("train", "val", "test")
NO_LABEL = "(no label)"
LABEL_A, LABEL_B = "label_a", "label_b"  # of a pair of rows
AGREEMENT = Scores.SCORE_PREFIX + "agreement"


def without_a_lone_label(images: pd.DataFrame) -> pd.DataFrame:
    """Return IMAGES with "" in the place of a label that all rows have, such as the name of their folder."""
    return images if images[Images.LABEL].nunique() > 1 else images.assign(**{Images.LABEL: ""})


def class_balance(images: pd.DataFrame, separator: str = "") -> pd.DataFrame:
    """``label, split, n, share, total``: rows of each class in each split, and their share of the split.

    Every class has a line for every split, so that one that is missing somewhere shows as 0. The most
    frequent class comes first.

    Args:
        separator: between the labels of a row that may have several, each of which is counted; "": one class.
    """
    totals = images[Images.SPLIT].value_counts()
    if separator:
        several = images[Images.LABEL].str.split(separator, regex=False)
        images = images[[Images.LABEL, Images.SPLIT]].assign(**{Images.LABEL: several}).explode(Images.LABEL)
        images = images.assign(**{Images.LABEL: images[Images.LABEL].str.strip()}).reset_index(drop=True)
    labels = images[Images.LABEL].replace("", NO_LABEL)
    counts = pd.crosstab(labels, images[Images.SPLIT])
    counts = counts.reindex(columns=[split for split in SPLITS if split in counts.columns])
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    long = counts.rename_axis("label").reset_index().melt("label", var_name="split", value_name="n")
    long["total"] = long["split"].map(totals)
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


def reasons(quarantine: pd.DataFrame) -> pd.DataFrame:
    """How many files were quarantined for what: ``reason, n``, the most frequent first.

    A reason is told up to its particulars: "not an image that can be read (HTML …)" ends before the bracket.
    """
    kinds = quarantine[Quarantine.REASON].str.split(r": | \(", n=1, regex=True).str[0]
    return kinds.value_counts().rename_axis("reason").reset_index(name="n")


def with_size(images: pd.DataFrame) -> pd.DataFrame:
    """IMAGES with the shorter side as one more measure."""
    return images.assign(**{Images.SIZE: images[[Images.WIDTH, Images.HEIGHT]].min(axis=1)})


def histogram(images: pd.DataFrame, measure: str, *, wide: bool, bins: int = 40) -> pd.DataFrame:
    """Where a measure's values lie, split by split: ``split, low, high, n, share, total``, a row per bin.

    Every split has every bin, so that lines come down to zero. ``share`` is n / total, ``total`` the split's
    images that have the measure: splits of any size can be compared.

    Args:
        wide: bins even in log(1 + value), for measures over orders of magnitude.
    """
    known = images[[Images.SPLIT, measure]].dropna()
    if known.empty:
        return pd.DataFrame(columns=["split", "low", "high", "n", "share", "total"])
    low, high = float(known[measure].min()), float(known[measure].max())
    if low == high:  # all alike: one bin around them
        edges = np.array([low - 0.5, low + 0.5])
    elif wide:
        edges = np.expm1(np.linspace(np.log1p(low), np.log1p(high), bins + 1))
        edges[0], edges[-1] = low, high  # rounding must not lose the extremes
    else:
        edges = np.linspace(low, high, bins + 1)
    parts = []
    for split, values in known.groupby(Images.SPLIT)[measure]:
        n = np.histogram(values, edges)[0]
        part = {"split": split, "low": edges[:-1], "high": edges[1:], "n": n, "share": n / len(values)}
        parts.append(pd.DataFrame(part).assign(total=len(values)))
    return pd.concat(parts, ignore_index=True)


def extremes(images: pd.DataFrame, measure: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images with the lowest values, lowest first, and those with the highest, highest first.

    None is in both. Of equal values those that have a thumbnail come first.
    """
    known = images.dropna(subset=measure)
    unseen = known[Images.THUMBNAIL].isna()
    most = min(Images.EXTREMES, len(known) // 2)
    low, high = (
        known.assign(unseen=unseen)
        .sort_values([measure, "unseen"], ascending=[up, True], kind="stable")
        .head(most)
        for up in (True, False)
    )
    return low, high


def most_cut(images: pd.DataFrame) -> pd.DataFrame:
    """The images of which the encoder sees least, worst first; of equal ones those with a thumbnail first."""
    cut = images[images[Images.CUT] > 0]
    cut = cut.assign(unseen=cut[Images.THUMBNAIL].isna())
    return cut.sort_values([Images.CUT, "unseen"], ascending=[False, True], kind="stable").head(
        Images.EXTREMES
    )


def duplicate_counts(pairs: pd.DataFrame, near: dict[str, int]) -> pd.DataFrame:
    """``between, same bytes, near``: pairs within and across splits, leaks first; only where there are some.

    Args:
        pairs: DUPLICATES, of which the copies are counted.
        near: how many near-duplicates there are; the table holds the closest alone.
    """
    same = pairs[pairs[Duplicates.KIND] == Duplicates.SAME]
    copies = (same[Duplicates.SPLIT_A] + "/" + same[Duplicates.SPLIT_B]).value_counts()
    rows = [(b, int(copies.get(b, 0)), int(near.get(b, 0))) for b in Duplicates.BETWEEN]
    frame = pd.DataFrame(rows, columns=["between", Duplicates.SAME, Duplicates.NEAR])
    return frame[frame[[Duplicates.SAME, Duplicates.NEAR]].sum(axis=1) > 0].reset_index(drop=True)


def with_labels(pairs: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """DUPLICATES with the labels of both rows, "" for none: ``label_a, label_b``."""
    label = images.drop_duplicates(Images.SAMPLE_ID).set_index(Images.SAMPLE_ID)[Images.LABEL]
    a, b = (pairs[name].map(label).fillna("") for name in (Duplicates.SAMPLE_ID_A, Duplicates.SAMPLE_ID_B))
    return pairs.assign(**{LABEL_A: a, LABEL_B: b})


def label_conflicts(pairs: pd.DataFrame) -> pd.DataFrame:
    """Copies whose labels differ: ``sample_id_a, label_a, sample_id_b, label_b``, from `with_labels`."""
    known = (pairs[LABEL_A] != "") & (pairs[LABEL_B] != "")
    differ = (pairs[Duplicates.KIND] == Duplicates.SAME) & known & (pairs[LABEL_A] != pairs[LABEL_B])
    columns = [Duplicates.SAMPLE_ID_A, LABEL_A, Duplicates.SAMPLE_ID_B, LABEL_B]
    return pairs.loc[differ, columns].reset_index(drop=True)
