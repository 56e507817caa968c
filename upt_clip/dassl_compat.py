"""Makes Dassl.pytorch 0.6.3 work as it is on PyTorch 2.1 and newer; `imports` has it done at Dassl's first import.

Dassl's files are not touched; what it needs is put right in memory, once:

* importing it switches logging off;
* its warm-up schedules pass an argument that PyTorch 2.7 removed, save a live scheduler object into checkpoints,
  and after a resume drive a copy of the optimizer, so that the learning rate stands still;
* its checkpoints are read by unpickling whatever is in the file; PyTorch 2.6 and newer refuse that.

One thing stays: before PyTorch 2.6, checkpoints with the schedule `multi_step` may be refused (it holds a Counter).

The bundled `dassl` (folder `toolbox/`) has none of these faults. What is put into the place of either one's own is
`read_image`, so that every picture, of a data set or given to a trained model, is read in one way.
"""

import logging
import os
import pickle
import sys

from .pictures import read_image


def is_bundled() -> bool:
    """Return whether `dassl` is the subset in `toolbox/`, not Dassl.pytorch."""
    import dassl

    return dassl.__version__.endswith("+upt")


def which_dassl() -> str:
    """Return "Dassl.pytorch 0.6.3" or "bundled 0.6.3+upt"."""
    import dassl

    return f"{'bundled' if is_bundled() else 'Dassl.pytorch'} {dassl.__version__}"


def _import_engine():
    """Import Dassl with logging as it was."""
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


def _replace_in_dassl(name: str, function):
    """Put the function in the place of the one of this name, in every module of Dassl that has it."""
    import dassl.utils

    original = getattr(dassl.utils, name)
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] == "dassl" and getattr(module, name, None) is original:
            setattr(module, name, function)


def repair():
    """Put right what is wrong with the `dassl` that was imported, once."""
    import dassl

    if getattr(dassl, "_repaired_by_compat", False):
        return
    dassl._repaired_by_compat = True
    if not is_bundled():
        _import_engine()
        _repair_warmup()
        _replace_in_dassl("load_checkpoint", load_checkpoint)
    _replace_in_dassl("read_image", read_image)
