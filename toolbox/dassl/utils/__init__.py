"""Small helpers: files, registry, seeds, meters, log file, checkpoints. What each module's `__all__` names is here."""

from .logger import *  # noqa: F403
from .meters import *  # noqa: F403
from .registry import *  # noqa: F403
from .tools import *  # noqa: F403
from .torchtools import *  # noqa: F403
