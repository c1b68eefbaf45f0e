"""Built-in data: drawings of Open Clip Art with their folders and captions.

``demo_pack/CARD.md`` describes the source; ``scripts/build_demo_pack.py`` builds the pack. It includes the
encoder of ``--encoder demo``, a small CLIP.
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
    """Read the demo images with their own splits. Some training rows are corrupted on purpose."""
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
