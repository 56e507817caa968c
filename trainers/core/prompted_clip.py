"""CLIP's cosine classifier with prompts in either tower.

Shape letters: B batch, C classes, P prompts, D width, E embedding.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import upt_cache

from .encoders import ImageTower, TextTower
from .packed_sentences import PackedSentences
from .sentences import Sentences


class Prompts(NamedTuple):
    """What a learner returns: (depth, P, D) for each tower, or None where that tower has no prompts.

    Row i of `depth` enters at block i, so depth 1 is shallow. Class-specific text prompts are (depth, C, P, D),
    image-specific ones (B, depth, P, D).
    """

    text: Tensor | None = None
    image: Tensor | None = None


class PromptedCLIP(nn.Module):
    """Classifies images by the cosine between image features and class sentences, CLIP frozen.

    Args:
        clip_model: a stock CLIP model.
        learner: a module whose `forward()` returns `Prompts`; nothing else is trainable.
        sentences: one sentence a class.
        class_specific: the learner's text prompts have a class axis.
        image_specific: the learner's text prompts depend on the image: its `forward` takes the normalised features
            (B, E) of the unprompted images.
    """

    def __init__(
        self,
        clip_model: nn.Module,
        learner: nn.Module,
        sentences: Sentences,
        class_specific: bool = False,
        image_specific: bool = False,
    ):
        super().__init__()
        self.image_tower = ImageTower(clip_model.visual)
        self.text_tower = TextTower(clip_model)
        self.logit_scale = clip_model.logit_scale
        self.learner = learner
        self.image_specific = image_specific
        self.names = sentences.names
        self._check_lengths(sentences, clip_model.context_length)
        self.sentences = PackedSentences(sentences.tokens, sentences.slots, class_specific)
        self._text_cache: tuple[object, Tensor] | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, C), fp32, of images (B, 3, height, width)."""
        prompts = self._image_prompts()
        features = self.image_features(images, prompts)
        return self.classify(features, None if self.image_specific else prompts)  # one pass of the learner for both

    def classify(self, features: Tensor, prompts: Prompts | None = None) -> Tensor:
        """Logits (B, C), fp32, of images whose normalised features (B, E) are known."""
        with _full_precision(features):
            if prompts is None:
                prompts = self.learner(features) if self.image_specific else self.learner()
        if self.image_specific:
            # Image by image: the classes of one image share its prefix, and memory does not grow with the batch.
            text = torch.stack([self._encode_text(one) for one in prompts.text])  # (B, C, E)
        else:
            text = self._text_features(prompts.text)
        with _full_precision(features):
            cosines = torch.einsum("bce,be->bc", text, features) if self.image_specific else features @ text.t()
            return self.logit_scale.float().exp() * cosines

    def image_features(self, images: Tensor, prompts: Prompts | None = None) -> Tensor:
        """Normalised features (B, E), fp32."""
        prompts = self._image_prompts() if prompts is None else prompts
        return F.normalize(self.image_tower(images, prompts.image).float(), dim=-1)

    @property
    def images_are_unprompted(self) -> bool:
        """Whether images pass the tower as CLIP has it, so that what is learned does not change their features."""
        return self._image_prompts().image is None

    def _image_prompts(self) -> Prompts:
        """What the learner gives the image tower; text prompts that depend on the image come after it."""
        if self.image_specific:
            return Prompts()
        with _full_precision(self.logit_scale):
            return self.learner()

    def text_features(self) -> Tensor:
        """Normalised features (C, E), fp32, of the class sentences.

        Raises:
            ValueError: the text prompts depend on the image.
        """
        if self.image_specific:
            raise ValueError("the text prompts of this method depend on the image: there are no class features alone")
        return self._text_features(self.learner().text)

    def _text_features(self, prompts: Tensor | None) -> Tensor:
        """Encoded anew only if they can have changed: never for frozen text, once an evaluation for a learner at rest.

        Tensors count their in-place changes, so an optimiser step or a loaded checkpoint is noticed.
        """
        learning = prompts is not None and (self.learner.training or torch.is_grad_enabled())
        if learning or upt_cache.is_off():
            self._text_cache = None
            return self._encode_text(prompts)
        learned = [] if prompts is None else self.learner.parameters()
        key = tuple((id(p), p._version) for p in learned)
        if self._text_cache is None or self._text_cache[0] != key:
            with torch.no_grad():
                features = self._encode_text(prompts)
            self._text_cache = (key, features)
        return self._text_cache[1]

    def _encode_text(self, prompts: Tensor | None) -> Tensor:
        return F.normalize(self.text_tower(self.sentences, prompts).float(), dim=-1)

    @staticmethod
    def _check_lengths(sentences: Sentences, context_length: int) -> None:
        longest, name = max((len(tokens), name) for tokens, name in zip(sentences.tokens, sentences.names, strict=True))
        if longest > context_length:
            raise ValueError(
                f'the sentence of class "{name}" has {longest} tokens, {sentences.n_prompts} of them prompts, but CLIP '
                f"reads {context_length}: shorten the class name, the template or the prompts"
            )


def _full_precision(tensor: Tensor) -> torch.autocast:
    """Switches mixed precision off, which is for the towers alone."""
    return torch.autocast(tensor.device.type, enabled=False)
