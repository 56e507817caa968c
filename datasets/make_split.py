"""New splits by CoOp's rules, for `DATASET.MAKE_SPLIT`. They are not the published splits, only made the same way.

Names are sorted and a private generator with a fixed seed draws, so the same files give the same split everywhere.
"""

import random
from pathlib import Path

from .split import Item, Split
from .tree import list_folders, list_images

SPLIT_SEED = 0


def split_folders(folder: Path, ignored=(), renamed=None) -> Split:
    """Split `<folder>/<class>/<picture>`; labels are ranks of the sorted folders; `renamed` changes names only."""
    by_label = {}
    for label, folder_name in enumerate(name for name in list_folders(folder) if name not in ignored):
        name = (renamed or {}).get(folder_name, folder_name)
        files = list_images(folder / folder_name)
        by_label[label] = [Item(f"{folder_name}/{file}", label, name) for file in files]
    return split_50_20_30(by_label)


def split_50_20_30(by_label: dict[int, list[Item]]) -> Split:
    """Per class 50 % train, 20 % val, 30 % test. ValueError for a class that is too small to be in all three."""
    print("Splitting into 50% train, 20% val, and 30% test")
    rng = random.Random(SPLIT_SEED)
    split = Split([], [], [])
    for label, items in by_label.items():
        train, val = round(len(items) * 0.5), round(len(items) * 0.2)
        if not 0 < train < train + val < len(items):
            name = items[0].name if items else f"number {label}"
            raise ValueError(f"class {name!r} has {len(items)} pictures; a 50/20/30 split needs 4 or more")
        items = rng.sample(items, len(items))
        split.train.extend(items[:train])
        split.val.extend(items[train : train + val])
        split.test.extend(items[train + val :])
    return split


def split_trainval(trainval: list[Item], test: list[Item]) -> Split:
    """Per class 80 % of `trainval` for train and 20 % for val; `test` stays as it is. ValueError for tiny classes."""
    print("Splitting trainval into 80% train and 20% val")
    rng = random.Random(SPLIT_SEED)
    split = Split([], [], test)
    for items in group_by_label(trainval).values():
        val = round(len(items) * 0.2)
        if val < 1:
            raise ValueError(f"class {items[0].name!r} has {len(items)} pictures; an 80/20 split needs 3 or more")
        items = rng.sample(items, len(items))
        split.val.extend(items[:val])
        split.train.extend(items[val:])
    return split


def group_by_label(items: list[Item]) -> dict[int, list[Item]]:
    """Label -> its items; labels in order of first appearance, items in their order."""
    groups: dict[int, list[Item]] = {}
    for item in items:
        groups.setdefault(item.label, []).append(item)
    return groups
