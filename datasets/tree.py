"""Folders of pictures: listing them without a stat per file, and finding what a split names but the disk lacks."""

import hashlib
import os
from pathlib import Path

from upt_clip.cache import TEXT, cache_dir, read_json, write_json

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def list_images(folder: Path) -> list[str]:
    """Names of the pictures directly in the folder, sorted; hidden files and other kinds of files are left out."""
    shown = (name for name in os.listdir(folder) if not name.startswith("."))
    return sorted(name for name in shown if name.lower().endswith(IMAGE_SUFFIXES))


def list_folders(folder: Path) -> list[str]:
    """Names of the folders directly in the folder, sorted, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())


def index_images(folder: Path) -> dict[str, list[str]]:
    """Class folder -> its sorted picture names, kept in the cache while no class folder changes.

    A folder's time stamp changes when a file comes or goes, so one stat per class folder tells whether the index holds.
    """
    classes = list_folders(folder)
    state = "\n".join([str(folder), *(f"{name} {os.stat(folder / name).st_mtime_ns}" for name in classes)])
    path = cache_dir() / "index" / f"{folder.name}-{hashlib.sha256(state.encode(**TEXT)).hexdigest()[:16]}.json"
    index = read_json(path)
    if not isinstance(index, dict) or list(index) != classes:
        index = {name: list_images(folder / name) for name in classes}
        write_json(path, index)
    return index


def missing_images(folder: Path, paths) -> list[str]:
    """Those of the `/`-separated relative paths that are not there, found by listing each folder once."""
    by_parent: dict[str, list[str]] = {}
    for path in paths:
        by_parent.setdefault(path.rpartition("/")[0], []).append(path)
    missing = []
    for parent, inside in by_parent.items():
        try:
            present = set(os.listdir(folder / parent))
        except (FileNotFoundError, NotADirectoryError):
            missing += inside
            continue
        # A second look at what seems missing: some file systems ignore case or normalise Unicode.
        absent = (path for path in inside if path.rpartition("/")[2] not in present)
        missing += [path for path in absent if not (folder / path).exists()]
    return missing
