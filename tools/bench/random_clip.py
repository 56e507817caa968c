"""CLIP with random weights in the sizes of OpenAI's ViTs, and class names for it: for timing, nothing is downloaded."""

from pathlib import Path

import torch
from clip.model import CLIP

from upt_clip.trainers.core.clip.loader import encode, load_clip, token_text

VITS = {  # embedding; image side, layers, width, patch; words, vocabulary, text width, heads, layers
    "ViT-B/32": (512, 224, 12, 768, 32, 77, 49408, 512, 8, 12),
    "ViT-B/16": (512, 224, 12, 768, 16, 77, 49408, 512, 8, 12),
    "ViT-L/14": (768, 224, 24, 1024, 14, 77, 49408, 768, 12, 12),
    "ViT-L/14@336px": (768, 336, 24, 1024, 14, 77, 49408, 768, 12, 12),
}
FIRST_WORD = 1000  # of the vocabulary: the pieces before it are mostly letters and syllables


def checkpoint(backbone: str, folder: Path) -> str:
    """`backbone` itself if it is pocket or a file; for a name in `VITS` the path of random weights made in `folder`."""
    if backbone not in VITS:
        return backbone
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = CLIP(*VITS[backbone]).half().state_dict()
    path = Path(folder) / f"{backbone.replace('/', '-')}.pt"
    torch.save(weights, path)
    return str(path)


def image_side(backbone: str) -> int:
    """Pixels of the square images that a backbone takes."""
    return VITS[backbone][1] if backbone in VITS else load_clip(backbone).visual.input_resolution


def class_names(n: int) -> list[str]:
    """`n` different names of one, two and three words in turn, each word one token of CLIP's."""
    names: list[str] = []
    words = _words()
    while len(names) < n:
        names.append(" ".join(next(words) for _ in range(len(names) % 3 + 1)))
    return names


def _words():
    for token in range(FIRST_WORD, 49406):
        text = token_text(token)
        if text.isalpha() and text.isascii() and encode(text) == [token]:
            yield text
