"""Samplers by name."""

import random
from collections import defaultdict

from torch.utils.data import RandomSampler, Sampler, SequentialSampler

__all__ = ["RandomClassSampler", "RandomDomainSampler", "SeqDomainSampler", "build_sampler"]


class GroupSampler(Sampler):
    """Yields batches of `n_ins` items from each of `n_groups` groups, until fewer groups are left.

    Items of a group are used once an epoch. With `fill`, a group smaller than `n_ins` is filled up with repeats.
    """

    attribute = "label"
    shuffle = True
    fill = False

    def __init__(self, data_source, batch_size: int, n_groups: int, n_ins: int):
        self.groups = defaultdict(list)
        for index, item in enumerate(data_source):
            self.groups[getattr(item, self.attribute)].append(index)
        self.n_groups, self.n_ins = n_groups or len(self.groups), n_ins or batch_size // (n_groups or len(self.groups))
        if not 0 < self.n_groups <= len(self.groups) or self.n_ins < 1:
            raise ValueError(
                f"A batch of {batch_size} cannot hold {self.n_ins} items of {self.n_groups} {self.attribute}s: "
                f"the data has {len(self.groups)}"
            )
        self.length = sum(1 for _ in self)

    def _pool(self, indices):
        pool = list(indices)
        if self.fill and len(pool) < self.n_ins:
            pool = random.choices(pool, k=self.n_ins)
        if self.shuffle:
            random.shuffle(pool)
        return pool

    def __iter__(self):
        pools = {key: self._pool(indices) for key, indices in self.groups.items()}
        while True:
            ready = [key for key, pool in pools.items() if len(pool) >= self.n_ins]
            if len(ready) < self.n_groups:
                return
            for key in random.sample(ready, self.n_groups) if self.shuffle else ready[: self.n_groups]:
                yield from pools[key][: self.n_ins]
                pools[key] = pools[key][self.n_ins :]

    def __len__(self):
        return self.length


class RandomClassSampler(GroupSampler):
    """`batch_size // n_ins` random classes a batch, `n_ins` items of each."""

    fill = True


class RandomDomainSampler(GroupSampler):
    """`n_domain` random domains a batch (0: all), in equal parts."""

    attribute = "domain"


class SeqDomainSampler(GroupSampler):
    """All domains in each batch, in equal parts and in the order of the data."""

    attribute = "domain"
    shuffle = False


def build_sampler(sampler_type, cfg=None, data_source=None, batch_size=32, n_domain=0, n_ins=16):
    """Return a torch sampler over the list of `Datum` `data_source`."""
    if sampler_type == "RandomSampler":
        return RandomSampler(data_source)
    if sampler_type == "SequentialSampler":
        return SequentialSampler(data_source)
    if sampler_type == "RandomDomainSampler":
        return RandomDomainSampler(data_source, batch_size, n_domain, 0)
    if sampler_type == "SeqDomainSampler":
        return SeqDomainSampler(data_source, batch_size, 0, 0)
    if sampler_type == "RandomClassSampler":
        return RandomClassSampler(data_source, batch_size, batch_size // n_ins, n_ins)
    raise ValueError(f"Unknown sampler type: {sampler_type}")
