"""Trains `pocket`, the embedded tiny CLIP: `python -m tools.train_pocket --work DIR` (the folder of tools.build_emoji).

A CLIP in OpenAI's checkpoint format, trained on emoji by artists that are in none of the bench's sets. A caption is the
concept's name or one of its keywords, never a class name of the bench. Pictures of one concept, and pictures with the
same caption, are each other's positives. Half of the patches are dropped while training (FLIP, arXiv 2212.00794), but not
in the last steps.
"""

import argparse
import json
import random
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from clip.model import CLIP
from torch import Tensor
from tqdm import trange

from tools.emoji_packs import TRAINING_ARTISTS, concepts, pictures
from trainers.core.clip_loader import END, START, encode

PIXELS, WIDTH, LAYERS, TEXT_WIDTH, TEXT_LAYERS = 48, 192, 4, 128, 3
SIZES = {
    "embed_dim": 128, "image_resolution": PIXELS, "vision_layers": LAYERS, "vision_width": WIDTH, "vision_patch_size": 8,
    "context_length": 77, "vocab_size": 49408, "transformer_width": TEXT_WIDTH, "transformer_heads": TEXT_WIDTH // 64,
    "transformer_layers": TEXT_LAYERS,
}  # fmt: skip
TEMPLATES = ("{}", "a {}.", "a photo of a {}.", "an emoji of a {}.", "a drawing of a {}.", "a picture of a {}.")
BATCH, LR, WEIGHT_DECAY = 256, 1.2e-3, 0.1
FULL_SHARE = 0.08  # share of the steps, at the end, that see all patches
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def class_names(bench: Path) -> set[str]:
    """Class names of the bench's coarse sets, which no caption may be."""
    return {name for rows in json.loads((bench / "split_Emoji.json").read_text()).values() for _, _, name in rows}


def training_set(work: Path, forbidden: set[str]) -> tuple[Tensor, list[int], list[list[str]]]:
    """Pictures (N, 3, 64, 64) uint8, the concept of each, and every concept's captions, its name first."""
    everything = concepts(work)
    names = [[text for text in (c.name, *c.keywords) if text.lower() not in forbidden] for c in everything]
    index = {c.code: i for i, c in enumerate(everything) if names[i]}
    images, owners = [], []
    for artist in TRAINING_ARTISTS:
        found = pictures(work, artist, set(index))
        images += found.values()
        owners += [index[code] for code in found]
        print(f"{artist:16s} {len(found):5d} pictures")
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), owners, names


def caption(texts: list[str], rng: random.Random) -> str:
    """The name in 3 of 4 cases, else one of the keywords, in a random template."""
    text = texts[0] if rng.random() < 0.75 else rng.choice(texts)
    return rng.choice(TEMPLATES).format(text)


def augment(images: Tensor) -> Tensor:
    """uint8 (B, 3, 64, 64) -> normalised (B, 3, 48, 48) with random turns, shifts, sizes, flips and colours."""
    b = len(images)
    angle, scale = (torch.rand(b) - 0.5) * 0.8, torch.empty(b).uniform_(0.9, 1.35)
    flip = torch.where(torch.rand(b) < 0.5, -1.0, 1.0)
    shift = (torch.rand(b, 2) - 0.5) * 0.3
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack([cos * flip, -sin, shift[:, 0], sin * flip, cos, shift[:, 1]], dim=1).view(b, 2, 3)
    grid = F.affine_grid(rows, (b, 3, PIXELS, PIXELS), align_corners=False)
    ink = F.grid_sample(1 - images.float() / 255, grid, align_corners=False)  # outside there is no ink: white
    grey = ink.mean(1, keepdim=True)
    saturation = torch.empty(b, 1, 1, 1).uniform_(0, 1.4).clamp_(max=1.2)
    ink = (grey + (ink - grey) * saturation) * torch.empty(b, 3, 1, 1).uniform_(0.75, 1.2)
    return normalise(1 - ink.clamp(0, 1))


