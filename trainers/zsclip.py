"""Zero-shot CLIP (Radford et al., arXiv 2103.00020): hand-written sentences, nothing is learned."""

from dassl.engine import TRAINER_REGISTRY
from torch import nn

from .core import CLIPModule, Prompts, PromptTrainer, Sentences, template_sentences
from .templates import template


class NoPrompts(nn.Module):
    """Leaves both towers as they are."""

    def forward(self) -> Prompts:
        return Prompts()


@TRAINER_REGISTRY.register()
class ZeroshotCLIP(PromptTrainer):
    """Zero-shot CLIP with the data set's own sentence (arXiv 2103.00020)."""

    def build_learner(self, clip_model: CLIPModule, n_classes: int) -> nn.Module:
        return NoPrompts()

    def class_sentences(self, classnames: list[str]) -> Sentences:
        return template_sentences(classnames, template(self.cfg))
