"""A split: what is train, val and test; and CoOp's split files that hold it."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from upt_clip.cache import TEXT

# Not absolute, no drive letter, no backslash.
_RELATIVE = re.compile(r"(?![A-Za-z]:)[^/\\\0][^\\\0]*")


class Item(NamedTuple):
    """One picture: its path below the image folder with `/`, its label 0.., and its class name."""

    path: str
    label: int
    name: str


class Split(NamedTuple):
    """Three lists of `Item`; `val` may be empty, and test-only sets have no `train`."""

    train: list
    val: list
    test: list


def fingerprint(*lists: list) -> str:
    """SHA-256 (hex) over the lines `path<TAB>label<TAB>class name` of the lists, one after the other."""
    digest = hashlib.sha256()
    for items in lists:
        digest.update("".join(f"{path}\t{label}\t{name}\n" for path, label, name in items).encode(**TEXT))
    return digest.hexdigest()


def read_split(path: Path) -> Split:
    """Read CoOp's split JSON: `train`, `val`, `test`, each a list of `[relative path, label, class name]`.

    `val` and `train` may be missing. Raises a one-line ValueError that names the file and the entry.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a JSON file ({error}); download it again") from None
    if not isinstance(content, dict) or not isinstance(content.get("test"), list):
        raise ValueError(f"{path} must hold an object with the lists train, val and test")
    lists = []
    for part in Split._fields:
        entries = content.get(part) or []
        if not isinstance(entries, list):
            raise ValueError(f"{path}: {part} must be a list, not {type(entries).__name__}")
        lists.append([_item(entry, f"{path}: {part}[{i}]") for i, entry in enumerate(entries)])
    split = Split(*lists)
    check_labels(split, path)
    check_names(split, path)
    return split


def _unique(pairs: list[tuple[str, object]]) -> dict:
    """A JSON object; ValueError for a key that stands twice, of which the last would be taken."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"a key of {', '.join(dict(pairs))[:100]} stands twice")
    return dict(pairs)


def _item(entry, where: str) -> Item:
    if not isinstance(entry, list) or len(entry) != 3:
        raise ValueError(f"{where} must be [path, label, class name], not {entry!r}")
    path, label, name = entry
    if not isinstance(path, str) or not isinstance(name, str) or not name.strip():
        raise ValueError(f"{where}: path and class name must be non-empty texts, not {path!r} and {name!r}")
    if type(label) is not int or label < 0:  # a bool is an int to isinstance
        raise ValueError(f"{where}: the label must be a whole number from 0, not {label!r}")
    if not _RELATIVE.fullmatch(path) or ".." in path.split("/"):
        raise ValueError(f"{where}: {path!r} must be relative to the image folder, with forward slashes, without '..'")
    try:
        path.encode(**TEXT)
    except UnicodeEncodeError:
        raise ValueError(f"{where}: {path!r} cannot be the name of a file") from None
    return Item(path, label, name)


def check_labels(split: Split, where):
    """Raise ValueError unless the labels are 0..n-1 without a gap, two or more, each with one name that can be read."""
    names: dict[int, str] = {}
    for item in (item for part in split for item in part):
        if names.setdefault(item.label, item.name) != item.name:
            raise ValueError(f"{where}: label {item.label} has two names, {names[item.label]!r} and {item.name!r}")
    for name in names.values():
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{where}: the class name {name!r} is no UTF-8 text: rename it") from None
    source = "train" if split.train else "test"
    used = {item.label for item in getattr(split, source)}
    if not split.test:
        raise ValueError(f"{where}: the test list is empty")
    if used != set(range(len(used))):
        gap = next(label for label in range(len(used) + 1) if label not in used)
        raise ValueError(f"{where}: the labels of {source} must run from 0 without a gap, but {gap} is missing")
    if len(used) < 2:
        raise ValueError(f"{where}: there is one class alone, {names[0]!r}; two or more are needed to tell them apart")
    if set(names) != used:
        raise ValueError(f"{where}: labels without a {source} picture: {sorted(set(names) - used)[:5]}")


def shared_pictures(split: Split) -> list[str]:
    """Paths that stand in more than one of train, val and test."""
    places = Counter(path for part in split for path in {item.path for item in part})
    return [path for path, count in places.items() if count > 1]


def check_names(split: Split, where):
    """Raise ValueError where two labels share a class name: they would share their prompt, too."""
    names = {item.label: item.name for part in split for item in part}
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise ValueError(f"{where}: two labels have the same class name {twice[0]!r}")