def normalise(images: Tensor) -> Tensor:
    return (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def image_features(model: CLIP, images: Tensor, keep: int | None = None) -> Tensor:
    """Features (B, E); with `keep`, from that many random patches of each picture."""
    v = model.visual
    x = v.conv1(images).flatten(2).transpose(1, 2) + v.positional_embedding[1:]
    if keep is not None:
        chosen = torch.rand(x.shape[:2]).topk(keep).indices
        x = x.gather(1, chosen[..., None].expand(-1, -1, x.shape[-1]))
    cls = (v.class_embedding + v.positional_embedding[0]).expand(len(x), 1, -1)
    x = v.transformer(v.ln_pre(torch.cat([cls, x], 1)).transpose(0, 1))[0]
    return F.normalize(v.ln_post(x) @ v.proj, dim=-1)


def text_features(model: CLIP, texts: list[str]) -> Tensor:
    """Features (B, E), computed no further than the longest caption."""
    ids = [[START, *encode(text), END] for text in texts]
    ends = torch.tensor([len(row) - 1 for row in ids])
    tokens = torch.tensor([row + [0] * (int(ends.max()) + 1 - len(row)) for row in ids])
    x = model.token_embedding(tokens) + model.positional_embedding[: tokens.shape[1]]
    x = model.ln_final(model.transformer(x.transpose(0, 1))).transpose(0, 1)
    return F.normalize(x[torch.arange(len(x)), ends] @ model.text_projection, dim=-1)


def loss_of(model: CLIP, images: Tensor, owners: Tensor, captions: list[str], keep: int | None) -> Tensor:
    """CLIP's symmetric cross-entropy with every picture of the concept, and every equal caption, as a positive."""
    texts = sorted(set(captions))
    column = torch.tensor([texts.index(c) for c in captions])
    of_text = torch.zeros(len(owners), len(texts))
    of_text[torch.arange(len(owners)), column] = 1
    same = (owners[:, None] == owners[None]).float()
    positive = ((same @ of_text) > 0).float()
    scale = model.logit_scale.clamp(max=4.0).exp()
    logits = scale * image_features(model, images, keep) @ text_features(model, texts).t()
    by_image = F.cross_entropy(logits, positive / positive.sum(1, keepdim=True))
    by_text = F.cross_entropy(logits.t(), (positive / positive.sum(0)).t())
    return (by_image + by_text) / 2


@torch.no_grad()
def bench_accuracy(model: CLIP, bench: Path, part: str, template: str = "an emoji of a {}.") -> float:
    """Zero-shot accuracy in percent on a part ("val", "test") of Emoji."""
    from PIL import Image

    rows = json.loads((bench / "split_Emoji.json").read_text())[part]
    names = dict(sorted({(label, name) for _, label, name in rows}))
    images = [Image.open(bench / path).convert("RGB").resize((PIXELS, PIXELS), Image.BICUBIC) for path, _, _ in rows]
    stack = normalise(torch.from_numpy(np.stack([np.asarray(i) for i in images])).permute(0, 3, 1, 2) / 255)
    scores = image_features(model, stack) @ text_features(model, [template.format(n) for n in names.values()]).t()
    truth = torch.tensor([label for _, label, _ in rows])
    return 100 * (torch.tensor(list(names))[scores.argmax(1)] == truth).float().mean().item()


def save(model: CLIP, used: set[int], path: Path) -> None:
    """Writes OpenAI's format in fp16; rows of words that no caption or class name has are zero, so that it packs well."""
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    mask = torch.zeros(len(state["token_embedding.weight"]), 1)
    mask[sorted(used)] = 1
    state["token_embedding.weight"] = state["token_embedding.weight"] * mask.half()
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_suffix(".tmp")
    torch.save(state, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for member in source.namelist():
            packed.writestr(zipfile.ZipInfo(member), source.read(member), zipfile.ZIP_DEFLATED)
    plain.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the npm packages")
    parser.add_argument("--bench", type=Path, default=Path("assets/emoji"))
    parser.add_argument("--out", type=Path, default=Path("assets/pocket/pocket.pt"))
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    forbidden = class_names(args.bench)
    images, owners, names = training_set(args.work, forbidden)
    owners = torch.tensor(owners)
    words = [*forbidden, *(text for texts in names for text in texts), *TEMPLATES]
    used = {
        START,
        END,
        *(token for text in words for token in encode(text)),
        *(t for w in words for t in encode(w + ".")),
    }
    model = CLIP(**SIZES).float()
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    optim = torch.optim.AdamW(
        [{"params": decay}, {"params": rest, "weight_decay": 0.0}], LR, (0.9, 0.98), 1e-8, WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optim, LR, args.steps, pct_start=0.1)
    n_patches = (PIXELS // SIZES["vision_patch_size"]) ** 2
    bar = trange(args.steps, mininterval=5)
    for step in bar:
        chosen = torch.randint(len(images), (BATCH,))
        captions = [caption(names[i], rng) for i in owners[chosen].tolist()]
        keep = n_patches // 2 if step < args.steps * (1 - FULL_SHARE) else None
        loss = loss_of(model, augment(images[chosen]), owners[chosen], captions, keep)
        optim.zero_grad()
        loss.backward()
        optim.step()
        schedule.step()
        if step % 200 == 199 or step == args.steps - 1:
            save(model, used, args.out)
            bar.write(
                f"step {step + 1}: loss {loss.item():.3f}, zero-shot on val {bench_accuracy(model, args.bench, 'val'):.1f} %"
            )


if __name__ == "__main__":
    main()
