"""Where the pack lies, and its rows."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.parquet as parquet

from trainer.data.manifest import Manifest, build

PACK = Path(__file__).resolve().parents[2] / "trainer" / "data" / "demo_pack"
PICTURES = PACK / "pictures.parquet"
ENCODER = PACK / "encoder"


def read() -> Manifest:
    """The pictures in their own splits. Some training rows are spoiled on purpose (``Manifest.spoiled``)."""
    columns = parquet.read_table(PICTURES).to_pydict()
    return build(
        name="demo",
        sample_id=columns["sample_id"],
        label=columns["label"],
        split=columns["split"],
        caption=columns["caption"],
        group=columns["group"],
        images=columns["image"],
        content=[hashlib.sha256(image).hexdigest() for image in columns["image"]],
        spoiled=columns["spoiled_how"],
    )
