"""The encoder: a small CLIP, how it begins and how it is saved."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from scripts.demo_pack import words

SIDE = 128
PATCH = 16
WIDTH, LAYERS, HEADS = 256, 6, 4
TEXT_WIDTH, TEXT_LAYERS, TEXT_HEADS = 128, 3, 4
EMBEDDING = 128
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def facts() -> dict[str, int]:
    """For the card."""
    return {
        "layers": LAYERS, "width": WIDTH, "patch": PATCH,
        "text_layers": TEXT_LAYERS, "text_width": TEXT_WIDTH, "embedding": EMBEDDING,
    }  # fmt: skip


def architecture(vocabulary: int, end_id: int, start_id: int):
    """A CLIPModel with fresh weights."""
    from transformers import CLIPConfig, CLIPModel

    common = {"hidden_act": "gelu", "attention_dropout": 0.0, "projection_dim": EMBEDDING}
    config = CLIPConfig(
        vision_config={
            "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS, "image_size": SIDE, "patch_size": PATCH, **common,
        },
        text_config={
            "hidden_size": TEXT_WIDTH, "intermediate_size": 4 * TEXT_WIDTH, "num_hidden_layers": TEXT_LAYERS,
            "num_attention_heads": TEXT_HEADS, "vocab_size": vocabulary,
            "max_position_embeddings": words.LENGTH,
            "bos_token_id": start_id, "eos_token_id": end_id, "pad_token_id": end_id, **common,
        },
        projection_dim=EMBEDDING,
    )  # fmt: skip
    return CLIPModel(config)


class Pupil(nn.Module):
    """The CLIP and the two linear maps into the teacher's spaces, which are thrown away afterwards."""

    def __init__(self, clip: nn.Module, pooled_parts: int, map_parts: int) -> None:
        super().__init__()
        self.clip = clip
        self.to_pooled = nn.Linear(WIDTH, pooled_parts)
        self.to_map = nn.Linear(WIDTH, map_parts)

    def forward(self, images: torch.Tensor, tokens: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """[B, 3, S, S], and the captions of the first rows → pooled [B, P], map [B, 4, 4, M], embeddings."""
        seen = self.clip.vision_model(images, interpolate_pos_encoding=images.shape[-1] != SIDE)
        side = images.shape[-1] // PATCH
        patches = seen.last_hidden_state[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        dense = self.to_map(F.adaptive_avg_pool2d(patches, 4).permute(0, 2, 3, 1))
        text = self.clip.text_projection(self.clip.text_model(**tokens).pooler_output)
        image = self.clip.visual_projection(seen.pooler_output)
        return self.to_pooled(seen.pooler_output), dense, image, text


def save(clip: nn.Module, encoder: Path) -> None:
    """float16 safetensors, and the settings of the image processor."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    clip.set_attn_implementation("sdpa")
    clip.half().save_pretrained(encoder)
    clip.float()
    CLIPImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=MEAN,
        image_std=STD,
    ).save_pretrained(encoder)


def mimetic_attention(clip: nn.Module) -> None:
    """Start attention where trained transformers end up: queries like keys, values with the other sign
    (Trockman and Kolter 2023, mimetic initialisation). Small sets need it most."""
    for layer in clip.vision_model.encoder.layers:
        attention = layer.self_attn
        width, heads = WIDTH, HEADS
        with torch.no_grad():
            noise = torch.randn(width, width) / math.sqrt(width)
            u, s, v = torch.linalg.svd(0.2 * noise - 0.4 * torch.eye(width))
            attention.v_proj.weight.copy_(s.sqrt()[:, None] * v)
            attention.out_proj.weight.copy_(u * s.sqrt())
            per_head = width // heads
            for head in range(heads):
                rows = slice(head * per_head, (head + 1) * per_head)
                noise = torch.randn(width, width) / math.sqrt(width)
                u, s, v = torch.linalg.svd(0.7 * noise + 0.7 * torch.eye(width))
                root = s[:per_head].sqrt()
                attention.q_proj.weight[rows].copy_((u[:, :per_head] * root).T)
                attention.k_proj.weight[rows].copy_(root[:, None] * v[:per_head])


def sine_positions(clip: nn.Module) -> None:
    """Start position embeddings as sines and cosines (Vaswani et al. 2017) over the two axes, so that
    neighbours are alike from the first step."""
    cells = SIDE // PATCH
    frequency = 1 / 100 ** torch.linspace(0, 1, WIDTH // 4)
    angle = torch.arange(cells)[:, None] * frequency
    axis = torch.cat([angle.sin(), angle.cos()], 1)  # [cells, WIDTH / 2]
    rows, columns = axis.repeat_interleave(cells, 0), axis.repeat(cells, 1)
    with torch.no_grad():
        clip.vision_model.embeddings.position_embedding.weight[1:].copy_(0.3 * torch.cat([rows, columns], 1))
