"""What a fine-tuning leaves for the pages: the answers of two heads, each on vectors of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer.core.console import say
from trainer.experiments.evaluation import Evaluation
from trainer.experiments.finetuning.learner import Learner
from trainer.experiments.finetuning.tuned_encoder import folder_bytes
from trainer.features.extract import Features
from trainer.heads.ensemble import Ensemble
from trainer.heads.head import Head
from trainer.search.refit import Finalist
from trainer.search.trial_log import TrialLog
from trainer.serving.packaging import pack
from trainer.tracking.schema import FineTuned, Summary, Trials


class TunedAnswers(Evaluation):
    """The answers of the fine-tuned encoder's head, and of the frozen one's.

    The map is of the fine-tuned vectors.

    Attributes:
        model_bytes: size of the logged model, once it is logged.
    """

    def __init__(
        self,
        features: Features,
        heads: Sequence[Finalist],
        *,
        frozen_nd: np.ndarray,
        encoder: Path,
        seed: int,
    ) -> None:
        """Take the fine-tuned head and the frozen one, in this order.

        Args:
            features: the rows with the vectors of the fine-tuned encoder.
            frozen_nd: those that the frozen head is used on.
            encoder: folder of the fine-tuned encoder.
        """
        vectors = (features.vectors_nd, frozen_nd)
        self._vectors = dict(zip((head.name for head in heads), vectors, strict=True))
        self._encoder, self.model_bytes = encoder, 0
        super().__init__(features, heads, seed=seed)

    def _answer(self, finalist: Finalist) -> np.ndarray:
        return self.answer(finalist.head, self._vectors[finalist.name])

    def answer(self, head: Head | Ensemble, x_nd: np.ndarray) -> np.ndarray:
        """Return probabilities float32 [N, C]."""
        return head.probabilities(torch.as_tensor(x_nd, device=head.device)).cpu().numpy()

    def frozen_figures(self) -> dict[str, Any]:
        """Return the frozen head on the test rows."""
        f1 = self.test_f1_macro(1)
        return {
            FineTuned.FROZEN_TEST_F1_MACRO: f1.value,
            FineTuned.FROZEN_TEST_F1_MACRO_CI95: [f1.low, f1.high],
        }

    def _pack(self, folder: Path, head_files: dict[str, bytes]) -> Path:
        """Return the model, which carries the encoder whatever its size: it is nowhere else."""
        model = pack(folder, head_files, [self._encoder], most_bytes=None)
        self.model_bytes = folder_bytes(model)
        say(f"Model with the fine-tuned encoder: {self.model_bytes / 1e6:,.1f} MB on disk.")
        return model


def with_own_head(frozen: Head, learner: Learner) -> Head:
    """Return the learner's head, for its vectors."""
    linear = {f"layers.0.{part}": getattr(learner.head, part).detach() for part in ("weight", "bias")}
    return replace(frozen, tensors=linear)


def figures_of(trial_log: TrialLog, chosen: int) -> dict[str, Any]:
    """Return the figures that a sweep has too, the chosen trial being the best of the fine-tuned ones."""
    row = trial_log.trials[trial_log.trials[Trials.TRIAL] == chosen].iloc[0]
    ends = row[Trials.VAL_F1_MACRO_LOW], row[Trials.VAL_F1_MACRO_HIGH]
    return {
        Summary.TRIALS: len(trial_log.finished),
        **{state: trial_log.count(state) for state in (Summary.COMPLETE, Summary.PRUNED, Summary.FAILED)},
        Summary.BEST_TRIAL: chosen,
        Summary.BEST_VAL_F1_MACRO: float(row[Trials.VAL_F1_MACRO]),
        Summary.BEST_VAL_F1_MACRO_CI95: [None if bound != bound else float(bound) for bound in ends],
        Summary.BEST_SO_FAR: trial_log.best_so_far(points=Summary.SPARK_POINTS),
    }
