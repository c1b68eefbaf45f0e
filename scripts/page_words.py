"""Print how much text each page shows: a Markdown table for the stores of the tests.

    python scripts/page_words.py [--state done] [--pages ablation confusion …]

Columns: all words, the longest caption and paragraph in words, captions and paragraphs over the limits of
tests/support/wording.py. Run on two commits, it compares them.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.dashboard.test_words import STATES, VIEWS, everything, two_classes  # noqa: E402
from tests.support import wording  # noqa: E402
from tests.support.pages import nobody_looking, open_page  # noqa: E402
from tests.support.stores import fresh_store  # noqa: E402
from trainer.tracking import database  # noqa: E402

HEAD = "| page | words | longest caption | longest paragraph | captions > 40 | paragraphs > 60 |"
TWO_CLASSES = "twoclass"  # the page that needs a store of its own


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", choices=STATES, default="done", help="of the runs (default: done)")
    parser.add_argument("--pages", nargs="+", choices=VIEWS, default=VIEWS, help="default: all")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder, nobody_looking():
        migrated = Path(folder) / "mlflow.db"
        database.prepare(f"sqlite:///{migrated}")
        stores = [Path(folder) / name for name in ("all", "two")]
        for store in stores:
            store.mkdir()
        all_kinds, two = (fresh_store(migrated, store) for store in stores)
        everything(all_kinds, options.state)
        two_classes(two)
        print(HEAD, "|---|" + 5 * "--:|", sep="\n")
        for view in options.pages:
            os.environ["HEADROOM_TRACKING_URI"] = two if view == TWO_CLASSES else all_kinds
            print(row(view, open_page(f"views/{view}.py")), flush=True)


def row(view: str, app: AppTest) -> str:
    captions, paragraphs = wording.captions(app), wording.paragraphs(app)
    headings = [node.value for node in (*app.title, *app.header, *app.subheader)]
    of_captions, of_paragraphs = ([wording.count(one) for one in texts] for texts in (captions, paragraphs))
    cells = (
        sum(map(wording.count, [*captions, *paragraphs, *headings])),
        max(of_captions, default=0),
        max(of_paragraphs, default=0),
        sum(count > wording.CAPTION for count in of_captions),
        sum(count > wording.PARAGRAPH for count in of_paragraphs),
    )
    return f"| {view} | " + " | ".join(f"{cell:,}" for cell in cells) + " |"


if __name__ == "__main__":
    main()
