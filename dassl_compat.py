"""Makes Dassl.pytorch 0.6.3 work as it is on PyTorch 2.1 and newer. Import it before anything of `dassl`.

Dassl's files are not touched; what it needs is put right in memory, once:

* importing it needs the packages `wilds` and `pandas` (for three datasets) and switches logging off;
* its warm-up schedules pass an argument that PyTorch 2.7 removed, save a live scheduler object into checkpoints,
  and after a resume drive a copy of the optimizer, so that the learning rate stands still;
* its checkpoints are read by unpickling whatever is in the file; PyTorch 2.6 and newer refuse that.

One thing stays: before PyTorch 2.6, checkpoints with the schedule `multi_step` may be refused (it holds a Counter).

The bundled `dassl` (folder `toolbox/`) has none of these faults and is left alone.
"""

import importlib.util
import logging
import os
import pickle
import sys
import types

__all__ = ["is_bundled", "which_dassl"]

WILDS_DATASETS = "dassl.data.datasets.dg.wilds"  # FMoW, IWildCam, Camelyon17

try:
    import dassl
except ModuleNotFoundError as error:
    if error.name != "dassl":
        raise
    raise ImportError(
        "Dassl is missing: run `make setup` for the bundled subset (or `pip install ./toolbox`), "
        "or put Dassl.pytorch (https://github.com/KaiyangZhou/Dassl.pytorch) on PYTHONPATH",
        name="dassl",
    ) from None


def is_bundled() -> bool:
    """Return whether `dassl` is the subset in `toolbox/`, not Dassl.pytorch."""
    return dassl.__version__.endswith("+upt")


def which_dassl() -> str:
    """Return "Dassl.pytorch 0.6.3" or "bundled 0.6.3+upt"."""
    return f"{'bundled' if is_bundled() else 'Dassl.pytorch'} {dassl.__version__}"


def _import_engine():
    """Import Dassl without the packages that only three of its datasets need, and with logging as it was."""
    if any(importlib.util.find_spec(name) is None for name in ("wilds", "pandas")):
        # Standing in for the datasets, not for the packages: others ask for those, and must see that they are missing.
        sys.modules.setdefault(WILDS_DATASETS, types.ModuleType(WILDS_DATASETS))
    level = logging.root.manager.disable
    try:
        import dassl.engine  # noqa: F401
    finally:
        logging.disable(level)


def _repair_warmup():
    """Give the warm-up schedules a constructor that PyTorch accepts and a state of plain numbers."""
    from dassl.optim import lr_scheduler

    base = lr_scheduler._BaseWarmupScheduler

    def __init__(self, optimizer, successor, warmup_epoch, last_epoch=-1, verbose=False):
        self.successor = successor
        self.warmup_epoch = warmup_epoch
        super(base, self).__init__(optimizer, last_epoch)

    def state_dict(self):
        own = {key: value for key, value in self.__dict__.items() if key not in ("optimizer", "successor")}
        return {**own, "successor": self.successor.state_dict()}

    def load_state_dict(self, state):
        if not isinstance(state.get("successor"), dict):
            raise ValueError(
                "The checkpoint's learning-rate state was not written by Dassl.pytorch with this module: "
                "resume with the toolbox that wrote it, or start anew"
            )
        self.successor.load_state_dict(state["successor"])
        self.__dict__.update({key: value for key, value in state.items() if key != "successor"})

    base.__init__, base.state_dict, base.load_state_dict = __init__, state_dict, load_state_dict


def load_checkpoint(fpath):
    """Return the content of a checkpoint: tensors, numbers, containers; never other objects (they could run code)."""
    import torch

    if fpath is None:
        raise ValueError("File path is None")
    if not os.path.isfile(fpath):
        raise FileNotFoundError(f'File is not found at "{fpath}"')
    try:
        return torch.load(fpath, map_location=None if torch.cuda.is_available() else "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        print(f'Unable to load checkpoint from "{fpath}"')
        raise ValueError(
            f'"{fpath}" holds more than tensors and numbers, which is refused because it could run code; '
            "if you trust it, load it with torch.load(weights_only=False) and save its state_dict anew"
        ) from error
    except Exception:
        print(f'Unable to load checkpoint from "{fpath}"')
        raise


def _repair_load_checkpoint():
    """Replace the function in every module of Dassl that has the name."""
    import dassl.utils

    original = dassl.utils.load_checkpoint
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "dassl" and getattr(module, "load_checkpoint", None) is original:
            module.load_checkpoint = load_checkpoint


def _repair():
    if is_bundled() or getattr(dassl, "_repaired_by_compat", False):
        return
    _import_engine()
    _repair_warmup()
    _repair_load_checkpoint()
    dassl._repaired_by_compat = True


_repair()
