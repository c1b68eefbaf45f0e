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
NEW_LINE = "  \n"  # in Markdown
NO_IMAGE = ":material/hide_image:"
SAYS = "says"  # column of the line that stands first below an image
ALSO = "also"  # column, if there is one, of the line that stands second


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
    """The rows' images in the order given, the page of them kept in the address.

    Args:
        rows: ``sample_id, caption, thumbnail`` (see `with_images`) and ``says``, what stands below each.
        key: parameter of the address that keeps the page, unique on the page.
        order: in words, for the sentence below; what is foreign in it must be `text.plain`.
    """
    if rows.empty:
        layout.empty("No row is here.", ":material/filter_alt_off:")
        return
    without = int((~rows[Samples.THUMBNAIL].map(lambda one: isinstance(one, bytes))).sum())
    if without == len(rows):
        layout.empty(f"This sweep kept no images of these {text.count(without, 'row')}.", NO_IMAGE)
        shown = rows.drop(columns=Samples.THUMBNAIL)
        for name in (Samples.SAMPLE_ID, Samples.CAPTION, SAYS):
            shown[name] = [text.clean(words, longest=200) for words in shown[name]]
        st.dataframe(
            shown[[SAYS, Samples.SAMPLE_ID, Samples.CAPTION]],
            hide_index=True,
            height="content" if len(shown) <= 8 else 320,
            column_config={SAYS: "answer", Samples.SAMPLE_ID: "sample"},
        )
        return
    first, shown = paged(rows, key=key, per_page=per_page)
    with st.container(horizontal=True, gap="small"):
        for row in shown.to_dict("records"):
            tile(row, width)
    span = f"{first + 1:,} to {first + len(shown):,} of " if len(shown) < len(rows) else ""
    lacking = f" Of {without:,} no image was kept." if without else ""
    layout.sentence(f"{span}{text.count(len(rows), 'row')} (n = {len(rows):,}), {order}.{lacking}")


def tile(row: Mapping[Any, Any], width: int) -> None:
    """One image; below it what is said of it, its caption and its id, all as literal text."""
    words = text.clean(row[Samples.CAPTION], longest=300)
    name = text.clean(row[Samples.SAMPLE_ID], longest=300)
    lines = [text.plain(row[name], longest=40) for name in (SAYS, ALSO) if name in row]
    lines += [text.plain(one, longest=22) for one in (words, name.rpartition("/")[2]) if one]
    below = NEW_LINE.join(lines)
    if isinstance(row[Samples.THUMBNAIL], bytes):
        st.image(row[Samples.THUMBNAIL], below, width=width, alt=text.clean(words or name))
        return
    with st.container(width=width + 8, gap="xxsmall"):
        image(None, width=width, name=name)
        st.caption(below)


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
