"""Trainers."""

from .base import *  # noqa: F403
from .build import *  # noqa: F403
from .simple_net import *  # noqa: F403
from .trainer import *  # noqa: F403
