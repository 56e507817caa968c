"""A short way to build a dataset from options of the DATASET node."""

from pathlib import Path

import pytest

from upt_clip import datasets  # before dassl: it makes Dassl.pytorch importable

# isort: split
from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY


@pytest.fixture
def make_cfg():
    """A function: make_cfg(root, seed=1, NUM_SHOTS=2, ...) -> a frozen config with those DATASET options."""

    def make(root="", seed=1, **options):
        cfg = get_cfg_default()
        datasets.extend_cfg(cfg)
        cfg.SEED = seed
        cfg.DATASET.ROOT = str(root)
        for key, value in options.items():
            cfg.DATASET[key] = value
        cfg.freeze()
        return cfg

    return make


@pytest.fixture
def build(make_cfg):
    """A function: build("OxfordPets", root, seed=1, NUM_SHOTS=2, ...) -> the dataset."""
    return lambda name, root="", seed=1, **options: DATASET_REGISTRY.get(name)(make_cfg(root, seed, **options))


@pytest.fixture
def rows():
    """A function: rows(list of Datum, folder) -> [(path below the folder, label, class name)]."""
    return lambda items, folder: [(Path(i.impath).relative_to(folder).as_posix(), i.label, i.classname) for i in items]
