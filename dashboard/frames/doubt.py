"""Labels that heads doubt which had not learned from their rows. Pure pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from trainer.tracking.schema import Predictions

OWN, OTHER = "probability_of_label", "probability_of_answer"


def labels_in_doubt(
    best: pd.DataFrame,
    held_out: Mapping[str, np.ndarray],
    members: Mapping[str, float],
    classes: Sequence[str],
) -> pd.DataFrame | None:
    """Rows whose label is not the likeliest out of fold: ``sample_id, label, pred`` and both probabilities,
    the least likely label first; None where that is not on record.

    Args:
        best: PREDICTIONS of the best head.
        held_out: HELD_OUT, log-probabilities [M, C] of the judged rows by trial.
        members: weight of each trial in the final head.
    """
    split = best[Predictions.SPLIT]
    train, val = best[split == "train"], best[split == "val"]
    known = {number: weight for number, weight in members.items() if number in held_out}
    if not known:
        return None
    weighted = [np.exp(held_out[number].astype(float)) * weight for number, weight in known.items()]
    share_mc = np.sum(weighted, axis=0)
    count = len(share_mc)
    rows = pd.concat([train, val]) if count == len(train) + len(val) else val
    label_m = rows[Predictions.LABEL].map({name: index for index, name in enumerate(classes)})
    if count != len(rows) or label_m.isna().any():
        return None
    probability_mc = share_mc / share_mc.sum(1, keepdims=True)
    answer_m, at = probability_mc.argmax(1), np.arange(count)
    found = rows[[Predictions.SAMPLE_ID, Predictions.LABEL, Predictions.SPLIT]].assign(
        **{
            Predictions.PRED: np.asarray(classes, dtype=object)[answer_m],
            OWN: probability_mc[at, label_m.to_numpy(dtype=int)],
            OTHER: probability_mc[at, answer_m],
        }
    )
    doubted = found[found[Predictions.LABEL] != found[Predictions.PRED]]
    return doubted.sort_values(OWN, kind="stable").reset_index(drop=True)
