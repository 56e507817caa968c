"""Train `pocket`, the tiny CLIP of the emoji bench: `python -m upt_clip.tools.emoji.train_pocket --work DIR`.

Needs npm and `pip install resvg-py`. With --bf16 --threads 1, as the shipped one was trained, half an hour on a core
that has AMX. It saves its state every 100 steps beside the output; the same command then goes on from there.
"""

import argparse
import random
import time
from functools import partial
from pathlib import Path

import torch
from clip import tokenize
from clip.model import CLIP
from torch.nn import functional as F

from upt_clip.files import write_atomically
from upt_clip.tools.emoji import pocket_data as data
from upt_clip.tools.emoji.classes import CLASSES
from upt_clip.tools.emoji.pocket_checkpoint import export
from upt_clip.trainers.core.clip.encoders import run_block
from upt_clip.trainers.core.clip.packed_sentences import attend

SIZES = {
    "embed_dim": 128, "image_resolution": 48, "vision_layers": 4, "vision_width": 192, "vision_patch_size": 8,
    "context_length": 77, "transformer_width": 128, "transformer_heads": 2, "transformer_layers": 3,
}  # fmt: skip
BATCH, PEAK_RATE, WEIGHT_DECAY, SEED = 256, 1.2e-3, 0.1, 1
WHOLE_SHARE = 0.15  # the last steps see all patches; the others half of them (FLIP, arXiv 2212.00794)
EXTRA_TEXTS = ("a photo of a X X X X.", "a clip art picture of the")  # prompts that users start from


def encode_image(model: CLIP, images: torch.Tensor, kept: int | None, generator: torch.Generator) -> torch.Tensor:
    """Return image features `(B, embed_dim)`; with `kept`, only that many random patches a picture enter the tower."""
    visual = model.visual
    position = visual.positional_embedding
    x = visual.conv1(images).flatten(2).transpose(1, 2) + position[1:]
    if kept is not None:
        pick = torch.rand(x.shape[:2], generator=generator).argsort(1)[:, :kept]
        x = x.gather(1, pick.unsqueeze(-1).expand(-1, -1, x.shape[2]))
    x = visual.ln_pre(torch.cat([(visual.class_embedding + position[0]).expand(len(x), 1, -1), x], 1))
    for block in visual.transformer.resblocks:
        x = run_block(block, x, partial(attend, n_heads=block.attn.num_heads))
    return visual.ln_post(x[:, 0]) @ visual.proj


def encode_text(model: CLIP, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return text features `(B, embed_dim)`; tokens are cut to the longest caption, which a causal mask allows."""
    longest = int(lengths.max())
    x = model.token_embedding(tokens[:, :longest]) + model.positional_embedding[:longest]
    for block in model.transformer.resblocks:
        x = run_block(block, x, partial(attend, n_heads=block.attn.num_heads, is_causal=True))
    return model.ln_final(x[torch.arange(len(tokens)), lengths - 1]) @ model.text_projection


def contrastive_loss(image: torch.Tensor, text: torch.Tensor, same: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return CLIP's symmetric loss; `same` (B, B) marks pairs with one concept or one caption: all are positives."""
    logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    target = same.float() / same.sum(1, keepdim=True)  # `same` is symmetric, so one target serves both directions
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class Texts:
    """All captions as tokens of a small vocabulary (only the rows in use are trained)."""

    def __init__(self, captions: list[str]):
        extra = [t.format(name) for name in CLASSES for t in data.TEMPLATES] + list(EXTRA_TEXTS)
        self.vocabulary = torch.unique(tokenize(captions + extra))
        ids = tokenize(captions)
        self.lengths = ids.argmax(1) + 1
        self.tokens = torch.searchsorted(self.vocabulary, ids)
        self.index = {c: i for i, c in enumerate(captions)}


def train(work: Path, out: Path, steps: int, bf16: bool = False) -> None:
    """Train for `steps` optimiser steps and write `out`; with `bf16` the towers run in mixed precision."""
    words = data.training_words(work)
    images, owners, counts = data.training_pictures(work, set(words))
    texts = Texts(data.all_captions(list(words.values())))
    number = {code: i for i, code in enumerate(words)}
    concept = torch.tensor([number[code] for code in owners])
    print(f"{len(images)} pictures {counts}, {len(set(owners))} concepts, {len(texts.vocabulary)} tokens", flush=True)

    torch.manual_seed(SEED)
    model = CLIP(vocab_size=len(texts.vocabulary), **SIZES)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps, pct_start=0.1)
    kept = {"model": model, "optimizer": optimizer, "schedule": schedule}
    first, state_path = 0, out.with_suffix(f".state{steps}")
    out.parent.mkdir(parents=True, exist_ok=True)
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        for name, part in kept.items():
            part.load_state_dict(state[name])
        first = state["step"]

    patches = (SIZES["image_resolution"] // SIZES["vision_patch_size"]) ** 2
    began, total = time.time(), 0.0
    for step in range(first, steps):
        # Draws depend on the step alone, so that a run that was cut goes on as it would have.
        rng, generator = random.Random(SEED * 1_000_003 + step), torch.Generator().manual_seed(SEED * 1_000_003 + step)
        batch = torch.randint(len(images), (BATCH,), generator=generator)
        caption = torch.tensor([texts.index[data.draw_caption(*words[owners[i]], rng)] for i in batch.tolist()])
        same = (concept[batch, None] == concept[batch]) | (caption[:, None] == caption)
        n_kept = None if step >= (1 - WHOLE_SHARE) * steps else patches // 2
        seen = data.augment(images[batch], SIZES["image_resolution"], generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            image = encode_image(model, seen, n_kept, generator)
            text = encode_text(model, texts.tokens[caption], texts.lengths[caption])
        loss = contrastive_loss(image.float(), text.float(), same, model.logit_scale.exp())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        model.logit_scale.data.clamp_(max=4.6052)
        total += loss.item()
        if (step + 1) % 100 == 0 or step + 1 == steps:
            pace = (time.time() - began) / (step + 1 - first)
            print(f"step {step + 1}/{steps} loss {total / ((step % 100) + 1):.3f} {pace:.3f} s/step", flush=True)
            total = 0.0
            state = {"step": step + 1, **{name: part.state_dict() for name, part in kept.items()}}
            write_atomically(state_path, partial(torch.save, state))
            export(model.state_dict(), texts.vocabulary, out)
    state_path.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the npm packages")
    parser.add_argument("--out", type=Path, default=Path("assets/pocket/pocket.pt"), help="the checkpoint to write")
    parser.add_argument("--steps", type=int, default=3600, help="optimiser steps")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--bf16", action="store_true", help="mixed precision, for CPUs that are fast at it")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train(args.work.resolve(), args.out, args.steps, args.bf16)


if __name__ == "__main__":
    main()
