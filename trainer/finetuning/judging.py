"""Whether fine-tuning helped: the frozen head and the fine-tuned encoder on the same test rows, in pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trainer.analysis.effects import Answers, Bootstrap, swap_test
from trainer.analysis.statistics import Interval
from trainer.tracking.schema import Verdict


class Judgement(NamedTuple):
    """Fine-tuned less frozen, in macro-F1."""

    effect: Interval  # BCa bootstrap over rows and seeds, paired
    p: float  # swap test over rows
    verdict: Verdict


def judge(
    label_n: np.ndarray, frozen_n: np.ndarray, tuned_sn: np.ndarray, *, classes: int, seed: int
) -> Judgement:
    """Compare the answers of one frozen head [N] with those of S fine-tuned ones [S, N], mean over seeds.

    *Helps* and *hurts* want both: an interval on that side of zero, and p < 0.05.
    """
    pred_2sn = np.stack([np.broadcast_to(frozen_n, tuned_sn.shape), tuned_sn])
    both = Answers(label_n, pred_2sn, classes)
    bootstrap = Bootstrap(both, seed=seed)
    frozen, tuned = (bootstrap.arm(arm)["f1_macro"] for arm in (0, 1))
    effect = tuned.minus(frozen).interval()
    p = swap_test(both, 1, 0, seed=seed).p
    sure = p < 0.05 and (effect.low > 0 or effect.high < 0)
    verdict = (Verdict.HELPS if effect.value > 0 else Verdict.HURTS) if sure else Verdict.UNCLEAR
    return Judgement(effect, p, verdict)


def words(judgement: Judgement, *, blocks: int, rows: int, seeds: int) -> str:
    """The verdict as a sentence."""
    value, low, high = judgement.effect
    what = f"Fine-tuning the last {blocks} block{'s' if blocks > 1 else ''}"
    figures = (
        f"{value:+.3f} [{low:+.3f}, {high:+.3f}] of test macro-F1 (paired, n = {rows} rows, {seeds} "
        f"seed{'s' if seeds > 1 else ''}, p = {judgement.p:.2g})"
    )
    if judgement.verdict == Verdict.HELPS:
        return f"{what} helps: {figures}."
    if judgement.verdict == Verdict.HURTS:
        return f"{what} hurts: {figures}. Keep the frozen encoder."
    return (
        f"{what} makes no difference that {rows} test rows could show: {figures}. The frozen head is the "
        "simpler one."
    )
