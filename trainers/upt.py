"""UPT: Unified Vision and Language Prompt Learning (Zang et al., arXiv 2210.07225).

One set of prompts U = [U_T, U_V] passes one tiny Transformer layer, which lets the halves see each other; then the
first part prompts CLIP's text tower and the second its image tower. docs/METHOD.md maps the equations to the lines.
"""

import torch
from dassl.engine import TRAINER_REGISTRY
from torch import Tensor, nn

from .core import (
    CLIPModule,
    Prompts,
    PromptTrainer,
    Sentences,
    check_depth,
    check_range,
    context_sentences,
    require_vit,
    word_embeddings,
)


class AttentionMixer(nn.Module):
    """The paper's layer: U' = SA(U) + LN(U), Û = FFN(LN(U')) + LN(U'); rows of (depth, P, D) attend to each other."""

    def __init__(self, width: int, n_heads: int, dropout: float):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, n_heads, dropout, batch_first=True)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ffn = feed_forward(width, dropout)

    def forward(self, u: Tensor) -> Tensor:
        mixed = self.attention(u, u, u, need_weights=False)[0] + self.norm1(u)  # U'
        normed = self.norm2(mixed)
        return self.ffn(normed) + normed  # Û


class ReleasedMixer(AttentionMixer):
    """The authors' released arithmetic: attention over an axis of length 1, so that no prompt sees another one."""

    def __init__(self, width: int, n_heads: int, dropout: float):
        super().__init__(width, n_heads, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, u: Tensor) -> Tensor:
        alone = u.flatten(0, 1)[:, None]  # (depth * P, 1, D): each prompt is a sequence of its own
        attended = self.attention(alone, alone, alone, need_weights=False)[0].view_as(u)
        s = self.norm1(u + self.dropout(attended))
        return s + self.ffn(self.norm2(s))


class MLPMixer(nn.Sequential):
    """An MLP in the place of attention, one of the paper's designs: each prompt for itself."""

    def __init__(self, width: int, n_heads: int, dropout: float):
        super().__init__(nn.LayerNorm(width), feed_forward(width, dropout))


def feed_forward(width: int, dropout: float) -> nn.Sequential:
    """Hidden width D and ReLU, as in the authors' release; the paper does not state them."""
    layers = nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width), nn.Dropout(dropout)
    return nn.Sequential(*layers)


def identity(width: int, n_heads: int, dropout: float) -> nn.Module:
    """No mixing."""
    return nn.Identity()


MIXERS = {
    "attention": AttentionMixer, "released": ReleasedMixer, "joint": identity, "shared": identity, "mlp": MLPMixer
}  # fmt: skip


class UnifiedPromptLearner(nn.Module):
    """U -> mixer -> text prompts (DEPTH_TEXT, N_CTX_TEXT, D_text), image prompts (DEPTH_VISION, N_CTX_VISION, D_image).

    Args:
        words: None, or (N_CTX_TEXT, D_text) embeddings that the first text row is added to.
    """

    words: Tensor | None

    def __init__(self, o, text_width: int, image_width: int, words: Tensor | None = None):
        super().__init__()
        shared, joint = o.MIXER == "shared", o.MIXER == "joint"
        u_width = image_width if joint else text_width  # joint prompts live in their own towers' widths
        self.text = nn.Parameter(torch.empty(o.DEPTH_TEXT, o.N_CTX_TEXT, text_width).normal_(std=0.02))
        shape = o.DEPTH_VISION, o.N_CTX_VISION, u_width
        self.image = None if shared else nn.Parameter(torch.empty(shape).normal_(std=0.02))
        self.mixer = MIXERS[o.MIXER](text_width, o.N_HEADS, o.DROPOUT)
        self.to_image = nn.Identity() if joint else nn.Linear(text_width, image_width)
        self.gain = nn.Parameter(torch.tensor(float(o.OUTPUT_GAIN))) if o.OUTPUT_GAIN else None
        self.register_buffer("words", words, persistent=False)

    def forward(self) -> Prompts:
        text, image = self.mix()
        if self.gain is not None:
            text, image = self.gain * text, self.gain * image
        if self.words is not None:
            text = torch.cat([text[:1] + self.words, text[1:]])
        return Prompts(text, self.to_image(image))

    def mix(self) -> tuple[Tensor, Tensor]:
        """One pass for both towers; rows of a depth that only one tower has are mixed among themselves."""
        if self.image is None:
            return self.text, self.text
        if isinstance(self.mixer, nn.Identity):
            return self.text, self.image
        n_text, both = self.text.shape[1], min(len(self.text), len(self.image))
        mixed = self.mixer(torch.cat([self.text[:both], self.image[:both]], dim=1))
        halves = [mixed[:, :n_text], mixed[:, n_text:]]
        for i, own in enumerate((self.text[both:], self.image[both:])):
            if len(own):
                halves[i] = torch.cat([halves[i], self.mixer(own)])
        return halves[0], halves[1]


