"""Trainers by name."""

from dassl.utils import Registry

__all__ = ["TRAINER_REGISTRY", "build_trainer"]

TRAINER_REGISTRY = Registry("TRAINER")


def build_trainer(cfg):
    """Return a new trainer of the class that `cfg.TRAINER.NAME` names."""
    return TRAINER_REGISTRY.build(cfg.TRAINER.NAME, cfg)
