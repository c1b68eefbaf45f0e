"""Our vectors against Hugging Face's processor and model in float32: ``python benchmarks/fidelity.py``.

For CLIP, SigLIP, ViT and ResNet in their published shapes with random weights, and for the encoder that
comes along: the least cosine over images of many sizes and kinds, as `extract` stores them with ``auto``
(bfloat16 where the device has it, JPEGs read at a fraction, vectors in float16). And, on CIFAR-10 with the
same kinds of model at a smaller size, the accuracy of a linear probe on either (five folds over all rows).
Prints one JSON line.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.data.demo import ENCODER
from trainer.data.load import load
from trainer.data.manifest import Manifest
from trainer.features.extract import extract
from trainer.features.settings import EncoderSettings

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
CLASSES = {  # model type → its class, and the module and class of its image processor
    "clip": ("CLIPVisionModel", "clip", "CLIPImageProcessorPil"),
    "siglip": ("SiglipVisionModel", "siglip", "SiglipImageProcessorPil"),
    "vit": ("ViTModel", "vit", "ViTImageProcessorPil"),
    "resnet": ("ResNetModel", "convnext", "ConvNextImageProcessorPil"),
}
SMALL = {"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 4, "num_attention_heads": 3}


def models(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Family → a model in its published shape, and a smaller one of its kind, both saved."""
    from transformers import (
        CLIPConfig,
        CLIPModel,
        ResNetConfig,
        ResNetModel,
        SiglipConfig,
        SiglipModel,
        SiglipTextConfig,
        SiglipVisionConfig,
        ViTConfig,
        ViTModel,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    torch.manual_seed(0)
    at64 = {"image_size": 64, "patch_size": 16, **SMALL}
    little_text = SiglipTextConfig(num_hidden_layers=1)
    made: dict[str, list[tuple[Any, Any]]] = {
        "CLIP": [
            (CLIPModel(CLIPConfig()), CLIPImageProcessorPil()),
            (
                CLIPModel(CLIPConfig(vision_config=at64)),
                CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}),
            ),
        ],
        "SigLIP": [
            (SiglipModel(SiglipConfig(text_config=little_text)), SiglipImageProcessorPil()),
            (
                SiglipModel(SiglipConfig(text_config=little_text, vision_config=SiglipVisionConfig(**at64))),
                SiglipImageProcessorPil(size={"height": 64, "width": 64}),
            ),
        ],
        "ViT": [
            (ViTModel(ViTConfig()), ViTImageProcessorPil()),
            (ViTModel(ViTConfig(**at64)), ViTImageProcessorPil(size={"height": 64, "width": 64})),
        ],
        "ResNet": [
            (
                ResNetModel(ResNetConfig()),
                ConvNextImageProcessorPil(size={"shortest_edge": 224}, crop_pct=0.875),
            ),
            (
                ResNetModel(ResNetConfig(hidden_sizes=[64, 128, 256, 512], depths=[1, 1, 1, 1])),
                ConvNextImageProcessorPil(size={"shortest_edge": 64}, crop_pct=0.875),
            ),
        ],
    }
    saved: dict[str, tuple[Path, Path]] = {}
    for name, pair in made.items():
        for size, (model, processor) in zip(("full", "small"), pair, strict=True):
            model.save_pretrained(folder / name / size)
            processor.save_pretrained(folder / name / size)
        saved[name] = folder / name / "full", folder / name / "small"
    return saved


def plain(saved: Path, images: list[Image.Image]) -> np.ndarray:
    """float32 [N, D] by transformers alone."""
    kind = json.loads((saved / "config.json").read_text())["model_type"]
    model_class, module, processor_class = CLASSES[kind]
    model = getattr(transformers, model_class).from_pretrained(saved).eval()
    package = importlib.import_module(f"transformers.models.{module}.image_processing_pil_{module}")
    processor = getattr(package, processor_class).from_pretrained(saved)
    parts = []
    with torch.inference_mode():
        for at in range(0, len(images), 32):
            pixels = processor(images[at : at + 32], return_tensors="pt")["pixel_values"]
            output = model(pixel_values=pixels)
            # A ViT that was not pre-trained with a pooler is read at its class token, as its paper does.
            vectors = output.last_hidden_state[:, 0] if kind == "vit" else output.pooler_output
            parts.append(vectors.flatten(1).numpy())
    return np.concatenate(parts)


