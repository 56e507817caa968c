"""Datasets, transforms and loaders."""

from .data_manager import *  # noqa: F403
