"""JSON files below `$UPT_CACHE` (default `~/.cache/upt`); data folders are never written to."""

import json
import os
import tempfile
import warnings
from pathlib import Path

# File names that are not valid UTF-8 reach Python with surrogate escapes and must survive the round trip.
TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}


def cache_dir() -> Path:
    """The cache folder; it need not exist yet."""
    return Path(os.environ.get("UPT_CACHE") or "~/.cache/upt").expanduser()


def read_json(path: Path):
    """What the file holds, or None if it is missing, unreadable or damaged: a cache can always be made again."""
    try:
        return json.loads(path.read_text(**TEXT))
    except (OSError, ValueError, RecursionError):
        return None


def write_json(path: Path, value) -> bool:
    """Write the file in one step (a reader sees the old or the new one); False and a warning where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        warnings.warn(f"cannot write the cache file {path} ({error}); set UPT_CACHE to a writable folder", stacklevel=2)
        return False
    try:
        with os.fdopen(handle, "w", **TEXT) as file:
            json.dump(value, file, ensure_ascii=False)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        warnings.warn(f"cannot write the cache file {path} ({error}); set UPT_CACHE to a writable folder", stacklevel=2)
        return False
    return True
