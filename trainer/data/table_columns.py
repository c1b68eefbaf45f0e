"""Find the columns of a table by role and convert them to text."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import pyarrow as arrow

from trainer.core.errors import InputError
from trainer.core.text import cut

# Names of columns in public datasets, as `plain` spells them; the first match counts. Several labels are a
# question for the user, unless one of them is called label.
NAMES = {
    "image": (
        *("path", "file_name", "filename", "filepath", "file_path", "image_path", "image_file", "image_name"),
        *("image", "img", "img_path", "img_name", "jpg", "jpeg", "png", "webp", "file", "filenames"),
    ),
    "id": ("sample_id", "id", "key", "image_id", "image_index", "img_id", "isic_id"),
    "label": (
        *("label", "labels", "class", "class_name", "classname", "class_label", "label_name"),
        *("category", "category_name", "target", "y", "cls", "dx", "diagnosis", "breed", "species"),
        *("finding_labels", "fine_label", "coarse_label"),
    ),
    "caption": (
        *("caption", "captions", "text", "txt", "comment", "description", "sentence", "sentences", "prompt"),
    ),
    "group": ("group", "group_id"),
    "split": ("split",),
}
LABEL_NUMBERS = (
    "class_id",
    "label_id",
    "category_id",
    "target_id",
    "class_idx",
    "class_index",
)  # without names
FILE_IDS = (
    "image_id",
    "image_index",
    "img_id",
    "isic_id",
    "id",
    "key",
)  # name files where there are no paths
WEB_ADDRESSES = ("url", "image_url", "img_url", "image_link", "coco_url", "flickr_url")
CAPTIONS_JOINED_BY = " | "
LABELS_JOINED_BY = "|"  # several labels of a list, or of one column each
NAME_SHOWN = 80  # characters of a name in a message
NO_COLUMN = "none"  # as a chosen column: the data has none of this role


@dataclass(frozen=True)
class ColumnChoice:
    """The columns that the user names; None: found by :data:`NAMES`; ``none``: there is no such column."""

    image: str | None = None
    label: str | None = None
    caption: str | None = None
    group: str | None = None
    labels: tuple[str, ...] = ()  # one 0/1 column per label, in the place of a column of labels

    def flags(self) -> list[str]:
        """Return the flags that were given."""
        several = ["--label-columns"] if self.labels else []
        return [f"--{role}-column" for role, _ in self.roles()] + several

    def roles(self) -> list[tuple[str, str]]:
        """Return each role with a single column that was named, and that column."""
        named = ((one.name, getattr(self, one.name)) for one in fields(self) if one.name != "labels")
        return [(role, column) for role, column in named if column is not None]


class JoinedLabels(str):
    """Several labels of a row, or none, joined by `LABELS_JOINED_BY`: text that is known to be a set of
    labels."""

    __slots__ = ()


BY_NAME = ColumnChoice()


def separated(names: str | None) -> tuple[str, ...]:
    """Return the names in a text, between commas; () for None."""
    return tuple(filter(None, map(str.strip, (names or "").split(","))))


def plain(name: str) -> str:
    """Return a column name as :data:`NAMES` spells it: ``Image Index`` is ``image_index``."""
    return re.sub(r"[\s.\-_]+", "_", name.strip().lower()).strip("_")


def is_known(name: str) -> bool:
    """Return whether a column of this name has a role."""
    return any(plain(name) in names for names in (*NAMES.values(), LABEL_NUMBERS, WEB_ADDRESSES))


def is_image(name: str) -> bool:
    """Return whether a column of this name is one of images."""
    return plain(name) in NAMES["image"]


def by_role(present: Sequence[str], chosen: ColumnChoice = BY_NAME, *, name: str = "") -> dict[str, str]:
    """Map each role to the name of its column; roles without a column are left out.

    Args:
        present: names of all columns.
        name: of the data, for messages.

    Raises:
        InputError: a chosen column is absent; several columns may be the label; a column of a role is there
            twice.
    """
    if chosen.labels:
        if chosen.label is not None:
            raise InputError("--label-column and --label-columns both name the labels. Leave out one.")
        chosen = replace(chosen, label=NO_COLUMN)
    named = {role: column for role in NAMES if (column := _chosen(present, role, chosen, name))}
    free = [one for one in present if one not in (*named.values(), *chosen.labels)]
    by_name = {role: column for role in NAMES if role not in named and (column := _by_name(free, role, name))}
    found = {role: one for role, one in {**named, **by_name}.items() if one != NO_COLUMN or one in present}
    for role, column in found.items():
        if list(present).count(column) > 1:
            raise InputError(
                f"{name} has the column {column!r} twice, and it is the {role}. Rename or remove one of them."
            )
    return found


def _chosen(present: Sequence[str], role: str, chosen: ColumnChoice, name: str) -> str | None:
    wanted = getattr(chosen, role, None)
    if wanted is None or wanted in present:
        return wanted
    alike = [one for one in present if plain(one) == plain(wanted)]
    if len(alike) == 1:
        return alike[0]
    if wanted == NO_COLUMN:
        return NO_COLUMN
    raise InputError(f"--{role}-column is {wanted!r}, but {name} has the columns {listed(present)}.")


def _by_name(present: Sequence[str], role: str, name: str) -> str | None:
    own: dict[str, list[str]] = {}
    for one in present:
        own.setdefault(plain(one), []).append(one)
    matches = [known for known in NAMES[role] if known in own]
    if role == "label":
        if "x" in own and "y" in matches:  # coordinates
            matches.remove("y")
        matches = matches or [known for known in LABEL_NUMBERS if known in own][:1]
        if len(matches) > 1 and "label" not in matches:
            raise InputError(
                f"{name} has several columns that may be the label: "
                f"{listed(own[one][0] for one in matches)}. Name the one to use: --label-column."
            )
    if not matches:
        return None
    spellings = list(dict.fromkeys(own[matches[0]]))
    if len(spellings) > 1:
        raise InputError(
            f"{name} has the columns {listed(spellings)}, and both may be the {role}. Rename one of them"
            + (f", or name the one to use: --{role}-column." if role not in ("id", "split") else ".")
        )
    return spellings[0]


def listed(names: Iterable[str], *, most: int = 20) -> str:
    """Return names in quotes, with commas."""
    every = [cut(repr(one), NAME_SHOWN) for one in names]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def unused(present: Iterable[str], column: dict[str, str], chosen: ColumnChoice = BY_NAME) -> list[str]:
    """Return the columns without a role."""
    return [one for one in present if one not in (*column.values(), *chosen.labels)]


def file_id(present: Iterable[str]) -> str | None:
    """Return the column whose values name image files where no column has their paths."""
    own = {plain(one): one for one in present}
    return next((own[known] for known in FILE_IDS if known in own), None)


def web_addresses(present: Iterable[str]) -> str | None:
    """Return the column that is named as one of web addresses."""
    return next((one for one in present if plain(one) in WEB_ADDRESSES), None)


# --- bytes ------------------------------------------------------------------------------------


def holds_bytes(kind: arrow.DataType) -> bool:
    """Return whether a type is binary, or a struct with bytes, as Hugging Face stores images."""
    bare = arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind)
    return bare or (arrow.types.is_struct(kind) and any(f.name == "bytes" for f in kind))


def image_bytes_column(candidates: Sequence[str], chosen: ColumnChoice, name: str) -> str | None:
    """Return the column of images among those that may be it; None if there are none.

    Raises:
        InputError: there are several, and not exactly one has the name of an image column.
    """
    if chosen.image is not None:
        return chosen.image if chosen.image in candidates else None
    known = [one for one in candidates if is_image(one)]
    if len(candidates) < 2 or len(known) == 1:
        return next(iter(known or candidates), None)
    raise InputError(
        f"{name} has several columns of images: {listed(candidates)}. Name the one to use: --image-column."
    )


def bytes_of(cell: arrow.Scalar) -> bytes | None:
    """Return the bytes of a cell of such a column, or None."""
    value = cell.as_py()
    return value.get("bytes") if isinstance(value, dict) else value


# --- text -------------------------------------------------------------------------------------


def column_as_text(column: arrow.ChunkedArray) -> list[str]:
    """Return values as text: "" for null and NaN, lists joined by " | "."""
    return [as_text(value) for value in column.to_pylist()]


def split_captions(caption: str) -> list[str]:
    """Split a row's joined captions; empty for ""."""
    return [one for one in caption.split(CAPTIONS_JOINED_BY) if one.strip()]


