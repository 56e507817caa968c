"""Reads checkpoints that hold live objects beside their tensors, as CoOp's published ones hold a scheduler and in it an
optimiser, and makes none of those objects.

`torch.load(weights_only=True)` refuses such files. Here a pickle can name nothing but what rebuilds tensors and plain
containers; what is on the list of harmless leftovers becomes an `Inert`, everything else is refused. No code that a
file names is ever imported or called.
"""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import torch

HIGHEST_RATIO = 20  # unpacked to packed
REBUILT = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
    "torch._utils._rebuild_parameter": torch._utils._rebuild_parameter,
}
LEFTOVERS = ("torch.optim.", "dassl.", "numpy.", "collections.defaultdict", "collections.Counter", "_codecs.encode")


class Inert:
    """In the place of an object that is not made: takes whatever a pickle gives it and keeps nothing."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass


class _Unpickler(pickle._Unpickler):  # Python's, since the one in C can be made to fill the memory by a few bytes
    def find_class(self, module: str, name: str):
        whole = f"{module}.{name}"
        if whole in REBUILT:
            return REBUILT[whole]
        if whole.startswith(LEFTOVERS) or whole in ("builtins.dict", "__builtin__.dict"):
            return Inert
        raise pickle.UnpicklingError(f"it holds {whole}, which is refused because it could run code")


def _refuse(*args, **kwargs) -> NoReturn:
    raise pickle.UnpicklingError("it is no zip archive, as PyTorch 1.6 and newer write them")


def load(path: Path) -> object:
    """What the file holds, on the CPU, with an `Inert` for each leftover.

    Raises:
        pickle.UnpicklingError: it names what is neither rebuilt nor a known leftover, or is of an old format.
        Exception: it is damaged.
    """
    if not zipfile.is_zipfile(path):
        _refuse()
    restricted = ModuleType("restricted_pickle")  # torch.load takes what has this module's two names
    vars(restricted).update(Unpickler=_Unpickler, load=_refuse)
    return torch.load(path, map_location="cpu", pickle_module=restricted, weights_only=False)


def check(path: Path) -> None:
    """Raises ValueError for a zip archive that would unpack to a multiple of its size; PyTorch does not compress."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > HIGHEST_RATIO * path.stat().st_size:
            raise ValueError(f"it would unpack to {unpacked / 2**20:.0f} MB, over {HIGHEST_RATIO} times its size")
