"""Accuracy."""

import torch

__all__ = ["compute_accuracy"]


@torch.no_grad()
def compute_accuracy(output, target, topk=(1,)) -> list[torch.Tensor]:
    """Return, for each k, the percentage of rows whose target is among the k highest scores, as a (1,) tensor.

    `output` is (B, C), or a tuple or list whose first element is; `target` is (B,).
    """
    if isinstance(output, (tuple, list)):
        output = output[0]
    hits = output.topk(max(topk), dim=1).indices == target.view(-1, 1)
    return [hits[:, :k].sum().float().view(1) * (100.0 / len(target)) for k in topk]
