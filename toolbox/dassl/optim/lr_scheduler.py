"""Learning rates as a closed form of the epoch."""

import math
from bisect import bisect_right

__all__ = ["EpochScheduler", "build_lr_scheduler"]

NAMES = ["single_step", "multi_step", "cosine"]
WARMUP_TYPES = ["linear", "constant"]


class EpochScheduler:
    """Sets the learning rate of every parameter group to `rate(epoch, base_lr)`; `step()` once per epoch.

    Its state is plain numbers, and loading it acts on the optimizer it was made with.
    """

    def __init__(self, optimizer, rate):
        self.optimizer = optimizer
        self.rate = rate
        self.base_lrs = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
        self.last_epoch = 0
        self._apply()

    def _apply(self):
        for group, lr in zip(self.optimizer.param_groups, self.get_last_lr(), strict=True):
            group["lr"] = lr

    def get_last_lr(self) -> list[float]:
        """Return the current rate of each parameter group."""
        return [self.rate(self.last_epoch, base) for base in self.base_lrs]

    def step(self) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        self._apply()

    def state_dict(self) -> dict:
        """Return the epoch and the base rates."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: dict) -> None:
        """Go to the epoch of `state` and set the rates that belong to it."""
        if "successor" in state:
            raise ValueError(
                "The checkpoint's learning-rate state was written by Dassl.pytorch: resume it there, or start anew"
            )
        self.last_epoch = state["last_epoch"]
        self.base_lrs = list(state["base_lrs"])
        self._apply()


def build_lr_scheduler(optimizer, optim_cfg) -> EpochScheduler:
    """Return the schedule that `optim_cfg` (`cfg.OPTIM`) describes, with its warm-up."""
    factor = _factor(optim_cfg)
    warmup_epoch = optim_cfg.WARMUP_EPOCH
    if warmup_epoch <= 0:
        return EpochScheduler(optimizer, lambda epoch, base: base * factor(epoch))
    warmup_rate = _warmup_rate(optim_cfg)

    def rate(epoch, base):
        if epoch < warmup_epoch:
            return warmup_rate(epoch, base)
        if optim_cfg.WARMUP_RECOUNT:
            return base * factor(epoch - warmup_epoch)
        # Without the recount the schedule goes on from the base rate at the end of the warm-up, so that what it
        # would have taken off by then is missed.
        return base if epoch == warmup_epoch else base * factor(epoch) / factor(warmup_epoch)

    return EpochScheduler(optimizer, rate)


def _factor(cfg):
    """The schedule without warm-up: epoch -> what the base rate is multiplied with."""
    gamma, max_epoch, steps = cfg.GAMMA, cfg.MAX_EPOCH, cfg.STEPSIZE
    if cfg.LR_SCHEDULER == "cosine":
        return lambda epoch: (1 + math.cos(math.pi * epoch / max_epoch)) / 2
    if cfg.LR_SCHEDULER == "single_step":
        size = steps[-1] if isinstance(steps, (list, tuple)) else steps
        if not isinstance(size, int):
            raise TypeError(f"For single_step, OPTIM.STEPSIZE must end in an integer, but got {size!r}")
        size = size if size > 0 else max_epoch
        return lambda epoch: gamma ** (epoch // size)
    if cfg.LR_SCHEDULER == "multi_step":
        if not isinstance(steps, (list, tuple)):
            raise TypeError(f"For multi_step, OPTIM.STEPSIZE must be a list of epochs, but got {steps!r}")
        milestones = sorted(steps)
        return lambda epoch: gamma ** bisect_right(milestones, epoch)
    raise ValueError(f"scheduler must be one of {NAMES}, but got {cfg.LR_SCHEDULER}")


def _warmup_rate(cfg):
    """The warm-up: (epoch, base rate) -> rate."""
    if cfg.WARMUP_TYPE == "constant":
        return lambda epoch, base: cfg.WARMUP_CONS_LR
    if cfg.WARMUP_TYPE == "linear":
        return lambda epoch, base: base * epoch / cfg.WARMUP_EPOCH if epoch else cfg.WARMUP_MIN_LR
    raise ValueError(f"warm-up must be one of {WARMUP_TYPES}, but got {cfg.WARMUP_TYPE}")