def label_of(value: object, *, where: str) -> str:
    """Return a label as text; a list of one label is that label, one of several is `JoinedLabels`.

    Raises:
        InputError: an object, or `LABELS_JOINED_BY` within one of several labels.
    """
    if isinstance(value, JoinedLabels):
        return value
    if isinstance(value, list | tuple):
        several = list(dict.fromkeys(filter(None, map(as_text, value))))
        if len(several) < 2:
            return several[0] if several else JoinedLabels()
        mixed = next((one for one in several if LABELS_JOINED_BY in one), None)
        if mixed is not None:
            raise InputError(
                f"{where} has the label {cut(repr(mixed), NAME_SHOWN)} among several, and "
                f"{LABELS_JOINED_BY!r} separates labels. Rename it."
            )
        return JoinedLabels(LABELS_JOINED_BY.join(several))
    if isinstance(value, dict):
        raise InputError(
            f"{where} has an object as its label: {value!r:.60}. Give each image one name or number."
        )
    return as_text(value)


def several_labels(what: str, flag: str = "") -> str:
    """Return the sentences that refuse data with several labels per image where one is expected.

    Args:
        flag: that reads them as several.
    """
    where = "sweep, check, extract"
    cure = f"pass {flag} to {where} or search_images" if flag else f"they are for {where} and search_images"
    return (
        f"{what}. For several labels per image {cure}; else give each image one. To read the images without "
        f"labels: --label-column {NO_COLUMN}."
    )


def class_names(label: list[str], names: Sequence[str] | None, *, name: str = "") -> list[str]:
    """Replace labels that are indices into ``names``; -1 is a row without a label.

    Raises:
        InputError: two classes have one name.
    """
    if not names:
        return label
    check_unique(names, where=name)
    name_of = {str(number): one for number, one in enumerate(names)} | {"-1": ""}

    def named(one: str) -> str:
        if not isinstance(one, JoinedLabels):
            return name_of.get(one, one)
        return label_of([name_of.get(part, part) for part in one.split(LABELS_JOINED_BY)], where=name)

    return [named(one) for one in label]


def check_unique(names: Sequence[str], *, where: str) -> None:
    """Raise InputError if two classes have the same name: their rows would be one class."""
    twice = [one for one, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            f"{where} names two classes {cut(repr(twice[0]), NAME_SHOWN)} (numbers "
            f"{' and '.join(str(at) for at, one in enumerate(names) if one == twice[0])})"
            + (f", and {len(twice) - 1} more names stand for several classes" if len(twice) > 1 else "")
            + ". Give every class a name of its own."
        )


def as_text(value: object) -> str:
    """Return a value as text: "" for None and NaN, a list joined by " | "."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace").strip()
    if isinstance(value, list):
        return CAPTIONS_JOINED_BY.join(filter(None, map(as_text, value)))
    text = str(value).strip()
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, as JSON can hold: nothing could write it
        return text.encode("utf-8", "backslashreplace").decode()
    return text
