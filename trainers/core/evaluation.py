"""The logits of a loader's pictures, by the cheapest exact way; the processes of a run share the work.

Shape letters: B batch, C classes.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, SequentialSampler
from tqdm import tqdm

from . import distributed
from .feature_cache import image_features

Scored = tuple[Tensor, Tensor, list[str]]  # logits (B, C), labels (B,), picture paths


@torch.no_grad()
def scores(trainer, loader: DataLoader, split: str) -> Iterator[Scored]:
    """Logits, labels and paths of all pictures, batch by batch, on the trainer's device.

    Where the image tower has no prompts, its features are taken from the cache and no picture is read.
    """
    in_order = isinstance(loader.sampler, (SequentialSampler, distributed.Part))
    own = (_from_features if trainer.features_are_plain and in_order else _from_pictures)(trainer, loader, split)
    yield from own if distributed.world() == 1 else _of_all_processes(own, trainer, loader)


def _from_pictures(trainer, loader: DataLoader, split: str) -> Iterator[Scored]:
    for batch in tqdm(loader, desc=split, leave=False, disable=not distributed.is_first()):
        images, labels = trainer.parse_batch_test(batch)
        yield trainer.model_inference(images), labels, batch["impath"]


def _from_features(trainer, loader: DataLoader, split: str) -> Iterator[Scored]:
    features = image_features(trainer, loader, split)
    for indices in torch.tensor(list(loader.sampler)).split(loader.batch_size):
        logits = trainer.classify(features[indices].to(trainer.device))
        yield logits, *_labels_and_paths(trainer, loader, indices.tolist())


def _of_all_processes(own: Iterator[Scored], trainer, loader: DataLoader) -> Iterator[Scored]:
    """Every picture once, in the order of the list, in every process."""
    n = len(loader.dataset)
    logits = distributed.gather(torch.cat([logits for logits, _, _ in own]), n)
    for indices in torch.arange(n).split(loader.batch_size):
        yield logits[indices[0] : indices[-1] + 1], *_labels_and_paths(trainer, loader, indices.tolist())


def _labels_and_paths(trainer, loader: DataLoader, indices: list[int]) -> tuple[Tensor, list[str]]:
    pictures = [loader.dataset.data_source[i] for i in indices]
    labels = torch.tensor([picture.label for picture in pictures], device=trainer.device)
    return labels, [picture.impath for picture in pictures]
