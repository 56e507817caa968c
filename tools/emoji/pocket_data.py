"""What pocket learns from: pictures by artists outside the bench, and captions without the bench's class names."""

import math
import random
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from upt_clip.tools.emoji.classes import CLASSES, is_variant
from upt_clip.tools.emoji.packs import TRAINING_ARTISTS, concepts, pictures

TEMPLATES = ("an emoji of a {}.", "a photo of a {}.", "a {}.", "{}")
NAME_SHARE = 0.75  # the other captions are CLDR keywords
FAMILY = 30  # subgroup of families, couples: dozens of look-alikes
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


def caption_words(name: str, keywords: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the names and the keywords that may caption a concept: none of them is a class name of the bench."""
    names = [w for w in (name.lower(),) if w not in CLASSES]
    words = [w.lower() for w in keywords if w.lower() not in CLASSES]
    return names or words, words or names


def draw_caption(names: list[str], keywords: list[str], rng: random.Random) -> str:
    """Return one caption: a name or a keyword in one of the templates."""
    words = names if rng.random() < NAME_SHARE else keywords
    return rng.choice(TEMPLATES).format(rng.choice(words))


def all_captions(words: list[tuple[list[str], list[str]]]) -> list[str]:
    """Return every text that training can show, sorted."""
    return sorted({t.format(w) for names, keywords in words for w in (*names, *keywords) for t in TEMPLATES})


def training_words(work: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Return code -> (names, keywords) of the concepts that pocket is trained on."""
    chosen = [c for c in concepts(work) if not is_variant(c.code) and c.subgroup != FAMILY]
    return {c.code: caption_words(c.name, c.keywords) for c in chosen}


def training_pictures(work: Path, codes: set[str]) -> tuple[torch.Tensor, list[str], dict[str, int]]:
    """Return pictures `(N, 3, 64, 64)` uint8, the code of each, and how many each artist gave."""
    stack, owners, counts = [], [], {}
    for artist in TRAINING_ARTISTS:
        found = pictures(work, artist, codes)
        counts[artist] = len(found)
        stack += [found[code] for code in sorted(found)]
        owners += sorted(found)
    return torch.from_numpy(np.stack(stack)).permute(0, 3, 1, 2).contiguous(), owners, counts


def augment(batch: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Return normalised `(B, 3, size, size)` fp32 from uint8 pictures: random affine map on white, colour jitter."""
    n = len(batch)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand(n, *shape, generator=generator) * (high - low) + low

    angle, scale = uniform(-math.pi / 10, math.pi / 10), uniform(0.8, 1.35)
    stretch, flip = uniform(0.87, 1.15), torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [torch.stack([cos * flip * stretch, -sin, uniform(-0.15, 0.15)], 1)]
    rows.append(torch.stack([sin * flip * stretch, cos, uniform(-0.15, 0.15)], 1))
    grid = F.affine_grid(torch.stack(rows, 1), [n, 3, size, size], align_corners=False)
    # Sampled as ink (white = 0), so that what the map brings in from outside is white.
    ink = F.grid_sample(1 - batch.float() / 255, grid, align_corners=False)
    x = 1 - ink
    grey = x.mean(1, keepdim=True)
    keep = torch.where(uniform(0, 1, 1, 1, 1) < 0.15, torch.zeros(1), uniform(0.5, 1.5, 1, 1, 1))
    x = grey + (x - grey) * keep
    x = 1 - (1 - x) * uniform(0.6, 1.1, 1, 1, 1) * uniform(0.8, 1.1, 3, 1, 1)
    return (x.clamp(0, 1) - MEAN) / STD
