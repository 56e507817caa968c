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
        tower.forward = torch.compile(tower.forward)  # type: ignore[assignment, method-assign]  # in place
    print("The towers are compiled at the first batch (TRAIN.COMPILE), which takes a minute or more")


def _obstacle(device: torch.device) -> str:
    """Why torch.compile fails on this machine; empty if it works, which a small function is compiled to see."""
    if device.type == "cuda":
        if torch.cuda.get_device_capability(device) < (7, 0):
            return "torch.compile needs a GPU of compute capability 7.0 or newer"
        if find_spec("triton") is None:
            return "Triton is missing (pip install triton)"
    elif not any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++")))):
        return "there is no C++ compiler (g++ or clang++)"
    try:
        torch.compile(torch.square)(torch.ones(2, device=device))
    except Exception as error:  # of a version that it does not know, of the compiler, of what either lacks
        paragraph = " ".join(str(error).split("\n\n")[0].split()) or type(error).__name__
        return f"torch {torch.__version__} cannot compile here ({paragraph[:200]})"
    return ""
