"""Class sentences as token ids, with the places that text prompts take.

Shape letters: C classes, P prompts (context tokens).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .checks import check_range
from .encoders import CLIPModule
from .loader import END, START, encode

POSITIONS = ("end", "middle", "front")
PLACEHOLDER = 0  # any valid id: the embedding at a slot is always replaced by a prompt


@dataclass(frozen=True)
class Sentences:
    """One sentence a class, without padding.

    names: the class names.
    tokens: per class its token ids, from the start token to the end token.
    slots: per class the P positions that text prompts take (none for a hand-written sentence).
    """

    names: list[str]
    tokens: list[list[int]]
    slots: list[list[int]]

    @property
    def n_prompts(self) -> int:
        return len(self.slots[0])


def readable(classname: str) -> str:
    """The class name as it stands in a sentence: data sets write blanks as underscores."""
    return classname.replace("_", " ")


def template_sentences(classnames: Sequence[str], template: str) -> Sentences:
    """Hand-written sentences, e.g. "a photo of a {}, a type of pet."; they have no slots."""
    if "{}" not in template:
        raise ValueError(f'prompt template "{template}" has no {{}} for the class name, e.g. "a photo of a {{}}."')
    tokens = [[START, *encode(template.replace("{}", readable(name))), END] for name in classnames]
    return Sentences(list(classnames), tokens, [[] for _ in tokens])


def context_sentences(classnames: Sequence[str], n_prompts: int, position: str = "end") -> Sentences:
    """Sentences "[prompts] name." with `n_prompts` slots (CoOp, arXiv 2109.01134, section 3.2).

    Args:
        position: where the class name stands: "end", "middle" (between two halves of the prompts; an odd one goes to
            the second half) or "front".
    """
    if position not in POSITIONS:
        raise ValueError(f'CLASS_TOKEN_POSITION is "{position}", choose one of {", ".join(POSITIONS)}')
    first = {"end": n_prompts, "middle": n_prompts // 2, "front": 0}[position]  # prompts before the name
    tokens, slots = [], []
    for name in map(readable, classnames):
        n_name, body = len(encode(name)), encode(name + ".")
        before, after = body[:n_name], body[n_name:]
        rest = n_prompts - first
        tokens.append([START, *[PLACEHOLDER] * first, *before, *[PLACEHOLDER] * rest, *after, END])
        start_of_rest = 1 + first + len(before)
        slots.append([*range(1, 1 + first), *range(start_of_rest, start_of_rest + rest)])
    return Sentences(list(classnames), tokens, slots)


def word_embeddings(clip_model: CLIPModule, words: str) -> torch.Tensor:
    """The (P, D) fp32 embeddings of `words`, one row a BPE token (not a row a word), for CTX_INIT."""
    ids = encode(readable(words))
    if not ids:
        raise ValueError(f'CTX_INIT "{words}" holds no words; leave it empty for a random start')
    return clip_model.token_embedding.weight[ids].detach().float().clone()


def initial_context(clip_model: CLIPModule, words: str, n_prompts: int, key: str) -> torch.Tensor:
    """CoOp's start (P, D), fp32: the embeddings of `words`, or else `n_prompts` rows drawn from N(0, 0.02²).

    Raises:
        ValueError: no words, and the config key `key` asks for less than one prompt.
    """
    if words:
        context = word_embeddings(clip_model, words)
    else:
        check_range(key, n_prompts)
        context = torch.empty(n_prompts, clip_model.ln_final.weight.shape[0]).normal_(std=0.02)
    print(f'Initial context: "{words or "(random)"}", {len(context)} tokens')
    return context
