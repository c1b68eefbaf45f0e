"""Images of rows, page by page, each with what is said of it. Shared by all pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.ui import layout
from trainer.tracking.schema import Samples

PER_PAGE = 24
WIDTH = 80  # pixels of an image
SIZES = [48, 64, 80, 104, 136, 176]  # that a reader can choose
NEW_LINE = "  \n"  # in Markdown
JOINED = " · "
NO_IMAGE = ":material/hide_image:"
SAYS = "says"  # column of what is said first below an image
ALSO = "also"  # column, if there is one, of what is said second


def with_images(rows: pd.DataFrame, samples: pd.DataFrame | None) -> pd.DataFrame:
    """Rows with the ``caption`` and the ``thumbnail`` that SAMPLES keeps of them; "" and null where it
    keeps none. No row is lost."""
    kept = [Samples.SAMPLE_ID, Samples.CAPTION, Samples.THUMBNAIL]
    bare = rows.drop(columns=[name for name in kept[1:] if name in rows])
    if samples is None:
        return bare.assign(**{Samples.CAPTION: "", Samples.THUMBNAIL: None})
    found = bare.merge(samples[kept].drop_duplicates(Samples.SAMPLE_ID), on=Samples.SAMPLE_ID, how="left")
    return found.assign(**{Samples.CAPTION: found[Samples.CAPTION].fillna("")})


def show(rows: pd.DataFrame, *, key: str, order: str, per_page: int = PER_PAGE, width: int = WIDTH) -> None:
    """The rows' images in the order given; page and size are kept in the address.

    Args:
        rows: ``sample_id, caption, thumbnail`` (see `with_images`) and ``says``, what stands below each.
        key: parameter of the address that keeps the page, unique on the page; ``<key>_size`` keeps the size.
        order: in words, for the sentence below; what is foreign in it must be `text.plain`.
        width: of an image in pixels until the reader chooses another.
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
    with tiles:
        for row in shown.to_dict("records"):
            tile(row, width)


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


def tile(row: Mapping[Any, Any], width: int) -> None:
    """One image over one line: what is said of it, its caption and its id, as literal text. What the line
    has no room for shows when the pointer is on it."""
    words = text.clean(row[Samples.CAPTION], longest=300)
    name = text.clean(row[Samples.SAMPLE_ID], longest=300)
    parts = [text.plain(row[column], longest=60) for column in (SAYS, ALSO) if column in row]
    parts += [text.plain(one, longest=80) for one in (words, name.rpartition("/")[2]) if one]
    with st.container(width=width, gap="xxsmall"):
        image(row[Samples.THUMBNAIL], width=width, name=words or name)
        st.caption(JOINED.join(parts), wrap=False)


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
