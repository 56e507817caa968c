"""Datasets in CoOp's layout; importing this package registers all of them with Dassl."""

if __name__ != "upt_clip.datasets":
    raise ImportError("import it as upt_clip.datasets: under a second name all of it would be loaded twice")

from . import class_folders, emoji, fgvc_aircraft, folder, imagenet, imagenet_shifts, matlab, text_lists  # noqa: F401
from .config import extend_cfg

__all__ = ["extend_cfg"]
