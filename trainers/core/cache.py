"""Small things that are computed once: JSON files below `$UPT_CACHE` (default `~/.cache/upt`)."""

import contextlib
import json
import os
from pathlib import Path

from .run_dir import write_json


def cache_dir() -> Path:
    """The cache folder; it need not exist yet."""
    return Path(os.environ.get("UPT_CACHE") or "~/.cache/upt").expanduser()


def read(name: str) -> dict:
    """The content of a cache file, e.g. "weights/x.json"; empty if it is missing or damaged: it can be made again."""
    try:
        content = json.loads((cache_dir() / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write(name: str, content: dict) -> None:
    """Writes a cache file in one step; where that is impossible it is computed anew next time."""
    with contextlib.suppress(OSError):
        write_json(content, cache_dir() / name)
