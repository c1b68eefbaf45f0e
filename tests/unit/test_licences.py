"""Every library that Headroom runs with may be used, and so may what its wheel holds."""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import Path

import pytest

from scripts import licences

MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy"


def installed(folder: Path, *told: str, texts: tuple[str, ...] = ()) -> Distribution:
    """A package with these lines of metadata and these licence files."""
    info = folder / "thing-1.0.dist-info"
    info.mkdir()
    names = [f"thing-1.0.dist-info/LICENSE{number or ''}.txt" for number in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        (folder / name).write_text(text)
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.4", "Name: thing", "Version: 1.0", *told]))
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    return Distribution.at(info)


def test_every_library_in_use_has_a_known_licence_that_allows_it() -> None:
    found = licences.libraries()
    assert [f"{one.name}: {one.fault}" for one in found if one.fault] == []
    used = {one.name.lower(): one.used for one in found}
    assert used["torch"] == used["mlflow"] == licences.RUN_TIME  # torch is not in the lock
    assert used["pydicom"] == licences.OPTIONAL
    assert used["pytest"] == licences.DEVELOPMENT
    lines = licences.table(found).splitlines()
    assert len(lines) == len(found) + 3


@pytest.mark.parametrize(
    ("told", "text", "licence"),
    [
        ("License-Expression: Apache-2.0 OR GPL-3.0-only", "", "Apache-2.0 OR GPL-3.0-only"),
        ("License: BSD-3-Clause", "", "BSD-3-Clause"),
        ("Classifier: License :: OSI Approved :: MIT License", "", "MIT License"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved", MIT, "MIT"),
        ("License-Expression: LGPL-2.1-or-later", "", "LGPL-2.1-or-later"),
        ("License-Expression: MIT", "License: GPL-3.0-or-later WITH GCC-exception-3.1", "MIT"),
        ("License-Expression: MIT", "License: FTL OR GPL-2.0-or-later", "MIT"),
        ("License-Expression: LicenseRef-NVIDIA-Proprietary", "", "LicenseRef-NVIDIA-Proprietary"),
    ],
)
def test_a_licence_that_allows_use_is_found_where_the_package_states_it(
    tmp_path: Path, told: str, text: str, licence: str
) -> None:
    found = licences.library(installed(tmp_path, told, texts=(text,)), licences.RUN_TIME)
    assert (found.licence, found.fault) == (licence, "")


@pytest.mark.parametrize(
    ("told", "text", "named"),
    [
        ("License-Expression: AGPL-3.0-only", "", "AGPL-3.0-only"),
        ("License: GPLv3", "", "GPLv3"),
        ("License-Expression: MIT AND GPL-2.0-or-later", "", "GPL-2.0"),
        ("License-Expression: (MIT OR Apache-2.0) AND GPL-2.0-only", "", "GPL-2.0"),
        ("Classifier: License :: OSI Approved :: GNU Affero General Public License v3", "", "Affero"),
        (
            "License: BSD-3-Clause",
            "Name: libheif\nLicense: LGPLv3\nName: x265\nLicense: GPLv2",
            "is under GPLv2",
        ),
        ("License: see the file", "All rights reserved.", "no licence that is known"),
    ],
)
def test_what_may_not_be_used_is_named_at_run_time(tmp_path: Path, told: str, text: str, named: str) -> None:
    package = installed(tmp_path, told, texts=(text,))
    for used in (licences.RUN_TIME, licences.OPTIONAL):
        assert named in licences.library(package, used).fault
    alone = licences.library(package, licences.DEVELOPMENT).fault
    assert ("no licence" in alone) == ("no licence" in named)
    assert alone == "" or "no licence" in alone
