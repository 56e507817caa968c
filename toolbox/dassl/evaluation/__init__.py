"""Evaluators."""

from .build import *  # noqa: F403
from .evaluator import *  # noqa: F403
