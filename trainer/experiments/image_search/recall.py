"""Recall of a search for images, with the captions of the data as queries and right answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.core import text
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.experiments.image_search.config import SearchImagesConfig

# Heavy rooms are imported where they are entered.
if TYPE_CHECKING:
    import numpy as np

    from trainer.data.manifest import Manifest
    from trainer.features.extract import Features
    from trainer.features.settings import EncoderSettings

MOST_ASKED = 10_000  # images; of more, so many are drawn as queries. Candidates are all
TO_IMAGE, TO_TEXT = "text_to_image", "image_to_text"


class CaptionPairs(NamedTuple):
    """Distinct images and distinct captions, and which belong together."""

    row_i: np.ndarray  # int [I], a row of each image
    captions: tuple[str, ...]  # C of them
    pair_p2: np.ndarray  # int [P, 2], an image and a caption of it, each pair once


class AnsweredQueries(NamedTuple):
    """How Q queries were answered."""

    rank_q: np.ndarray  # int, of the nearest right candidate
    unit_q: np.ndarray  # int, what intervals draw
    right_q: np.ndarray  # int, number of right candidates
    candidates: int


def pairs_of(manifest: Manifest, among_n: np.ndarray) -> CaptionPairs:
    """Return the images that have a caption, and their captions. Copies of an image are one image."""
    import numpy as np

    from trainer.data.manifest import rows_by_value
    from trainer.data.table_columns import split_captions

    number: dict[str, int] = {}  # of a caption
    rows: list[int] = []
    pairs: list[tuple[int, int]] = []
    for copies in rows_by_value(manifest.content).values():
        searched = [row for row in copies if among_n[row]]
        own = dict.fromkeys(one.strip() for row in searched for one in split_captions(manifest.caption[row]))
        if own:
            pairs += [(len(rows), number.setdefault(one, len(number))) for one in own]
            rows.append(searched[0])
    return CaptionPairs(np.array(rows, dtype=int), tuple(number), np.array(pairs, dtype=int).reshape(-1, 2))


def measure(
    config: SearchImagesConfig, features: Features, among_n: np.ndarray, settings: EncoderSettings
) -> dict[str, Any]:
    """Measure recall at 1, 5 and 10 in both directions, and print it.

    A query from text to image is one caption of one image; all images with exactly that caption are right.
    From image to text all captions of the image are right. Images without a caption are no candidates.

    Raises:
        InputError: no row that is searched has a caption.
    """
    import numpy as np

    from trainer.data.duplicates import unit_numbers
    from trainer.features.text_features import encode_texts
    from trainer.stats.retrieval import first_ranks

    manifest = features.manifest
    pairs = pairs_of(manifest, among_n)
    if not len(pairs.row_i):
        raise InputError(
            f"No row of {config.data} that is searched has a caption. Change --split or --label."
        )
    with bar("Encoding", "captions") as progress:
        texts = encode_texts(pairs.captions, settings, progress=progress.update)
    image_id, text_ce = features.vectors_nd[pairs.row_i], texts.vectors_ne
    asked = _asked(len(pairs.row_i), seed=config.seed)
    pair_p2 = pairs.pair_p2[np.isin(pairs.pair_p2[:, 0], asked)]
    unit_i = unit_numbers(manifest)[pairs.row_i]
    images_c, captions_i = (np.bincount(numbers) for numbers in (pairs.pair_p2[:, 1], pairs.pair_p2[:, 0]))
    answers = {
        TO_IMAGE: AnsweredQueries(
            _ranks_of_captions(image_id, text_ce, pairs, pair_p2),
            unit_i[pair_p2[:, 0]],
            images_c[pair_p2[:, 1]],
            len(pairs.row_i),
        ),
        TO_TEXT: AnsweredQueries(
            first_ranks(image_id[asked], text_ce, _renumbered(pair_p2, asked)),
            unit_i[asked],
            captions_i[asked],
            len(pairs.captions),
        ),
    }
    figures = {way: _figures(one, seed=config.seed) for way, one in answers.items()}
    _tell(figures, grouped=any(manifest.group), drawn=len(asked) < len(pairs.row_i))
    cut = int(texts.truncated_n.sum())
    if cut:
        say(f"{cut:,} of {text.count(len(pairs.captions), 'caption')} are longer than the encoder sees.")
    return figures | {"captions_cut": cut}


def _asked(images: int, *, seed: int) -> np.ndarray:
    """Return the images whose captions are queries, and that are queries: int, ascending."""
    import numpy as np

    if images <= MOST_ASKED:
        return np.arange(images)
    return np.sort(np.random.default_rng(seed).choice(images, MOST_ASKED, replace=False))


def _ranks_of_captions(
    image_id: np.ndarray, text_ce: np.ndarray, pairs: CaptionPairs, pair_p2: np.ndarray
) -> np.ndarray:
    """Return the rank of the nearest right image for each pair of an image and its caption: int [P]."""
    import numpy as np

    from trainer.stats.retrieval import first_ranks

    caption_q = np.unique(pair_p2[:, 1])  # each is compared once, however many images have it
    right = pairs.pair_p2[np.isin(pairs.pair_p2[:, 1], caption_q)]
    rank_q = first_ranks(text_ce[caption_q], image_id, _renumbered(right[:, ::-1], caption_q))
    return rank_q[np.searchsorted(caption_q, pair_p2[:, 1])]


def _renumbered(pair_p2: np.ndarray, query_q: np.ndarray) -> np.ndarray:
    """Return the pairs with their queries numbered by their places among ``query_q``, which ascend."""
    import numpy as np

    return np.stack([np.searchsorted(query_q, pair_p2[:, 0]), pair_p2[:, 1]], axis=1)


def _figures(answers: AnsweredQueries, *, seed: int) -> dict[str, Any]:
    import numpy as np

    from trainer.stats.paired_bootstrap import share_interval
    from trainer.stats.retrieval import recall_at, recall_by_chance

    figures: dict[str, Any] = {
        "queries": len(answers.rank_q),
        "candidates": answers.candidates,
        "units": len(np.unique(answers.unit_q)),
        "median_rank": float(np.median(answers.rank_q)),
    }
    for k, recall in recall_at(answers.rank_q, answers.unit_q, seed=seed).items():
        value, low, high = share_interval(recall)
        name = f"recall_at_{k}"
        chance = recall_by_chance(answers.right_q, answers.candidates, k)
        figures |= {name: value, f"{name}_ci95": [low, high], f"{name}_chance": chance}
    return figures


def _tell(figures: dict[str, Any], *, grouped: bool, drawn: bool) -> None:
    """Print recall as a table."""
    from rich.table import Table

    from trainer.experiments.comparison import show
    from trainer.stats.retrieval import AT

    table = Table(title="Recall with the captions of the data", title_justify="left")
    for name in ("from → to", "queries", "candidates", *(f"R@{k}" for k in AT), f"chance R@{AT[-1]}"):
        table.add_column(name, no_wrap=True)
    for way, one in figures.items():
        shown = [text.interval(one[f"recall_at_{k}"], one[f"recall_at_{k}_ci95"]) for k in AT]
        name = way.replace("_to_", " → ")
        counts = (text.count(one["queries"]), text.count(one["candidates"]))
        table.add_row(name, *counts, *shown, text.score(one[f"recall_at_{AT[-1]}_chance"]))
    show(table)
    units = figures[TO_IMAGE]["units"]
    over = text.count(units, "group" if grouped else "image")
    say(
        f"Intervals are 95 % (bootstrap over {over})."
        + (f" {MOST_ASKED:,} images drawn at random are queries; all are candidates." if drawn else "")
    )
