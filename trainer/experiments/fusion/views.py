"""Augmented captions: view v of a row's captions, which belongs to view v of its image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from trainer.core.errors import InputError
from trainer.features.caption_augmentation import (
    INSTALL_HINT,
    CaptionAugmentation,
    WordNet,
    augment_caption,
)


class Wording(NamedTuple):
    """How captions are augmented."""

    how: CaptionAugmentation
    views: int
    seed: int
    wordnet: WordNet | None

    @classmethod
    def of(cls, how: CaptionAugmentation, *, views: int, seed: int) -> Wording:
        """Raise InputError for strengths out of range, or synonyms without WordNet."""
        how.check()
        wordnet = WordNet.find_installed() if how.synonyms and views else None
        if how.synonyms and views and wordnet is None:
            raise InputError(
                f"--wording.synonyms is {how.synonyms}, but WordNet is not installed. {INSTALL_HINT}"
            )
        return cls(how, views, seed, wordnet)

    def captions(
        self,
        captions: Sequence[tuple[str, ...]],
        content: Sequence[str],
        hide: Callable[[Sequence[str]], Sequence[str]],
    ) -> list[list[tuple[str, ...]]]:
        """Return the captions of rows in each view.

        Args:
            captions: of each row.
            content: SHA-256 of each row's image.
            hide: removes what must not be read, which a synonym may bring back; a caption of which nothing
                is left then stays as it was.
        """
        return [
            [self._row(several, image, view, hide) for several, image in zip(captions, content, strict=True)]
            for view in range(1, self.views + 1)
        ]

    def _row(
        self,
        several: tuple[str, ...],
        content: str,
        view: int,
        hide: Callable[[Sequence[str]], Sequence[str]],
    ) -> tuple[str, ...]:
        changed = [
            augment_caption(one, self.how, content, view, seed=self.seed, wordnet=self.wordnet)
            for one in several
        ]
        return tuple(new.strip() or one for new, one in zip(hide(changed), several, strict=True))
