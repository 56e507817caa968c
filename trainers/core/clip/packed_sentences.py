"""Class sentences without padding, and the attention among their tokens.

Shape letters: B batch, C classes, L tokens, P prompts, D width, T packed tokens, H heads.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def heads_first(x: Tensor, n_heads: int) -> Tensor:
    """(B, L, D) -> (B, H, L, D/H)."""
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)


def attend(
    q: Tensor, k: Tensor, v: Tensor, n_heads: int, is_causal: bool = False, mask: Tensor | None = None
) -> Tensor:
    """Multi-head attention over batch-first q, k, v (B, L, D); returns (B, L, D). `mask` is True where one looks."""
    q, k, v = [heads_first(t, n_heads) for t in (q, k, v)]
    if q.device.type == "cpu" and q.dtype != torch.float32:
        mixed = _plain_attention(q, k, v, _causal(q.shape[-2], 0) if is_causal else mask)
    else:
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=is_causal)
    return mixed.transpose(1, 2).flatten(-2)


def _plain_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """The equation as it stands: on CPUs faster than the fused kernel in 16 bits, two to six times with gradients."""
    rows, columns = q.flatten(0, 1), k.flatten(0, 1).transpose(-1, -2)
    scores = torch.baddbmm(q.new_empty(1), rows, columns, beta=0, alpha=q.shape[-1] ** -0.5).unflatten(0, q.shape[:2])
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(-1) @ v


class PackedSentences(nn.Module):
    """Sentences of any lengths as one row of T tokens: the prefix that all share once, then the rests by length.

    Args:
        tokens, slots: see `Sentences`.
        class_specific: each class has prompts of its own, so nothing from the first slot on is shared.
    """

    tokens: Tensor
    positions: Tensor
    slot_rows: Tensor
    slot_prompts: Tensor
    ends: Tensor  # rows of the end tokens, shortest sentence first
    order: Tensor  # from there back to the order of the classes

    def __init__(self, tokens: list[list[int]], slots: list[list[int]], class_specific: bool = False):
        super().__init__()
        slot_sets = [{place: i for i, place in enumerate(row)} for row in slots]
        self.n_prefix = _shared_prefix(tokens, slot_sets, class_specific)
        by_length = sorted(range(len(tokens)), key=lambda c: len(tokens[c]))
        rows = [(by_length[0], range(self.n_prefix))]
        rows += [(c, range(self.n_prefix, len(tokens[c]))) for c in by_length]
        places = [(c, place) for c, span in rows for place in span]
        taken = [(row, c, slot_sets[c][place]) for row, (c, place) in enumerate(places) if place in slot_sets[c]]
        lengths = [len(tokens[c]) - self.n_prefix for c in by_length]
        self.groups = [(lengths.count(length), length) for length in sorted(set(lengths))]  # (sentences, rest length)
        n_prompts = len(slots[0])
        ends = torch.tensor(lengths).cumsum(0) + self.n_prefix - 1
        for name, values in {
            "tokens": [tokens[c][place] for c, place in places],
            "positions": [place for _, place in places],
            "slot_rows": [row for row, _, _ in taken],
            "slot_prompts": [i + class_specific * c * n_prompts for _, c, i in taken],
            "ends": ends,
            "order": torch.tensor(by_length).argsort(),
        }.items():
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.long), persistent=False)
        for _, length in self.groups:
            self.register_buffer(f"mask_{length}", _causal(length, self.n_prefix), persistent=False)

    def place(self, x: Tensor, prompts: Tensor) -> Tensor:
        """x (T, D) with prompts (P, D) or (C, P, D) in the slots."""
        return x.index_copy(0, self.slot_rows, prompts.flatten(0, -2)[self.slot_prompts].to(x.dtype))

    def attention(self, n_heads: int, only_ends: bool) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """Causal attention within each sentence.

        With `only_ends` the queries (C·H, D) are the end tokens' heads, each of which looks at tokens D wide.
        """
        sizes = [self.n_prefix, *(n * length for n, length in self.groups)]
        query_sizes = [0, *(n * n_heads for n, _ in self.groups)] if only_ends else sizes
        n_heads = 1 if only_ends else n_heads

        def packed_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            # one `split` for all groups: of slices, each would have a gradient as large as the whole
            queries, keys, values = q.split(query_sizes), k.split(sizes), v.split(sizes)
            mixed = []
            if len(queries[0]):
                mixed.append(attend(queries[0][None], keys[0][None], values[0][None], n_heads, is_causal=True)[0])
            for i, (n, length) in enumerate(self.groups, 1):
                own_k, own_v = [
                    torch.cat([parts[0].expand(n, -1, -1), parts[i].unflatten(0, (n, length))], dim=1)
                    for parts in (keys, values)
                ]
                mask = None if only_ends else getattr(self, f"mask_{length}")
                own_mixed = attend(queries[i].unflatten(0, (n, -1)), own_k, own_v, n_heads, mask=mask)
                mixed.append(own_mixed.flatten(0, 1))
            return torch.cat(mixed)

        return packed_attention


def _shared_prefix(tokens: list[list[int]], slots: list[dict[int, int]], class_specific: bool) -> int:
    """How many first tokens all sentences share; every sentence keeps at least its end token for itself."""
    for place in range(min(map(len, tokens)) - 1):
        seen = {(row[place], taken.get(place)) for row, taken in zip(tokens, slots, strict=True)}
        if len(seen) > 1 or (class_specific and any(place in taken for taken in slots)):
            return place
    return min(map(len, tokens)) - 1


def _causal(length: int, n_prefix: int) -> Tensor:
    """(length, n_prefix + length): every token sees the prefix, and its own sentence up to itself."""
    return torch.ones(length, n_prefix + length, dtype=torch.bool).tril(n_prefix)
