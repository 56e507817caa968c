"""Optimizers."""

import warnings

import torch
from torch import nn

__all__ = ["build_optimizer"]

NAMES = ["adam", "amsgrad", "sgd", "rmsprop", "radam", "adamw"]


def build_optimizer(model, optim_cfg, param_groups=None) -> torch.optim.Optimizer:
    """Return the optimizer that `optim_cfg` (`cfg.OPTIM`) names, over the parameters that have `requires_grad`.

    Args:
        model: a module, or an iterable of parameters or parameter groups.
        param_groups: used as they are, instead of the model's.
    """
    if optim_cfg.NAME not in NAMES:
        raise ValueError(f"optim must be one of {NAMES}, but got {optim_cfg.NAME}")
    if param_groups is None:
        param_groups = _staged_groups(model, optim_cfg) if optim_cfg.STAGED_LR else _trainable(model)
        if not param_groups:
            raise ValueError("The optimizer has nothing to train: no parameter has requires_grad")
    elif optim_cfg.STAGED_LR:
        warnings.warn("STAGED_LR is ignored, because param_groups are given", stacklevel=2)
    return _make(param_groups, optim_cfg)


def _make(params, cfg):
    betas = {"betas": (cfg.ADAM_BETA1, cfg.ADAM_BETA2)}
    sgd = {"momentum": cfg.MOMENTUM, "dampening": cfg.SGD_DAMPNING, "nesterov": cfg.SGD_NESTEROV}
    optimizer, own = {
        "adam": (torch.optim.Adam, betas),
        "amsgrad": (torch.optim.Adam, {"amsgrad": True, **betas}),
        "sgd": (torch.optim.SGD, sgd),
        "rmsprop": (torch.optim.RMSprop, {"momentum": cfg.MOMENTUM, "alpha": cfg.RMSPROP_ALPHA}),
        "radam": (torch.optim.RAdam, betas),
        "adamw": (torch.optim.AdamW, betas),
    }[cfg.NAME]
    return optimizer(params, lr=cfg.LR, weight_decay=cfg.WEIGHT_DECAY, **own)


def _trainable(model):
    """Parameters or groups without the frozen ones and without empty groups."""
    params = []
    for item in model.parameters() if isinstance(model, nn.Module) else model:
        if isinstance(item, dict):
            members = [item["params"]] if isinstance(item["params"], torch.Tensor) else item["params"]
            members = [p for p in members if p.requires_grad]
            params += [{**item, "params": members}] if members else []
        elif item.requires_grad:
            params.append(item)
    return params


def _staged_groups(model, cfg):
    """Two groups: the parameters outside NEW_LAYERS at LR * BASE_LR_MULT, then those inside at LR."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"STAGED_LR needs a torch module, but got {type(model).__name__}")
    if isinstance(model, nn.DataParallel):
        model = model.module
    new_layers = [cfg.NEW_LAYERS] if isinstance(cfg.NEW_LAYERS, str) else list(cfg.NEW_LAYERS)
    layers = [name for name, _ in model.named_children()]
    for name in new_layers:
        if name not in layers:
            raise ValueError(f'"{name}" in OPTIM.NEW_LAYERS is not a layer of the model; its layers are {layers}')
    base, new = [], []
    for name, param in model.named_parameters():
        (new if name.split(".")[0] in new_layers else base).append(param)
    return _trainable([{"params": base, "lr": cfg.LR * cfg.BASE_LR_MULT}, {"params": new, "lr": cfg.LR}])
