"""Scores of rows that filters look at. Pure: vectors and measures in, one number per row out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score

from trainer.features.aesthetic import AestheticHead
from trainer.stats.intervals import Interval

Of = Literal["best", "mean", "worst"]  # which of several captions counts

CLIP, AESTHETIC, QUALITY, AGREEMENT = "clip", "aesthetic", "quality", "agreement"
TECHNICAL = ("sharpness", "contrast", "entropy", "size")  # what quality is made of; size: the shorter side
LOGARITHMIC = ("sharpness", "size")
NEAR = 1e-9


def cosine(one_ne: np.ndarray, other_ne: np.ndarray) -> np.ndarray:
    """Return the cosine of vectors, row by row: float64 [N], NaN where one of the two is zero or no
    number."""
    product_n = np.einsum("ne,ne->n", one_ne, other_ne, dtype=np.float64)
    length_n = np.linalg.norm(one_ne.astype(np.float64), axis=1)
    length_n *= np.linalg.norm(other_ne.astype(np.float64), axis=1)
    return np.divide(product_n, length_n, out=np.full(len(product_n), np.nan), where=length_n > 0)


def clip_score(
    image_ne: np.ndarray, text_me: np.ndarray, row_m: np.ndarray, *, of: Of = "best"
) -> np.ndarray:
    """Return the CLIP score of each row: the cosine of image and text embedding, both of length 1 (Hessel
    et al. 2021, without their factor 2.5).

    Never of ``logits_per_image``: these are cosines already, times a temperature. The cosine of two columns
    of them compares rows with each other, and of a single pair it is 1, whatever it shows.

    Args:
        image_ne: [N, E] in the space shared with texts.
        text_me: [M, E], all captions of all rows.
        row_m: int [M], which row each caption belongs to.
        of: of a row with several captions the best, the mean or the worst one counts.

    Returns:
        float64 [N]; NaN where a row has no caption.
    """
    cosine_m = cosine(image_ne[row_m], text_me)
    score_n = np.full(len(image_ne), np.nan)
    if of == "mean":
        known = ~np.isnan(cosine_m)
        count_n = np.bincount(row_m[known], minlength=len(score_n))
        total_n = np.bincount(row_m[known], weights=cosine_m[known], minlength=len(score_n))
        return np.divide(total_n, count_n, out=score_n, where=count_n > 0)
    (np.fmax if of == "best" else np.fmin).at(score_n, row_m, cosine_m)
    return score_n


def aesthetic_score(image_ne: np.ndarray, head: AestheticHead) -> np.ndarray:
    """Return LAION's aesthetic score, about 1 to 10: the head on image embeddings of length 1. float64
    [N]."""
    wide_ne = image_ne.astype(np.float64)
    return wide_ne @ head.weight_e / np.linalg.norm(wide_ne, axis=1) + head.bias


def quality_score(measures: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the technical quality: how far the worst of `TECHNICAL` lies below what is usual among these
    images.

    In standard deviations, as the better half of the images has them: were the worse half looked at as
    well, many bad images would make bad images usual. Sharpness and size, which spread over orders of
    magnitude, by their logarithms. A measure that is the same for all does not count.

    Args:
        measures: [N] by name, NaN where an image was not measured.

    Returns:
        float64 [N], about 0 for a usual image, -3 for a bad one; NaN where an image was not measured.
    """
    logs = {name: np.log1p(measures[name]) if name in LOGARITHMIC else measures[name] for name in TECHNICAL}
    worst_n = np.minimum.reduce([_above_usual(value_n) for value_n in logs.values()])
    return np.where(np.isposinf(worst_n), 0.0, worst_n)


def _above_usual(value_n: np.ndarray) -> np.ndarray:
    """Return (x - median) / standard deviation, the latter from the median to the 84th percentile; +inf
    where all are the same."""
    known = value_n[~np.isnan(value_n)]
    if not len(known) or known.min() == known.max():
        return np.where(np.isnan(value_n), np.nan, np.inf)
    median, high = np.nanpercentile(value_n, [50, 84.13])
    return (value_n - median) / (high - median if high > median else 1.0)


def agreement_score(probability_nc: np.ndarray, label_n: np.ndarray) -> np.ndarray:
    """Return the label agreement: the probability of the given label out of fold (self-confidence in
    confident learning, Northcutt et al. 2021), as if all classes were equally frequent. float64 [N].

    With the frequencies of the data a rare class would be doubted as a whole: of wrong labels planted in the
    demo pack (20 % of its rows) the area under the ROC curve is 0.88 with and 0.85 without the correction.
    """
    share_c = np.bincount(label_n, minlength=probability_nc.shape[1]) / len(label_n)
    weighed_nc = np.divide(probability_nc, share_c, out=np.zeros(probability_nc.shape), where=share_c > 0)
    given_n = weighed_nc[np.arange(len(label_n)), label_n]
    return given_n / weighed_nc.sum(1)


class Found(NamedTuple):
    """How well a filter finds the known bad rows."""

    removed: int
    bad: int
    both: int

    @property
    def precision(self) -> float:
        """Share of the removed rows that are bad; NaN where none is removed."""
        return self.both / self.removed if self.removed else np.nan

    @property
    def recall(self) -> float:
        """Share of the bad rows that are removed; NaN where none is bad."""
        return self.both / self.bad if self.bad else np.nan


def found_bad(keep_n: np.ndarray, bad_n: np.ndarray) -> Found:
    """Compare a keep-mask with the truth, bool [N] both."""
    return Found(int((~keep_n).sum()), int(bad_n.sum()), int((~keep_n & bad_n).sum()))


def separation(score_n: np.ndarray, bad_n: np.ndarray) -> Interval:
    """Return the area under the ROC curve with which a low score separates bad rows from the others, with
    the interval of Newcombe's method 5 (2006), which keeps its width where the area is 1. Rows without a
    score do not count; NaN where only one kind is left."""
    known = ~np.isnan(score_n)
    bad_n, score_n = bad_n[known], score_n[known]
    yes, no = int(bad_n.sum()), int((~bad_n).sum())
    if not yes or not no:
        return Interval(np.nan, np.nan, np.nan)
    area = float(roc_auc_score(bad_n, -score_n))
    z, others = float(stats.norm.ppf(0.975)), (yes + no) / 2 - 1

    def excess(bound: float) -> float:
        """Return how far the area found lies beyond z standard errors, if the true one were at the bound."""
        pairs = 1 + others * (1 - bound) / (2 - bound) + others * bound / (1 + bound)
        return abs(bound - area) - z * np.sqrt(bound * (1 - bound) * pairs / (yes * no))

    # beside the area, which at 0 and 1 is a root itself
    low = float(brentq(excess, 0.0, area - NEAR)) if area > NEAR else 0.0
    high = float(brentq(excess, area + NEAR, 1.0)) if area < 1 - NEAR else 1.0
    return Interval(area, low, high)


def rows_of_captions(captions: Sequence[Sequence[str]]) -> tuple[list[str], np.ndarray]:
    """Return all captions of all rows in one list, and which row each belongs to, int64 [M]."""
    flat = [(text, row) for row, texts in enumerate(captions) for text in texts]
    return [text for text, _ in flat], np.array([row for _, row in flat], dtype=np.int64)
