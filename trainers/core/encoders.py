"""CLIP's two towers with prompts: the stock modules are walked by the names that OpenAI's checkpoint format fixes.

Nothing of CLIP is subclassed, copied or patched. Only torch is imported, so the towers can be used and tested alone.
Shape letters: B batch, C classes, L tokens, P prompts, D width, E embedding, T packed tokens, H heads.

Both towers run the same block; what differs is who attends to whom (`attention`). Three exact savings (a test compares
with the stock towers): text is packed without padding; the prefix that all sentences share is encoded once, which the
causal mask allows; the last block computes only the token that is read.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]  # queries, keys, values -> mixed values


def run_block(block: nn.Module, x: Tensor, attention: Attention, read: Tensor | int | None = None) -> Tensor:
    """One residual attention block over x (..., L, D); with `read`, only these positions are computed and returned."""
    attn, normed = block.attn, block.ln_1(x)
    if read is None:
        q, k, v = F.linear(normed, attn.in_proj_weight, attn.in_proj_bias).chunk(3, dim=-1)
    else:
        width = x.shape[-1]
        (w_q, w_kv), (b_q, b_kv) = (t.split((width, 2 * width)) for t in (attn.in_proj_weight, attn.in_proj_bias))
        q = F.linear(normed[..., read, :], w_q, b_q)
        k, v = F.linear(normed, w_kv, b_kv).chunk(2, dim=-1)
        x = x[..., read, :]
    x = x + attn.out_proj(attention(q, k, v))
    return x + feed_forward(block.mlp, block.ln_2(x))


def feed_forward(mlp: nn.Module, x: Tensor) -> Tensor:
    """CLIP's MLP; its QuickGELU x·σ(1.702x) as silu(1.702x)/1.702, which keeps one tensor for the backward pass."""
    hidden = F.silu(mlp.c_fc(x).mul_(1.702)).mul_(1 / 1.702)
    return mlp.c_proj(hidden)


def heads_first(x: Tensor, n_heads: int) -> Tensor:
    """(B, L, D) -> (B, H, L, D/H)."""
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor, n_heads: int, **mask) -> Tensor:
    """Multi-head attention over batch-first q, k, v (B, L, D); returns (B, L, D)."""
    q, k, v = (heads_first(t, n_heads) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, **mask).transpose(1, 2).flatten(-2)


class ImageTower(nn.Module):
    """CLIP's image tower; visual prompts stand between CLS and the patches.

    Shallow prompts enter after the positional embedding and before `ln_pre`; deep ones (row i > 0) take the place of
    the previous layer's at the input of block i (VPT, arXiv 2203.12119, equations 4 to 6).
    """

    def __init__(self, visual: nn.Module):
        super().__init__()
        self.visual = visual

    @property
    def is_vit(self) -> bool:
        return hasattr(self.visual, "class_embedding")

    def forward(self, images: Tensor, prompts: Tensor | None = None) -> Tensor:
        """Features (B, E) of images (B, 3, height, width) with prompts (depth, P, D) or None."""
        visual = self.visual
        images = images.to(visual.conv1.weight.dtype)
        if not self.is_vit:
            return visual(images)
        patches = visual.conv1(images).flatten(2).transpose(1, 2)  # (B, L - 1, D)
        cls = visual.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        x = torch.cat([cls, patches], dim=1) + visual.positional_embedding.to(patches.dtype)
        if prompts is not None:
            x = splice(x, prompts[0], replace=0)
        x = visual.ln_pre(x)
        blocks = visual.transformer.resblocks
        for i, block in enumerate(blocks):
            if prompts is not None and 0 < i < len(prompts):
                x = splice(x, prompts[i], replace=prompts.shape[1])
            n_heads = block.attn.num_heads
            last = i == len(blocks) - 1
            x = run_block(block, x, lambda q, k, v, n=n_heads: attend(q, k, v, n), read=slice(0, 1) if last else None)
        return visual.ln_post(x[:, 0]) @ visual.proj


