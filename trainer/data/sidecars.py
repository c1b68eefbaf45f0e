"""Read text files that share their name with an image: caption, label, and more in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trainer.core.errors import InputError
from trainer.core.text import count
from trainer.core.untrusted_json import parse_json
from trainer.data.table_columns import BY_NAME, NO_COLUMN, ColumnChoice, as_text, by_role, label_of, listed

MAX_BYTES = 1 << 20  # larger text files are ignored
NOTES = ("label", "caption", "group", "split")  # roles of `table_columns.NAMES`


class SidecarReader:
    """Read label, caption, group and split of one image after the other.

    Args:
        name: of the data, for messages.
        chosen: keys of the .json files that are to be read whatever their names; the image has none.

    Raises:
        InputError: a column of images, or one per label, is chosen.
    """

    def __init__(self, name: str, chosen: ColumnChoice = BY_NAME) -> None:
        if chosen.labels:
            raise InputError(
                f"{name!r} has labels in files of their own: --label-columns is for tables. A list in the "
                ".json of an image gives it several labels."
            )
        if chosen.image is not None:
            raise InputError(f"{name!r} has images in files of their own: --image-column is for tables.")
        self._name = name
        self._chosen = chosen
        self._keys: dict[str, None] = {}  # of all .json files, in order
        self._unread: list[str] = []  # images whose .json holds no object

    def notes(self, texts: Mapping[str, bytes], *, where: str) -> dict[str, str]:
        """Return label, caption, group and split of an image, as far as they are known.

        Args:
            texts: content by extension: ``.txt`` is the caption, ``.cls`` the label, ``.json`` may have all.
                A .txt or .cls takes precedence over keys that were not chosen.
            where: the image, for messages.

        Raises:
            InputError: an object as the label, or several keys that may be the label.
        """
        notes = self._of_json(texts.get(".json", b""), where)
        for kind, note in ((".txt", "caption"), (".cls", "label")):
            if kind in texts and getattr(self._chosen, note) is None:
                notes[note] = _text(texts[kind])
        return notes

    def notes_on_files(self) -> list[str]:
        """Return what to say of the .json files that were not read."""
        if not self._unread:
            return []
        return [
            f"{count(len(self._unread), '.json file')} not read, such as that of {self._unread[0]!r}: no "
            "JSON object."
        ]

    def check(self) -> None:
        """Raise InputError if a chosen key was in no .json file."""
        for role, wanted in self._chosen.roles():
            if wanted != NO_COLUMN and wanted not in self._keys:
                keys = f"the keys {listed(self._keys)}" if self._keys else "no keys: there are none to read"
                raise InputError(
                    f"--{role}-column is {wanted!r}, but the .json files of {self._name} have {keys}."
                )

    def _of_json(self, data: bytes, where: str) -> dict[str, str]:
        value = _parsed(data)
        if data.strip() and value is None:
            self._unread.append(where)
        value = value or {}
        self._keys |= dict.fromkeys(value)
        absent: dict[str, Any] = {
            role: NO_COLUMN for role, wanted in self._chosen.roles() if wanted not in value
        }
        names = by_role(list(value), replace(self._chosen, **absent), name=f"The .json of {where}")
        known = {note: value[names[note]] for note in NOTES if note in names}
        return {
            note: label_of(one, where=where) if note == "label" else as_text(one)
            for note, one in known.items()
            if one is not None
        }


def _parsed(data: bytes) -> dict[str, Any] | None:
    """Return the object that a .json file holds; None for anything else."""
    try:
        value = parse_json(_text(data))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip()
