"""Checkpoints and other things done to torch modules."""

import os
import pickle
import shutil
import warnings
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

from .tools import mkdir_if_missing

__all__ = [
    "count_num_param", "init_network_weights", "load_checkpoint", "load_pretrained_weights", "open_all_layers",
    "open_specified_layers", "resume_from_checkpoint", "save_checkpoint",
]  # fmt: skip

BEST_NAME = "model-best.pth.tar"


def _strip_module(state_dict):
    """Cut the prefix that DataParallel puts before every key."""
    return OrderedDict((key.removeprefix("module."), value) for key, value in state_dict.items())


def _replace(path, write):
    """Let `write(temporary path)` make a file, then put it at `path` in one step: readers never see half a file."""
    partial = f"{path}.part"
    write(partial)
    os.replace(partial, path)


def save_checkpoint(state, save_dir, is_best=False, remove_module_from_keys=True, model_name="") -> None:
    """Write `state` to `<save_dir>/<model_name or model.pth.tar-{epoch}>` and its name to `<save_dir>/checkpoint`.

    With `is_best` there is a second copy, `model-best.pth.tar`.
    """
    mkdir_if_missing(save_dir)
    if remove_module_from_keys:
        state = {**state, "state_dict": _strip_module(state["state_dict"])}
    path = os.path.join(save_dir, model_name or f"model.pth.tar-{state['epoch']}")
    _replace(path, lambda partial: torch.save(state, partial))
    print(f"Checkpoint saved to {path}")
    last = f"{os.path.basename(path)}\n"
    _replace(os.path.join(save_dir, "checkpoint"), lambda partial: Path(partial).write_text(last, encoding="utf-8"))
    if is_best:
        best_path = os.path.join(save_dir, BEST_NAME)
        _replace(best_path, lambda partial: shutil.copy(path, partial))
        print(f'Best checkpoint saved to "{best_path}"')


def load_checkpoint(fpath):
    """Return the content of a checkpoint: tensors, numbers, containers; never other objects (they could run code)."""
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


def resume_from_checkpoint(fdir, model, optimizer=None, scheduler=None) -> int:
    """Restore everything from the checkpoint that was written last in `fdir`; return the epoch to go on with."""
    with open(os.path.join(fdir, "checkpoint"), encoding="utf-8") as f:
        path = os.path.join(fdir, f.readline().strip())
    print(f'Loading checkpoint from "{path}"')
    checkpoint = load_checkpoint(path)
    model.load_state_dict(checkpoint["state_dict"])
    print("Loaded model weights")
    for name, target in (("optimizer", optimizer), ("scheduler", scheduler)):
        if target is not None and checkpoint.get(name) is not None:
            target.load_state_dict(checkpoint[name])
            print(f"Loaded {name}")
    print(f"Previous epoch: {checkpoint['epoch']}")
    return checkpoint["epoch"]


def load_pretrained_weights(model, weight_path) -> None:
    """Load the entries of a checkpoint (or bare state dict) whose names and shapes fit; tell which were left out."""
    checkpoint = load_checkpoint(weight_path)
    state_dict = _strip_module(checkpoint.get("state_dict", checkpoint))
    own = model.state_dict()
    fitting = {key: value for key, value in state_dict.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        warnings.warn(f"Cannot load {weight_path} (check the key names manually)", stacklevel=2)
        return
    model.load_state_dict({**own, **fitting})
    print(f"Successfully loaded pretrained weights from {weight_path}")
    discarded = [key for key in state_dict if key not in fitting]
    if discarded:
        print(f"Layers discarded due to unmatched keys or size: {discarded}")


def count_num_param(model=None, params=None) -> int:
    """Return the number of elements of all parameters of `model`, or of `params` (tensors or parameter groups)."""
    if model is not None:
        params = model.parameters()
    elif params is None:
        raise ValueError("count_num_param needs a model or params, but got neither")
    total = 0
    for item in params:
        group = item["params"] if isinstance(item, dict) else item
        total += sum(p.numel() for p in ([group] if isinstance(group, torch.Tensor) else group))
    return total


def open_all_layers(model) -> None:
    """Put the model into train mode, with gradients for all parameters."""
    model.train()
    model.requires_grad_(True)


def open_specified_layers(model, open_layers) -> None:
    """Train only the named direct children; the others go into eval mode and are frozen."""
    if isinstance(model, nn.DataParallel):
        model = model.module
    names = [open_layers] if isinstance(open_layers, str) else list(open_layers)
    children = dict(model.named_children())
    for name in names:
        if name not in children:
            raise ValueError(f'"{name}" is not a layer of the model; its layers are {list(children)}')
    for name, child in children.items():
        child.train(name in names)
        child.requires_grad_(name in names)


def init_network_weights(model, init_type="normal", gain=0.02) -> None:
    """Initialise all linear and convolution weights; `init_type` is normal, xavier, kaiming or orthogonal."""
    initialisers = {
        "normal": lambda w: nn.init.normal_(w, 0.0, gain),
        "xavier": lambda w: nn.init.xavier_normal_(w, gain=gain),
        "kaiming": lambda w: nn.init.kaiming_normal_(w, a=0, mode="fan_in"),
        "orthogonal": lambda w: nn.init.orthogonal_(w, gain=gain),
    }
    if init_type not in initialisers:
        raise ValueError(f'init_type must be one of {list(initialisers)}, but got "{init_type}"')
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
            initialisers[init_type](module.weight.data)
            if module.bias is not None:
                nn.init.zeros_(module.bias.data)
