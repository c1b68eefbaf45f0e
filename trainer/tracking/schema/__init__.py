"""The contract between the trainer, which writes, and the dashboard, which reads.

Every name that ends up in MLflow stands here and nowhere else. Standard library only, so that
the dashboard can import it without importing torch.
"""

from __future__ import annotations

from trainer.tracking.schema.ablation import (
    Ablated,
    Ablation,
    AblationClasses,
    AnswersOf,
    Scores,
    Verdict,
)
from trainer.tracking.schema.comparison import (
    EncodersCompared,
    EncodersOf,
    FewShot,
    FewShotScores,
    Fused,
    MethodClasses,
    MethodPairs,
    Methods,
    ZeroShot,
)
from trainer.tracking.schema.extraction import (
    Duplicates,
    Extracted,
    Images,
    Quarantine,
)
from trainer.tracking.schema.runs import (
    CHILDREN,
    HEARTBEAT_EVERY_S,
    HEARTBEAT_LOST_S,
    LIKE_SWEEPS,
    PARAM_PREFIX,
    Artifact,
    Kind,
    Metric,
    RunState,
    Stopped,
    Tag,
    TrialState,
    run_state,
)
from trainer.tracking.schema.sweep import (
    Curves,
    FineTuned,
    Predicted,
    Predictions,
    Projection,
    Samples,
    Summary,
    Trials,
)
from trainer.tracking.schema.verification import (
    Candidates,
    Faces,
    PairMethod,
    PairsOf,
    RocOf,
    Verified,
)

__all__ = [
    "CHILDREN",
    "HEARTBEAT_EVERY_S",
    "HEARTBEAT_LOST_S",
    "LIKE_SWEEPS",
    "PARAM_PREFIX",
    "Ablated",
    "Ablation",
    "AblationClasses",
    "AnswersOf",
    "Artifact",
    "Candidates",
    "Curves",
    "Duplicates",
    "EncodersCompared",
    "EncodersOf",
    "Extracted",
    "Faces",
    "FewShot",
    "FewShotScores",
    "FineTuned",
    "Fused",
    "Images",
    "Kind",
    "MethodClasses",
    "MethodPairs",
    "Methods",
    "Metric",
    "PairMethod",
    "PairsOf",
    "Predicted",
    "Predictions",
    "Projection",
    "Quarantine",
    "RocOf",
    "RunState",
    "Samples",
    "Scores",
    "Stopped",
    "Summary",
    "Tag",
    "TrialState",
    "Trials",
    "Verdict",
    "Verified",
    "ZeroShot",
    "run_state",
]
