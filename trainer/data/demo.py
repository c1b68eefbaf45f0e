"""The built-in data: drawings of Open Clip Art, with the folders and captions that people gave them.

``demo_pack/CARD.md`` tells where they come from; ``scripts/build_demo_pack.py`` makes them. The encoder
beside them, a small CLIP, is what ``--encoder demo`` stands for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.parquet as parquet

from trainer.data.manifest import Manifest, build_manifest

NAME = "demo"
PACK = Path(__file__).with_name("demo_pack")
IMAGES = PACK / "pictures.parquet"
ENCODER = PACK / "encoder"


def read() -> Manifest:
    """The pictures in their own splits. Some training rows are spoiled on purpose (``Manifest.spoiled``)."""
    columns = parquet.read_table(IMAGES).to_pydict()
    return build_manifest(
        name=NAME,
        sample_id=columns["sample_id"],
        label=columns["label"],
        split=columns["split"],
        caption=columns["caption"],
        group=columns["group"],
        images=columns["image"],
        content=[hashlib.sha256(image).hexdigest() for image in columns["image"]],
        spoiled=columns["spoiled_how"],
    )
