"""UPT and the methods that it is compared with, for CLIP: trainers, data sets and tools under one import name.

    from upt_clip import load
    load("output/my_photos/UPT/vit_b16_paper_16shots/seed1").predict(["a.jpg"])

The command is `upt-clip`, or `python -m upt_clip`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from . import imports

if TYPE_CHECKING:
    from .trainers import load as load

__version__ = "0.2.0"

# The folder that holds trainers/, datasets/, tools/, configs/, assets/ and toolbox/: in a wheel this one; in a checkout
# the one above, which is made part of this package, so that both know every module by one name.
HOME = Path(__file__).absolute().parent
if not (HOME / "trainers").is_dir():
    HOME = HOME.parent
    __path__.append(str(HOME))

imports.prepare(HOME / "toolbox")


def __getattr__(name: str):
    if name == "load":  # late, since it needs torch and Dassl, which take seconds
        from .trainers import load

        return load
    raise AttributeError(f"module {__name__} has no {name}")
