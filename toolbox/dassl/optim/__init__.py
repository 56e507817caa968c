"""Optimizers and learning-rate schedules from `cfg.OPTIM`."""

from .lr_scheduler import *  # noqa: F403
from .optimizer import *  # noqa: F403
