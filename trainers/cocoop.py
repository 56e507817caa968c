"""CoCoOp: Conditional Prompt Learning for Vision-Language Models (Zhou et al., arXiv 2203.05557).

CoOp's context plus a shift that a small network reads from the image, so that each image has prompts of its own.
"""

from collections import OrderedDict

from dassl.engine import TRAINER_REGISTRY
from torch import Tensor, nn

from .core import CLIPModule, Prompts, PromptTrainer, Sentences, context_sentences, initial_context

BOTTLENECK = 16  # section 3.2: the meta network's hidden layer is 16 times narrower than the image features


class ConditionalContextLearner(nn.Module):
    """Text prompts v_m(x) = v_m + h(x) (section 3.2): `ctx` (P, D) shifted by `meta_net` of the image features."""

    def __init__(self, ctx: Tensor, n_features: int):
        super().__init__()
        self.ctx = nn.Parameter(ctx)
        hidden = max(1, n_features // BOTTLENECK)
        layers = {"linear1": nn.Linear(n_features, hidden), "relu": nn.ReLU(inplace=True)}
        layers["linear2"] = nn.Linear(hidden, ctx.shape[1])
        self.meta_net = nn.Sequential(OrderedDict(layers))

    def forward(self, image_features: Tensor) -> Prompts:
        """Text prompts (B, 1, P, D) for normalised image features (B, E)."""
        shift = self.meta_net(image_features)  # (B, D)
        return Prompts(text=(self.ctx + shift[:, None])[:, None])  # depth 1


@TRAINER_REGISTRY.register()
class CoCoOp(PromptTrainer):
    """Conditional context optimisation (arXiv 2203.05557, section 3.2)."""

    DEFAULTS = {"N_CTX": 16, "CTX_INIT": "", "PREC": "auto"}
    image_specific = True

    def build_learner(self, clip_model: CLIPModule, n_classes: int) -> nn.Module:
        o = self.options
        ctx = initial_context(clip_model, o.CTX_INIT, o.N_CTX, "TRAINER.COCOOP.N_CTX")
        self.n_ctx = len(ctx)
        return ConditionalContextLearner(ctx, clip_model.text_projection.shape[1])

    def class_sentences(self, classnames: list[str]) -> Sentences:
        return context_sentences(classnames, self.n_ctx)
