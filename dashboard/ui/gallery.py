"""Images of rows, page by page, each with what is said of it. Shared by all pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.frames.model_input import model_input, share_cut, width_within
from dashboard.ui import layout, links
from trainer.tracking.schema import Samples

PER_PAGE = 24
WIDTH = 80  # pixels of an image
SIZES = [48, 64, 80, 104, 136, 176]  # that a reader can choose
BETWEEN = 4  # pixels between an image and what the encoder sees of it
NEW_LINE = "  \n"  # in Markdown
JOINED = " · "
NO_IMAGE = ":material/hide_image:"
SIMILAR = ":material/image_search:"
SAYS = "says"  # column of what is said first below an image
ALSO = "also"  # column, if there is one, of what is said second
LINES = "lines"  # column, if there is one, of lists of texts: a line each, in the place of all of these


def with_images(rows: pd.DataFrame, samples: pd.DataFrame | None) -> pd.DataFrame:
    """Rows with the ``caption``, the ``thumbnail`` and, of newer runs, the ``content_hash`` and the
    ``field_of_view`` that SAMPLES keeps of them; "" and null where it keeps none. No row is lost."""
    kept = [Samples.SAMPLE_ID, Samples.CAPTION, Samples.THUMBNAIL, Samples.CONTENT_HASH, Samples.FIELD]
    bare = rows.drop(columns=[name for name in kept[1:] if name in rows])
    if samples is None:
        return bare.assign(**{Samples.CAPTION: "", Samples.THUMBNAIL: None})
    kept = [name for name in kept if name in samples]
    found = bare.merge(samples[kept].drop_duplicates(Samples.SAMPLE_ID), on=Samples.SAMPLE_ID, how="left")
    return found.assign(**{Samples.CAPTION: found[Samples.CAPTION].fillna("")})


def show(
    rows: pd.DataFrame,
    *,
    key: str,
    order: str,
    per_page: int = PER_PAGE,
    width: int = WIDTH,
    similar_in: str = "",
) -> None:
    """The rows' images in the order given; page and size are kept in the address.

    Args:
        rows: ``sample_id, caption, thumbnail`` (see `with_images`) and ``says``, what stands below each.
        key: parameter of the address that keeps the page, unique on the page; ``<key>_size`` keeps the size.
        order: in words, for the sentence below; what is foreign in it must be `text.plain`.
        width: of an image in pixels until the reader chooses another.
        similar_in: run whose data has the rows: each then leads to the images most similar to it.
    """
    if rows.empty:
        layout.empty("No rows here.", ":material/filter_alt_off:")
        return
    without = int((~rows[Samples.THUMBNAIL].map(lambda one: isinstance(one, bytes))).sum())
    if without == len(rows):
        listed(rows)
        return
    first, shown = paged(rows, key=key, per_page=per_page)
    tiles = st.container(horizontal=True, gap="small")
    span = f"{first + 1:,} to {first + len(shown):,} of " if len(shown) < len(rows) else ""
    lacking = f" {without:,} without an image." if without else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        layout.sentence(f"{span}{text.count(len(rows), 'image')}, {order}.{lacking}")
        width = pick_size(f"{key}_size", width)
        inputs = Samples.FIELD in rows and rows[Samples.FIELD].notna().any() and pick_inputs(f"{key}_input")
    with tiles:
        for row in shown.to_dict("records"):
            tile(row, width, similar_in=similar_in, beside=bool(inputs))


def listed(rows: pd.DataFrame) -> None:
    """Rows without any image, as a table."""
    layout.empty(f"No images were kept for {text.count(len(rows), 'row')}.", NO_IMAGE)
    shown = rows.drop(columns=Samples.THUMBNAIL)
    for name in (Samples.SAMPLE_ID, Samples.CAPTION, SAYS):
        shown[name] = [text.clean(words, longest=200) for words in shown[name]]
    st.dataframe(
        shown[[SAYS, Samples.SAMPLE_ID, Samples.CAPTION]],
        hide_index=True,
        height="content" if len(shown) <= 8 else 320,
        column_config={SAYS: "prediction", Samples.SAMPLE_ID: "sample"},
    )


def pick_size(key: str, width: int) -> int:
    """The width of an image in pixels that the reader chose."""
    return st.select_slider(
        "Image size",
        sorted({*SIZES, width}),
        value=width,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
        format_func=lambda pixels: f"{pixels} px",
        width=120,
    )


def pick_inputs(key: str) -> bool:
    """Whether the reader wants to see what the encoder sees, beside each image."""
    return st.toggle(
        "Encoder’s view",
        key=key,
        bind="query-params",
        help="Beside each image: the part that the encoder sees, after resizing and cropping.",
    )


def tile(row: Mapping[Any, Any], width: int, *, similar_in: str = "", beside: bool = False) -> None:
    """One image over one line: what is said of it, its caption and its id, as literal text. What the line
    has no room for shows when the pointer is on it.

    Args:
        similar_in: as of `show`.
        beside: also show what the encoder sees, and how much is cut away.
    """
    words = text.clean(row[Samples.CAPTION], longest=300)
    name = text.clean(row[Samples.SAMPLE_ID], longest=300)
    parts = [text.plain(row[column], longest=60) for column in (SAYS, ALSO) if column in row]
    parts += [text.plain(one, longest=80) for one in (words, name.rpartition("/")[2]) if one]
    if similar_in:
        parts.insert(0, f"[{SIMILAR}]({links.similar(similar_in, row[Samples.SAMPLE_ID])})")
    if beside and (cut := share_cut(row[Samples.FIELD])) is not None:
        parts.insert(0, f"{cut:.0%} cut")
        with st.container(width=2 * width + BETWEEN, gap="xxsmall"):
            side_by_side(row, width=width, name=words or name)
            st.caption(JOINED.join(parts), wrap=False)
        return
    with st.container(width=width, gap="xxsmall"):
        image(row[Samples.THUMBNAIL], width=width, name=words or name)
        if LINES in row:
            st.caption(NEW_LINE.join(text.plain(one, longest=120) for one in row[LINES]))
        else:
            st.caption(JOINED.join(parts), wrap=False)


def side_by_side(row: Mapping[Any, Any], *, width: int, name: str) -> None:
    """A row's image, and what the encoder sees of it where that is known."""
    with st.container(horizontal=True, gap=BETWEEN):
        image(row[Samples.THUMBNAIL], width=width_within(row[Samples.THUMBNAIL], width), name=name)
        seen = model_input(row[Samples.THUMBNAIL], row[Samples.FIELD])
        if seen is not None:
            st.image(seen, width=width, alt=text.clean(f"What the encoder sees of {name}"))


def image(data: object, *, width: int, name: str) -> None:
    """A thumbnail; an empty frame where none was kept."""
    if isinstance(data, bytes):
        st.image(data, width=width, alt=text.clean(name))
        return
    with st.container(border=True, width=width, height=width, horizontal_alignment="center"):
        st.markdown(NO_IMAGE, width="content")


def paged(rows: pd.DataFrame, *, key: str, per_page: int) -> tuple[int, pd.DataFrame]:
    """The rows of the page that the address asks for, with the place of the first; shows the pager, if there
    is more than one page."""
    pages = -(-len(rows) // per_page)
    number = min(st.pagination(pages, key=key, bind="query-params"), pages) if pages > 1 else 1
    first = (number - 1) * per_page
    return first, rows.iloc[first : first + per_page]
