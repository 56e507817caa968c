"""Imported by the process that runs are forked from: what a run imports, now or later, and what it asks the machine."""

import atexit
import gc

import torch._dynamo  # noqa: F401  (an optimiser imports it at its first step)
import torch.utils.tensorboard  # noqa: F401

from upt_clip import train

train.about_this_machine()
gc.collect()
gc.freeze()  # no fork looks through what was imported
atexit.register(gc.unfreeze)  # or this process ends with complaints about leaks
