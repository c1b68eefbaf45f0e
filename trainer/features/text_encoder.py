"""Encode texts with the frozen text tower of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.core.errors import InputError, first_line
from trainer.core.json_cache import read_json
from trainer.core.stand_ins import refuse_stand_in
from trainer.features.backbone import LoadedBackbone, configuration
from trainer.features.families import family_of
from trainer.features.model_files import TOKENIZER_FILES, tokenizer_files
from trainer.features.model_schema import refuse_code

if TYPE_CHECKING:
    import torch


class Tokens:
    """A model's tokenizer.

    Attributes:
        length: maximum number of tokens of a text.
    """

    def __init__(self, folder: Path) -> None:
        """Load the tokenizer of the model in ``folder``.

        Raises:
            InputError: the model has no text tower, or no usable tokenizer.
        """
        from transformers import AutoTokenizer

        family = family_of(folder)
        family.text_tower()
        # Without these files transformers creates an empty tokenizer, which maps all texts to the same
        # tokens.
        files = tokenizer_files(folder)
        for file in files:
            refuse_stand_in(file)
        if not files:
            raise InputError(f"{folder} has no tokenizer ({', '.join(TOKENIZER_FILES)}). Save it there too.")
        file = folder / "tokenizer_config.json"
        if file.is_file():
            refuse_code(file, read_json(file))
        config = configuration(folder)
        # not the raw JSON: published files leave out what equals the default
        self.length = config.text_config.max_position_embeddings
        self._vocabulary = config.text_config.vocab_size
        # SigLIP was trained on texts padded to the full length (Zhai et al. 2023, published code).
        self._padding = "max_length" if family.name == "SigLIP" else "longest"
        self._wanted = ("input_ids",) if family.name == "SigLIP" else ("input_ids", "attention_mask")
        self._folder = folder
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            self.inputs(["a", "two words"])
            self.is_truncated(["a"])
        except (InputError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # many types; a panic in the library's Rust code is no Exception
            raise InputError(
                f"The tokenizer in {folder} cannot be used: {first_line(error)}. Download or save it again."
            ) from error

    def is_truncated(self, texts: Sequence[str]) -> np.ndarray:
        """Return which texts have more than :attr:`length` tokens and are truncated: bool [N]."""
        whole = self._tokenizer(list(texts), truncation=False, verbose=False)["input_ids"] if texts else []
        return np.array([len(ids) > self.length for ids in whole], dtype=bool)

    def inputs(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Return the inputs of the text tower, on the CPU: int64 [B, L] each.

        Raises:
            InputError: a token has a number that the model does not know.
        """
        tokens = self._tokenizer(
            list(texts), padding=self._padding, truncation=True, max_length=self.length, return_tensors="pt"
        )
        most = int(tokens["input_ids"].max()) if tokens["input_ids"].numel() else 0
        if most >= self._vocabulary:
            raise InputError(
                f"The tokenizer in {self._folder} gives a token the number {most:,}, but config.json "
                f"describes a model of {self._vocabulary:,} tokens. They belong to different models: fetch "
                "both again."
            )
        return {name: tokens[name] for name in self._wanted}


class TextEncoder:
    """A frozen text tower with its tokenizer, into the shared space of images and texts."""

    def __init__(
        self, folder: Path, *, device: str = "auto", dtype: str = "float32", tokens: Tokens | None = None
    ) -> None:
        """Load the text tower of the model in ``folder``, and its tokenizer unless it is given.

        Raises:
            InputError: the model has no text tower; tokenizer or weights cannot be used; no such device.
        """
        self.tokens = tokens or Tokens(folder)
        self._tower = LoadedBackbone(folder, family_of(folder).text_tower(), device=device, dtype=dtype)

    @property
    def calls(self) -> int:
        """Number of forward passes so far."""
        return self._tower.calls

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode a batch: float32 [B, E]. Texts are truncated to :attr:`Tokens.length`."""
        inputs = {name: one.to(self._tower.device) for name, one in self.tokens.inputs(texts).items()}
        return self._tower(**inputs).numpy()
