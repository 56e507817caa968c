"""The project's one cache folder, `$UPT_CACHE` (default `~/.cache/upt`); with `UPT_CACHE=off` there is none.

All that is in it can be made again: few-shot lists, folder listings, weights' SHA-256, image features. Data folders are
never written to.
"""

import json
import os
import warnings
from pathlib import Path

from upt_clip.files import write_atomically

OFF = "off"
# File names that are not valid UTF-8 reach Python with surrogate escapes and must survive the round trip.
TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}


def switch_off() -> None:
    """From now on nothing is read from the cache or written to it, by this process and those that it starts."""
    os.environ["UPT_CACHE"] = OFF


def is_off() -> bool:
    return os.environ.get("UPT_CACHE") == OFF


def cache_dir() -> Path:
    """The cache folder; it need not exist yet, and means nothing if the cache is off."""
    return Path(os.environ.get("UPT_CACHE") or "~/.cache/upt").expanduser()


def read_json(path: Path):
    """What the file holds, or None if it is missing, unreadable or damaged: a cache can always be made again."""
    if is_off():
        return None
    try:
        return json.loads(path.read_text(**TEXT))
    except (OSError, ValueError, RecursionError):
        return None


def write_json(path: Path, value) -> bool:
    """Write the file in one step (a reader sees the old or the new one); False and a warning where that fails."""
    if is_off():
        return False
    text = json.dumps(value, ensure_ascii=False)
    try:
        write_atomically(path, lambda temporary: temporary.write_text(text, **TEXT))
    except OSError as error:
        warn_unwritable(path, error)
        return False
    return True


def warn_unwritable(path: Path, error: OSError) -> None:
    warnings.warn(f"cannot write the cache file {path} ({error}); set UPT_CACHE to a writable folder", stacklevel=3)
