"""Read labels as numbers to predict: recognise them, convert them, refuse what is none."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from trainer.core.errors import InputError
from trainer.core.text import count, cut

MANY = 10  # distinct numbers with a fraction, from which labels may be a quantity
FEW_ROWS = 5  # mean rows per distinct label, below which they are one
LEAST = 20  # rows, to learn and to judge
SHOWN = 3  # values in a message
LARGEST = 1e150  # whose square is finite
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?")
_MEASURED = re.compile(r"[^\w\s]?\s?[-+]?\d[\d.,'\s]*\s?[^\W\d_]{0,5}[^\w\s]?\d?")  # 12 kg, € 3.50, 1,5 m2


def are_numbers(classes: Sequence[str], label_n: np.ndarray) -> bool:
    """Return whether labels are evidently a quantity: more than `MANY` distinct numbers with a fraction, most
    labels numbers, and few rows of each.

    Args:
        label_n: int [N], index into ``classes``; -1 without a label.
    """
    value_c = np.array([_number(one) for one in classes])
    finite_c = np.isfinite(value_c)
    fractional = int((value_c[finite_c] != np.round(value_c[finite_c])).sum())
    rows = int((label_n >= 0).sum())
    return fractional > MANY and finite_c.mean() >= 0.5 and rows < FEW_ROWS * len(classes)


def numbers_of(
    name: str, classes: Sequence[str], label_n: np.ndarray, sample_id: Sequence[str]
) -> np.ndarray:
    """Return the number of each row: float64 [N].

    Args:
        name: of the data.
        label_n: int [N], index into ``classes``; -1 without a label.
        sample_id: names of the rows, for messages.

    Raises:
        InputError: a row has none, or one that is infinite; with three of them, and what to do.
    """
    target_n = np.array([*(_number(one) for one in classes), math.nan])[label_n]  # the last at -1
    wrong = np.flatnonzero(~np.isfinite(target_n)).tolist()
    if wrong:
        text_of = [classes[label_n[row]] if label_n[row] >= 0 else "" for row in wrong]
        named = ", ".join(
            f"{cut(repr(sample_id[row]), 60)} has {cut(repr(text), 40) if text else 'nothing'}"
            for row, text in list(zip(wrong, text_of, strict=True))[:SHOWN]
        )
        more = ", …" if len(wrong) > SHOWN else ""
        raise InputError(
            f"{name}: {len(wrong):,} of {count(len(label_n), 'row')} {'has' if len(wrong) == 1 else 'have'} "
            f"no finite number to predict: {named}{more}. {_cure(text_of)}"
        )
    return target_n


def check_numbers(name: str, target_n: np.ndarray, split_n: np.ndarray) -> None:
    """Raise InputError for numbers that cannot be learned or judged: too few rows, overflow, or one number in
    a split."""
    shown = ", ".join(f"{value:g}" for value in target_n[:SHOWN])
    if len(target_n) < LEAST:
        raise InputError(
            f"{name} has {count(len(target_n), 'number')} ({shown}{', …' if len(target_n) > SHOWN else ''}); "
            f"predicting them needs at least {LEAST} rows. Add rows."
        )
    largest = float(np.abs(target_n).max())
    if largest > LARGEST:
        raise InputError(
            f"{name} has numbers up to {largest:g} ({shown}, …), whose squares overflow. Divide them, or "
            "take their logarithm."
        )
    for split in ("train", "val", "test"):
        values = target_n[split_n == split]
        if len(values) and np.ptp(values) == 0:
            same = ", ".join(f"{value:g}" for value in values[:SHOWN])
            whole = f"the {len(values):,} {split} rows" if len(values) > 1 else f"the only {split} row"
            raise InputError(
                f"{name}: {whole} all have one number ({same}{', …' if len(values) > SHOWN else ''}), so "
                "nothing can be learned or judged. Add rows with other values, or name another column with "
                "--label-column."
            )


def quantity_hint(classes: Sequence[str]) -> str:
    """Return what to do where most names of classes are dates, or numbers with a unit or a decimal comma: a
    sentence; "" for others."""
    dates = sum(_DATE.fullmatch(one.strip()) is not None for one in classes)
    measured = sum(_MEASURED.fullmatch(one.strip()) is not None for one in classes)
    if 2 * max(dates, measured) <= len(classes):
        return ""
    what = (
        "dates: write them as numbers, such as days since the first one"
        if dates >= measured
        else ("quantities: write them as numbers with a decimal point and without units")
    )
    return f" They look like {what}, and a sweep predicts them with --target number."


def _number(text: str) -> float:
    try:
        return math.nan if "_" in text else float(text)  # Python takes 1_10 for 110
    except ValueError:
        return math.nan


def _cure(texts: Sequence[str]) -> str:
    """Say what to do about labels that are no finite numbers."""
    told = [one for one in texts if one and one.lower() not in ("nan", "na", "n/a", "null", "none")]
    if not told:
        return "Add the numbers, or remove these rows."
    if math.isinf(_number(told[0])):
        return "Replace infinite values by finite ones, or remove these rows."
    if _DATE.fullmatch(told[0].strip()):
        return "These look like dates: write them as numbers, such as days since the first one."
    return (
        "Write numbers with a decimal point and without units. If the labels are names of classes, pass "
        "--target class; --label-column names another column."
    )
