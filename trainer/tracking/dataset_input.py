"""The data of a run as MLflow knows data sets, for its Datasets column and filter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainer.core.locations import storable
from trainer.core.text import cut
from trainer.tracking.schema import Tag

if TYPE_CHECKING:
    from mlflow import MlflowClient

ATTEMPTS = 2
NAME_LENGTH, DIGEST_LENGTH = 500, 36  # MLflow's limits


def log_dataset(client: MlflowClient, run_id: str, tags: Mapping[str, object]) -> None:
    """Note the data that a run has read, from its tags DATA, DIGEST and DATA_SUMMARY; of other runs nothing.

    Of two commands that are the first to note the same data in one moment, MLflow refuses one (a unique
    key): it finds them there when it asks again.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.exceptions import MlflowException
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    if not tags.get(Tag.DIGEST) or not tags.get(Tag.DATA):
        return
    data = storable(str(tags[Tag.DATA]))
    dataset = Dataset(
        name=cut(data, NAME_LENGTH),
        digest=str(tags[Tag.DIGEST])[:DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": data}),
        profile=json.dumps({"summary": tags.get(Tag.DATA_SUMMARY, "")}),
    )
    given = [DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])]
    for left in reversed(range(ATTEMPTS)):
        try:
            client.log_inputs(run_id, datasets=given)
            return
        except MlflowException:
            if not left:
                raise
