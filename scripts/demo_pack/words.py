"""Captions for training, and a small tokenizer made from them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

VOCABULARY = 2048
LENGTH = 24  # tokens
TEMPLATES = (
    "{}",
    "{}",
    "{}",
    "a drawing of {}",
    "a picture of {}",
    "clip art: {}",
    "an icon of {}",
    "{} clip art",
)


def concept(title: str, keywords: list[str]) -> str:
    """What a drawing shows, to tell true negatives from other drawings of the same thing."""
    return re.sub(r"[\d_\W]+", " ", title.lower()).strip() or " ".join(keywords)


AS_WRITTEN = 0.3  # of the captions


def as_written(title: str, keywords: Sequence[str]) -> str:
    """Title and keywords as people wrote them, mistakes and all: the captions of the pack."""
    return ", ".join([title, *keywords] if title else keywords)


def speak(title: str, keywords: list[str], rng: np.random.Generator) -> str:
    """One of the many ways to caption a drawing: the title or not, some of the keywords, in any order."""
    if rng.random() < AS_WRITTEN:
        return as_written(title, keywords)
    words = list(rng.permutation(keywords)[: int(rng.integers(0, 5))]) if len(keywords) else []
    if title and (not words or rng.random() < 0.8):
        words = [title, *words]
    return str(rng.choice(TEMPLATES)).format(", ".join(str(word) for word in words))


def train_tokenizer(drawings: pd.DataFrame, folder: Path) -> None:
    """Byte-pair encoding in the form of CLIP's own tokenizer, saved where ``CLIPTokenizer`` finds it."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    # CLIPTokenizer's own normaliser and pre-tokenizer, so that the merges fit
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"'s|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True),
         pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )  # fmt: skip
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [
        ", ".join([title, *keywords])
        for title, keywords in zip(drawings.title, drawings.keywords, strict=True)
    ]
    tokenizer.train_from_iterator([*texts, *TEMPLATES], trainer)
    learnt = json.loads(tokenizer.to_str())["model"]
    merges = [
        tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in learnt["merges"]
    ]
    CLIPTokenizer(vocab=learnt["vocab"], merges=merges, model_max_length=LENGTH).save_pretrained(folder)
