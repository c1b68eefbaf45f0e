"""Where a head is worst: kinds of rows on which it is right less often than on the others. Pure frames."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd

from dashboard import text
from dashboard.frames.comparison import NOT_SIGNIFICANT, WORSE
from dashboard.frames.predictions import groups, shown_names, units
from trainer.stats.paired_bootstrap import holm
from trainer.stats.power import detectable_effect
from trainer.stats.slices import slice_figures
from trainer.tracking.schema import Duplicates, Images, Predictions, Samples

FEWEST, MOST_SHARE = 10, 0.9  # rows of a slice, and the most of all rows that it may be
MOST_NAMED = 200  # folders, and groups, that are tested, the largest: there may be one for every ten rows
MOST_WORDS = 60  # words of captions that are tested, the most frequent
MOST_SHOWN = 12  # slices in the chart and the table
WORD = re.compile(r"[^\W\d_]{3,}")
ENDS = (("lowest quarter", 0.0, 0.25), ("highest quarter", 0.75, 1.0))


ALIKE = "near-duplicate in training rows"
LONGER = "longer side (pixels)"


class Slice(NamedTuple):
    """Some of the rows."""

    kind: str  # group, folder, caption, or the name of a number
    name: str
    inside_n: np.ndarray  # bool


def slices(
    rows: pd.DataFrame,
    samples: pd.DataFrame | None,
    numbers: pd.DataFrame | None,
    duplicates: pd.DataFrame | None = None,
) -> list[Slice]:
    """Slices of rows, of at least `FEWEST` of them; of slices of the same rows the first.

    Of many folders, groups and words the largest are taken, whatever the answers to their rows.

    Args:
        rows: PREDICTIONS of one head in one split, one row per sample.
        samples: SAMPLES, for groups and captions.
        numbers: numbers of the rows by sample, as of `frames.projection.numbers`.
        duplicates: DUPLICATES of an extraction of the same data.
    """
    ids = rows[Predictions.SAMPLE_ID]
    found = _named("folder", [str(PurePosixPath(one).parent) for one in ids])
    if samples is not None:
        known = samples.drop_duplicates(Samples.SAMPLE_ID).set_index(Samples.SAMPLE_ID).reindex(ids)
        found += _named("group", known[Samples.GROUP].fillna("").astype(str))
        found += _words(known[Samples.CAPTION].fillna("").astype(str))
    if duplicates is not None:
        alike_n = ids.isin(alike_in_training(duplicates)).to_numpy()
        found += [Slice(ALIKE, "yes", alike_n), Slice(ALIKE, "no", ~alike_n)]
    if numbers is not None:
        numbers = with_one_size(numbers)
        for name in numbers:
            found += _quarters(str(name), numbers[name].reindex(ids).to_numpy(np.float64))
    different: dict[bytes, Slice] = {}
    for one in found:
        if FEWEST <= one.inside_n.sum() <= min(MOST_SHARE * len(rows), len(rows) - FEWEST):
            different.setdefault(np.packbits(one.inside_n).tobytes(), one)
    return list(different.values())


def alike_in_training(duplicates: pd.DataFrame) -> set[str]:
    """Rows of which a training row is a copy or a near-duplicate."""
    ends = (
        (Duplicates.SAMPLE_ID_A, Duplicates.SPLIT_B),
        (Duplicates.SAMPLE_ID_B, Duplicates.SPLIT_A),
    )
    return {one for row, split in ends for one in duplicates.loc[duplicates[split] == "train", row]}


def with_one_size(numbers: pd.DataFrame) -> pd.DataFrame:
    """Numbers with the longer side of an image in the place of its width and height."""
    sides = [Images.WIDTH, Images.HEIGHT]
    if not {*sides} <= {*numbers}:
        return numbers
    return numbers.drop(columns=sides).assign(**{LONGER: numbers[sides].max(axis=1)})


def _named(kind: str, values: list[str] | pd.Series) -> list[Slice]:
    value_n = np.asarray(values, dtype=object)
    known = [
        name for name, count in Counter(value_n).most_common() if count >= FEWEST and name not in ("", ".")
    ]
    return [Slice(kind, name, value_n == name) for name in known[:MOST_NAMED]]


def _words(captions: pd.Series) -> list[Slice]:
    of_row = [set(WORD.findall(one.casefold())) for one in captions]
    counts = Counter(word for words in of_row for word in words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[:MOST_WORDS]
    frequent = [word for word in ranked if counts[word] >= FEWEST]
    return [Slice("caption", word, np.array([word in words for words in of_row])) for word in frequent]


def _quarters(name: str, value_n: np.ndarray) -> list[Slice]:
    known = np.isfinite(value_n)
    if not known.any():
        return []
    found = []
    for end, low, high in ENDS:
        least, most = np.quantile(value_n[known], [low, high])
        inside_n = known & (value_n >= least) & (value_n <= most)
        found.append(Slice(name, f"{end} ({text.value(least)} – {text.value(most)})", inside_n))
    return found


def compared(rows: pd.DataFrame, found: list[Slice]) -> pd.DataFrame:
    """Each slice against the other rows, the least likely by chance first.

    Returns:
        ``kind, slice, name`` (no two alike), ``n, value, low, high`` (difference in accuracy), ``p`` (Holm,
        over all slices), ``says, detectable, accuracy, accuracy_low, accuracy_high, elsewhere, f1`` (macro-F1
        over the labels of the slice) and ``place`` in ``found``.
    """
    right_n = (rows[Predictions.LABEL] == rows[Predictions.PRED]).to_numpy()
    unit_n = units(rows)
    figures = [slice_figures(right_n, one.inside_n, unit_n) for one in found]
    p_of = np.array([one.p for one in figures])
    p_m = holm(p_of)
    shown = shown_names([f"{one.kind}: {one.name}" for one in found], longest=46)
    table = pd.DataFrame(
        {
            "kind": [one.kind for one in found],
            "slice": [text.clean(one.name, longest=60) for one in found],
            "name": [f"{shown[f'{one.kind}: {one.name}']} (n = {one.inside_n.sum():,})" for one in found],
            "n": [int(one.inside_n.sum()) for one in found],
            "value": [one.difference.value for one in figures],
            "low": [one.difference.low for one in figures],
            "high": [one.difference.high for one in figures],
            "p": p_m,
            "says": [
                WORSE if text.significant(one.difference[1:], p) else NOT_SIGNIFICANT
                for p, one in zip(p_m, figures, strict=True)
            ],
            "detectable": [detectable_effect(*one.difference[1:], comparisons=len(found)) for one in figures],
            "accuracy": [one.inside.value for one in figures],
            "accuracy_low": [one.inside.low for one in figures],
            "accuracy_high": [one.inside.high for one in figures],
            "elsewhere": [one.outside.value for one in figures],
            "f1": _f1(rows, found),
            "place": np.arange(len(found)),
        }
    )
    table["detectable"] = table["detectable"].where(table["says"] == NOT_SIGNIFICANT)
    order = np.lexsort((table["value"].to_numpy(), np.nan_to_num(p_of, nan=1.0)))
    return table.iloc[order].reset_index(drop=True)


def _f1(rows: pd.DataFrame, found: list[Slice]) -> list[float]:
    """Mean F1 over the classes that are labels in each slice: others can only be wrong there."""
    codes, classes = pd.factorize(pd.concat([rows[Predictions.LABEL], rows[Predictions.PRED]]))
    label_n, pred_n = codes[: len(rows)], codes[len(rows) :]

    def mean(inside_n: np.ndarray) -> float:
        label_m, pred_m = label_n[inside_n], pred_n[inside_n]
        hits_c, labels_c, preds_c = (
            np.bincount(one, minlength=len(classes)) for one in (label_m[label_m == pred_m], label_m, pred_m)
        )
        here_c = labels_c > 0
        return float((2 * hits_c / np.maximum(labels_c + preds_c, 1))[here_c].mean())

    return [mean(one.inside_n) for one in found]


def verdict(table: pd.DataFrame) -> str:
    """Where the head is worst, in one line; for Markdown."""
    worse = table[table["says"] == WORSE]
    if worse.empty:
        return (
            f"No kind of row is shown to be worse than the others ({text.count(len(table), 'slice')} tested)"
        )
    first = worse.sort_values("value", kind="stable").iloc[0]
    where = text.plain(f"{first['kind']}: {first['slice']}", longest=40)
    others = f"; {text.count(len(worse) - 1, 'more')}" if len(worse) > 1 else ""
    scores = text.score(first["accuracy"]), text.score(first["elsewhere"])
    return f"Worst on {where}: accuracy {scores[0]} against {scores[1]} elsewhere{others}"


def as_read(table: pd.DataFrame) -> pd.DataFrame:
    """The table for people: intervals in brackets."""
    records = table.to_dict("records")
    return pd.DataFrame(
        {
            "kind": table["kind"],
            "slice": table["slice"],
            "test rows": table["n"],
            "accuracy [95 %]": [
                text.interval(row["accuracy"], (row["accuracy_low"], row["accuracy_high"])) for row in records
            ],
            "elsewhere": table["elsewhere"].map(text.score),
            "difference [95 %]": [
                text.interval(row["value"], (row["low"], row["high"]), text.signed) for row in records
            ],
            "p (Holm)": [text.p_value(row["p"]) for row in records],
            "macro-F1": table["f1"].map(text.score),
        }
    )


def drawn_over(rows: pd.DataFrame) -> str:
    """What intervals are over."""
    return text.rows_drawn(len(rows), groups(rows))
