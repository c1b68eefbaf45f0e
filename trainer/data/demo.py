"""The built-in data: drawings of Open Clip Art, with the folders and captions that people gave them.

``demo_pack/CARD.md`` tells where they come from; ``scripts/build_demo_pack.py`` makes them. The encoder
beside them, a small CLIP, is what ``--encoder demo`` stands for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.parquet as parquet

from trainer.data.manifest import Columns, Manifest, build_manifest

NAME = "demo"
PACK = Path(__file__).with_name("demo_pack")
IMAGES = PACK / "pictures.parquet"
ENCODER = PACK / "encoder"


def read() -> Manifest:
    """Read the demo images in their own splits. Some training rows are corrupted on purpose."""
    columns = parquet.read_table(IMAGES).to_pydict()
    return build_manifest(
        NAME,
        Columns(
            sample_id=columns["sample_id"],
            label=columns["label"],
            split=columns["split"],
            caption=columns["caption"],
            group=columns["group"],
            images=columns["image"],
            content=[hashlib.sha256(image).hexdigest() for image in columns["image"]],
            corrupted=columns["spoiled_how"],
        ),
    )
