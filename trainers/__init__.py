"""Prompt-learning methods as Dassl trainers; importing this package registers them.

A new method is one file here, one line below and one YAML (docs/ADD_A_TRAINER.md).
"""

if __name__ != "upt_clip.trainers":
    raise ImportError("import it as upt_clip.trainers: under a second name all of it would be loaded twice")

from yacs.config import CfgNode

from .cocoop import CoCoOp
from .coop import CoOp
from .core.predictor import Predictor, load
from .linear_probe import LinearProbe
from .upt import UPT
from .vpt import VPT
from .zsclip import ZeroshotCLIP

__all__ = ["METHODS", "CoCoOp", "CoOp", "LinearProbe", "Predictor", "UPT", "VPT", "ZeroshotCLIP", "extend_cfg", "load"]

METHODS = (ZeroshotCLIP, LinearProbe, CoOp, CoCoOp, VPT, UPT)


def extend_cfg(cfg: CfgNode) -> None:
    """Adds the trainers' keys, in place: each method's node `cfg.TRAINER.<NAME>` with its defaults, and one for all."""
    cfg.DATALOADER.KEEP_MB = 2000  # memory for decoded pictures of the train list, and as much for val; 0: none kept
    cfg.TRAINER.TEXT_CHUNK = 0  # classes that the text tower takes at a time; 0: as many as memory allows
    cfg.TRAINER.CHECKPOINT = "auto"  # activations made anew in backward: auto (if memory is short), always, never
    cfg.TRAINER.ACCUMULATE = 1  # parts that a training batch is taken in; its gradient stays the whole batch's
    cfg.TRAIN.COMPILE = False  # the towers through torch.compile
    for method in METHODS:
        cfg.TRAINER[method.__name__.upper()] = CfgNode(dict(method.DEFAULTS))
