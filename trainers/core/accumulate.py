"""The gradient of a whole batch, a part of its images at a time.

What the images share (image prompts, class features) is computed once for all parts, so that the learner and the text
tower run once a step whatever the number of parts, and dropout is drawn once.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import Precision
from .prompted_clip import PromptedCLIP


def backward(
    model: PromptedCLIP, images: Tensor, labels: Tensor, n_parts: int, precision: Precision, scaler
) -> tuple[Tensor, Tensor]:
    """Adds the gradient of the batch's mean cross-entropy, scaled by `scaler`, to what is learned.

    Returns the loss and the logits (B, C) without their graph.
    """
    with precision.context():
        shared = model.shared()
    learned = [t is not None and t.requires_grad for t in shared]
    cut = [t.detach().requires_grad_() if is_learned else t for t, is_learned in zip(shared, learned, strict=True)]
    losses, logits = [], []
    for part, wanted in zip(images.chunk(n_parts), labels.chunk(n_parts), strict=True):
        with precision.context():
            logits.append(model.logits(part, *cut))
        losses.append(F.cross_entropy(logits[-1].float(), wanted, reduction="sum") / len(labels))
        scaler.scale(losses[-1]).backward()
        losses[-1], logits[-1] = losses[-1].detach(), logits[-1].detach()
    roots = [(t, leaf.grad) for t, leaf, is_learned in zip(shared, cut, learned, strict=True) if is_learned]
    if roots:
        torch.autograd.backward(*zip(*roots, strict=True))
    return torch.stack(losses).sum(), torch.cat(logits)
