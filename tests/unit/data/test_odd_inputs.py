"""Input as it is found in the world is read rightly or refused with the cure, and everything is counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.support import odd_inputs, odd_tables
from tests.support.odd_case import Case, Refused
from trainer.core.errors import InputError
from trainer.data.dataset_summary import notices, summarise
from trainer.data.decode import decode
from trainer.data.duplicates import label_conflicts
from trainer.data.load import load
from trainer.data.manifest import check_trainable
from trainer.data.table_columns import ColumnChoice

CASES = [*odd_inputs.CASES, *odd_tables.CASES]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.kind}-{case.name}" for case in CASES])
def test_it_gets_its_verdict(case: Case, tmp_path: Path) -> None:
    data, columns = case.build(tmp_path), ColumnChoice(**case.flags)
    expected = case.verdict
    if isinstance(expected, Refused):
        with pytest.raises(InputError) as refusal:
            check_trainable(load(data, seed=0, columns=columns))
        absent = [word for word in expected.words if word not in str(refusal.value)]
        assert not absent, f"{absent} not in: {refusal.value}"
        return
    manifest = load(data, seed=0, columns=columns)
    if expected.classes is not None:
        assert Counter(manifest.classes[i] for i in manifest.label_n if i >= 0) == expected.classes
    if expected.splits is not None:
        assert Counter(manifest.split_n.tolist()) == expected.splits
    if expected.captions is not None:
        assert sum(map(bool, manifest.caption)) == expected.captions
    assert len(manifest.quarantined) == expected.quarantined, manifest.quarantined
    assert manifest.passed_over == expected.passed_over
    assert len(label_conflicts(manifest)) == expected.conflicts
    told = "\n".join([summarise(manifest), *notices(manifest)])
    absent = [word for word in expected.says if word not in told]
    assert not absent, f"{absent} not in: {told}"
    for image in manifest.images or ():
        decode(image)
