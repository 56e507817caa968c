"""The logits of a loader's pictures, by the cheapest exact way.

Shape letters: B batch, C classes.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, SequentialSampler
from tqdm import tqdm

from .feature_cache import image_features

Scored = tuple[Tensor, Tensor, list[str]]  # logits (B, C), labels (B,), picture paths


@torch.no_grad()
def scores(trainer, loader: DataLoader, split: str) -> Iterator[Scored]:
    """Logits, labels and paths of all pictures, batch by batch, on the trainer's device.

    Where the image tower has no prompts, its features are taken from the cache and no picture is read.
    """
    if trainer.features_are_plain and isinstance(loader.sampler, SequentialSampler):
        yield from _from_features(trainer, loader, split)
    else:
        for batch in tqdm(loader, desc=split, leave=False):
            images, labels = trainer.parse_batch_test(batch)
            yield trainer.model_inference(images), labels, batch["impath"]


def _from_features(trainer, loader: DataLoader, split: str) -> Iterator[Scored]:
    features = image_features(trainer, loader, split)
    pictures, size = loader.dataset.data_source, loader.batch_size
    for start in range(0, len(pictures), size):
        part = pictures[start : start + size]
        labels = torch.tensor([picture.label for picture in part], device=trainer.device)
        logits = trainer.classify(features[start : start + size].to(trainer.device))
        yield logits, labels, [picture.impath for picture in part]
