"""Data loaders that keep their workers and pictures over the epochs, and give the batches that new ones would give.

A stock loader starts its worker processes in every epoch and seeds them from PyTorch's global generator. Here they live
on and are seeded anew in every epoch with the same numbers: the batches stay what they were, bit for bit, and since
nothing but the global generator decides about them, a run that is resumed gets those of a run that went through.
"""

import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info
from torch.utils.data._utils.worker import _generate_state  # numpy's seed of a worker process

from upt_clip import distributed

from .kept_pictures import KeptPictures

NATIVE = -1  # a worker's first epoch, for which PyTorch has seeded it


class LastingItems(Dataset):
    """A data set's items; a worker process seeds itself anew when an epoch begins. `kept` pictures are not read."""

    def __init__(self, items, n_workers: int, kept: KeptPictures | None):
        self.items, self.kept = items, kept
        self.data_source, self.transform = items.data_source, items.transform
        self.epoch_seed = torch.tensor(NATIVE)
        if n_workers:
            self.epoch_seed.share_memory_()
        self._seeded_with = NATIVE

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict:
        if (worker := get_worker_info()) and (seed := int(self.epoch_seed)) != self._seeded_with:
            _seed_worker(seed, worker.id)
            self._seeded_with = seed
        item = self.kept[index] if self.kept else None
        return self.items[index] if item is None else item


class LastingLoader(DataLoader):
    """A stock loader's batches from processes that live on; with `keep_mb`, pictures stay in memory if they fit."""

    def __init__(self, stock: DataLoader, keep_mb: int = 0, sampler: Iterable[int] | None = None):
        n = stock.num_workers
        kept = KeptPictures(stock.dataset, n, keep_mb) if keep_mb and KeptPictures.can_serve(stock.dataset) else None
        as_stock = ("batch_size", "num_workers", "collate_fn", "pin_memory", "drop_last")
        options: dict[str, Any] = {name: getattr(stock, name) for name in as_stock}
        options |= {"sampler": sampler or stock.sampler, "persistent_workers": n > 0}
        super().__init__(LastingItems(stock.dataset, n, kept), **options)

    def __iter__(self):
        if self.dataset.kept:
            self.dataset.kept.load()  # before the processes start, which then share them
        if self.num_workers and self._iterator is not None:
            self.dataset.epoch_seed.copy_(draw_seed())
        return super().__iter__()


def draw_seed() -> torch.Tensor:
    """What a stock loader draws from the global generator when it begins an epoch: the seed of its workers."""
    return torch.empty((), dtype=torch.int64).random_()


def _seed_worker(base_seed: int, worker_id: int) -> None:
    """Seeds this process as PyTorch seeds a new worker."""
    random.seed(base_seed + worker_id)
    torch.manual_seed(base_seed + worker_id)
    np.random.seed(_generate_state(base_seed, worker_id))


def lasting(trainer) -> None:
    """Gives a trainer lasting loaders in the place of those that Dassl built."""
    keep_mb = trainer.cfg.DATALOADER.KEEP_MB
    for name, mb in (("train_loader_x", keep_mb), ("val_loader", keep_mb), ("test_loader", 0)):
        if stock := getattr(trainer, name):
            sampler = stock.sampler if name == "train_loader_x" else distributed.test_sampler(stock)
            loader = LastingLoader(stock, mb, sampler)
            setattr(trainer, name, loader)
            setattr(trainer.dm, name, loader)