def mixed(folder: Path) -> Path:
    """Images of many sizes and shapes: small, as they are, tiled (read at a fraction), PNG, grey."""
    photos = sorted((SHARED / "flickr_captions" / "images").iterdir())[:40]
    small = sorted((SHARED / "cifar10_small" / "test").rglob("*.jpg"))[::125]
    root, folder = folder, folder / "all"  # a class
    folder.mkdir(parents=True)
    for i, file in enumerate([*photos, *small]):
        (folder / f"{i:03d}.jpg").write_bytes(file.read_bytes())
    for i, file in enumerate(photos[:16]):
        image = Image.open(file).convert("RGB")
        times = i % 4 + 2
        large = Image.fromarray(np.tile(np.asarray(image), (times, times, 1)))
        large.save(folder / f"large{i}.jpg", quality=90)
        big = image.resize((image.width * times, image.height * times), Image.Resampling.BICUBIC)
        big.save(folder / f"enlarged{i}.jpg", quality=95)
        image.save(folder / f"lossless{i}.png")
        image.convert("L").save(folder / f"grey{i}.jpg")
        image.crop((0, 0, image.width, image.height // (i % 5 + 2))).save(folder / f"wide{i}.png")
    return root


def opened(manifest: Manifest) -> list[Image.Image]:
    assert manifest.images is not None
    return [
        Image.open(io.BytesIO(image if isinstance(image, bytes) else image.read_bytes())).convert("RGB")
        for image in manifest.images
    ]


def ours(manifest: Manifest, saved: Path, cache: Path) -> tuple[np.ndarray, str]:
    settings = EncoderSettings(
        encoder=str(saved), cache_dir=cache, dtype="auto", batch_size="auto", workers="auto"
    )
    features = extract(manifest, settings)
    assert len(features.vectors_nd) == len(manifest)
    return features.vectors_nd, features.report.encoder.split("(")[1].split(",")[0]


def least_cosine(a_nd: np.ndarray, b_nd: np.ndarray) -> float:
    a_nd, b_nd = a_nd.astype(np.float64), b_nd.astype(np.float64)
    return float(((a_nd * b_nd).sum(1) / np.linalg.norm(a_nd, axis=1) / np.linalg.norm(b_nd, axis=1)).min())


def probe(manifest: Manifest, vectors_nd: np.ndarray) -> np.ndarray:
    """bool [N]: a logistic regression on standardised vectors, trained on the other four fifths, is right.
    All rows are judged: of the 1,000 test rows alone, 0.2 points would be two."""
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return cross_val_predict(head, vectors_nd, manifest.label_n, cv=folds) == manifest.label_n


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        many_kinds = load(str(mixed(folder / "mixed")), seed=0)
        cifar = load(str(SHARED / "cifar10_small"), seed=0)
        saved = models(folder / "models") | {"the demo's": (ENCODER, ENCODER)}
        for name, (full, small) in saved.items():
            vectors_nd, dtype = ours(many_kinds, full, folder / "cache")
            cosine = least_cosine(vectors_nd, plain(full, opened(many_kinds)))
            theirs = probe(cifar, plain(small, opened(cifar)))
            own = probe(cifar, ours(cifar, small, folder / "cache")[0])
            figures[name] = {
                "dtype": dtype,
                "least_cosine": round(cosine, 6),
                "probe_accuracy": round(float(own.mean()), 4),
                "probe_accuracy_plain": round(float(theirs.mean()), 4),
                "points_apart": round(100 * float(own.mean() - theirs.mean()), 2),
                "rows_judged_otherwise": int((own != theirs).sum()),
            }
            print(f"{name}: {figures[name]}", file=sys.stderr)
    print(json.dumps({"images": len(many_kinds), "cifar10": len(cifar), **figures}))


if __name__ == "__main__":
    main()
