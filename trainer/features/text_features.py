"""Return the vectors of texts, encoding only texts that are not cached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.core.console import say
from trainer.features.key import text_encoder_key
from trainer.features.settings import EncoderSettings
from trainer.features.store import FeatureStore
from trainer.features.text_encoder import TextEncoder, Tokens

BATCH = 256  # texts per batch


@dataclass(frozen=True)
class TextFeatures:
    """Vectors of texts, in the shared space of images and texts."""

    vectors_ne: np.ndarray  # float32 [N, E], not normalised
    truncated_n: np.ndarray  # bool [N]: the text is longer than the maximum and was truncated
    length: int  # maximum number of tokens
    encoded: int  # distinct texts encoded in this run


def check_texts(settings: EncoderSettings) -> None:
    """Load the tokenizer of the encoder, to be refused before images are encoded and not after.

    Raises:
        InputError: the encoder has no text tower, or no usable tokenizer.
    """
    Tokens(settings.folder)


def encode_texts(
    texts: Sequence[str],
    settings: EncoderSettings,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> TextFeatures:
    """Return the vector of every text, from the cache or the encoder. "" is a valid text.

    Args:
        progress: called with (distinct texts done, distinct texts).

    Raises:
        InputError: the encoder has no text tower or cannot be used; the cache cannot be written.
    """
    folder, dtype, cache_dir = settings.folder, settings.compute_dtype, settings.cache_dir
    tokens = Tokens(folder)
    store = FeatureStore(cache_dir / "features", text_encoder_key(folder, dtype=dtype, cache_dir=cache_dir))
    content = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    distinct = dict(zip(content, texts, strict=True))
    encoded = 0
    if any(name not in store for name in distinct):
        with store.lock():  # another process may have stored some meanwhile
            text_encoder = TextEncoder(folder, device=settings.device, dtype=dtype, tokens=tokens)
            # Again, where imported vectors turn out to have another width than the encoder's.
            while missing := [name for name in distinct if name not in store]:
                encoded += len(missing)
                for at in range(0, len(missing), BATCH):
                    names = missing[at : at + BATCH]
                    some = [distinct[name] for name in names]
                    store.append(names, text_encoder.encode(some), sample_id=some)
                    if progress is not None:
                        progress(len(distinct) - len(missing) + at + len(names), len(distinct))
    for warning in store.warnings:
        say(f"Warning: {warning}")
    return TextFeatures(store.lookup_all(content), tokens.is_truncated(texts), tokens.length, encoded)
