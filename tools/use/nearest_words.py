"""Lists the words of CLIP's vocabulary that are nearest to each learned text prompt, and how far they are.

    upt-clip words output/pets/seed1 --top 3

The distance is Euclidean, as in CoOp's paper (arXiv 2109.01134, "Interpreting the learned prompts"), between a prompt
as the text tower gets it (for UPT: after its mixer) and the rows of CLIP's word table. A piece that does not end its
word is shown as "pre…". Prompts of deeper layers (DEPTH_TEXT over 1) stand among hidden states, where there are no
words; they are left out.
"""

import json

import torch
from tabulate import tabulate
from torch import Tensor

from upt_clip import cli
from upt_clip.tools.use.predict import add_model_options, load_model
from upt_clip.trainers import Predictor
from upt_clip.trainers.core.clip.loader import token_text

PROMPTS_AT_ONCE = 64  # distances to the whole vocabulary are (prompts, 49408)


@torch.no_grad()
def text_prompts(model: Predictor, image: str = "") -> Tensor:
    """The prompts (P, D) or (C, P, D) that stand among the words, fp32 on the CPU.

    Args:
        image: a picture's path, for a method whose prompts depend on it.

    Raises:
        ValueError: the method has none, or needs a picture.
    """
    method = model.cfg.TRAINER.NAME
    if model.network.image_specific and not image:
        raise ValueError(f"the text prompts of {method} depend on the picture: give one as --image PATH")
    if model.network.image_specific:
        prompts = model.network.learner(model.image_features(image).to(model.device)).text[0]  # (depth, P, D)
    else:
        prompts = model.network.learner().text
    if prompts is None:
        raise ValueError(f"{method} has no text prompts: its class sentences are hand-written words")
    return prompts[0].float().cpu()


def nearest(prompts: Tensor, table: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Distances (N, top) and token ids (N, top) of the rows of the word table (V, D) nearest to prompts (N, D).

    Rows of zeros, which belong to no word, are passed over.
    """
    known = table.any(dim=1).nonzero().squeeze(1)
    words = table[known]
    top = min(top, len(known))
    # not by |a|² + |b|² - 2ab, which loses the digits of small distances
    found = [
        torch.cdist(part, words, compute_mode="donot_use_mm_for_euclid_dist").topk(top, largest=False)
        for part in prompts.split(PROMPTS_AT_ONCE)
    ]
    return torch.cat([f.values for f in found]), known[torch.cat([f.indices for f in found])]


def rows(model: Predictor, top: int, image: str = "") -> list[dict]:
    """For each prompt {"class": name or None, "prompt": number from 1, "nearest": [{"word", "distance"}, ...]}."""
    prompts = text_prompts(model, image)
    table = model.network.text_tower.token_embedding.weight.float().cpu()
    distances, tokens = nearest(prompts.flatten(0, -2), table, top)
    n = prompts.shape[-2]
    return [
        {
            "class": model.classnames[i // n] if prompts.dim() == 3 else None,
            "prompt": i % n + 1,
            "nearest": [{"word": token_text(t), "distance": d} for d, t in zip(*pair, strict=True)],
        }
        for i, pair in enumerate(zip(distances.tolist(), tokens.tolist(), strict=True))
    ]


def render(found: list[dict]) -> str:
    """A table with a line for each prompt."""
    by_class = found[0]["class"] is not None
    lines = [
        [row["class"]] * by_class
        + [row["prompt"], *(f"{one['word']} ({one['distance']:.4f})" for one in row["nearest"])]
        for row in found
    ]
    headers = ["class"] * by_class + ["prompt", *(f"{i + 1}." for i in range(len(found[0]["nearest"])))]
    return tabulate(lines, headers, disable_numparse=True)


def main(argv: list[str] | None = None) -> int:
    parser = cli.Parser("words", __doc__)
    parser.add_argument("run", metavar="RUN", help="the run's output directory")
    parser.add_argument("--top", type=int, default=5, help="how many words for each prompt (default: 5)")
    parser.add_argument("--image", default="", help="the picture, for prompts that depend on it (CoCoOp)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_model_options(parser)
    args = parser.parse_args(argv)
    if args.top < 1:
        raise ValueError(f"--top is {args.top}, choose 1 or more")
    found = rows(load_model(args, args.run), args.top, args.image)
    if args.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        print(f"{render(found)}\n\nin brackets: Euclidean distance")
    return 0
