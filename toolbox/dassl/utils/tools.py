"""Files, seeds and names."""

import json
import os
import random
import sys
import urllib.request
import warnings
from difflib import SequenceMatcher

import numpy as np
import PIL
import torch
from PIL import Image

__all__ = [
    "check_availability", "check_isfile", "collect_env_info", "download_url", "get_most_similar_str_to_a_from_b",
    "listdir_nohidden", "mkdir_if_missing", "read_image", "read_json", "set_random_seed", "tolist_if_not", "write_json",
]  # fmt: skip


def mkdir_if_missing(dirname: str) -> None:
    """Make the folder and its parents."""
    os.makedirs(dirname, exist_ok=True)


def check_isfile(fpath: str) -> bool:
    """Return whether the file exists; warn if not."""
    found = os.path.isfile(fpath)
    if not found:
        warnings.warn(f'No file found at "{fpath}"', stacklevel=2)
    return found


def listdir_nohidden(path: str, sort: bool = False) -> list[str]:
    """Return the entries of a folder that do not start with a dot; in the file system's order unless `sort`."""
    names = [name for name in os.listdir(path) if not name.startswith(".")]
    return sorted(names) if sort else names


def read_json(fpath: str):
    """Return the content of a JSON file."""
    with open(fpath, encoding="utf-8") as f:
        return json.load(f)


def write_json(obj, fpath: str) -> None:
    """Write a JSON file with indent 4; its folder is made if needed."""
    mkdir_if_missing(os.path.dirname(os.path.abspath(fpath)))
    with open(fpath, "w", encoding="utf-8") as f:
        json.dump(obj, f, indent=4, separators=(",", ": "))


def read_image(path: str) -> Image.Image:
    """Return the picture as an RGB PIL image."""
    with Image.open(path) as image:
        return image.convert("RGB")


def set_random_seed(seed: int) -> None:
    """Seed Python's, numpy's and torch's generators (CPU and all CUDA devices)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)


def collect_env_info() -> str:
    """Return torch's description of the machine plus Pillow's version."""
    from torch.utils.collect_env import get_pretty_env_info

    return f"{get_pretty_env_info()}\n        Pillow ({PIL.__version__})"


def tolist_if_not(x) -> list:
    """Return a list as it is, anything else as the only element of a list."""
    return x if isinstance(x, list) else [x]


def get_most_similar_str_to_a_from_b(a: str, b: list[str]) -> str | None:
    """Return the string of `b` that is most like `a` (the last one on ties), or None if `b` is empty."""
    return max(reversed(b), key=lambda candidate: SequenceMatcher(None, a, candidate).ratio(), default=None)


def check_availability(requested: str, available: list[str]) -> None:
    """Raise a ValueError that lists the choices and the most similar one, unless `requested` is available."""
    if requested not in available:
        guess = get_most_similar_str_to_a_from_b(requested, available)
        raise ValueError(
            f"The requested one is expected to belong to {available}, but got [{requested}] (do you mean [{guess}]?)"
        )


def download_url(url: str, dst: str) -> None:
    """Download an http(s) address to the file `dst`, with the progress on standard output."""
    if not url.startswith(("https://", "http://")):
        raise ValueError(f'Cannot download "{url}": the address must start with https:// or http://')

    def show(blocks, block_size, total):
        done = blocks * block_size
        percent = f" ({min(100, 100 * done // total)}%)" if total > 0 else ""
        sys.stdout.write(f"\r{dst}: {done / 1e6:.1f} MB{percent}")

    partial = f"{dst}.part"
    urllib.request.urlretrieve(url, partial, show)
    os.replace(partial, dst)
    sys.stdout.write("\n")
