"""A CLIP model small enough for tests, with random weights."""

from __future__ import annotations

import logging
from pathlib import Path

WIDTH = 32  # features per image
SIDE = 32  # pixels


def save_tiny_clip(folder: Path, *, seed: int = 0, preprocessor: bool = True) -> Path:
    """Save a whole CLIPModel (text half included, as published checkpoints are) and its image settings."""
    import torch
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    torch.manual_seed(seed)
    layers = {"intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        vision_config={"hidden_size": WIDTH, "image_size": SIDE, "patch_size": 8, **layers},
        text_config={"hidden_size": 32, "vocab_size": 100, "max_position_embeddings": 16, **layers},
        projection_dim=16,
    )
    CLIPModel(config).save_pretrained(folder)
    if preprocessor:
        settings = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
        CLIPImageProcessorPil(**settings).save_pretrained(folder)
    return folder
