"""What prompt methods share: a method's file needs nothing beside these names."""

from .clip.checks import check_depth, check_range, require_vit
from .clip.encoders import CLIPModule
from .clip.prompted_clip import PromptedCLIP, Prompts
from .clip.sentences import Sentences, context_sentences, initial_context, template_sentences, word_embeddings
from .testing.feature_cache import image_features
from .trainer import PromptTrainer

__all__ = [
    "CLIPModule",
    "PromptTrainer",
    "PromptedCLIP",
    "Prompts",
    "Sentences",
    "check_depth",
    "check_range",
    "context_sentences",
    "image_features",
    "initial_context",
    "require_vit",
    "template_sentences",
    "word_embeddings",
]
