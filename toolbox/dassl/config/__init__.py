"""The default configuration tree."""

from yacs.config import CfgNode

from .defaults import DEFAULTS

__all__ = ["clean_cfg", "get_cfg_default"]


def get_cfg_default() -> CfgNode:
    """Return a fresh, unfrozen yacs node with every default."""
    return CfgNode(DEFAULTS)


def clean_cfg(cfg: CfgNode, trainer: str) -> None:
    """Remove in place the config nodes of all trainers but `trainer`, for a shorter print-out."""
    keep = {"NAME", trainer.upper()}
    for key in [key for key in cfg.TRAINER if key not in keep]:
        del cfg.TRAINER[key]
