"""The contract between the trainer, which writes, and the dashboard, which reads.

Defines every name stored in MLflow. Standard library only, so that the dashboard can import it without torch.
"""

from __future__ import annotations

from trainer.tracking.schema.ablation import (
    Ablated,
    Ablation,
    AblationClasses,
    CellPredictions,
    Scores,
    Verdict,
)
from trainer.tracking.schema.comparison import (
    EncoderCosts,
    EncodersCompared,
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
    PARAM_PREFIX,
    SWEEP_KINDS,
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
    FacePairs,
    Faces,
    PairMethod,
    RocCurves,
    Verified,
)

__all__ = [
    "CHILDREN",
    "HEARTBEAT_EVERY_S",
    "HEARTBEAT_LOST_S",
    "PARAM_PREFIX",
    "SWEEP_KINDS",
    "Ablated",
    "Ablation",
    "AblationClasses",
    "Artifact",
    "Candidates",
    "CellPredictions",
    "Curves",
    "Duplicates",
    "EncoderCosts",
    "EncodersCompared",
    "Extracted",
    "FacePairs",
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
    "Predicted",
    "Predictions",
    "Projection",
    "Quarantine",
    "RocCurves",
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
