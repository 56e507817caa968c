"""`TRAIN.COMPILE`: the towers through torch.compile."""

import os
import shutil
from importlib.util import find_spec

import torch

from ..clip.prompted_clip import PromptedCLIP


def compile_towers(model: PromptedCLIP, device: torch.device) -> None:
    """Compiles both towers of the model in place, at their first use.

    Raises:
        ValueError: torch.compile cannot work here.
    """
    if why := _obstacle(device):
        raise ValueError(f"TRAIN.COMPILE is True, but {why}: leave it out (False), results are the same")
    for tower in (model.image_tower, model.text_tower):
        tower.forward = torch.compile(tower.forward)
    print("The towers are compiled at the first batch (TRAIN.COMPILE), which takes a minute or more")


def _obstacle(device: torch.device) -> str:
    """Why torch.compile would fail on this machine; empty if nothing speaks against it."""
    try:
        torch.compile(lambda: None)  # refuses Python and Windows versions that it does not know
    except RuntimeError as error:
        return f"torch {torch.__version__} cannot compile here ({str(error).splitlines()[0]})"
    if device.type == "cuda":
        if torch.cuda.get_device_capability(device) < (7, 0):
            return "torch.compile needs a GPU of compute capability 7.0 or newer"
        if find_spec("triton") is None:
            return "Triton is missing (pip install triton)"
    elif not any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++")))):
        return "there is no C++ compiler (g++ or clang++)"
    return ""
