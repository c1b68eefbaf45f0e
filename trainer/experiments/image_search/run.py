"""Rank the images of a data set by their similarity to words or to an image."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainer.core import atomic, text
from trainer.core.config import require_at_least
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.experiments.image_search.config import SearchImagesConfig
from trainer.experiments.inputs import (
    encode_rows,
    encoder_settings,
    read_rows,
    recipe_of,
    require_captions,
    require_images,
    require_one_encoder,
)

# Heavy rooms (torch, transformers, rich) are imported where they are entered.
if TYPE_CHECKING:
    import numpy as np

    from trainer.data.manifest import Manifest
    from trainer.features.settings import EncoderSettings

Found = dict[str, Any]  # one image that was found: rank, score, sample_id, split, label, caption
COLUMNS = ("rank", "score", "sample_id", "split", "label", "caption")
BATCH = 16  # to which a single image is filled up
CAPTION_SHOWN = 60  # characters on the terminal; the CSV has all


def run(config: SearchImagesConfig) -> dict[str, Any]:
    """Search, and measure recall if that is asked for. Returns the figures.

    Raises:
        InputError: there is nothing to search for, or it cannot be encoded; data or encoder cannot be used.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    began = time.perf_counter()
    check(config)
    from trainer.experiments.image_search import recall
    from trainer.features.backbone import pick_device
    from trainer.features.text_features import check_texts
    from trainer.stats.nearest_vectors import nearest

    config = replace(config, allow_leaks=True)  # who searches learns nothing, so nothing can leak
    reads_texts = bool(config.words) or config.recall
    space = "shared" if reads_texts else recipe_of(config)
    settings = encoder_settings(config, pick_device(config.device), space=space)
    if reads_texts:
        check_texts(settings)
    manifest = read_rows(config)
    require_images(config, manifest, "Pass the images, and an encoder to search them with.")
    chosen_rows(config, manifest)
    if config.recall:
        require_captions(config, manifest, wanted=", so recall cannot be measured", flag="--recall")
    query_d = _query(config, manifest, settings)
    features = encode_rows(config, manifest, settings, to_train=False)
    among_n = chosen_rows(config, features.manifest)
    figures: dict[str, Any] = {"rows": len(among_n), "searched": int(among_n.sum())}
    if query_d is not None:
        near = nearest(query_d[None], features.vectors_nd, config.top, among_n=among_n)
        found = _described(features.manifest, near.row_qk[0], near.cosine_qk[0])
        _tell(config, found, figures["searched"])
        if config.out is not None:
            write_csv(config, found)
        query = {"words": " ".join(config.words)} if config.words else {"image": str(config.image)}
        figures |= query | {"results": found}
    if config.recall:
        figures["recall"] = recall.measure(config, features, among_n, settings)
    return {
        **figures,
        "encoder": features.report.encoder,
        "encoded": features.report.encoded,
        "elapsed_s": round(time.perf_counter() - began, 3),
    }


def check(config: SearchImagesConfig) -> None:
    """Raise InputError for flags that ask for nothing, or for what cannot be."""
    require_at_least(config, seed=0, top=1)
    if config.words and config.image is not None:
        raise InputError("Search for words or for an --image, not for both at once. Leave out one of them.")
    if config.words and not " ".join(config.words).strip():
        raise InputError('The words to search for are empty. Pass some, such as "a dog on grass".')
    if not config.words and config.image is None and not config.recall:
        raise InputError(
            'There is nothing to search for. Pass words, such as "a dog on grass", or --image FILE; --recall '
            "alone measures how well the captions of the data find their images."
        )
    if config.out is not None:
        if not config.words and config.image is None:
            raise InputError("--out is for the images found, and --recall alone finds none. Leave it out.")
        atomic.check_output(config.out, "--out", inputs=[config.image] if config.image else [])
    if config.words or config.recall:
        require_one_encoder(config, "Images and texts share a space of one.")
        if config.features != ("pooled",):
            raise InputError(
                "Words are compared in the space that images and texts share, which has no other --features "
                "than pooled. Leave them out."
            )