def splice(tokens: Tensor, prompts: Tensor, replace: int) -> Tensor:
    """Tokens (B, L, D) with prompts (P, D) after the first one, in the place of `replace` old prompts."""
    prompts = prompts.to(tokens.dtype).expand(tokens.shape[0], -1, -1)
    return torch.cat([tokens[:, :1], prompts, tokens[:, 1 + replace :]], dim=1)


class TextTower(nn.Module):
    """CLIP's text tower over packed sentences; text prompts take the sentences' slots.

    Row 0 of the prompts enters with the word embeddings (before the positional ones, as in CoOp); row i > 0 takes the
    same places at the input of block i.
    """

    def __init__(self, clip_model: nn.Module):
        super().__init__()
        for name in ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection"):
            setattr(self, name, getattr(clip_model, name))

    def forward(self, packed: "PackedSentences", prompts: Tensor | None = None) -> Tensor:
        """Features (C, E) of C sentences with prompts (depth, P, D), class-specific (depth, C, P, D), or None."""
        blocks, dtype = self.transformer.resblocks, self.text_projection.dtype
        x = self.token_embedding(packed.tokens).to(dtype)  # (T, D)
        if prompts is not None:
            x = packed.place(x, prompts[0])
        x = x + self.positional_embedding[packed.positions].to(dtype)
        for i, block in enumerate(blocks):
            if prompts is not None and 0 < i < len(prompts):
                x = packed.place(x, prompts[i])
            read = packed.ends if i == len(blocks) - 1 else None
            x = run_block(block, x, packed.attention(block.attn.num_heads, only_ends=read is not None), read)
        return (self.ln_final(x).to(dtype) @ self.text_projection)[packed.order]


class PackedSentences(nn.Module):
    """Sentences of any lengths as one row of T tokens: the prefix that all share once, then the rests by length.

    Args:
        tokens, slots: see `Sentences`.
        class_specific: each class has prompts of its own, so nothing from the first slot on is shared.
    """

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
            "ends": ends,  # rows of the end tokens, shortest sentence first
            "order": torch.tensor(by_length).argsort(),  # from there back to the order of the classes
        }.items():
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.long), persistent=False)

    def place(self, x: Tensor, prompts: Tensor) -> Tensor:
        """x (T, D) with prompts (P, D) or (C, P, D) in the slots."""
        return x.index_copy(0, self.slot_rows, prompts.flatten(0, -2)[self.slot_prompts].to(x.dtype))

    def attention(self, n_heads: int, only_ends: bool) -> Attention:
        """Causal attention within each sentence; with `only_ends` the queries are the end tokens alone, (C, D)."""
        p = self.n_prefix

        def packed_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            prefix = [t[None, :p] for t in (k, v)]
            mixed = [] if only_ends or not p else [attend(q[None, :p], *prefix, n_heads, is_causal=True)[0]]
            at, at_query = p, 0 if only_ends else p
            for n, length in self.groups:
                rows, n_queries = n * length, 1 if only_ends else length
                queries = q[at_query : at_query + n * n_queries].unflatten(0, (n, n_queries))
                keys, values = (
                    torch.cat([shared.expand(n, -1, -1), t[at : at + rows].unflatten(0, (n, length))], dim=1)
                    for shared, t in zip(prefix, (k, v), strict=True)
                )
                mask = {} if only_ends else {"attn_mask": _causal(length, p, q.device)}
                mixed.append(attend(queries, keys, values, n_heads, **mask).flatten(0, 1))
                at, at_query = at + rows, at_query + n * n_queries
            return torch.cat(mixed)

        return packed_attention


def _shared_prefix(tokens: list[list[int]], slots: list[dict[int, int]], class_specific: bool) -> int:
    """How many first tokens all sentences share; every sentence keeps at least its end token for itself."""
    for place in range(min(map(len, tokens)) - 1):
        seen = {(row[place], taken.get(place)) for row, taken in zip(tokens, slots, strict=True)}
        if len(seen) > 1 or (class_specific and any(place in taken for taken in slots)):
            return place
    return min(map(len, tokens)) - 1


def _causal(length: int, n_prefix: int, device: torch.device) -> Tensor:
    """(length, n_prefix + length): every token sees the prefix, and its own sentence up to itself."""
    return torch.ones(length, n_prefix + length, dtype=torch.bool, device=device).tril(n_prefix)
