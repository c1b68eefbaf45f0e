"""What published encoders cost: ``python benchmarks/encoders.py [--device cuda] [--only NAME …]``.

Image towers in their published shapes with random weights (speed and memory do not depend on them), each in
a process of its own, measured in turn in one run by what ``trainer.encoders`` measures with: prepared
images per second at the fastest batch size, peak memory, weights, dimension. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.features.backbone import pick_device, pick_dtype
from trainer.features.encoder_cost import cost_of


def _settings(side: int) -> dict[str, Any]:
    return {"do_resize": True, "size": {"height": side, "width": side}, "do_normalize": True,
            "image_mean": [0.5] * 3, "image_std": [0.5] * 3}  # fmt: skip


def _clip(width: int, layers: int, heads: int, patch: int, projection: int) -> Callable[[], Any]:
    def make() -> Any:
        import transformers as t

        vision = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
                  "num_attention_heads": heads, "patch_size": patch, "image_size": 224}  # fmt: skip
        text = {"num_hidden_layers": 1, "vocab_size": 100}  # the text half is not loaded
        return t.CLIPModel(t.CLIPConfig(vision_config=vision, text_config=text, projection_dim=projection))

    return make


def _vit_b16() -> Any:
    import transformers as t

    return t.ViTModel(t.ViTConfig())


def _resnet(depths: list[int]) -> Callable[[], Any]:
    def make() -> Any:
        import transformers as t

        return t.ResNetModel(t.ResNetConfig(depths=depths))

    return make


def _siglip_b16() -> Any:
    import transformers as t

    text = {"num_hidden_layers": 1, "vocab_size": 100}
    vision = {"image_size": 224, "patch_size": 16, "hidden_size": 768, "intermediate_size": 3072,
              "num_hidden_layers": 12, "num_attention_heads": 12}  # fmt: skip
    return t.SiglipModel(t.SiglipConfig(vision_config=vision, text_config=text))


def _dinov2_b14() -> Any:
    import transformers as t

    return t.Dinov2Model(t.Dinov2Config(image_size=518, patch_size=14))


SHAPES: dict[str, tuple[Callable[[], Any], int]] = {  # name → (model, side of its images)
    "ResNet-50": (_resnet([3, 4, 6, 3]), 224),
    "ResNet-101": (_resnet([3, 4, 23, 3]), 224),
    "ViT-B/16": (_vit_b16, 224),
    "CLIP ViT-B/32": (_clip(768, 12, 12, 32, 512), 224),
    "CLIP ViT-L/14": (_clip(1024, 24, 16, 14, 768), 224),
    "SigLIP B/16": (_siglip_b16, 224),
    "DINOv2 B/14": (_dinov2_b14, 224),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--only", nargs="*", choices=list(SHAPES), default=list(SHAPES))
    given = parser.parse_args()
    import torch

    device = pick_device(given.device)
    dtype = pick_dtype(given.dtype, device)
    torch.manual_seed(0)
    found: dict[str, Any] = {}
    where = ""
    for name in given.only:
        make, side = SHAPES[name]
        with tempfile.TemporaryDirectory() as folder:
            make().save_pretrained(folder)
            Path(folder, "preprocessor_config.json").write_text(json.dumps(_settings(side)))
            cost = cost_of(Path(folder), device=device, dtype=dtype)
        where = cost.device
        found[name] = {
            "images_per_s": round(cost.images_per_s, 1),
            "peak_mib": round(cost.peak_bytes / 2**20),
            "parameters_m": round(cost.parameters / 1e6, 1),
            "dimension": cost.dimension,
            "batch_size": cost.batch_size,
        }
        print(name, found[name], file=sys.stderr, flush=True)
    print(json.dumps({"device": where, "dtype": dtype, "encoders": found}))


if __name__ == "__main__":
    main()
