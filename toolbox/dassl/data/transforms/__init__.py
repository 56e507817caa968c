"""Image transforms."""

from .transforms import *  # noqa: F403
