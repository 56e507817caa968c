"""Dataset base class and registry."""

from .base_dataset import *  # noqa: F403
from .build import *  # noqa: F403
