"""Store tags of any length: those beyond MLflow's 8,000 characters become artifacts that the tag names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainer.core.locations import storable
from trainer.core.text import cut
from trainer.tracking.client import read_artifact
from trainer.tracking.schema import LONG_TAGS, Artifact

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def split_long(tags: Mapping[str, object]) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return tags as MLflow takes them, and the artifacts that hold those which are read back and too long.

    Any other tag that is too long is for people, and is cut.
    """
    from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

    text_of = {tag: storable(str(value)) for tag, value in tags.items()}
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
            stored = read_artifact(client, run, Artifact.of_tag(tag))
            tags[tag] = tags[tag] if stored is None else stored.decode()
    return tags
