"""Decide from names and structure which folders are splits, which are classes, and which are neither.

A name alone decides nothing: ``train`` is a split where it holds class folders beside a like ``test``, and a
class where it holds images beside ``plane``. What cannot be decided is refused with what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from trainer.core.errors import InputError
from trainer.core.text import natural_key
from trainer.data.listing import SIDECARS, ImageFile
from trainer.data.split import canonical_split, split_in_name, words_of_name

Folder = tuple[str, ...]  # path below the root; () is the root

_UNLABELLED = {"pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled"}
_OF_FIFTYONE = "_unlabeled"  # where its exporter puts samples without a label
_IMAGES = {"image", "images", "img", "imgs", "jpegimages"}
_MASKS = {
    *("mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "segmentations"),
    *("groundtruth", "ground_truth", "gt"),
}
SIDECAR_SHARE = 0.9  # of the images in folders of img2dataset that have text beside them
SAME_SHARE = 0.5  # of sub-folders that all folders must have in common to be called the same


class Place(NamedTuple):
    """What the folder of an image says of it."""

    split: str  # "" where the folder has no split folders
    label: str  # "" for none


@dataclass
class Layout:
    """How a folder is read."""

    places: dict[Folder, Place] = field(default_factory=dict)  # folders with images; others are passed over
    metadata: list[Folder] = field(default_factory=list)  # folders that may have metadata
    passed_over: list[Folder] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # the same for people
    problem: str = ""  # why the folders give no classes, with the cure; "" if they do
    sidecars: bool = False  # labels and captions are in text files beside the images (img2dataset)
    unlabelled: set[Folder] = field(default_factory=set)  # of the places those whose images have no label


def understand(
    images: Mapping[Folder, Sequence[ImageFile]],
    sidecars: Mapping[Folder, set[str]],
    name: str,
    *,
    unlabelled: str | None = None,
) -> Layout:
    """Decide how the folders of a data set are to be read.

    Folders called ``unlabelled``, at any depth, are set aside first, so the rest is read as if they were not
    there. Their images have the split that their path names, if labelled ones have it, too, else train.

    Args:
        images: folders that directly hold images.
        sidecars: names of the text files in a folder.
        name: of the data, for messages.
        unlabelled: name of the folders whose images have no label; None for none.

    Raises:
        InputError: split folders stand beside other folders; no folder is called ``unlabelled``, or every
            image is in one.
    """
    aside = set() if unlabelled is None else _without_label(images, unlabelled, name)
    layout, splits = _of_labelled({one: images[one] for one in images if one not in aside}, sidecars, name)
    copies = layout.passed_over
    layout.unlabelled = {
        folder for folder in aside if not any(folder[: len(copy)] == copy for copy in copies)
    }
    present = {place.split for place in layout.places.values()} - {""}
    for folder in layout.unlabelled:
        above = (splits.get(folder[:depth], "") for depth in range(len(folder)))
        named = (canonical_split(part) for part in folder if part != unlabelled)
        split = next((one for one in (*above, *named) if one in present), "train")
        layout.places[folder] = Place(split if present else "", "")
    return layout


def _without_label(images: Mapping[Folder, Sequence[ImageFile]], unlabelled: str, name: str) -> set[Folder]:
    """Return the folders with images that are called so or are within one.

    Raises:
        InputError: there are none, or no others.
    """
    found = {folder for folder in images if unlabelled in folder}
    name = name.rstrip("/") or name
    if not found:
        others = _some(sorted({part for folder in images for part in folder}, key=natural_key), most=5)
        raise InputError(
            f"--unlabelled {unlabelled!r}: {name} has no folder of that name with images in it. "
            + (
                f"Its folders: {others}. Pass the name of one, or leave it out."
                if others
                else "Leave it out."
            )
        )
    if len(found) == len(images):
        raise InputError(
            f"--unlabelled {unlabelled!r}: every image of {name} is in a folder of that name. Name the "
            "folder beside the class folders whose images have no label."
        )
    return found


def _of_labelled(
    images: Mapping[Folder, Sequence[ImageFile]], sidecars: Mapping[Folder, set[str]], name: str
) -> tuple[Layout, dict[Folder, str]]:
    """Return how the folders of a data set are to be read, and its split folders with their splits.

    Single folders around the class folders or the split folders are looked through. A copy of the data set
    inside itself and folders for images without a label are passed over, and noted.

    Raises:
        InputError: split folders stand beside other folders.
    """
    tree, layout, name = _Tree(images), Layout(), name.rstrip("/") or name
    top = tree.through(())
    _pass_over_copies(tree, top, layout, name)
    for folder in tree.children(top):
        if folder[-1] == _OF_FIFTYONE:
            _pass_over(tree, folder, layout, "images without a label")
    top = tree.through(top)
    folders = tree.children(top)
    if len(folders) > 1 and all(_holds_splits(tree, folder) for folder in folders):
        for inner in (inner for folder in folders for inner in tree.children(folder)):
            _place(tree, inner, Place(canonical_split(inner[-1]) or "", inner[-2]), layout)
        return layout, {}
    splits = _splits(tree, top, layout, name)
    roots = _roots(tree, splits) if splits else {top: ""}
    layout.metadata = sorted({folder[:n] for folder in (*roots, *splits) for n in range(len(folder) + 1)})
    layout.sidecars = all(_is_of_img2dataset(tree, root, sidecars) for root in roots)
    if not layout.sidecars:
        layout.problem = _problem(tree, roots, name)
    for root, split in roots.items():
        if root in images:
            layout.places[root] = Place(split, "")
        for folder in tree.children(root):
            _place(tree, folder, Place(split, "" if layout.sidecars else folder[-1]), layout)
    return layout, splits


class _Tree:
    """Folders with images at any depth."""

    def __init__(self, images: Mapping[Folder, Sequence[ImageFile]]) -> None:
        self.images = images
        self._children: dict[Folder, dict[Folder, None]] = {}
        for folder in sorted(images):
            for depth in range(len(folder)):
                self._children.setdefault(folder[:depth], {})[folder[: depth + 1]] = None

    def children(self, folder: Folder) -> list[Folder]:
        return list(self._children.get(folder, ()))

    def names(self, folder: Folder) -> set[str]:
        """Return the names of the sub-folders."""
        return {one[-1] for one in self._children.get(folder, ())}

    def is_flat(self, folder: Folder) -> bool:
        """Return whether all images of a folder are directly in it."""
        return folder not in self._children

    def remove(self, folder: Folder) -> None:
        self._children.get(folder[:-1], {}).pop(folder, None)
        if not self._children.get(folder[:-1]):
            self._children.pop(folder[:-1], None)

    def within(self, folder: Folder) -> Iterator[Folder]:
        """Yield the folder and those below it that directly hold images."""
        if folder in self.images:
            yield folder
        for child in self.children(folder):
            yield from self.within(child)

    def count(self, folder: Folder) -> int:
        """Return the number of images at any depth."""
        return sum(len(self.images[one]) for one in self.within(folder))

    def through(self, folder: Folder) -> Folder:
        """Look through single folders around several: return the first that is no mere wrapper."""
        while folder not in self.images and len(inside := self.children(folder)) == 1:
            only = inside[0]
            if only in self.images and not (self.is_flat(only) and canonical_split(only[-1])):
                break  # a class
            folder = only
        return folder


def _pass_over(tree: _Tree, folder: Folder, layout: Layout, what: str) -> None:
    layout.notes.append(f"Passed over: {'/'.join(folder)} ({tree.count(folder):,} {what}).")
    layout.passed_over.append(folder)
    tree.remove(folder)


def _place(tree: _Tree, folder: Folder, place: Place, layout: Layout) -> None:
    layout.places.update(dict.fromkeys(tree.within(folder), place))


# --- copies -----------------------------------------------------------------------------------


def _pass_over_copies(tree: _Tree, top: Folder, layout: Layout, name: str) -> None:
    """Pass over a folder that repeats its siblings, as some archives unpack to.

    Raises:
        InputError: it has their names, but other images.
    """
    for folder in tree.children(top):
        siblings, inside = tree.names(top) - {folder[-1]}, tree.names(folder)
        inner = folder
        if inside == {folder[-1]}:  # chest_xray/chest_xray/{train, test} beside {train, test}
            inner = (*folder, folder[-1])
            inside = tree.names(inner)
        same = inside & siblings
        if inner in tree.images or len(inside) < 2 or not (len(same) > 1 or same == siblings):
            continue
        _pass_over_copies(tree, inner, layout, name)
        outer = {one for child in same for one in _files(tree, (*top, child), len(top))}
        copies = set(_files(tree, inner, len(inner)))
        if copies <= outer:
            _pass_over(tree, folder, layout, "images, copies of those beside it")
        else:
            raise InputError(
                f"{name}: {'/'.join(folder)!r} holds folders that also stand beside it "
                f"({_sorted(same)}), with other images. Pass one of the two "
                f"({name}/{'/'.join(inner)}), or move {folder[-1]!r} out of this folder."
            )


def _files(tree: _Tree, folder: Folder, depth: int) -> Iterator[tuple[Folder, int]]:
    """Yield path below ``depth`` and size of all images."""
    for one in tree.within(folder):
        for image in tree.images[one]:
            yield image.parts[depth:], image.size


# --- splits -----------------------------------------------------------------------------------


def _splits(tree: _Tree, top: Folder, layout: Layout, name: str) -> dict[Folder, str]:
    """Return the split folders in ``top`` with their splits. Folders of images to predict are passed over.

    Raises:
        InputError: other folders, or images, stand beside the split folders.
    """
    folders = tree.children(top)
    groups: dict[tuple[str, ...], dict[Folder, str]] = {}
    for folder in folders:
        if named := split_in_name(folder[-1]):
            groups.setdefault(named.rest, {})[folder] = named.split
    likely = max(groups.values(), key=lambda group: len(set(group.values())), default={})
    if len(set(likely.values())) < 2:
        named_plainly = {one: split for one in folders if (split := canonical_split(one[-1])) is not None}
        likely = {one: split for one, split in named_plainly.items() if not tree.is_flat(one)}
    if not likely:
        return {}
    nested = [folder for folder in likely if not tree.is_flat(folder)]
    classes = {name for folder in likely for name in tree.names(folder)}
    others = [folder for folder in folders if folder not in likely]
    for folder in list(others):
        to_predict = (
            _UNLABELLED.intersection(words_of_name(folder[-1])) and len(list(tree.within(folder))) == 1
        )
        if nested and to_predict and not classes & tree.names(folder):
            _pass_over(tree, folder, layout, "images without a label")
            others.remove(folder)
    loose = [image.parts for image in tree.images.get(top, ())]
    plain = any(canonical_split(folder[-1]) for folder in likely)
    if others and not nested and not plain:
        return {}  # blood_test and drug_test beside others: classes
    if others or loose:
        raise InputError(
            f"{name} has the split folders {', '.join('/'.join(one) for one in likely)} and beside them "
            f"{'/'.join((others + loose)[0])!r}, which belongs to no split. Move it into one of them or out "
            f"of this folder; if {next(iter(likely))[-1]!r} is a class, rename its folder."
        )
    return likely


def _holds_splits(tree: _Tree, folder: Folder) -> bool:
    """Return whether a folder has nothing but split folders of images: cat/{train, test}."""
    inside = tree.children(folder)
    return (
        folder not in tree.images
        and len({canonical_split(one[-1]) for one in inside}) > 1
        and all(canonical_split(one[-1]) and tree.is_flat(one) for one in inside)
    )


def _roots(tree: _Tree, splits: Mapping[Folder, str]) -> dict[Folder, str]:
    """Return the folders in which the class folders are: seg_train/seg_train for seg_train."""
    roots = {}
    for folder, split in splits.items():
        inner = tree.through(folder)
        # the only class of a small split has the name of a class elsewhere
        classes = {name for other in splits if other != folder for name in tree.names(other)}
        shared = len(inner) > len(folder) and inner[len(folder)] in classes
        several = any(len(tree.names(other)) > 1 for other in splits if other != folder)
        roots[folder if shared and several else inner] = split
    return roots


# --- classes ----------------------------------------------------------------------------------


def _is_of_img2dataset(tree: _Tree, root: Folder, sidecars: Mapping[Folder, set[str]]) -> bool:
    """Return whether the folders are numbered shards of img2dataset: images with text of the same name.

    Numbers alone are classes (GTSRB has 00000 to 00042).
    """
    folders = [root] if root in tree.images else tree.children(root)
    if root in tree.images and not tree.is_flat(root):
        return False
    numbered = all(re.fullmatch(r"\d{4,}", one[-1]) and tree.is_flat(one) for one in folders if one != root)
    files = [(folder, image) for folder in folders if folder in tree.images for image in tree.images[folder]]
    if not files or not numbered:
        return False
    if folders == [root] and not all(image.path.stem.isdigit() for _, image in files):
        return False
    having = sum(
        any(image.path.stem + kind in sidecars.get(folder, ()) for kind in SIDECARS)
        for folder, image in files
    )
    return having >= SIDECAR_SHARE * len(files)


def _problem(tree: _Tree, roots: Mapping[Folder, str], name: str) -> str:
    """Return why the folders in ``roots`` are not to be taken for classes, with the cure; "" if they are."""
    split_problem = _split_problem(tree, roots, name)
    if split_problem:
        return split_problem
    for root in roots:
        folders = tree.children(root)
        plain = {_plain(folder[-1]) for folder in folders}
        if len(plain) > 1 and plain <= _IMAGES | _MASKS and plain & _IMAGES:
            return (
                f"{name}: {_named(folders)} look like images and their masks or annotations, not like "
                f"classes. Pass a folder with one sub-folder per class, or {_TABLE}."
            )
        if unlabelled := next((one for one in folders if _plain(one[-1]) in _UNLABELLED), None):
            return (
                f"{name}: {'/'.join(unlabelled)!r} would be a class, and its name says that its "
                f"{tree.count(unlabelled):,} images have none. If so, pass "
                f"--unlabelled {unlabelled[-1]}, or move it out of this folder and classify the images with "
                "predict; if it is a class, rename the folder."
            )
        if not any(roots.values()) and _are_classes_times_splits(folders):
            return (
                f"{name}: the names of {_named(folders)} hold a class and a split. Move them into split "
                "folders, such as train/cat and test/cat."
            )
        if same := _same_inside(tree, folders):
            return (
                f"{name}: {_named(folders)} hold the same folders, {_sorted(same)}, so either level may be "
                "the classes. If the inner level is: pass one of the outer folders "
                f"({name}/{'/'.join(folders[0])}) or merge them. If the outer level is: {_TABLE}."
            )
    return ""


def _split_problem(tree: _Tree, roots: Mapping[Folder, str], name: str) -> str:
    """Return which split has no class folders, or a single one that is no class of train."""
    classes = {root: tree.names(root) for root in roots}
    most = max(roots, key=lambda root: (roots[root] == "train", len(classes[root])))
    for root in roots:
        several = len(classes[root]) > 1  # other classes: people to verify who are not in train
        if root == most or several or classes[root] & classes[most] or not classes[most]:
            continue
        within = f"the folder {_sorted(classes[root])}" if classes[root] else "no folders"
        aside = f"--unlabelled {root[-1]}, or " if split_in_name(root[-1]) else ""  # a name that no class has
        return (
            f"{name}: {'/'.join(root)!r} holds {tree.count(root):,} images in {within}, but none of the "
            f"classes of {'/'.join(most)!r} ({_sorted(classes[most])}). If these images have no labels, pass "
            f"{aside}{name}/{'/'.join(most)} alone: validation and test rows are then drawn from it. If they "
            f"have, {_TABLE}."
        )
    if not classes[most] and len(roots) > 1:
        return (
            f"{name}: {_named(list(roots))} look like splits and hold no class folders. Put each image into "
            f"a folder of its class within them, or {_TABLE}; if these are the classes, rename the folders."
        )
    return ""


_TABLE = "add a metadata.csv (file_name, label)"


def _same_inside(tree: _Tree, folders: Sequence[Folder]) -> set[str]:
    """Return the sub-folders that all folders have in common, if they are most of them and several."""
    inside = [tree.names(tree.through(folder)) for folder in folders]
    if len(folders) < 2 or any(folder in tree.images for folder in folders):
        return set()
    same, all_names = set.intersection(*inside), set.union(*inside)
    return same if len(same) > 1 and len(same) >= SAME_SHARE * len(all_names) else set()


def _are_classes_times_splits(folders: Sequence[Folder]) -> bool:
    """Return whether every folder is called after a class and a split: cat_train, cat_test, dog_train …"""
    splits: dict[tuple[str, ...], set[str]] = {}
    for folder in folders:
        named = split_in_name(folder[-1])
        if named is None:
            return False
        splits.setdefault(named.rest, set()).add(named.split)
    return len(splits) > 1 and all(len(one) > 1 for one in splits.values())


def _plain(name: str) -> str:
    return name.strip("_-. ").lower()


def _named(folders: Sequence[Folder]) -> str:
    return _some(["/".join(folder) for folder in folders])


def _sorted(names: set[str]) -> str:
    return _some(sorted(names, key=natural_key))


def _some(names: Sequence[str], most: int = 3) -> str:
    """Name a few: 'a', 'b', 'c' and 7 more."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + rest
