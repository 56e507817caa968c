"""Draws what CLS and each visual prompt of a trained run attend to, over the pictures.

    upt-clip attention output/pets/seed1 cat.jpg dog.jpg              RUN/attention/attention.png
    upt-clip attention output/pets/seed1 cat.jpg --layer 3 --out DIR

A row is a picture as the model gets it. A colour says how much a patch is attended to, the mean over the layer's heads;
1 is the even share of all patches. A title says how much of the token's attention goes to the picture at all: the rest
goes to CLS and the prompts. Colours are Matplotlib's cividis, which colour-blind eyes read, too. In the last layer only
CLS is computed, so that is where CLS alone is shown; the default is the layer before it.
"""

import math
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure  # no pyplot: figures without a window and without a global state
from torch import Tensor

from upt_clip import cli, trainers
from upt_clip.files import write_atomically
from upt_clip.tools.use.predict import Pictures, add_model_options, load_model, picture_paths
from upt_clip.trainers.core.clip.encoders import CLIPModule, splice

ROWS = 8  # pictures in one file
TOKENS = 8  # prompts in one row, beside CLS


def vit(model: trainers.Predictor) -> CLIPModule:
    """The image tower, which must be a ViT."""
    if not model.network.image_tower.is_vit:
        raise ValueError(
            f"{model.cfg.MODEL.BACKBONE.NAME} is a ResNet, in which patches do not attend to each other: "
            "give a run on a ViT"
        )
    return model.network.image_tower.visual


def choose_layer(layer: int | None, n_layers: int) -> int:
    """The layer, counted from 1; by default the last but one."""
    if layer is None:
        return max(1, n_layers - 1)
    if not 1 <= layer <= n_layers:
        raise ValueError(f"--layer is {layer}, choose 1 to {n_layers}")
    return layer


@torch.no_grad()
def attention(model: trainers.Predictor, images: Tensor, layer: int) -> Tensor:
    """What CLS and the prompts attend to in a layer (from 1), mean over its heads: (B, 1 + P, 1 + P + patches).

    In the last layer (B, 1, ...), since only CLS is computed there. The tokens' order: CLS, prompts, patches.

    Args:
        images: transformed pictures (B, 3, height, width) on the model's device.
    """
    blocks = vit(model).transformer.resblocks
    block, seen = blocks[layer - 1], []
    # the tower itself is run, in parts if it likes; the layer's input to its attention is all that is taken out of it
    hook = block.ln_1.register_forward_hook(lambda module, inputs, normed: seen.append(normed))
    try:
        model.encode_images(images)
    finally:
        hook.remove()
    prompts = [normed for normed in seen if normed.dim() == 2]  # the first layer has them apart: they join behind it
    x = torch.cat([normed for normed in seen if normed.dim() == 3])
    x = splice(x, prompts[0]) if prompts else x
    x = x.transpose(0, 1).to(block.attn.in_proj_weight.dtype)  # CLIP's modules want (L, B, D)
    weights = block.attn(x, x, x, need_weights=True, average_attn_weights=True)[1].float()  # (B, L, L)
    n_patches = len(vit(model).positional_embedding) - 1
    n_read = 1 if layer == len(blocks) else x.shape[0] - n_patches
    return weights[:, :n_read]


def share_of_patches(rows: Tensor, n_patches: int) -> tuple[Tensor, Tensor]:
    """Attention (Q, L) -> maps (Q, side, side) whose mean is 1, and each one's share (Q,) that goes to the patches."""
    patches = rows[:, -n_patches:]
    total = patches.sum(dim=1)
    side = math.isqrt(n_patches)
    return (patches / total[:, None] * n_patches).unflatten(1, (side, side)), total


def as_seen(images: Tensor, cfg) -> Tensor:
    """Transformed pictures (B, 3, height, width) as they look, without normalisation: (B, height, width, 3)."""
    if "normalize" in cfg.INPUT.TRANSFORMS:
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD))
        images = images * std + mean
    return images.clamp(0, 1).permute(0, 2, 3, 1)


def draw(names: list[str], pictures: Tensor, weights: Tensor, n_patches: int, title: str) -> Figure:
    """One row a picture: the picture alone, then CLS, then each prompt.

    Args:
        pictures: (B, height, width, 3).
        weights: (B, 1 + P, L), see `attention`.
    """
    columns = 1 + weights.shape[1]
    figure = Figure((1.7 * columns + 0.8, 1.95 * len(names) + 0.7), layout="constrained")
    axes = figure.subplots(len(names), columns, squeeze=False)
    for name, picture, row, line in zip(names, pictures, weights, axes, strict=True):
        maps, shares = share_of_patches(row, n_patches)
        height, width = picture.shape[:2]
        line[0].imshow(picture.numpy())
        line[0].set_title(name if len(name) <= 24 else "…" + name[-23:], fontsize=8)
        for i, (one, share, panel) in enumerate(zip(maps, shares, line[1:], strict=True)):
            panel.imshow(picture.mean(dim=2).numpy(), cmap="gray", vmin=0, vmax=1)
            heat = panel.imshow(
                one.numpy(), cmap="cividis", alpha=0.75, vmin=0, vmax=float(maps.max()), interpolation="nearest",
                extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            )  # fmt: skip
            panel.set_title(f"{f'prompt {i}' if i else 'CLS'} ({100 * share:.0f} % on picture)", fontsize=8)
        for panel in line:
            panel.set_axis_off()
        bar = figure.colorbar(heat, ax=line.tolist(), fraction=0.02, pad=0.01)
        bar.set_label("× the even share", fontsize=7)
        bar.ax.tick_params(labelsize=7)
        bar.solids.set(alpha=1)  # type: ignore[union-attr]  # an image has a filled bar
    figure.suptitle(title, fontsize=9)
    return figure


def main(argv: list[str] | None = None) -> int:
    """The exit status."""
    parser = cli.Parser("attention", __doc__)
    parser.add_argument("run", metavar="RUN", help="the run's output directory")
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="files, folders, or - for paths on stdin")
    parser.add_argument("--out", default="", metavar="DIR", help="where the pictures go (default: RUN/attention)")
    parser.add_argument("--layer", type=int, help="the layer, counted from 1 (default: the last but one)")
    add_model_options(parser)
    args = parser.parse_args(argv)
    paths = picture_paths(args.pictures)
    model = load_model(args, args.run, batch_size=ROWS)
    layer = choose_layer(args.layer, len(vit(model).transformer.resblocks))
    folder = Path(args.out or Path(args.run) / "attention")
    n_patches = len(vit(model).positional_embedding) - 1
    found = Pictures(paths, ROWS)
    for page, (names, pictures) in enumerate(found, 1):
        (batch,) = model.tensors(pictures)
        weights = attention(model, batch, layer).cpu()
        n_prompts = weights.shape[1] - 1
        shown = f", prompts 1 to {TOKENS} of {n_prompts}" if n_prompts > TOKENS else ""
        title = f"{model.cfg.TRAINER.NAME} on {model.cfg.MODEL.BACKBONE.NAME}: attention in layer {layer}{shown}"
        seen = as_seen(batch.cpu(), model.cfg)
        figure = draw([Path(name).name for name in names], seen, weights[:, : 1 + TOKENS], n_patches, title)
        path = folder / ("attention.png" if len(paths) <= ROWS else f"attention_{page}.png")
        write_atomically(path, partial(figure.savefig, dpi=150, format="png"))
        print(path)
    return 1 if found.failed else 0
