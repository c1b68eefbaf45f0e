"""Rows without a label are left out of what is learned, and said; nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trainer.data.manifest import Columns, Manifest, build_manifest, check_trainable
from trainer.data.unlabelled import labelled, labelled_rows
from trainer.features.extract import ExtractReport, Features

SPLITS = ["train", "train", "train", "val", "val", "test", "test"] * 3
LABELS = ["cat", "", "dog", "cat", "dog", "cat", ""] * 3


def rows(labels: list[str]) -> Manifest:
    names = [f"{i}.png" for i in range(len(labels))]
    return build_manifest("pets", Columns(sample_id=names, content=names, label=labels, split=SPLITS))


def test_they_are_counted_by_split_and_named() -> None:
    manifest = rows(LABELS)
    kept, said = labelled(manifest)
    assert len(kept) == 15
    assert (kept.label_n >= 0).all()
    assert kept.digest == manifest.digest
    assert said.startswith("Without a label, left out: 6 rows (train 3, test 3), such as '1.png'.")
    check_trainable(kept)


@pytest.mark.parametrize("labels", [["cat", "dog"] * 10 + ["cat"], [""] * 21])
def test_where_all_or_none_have_a_label_nothing_is_left_out(labels: list[str]) -> None:
    manifest = rows(labels)
    kept, said = labelled(manifest)
    assert kept is manifest
    assert said == ""


def test_a_row_with_none_of_several_labels_is_an_answer() -> None:
    manifest = replace(rows(LABELS), labels=("cat", "dog"), label_nc=np.zeros((21, 2), dtype=bool))
    assert len(labelled_rows(manifest)) == 21


def test_vectors_and_views_follow_their_rows() -> None:
    manifest = rows(LABELS)
    vectors_nd = np.arange(21, dtype=np.float32)[:, None]
    report = ExtractReport(*[None] * len(ExtractReport.__dataclass_fields__))  # type: ignore[arg-type]
    views_vnd = np.stack([vectors_nd[manifest.rows("train")] + 100])
    features = Features(manifest, vectors_nd, None, report, views_vnd=views_vnd)
    taken = features.take(labelled_rows(manifest))
    assert [f"{value:.0f}.png" for value in taken.vectors_nd[:, 0]] == list(taken.manifest.sample_id)
    assert taken.views_vnd is not None
    own = taken.vectors_nd[taken.manifest.rows("train")]
    np.testing.assert_array_equal(taken.views_vnd[0], own + 100)