def chosen_rows(config: SearchImagesConfig, manifest: Manifest) -> np.ndarray:
    """Return which rows are searched: bool [N].

    Raises:
        InputError: there is no such label, or no row is left.
    """
    import numpy as np

    names = manifest.labels or manifest.classes
    unknown = [one for one in config.label if one not in names]
    if unknown:
        labels = ", ".join(map(repr, names[:10])) + (", …" if len(names) > 10 else "")
        raise InputError(
            f"--label: {config.data} has no label {unknown[0]!r}. "
            + (f"Its labels: {labels}." if names else "Its rows have no labels; leave it out.")
        )
    among_n = np.ones(len(manifest), dtype=bool)
    if config.split is not None:
        among_n &= manifest.split_n == config.split
    if config.label:
        among_n &= _has_one_of(manifest, [names.index(one) for one in config.label])
    if not among_n.any():
        raise InputError(
            f"No row of {config.data} is left to search in. Leave out --split or --label, or change them."
        )
    return among_n


def _has_one_of(manifest: Manifest, index: list[int]) -> np.ndarray:
    """Return which rows have one of the labels of these numbers: bool [N]."""
    import numpy as np

    if manifest.label_nc is not None:
        return np.any(manifest.label_nc[:, index], axis=1)
    return np.isin(manifest.label_n, index)


def _query(config: SearchImagesConfig, manifest: Manifest, settings: EncoderSettings) -> np.ndarray | None:
    """Return the vector to search for, float32 [D]; None if only recall is asked for."""
    if config.words:
        return _of_words(" ".join(config.words), settings)
    return None if config.image is None else _of_image(config, manifest, settings)


def _of_words(words: str, settings: EncoderSettings) -> np.ndarray:
    from trainer.features.text_features import encode_texts

    texts = encode_texts([words], settings)
    if texts.truncated_n[0]:
        say(f"Warning: the encoder sees {texts.length} tokens of the words; their end does not count.")
    return texts.vectors_ne[0]


def _of_image(config: SearchImagesConfig, manifest: Manifest, settings: EncoderSettings) -> np.ndarray:
    """Return the vector of ``--image``, read as the images of the data are.

    Raises:
        InputError: it cannot be used.
    """
    from trainer.data.bit_depth import BIT_DEPTHS, with_bits_of_head
    from trainer.data.file_list import read_files
    from trainer.features.extract import extract

    assert config.image is not None
    if config.image.is_dir():
        raise InputError(f"--image {config.image} is a folder. Pass one image file.")
    cache_file = config.cache_folder / BIT_DEPTHS
    listed = with_bits_of_head(read_files([config.image]), manifest.bits, cache_file=cache_file)
    alone = replace(settings, batch_size=BATCH, workers=0, max_bad=1.0, measure=False)
    features = extract(listed, alone)
    for _, reason in features.report.quarantined:
        raise InputError(f"--image {config.image} cannot be used: {reason}. Pass another image.")
    return features.vectors_nd[0]


def _described(manifest: Manifest, row_k: np.ndarray, cosine_k: np.ndarray) -> list[Found]:
    """Return what is known of each image that was found, the nearest first."""
    return [
        {
            "rank": rank,
            "score": round(float(cosine), 6),
            "sample_id": manifest.sample_id[row],
            "split": str(manifest.split_n[row]),
            "label": manifest.classes[manifest.label_n[row]] if manifest.label_n[row] >= 0 else "",
            "caption": manifest.caption[row],
        }
        for rank, (row, cosine) in enumerate(zip(row_k.tolist(), cosine_k, strict=True), start=1)
    ]


def _tell(config: SearchImagesConfig, found: list[Found], searched: int) -> None:
    """Print the images found as a table."""
    from rich.table import Table

    from trainer.experiments.comparison import show

    what = f"“{' '.join(config.words)}”" if config.words else f"Like {config.image}"
    table = Table(title=f"{what}: {len(found)} of {text.count(searched, 'image')}", title_justify="left")
    for name in ("#", "cosine", "image", "label", "caption"):
        table.add_column(name, overflow="fold" if name == "image" else "ellipsis")
    for one in found:
        cells = (one["sample_id"], one["label"], text.cut(one["caption"], CAPTION_SHOWN))
        table.add_row(str(one["rank"]), text.score(one["score"]), *cells)
    show(table)


def write_csv(config: SearchImagesConfig, found: list[Found]) -> None:
    """Write the images found, the nearest first. Raises InputError if that is not possible."""
    assert config.out is not None
    written = io.StringIO()
    rows = csv.DictWriter(written, COLUMNS, lineterminator="\n")
    rows.writeheader()
    rows.writerows(found)
    atomic.write_output(config.out, written.getvalue().encode("utf-8", "surrogatepass"), "--out")
    say(f"Found images: {config.out}")
