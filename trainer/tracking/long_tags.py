"""Store tags of any length: those beyond MLflow's 8,000 characters become artifacts that the tag names."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.tracking.client import cut, local_folder
from trainer.tracking.schema import LONG_TAGS, Artifact

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def stored(tags: Mapping[str, object]) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return tags as MLflow takes them, and the artifacts that hold those which are read back and too long.

    Any other tag that is too long is for people, and is cut.
    """
    from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

    text_of = {tag: str(value) for tag, value in tags.items()}
    long = {tag for tag in LONG_TAGS if len(text_of.get(tag, "")) > MAX_TAG_VAL_LENGTH}
    short = {
        tag: Artifact.of_tag(tag) if tag in long else cut(text, MAX_TAG_VAL_LENGTH)
        for tag, text in text_of.items()
    }
    return short, {Artifact.of_tag(tag): text_of[tag].encode() for tag in sorted(long)}


def whole(client: MlflowClient, run: Run) -> dict[str, str]:
    """Return the tags of a run, the long ones read from their artifacts.

    A run that was killed before they were written keeps the artifacts' names as their values.
    """
    tags = dict(run.data.tags)
    for tag in LONG_TAGS:
        if tags.get(tag) == Artifact.of_tag(tag):
            tags[tag] = _read(client, run, Artifact.of_tag(tag)) or tags[tag]
    return tags


def _read(client: MlflowClient, run: Run, artifact: str) -> str | None:
    folder = local_folder(run.info.artifact_uri)
    if folder is not None:
        path = folder / artifact
        return path.read_text(encoding="utf-8") if path.exists() else None
    inner = artifact.rpartition("/")[0]
    if artifact not in {entry.path for entry in client.list_artifacts(run.info.run_id, inner)}:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        return Path(client.download_artifacts(run.info.run_id, artifact, scratch)).read_text(encoding="utf-8")
