"""Datasets in CoOp's layout; importing this package registers all of them with Dassl."""

import dassl_compat  # noqa: F401  (first: it makes Dassl importable)

from . import (  # noqa: F401
    caltech101,
    dtd,
    emoji,
    eurosat,
    fgvc_aircraft,
    folder,
    food101,
    imagenet,
    imagenet_a,
    imagenet_r,
    imagenet_sketch,
    imagenetv2,
    oxford_flowers,
    oxford_pets,
    stanford_cars,
    sun397,
    ucf101,
)
from .config import extend_cfg

__all__ = ["extend_cfg"]
