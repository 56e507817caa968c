"""Datasets in CoOp's layout; importing this package registers all of them with Dassl."""

if __name__ != "upt_clip.datasets":
    raise ImportError("import it as upt_clip.datasets: under a second name all of it would be loaded twice")

from . import (  # noqa: F401, I001
    caltech101, dtd, emoji, eurosat, fgvc_aircraft, folder, food101, imagenet, imagenet_a, imagenet_r, imagenet_sketch,
    imagenetv2, oxford_flowers, oxford_pets, stanford_cars, sun397, ucf101,
)  # fmt: skip
from .config import extend_cfg

__all__ = ["extend_cfg"]
