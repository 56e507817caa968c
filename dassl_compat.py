"""Makes Dassl.pytorch 0.6.3 work as it is on PyTorch 2.1 and newer. Import it before anything of `dassl`.

Dassl's files are not touched; what it needs is put right in memory, once:

* importing it needs the packages `wilds` and `pandas` (for three datasets) and switches logging off;
* its warm-up schedules pass an argument that PyTorch 2.7 removed, save a live scheduler object into checkpoints,
  and after a resume drive a copy of the optimizer, so that the learning rate stands still;
* its checkpoints are read by unpickling whatever is in the file; PyTorch 2.6 and newer refuse that.

One thing stays: before PyTorch 2.6, checkpoints with the schedule `multi_step` may be refused (it holds a Counter).

The bundled `dassl` (folder `toolbox/`) has none of these faults. What is put into the place of either one's own is
`read_image`, so that every picture, of a data set or given to a trained model, is read in one way.
"""

import importlib.util
import logging
import os
import pickle
import sys
import types

__all__ = ["is_bundled", "read_image", "to_rgb", "which_dassl"]

LONGEST_STRIP = 1000  # a picture's longer side, in shorter sides
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


def read_image(path):
    """The picture file as an RGB PIL image; of an animation the first frame; an EXIF orientation is not applied.

    Raises:
        ValueError: in one line with the file's name, why it cannot be read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if not os.path.isfile(path):  # a pipe would be waited for without end
            raise OSError("no such file" if not os.path.exists(path) else "no regular file")
        with Image.open(path) as image:
            return to_rgb(image)
    except UnidentifiedImageError:
        reason = "no picture, or of a kind that Pillow does not know" if os.path.getsize(path) else "the file is empty"
    except Exception as error:  # damaged files raise almost anything
        reason = " ".join(str(error).split()) or type(error).__name__
    raise ValueError(f"cannot read the picture {path} ({reason})")


def to_rgb(image):
    """The PIL image as RGB with 8 bits: 16-bit greys are scaled, which Pillow clips to white; alpha is left out.

    Raises:
        ValueError: pixels of 32 bits, whose white is not known; a strip that would not fit into memory when its short
            side is made as long as CLIP's pictures.
    """
    import numpy as np
    from PIL import Image

    if max(image.size) > LONGEST_STRIP * min(image.size):
        raise ValueError(f"{image.width} x {image.height} pixels: a side is over {LONGEST_STRIP} times the other")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):  # "I": Pillow before 11
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"32-bit pixels (mode {image.mode}) have no known white: save it with 8 or 16 bits")
    return image.convert("RGB")


def _replace_in_dassl(name: str, function):
    """Put the function in the place of the one of this name, in every module of Dassl that has it."""
    import dassl.utils

    original = getattr(dassl.utils, name)
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] == "dassl" and getattr(module, name, None) is original:
            setattr(module, name, function)


def _repair():
    if getattr(dassl, "_repaired_by_compat", False):
        return
    if not is_bundled():
        _import_engine()
        _repair_warmup()
        _replace_in_dassl("load_checkpoint", load_checkpoint)
    _replace_in_dassl("read_image", read_image)
    dassl._repaired_by_compat = True


_repair()
