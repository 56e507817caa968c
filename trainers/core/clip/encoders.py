"""CLIP's two towers with prompts: the stock modules are walked by the names that OpenAI's checkpoint format fixes.

Nothing of CLIP is subclassed, copied or patched. Only torch is imported, so the towers can be used and tested alone.
Shape letters: B batch, C classes, L tokens, P prompts, D width, E embedding, T packed tokens, H heads.

Both towers run the same block; what differs is who attends to whom (`attention`). Three exact savings (tests compare
with the stock towers): text is packed without padding; the prefix that all sentences share is encoded once, which the
causal mask allows (`packed_sentences.py`); the last block computes only the token that is read, for which no other
needs a key or a value (`gather`). CLIP's parameters are taken to be frozen.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .packed_sentences import PackedSentences, attend

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]  # queries, keys, values -> mixed values
CLIPModule = Any  # one of CLIP's own modules: what it holds is known by name, not by type
GELU = 1.702  # CLIP's QuickGELU is x·σ(1.702x)
CPU_BLOCK = 2**25  # bytes; for larger tensors the C library gets new memory every time, page by page


def run_block(
    block: CLIPModule,
    x: Tensor,
    attention: Attention,
    read: Tensor | slice | None = None,
    prompts: Tensor | None = None,
) -> Tensor:
    """One residual attention block over x (..., L, D); with `read`, only these positions are computed and returned.

    `prompts` (P, D) join x behind its first token. Where x wants no gradient, none is computed for its projections.
    Where no gradient is wanted at all, the result may take the place of x.
    """
    attn = block.attn

    def project(tokens: Tensor) -> Tensor:
        return F.linear(block.ln_1(tokens), attn.in_proj_weight, attn.in_proj_bias)

    if read is None:
        qkv = project(x)
        if prompts is not None:
            x, qkv = splice(x, prompts), splice(qkv, project(prompts))
        mixed = attention(*qkv.chunk(3, dim=-1))
    else:
        x = x if prompts is None else splice(x, prompts)
        normed = block.ln_1(x)
        mixed, x = gather(attn, normed[..., read, :], normed, attention), x[..., read, :]
    x = add_product(x, mixed, attn.out_proj)
    return add_feed_forward(block.mlp, x, block.ln_2(x))


def among_all(n_heads: int) -> Attention:
    """Every token looks at every one; no `partial`, which torch.compile of PyTorch 2.1 does not know."""
    return lambda q, k, v: attend(q, k, v, n_heads)


def gather(attn: nn.MultiheadAttention, readers: Tensor, tokens: Tensor, attention: Attention) -> Tensor:
    """What readers (..., R, D) gather from tokens (..., L, D), before `out_proj`; (..., R, D).

    No token gets a key or a value: a head's score q·(W_k t) is (W_kᵀq)·t, and its mixture Σ p (W_v t) is W_v (Σ p t).
    So every head of every reader is a query of its own, D wide, and `attention` mixes the tokens themselves in one
    head. The keys' bias shifts a query's scores alike, which softmax ignores; weights sum to 1, so the values' stays.
    """
    n_heads = attn.num_heads
    (w_q, w_k, w_v), (b_q, _, b_v) = [t.chunk(3) for t in (attn.in_proj_weight, attn.in_proj_bias)]
    w_k, w_v = [w.unflatten(0, (n_heads, -1)) for w in (w_k, w_v)]  # (H, D/H, D)
    q = F.linear(readers, w_q, b_q).unflatten(-1, (n_heads, -1)) * n_heads**0.5  # heads were scaled by their own width
    q = torch.einsum("...rhe,hed->...rhd", q, w_k).flatten(-3, -2)
    mixed = attention(q, tokens, tokens).unflatten(-2, (-1, n_heads))
    return torch.einsum("...rhd,hed->...rhe", mixed, w_v).flatten(-2) + b_v


def add_product(x: Tensor, y: Tensor, linear: nn.Linear, y_scale: float = 1) -> Tensor:
    """x + linear(y / y_scale), all (..., D); without a gradient in the place of x, which saves two passes over it."""
    one_dtype = x.dtype == y.dtype == linear.weight.dtype  # not so in mixed precision, which products in place forgo
    if x.requires_grad or y.requires_grad or not one_dtype:
        rows = torch.addmm(linear.bias, y.flatten(0, -2), linear.weight.t(), beta=y_scale)
        return torch.add(x, rows.view_as(x), alpha=1 / y_scale)
    rows = x.flatten(0, -2).addmm_(y.flatten(0, -2), linear.weight.t(), alpha=1 / y_scale)
    return rows.add_(linear.bias).view_as(x)


def add_feed_forward(mlp: CLIPModule, x: Tensor, normed: Tensor) -> Tensor:
    """x + CLIP's MLP of `normed`, both (..., D).

    QuickGELU is silu(1.702h)/1.702: the matrix products take both factors along, so that only `silu` passes over the
    4D wide hidden layer, and one tensor of it is kept for the backward pass.
    """
    hidden = torch.addmm(mlp.c_fc.bias, normed.flatten(0, -2), mlp.c_fc.weight.t(), beta=GELU, alpha=GELU)
    hidden = F.silu(hidden, inplace=not hidden.requires_grad)
    return add_product(x, hidden.view(*x.shape[:-1], -1), mlp.c_proj, y_scale=GELU)


def recomputed(function: Callable[..., Tensor], *args) -> Tensor:
    """function(*args), computed again in the backward pass, so that of all it computes nothing is kept until then."""
    if not torch.is_grad_enabled():
        return function(*args)
    return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False)  # nothing in a tower is random


class ImageTower(nn.Module):
    """CLIP's image tower; visual prompts stand between CLS and the patches.

    Shallow prompts enter after the positional embedding and before `ln_pre`; deep ones (row i > 0) take the place of
    the previous layer's at the input of block i (VPT, arXiv 2203.12119, equations 4 to 6).

    With `recompute`, only each block's input is kept for the backward pass.
    """

    def __init__(self, visual: CLIPModule):
        super().__init__()
        self.visual: CLIPModule = visual
        self.recompute = False

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
        x = visual.ln_pre(x)
        entering = None if prompts is None else visual.ln_pre(prompts[0].to(x.dtype))
        blocks = visual.transformer.resblocks
        for i, block in enumerate(blocks):
            if prompts is not None and 0 < i < len(prompts):
                x = splice(x, prompts[i], replace=prompts.shape[1])
            last = i == len(blocks) - 1
            attention = among_all(1 if last else block.attn.num_heads)
            x = self._run(block, x, attention, slice(0, 1) if last else None, entering if i == 0 else None)
        return visual.ln_post(x[:, 0]) @ visual.proj

    def split(self, images: Tensor) -> Sequence[Tensor]:
        """The images in equal parts that a CPU encodes fastest without gradients: hidden layers below `CPU_BLOCK`."""
        if images.device.type != "cpu" or not self.is_vit:
            return (images,)
        hidden, n_tokens = self.visual.transformer.resblocks[0].mlp.c_fc.weight, len(self.visual.positional_embedding)
        n_bytes = len(images) * n_tokens * len(hidden) * hidden.element_size()
        return images.chunk(max(1, math.ceil(n_bytes / CPU_BLOCK)))

    def _run(self, *args) -> Tensor:
        return recomputed(run_block, *args) if self.recompute else run_block(*args)


def splice(tokens: Tensor, prompts: Tensor, replace: int = 0) -> Tensor:
    """Tokens (B, L, D) with prompts (P, D) after the first one, in the place of `replace` old prompts."""
    prompts = prompts.to(tokens.dtype).expand(tokens.shape[0], -1, -1)
    return torch.cat([tokens[:, :1], prompts, tokens[:, 1 + replace :]], dim=1)


class TextTower(nn.Module):
    """CLIP's text tower over packed sentences; text prompts take the sentences' slots.

    Row 0 of the prompts enters with the word embeddings (before the positional ones, as in CoOp); row i > 0 takes the
    same places at the input of block i.
    """

    def __init__(self, clip_model: CLIPModule):
        super().__init__()
        self.token_embedding, self.positional_embedding = clip_model.token_embedding, clip_model.positional_embedding
        self.transformer, self.ln_final = clip_model.transformer, clip_model.ln_final
        self.text_projection = clip_model.text_projection

    def forward(self, packed: PackedSentences, prompts: Tensor | None = None) -> Tensor:
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
