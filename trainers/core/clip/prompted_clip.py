"""CLIP's cosine classifier with prompts in either tower.

Shape letters: B batch, C classes, P prompts, D width, E embedding.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upt_clip import cache

from .encoders import CLIPModule, ImageTower, TextTower, recomputed
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

    learner: Any  # what it holds, its own method knows

    def __init__(
        self,
        clip_model: CLIPModule,
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
        self.class_specific, self.image_specific = class_specific, image_specific
        self._check_lengths(sentences, clip_model.context_length)
        self._sentences = sentences
        self.take_text_in_chunks(len(sentences.names))
        self._text_cache: tuple[object, Tensor] | None = None

    @property
    def names(self) -> list[str]:
        return self._sentences.names

    @property
    def text_is_prompted(self) -> bool:
        return self._sentences.n_prompts > 0

    def take_text_in_chunks(self, n_classes: int, recompute: bool = False) -> None:
        """Encodes so many classes at a time; with `recompute`, each chunk anew in the backward pass."""
        tokens, slots, n = self._sentences.tokens, self._sentences.slots, n_classes
        starts = range(0, len(self.names), n_classes)
        chunks = [PackedSentences(tokens[i : i + n], slots[i : i + n], self.class_specific) for i in starts]
        self.chunks = nn.ModuleList(chunks).to(self.logit_scale.device)
        self._chunk_size, self._recompute_text = n_classes, recompute

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, C), fp32, of images (B, 3, height, width)."""
        return self.logits(images, *self.shared())

    def shared(self) -> tuple[Tensor | None, Tensor | None]:
        """What images share, from one pass of the learner: image prompts (depth, P, D) and normalised class features
        (C, E); None where there are none, or where class features depend on the image.
        """
        prompts = self.prompts_for_images()
        return prompts.image, None if self.image_specific else self._text_features(prompts.text)

    def logits(self, images: Tensor, image_prompts: Tensor | None, text: Tensor | None) -> Tensor:
        """Logits (B, C), fp32, of images (B, 3, height, width) with what `shared` returns."""
        return self.classify(self.image_features(images, Prompts(image=image_prompts)), text)

    def classify(self, features: Tensor, text: Tensor | None = None) -> Tensor:
        """Logits (B, C), fp32, of normalised image features (B, E), with normalised class features if known."""
        if text is None:
            with _full_precision(features):
                prompts = self.learner(features) if self.image_specific else self.learner()
            if self.image_specific:  # image by image: the classes of one image share its prefix
                text = torch.stack([self._encode_text(one) for one in prompts.text])  # (B, C, E)
            else:
                text = self._text_features(prompts.text)
        with _full_precision(features):
            cosines = torch.einsum("bce,be->bc", text, features) if text.dim() == 3 else features @ text.t()
            return self.logit_scale.float().exp() * cosines

    def image_features(self, images: Tensor, prompts: Prompts | None = None) -> Tensor:
        """Normalised features (B, E), fp32."""
        prompts = self.prompts_for_images() if prompts is None else prompts
        learning = torch.is_grad_enabled() and prompts.image is not None
        parts = (images,) if learning else self.image_tower.split(images)
        features = torch.cat([self.image_tower(part, prompts.image) for part in parts])
        return F.normalize(features.float(), dim=-1)

    @property
    def images_are_unprompted(self) -> bool:
        """Whether images pass the tower as CLIP has it, so that what is learned does not change their features."""
        return self.prompts_for_images().image is None

    def prompts_for_images(self) -> Prompts:
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
        if learning or cache.is_off():
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
        own: Sequence[Tensor | None] = [prompts] * len(self.chunks)
        if self.class_specific and prompts is not None:
            own = prompts.split(self._chunk_size, dim=1)
        run = partial(recomputed, self.text_tower) if self._recompute_text else self.text_tower
        features = [run(chunk, part) for chunk, part in zip(self.chunks, own, strict=True)]
        return F.normalize(torch.cat(features).float(), dim=-1)

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
