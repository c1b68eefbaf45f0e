"""Tables, arrays and labels as people have them are read rightly, or refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import odd_case
from tests.support.odd_tables import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.name}")
def test_a_table_from_the_real_world(case: odd_case.Case, tmp_path: Path) -> None:
    odd_case.check(case, tmp_path)