@TRAINER_REGISTRY.register()
class UPT(PromptTrainer):
    """Unified prompt tuning (arXiv 2210.07225, section 3)."""

    DEFAULTS = {
        "N_CTX_TEXT": 4, "N_CTX_VISION": 4, "DEPTH_TEXT": 1, "DEPTH_VISION": 1, "MIXER": "attention", "N_HEADS": 1,
        "DROPOUT": 0.1, "OUTPUT_GAIN": 0.0, "CTX_INIT": "", "CLASS_TOKEN_POSITION": "end", "PREC": "auto",
    }  # fmt: skip

    def build_learner(self, clip_model: CLIPModule, n_classes: int) -> nn.Module:
        o, visual = self.options, require_vit(self, clip_model)
        check_depth("TRAINER.UPT.DEPTH_TEXT", o.DEPTH_TEXT, clip_model.transformer)
        check_depth("TRAINER.UPT.DEPTH_VISION", o.DEPTH_VISION, visual.transformer)
        check_range("TRAINER.UPT.N_CTX_TEXT", o.N_CTX_TEXT)
        check_range("TRAINER.UPT.N_CTX_VISION", o.N_CTX_VISION)
        width = clip_model.transformer.width
        check_range("TRAINER.UPT.N_HEADS", o.N_HEADS, width)
        if o.MIXER not in MIXERS:
            raise ValueError(f'TRAINER.UPT.MIXER is "{o.MIXER}", choose one of {", ".join(MIXERS)}')
        if width % o.N_HEADS:
            raise ValueError(f"TRAINER.UPT.N_HEADS is {o.N_HEADS}, which does not divide the text width {width}")
        if o.MIXER == "shared" and (o.N_CTX_TEXT, o.DEPTH_TEXT) != (o.N_CTX_VISION, o.DEPTH_VISION):
            raise ValueError(
                f"TRAINER.UPT.MIXER shared has one set of prompts for both towers, but N_CTX_TEXT, DEPTH_TEXT are "
                f"{o.N_CTX_TEXT}, {o.DEPTH_TEXT} and N_CTX_VISION, DEPTH_VISION are {o.N_CTX_VISION}, {o.DEPTH_VISION}"
            )
        words = word_embeddings(clip_model, o.CTX_INIT) if o.CTX_INIT else None
        if words is not None and len(words) != o.N_CTX_TEXT:
            raise ValueError(
                f'TRAINER.UPT.CTX_INIT "{o.CTX_INIT}" has {len(words)} tokens, but N_CTX_TEXT is {o.N_CTX_TEXT}: '
                f"set TRAINER.UPT.N_CTX_TEXT {len(words)}"
            )
        return UnifiedPromptLearner(o, width, visual.transformer.width, words)

    def class_sentences(self, classnames: list[str]) -> Sentences:
        return context_sentences(classnames, self.options.N_CTX_TEXT, self.options.CLASS_TOKEN_POSITION)
