"""Scores of the training rows: computed once, from what is cached, for filters to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainer.core.errors import InputError
from trainer.data.image_quality import MEASURE_NAMES
from trainer.data.manifest import Manifest
from trainer.data.split import stratified_folds
from trainer.data.table_columns import split_captions
from trainer.experiments.ablation import scores
from trainer.experiments.ablation.filters import UNIQUE, FilterRows
from trainer.experiments.ablation.scores import AESTHETIC, AGREEMENT, CLIP, QUALITY, Of
from trainer.features.aesthetic import check_fits, load_aesthetic
from trainer.features.caption_augmentation import CaptionAugmentation, WordNet, augment_caption
from trainer.features.extract import Features, extract
from trainer.features.families import family_of
from trainer.features.settings import EncoderSettings
from trainer.features.text_features import encode_texts
from trainer.stats.intervals import Interval, mean_difference

NO_LABEL = "(no label)"
FOLDS = 5  # of the regressions that a row's label has to agree with
MEASURED = ("brightness", "contrast", "sharpness", "entropy", "colourfulness", "size")
LEAST_CHANGE = 0.02  # of CLIP score: rewording that costs more on average breaks the match


@dataclass(frozen=True)
class ScoringSettings:
    """With what to score."""

    encoder: EncoderSettings  # in the space that images and texts share
    aesthetic: str | None  # a predictor's file
    of: Of  # of several captions
    wording: CaptionAugmentation
    seed: int


class ScoredRows:
    """The training rows with their scores.

    Attributes:
        manifest: the training rows alone.
        rows: the same as filters see them.
        why_not: for scores that these rows do not have, why.
        encoder_calls: forward passes that scoring took.
    """

    def __init__(
        self,
        features: Features,
        how: ScoringSettings,
        *,
        group_n: np.ndarray | None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """
        Args:
            features: all rows, with the vectors that heads are trained on.
            group_n: int64 [N] of all rows, near-duplicates share a number; None where none were searched.

        Raises:
            InputError: the aesthetic predictor cannot be used, or needs images that are not there.
        """
        train = features.manifest.rows("train")
        self.manifest: Manifest = features.manifest.take(train)
        self.why_not: dict[str, str] = {}
        self.encoder_calls = 0
        self._how, self._progress = how, progress
        self._captions = [split_captions(caption) for caption in self.manifest.caption]
        found: dict[str, np.ndarray] = {}
        if features.measures_nm is None:
            self.why_not |= dict.fromkeys((QUALITY, *MEASURED), "the data has no images to measure")
        elif np.isnan(features.measures_nm[train]).any(1).all():
            self.why_not |= dict.fromkeys((QUALITY, *MEASURED), "the images were encoded without --measure")
        else:
            found |= _technical(features.measures_nm[train])
        found |= self._clip() | self._aesthetic()
        groups = None if group_n is None else group_n[train]
        if groups is None:
            self.why_not[UNIQUE] = "near-duplicates are not searched in so many rows"
        found |= self._agreement(features.vectors_nd[train], groups)
        label_n, classes = self.manifest.label_n, self.manifest.classes
        if (label_n < 0).any():  # only where nothing is to be trained
            label_n, classes = np.where(label_n < 0, len(classes), label_n), (*classes, NO_LABEL)
        self.rows = FilterRows(label_n, classes, found, groups)

    # --- image and text -----------------------------------------------------------------------

    @cached_property
    def _image_ne(self) -> np.ndarray | None:
        """Embeddings in the shared space; None where there are none, with the reason in `why_not`."""
        why = ""
        if self.manifest.images is None:
            why = "the data holds precomputed features, no images"
        elif len(self._how.encoder.parts) > 1:
            why = f"{self._how.encoder.encoder} are several encoders; pass a CLIP as --score-encoder"
        elif family_of(self._how.encoder.folder).shared_image is None:
            why = f"{self._how.encoder.encoder} shares no space with texts; pass a CLIP as --score-encoder"
        if why:
            self.why_not |= {CLIP: why, AESTHETIC: why}
            return None
        shared = extract(self.manifest, self._how.encoder, progress=self._progress)
        self.encoder_calls += shared.report.encoder_calls
        return shared.vectors_nd

    def _clip(self) -> dict[str, np.ndarray]:
        if not any(self._captions):
            self.why_not[CLIP] = "no training row has a caption"
            return {}
        if self._image_ne is None:
            return {}
        return {CLIP: self.clip_of(self._captions)}

    def clip_of(self, captions: list[list[str]], of: Of | None = None) -> np.ndarray:
        """Return the CLIP score of the training rows with these captions: float64 [N]."""
        assert self._image_ne is not None
        texts, row_m = scores.rows_of_captions(captions)
        text_me = encode_texts(texts, self._how.encoder).vectors_ne
        return scores.clip_score(self._image_ne, text_me, row_m, of=of or self._how.of)

    def _aesthetic(self) -> dict[str, np.ndarray]:
        where = self._how.aesthetic
        if where is None:
            self.why_not[AESTHETIC] = "no predictor was named; pass --aesthetic"
            return {}
        head = load_aesthetic(where)
        if self._image_ne is None:
            raise InputError(f"--aesthetic {where} cannot be used: {self.why_not[AESTHETIC]}.")
        check_fits(head, self._image_ne.shape[1], where=where, encoder=self._how.encoder.encoder)
        return {AESTHETIC: scores.aesthetic_score(self._image_ne, head)}

    # --- labels -------------------------------------------------------------------------------

    def _agreement(self, vectors_nd: np.ndarray, group_n: np.ndarray | None) -> dict[str, np.ndarray]:
        label_n = self.manifest.label_n
        _, count_c = np.unique(label_n, return_counts=True)
        if (label_n < 0).any() or len(count_c) < 2 or count_c.max() < 2:
            self.why_not[AGREEMENT] = "it needs labels, of two classes or more, with several rows each"
            return {}
        import torch

        from trainer.heads.out_of_fold import out_of_fold

        fold_n = stratified_folds(label_n, self._kin(group_n), count=FOLDS, seed=self._how.seed)
        probability_nc = out_of_fold(
            torch.from_numpy(np.ascontiguousarray(vectors_nd, dtype=np.float32)),
            torch.from_numpy(label_n),
            torch.from_numpy(fold_n),
            classes=len(self.manifest.classes),
        ).numpy()
        return {AGREEMENT: scores.agreement_score(probability_nc, label_n)}

    def _kin(self, group_n: np.ndarray | None) -> list[str]:
        """Return what must stay in one fold: the rows of a group, and near-duplicates."""
        if group_n is None:
            return list(self.manifest.group)
        counts = dict(zip(*np.unique(group_n, return_counts=True), strict=True))
        return [
            group or (f"\0{number}" if counts[number] > 1 else "")
            for group, number in zip(self.manifest.group, group_n, strict=True)
        ]

    @property
    def known(self) -> dict[str, int]:
        """How many rows have each score."""
        return {name: int((~np.isnan(score_n)).sum()) for name, score_n in self.rows.scores.items()}

    # --- what is known of the rows ------------------------------------------------------------

    @property
    def bad_n(self) -> np.ndarray | None:
        """bool [N]: known bad rows of any kind; None where nothing is known."""
        kinds = self.manifest.corrupted
        return None if kinds is None or not any(kinds) else np.array([bool(kind) for kind in kinds])

    def separation(self) -> dict[str, dict[str, Interval]]:
        """Return the AUROC with which a low score detects planted noise of each kind."""
        kinds = np.array(self.manifest.corrupted or ())
        found: dict[str, dict[str, Interval]] = {}
        told = {name: score_n for name, score_n in self.rows.scores.items() if name not in MEASURED}
        for name, score_n in told.items() if len(kinds) else ():
            for kind in sorted(set(kinds) - {""}):
                of_kind = (kinds == "") | (kinds == kind)
                area = scores.separation(score_n[of_kind], (kinds == kind)[of_kind])
                found.setdefault(name, {})[kind] = area
        return found

    def wording(self) -> dict[str, object] | None:
        """Return what rewording does to the match of image and caption; None without captions.

        CLIP scores before and after with the paired difference, and the AUROC with which either tells a row's
        own captions from those of another row.
        """
        if CLIP not in self.rows.scores:
            return None
        how = self._how.wording
        how.check()
        wordnet = WordNet.find_installed() if how.synonyms > 0 else None
        reworded = [
            [augment_caption(text, how, content, 1, seed=self._how.seed, wordnet=wordnet) for text in texts]
            for texts, content in zip(self._captions, self.manifest.content, strict=True)
        ]
        with_caption = np.flatnonzero([bool(texts) for texts in self._captions])
        if len(with_caption) < 2:
            return None
        before_n, after_n = (self.clip_of(texts)[with_caption] for texts in (self._captions, reworded))
        change = mean_difference(after_n - before_n)
        tells, still_tells = (self._tells_true(texts, with_caption) for texts in (self._captions, reworded))
        return {
            "rows": len(with_caption),
            "deletion": how.deletion,
            "synonyms": how.synonyms,
            "clip_score": float(before_n.mean()),
            "clip_score_reworded": float(after_n.mean()),
            "change": list(change),
            "auroc": list(tells),
            "auroc_reworded": list(still_tells),
            # the score itself may rise: some encoders like short captions better, whatever they say
            "breaks_the_match": bool(change.high < -LEAST_CHANGE or still_tells.high < tells.value),
        }

    def _tells_true(self, captions: list[list[str]], with_caption: np.ndarray) -> Interval:
        """Return the AUROC of the CLIP score: rows with their own captions against the same rows with
        another's."""
        order = np.random.default_rng(self._how.seed).permutation(with_caption)
        exchanged = list(captions)
        for row, other in zip(order, np.roll(order, 1), strict=True):
            exchanged[row] = captions[other]
        both = [self.clip_of(texts)[with_caption] for texts in (captions, exchanged)]
        is_other = np.repeat([False, True], len(with_caption))
        return scores.separation(np.concatenate(both), is_other)


def _technical(measures_nm: np.ndarray) -> dict[str, np.ndarray]:
    """Return measures by name, and the quality made of them."""
    by_name = {
        name: measures_nm[:, MEASURE_NAMES.index(name)].astype(np.float64) for name in MEASURE_NAMES[:7]
    }
    by_name["size"] = np.minimum(by_name["width"], by_name["height"])
    return {QUALITY: scores.quality_score(by_name), **{name: by_name[name] for name in MEASURED}}
