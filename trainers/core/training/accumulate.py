"""The gradient of a batch's mean loss, of the whole batch at once or of a part of its images at a time.

What images share (image prompts, class features) is computed once for all parts, so that the learner and the text tower
run once a step whatever the number of parts, and dropout is drawn once.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from upt_clip import distributed


def backward(trainer, images: Tensor, labels: Tensor, n_parts: int, weight: float = 1.0) -> tuple[Tensor, Tensor]:
    """Adds the gradient of `weight` times the mean cross-entropy, scaled by the trainer's scaler, to what is learned.

    Returns the loss and the logits (B, C) without their graph.
    """
    if n_parts > 1:
        return _by_parts(trainer, images, labels, n_parts, weight / len(labels))
    with trainer.precision.context():
        logits = (trainer.parallel or trainer.model)(images)
    loss = weight * F.cross_entropy(logits.float(), labels)
    trainer.scaler.scale(loss).backward()
    return loss.detach(), logits.detach()


def _by_parts(trainer, images: Tensor, labels: Tensor, n_parts: int, weight: float) -> tuple[Tensor, Tensor]:
    """`weight` is that of one image. The graph is cut behind what images share; their gradients meet at the cut."""
    model, context = trainer.model, trainer.precision.context
    with context():
        shared = model.shared()
    learned = [t is not None and t.requires_grad for t in shared]
    cut = [t.detach().requires_grad_() if is_learned else t for t, is_learned in zip(shared, learned, strict=True)]
    losses, logits = [], []
    for part, wanted in zip(images.chunk(n_parts), labels.chunk(n_parts), strict=True):
        with context():
            out = model.logits(part, *cut)
        loss = weight * F.cross_entropy(out.float(), wanted, reduction="sum")
        trainer.scaler.scale(loss).backward()
        losses.append(loss.detach())
        logits.append(out.detach())
    roots = [(t, leaf.grad) for t, leaf, is_learned in zip(shared, cut, learned, strict=True) if is_learned]
    if roots:
        ends, gradients = zip(*roots, strict=True)
        torch.autograd.backward(ends, gradients)
    for parameter in trainer.trainable.values():  # several processes: DDP averages only what one call of it computes
        parameter.grad = distributed.mean(parameter.grad)
    return torch.stack(losses).sum(), torch.cat(logits)
