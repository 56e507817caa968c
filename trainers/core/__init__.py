"""What prompt methods share: a method's file needs nothing beside these names."""

from .clip.prompted_clip import PromptedCLIP, Prompts
from .clip.sentences import Sentences, context_sentences, initial_context, template_sentences, word_embeddings
from .trainer import PromptTrainer

__all__ = [
    "PromptTrainer", "PromptedCLIP", "Prompts", "Sentences", "context_sentences", "initial_context",
    "template_sentences", "word_embeddings",
]  # fmt: skip
