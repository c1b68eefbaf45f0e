"""One small model of random weights for each family of encoders, saved as published ones are: whole, with
head or text half, and with the image settings of its own processor."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDE = 32  # pixels
LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2}
TEXT = {"vocab_size": 100, "max_position_embeddings": 16, **LAYERS}
PATCHES = {"image_size": SIDE, "patch_size": 8}
SQUARE = {"height": SIDE, "width": SIDE}


def _siglip() -> tuple[Any, Any]:
    import transformers as t
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    config = t.SiglipConfig(vision_config=PATCHES | LAYERS, text_config=TEXT | {"projection_size": 32})
    return t.SiglipModel(config), SiglipImageProcessorPil(size=SQUARE)


def _blip() -> tuple[Any, Any]:
    import transformers as t
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    text = TEXT | {"encoder_hidden_size": 32, "bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
    config = t.BlipConfig(vision_config=PATCHES | LAYERS, text_config=text, image_text_hidden_size=16)
    return t.BlipForImageTextRetrieval(config), BlipImageProcessorPil(size=SQUARE)


def _dinov2() -> tuple[Any, Any]:
    import transformers as t
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

    config = t.Dinov2Config(
        **PATCHES, hidden_size=32, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2
    )
    settings = {"size": {"shortest_edge": 40}, "crop_size": SQUARE, "image_mean": [0.485, 0.456, 0.406]}
    return t.Dinov2Model(config), BitImageProcessorPil(**settings)


def _vit() -> tuple[Any, Any]:
    import transformers as t
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    return t.ViTForImageClassification(t.ViTConfig(**PATCHES, **LAYERS)), ViTImageProcessorPil(size=SQUARE)


def _deit() -> tuple[Any, Any]:
    import transformers as t
    from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil

    processor = DeiTImageProcessorPil(size={"height": 40, "width": 40}, crop_size=SQUARE)
    return t.DeiTForImageClassification(t.DeiTConfig(**PATCHES, **LAYERS)), processor


def _resnet() -> tuple[Any, Any]:
    import transformers as t
    from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil

    config = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
    return t.ResNetForImageClassification(config), ConvNextImageProcessorPil(size={"shortest_edge": 64})


MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "siglip": _siglip, "blip": _blip, "dinov2": _dinov2, "vit": _vit, "deit": _deit, "resnet": _resnet,
}  # fmt: skip


def save_tiny(family: str, folder: Path, *, seed: int = 0) -> Path:
    """Save the small model of ``family`` into ``folder``."""
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    torch.manual_seed(seed)
    model, processor = MODELS[family]()
    for layer in model.modules():  # batch norms of fresh models do nothing; published ones do
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    if family in ("siglip", "blip"):
        _words().save_pretrained(folder)
    return folder


def _words() -> Any:
    """A tokenizer with one number for each of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "a", "cat", "dog", "on", "mat", "red"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
