"""Datasets by name."""

from dassl.utils import Registry

__all__ = ["DATASET_REGISTRY", "build_dataset"]

DATASET_REGISTRY = Registry("DATASET")


def build_dataset(cfg):
    """Return a new dataset of the class that `cfg.DATASET.NAME` names."""
    return DATASET_REGISTRY.build(cfg.DATASET.NAME, cfg)
