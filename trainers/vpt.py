"""VPT: Visual Prompt Tuning (Jia et al., arXiv 2203.12119), for CLIP's image tower.

P learned vectors stand beside the patches: at the first block's input (shallow) or anew at several (deep). The class
sentences are hand-written and frozen.
"""

import torch
from dassl.engine import TRAINER_REGISTRY
from torch import nn

from .core import (
    CLIPModule,
    Prompts,
    PromptTrainer,
    Sentences,
    check_depth,
    check_range,
    require_vit,
    template_sentences,
)
from .templates import template


class VisualPromptLearner(nn.Module):
    """Image prompts from `ctx` (depth, P, D), started at N(0, 0.02²)."""

    def __init__(self, depth: int, n_prompts: int, width: int):
        super().__init__()
        self.ctx = nn.Parameter(torch.empty(depth, n_prompts, width).normal_(std=0.02))

    def forward(self) -> Prompts:
        return Prompts(image=self.ctx)


@TRAINER_REGISTRY.register()
class VPT(PromptTrainer):
    """Visual prompt tuning, shallow for DEPTH_VISION 1, else deep (arXiv 2203.12119, section 3.2)."""

    DEFAULTS = {"N_CTX_VISION": 4, "DEPTH_VISION": 1, "PREC": "auto"}

    def build_learner(self, clip_model: CLIPModule, n_classes: int) -> nn.Module:
        o, visual = self.options, require_vit(self, clip_model)
        check_depth("TRAINER.VPT.DEPTH_VISION", o.DEPTH_VISION, visual.transformer)
        check_range("TRAINER.VPT.N_CTX_VISION", o.N_CTX_VISION)
        return VisualPromptLearner(o.DEPTH_VISION, o.N_CTX_VISION, visual.transformer.width)

    def class_sentences(self, classnames: list[str]) -> Sentences:
        return template_sentences(classnames, template(self.cfg))
