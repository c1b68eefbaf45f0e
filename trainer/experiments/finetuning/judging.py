"""Whether fine-tuning helped: the frozen head and the fine-tuned encoder on the same test rows, in pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trainer.core import text
from trainer.heads.outcome import Outcome
from trainer.stats.intervals import Interval
from trainer.stats.paired_bootstrap import PairedBootstrap, PredictionSet, swap_test
from trainer.stats.power import detectable_effect
from trainer.tracking.schema import Verdict

# Of a fall in training loss at least so much shows in validation loss, where what is learnt carries over.
ENCODER_FOLDER = 0.5


class Judgement(NamedTuple):
    """Fine-tuned less frozen, in macro-F1."""

    effect: Interval  # BCa bootstrap over rows, or groups of rows, and seeds, paired
    p: float  # swap test over the same
    verdict: Verdict


def judge(
    label_n: np.ndarray,
    frozen_n: np.ndarray,
    tuned_sn: np.ndarray,
    *,
    classes: int,
    unit_n: np.ndarray | None = None,
    seed: int,
) -> Judgement:
    """Compare the answers of one frozen head [N] with those of S fine-tuned ones [S, N], mean over seeds.

    *Helps* and *hurts* want both: an interval on that side of zero, and p < 0.05. Units ``unit_n`` are drawn
    and swapped, see `trainer.stats.units`.
    """
    pred_2sn = np.stack([np.broadcast_to(frozen_n, tuned_sn.shape), tuned_sn])
    both = PredictionSet(label_n, pred_2sn, classes, unit_n=unit_n)
    bootstrap = PairedBootstrap(both, seed=seed)
    frozen, tuned = (bootstrap.arm(arm)["f1_macro"] for arm in (0, 1))
    effect = tuned.minus(frozen).interval()
    p = swap_test(both, 1, 0, seed=seed).p
    sure = p < 0.05 and (effect.low > 0 or effect.high < 0)
    verdict = (Verdict.HELPS if effect.value > 0 else Verdict.HURTS) if sure else Verdict.UNCLEAR
    return Judgement(effect, p, verdict)


def why_no_better(tuned: Outcome, *, frozen_val: float, rows: int, epochs: int) -> str:
    """Return what the curves of the chosen configuration, means over its seeds, say about a gain that did
    not come.

    Args:
        tuned: what its trainings came to; none failed.
        frozen_val: validation macro-F1 of the frozen head.
        rows: training images.
        epochs: as many as a training may take.
    """
    ahead = "ahead of" if tuned.score > frozen_val else "no more than"
    said = (
        f"On validation rows its macro-F1 is {tuned.score:.3f}, {ahead} the frozen head's {frozen_val:.3f}."
    )
    if (tuned.best_epoch_s == epochs).all():
        return f"{said} The last of {epochs} epochs was the best one: more --epochs may bring more."
    train, val = (first_and_last(tuned.curves[name]) for name in ("train_loss", "val_loss"))
    if train[1] >= train[0]:
        return (
            f"{said} Training loss did not fall (from {train[0]:.2f} in the first epoch to {train[1]:.2f} in "
            "the last): other --lrs may learn more."
        )
    if val[0] - val[1] < ENCODER_FOLDER * (train[0] - train[1]):
        return (
            f"{said} From the first epoch to the last, training loss fell from {train[0]:.2f} to "
            f"{train[1]:.2f}, validation loss went from {val[0]:.2f} to {val[1]:.2f}: little of what the "
            f"blocks learn from these {rows:,} images holds for others. More images would do more than "
            "more blocks."
        )
    return said


def first_and_last(curve_se: np.ndarray) -> tuple[float, float]:
    """Return a curve [S, E], NaN after a seed has stopped, in each seed's first and last epoch: means over
    seeds."""
    last_s = np.isfinite(curve_se).sum(1) - 1
    return float(curve_se[:, 0].mean()), float(curve_se[np.arange(len(curve_se)), last_s].mean())


def words(judgement: Judgement, *, trained: str, drawn: str, seeds: int) -> str:
    """Return the verdict as a sentence; ``trained``: what was fine-tuned, ``drawn``: what the interval is
    over."""
    value, low, high = judgement.effect
    what = f"Fine-tuning {trained}"
    figures = (
        f"{value:+z.3f} [{low:+z.3f}, {high:+z.3f}] of test macro-F1 (paired, over {drawn}, {seeds} "
        f"seed{'s' if seeds > 1 else ''}, p = {judgement.p:.2g})"
    )
    if judgement.verdict == Verdict.HELPS:
        return f"{what} helps: {figures}."
    if judgement.verdict == Verdict.HURTS:
        return f"{what} hurts: {figures}. Keep the frozen encoder."
    return (
        f"{what} makes no difference that {drawn} could show: {figures}"
        f"{text.detectable(detectable_effect(low, high))}. The frozen head is the simpler one."
    )
