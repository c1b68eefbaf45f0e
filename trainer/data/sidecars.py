"""Read text files that share their name with an image: caption, label, and more in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

from trainer.data import table_columns

MAX_BYTES = 1 << 20  # larger text files are ignored
NOTES = ("label", "caption", "group", "split")  # roles of `table_columns.NAMES`


def notes_of(texts: Mapping[str, bytes]) -> dict[str, str]:
    """Return label, caption, group and split of an image, as far as they are known.

    Args:
        texts: content by extension: ``.txt`` is the caption, ``.cls`` the label, ``.json`` may have all. A
            .txt or .cls takes precedence.
    """
    notes = _of_json(texts.get(".json", b""))
    for kind, note in ((".txt", "caption"), (".cls", "label")):
        if kind in texts:
            notes[note] = _text(texts[kind])
    return notes


def _of_json(data: bytes) -> dict[str, str]:
    try:
        value = json.loads(_text(data))
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    names = table_columns.by_role(list(value))
    known = {note: value[names[note]] for note in NOTES if note in names}
    return {note: str(one).strip() for note, one in known.items() if one is not None}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip()
