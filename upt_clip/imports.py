"""Puts right what `dassl`, `clip` and `torch` need to be imported in today's environments, by whomever, in any order.

* Where no `dassl` is found, the subset in toolbox/ is: its folder comes last in the import path.
* Dassl.pytorch asks for `gdown`, `wilds` and `pandas` when it is imported, for downloads and three data sets that
  nothing here uses. Where they are missing, a stand-in takes their place for that moment.
* OpenAI's `clip`, and torch.compile of PyTorch 2.1, take one module from `pkg_resources`, which setuptools 82 no longer
  has.
* PyTorch older than 2.3 fails in many places beside NumPy 2; this is said at once.
* PyTorch 2.1 warns of itself whenever it reads a checkpoint, and newer ones whenever they read OpenAI's, which are
  TorchScript: no user can do anything about that.

`dassl_compat` repairs what Dassl.pytorch does wrong afterwards. This module is light: it imports neither of them.
"""

import contextlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

COMPILERS = "torch.utils.cpp_extension"
WILDS_DATASETS = "dassl.data.datasets.dg.wilds"  # FMoW, IWildCam, Camelyon17


class _Absent(ModuleType):
    """In the place of a package that is not there: any use of it says so."""

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(f"this needs the package {self.__name__}: pip install {self.__name__}")


def _is_missing(package: str) -> bool:
    return package not in sys.modules and importlib.util.find_spec(package) is None


@contextlib.contextmanager
def _standing_in(guest: str) -> Iterator[None]:
    """What a package finds while it is imported."""
    modules: dict[str, ModuleType] = {}
    if guest in ("clip", COMPILERS):
        import packaging.version

        modules["pkg_resources"] = ModuleType("pkg_resources")
        vars(modules["pkg_resources"])["packaging"] = packaging
    elif guest == "dassl" and _is_missing("gdown"):
        modules["gdown"] = _Absent("gdown")
    modules = {name: module for name, module in modules.items() if name not in sys.modules}
    if guest == "dassl" and (_is_missing("wilds") or _is_missing("pandas")):
        # in the place of the data sets, not of the packages: others ask for those, and must see that they are missing
        sys.modules.setdefault(WILDS_DATASETS, ModuleType(WILDS_DATASETS))
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class _Prepared(Loader):
    """Loads a package as its own loader does, with the stand-ins that it needs, and repairs it."""

    def __init__(self, loader: Loader):
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.loader
        if module.__spec__:
            module.__spec__.loader = self.loader
        with _standing_in(module.__name__):
            self.loader.exec_module(module)
            if module.__name__ == "dassl":
                _repair()


class _Finder(MetaPathFinder):
    def __init__(self, toolbox: Path):
        self.toolbox, self.looking = str(toolbox), False

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        if fullname == "torch":
            _check_numpy()
        if fullname not in ("dassl", "clip", COMPILERS) or self.looking:
            return None
        self.looking = True
        try:
            spec = importlib.util.find_spec(fullname)
            if spec is None and fullname == "dassl":
                sys.path.append(self.toolbox)
                spec = importlib.util.find_spec(fullname)
        finally:
            self.looking = False
        if spec and spec.loader:
            spec.loader = _Prepared(spec.loader)
        return spec


def prepare(toolbox: Path) -> None:
    """Has the first import of each package put right; one that is there already is seen to at once.

    Args:
        toolbox: the folder of the `dassl` that is taken where there is no other.

    Raises:
        ImportError: PyTorch is there and cannot work with this NumPy; otherwise its first import will say so.
    """
    sys.meta_path.insert(0, _Finder(toolbox))
    for message in ("TypedStorage is deprecated", "`torch.jit.load` is deprecated"):
        warnings.filterwarnings("ignore", message, module="torch")
    if "torch" in sys.modules:
        _check_numpy()
    if "dassl" in sys.modules:
        _repair()


def _check_numpy() -> None:
    from importlib.metadata import PackageNotFoundError, version

    from packaging.version import parse

    with contextlib.suppress(PackageNotFoundError):
        torch, numpy = version("torch"), version("numpy")
        if parse(torch).release < (2, 3) and parse(numpy).major >= 2:
            raise ImportError(f'PyTorch {torch} cannot work with NumPy {numpy}: pip install "numpy<2"')


def _repair() -> None:
    from . import dassl_compat

    dassl_compat.repair()
