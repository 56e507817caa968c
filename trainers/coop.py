"""CoOp: Learning to Prompt for Vision-Language Models (Zhou et al., arXiv 2109.01134).

The words around a class name are replaced by P learned vectors, one set for all classes or one for each.
"""

import torch
from dassl.engine import TRAINER_REGISTRY
from torch import nn

from .core import CLIPModule, Prompts, PromptTrainer, Sentences, context_sentences, initial_context


class ContextLearner(nn.Module):
    """Text prompts from `ctx` (P, D), or (C, P, D) if class-specific."""

    def __init__(self, ctx: torch.Tensor):
        super().__init__()
        self.ctx = nn.Parameter(ctx)

    def forward(self) -> Prompts:
        return Prompts(text=self.ctx[None])  # depth 1


@TRAINER_REGISTRY.register()
class CoOp(PromptTrainer):
    """Context optimisation (arXiv 2109.01134, section 3.2)."""

    DEFAULTS = {"N_CTX": 16, "CSC": False, "CTX_INIT": "", "CLASS_TOKEN_POSITION": "end", "PREC": "auto"}

    @property
    def class_specific(self) -> bool:  # type: ignore[override]  # a constant elsewhere, here the config's
        return self.options.CSC

    def build_learner(self, clip_model: CLIPModule, n_classes: int) -> nn.Module:
        o = self.options
        ctx = initial_context(clip_model, o.CTX_INIT, o.N_CTX, "TRAINER.COOP.N_CTX")
        self.n_ctx = len(ctx)
        if o.CSC and not o.CTX_INIT:
            ctx = torch.empty(n_classes, *ctx.shape).normal_(std=0.02)
        elif o.CSC:
            ctx = ctx.repeat(n_classes, 1, 1)
        return ContextLearner(ctx)

    def class_sentences(self, classnames: list[str]) -> Sentences:
        return context_sentences(classnames, self.n_ctx, self.options.CLASS_TOKEN_POSITION)
